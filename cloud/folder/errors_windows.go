package folder

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"

	"golang.org/x/sys/windows"

	"coffer/cloud"
)

// openNonblock: files on Windows are never pipes.
const openNonblock = 0

// classOf returns the class of a system error, or nil, and whether it passes
// by itself. A sharing violation is a virus scanner or an indexer at work.
func classOf(err error) (class error, passing bool) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return nil, false
	}
	passing = slices.Contains([]syscall.Errno{
		windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION, windows.ERROR_BUSY,
		windows.ERROR_NETWORK_BUSY, windows.ERROR_SEM_TIMEOUT, windows.ERROR_NETNAME_DELETED,
		windows.ERROR_TOO_MANY_OPEN_FILES, windows.ERROR_NO_SYSTEM_RESOURCES,
	}, errno)
	switch errno {
	case windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED:
		return cloud.ErrFull, false
	case windows.ERROR_WRITE_PROTECT:
		return cloud.ErrReadOnly, false
	case windows.ERROR_ACCESS_DENIED, windows.ERROR_PRIVILEGE_NOT_HELD, syscall.EACCES, syscall.EPERM:
		return cloud.ErrDenied, false
	case windows.ERROR_NOT_READY, windows.ERROR_DEV_NOT_EXIST, windows.ERROR_NO_SUCH_DEVICE,
		windows.ERROR_DEVICE_NOT_CONNECTED, windows.ERROR_BAD_NETPATH, windows.ERROR_BAD_NET_NAME,
		windows.ERROR_NETWORK_UNREACHABLE, windows.ERROR_HOST_UNREACHABLE, windows.ERROR_UNEXP_NET_ERR,
		windows.ERROR_NETNAME_DELETED, windows.ERROR_SEM_TIMEOUT, windows.ERROR_DEVICE_REMOVED:
		return cloud.ErrOffline, passing
	}
	return nil, passing
}

// isNotFolder reports that something else than a folder is on the path.
func isNotFolder(err error) bool {
	return errors.Is(err, syscall.ENOTDIR) || errors.Is(err, windows.ERROR_DIRECTORY)
}

// sameDevice: a FileInfo does not tell its volume here. File numbers of NTFS are
// stable, so os.SameFile and the witness are enough.
func sameDevice(_, _ fs.FileInfo) bool { return false }
