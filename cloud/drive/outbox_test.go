package drive_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coffer/cloud"
	"coffer/cloud/drive"
	"coffer/cloud/drive/drivetest"
)

// TestNextProgramSeesWhatWasWritten: listings do not show it for long, and neither does a
// search by name.
func TestNextProgramSeesWhatWasWritten(t *testing.T) {
	t.Parallel()
	f := drivetest.New(t)
	f.Lag = 1000
	c := config(t, f)
	c.State = t.TempDir()
	data, gone := content(1, 5000), content(2, 300<<10)
	first := mustOpen(t, c)
	name, deleted := mustPut(t, first, data), mustPut(t, first, gone)
	if err := first.Delete(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	next := mustOpen(t, c)
	wantData(t, next, name, data)
	if found := names(t, next); !found[name] || found[deleted] || len(found) != 1 {
		t.Fatalf("the next program lists %v", found)
	}
	if object, err := next.Stat(t.Context(), name); err != nil || object.Size != 5000 {
		t.Fatalf("stat: %+v, %v", object, err)
	}
	f.Remove(f.Named(name)[0].ID) // by another device
	other := mustOpen(t, c)
	_, err := read(t.Context(), other, name)
	wantIs(t, "get of what another device deleted", err, cloud.ErrNotFound)
	c.State = t.TempDir()
	if found := names(t, mustOpen(t, c)); len(found) != 0 {
		t.Fatalf("another computer lists %v", found)
	}
}

// cutOff begins to send data and is stopped when two chunks have arrived.
func cutOff(t *testing.T, f *drivetest.Fake, c drive.Config, data []byte) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.Before = func(op drivetest.Op, n int) {
		if op == drivetest.Chunk && n == 3 {
			cancel()
		}
	}
	name := cloud.Name("pack", data)
	if err := mustOpen(t, c).Put(ctx, name, cloud.Bytes(data)); err == nil {
		t.Fatal("the upload was to be cut off")
	}
	return name
}

// left returns how many files of uploads there are.
func left(t *testing.T, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "drive-upload-") || strings.HasPrefix(e.Name(), "drive-bytes-") {
			n++
		}
	}
	return n
}

// TestUploadGoesOnWithoutItsProgram: whoever had the bytes in memory is gone.
func TestUploadGoesOnWithoutItsProgram(t *testing.T) {
	t.Parallel()
	f := drivetest.New(t)
	c := config(t, f)
	c.State = t.TempDir()
	data := content(1, 2<<20)
	name := cutOff(t, f, c, data)
	if left(t, c.State) != 2 {
		t.Fatalf("%d files are kept of an upload", left(t, c.State))
	}
	s := cloud.New(mustOpen(t, c), cloud.Options{})
	if n, err := s.Finish(t.Context()); err != nil || n != 1 {
		t.Fatalf("finished %d uploads, %v", n, err)
	}
	if got, err := s.Get(t.Context(), name); err != nil || len(got) != len(data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	received, resent := f.Resent()
	if files := f.Named(name); len(files) != 1 || received > int64(len(data))+c.Chunk || resent > c.Chunk {
		t.Errorf("%d files; %d bytes arrived, %d of them again", len(files), received, resent)
	}
	if left(t, c.State) != 0 {
		t.Errorf("%d files are left of an upload that is done", left(t, c.State))
	}
	if n, err := s.Finish(t.Context()); err != nil || n != 0 {
		t.Fatalf("finished %d uploads that do not exist, %v", n, err)
	}
}

// TestDamagedOutbox: bytes that are not those of their name are never sent.
func TestDamagedOutbox(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(path string, data []byte) error{
		"flipped": func(path string, data []byte) error { data[99] ^= 1; return os.WriteFile(path, data, 0o600) },
		"cut":     func(path string, data []byte) error { return os.WriteFile(path, data[:len(data)-1], 0o600) },
		"empty":   func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"link":    func(path string, _ []byte) error { return swapForLink(path) },
		"gone":    func(path string, _ []byte) error { return os.Remove(path) },
	} {
		t.Run(what, func(t *testing.T) {
			f := drivetest.New(t)
			c := config(t, f)
			c.State = t.TempDir()
			data := content(1, 1<<20)
			name := cutOff(t, f, c, data)
			paths, err := filepath.Glob(filepath.Join(c.State, "drive-bytes-*"))
			if err != nil || len(paths) != 1 {
				t.Fatalf("%d files of bytes, %v", len(paths), err)
			}
			kept, err := os.ReadFile(paths[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := spoil(paths[0], kept); err != nil {
				t.Fatal(err)
			}
			s := cloud.New(mustOpen(t, c), cloud.Options{})
			if n, err := s.Finish(t.Context()); err != nil || n != 0 {
				t.Fatalf("finished %d uploads, %v", n, err)
			}
			if files := f.Named(name); len(files) != 0 {
				t.Fatalf("%d files were made of damaged bytes", len(files))
			}
			if err := s.Put(t.Context(), name, data); err != nil {
				t.Fatal(err)
			}
			if left(t, c.State) != 0 {
				t.Errorf("%d files are left", left(t, c.State))
			}
		})
	}
}

// swapForLink puts a link in the place of a file: State is private, but nothing else is
// to be read through it either.
func swapForLink(path string) error {
	moved := filepath.Join(filepath.Dir(path), "moved")
	if err := os.Rename(path, moved); err != nil {
		return err
	}
	return os.Symlink(moved, path)
}
