package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

// faultWorld has files for some packs of a megabyte.
func faultWorld(t *testing.T) (*apptest.World, *apptest.Computer) {
	t.Helper()
	w := apptest.New(t)
	w.Driver = small
	c := w.Computer("ANN-LAPTOP")
	for i := range 60 {
		writeFile(t, filepath.Join(c.Docs, fmt.Sprint("f", i)), string(noise(fmt.Sprint(i), 100_000)))
	}
	setup(t, w, c, func(o *app.SetupOptions) { o.Lock, o.Secret = app.LockKey, app.Secret{} })
	return w, c
}

func mustComeBack(t *testing.T, c *apptest.Computer) {
	t.Helper()
	mustCheck(t, c)
	receipt, target := mustRestore(t, c, app.RestoreOptions{})
	if receipt.Failed > 0 {
		t.Error(receipt.Text())
	}
	sameTrees(t, treeOf(t, c.Docs), treeOf(t, under(target, c.Docs)))
}

// Requests that fail once, without and with their effect, and bytes that arrive wrong, in
// both directions: the backup, the check and the restore get over all of them.
func TestPlaceWithFaultsIsOvercome(t *testing.T) {
	w, c := faultWorld(t)
	var faulty *cloudtest.Faulty
	plan := []cloudtest.Shot{
		{Op: cloudtest.Put, At: 1, Fault: cloudtest.Fail},
		{Op: cloudtest.Put, At: 3, Fault: cloudtest.FailDone},
		{Op: cloudtest.Put, At: 6, Fault: cloudtest.Flip},
		{Op: cloudtest.List, At: 2, Fault: cloudtest.Repeat},
		{Op: cloudtest.Get, At: 1, Fault: cloudtest.Fail},
	}
	w.Driver = func(d cloud.Driver) cloud.Driver {
		faulty = cloudtest.NewFaulty(small(d), plan...)
		return faulty
	}
	s := mustBackup(t, c)
	if !faulty.AllFired() || s.Unreadable != 0 || s.Files != 63 {
		t.Errorf("not fired: %+v; %+v", faulty.Unfired(), s)
	}
	plan = []cloudtest.Shot{
		{Op: cloudtest.Get, At: 2, Fault: cloudtest.Fail},
		{Op: cloudtest.Get, At: 4, Fault: cloudtest.Truncate},
		{Op: cloudtest.Get, At: 6, Fault: cloudtest.Break},
		{Op: cloudtest.Get, At: 8, Fault: cloudtest.Dribble},
	}
	if receipt, _ := mustRestore(t, c, app.RestoreOptions{}); receipt.Failed > 0 || !faulty.AllFired() {
		t.Errorf("not fired: %+v; %s", faulty.Unfired(), receipt.Text())
	}
	w.Driver = small
	mustComeBack(t, c)
}

// What cannot be overcome ends the backup with the right word and at once, and when it is
// over the next backup goes on from what was stored.
func TestPlaceInTroubleEndsTheBackup(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want app.Code
	}{
		{cloud.ErrFull, app.CodePlaceFull},
		{cloud.ErrReadOnly, app.CodePlaceReadOnly},
		{cloud.ErrDenied, app.CodePlaceDenied},
		{cloud.ErrNoPlace, app.CodePlaceMissing},
		{cloud.Final(cloud.ErrOffline), app.CodePlaceOffline},
	} {
		t.Run(string(tt.want), func(t *testing.T) {
			w, c := faultWorld(t)
			for _, at := range []int{1, 3, 3} {
				w.Driver = func(d cloud.Driver) cloud.Driver {
					var plan []cloudtest.Shot
					for n := at; n < at+200; n++ {
						plan = append(plan, cloudtest.Shot{Op: cloudtest.Put, At: n, Fault: cloudtest.Fail, Err: tt.err})
					}
					return cloudtest.NewFaulty(small(d), plan...)
				}
				summary, err := c.App.Backup(t.Context(), app.BackupOptions{})
				if f := mustExplain(t, err, tt.want); summary.Snapshot != "" || f.Code != tt.want {
					t.Errorf("snapshot %q", summary.Snapshot)
				}
				if n := len(w.Objects("snap-")); n > 0 {
					t.Errorf("%d snapshots", n)
				}
			}
			stored := len(w.Objects("pack-"))
			w.Driver = small
			mustBackup(t, c)
			if stored == 0 || len(w.Objects("pack-")) > stored+8 {
				t.Errorf("%d packs had been stored, and there are %d", stored, len(w.Objects("pack-")))
			}
			mustComeBack(t, c)
		})
	}
}

// The folder of the place goes away in the middle, as a disk that is pulled out, and
// comes back.
func TestPlaceVanishes(t *testing.T) {
	w, c := faultWorld(t)
	o := app.BackupOptions{}
	_, err := c.App.Backup(t.Context(), app.BackupAt(o, zeroTime, func(path string) {
		if filepath.Base(path) == "f40" {
			must(t, os.Rename(w.Place, w.Place+".away"))
		}
	}))
	if code := app.Explain(err).Code; code != app.CodePlaceOffline && code != app.CodePlaceMissing {
		t.Fatalf("%v, explained as %s", err, code)
	}
	_, err = c.App.Backup(t.Context(), o)
	mustExplain(t, err, app.CodePlaceOffline)
	if _, err := os.Stat(w.Place); err == nil {
		t.Error("a new folder was made where the disk had been")
	}
	must(t, os.Rename(w.Place+".away", w.Place))
	mustBackup(t, c)
	mustComeBack(t, c)
}

// Two computers, and two profiles of one, back up to one place at the same time.
func TestSeveralAtOnce(t *testing.T) {
	w, ann := faultWorld(t)
	backups := map[*apptest.Computer]func() (app.BackupSummary, error){}
	for i := range 3 {
		c := ann
		if i > 0 {
			c = w.Computer(fmt.Sprint("BOB-PC", i))
			for n := range 40 { // some files as Ann has them, some of Bob's own
				writeFile(t, filepath.Join(c.Docs, fmt.Sprint("f", n)), string(noise(fmt.Sprint(n*i), 100_000)))
			}
			joinWith(t, w, ann, c)
		}
		backups[c] = func() (app.BackupSummary, error) { return c.App.Backup(t.Context(), app.BackupOptions{}) }
	}
	for range 3 {
		type result struct {
			c   *apptest.Computer
			id  string
			err error
		}
		done := make(chan result)
		for c, backup := range backups {
			go func() {
				s, err := backup()
				done <- result{c, s.Snapshot, err}
			}()
		}
		ids := map[*apptest.Computer]string{}
		for range backups {
			r := <-done
			must(t, r.err)
			ids[r.c] = r.id
		}
		for c, id := range ids {
			receipt, target := mustRestore(t, ann, app.RestoreOptions{Snapshot: id})
			if receipt.Failed > 0 {
				t.Error(receipt.Text())
			}
			sameTrees(t, treeOf(t, c.Docs), treeOf(t, under(target, c.Docs)))
			writeFile(t, filepath.Join(c.Docs, "f1"), id)
		}
		mustCheck(t, ann)
	}
	all, err := ann.App.Snapshots(t.Context())
	if err != nil || len(all) != 9 {
		t.Errorf("%d snapshots, %v", len(all), err)
	}
}

func joinWith(t *testing.T, w *apptest.World, first, c *apptest.Computer) {
	t.Helper()
	lines, err := first.App.RecoveryLines(t.Context())
	must(t, err)
	var text []byte
	for _, line := range lines {
		text = append(text, line.Digits...)
	}
	key, err := app.ParseRecoveryKey(text)
	must(t, err)
	_, err = c.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: app.LockKey, Key: key, Sources: []string{c.Docs}})
	must(t, err)
}
