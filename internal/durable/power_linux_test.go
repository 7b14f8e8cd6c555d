package durable

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullDisk: neither the old file nor the folder may change.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting tmpfs is refused here (it needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "x")
	if err := WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("x"), 100<<10)
	if err := WriteFile(path, big, 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("write to a full disk: %v", err)
	}
	if err := Create(filepath.Join(dir, "y"), big, 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("create on a full disk: %v", err)
	}
	if got := mustRead(t, path); string(got) != "old" {
		t.Fatalf("the old file has %d bytes", len(got))
	}
	onlyFile(t, dir, "x")
}

// TestOrderOfSystemCalls looks at what the package doc promises: the file is
// flushed before it gets its name, the folder after.
func TestOrderOfSystemCalls(t *testing.T) {
	const child = "COFFER_TEST_WRITE"
	if path := os.Getenv(child); path != "" {
		if err := errors.Join(WriteFile(path, []byte("x"), 0o600), Create(path+"2", []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("strace is not installed: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-o", log, "-e", "trace=fsync,fdatasync,renameat,renameat2",
		self, "-test.run=^TestOrderOfSystemCalls$")
	cmd.Env = append(os.Environ(), child+"="+filepath.Join(t.TempDir(), "x"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("strace does not run here: %v %s", err, out)
	}
	// <unfinished> lines name the call too, resumed ones do not match.
	calls := regexp.MustCompile(`(?m)^\d+ +(fsync|renameat2?)\(`).FindAllSubmatch(mustRead(t, log), -1)
	var order []string
	for _, call := range calls {
		order = append(order, string(call[1]))
	}
	want := "fsync renameat fsync fsync renameat2 fsync"
	// A child that measures coverage renames its own files afterwards.
	if got := strings.Join(order, " "); !strings.HasPrefix(got, want) {
		t.Fatalf("system calls: %s; want %s", got, want)
	}
}
