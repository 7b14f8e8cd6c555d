//go:build !windows

package icloud

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"coffer/cloud"
)

// openFlags: no link is followed, and no pipe waited for.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

func (disk) stat(path string) (entry, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return entry{}, err
	}
	return entry{
		name: info.Name(), path: path, size: info.Size(), dir: info.IsDir(), regular: info.Mode().IsRegular(),
		absent: dataless(info), modified: info.ModTime(),
	}, nil
}

// where: nobody here can say without Objective-C.
func (disk) where(string, string) (cloud.Whereabouts, error) { return cloud.WhereUnknown, nil }

func (disk) confirms() bool { return false }

func (disk) rename(from, to string) error {
	err := renameExclusive(from, to)
	for errors.Is(err, unix.EINTR) {
		err = renameExclusive(from, to)
	}
	switch err {
	case nil:
		return nil
	case unix.EXDEV:
		return errOtherDevice
	case unix.EINVAL, unix.ENOSYS, unix.ENOTSUP:
		return errors.ErrUnsupported
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}

// classOf returns the class of a system error, or nil, and whether it passes by
// itself. EDEADLK is what macOS says to those who may not download by reading.
func classOf(err error) (class error, passing bool) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return nil, false
	}
	passing = slices.Contains([]syscall.Errno{
		syscall.EAGAIN, syscall.EINTR, syscall.EBUSY, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
		syscall.ESTALE, syscall.ETIMEDOUT, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EDEADLK,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENOTCONN,
	}, errno)
	switch errno {
	case syscall.ENOSPC, syscall.EDQUOT:
		return cloud.ErrFull, false
	case syscall.EROFS:
		return cloud.ErrReadOnly, false
	case syscall.EACCES, syscall.EPERM:
		return cloud.ErrDenied, false
	case syscall.EDEADLK, syscall.ETIMEDOUT, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENOTCONN:
		return cloud.ErrWaiting, true
	case syscall.ENODEV, syscall.ENXIO, syscall.ESTALE, syscall.ECONNRESET, syscall.ECONNABORTED:
		return cloud.ErrOffline, passing
	}
	return nil, passing
}
