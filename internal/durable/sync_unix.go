//go:build !windows

package durable

import (
	"errors"
	"os"
	"syscall"
)

// Sync flushes the file to the disk, where the file system can.
func Sync(f *os.File) error { return tolerate(f.Sync()) }

// SyncDir flushes the names of the folder to the disk, where the file system
// can.
func SyncDir(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return Sync(dir)
}

// tolerate drops the errors that say "I do not flush", not "I could not".
func tolerate(err error) error {
	for _, refusal := range []error{syscall.EINVAL, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		if errors.Is(err, refusal) {
			return nil
		}
	}
	return err
}

func renameReplacing(root *os.Root, temp, name string) error { return root.Rename(temp, name) }

// renameByLink is for file systems without an exclusive rename but with hard
// links: link fails if the name exists. A crash between the two calls leaves a
// second name for the same bytes, which Sweep removes.
func renameByLink(root *os.Root, temp, name string) error {
	err := root.Link(temp, name)
	for _, refusal := range []error{syscall.EPERM, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL, syscall.EMLINK} {
		if errors.Is(err, refusal) {
			return errors.ErrUnsupported
		}
	}
	if err != nil {
		return err
	}
	return root.Remove(temp)
}
