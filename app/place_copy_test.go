package app_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

// copyWorld is a backup of three days in a folder, in packs of a megabyte.
func copyWorld(t *testing.T) (*apptest.World, *apptest.Computer) {
	t.Helper()
	w, c := faultWorld(t)
	for i := range 3 {
		writeFile(t, filepath.Join(c.Docs, "diary"), fmt.Sprint("day ", i))
		mustBackup(t, c)
	}
	return w, c
}

// A backup moves to another place without its sources, and goes on there.
func TestMoveWithoutTheSources(t *testing.T) {
	w, c := copyWorld(t)
	want := treeOf(t, c.Docs)
	mem := w.Mem("new home")
	mem.Wrap = small
	before := len(w.Objects(""))
	s, err := c.App.CopyPlace(t.Context(), w.Place, mem.Dest, app.CopyOptions{})
	if err != nil || s.Objects != int64(before) || s.Copied != s.Objects || len(s.Damaged) > 0 {
		t.Fatalf("%d objects: %+v, %v", before, s, err)
	}
	again, err := c.App.CopyPlace(t.Context(), w.Place, mem.Dest, app.CopyOptions{})
	if err != nil || again.Copied != 0 {
		t.Errorf("a second copy copied %d objects, %v", again.Copied, err)
	}
	must(t, os.Rename(c.Docs, c.Docs+" away"))
	must(t, os.RemoveAll(w.Place))
	must(t, c.App.RemovePlace(t.Context(), w.Place))
	receipt, target := mustRestore(t, c, app.RestoreOptions{})
	if receipt.Failed > 0 {
		t.Error(receipt.Text())
	}
	sameTrees(t, want, treeOf(t, under(target, c.Docs)))
	mustCheck(t, c)
	must(t, os.Rename(c.Docs+" away", c.Docs))
	if s := mustBackup(t, c); s.NewBytes > 1<<20 {
		t.Errorf("the first backup in the new place stored %d bytes anew", s.NewBytes)
	}
	snapshots, err := c.App.Snapshots(t.Context())
	if err != nil || len(snapshots) != 4 {
		t.Errorf("%d snapshots, %v", len(snapshots), err)
	}
}

// A copy that breaks at any object goes on, and never shows a snapshot without its packs.
func TestCopyBrokenAnywhere(t *testing.T) {
	w, c := copyWorld(t)
	objects := len(w.Objects(""))
	for at := 1; at <= objects; at++ {
		mem := w.Mem(fmt.Sprint("target ", at))
		ctx, cancel := context.WithCancel(t.Context())
		mem.Wrap = func(d cloud.Driver) cloud.Driver {
			return &cancelling{Driver: d, at: at, cancel: cancel}
		}
		_, err := c.App.CopyPlace(ctx, w.Place, mem.Dest, app.CopyOptions{})
		cancel()
		if at < objects && !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled at %d: %v", at, err)
		}
		names := mem.Memory.Names()
		if slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "snap-") }) {
			for _, pack := range append(w.Objects("pack-"), w.Objects("index-")...) {
				if !slices.Contains(names, pack) {
					t.Fatalf("cancelled at %d: there is a snapshot, and %s is missing", at, pack)
				}
			}
		}
		mem.Wrap = nil
		if _, err := c.App.CopyPlace(t.Context(), w.Place, mem.Dest, app.CopyOptions{}); err != nil {
			t.Fatalf("again after %d: %v", at, err)
		}
		if got, want := mem.Memory.Names(), w.Objects(""); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Fatalf("after %d: %d objects of %d", at, len(got), len(want))
		}
		must(t, c.App.RemovePlace(t.Context(), mem.Dest))
	}
}

// A cancelling driver cancels its caller at a Put, after it was done.
type cancelling struct {
	cloud.Driver
	at, puts int
	cancel   context.CancelFunc
}

func (d *cancelling) Caps() cloud.Caps { return cloud.Caps{Parallel: 1} }

func (d *cancelling) Put(ctx context.Context, name string, src cloud.Source) error {
	err := d.Driver.Put(ctx, name, src)
	if d.puts++; d.puts == d.at {
		d.cancel()
	}
	return err
}

func TestCopyUnderFaults(t *testing.T) {
	w, c := copyWorld(t)
	mem := w.Mem("target")
	mem.Wrap = func(d cloud.Driver) cloud.Driver {
		return cloudtest.NewFaulty(d,
			cloudtest.Shot{Op: cloudtest.Put, At: 1, Fault: cloudtest.Fail},
			cloudtest.Shot{Op: cloudtest.Put, At: 4, Fault: cloudtest.FailDone},
			cloudtest.Shot{Op: cloudtest.Put, At: 5, Fault: cloudtest.Flip})
	}
	mem.Memory.Lag = func(name string, listings int) bool { return listings < 2 && len(name)%2 == 0 }
	s, err := c.App.CopyPlace(t.Context(), w.Place, mem.Dest, app.CopyOptions{})
	if err != nil || len(s.Damaged) > 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	must(t, c.App.UsePlace(mem.Dest))
	mustComeBack(t, c)
}

// What is damaged is named and left out, and everything else can be restored from the copy.
func TestCopyOfADamagedPlace(t *testing.T) {
	w, c := copyWorld(t)
	pack := w.Objects("pack-")[0]
	data, err := os.ReadFile(filepath.Join(w.Place, pack))
	must(t, err)
	data[len(data)/2] ^= 1
	overwrite(t, filepath.Join(w.Place, pack), data)
	mem := w.Mem("target")
	s, err := c.App.CopyPlace(t.Context(), w.Place, mem.Dest, app.CopyOptions{})
	if err != nil || !slices.Equal(s.Damaged, []string{pack}) || slices.Contains(mem.Memory.Names(), pack) {
		t.Fatalf("%+v, %v", s, err)
	}
}

// An object that was cut in the other place is replaced by the whole one.
func TestCopyHeals(t *testing.T) {
	w, c := copyWorld(t)
	mem := w.Mem("target")
	_, err := c.App.CopyPlace(t.Context(), w.Place, mem.Dest, app.CopyOptions{})
	must(t, err)
	pack := w.Objects("pack-")[0]
	mem.Memory.Set(pack, mem.Memory.Data(pack)[:100])
	if s, err := c.App.CopyPlace(t.Context(), w.Place, mem.Dest, app.CopyOptions{}); err != nil || s.Copied != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	must(t, c.App.UsePlace(mem.Dest))
	mustComeBack(t, c)
}

func TestCopyIsRefused(t *testing.T) {
	w, c := copyWorld(t)
	full := w.Mem("full")
	full.Memory.Room = 1 << 20
	other := apptest.New(t)
	stranger := other.Computer("BEN-PC")
	setup(t, other, stranger, func(o *app.SetupOptions) { o.Lock, o.Secret = app.LockKey, app.Secret{} })
	for name, tt := range map[string]struct {
		from, to string
		code     app.Code
	}{
		"onto itself":         {w.Place, w.Place, app.CodePlaceKnown},
		"from another":        {other.Place, w.Mem("x").Dest, app.CodePlaceOther},
		"onto another":        {w.Place, other.Place, app.CodePlaceOther},
		"from nothing":        {filepath.Join(w.Dir, "nowhere"), w.Mem("x").Dest, app.CodePlaceMissing},
		"into a full place":   {w.Place, full.Dest, app.CodePlaceFull},
		"from an empty place": {w.Mem("empty").Dest, w.Place, app.CodePlaceForeign},
	} {
		_, err := c.App.CopyPlace(t.Context(), tt.from, tt.to, app.CopyOptions{})
		if f := app.Explain(err); f.Code != tt.code {
			t.Errorf("%s: %v, %v", name, f.Code, err)
		}
	}
	places, err := c.App.Places()
	if err != nil || len(places) != 1 {
		t.Errorf("%d places, %v", len(places), err)
	}
}

// A folder that was copied with other means opens as a place, too.
func TestFolderCopiedByHand(t *testing.T) {
	w, c := copyWorld(t)
	elsewhere := filepath.Join(w.Dir, "copied by hand")
	if out, err := exec.Command("cp", "-r", w.Place, elsewhere).CombinedOutput(); err != nil {
		t.Skip(string(out), err)
	}
	if _, notices, err := c.App.AddPlace(t.Context(), elsewhere, false); err != nil {
		t.Fatal(notices, err)
	}
	must(t, os.RemoveAll(w.Place))
	restoreFrom(t, c, elsewhere)
}
