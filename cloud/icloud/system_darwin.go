package icloud

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// dataless reports whether the bytes of a file are at the service alone.
func dataless(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Flags&unix.SF_DATALESS != 0
}

// renameExclusive is renameatx_np(2), which APFS knows.
func renameExclusive(from, to string) error {
	return unix.RenameatxNp(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCL)
}
