//go:build linux || darwin

package source

import (
	"errors"

	"golang.org/x/sys/unix"
)

// typeOf splits the file type from the bits of st_mode.
func typeOf(mode uint32) (Type, string) {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return TypeFile, ""
	case unix.S_IFDIR:
		return TypeDir, ""
	case unix.S_IFLNK:
		return TypeSymlink, ""
	case unix.S_IFIFO:
		return TypeOther, "FIFO"
	case unix.S_IFSOCK:
		return TypeOther, "socket"
	case unix.S_IFBLK, unix.S_IFCHR:
		return TypeOther, "device"
	default:
		return TypeOther, "unknown kind of file"
	}
}

// kindOf maps the system's errors to our sentinels, or to nil.
func kindOf(err error) error {
	var e unix.Errno
	if !errors.As(err, &e) {
		return nil
	}
	switch e {
	case unix.ENOENT, unix.ESTALE, unix.ENODEV:
		return ErrVanished
	case unix.ENOTDIR, unix.ELOOP, unix.EISDIR, unix.ENXIO:
		// Another kind of thing than the lstat saw. ELOOP is O_NOFOLLOW meeting
		// a link, ENXIO is open(2) meeting a socket.
		return ErrReplaced
	case unix.EACCES, unix.EPERM:
		return ErrPermission
	case unix.EIO, unix.EBADMSG, unix.EILSEQ, unix.ETIMEDOUT, corrupt:
		return ErrRead
	case unix.EBUSY, unix.ETXTBSY, unix.EAGAIN:
		return ErrBusy
	case unix.EMFILE, unix.ENFILE:
		return ErrTooMany
	}
	return nil
}

// systemReason returns the system's words for an errno.
func systemReason(err error) string {
	if e, ok := errors.AsType[unix.Errno](err); ok {
		return e.Error()
	}
	return ""
}
