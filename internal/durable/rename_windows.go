package durable

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"
)

// Sync flushes the file to the disk, where the file system can.
func Sync(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_NOT_SUPPORTED) {
		return nil // some redirectors and user-mode file systems do not flush
	}
	return err
}

// SyncDir does nothing: the renames of this package write through.
func SyncDir(*os.Root) error { return nil }

func renameExclusive(root *os.Root, temp, name string) error {
	return move(root, temp, name, windows.MOVEFILE_WRITE_THROUGH)
}

func renameReplacing(root *os.Root, temp, name string) error {
	return move(root, temp, name, windows.MOVEFILE_WRITE_THROUGH|windows.MOVEFILE_REPLACE_EXISTING)
}

// move renames within root. A virus scanner or an indexer opens each new file
// for a moment, and while it does, renaming fails; so a short while is waited.
func move(root *os.Root, temp, name string, flags uint32) error {
	from, err := windows.UTF16PtrFromString(longPath(filepath.Join(root.Name(), temp)))
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(longPath(filepath.Join(root.Name(), name)))
	if err != nil {
		return err
	}
	deadline := time.Now().Add(2 * time.Second)
	for pause := time.Millisecond; ; pause *= 2 {
		err = windows.MoveFileEx(from, to, flags)
		busy := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !busy || time.Now().Add(pause).After(deadline) {
			break
		}
		time.Sleep(pause)
	}
	if err != nil {
		return &os.LinkError{Op: "MoveFileEx", Old: temp, New: name, Err: err}
	}
	return nil
}

// longPath makes path absolute and gives it the prefix that lifts the limit of
// 260 characters, which package os does for its own calls only.
func longPath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return extendedPath(abs)
}
