package folder_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

func TestWorld(t *testing.T) {
	cloudtest.RunWorld(t, func(t *testing.T) cloudtest.World {
		dir := t.TempDir()
		return cloudtest.World{
			Driver:  mustOpen(t, dir),
			Another: func(t *testing.T) cloud.Driver { return mustOpen(t, dir) },
			Names:   func(t *testing.T) []string { return names(t, dir) },
			Drop: func(t *testing.T, name string, data []byte) {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			Shift: func(t *testing.T, by time.Duration) { shift(t, dir, by) },
		}
	})
}

// shift changes the times of all files below dir.
func shift(t *testing.T, dir string, by time.Duration) {
	t.Helper()
	count := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		count++
		return os.Chtimes(path, time.Time{}, info.ModTime().Add(by))
	})
	if err != nil || count == 0 {
		t.Fatalf("changed the times of %d files: %v", count, err)
	}
}

// TestManyObjects: 100,000 of them, put there by a copy, without a sync for each, and
// in memory where the system has files there: a disk is not what is tested.
func TestManyObjects(t *testing.T) {
	n := 100_000
	if testing.Short() || cloudtest.Race {
		n = 2000
	}
	dir := t.TempDir()
	if inMemory, err := os.MkdirTemp("/dev/shm", "coffer-test-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(inMemory) })
		dir = inMemory
	}
	for i := range n {
		data := cloudtest.Numbered(i)
		if err := os.WriteFile(filepath.Join(dir, cloud.Name("index", data)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%+v", cloudtest.RunMany(t, mustOpen(t, dir), n))
}
