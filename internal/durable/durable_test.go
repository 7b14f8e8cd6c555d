package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// onlyFile requires dir to hold just the one file: no left-over.
func onlyFile(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Fatalf("folder has %v, want only %s", entries, name)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "Größe 文件.json")
	for _, data := range [][]byte{[]byte("first"), bytes.Repeat([]byte("longer"), 100_000), []byte("short"), nil} {
		if err := WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := mustRead(t, path); !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, want %d", len(got), len(data))
		}
		onlyFile(t, dir, filepath.Base(path))
	}
}

func TestWriteFileInWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := WriteFile("name", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, dir, "name")
}

func TestMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	path := filepath.Join(t.TempDir(), "x")
	for _, mode := range []fs.FileMode{0o600, 0o400, 0o700, 0o600} {
		if err := WriteFile(path, []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Fatalf("mode %v, %v; want %v", info.Mode(), err, mode)
		}
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want error
	}{
		{"", fs.ErrInvalid},
		{sub + string(filepath.Separator), fs.ErrInvalid},
		{filepath.Join(dir, "..") + string(filepath.Separator) + "..", fs.ErrInvalid},
		{filepath.Join(dir, "absent", "x"), fs.ErrNotExist},
		{sub, fs.ErrExist},
	} {
		if err := Create(c.path, []byte("x"), 0o600); !errors.Is(err, c.want) {
			t.Errorf("Create(%q): %v, want %v", c.path, err, c.want)
		}
		if err := WriteFile(c.path, []byte("x"), 0o600); err == nil {
			t.Errorf("WriteFile(%q) succeeded", c.path)
		}
	}
	onlyFile(t, dir, "sub")
}

// A link at the path is replaced: whoever put it there does not choose which
// file is written.
func TestLinkIsReplaced(t *testing.T) {
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x")
	if err := os.Symlink(other, path); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	if err := Create(path, []byte("new"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a link: %v", err)
	}
	if err := WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, other); string(got) != "kept" {
		t.Errorf("the link was followed: %q", got)
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	if err := Create(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"first", "second"} {
		if err := Create(path, []byte(data), 0o600); !errors.Is(err, fs.ErrExist) {
			t.Fatalf("second Create: %v", err)
		}
	}
	if got := mustRead(t, path); string(got) != "first" {
		t.Fatalf("the old file is %q now", got)
	}
	onlyFile(t, dir, "x")
}

func TestOneCreatorWins(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	errs := make([]error, 16)
	var done sync.WaitGroup
	for i := range errs {
		done.Go(func() { errs[i] = Create(path, bytes.Repeat([]byte{byte(i)}, 10_000), 0o600) })
	}
	done.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Fatalf("both %d and %d won", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, fs.ErrExist):
			t.Errorf("creator %d: %v", i, err)
		}
	}
	if winner < 0 || !bytes.Equal(mustRead(t, path), bytes.Repeat([]byte{byte(winner)}, 10_000)) {
		t.Fatalf("winner %d, but other bytes", winner)
	}
	onlyFile(t, dir, "x")
}

// Readers during many writes see one whole version or another.
func TestReadersSeeWholeFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a file that is open without sharing its deletion cannot be replaced there")
	}
	path := filepath.Join(t.TempDir(), "x")
	version := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 50_000+i) }
	if err := WriteFile(path, version(0), 0o600); err != nil {
		t.Fatal(err)
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range 50 {
			if err := WriteFile(path, version(i), 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	for range 200 {
		got := mustRead(t, path)
		if len(got) == 0 || !bytes.Equal(got, version(int(got[0]))) {
			t.Fatalf("a reader saw %d mixed bytes", len(got))
		}
	}
	writing.Wait()
}

func stageIn(t *testing.T, data string) (*os.Root, string) {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	temp, err := stage(root, []byte(data), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return root, temp
}

func TestPublishKeepsBoth(t *testing.T) {
	root, temp := stageIn(t, "new")
	if err := root.WriteFile("x", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Publish(root, temp, "x"); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("publish over a file: %v", err)
	}
	for name, want := range map[string]string{"x": "old", temp: "new"} {
		if got, err := root.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	if err := Replace(root, temp, "x"); err != nil {
		t.Fatal(err)
	}
	if got, err := root.ReadFile("x"); err != nil || string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestPublishOfNothing(t *testing.T) {
	root, temp := stageIn(t, "x")
	if err := root.Remove(temp); err != nil {
		t.Fatal(err)
	}
	for name, publish := range map[string]func(*os.Root, string, string) error{
		"Publish": Publish, "Replace": Replace, "publishOrReplace": publishOrReplace,
	} {
		if err := publish(root, temp, "x"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSweep(t *testing.T) {
	root, young := stageIn(t, "in use")
	now := time.Now()
	old := now.Add(-48 * time.Hour)
	temps := []string{tempPrefix + strings.Repeat("0", 16), tempPrefix + strings.Repeat("f", 16)}
	foreign := []string{"x", tempPrefix, tempPrefix + strings.Repeat("0", 15), tempPrefix + strings.Repeat("g", 16), "a" + temps[0]}
	for _, name := range append(temps, foreign...) {
		if err := errors.Join(root.WriteFile(name, nil, 0o600), root.Chtimes(name, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	folder := tempPrefix + strings.Repeat("1", 16)
	if err := errors.Join(root.Mkdir(folder, 0o700), root.Chtimes(folder, old, old)); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(root, now.Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, name := range temps {
		if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range append(foreign, young, folder) {
		if _, err := root.Lstat(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIsTemp(t *testing.T) {
	root, temp := stageIn(t, "x")
	_ = root
	if !IsTemp(temp) {
		t.Fatalf("%s is not recognised", temp)
	}
	for i := range temp {
		for _, changed := range []string{temp[:i], temp[:i] + "~" + temp[i+1:], temp[:i] + temp[i+1:]} {
			if IsTemp(changed) {
				t.Errorf("%q passes for a temporary file", changed)
			}
		}
	}
}

func TestExtendedPath(t *testing.T) {
	for path, want := range map[string]string{
		`C:\Users\x`:         `\\?\C:\Users\x`,
		`\\server\share\x`:   `\\?\UNC\server\share\x`,
		`\\?\C:\x`:           `\\?\C:\x`,
		`\\.\pipe\x`:         `\\.\pipe\x`,
		`\\?\UNC\server\s\x`: `\\?\UNC\server\s\x`,
	} {
		if got := extendedPath(path); got != want {
			t.Errorf("extendedPath(%q) = %q, want %q", path, got, want)
		}
	}
}

func BenchmarkWriteFile(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			path, data := filepath.Join(b.TempDir(), "x"), make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				if err := WriteFile(path, data, 0o600); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
