//go:build !windows && !linux && !darwin

package icloud

import (
	"io/fs"
	"syscall"
)

// dataless: nothing here leaves files without their bytes.
func dataless(fs.FileInfo) bool { return false }

// renameExclusive is not known to be possible.
func renameExclusive(string, string) error { return syscall.ENOSYS }
