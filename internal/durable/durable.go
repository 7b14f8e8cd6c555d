// Package durable writes files that survive a power cut: the old file or the
// new one, never half of either and never neither.
//
// The words: a temporary file is written beside its target under a name of
// this package's own (".coffer-tmp-" and 16 hex digits); to publish is to give
// it its real name, which is the commit point; a left-over is a temporary file
// of a process that died before that, and [Sweep] removes it.
//
// The system calls of [WriteFile], in order, and why each:
//
//	openat(dir, O_DIRECTORY)              all that follows happens in this one
//	                                      folder, even if the path changes its
//	                                      meaning meanwhile
//	openat(O_CREAT|O_EXCL|O_NOFOLLOW)     a new file; nobody's link is followed
//	write                                 a full disk shows here, or
//	fsync(file)                           here (delayed allocation); and without
//	                                      it the rename can reach the disk before
//	                                      the bytes: an empty file after a power
//	                                      cut (ext4, XFS, btrfs)
//	close                                 network file systems report the failed
//	                                      write only now
//	renameat, or renameat2(NOREPLACE)     COMMIT: atomic in the namespace
//	fsync(dir)                            without it the rename itself may be
//	                                      lost, after we said "done"
//
// A failed fsync is never repeated on the same file: the kernel has dropped the
// dirty pages and would report success (Rebello and others, "Can Applications
// Recover from fsync Failures?", USENIX ATC 2020). The temporary file is removed
// and the error returned; a caller who tries again writes all the bytes again.
//
// On macOS fsync is F_FULLFSYNC (package os does that): plain fsync leaves the
// data in the drive's cache. On Windows the rename is MoveFileEx with
// MOVEFILE_WRITE_THROUGH, which returns when the move is on the disk, and
// folders are not flushed. File systems that refuse to flush (EINVAL, ENOTSUP,
// ENOSYS: some network and FUSE mounts) are taken as they are: there is nothing
// better to do there, and refusing would make them unusable.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// WriteFile makes path hold data: a new file, or in the place of an old one
// (a symbolic link at path is replaced, not followed). perm is that of the new
// file, before the umask. After an error the old file is untouched, except if
// flushing the folder failed: then path holds data now and, after a power cut,
// the old bytes or the new.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, Replace)
}

// Create is WriteFile for a path that must not exist: if it does, that file
// stays and the error is fs.ErrExist. Of several callers one succeeds, except
// on file systems that can neither rename without replacing nor link: there the
// last of several at the same moment may win, still with a whole file.
func Create(path string, data []byte, perm fs.FileMode) error {
	return write(path, data, perm, publishOrReplace)
}

func write(path string, data []byte, perm fs.FileMode, publish func(root *os.Root, temp, name string) error) error {
	dir, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return &fs.PathError{Op: "write", Path: path, Err: fs.ErrInvalid}
	}
	if dir == "" {
		dir = "."
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer root.Close()
	temp, err := stage(root, data, perm)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := publish(root, temp, name); err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, removeTemp(root, temp)))
	}
	return nil
}

// stage writes and flushes data under a temporary name, or leaves nothing.
func stage(root *os.Root, data []byte, perm fs.FileMode) (temp string, err error) {
	f, temp, err := Temp(root, perm)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = Sync(f)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return "", errors.Join(err, removeTemp(root, temp))
	}
	return temp, nil
}

// publishOrReplace publishes, on the file systems that cannot after a look.
func publishOrReplace(root *os.Root, temp, name string) error {
	err := Publish(root, temp, name)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return err
	}
	return Replace(root, temp, name)
}

// removeTemp removes a temporary file; that it is gone is no error, for the
// publishing may have happened although it was reported as failed.
func removeTemp(root *os.Root, temp string) error {
	err := root.Remove(temp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

const (
	tempPrefix = ".coffer-tmp-"
	tempDigits = 16
)

// Temp creates a new temporary file in root, open for writing. The caller
// writes, calls [Sync], closes, and then calls [Publish] or [Replace], or
// removes it. The name needs no secrecy: the file is made with O_EXCL.
func Temp(root *os.Root, perm fs.FileMode) (f *os.File, name string, err error) {
	for range 100 {
		name = fmt.Sprintf("%s%0*x", tempPrefix, tempDigits, rand.Uint64())
		f, err = root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return f, name, err
}

// IsTemp reports whether name is one that [Temp] gives.
func IsTemp(name string) bool {
	digits, ok := strings.CutPrefix(name, tempPrefix)
	return ok && len(digits) == tempDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// Publish gives the temporary file its name, unless the name exists: then the
// temporary file stays and the error is fs.ErrExist. On return the name is on
// the disk. errors.ErrUnsupported: the file system has no way to rename without
// replacing, nothing has happened, and the caller may decide to [Replace].
func Publish(root *os.Root, temp, name string) error {
	if err := renameExclusive(root, temp, name); err != nil {
		return err
	}
	return SyncDir(root)
}

// Replace gives the temporary file its name, in the place of what has it now.
// On return the name is on the disk.
func Replace(root *os.Root, temp, name string) error {
	if err := renameReplacing(root, temp, name); err != nil {
		return err
	}
	return SyncDir(root)
}

// Sweep removes the left-overs in root that were last written before the given
// moment. Younger ones may belong to a process that is writing now.
func Sweep(root *os.Root, before time.Time) error {
	dir, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("sweep %s: %w", root.Name(), err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("sweep %s: %w", root.Name(), err)
	}
	for _, name := range names {
		if !IsTemp(name) {
			continue
		}
		info, err := root.Lstat(name)
		if err != nil || !info.Mode().IsRegular() || !info.ModTime().Before(before) {
			continue // gone, foreign, or in use
		}
		if err := removeTemp(root, name); err != nil {
			return fmt.Errorf("sweep %s: %w", root.Name(), err)
		}
	}
	return nil
}
