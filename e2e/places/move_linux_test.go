package places

import (
	"os"
	"path/filepath"
	"testing"

	"coffer/cloud"
	"coffer/cloud/drive/drivetest"
)

// TestMove: a backup in Google Drive gets a second place, is copied to a third without
// its original files, leaves the first, and opens everywhere: on the server, and as the
// folder that was downloaded from Drive.
func TestMove(t *testing.T) {
	begin(t)
	t.Parallel()
	f := startDrive(t)
	m := newMachine(t)
	drive := f.site(m, drivetest.Alice())
	files := m.treeOf("move")
	digits := m.setUp(drive, files)
	m.backup()

	// A second place, and backups to both.
	dav := startDAV(t, false).site(m)
	m.must(append([]string{"place", "add", dav.dest}, dav.flags...)...)
	more(t, files, "to both")
	if summary := m.backup(); len(listOf(summary, "places")) != 2 {
		t.Fatalf("a backup to two places says %v", summary)
	}

	// A third by a copy, when the original files are gone.
	hidden := files + " gone"
	must(t, os.Rename(files, hidden))
	ssh := startSSH(t).site(m)
	copied := m.must(append([]string{"--json", "place", "copy", drive.dest, ssh.dest}, ssh.flags...)...).record("summary")
	if number(copied, "copied") < 3 || len(listOf(copied, "damaged")) != 0 {
		t.Fatalf("place copy: %v", copied)
	}
	m.must("place", "remove", drive.dest)
	must(t, os.Rename(hidden, files))
	more(t, files, "without drive")
	before := f.Counts()
	m.backup()
	for op, n := range f.Counts() {
		if n != before[op] {
			t.Errorf("a place that was removed was asked: %s", op)
		}
	}

	for kind, s := range map[string]site{"webdav": dav, "sftp": ssh} {
		other := newMachine(t)
		other.join(s, digits)
		same(t, files, other.restore(files))
		other.must("check", "--read-data")
		other.keepsSecrets(s.secrets)
		t.Logf("opened from %s", kind)
	}
	m.keepsSecrets(append(append(drive.secrets, dav.secrets...), ssh.secrets...), dav.content(t), ssh.content(t))

	// What was downloaded from Drive is a folder, with the backups of then.
	folder := f.download(t)
	must(t, os.WriteFile(filepath.Join(folder, "desktop.ini"), []byte("foreign"), 0o600))
	last := newMachine(t)
	last.join(site{dest: folder}, digits)
	back := last.restore(files)
	if _, err := os.Stat(filepath.Join(back, "to both")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(back, "without drive")); err == nil {
		t.Error("a backup that never went to Drive is in what was downloaded from it")
	}
	entries, err := os.ReadDir(folder)
	must(t, err)
	objects := 0
	for _, e := range entries {
		if cloud.ValidName(e.Name()) {
			objects++
		}
	}
	if objects < 5 {
		t.Errorf("only %d objects were downloaded", objects)
	}
}

// listOf is a list of a record.
func listOf(record map[string]any, name string) []any {
	list, _ := record[name].([]any)
	return list
}
