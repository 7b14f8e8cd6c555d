//go:build !windows

package folder

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"

	"coffer/cloud"
)

// openNonblock keeps open from waiting for the writer of a pipe.
const openNonblock = syscall.O_NONBLOCK

// classOf returns the class of a system error, or nil, and whether it passes
// by itself. EIO has none: a broken disk is to be shown as what it is.
func classOf(err error) (class error, passing bool) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return nil, false
	}
	passing = slices.Contains([]syscall.Errno{
		syscall.EAGAIN, syscall.EINTR, syscall.EBUSY, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
		syscall.ESTALE, syscall.ETIMEDOUT, syscall.ECONNRESET, syscall.ECONNABORTED,
	}, errno)
	switch errno {
	case syscall.ENOSPC, syscall.EDQUOT:
		return cloud.ErrFull, false
	case syscall.EROFS:
		return cloud.ErrReadOnly, false
	case syscall.EACCES, syscall.EPERM:
		return cloud.ErrDenied, false
	case syscall.ENODEV, syscall.ENXIO, syscall.ENOTCONN, syscall.EHOSTDOWN, syscall.EHOSTUNREACH,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.ESTALE, syscall.ETIMEDOUT,
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ECONNREFUSED:
		return cloud.ErrOffline, passing
	}
	return nil, passing
}

// isNotFolder reports that something else than a folder is on the path.
func isNotFolder(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// sameDevice reports whether two files are on one file system.
func sameDevice(a, b fs.FileInfo) bool {
	x, okX := a.Sys().(*syscall.Stat_t)
	y, okY := b.Sys().(*syscall.Stat_t)
	return okX && okY && x.Dev == y.Dev
}
