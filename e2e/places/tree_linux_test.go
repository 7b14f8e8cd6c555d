package places

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// treeFiles is how many files a tree of a whole story has.
func treeFiles() int {
	if full() {
		return 5000
	}
	return 500
}

// noise is an endless stream of bytes that no compressor makes smaller.
func noise(seed string) *rand.ChaCha8 { return rand.NewChaCha8(sha256.Sum256([]byte(seed))) }

// plant makes a tree of about that many files at dir, the same for one seed.
func plant(t *testing.T, dir, seed string, files int) {
	t.Helper()
	stream := noise(seed)
	r := rand.New(stream)
	oddities := odd()
	for i := range files {
		size := r.IntN(6000)
		switch {
		case i%100 == 7:
			size = 60_000 + r.IntN(200_000)
		case i%1500 == 11:
			size = 5 << 20
		case i%50 == 3:
			size = 0
		}
		name := fmt.Sprintf("%02d/%d/file %d.bin", i%40, i%7, i)
		if i < len(oddities) {
			name = oddities[i]
		}
		data := make([]byte, size)
		if i%3 == 0 {
			copy(data, strings.Repeat("a line that comes again and again, as lines do\n", size/47+1))
		} else {
			_, _ = stream.Read(data) // never fails
		}
		plantFile(t, filepath.Join(dir, name), data, fs.FileMode([]uint32{0o644, 0o600, 0o755, 0o440}[i%4]), moment(r))
	}
	plantOthers(t, dir, r)
}

// moment is a time that files have: with nanoseconds, some of them long ago or to come.
func moment(r *rand.Rand) time.Time {
	years := []int{2026, 2026, 2026, 2019, 1999, 1970, 1955, 2061}
	return time.Date(years[r.IntN(len(years))], time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e9), time.UTC)
}

func plantFile(t *testing.T, path string, data []byte, mode fs.FileMode, at time.Time) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, data, 0o600))
	must(t, os.Chmod(path, mode))
	must(t, os.Chtimes(path, at, at))
}

// odd are names that have broken programs before.
func odd() []string {
	long := strings.Repeat("n", 255)
	deep := strings.Repeat("deep/", 60) + "file"
	return []string{
		"-rf", "--help", " leading", "trailing ", "dot.", "...", ".hidden", "~", "~root", "$HOME", "`id`", "$(id)", "%s%n%x", "*", "?", "[a-z]",
		"a\\b", "con", "aux.txt", "NUL", "pipe|", "quote\"", "apostrophe'", "semi;colon", "amp&ersand", "hash#", "percent%20", "plus+", "colon:stream",
		"line\nbreak", "tab\tstop", "bell\a", "escape\x1b[31mred", "rubout\x7f", "invalid\xff\xfe", "overlong\xc0\xaf", "latin\xe9",
		"caf\u00e9", "cafe\u0301", "\u202egnp.exe", "\u200bzero", "日記.txt", "עברית", "😀", "ﬁ", "İ", "ı", "ß", "ẞ", "CASE", "case", "Case",
		long, deep, "pack-0123456789012345678901234567890123456789", "README.txt", "folder/README.txt", "snap-", "empty folder/.keep",
	}
}

// plantOthers makes what is not a regular file, and folders with times and modes.
func plantOthers(t *testing.T, dir string, r *rand.Rand) {
	t.Helper()
	for name, target := range map[string]string{
		"link to a file": "00/0/file 0.bin", "link to nothing": "not/there", "link to a folder": "01", "link outside": "/etc/hostname",
		"link odd": "line\nbreak \xff", "link to itself": "link to itself",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	must(t, os.Link(filepath.Join(dir, "CASE"), filepath.Join(dir, "hard link")))
	for i, name := range []string{"empty", "closed", "sticky", "shared"} {
		path := filepath.Join(dir, name)
		must(t, os.Mkdir(path, 0o755))
		must(t, os.Chmod(path, []fs.FileMode{0o755, 0o700, 0o1777&^0o1000 | fs.ModeSticky, 0o2775&^0o2000 | fs.ModeSetgid}[i]))
	}
	sparse, err := os.Create(filepath.Join(dir, "sparse"))
	must(t, err)
	must(t, sparse.Truncate(3<<20))
	_, err = sparse.WriteAt([]byte("far"), 2<<20)
	must(t, err)
	must(t, sparse.Close())
	// Last, because making files changes the times of their folders.
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		at := moment(r)
		return os.Chtimes(path, at, at)
	})
	must(t, err)
}

// survey describes everything below dir: type, mode, time, size, content, target.
func survey(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%v %s", info.Mode(), info.ModTime().UTC().Format(time.RFC3339Nano))
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %d %x", len(data), sha256.Sum256(data))
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " -> " + target
		}
		found[rel] = text
		return nil
	})
	must(t, err)
	return found
}

// same requires two trees to be the same in everything, and not to be empty.
func same(t *testing.T, want, got string) {
	t.Helper()
	a, b := survey(t, want), survey(t, got)
	wrong := 0
	complain := func(format string, args ...any) {
		if wrong++; wrong <= 10 {
			t.Errorf(format, args...)
		}
	}
	for name, text := range a {
		if b[name] != text {
			complain("%q came back as\n  %s\ninstead of\n  %s", name, b[name], text)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			complain("%q came back and was not there", name)
		}
	}
	if len(a) < 10 {
		t.Fatalf("compared only %d things", len(a))
	}
	if wrong > 0 {
		t.Fatalf("%d of %d things differ", wrong, len(a))
	}
}
