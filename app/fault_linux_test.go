package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
)

// smallDisk mounts a disk of that many megabytes at path.
func smallDisk(t *testing.T, path string, megabytes int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	must(t, os.MkdirAll(path, 0o700))
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		t.Skipf("no small disk can be had: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// The place is full in the middle of a backup; then there is room, and it goes on.
func TestFullPlace(t *testing.T) {
	w := apptest.New(t)
	w.Driver = small
	w.Place = filepath.Join(w.Dir, "disk", "place")
	smallDisk(t, filepath.Join(w.Dir, "disk"), 4)
	must(t, os.Mkdir(w.Place, 0o700))
	c := w.Computer("ANN-LAPTOP")
	setup(t, w, c, func(o *app.SetupOptions) { o.Lock, o.Secret = app.LockKey, app.Secret{} })
	for i := range 60 {
		writeFile(t, filepath.Join(c.Docs, fmt.Sprint("f", i)), string(noise(fmt.Sprint(i), 100_000)))
	}
	s, err := c.App.Backup(t.Context(), app.BackupOptions{})
	if f := mustExplain(t, err, app.CodePlaceFull); s.Snapshot != "" || len(w.Objects("pack-")) == 0 {
		t.Errorf("%+v, %+v", f, s)
	}
	for _, name := range w.Objects("") {
		if strings.Contains(name, "tmp") {
			t.Errorf("%s was left", name)
		}
	}
	must(t, syscall.Mount("tmpfs", filepath.Join(w.Dir, "disk"), "tmpfs", syscall.MS_REMOUNT, "size=20m"))
	stored := len(w.Objects("pack-"))
	mustBackup(t, c)
	if n := len(w.Objects("pack-")); n > stored+8 {
		t.Errorf("%d packs had been stored, and there are %d", stored, n)
	}
	mustComeBack(t, c)
}

// A restore to a disk that has no room says so before it writes, or in the middle when
// something is there already; and goes on when there is room.
func TestFullTarget(t *testing.T) {
	_, c := newEngine(t)
	for i := range 60 {
		writeFile(t, filepath.Join(c.Docs, fmt.Sprint("f", i)), string(noise(fmt.Sprint(i), 100_000)))
	}
	mustBackup(t, c)
	target := filepath.Join(t.TempDir(), "disk")
	smallDisk(t, target, 2)
	o := app.RestoreOptions{Snapshot: "latest", Target: target}
	_, err := c.App.Restore(t.Context(), o)
	f := mustExplain(t, err, app.CodeTargetFull)
	if f.Args["path"] != target || f.Args["missing"] == "" {
		t.Errorf("args: %v", f.Args)
	}
	if got := treeOf(t, target); len(got) > 0 {
		t.Errorf("written: %v", got)
	}
	writeFile(t, filepath.Join(target, "mine"), "mine")
	_, err = c.App.Restore(t.Context(), o)
	mustExplain(t, err, app.CodeTargetFull)
	must(t, syscall.Mount("tmpfs", target, "tmpfs", syscall.MS_REMOUNT, "size=20m"))
	receipt, _ := mustRestore(t, c, o)
	if receipt.Failed+receipt.Renamed > 0 {
		t.Error(receipt.Text())
	}
	sameTrees(t, treeOf(t, c.Docs), treeOf(t, under(target, c.Docs)))
}
