package app_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coffer/app"
)

// nastyTree makes everything that a backup must bring back as it was.
func nastyTree(t *testing.T, dir string) {
	t.Helper()
	for name, data := range map[string][]byte{
		"empty": nil, "one": {7}, "65535": noise("a", 65535), "65536": noise("b", 65536),
		"256k": noise("c", 256<<10), "4M+1": noise("d", 4<<20+1), "20M": noise("e", 20<<20),
		"zeros": make([]byte, 3<<20), "text": bytes.Repeat([]byte("the same line\n"), 50_000),
		"base.sqlite":   append([]byte("SQLite format 3\x00"), noise("f", 1<<20+100)...),
		"small.sqlite":  append([]byte("SQLite format 3\x00"), noise("g", 100)...),
		"new\nline":     []byte("newline"),
		"bad\xff\xfe":   []byte("not UTF-8"),
		" edges ":       []byte("spaces"),
		"-rf *":         []byte("dash"),
		"\x1b[2Jescape": []byte("escape"),
		"é":             []byte("NFC"), "e\u0301": []byte("NFD"),
		strings.Repeat("x", 255): []byte("longest"),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	must(t, os.WriteFile(filepath.Join(dir, "suid"), []byte("#!"), 0o755))
	must(t, unix.Chmod(filepath.Join(dir, "suid"), 0o6751))
	must(t, os.WriteFile(filepath.Join(dir, "closed"), []byte("closed"), 0o000))
	must(t, os.WriteFile(filepath.Join(dir, "owned"), []byte("owned"), 0o640))
	for name, to := range map[string]string{
		"dangling": "nowhere", "absolute": "/etc/hostname", "loop": "loop", "up": "../..", "raw\xff": "to\xff\n",
		"long link": strings.Repeat("y/", 2000),
	} {
		must(t, os.Symlink(to, filepath.Join(dir, name)))
	}
	must(t, os.Link(filepath.Join(dir, "256k"), filepath.Join(dir, "also 256k")))
	must(t, os.MkdirAll(filepath.Join(dir, "folder", "empty"), 0o755))
	must(t, os.Link(filepath.Join(dir, "one"), filepath.Join(dir, "folder", "also one")))
	must(t, os.Mkdir(filepath.Join(dir, "readonly"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "readonly", "in it"), []byte("in it"), 0o444))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: shortPath(t, dir) + "/socket"}))
	must(t, unix.Close(fd))
	nastyAttributes(t, dir)
	deepFolder(t, dir, 45)
	old := time.Date(1931, 4, 5, 6, 7, 8, 123456789, time.UTC)
	must(t, os.Chtimes(filepath.Join(dir, "one"), old, old))
	must(t, os.Chtimes(filepath.Join(dir, "folder", "empty"), old, old.Add(time.Nanosecond)))
	must(t, os.Chmod(filepath.Join(dir, "readonly"), 0o555))
}

// shortPath is dir where a socket's address, of 108 bytes, has room for it.
func shortPath(t *testing.T, dir string) string {
	t.Helper()
	base, err := os.MkdirTemp("/tmp", "s")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(base) })
	must(t, os.Symlink(dir, base+"/d"))
	return base + "/d"
}

func nastyAttributes(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() == 0 {
		must(t, os.Chown(filepath.Join(dir, "owned"), 12345, 23456))
		must(t, os.Lchown(filepath.Join(dir, "dangling"), 12345, 23456))
	}
	must(t, unix.Setxattr(filepath.Join(dir, "text"), "user.coffer", noise("x", 300), 0))
	must(t, unix.Setxattr(filepath.Join(dir, "folder"), "user.empty", nil, 0))
	if out, err := exec.Command("setfacl", "-m", "u:1234:rw", filepath.Join(dir, "text")).CombinedOutput(); err != nil {
		t.Logf("no ACL is tested: %v %s", err, out)
	}
	for name, size := range map[string]int64{"holes": 100 << 30, "sparse": 40 << 20} {
		f, err := os.Create(filepath.Join(dir, name))
		must(t, err)
		must(t, f.Truncate(size))
		if name == "sparse" {
			for _, at := range []int64{0, 5 << 20, 39<<20 + 5} {
				_, err := f.WriteAt(noise(name, 70_000), at)
				must(t, err)
			}
		}
		must(t, f.Close())
	}
}

// deepFolder makes a path of 100 bytes a level.
func deepFolder(t *testing.T, dir string, levels int) {
	t.Helper()
	at, err := os.OpenRoot(dir)
	must(t, err)
	for range levels {
		name := strings.Repeat("d", 99)
		must(t, at.Mkdir(name, 0o755))
		next, err := at.OpenRoot(name)
		must(t, err)
		must(t, at.Close())
		at = next
	}
	must(t, at.WriteFile("deepest", []byte("deepest"), 0o644))
	must(t, at.Close())
}

func TestNastyTreeComesBackAsItWas(t *testing.T) {
	w, c := newEngine(t)
	nastyTree(t, c.Docs)
	want := treeOf(t, c.Docs)
	for _, not := range []string{"/fifo", "/socket"} {
		if _, ok := want[not]; !ok {
			t.Fatalf("%s was not made", not)
		}
		delete(want, not)
	}
	began := time.Now()
	summary := mustBackup(t, c)
	t.Logf("backup took %v", time.Since(began))
	if summary.Unreadable != 0 || summary.Skipped != 2 || len(summary.Problems) != 2 {
		t.Errorf("summary: %+v", summary)
	}
	if summary.Files == 0 || summary.Files != summary.NewFiles || summary.ChangedFiles+summary.UnchangedFiles != 0 {
		t.Errorf("a first backup has %d files, %d new, %d changed, %d unchanged", summary.Files, summary.NewFiles,
			summary.ChangedFiles, summary.UnchangedFiles)
	}
	receipt, target := mustRestore(t, c, app.RestoreOptions{Verify: true})
	if receipt.Failed != 0 || receipt.Skipped != 0 || len(receipt.Problems) != 0 || receipt.Verified != summary.Files {
		t.Errorf("receipt of %d files: %s", summary.Files, receipt.Text())
	}
	for _, lost := range receipt.Lost {
		if !strings.HasPrefix(lost.Reason, "creation time") {
			t.Errorf("lost: %+v", lost)
		}
	}
	if len(receipt.Lost) > 1 {
		t.Errorf("%d lines say what no file can have", len(receipt.Lost))
	}
	sameTrees(t, want, treeOf(t, under(target, c.Docs)))
	for name, most := range map[string]int64{"holes": 0, "sparse": 1 << 20, "zeros": 0} {
		var st syscall.Stat_t
		must(t, syscall.Stat(filepath.Join(under(target, c.Docs), name), &st))
		if st.Blocks*512 > most {
			t.Errorf("%s occupies %d bytes after the restore", name, st.Blocks*512)
		}
	}
	mustCheck(t, c)
	_ = w
}
