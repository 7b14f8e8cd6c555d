//go:build !windows

package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// The way for file systems without an exclusive rename must keep its promises.
func TestRenameByLink(t *testing.T) {
	root, temp := stageIn(t, "new")
	if err := renameByLink(root, temp, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Lstat(temp); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary name is left: %v", err)
	}
	second, err := stage(root, []byte("second"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := renameByLink(root, second, "x"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("link over a file: %v", err)
	}
	if got, err := root.ReadFile("x"); err != nil || string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTolerate(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EINVAL, syscall.ENOTSUP, syscall.ENOSYS} {
		if err := tolerate(&os.PathError{Op: "fsync", Err: errno}); err != nil {
			t.Errorf("%v is not tolerated", errno)
		}
	}
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		if err := tolerate(&os.PathError{Op: "fsync", Err: errno}); !errors.Is(err, errno) {
			t.Errorf("%v is dropped: data would be lost in silence", errno)
		}
	}
}
