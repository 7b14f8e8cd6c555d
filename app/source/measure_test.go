package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func makeTree(t testing.TB, dirs, files int, data string) string {
	t.Helper()
	root := t.TempDir()
	for i := range dirs {
		dir := filepath.Join(root, fmt.Sprintf("d%d", i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for k := range files {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%d.txt", k)), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

func TestMeasure(t *testing.T) {
	root := makeTree(t, 20, 100, "12345")
	if err := os.Symlink(root, filepath.Join(root, "d0", "up")); err != nil && runtime.GOOS != "windows" {
		t.Fatal(err)
	}
	rules, err := ParseRules([]string{"d1/", "file-7.txt"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "d2", "CACHEDIR.TAG"), []byte(cacheTag), 0o600); err != nil {
		t.Fatal(err)
	}
	var calls int
	var last int64
	files, bytes, err := Measure(t.Context(), root, rules, func(files, _ int64) {
		if files < last {
			t.Errorf("progress went from %d to %d", last, files)
		}
		last = files
		calls++
	})
	if err != nil || files != 18*99 || bytes != 5*files {
		t.Errorf("%d files, %d bytes, %v", files, bytes, err)
	}
	if calls < 2 || last != files {
		t.Errorf("%d calls, the last said %d", calls, last)
	}
	if _, _, err := Measure(t.Context(), filepath.Join(root, "gone"), Rules{}, nil); !errors.Is(err, ErrVanished) {
		t.Errorf("%v", err)
	}
}

func TestMeasureStops(t *testing.T) {
	root := makeTree(t, 30, 100, "")
	ctx, cancel := context.WithCancel(t.Context())
	files, _, err := Measure(ctx, root, Rules{}, func(files, _ int64) { cancel() })
	if !errors.Is(err, context.Canceled) || files > 2*progressEvery {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestFolders(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the places are the system's")
	}
	home := t.TempDir()
	for _, name := range []string{"Dokumente", "Pictures", "conf", "Videos"} {
		must(t, os.Mkdir(filepath.Join(home, name), 0o700))
	}
	text := "XDG_DOCUMENTS_DIR=\"$HOME/Dokumente\"\nXDG_VIDEOS_DIR=\"$HOME\"\n"
	if err := os.WriteFile(filepath.Join(home, "conf", "user-dirs.dirs"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := Folders(home, func(name string) string {
		return map[string]string{"XDG_CONFIG_HOME": filepath.Join(home, "conf")}[name]
	})
	want := []Folder{{"documents", filepath.Join(home, "Dokumente")}, {"pictures", filepath.Join(home, "Pictures")}}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	got = Folders(home, func(string) string { return "" })
	if len(got) != 2 || got[0].ID != "pictures" || got[1].ID != "videos" {
		t.Errorf("without user-dirs.dirs: %v", got)
	}
}

// BenchmarkList reads the names of 100,000 files and lstats each.
func BenchmarkList(b *testing.B) {
	root := makeTree(b, 1000, 100, "")
	for b.Loop() {
		if n := listAll(b, root, nil); n != 100_000 {
			b.Fatal(n)
		}
	}
}

// BenchmarkRead does as BenchmarkList and reads them: 2,800 bytes each.
func BenchmarkRead(b *testing.B) {
	root := makeTree(b, 1000, 100, string(make([]byte, 2800)))
	buf := make([]byte, 1<<16)
	for b.Loop() {
		listAll(b, root, buf)
	}
}

func listAll(b *testing.B, root string, buf []byte) (n int) {
	d, err := OpenDir(root)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	names, _ := d.Names()
	for _, name := range names {
		sub, err := d.OpenDir(name)
		if err != nil {
			b.Fatal(err)
		}
		files, _ := sub.Names()
		for _, file := range files {
			info, err := sub.Lstat(file)
			if err != nil {
				b.Fatal(err)
			}
			if buf != nil {
				if _, _, err := ReadSmall(sub, file, info, buf); err != nil {
					b.Fatal(err)
				}
			}
			n++
		}
		sub.Close()
	}
	return n
}

// BenchmarkExtra asks a file without extended attributes for them.
func BenchmarkExtra(b *testing.B) {
	root := makeTree(b, 1, 1, "")
	d, err := OpenDir(filepath.Join(root, "d0"))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	info, err := d.Lstat("file-0.txt")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := d.Extra(info); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkExcluded asks the default rules about a path that they keep.
func BenchmarkExcluded(b *testing.B) {
	var lines []string
	for _, d := range DefaultRules("linux") {
		lines = append(lines, d.Pattern)
	}
	r := mustRules(b, "linux", lines...)
	for b.Loop() {
		if r.Excluded("/home/ann/Documents/letters/2026/to-the-bank.odt", false) {
			b.Fatal("left out")
		}
	}
}
