package app_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
)

// damageWorld has two snapshots of files large enough to have packs of their own.
func damageWorld(t *testing.T) (*apptest.World, *apptest.Computer) {
	t.Helper()
	w := apptest.New(t)
	w.Driver = small
	c := w.Computer("ANN-LAPTOP")
	for i := range 5 {
		writeFile(t, filepath.Join(c.Docs, fmt.Sprint("big", i)), string(noise(fmt.Sprint(i), 300_000)))
	}
	for i := range 40 {
		writeFile(t, filepath.Join(c.Docs, "small", fmt.Sprint(i)), string(noise(fmt.Sprint("s", i), 3000)))
	}
	setup(t, w, c, func(o *app.SetupOptions) { o.Lock, o.Secret = app.LockKey, app.Secret{} })
	backupAt(t, c, time.Minute)
	writeFile(t, filepath.Join(c.Docs, "small", "0"), "another")
	backupAt(t, c, 2*time.Minute)
	return w, c
}

// damages finds what the check says of one object.
func damages(report app.CheckReport, object string) *app.Damage {
	for i := range report.Damaged {
		if report.Damaged[i].Object == object {
			return &report.Damaged[i]
		}
	}
	return nil
}

// One bit of every object is flipped, near its beginning, in the middle and at its end.
// The check names it; a restore gives all that is not named.
func TestFlippedBitInEveryObject(t *testing.T) {
	w, c := damageWorld(t)
	mustCheck(t, c)
	want := treeOf(t, c.Docs)
	kinds := map[string]int{}
	for _, object := range w.Objects("") {
		kind, _, _ := strings.Cut(object, "-")
		kinds[kind]++
		path := filepath.Join(w.Place, object)
		whole, err := os.ReadFile(path)
		must(t, err)
		for _, at := range []int{40, len(whole) / 2, len(whole) - 1} {
			flipped := bytes.Clone(whole)
			flipped[min(at, len(whole)-1)] ^= 0x10
			overwrite(t, path, flipped)
			report, err := c.App.Check(t.Context(), app.CheckOptions{ReadData: true})
			mustExplain(t, err, app.CodeDamaged)
			d := damages(report, object)
			if d == nil || d.Reason == "" {
				t.Fatalf("bit at %d of %s is not named: %+v", at, object, report.Damaged)
			}
			if kind == "pack" && at == len(whole)/2 {
				restoreAround(t, c, want, report)
			}
		}
		overwrite(t, path, whole)
	}
	if len(kinds) != 5 || kinds["pack"] < 3 || kinds["snap"] != 2 {
		t.Errorf("objects tried: %v", kinds)
	}
	mustCheck(t, c)
}

// overwrite changes an object, whose file may be read-only.
func overwrite(t *testing.T, path string, data []byte) {
	t.Helper()
	must(t, os.Chmod(path, 0o600))
	must(t, os.WriteFile(path, data, 0o600))
}

// restoreAround restores from a place with a damaged pack: what the check named is named
// again, and everything else is there.
func restoreAround(t *testing.T, c *apptest.Computer, want map[string]string, report app.CheckReport) {
	t.Helper()
	log := problemLog{t: t}
	receipt, target := mustRestore(t, c, app.RestoreOptions{Problem: log.add})
	var named []string
	for _, d := range report.Damaged {
		named = append(named, d.Paths...)
	}
	for _, p := range log.all {
		if !slices.Contains(named, p.Path) {
			t.Errorf("the restore misses %+v, and the check names %q", p, named)
		}
	}
	if int(receipt.Failed) != len(log.all) {
		t.Errorf("%d failed, %d told", receipt.Failed, len(log.all))
	}
	if _, err := os.Stat(under(target, c.Docs)); err != nil && !slices.ContainsFunc(named, func(n string) bool { return isAbove(n, c.Docs) }) {
		t.Fatalf("nothing was restored, and %q are named", named)
	} else if err != nil {
		return
	}
	got := treeOf(t, under(target, c.Docs))
	for path, is := range want {
		full := c.Docs + path
		lost := slices.ContainsFunc(named, func(n string) bool { return isAbove(n, full) })
		if !lost && !strings.HasPrefix(is, "d") && got[path] != is {
			t.Errorf("%s is not restored: %q", path, got[path])
		}
	}
}

func isAbove(dir, path string) bool {
	dir = strings.TrimSuffix(dir, "/")
	return dir == path || strings.HasPrefix(path, dir+"/")
}

// Every pack in turn is taken away, and the next backup stores again what is gone.
func TestNextBackupHealsMissingPacks(t *testing.T) {
	w, c := damageWorld(t)
	packs := w.Objects("pack-")
	if len(packs) < 4 {
		t.Fatalf("%d packs", len(packs))
	}
	for i, pack := range packs {
		must(t, os.Remove(filepath.Join(w.Place, pack)))
		report, err := c.App.Check(t.Context(), app.CheckOptions{})
		mustExplain(t, err, app.CodeDamaged)
		if d := damages(report, pack); d == nil || d.Chunks == 0 {
			t.Fatalf("the missing pack is not named: %+v", report.Damaged)
		}
		s, _ := backupAt(t, c, time.Duration(i+3)*time.Minute)
		if s.StoredBytes == 0 || s.Unreadable > 0 {
			t.Errorf("the next backup: %+v", s)
		}
		receipt, target := mustRestore(t, c, app.RestoreOptions{Verify: true})
		if receipt.Failed > 0 {
			t.Error(receipt.Text())
		}
		sameTrees(t, treeOf(t, c.Docs), treeOf(t, under(target, c.Docs)))
	}
}

// A damaged page of a folder is found by the backup that compares with it, and stored again.
func TestNextBackupHealsDamagedTree(t *testing.T) {
	w, c := damageWorld(t)
	trees := 0
	for i, object := range w.Objects("pack-") {
		path := filepath.Join(w.Place, object)
		whole, err := os.ReadFile(path)
		must(t, err)
		flipped := bytes.Clone(whole)
		for at := 60; at < len(flipped); at += 200 {
			flipped[at] ^= 1
		}
		overwrite(t, path, flipped)
		report, err := c.App.Check(t.Context(), app.CheckOptions{ReadData: true})
		mustExplain(t, err, app.CodeDamaged)
		d := damages(report, object)
		if d == nil || !slices.ContainsFunc(d.Paths, func(p string) bool { return isAbove(p, c.Docs) }) {
			overwrite(t, path, whole)
			continue // a pack of files: nobody reads it to compare
		}
		trees++
		backupAt(t, c, time.Duration(i+3)*time.Minute)
		receipt, target := mustRestore(t, c, app.RestoreOptions{})
		if receipt.Failed > 0 {
			t.Errorf("pack %d with %q: %s", i, d.Paths, receipt.Text())
		}
		sameTrees(t, treeOf(t, c.Docs), treeOf(t, under(target, c.Docs)))
	}
	if trees == 0 {
		t.Error("no pack of folders was found")
	}
}

func TestRollback(t *testing.T) {
	w, c := newEngine(t)
	backupAt(t, c, time.Minute)
	yesterday := map[string][]byte{}
	for _, name := range w.Objects("") {
		data, err := os.ReadFile(filepath.Join(w.Place, name))
		must(t, err)
		yesterday[name] = data
	}
	writeFile(t, filepath.Join(c.Docs, "today"), "today")
	today, _ := backupAt(t, c, 2*time.Minute)
	for _, name := range w.Objects("") {
		must(t, os.Remove(filepath.Join(w.Place, name)))
	}
	for name, data := range yesterday {
		must(t, os.WriteFile(filepath.Join(w.Place, name), data, 0o600))
	}
	// A backup that is cut off must not swallow the alarm.
	if _, err := c.App.Backup(endsAfter(t, 60), app.BackupOptions{}); err == nil {
		t.Fatal("not cut off")
	}
	summary, err := c.App.Backup(t.Context(), app.BackupAt(app.BackupOptions{}, time.Now().Add(3*time.Minute), nil))
	mustExplain(t, err, app.CodeRollback)
	if !strings.Contains(fmt.Sprintf("%+v", errorsAs(err).Snapshots), today.Snapshot) || summary.Snapshot == "" {
		t.Errorf("the alarm says %+v; %+v", errorsAs(err), summary)
	}
	receipt, target := mustRestore(t, c, app.RestoreOptions{})
	if receipt.Failed > 0 {
		t.Error(receipt.Text())
	}
	sameTrees(t, treeOf(t, c.Docs), treeOf(t, under(target, c.Docs)))
	info, err := c.App.Snapshot(t.Context(), "latest")
	if err != nil || info.Sequence != 3 {
		t.Errorf("the chain goes on with %d, %v", info.Sequence, err)
	}
	backupAt(t, c, 4*time.Minute) // the alarm is raised once
	report, err := c.App.Check(t.Context(), app.CheckOptions{})
	mustExplain(t, err, app.CodeDamaged)
	if damages(report, "snap-"+today.Snapshot) == nil || len(report.Damaged) != 1 {
		t.Errorf("the check says %+v", report.Damaged)
	}
}

func errorsAs(err error) *app.RollbackError {
	var r *app.RollbackError
	if errors.As(err, &r) {
		return r
	}
	return &app.RollbackError{}
}
