package places

import (
	"path/filepath"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
	"coffer/cloud/icloud"
)

// TestICloudFolder is TestEveryKind for iCloud Drive, whose folder this system does not
// have: the command line refuses it here, so the driver works on a folder that looks like
// one, below package app.
func TestICloudFolder(t *testing.T) {
	begin(t)
	t.Parallel()
	m := newMachine(t)
	m.refused("place-no-icloud", "setup", "--to", "icloud:", "--new-key", t.TempDir())

	root, staging := t.TempDir(), t.TempDir()
	w := apptest.New(t)
	w.Driver = func(cloud.Driver) cloud.Driver {
		d, err := icloud.New(icloud.Config{Root: root, Folder: "Backups", Staging: staging, Create: true})
		must(t, err)
		return d
	}
	files := filepath.Join(scratch(t), "files of ann")
	plant(t, files, "icloud", treeFiles())
	first := w.Computer("first")
	made, err := first.App.Setup(t.Context(), app.SetupOptions{To: w.Place, Sources: []string{files}, Lock: app.LockKey, KeepKey: app.KeepFile})
	must(t, err)
	defer made.Key.Wipe()
	summary, err := first.App.Backup(t.Context(), app.BackupOptions{})
	must(t, err)
	if summary.Files < int64(treeFiles()) || summary.Unreadable != 0 {
		t.Fatalf("the backup: %+v", summary)
	}
	other := w.Computer("other")
	_, err = other.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: app.LockKey, Key: made.Key, KeepKey: app.KeepFile})
	must(t, err)
	_, err = other.App.Check(t.Context(), app.CheckOptions{ReadData: true})
	must(t, err)
	to := filepath.Join(scratch(t), "restored")
	receipt, err := other.App.Restore(t.Context(), app.RestoreOptions{Snapshot: "latest", Target: to, Verify: true})
	must(t, err)
	if receipt.Failed != 0 {
		t.Fatalf("the restore: %+v", receipt)
	}
	same(t, files, filepath.Join(to, files))
}
