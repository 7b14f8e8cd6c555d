package icloud

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/windows"

	"coffer/cloud"
)

// openFlags: files on Windows are never pipes.
const openFlags = 0

const (
	// cloudTag is IO_REPARSE_TAG_CLOUD; the digit that cloudMask leaves out is
	// the sync engine's.
	cloudTag  = 0x9000001a
	cloudMask = 0xffff0fff

	absentAttributes = windows.FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS | windows.FILE_ATTRIBUTE_RECALL_ON_OPEN | windows.FILE_ATTRIBUTE_OFFLINE

	// Of CF_PLACEHOLDER_STATE, cfapi.h.
	statePlaceholder = 0x1
	stateSyncRoot    = 0x2
	stateInSync      = 0x8
	stateInvalid     = 0xffffffff

	// exposePlaceholders is PHCM_EXPOSE_PLACEHOLDERS of ntifs.h: without it, a
	// program may be shown placeholders as if they were ordinary files.
	exposePlaceholders = 2
)

// attributes are what the folder says of a file, without opening it: opening can
// be enough to download.
type attributes struct {
	windows.Win32finddata
}

// look reads the attributes of path.
func look(path string) (attributes, error) {
	var a attributes
	name, err := windows.UTF16PtrFromString(long(path))
	if err != nil {
		return a, err
	}
	// The mode is the thread's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if mode := windows.NewLazySystemDLL("ntdll.dll").NewProc("RtlSetThreadPlaceholderCompatibilityMode"); mode.Find() == nil {
		before, _, _ := mode.Call(exposePlaceholders)
		defer func() { _, _, _ = mode.Call(before) }()
	}
	h, err := windows.FindFirstFile(name, &a.Win32finddata)
	if err != nil {
		return a, &os.PathError{Op: "FindFirstFile", Path: path, Err: err}
	}
	return a, windows.FindClose(h)
}

// tag is the kind of reparse point; 0: none.
func (a attributes) tag() uint32 {
	if a.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT == 0 {
		return 0
	}
	return a.Reserved0
}

// own reports whether it is what it seems: no link, or one to the cloud.
func (a attributes) own() bool { return a.tag() == 0 || a.tag()&cloudMask == cloudTag }

// state is the CF_PLACEHOLDER_STATE; 0: an ordinary file.
func (a attributes) state() uint32 {
	proc := windows.NewLazySystemDLL("cldapi.dll").NewProc("CfGetPlaceholderStateFromAttributeTag")
	if proc.Find() != nil { // before Windows 10 1709
		return stateInvalid
	}
	state, _, _ := proc.Call(uintptr(a.FileAttributes), uintptr(a.tag()))
	return uint32(state)
}

func (disk) stat(path string) (entry, error) {
	a, err := look(path)
	if err != nil {
		return entry{}, err
	}
	dir := a.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0
	return entry{
		name: filepath.Base(path), path: path, size: int64(a.FileSizeHigh)<<32 | int64(a.FileSizeLow),
		dir: dir && a.own(), regular: !dir && a.own(), absent: !dir && a.FileAttributes&absentAttributes != 0,
		modified: time.Unix(0, a.LastWriteTime.Nanoseconds()),
	}, nil
}

// where follows the state of the Cloud Files API: in sync is at the service. An
// ordinary file in a synced folder has only just come, and has not left yet.
func (disk) where(path, root string) (cloud.Whereabouts, error) {
	a, err := look(path)
	if err != nil {
		return cloud.WhereUnknown, err
	}
	switch state := a.state(); {
	case state == stateInvalid:
		return cloud.WhereUnknown, nil
	case state&stateInSync != 0:
		return cloud.WhereThere, nil
	case state&statePlaceholder != 0:
		return cloud.WhereHere, nil
	}
	over, err := look(root)
	if err != nil {
		return cloud.WhereUnknown, err
	}
	if state := over.state(); state != stateInvalid && state&(stateSyncRoot|statePlaceholder) != 0 {
		return cloud.WhereHere, nil
	}
	return cloud.WhereUnknown, nil // nobody syncs this folder by that interface
}

func (disk) confirms() bool {
	return windows.NewLazySystemDLL("cldapi.dll").NewProc("CfGetPlaceholderStateFromAttributeTag").Find() == nil
}

// rename moves. Virus scanners and the sync client open each new file for a
// moment, and while they do, renaming fails; so a short while is waited.
func (disk) rename(from, to string) error {
	source, err := windows.UTF16PtrFromString(long(from))
	if err != nil {
		return err
	}
	target, err := windows.UTF16PtrFromString(long(to))
	if err != nil {
		return err
	}
	deadline := time.Now().Add(2 * time.Second)
	for pause := time.Millisecond; ; pause *= 2 {
		err = windows.MoveFileEx(source, target, windows.MOVEFILE_WRITE_THROUGH)
		busy := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !busy || time.Now().Add(pause).After(deadline) {
			break
		}
		time.Sleep(pause)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, windows.ERROR_NOT_SAME_DEVICE):
		return errOtherDevice
	case errors.Is(err, windows.ERROR_ALREADY_EXISTS), errors.Is(err, windows.ERROR_FILE_EXISTS):
		err = fs.ErrExist
	}
	return &os.LinkError{Op: "MoveFileEx", Old: from, New: to, Err: err}
}

// long lifts the limit of 260 characters.
func long(path string) string {
	if len(path) < 248 || path[0] == '\\' {
		return path
	}
	return `\\?\` + path
}

// classOf returns the class of a system error, or nil, and whether it passes by
// itself.
func classOf(err error) (class error, passing bool) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return nil, false
	}
	if slices.Contains([]syscall.Errno{
		windows.ERROR_CLOUD_FILE_PROVIDER_NOT_RUNNING, windows.ERROR_CLOUD_FILE_NOT_IN_SYNC,
		windows.ERROR_CLOUD_FILE_NETWORK_UNAVAILABLE, windows.ERROR_CLOUD_FILE_UNSUCCESSFUL,
		windows.ERROR_CLOUD_FILE_IN_USE, windows.ERROR_CLOUD_FILE_REQUEST_ABORTED,
		windows.ERROR_CLOUD_FILE_REQUEST_CANCELED, windows.ERROR_CLOUD_FILE_REQUEST_TIMEOUT,
		windows.ERROR_CLOUD_FILE_PROVIDER_TERMINATED, windows.ERROR_CLOUD_FILE_INSUFFICIENT_RESOURCES,
	}, errno) {
		return cloud.ErrWaiting, true
	}
	passing = slices.Contains([]syscall.Errno{
		windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION, windows.ERROR_BUSY, windows.ERROR_SEM_TIMEOUT,
		windows.ERROR_TOO_MANY_OPEN_FILES, windows.ERROR_NO_SYSTEM_RESOURCES,
	}, errno)
	switch errno {
	case windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED:
		return cloud.ErrFull, false
	case windows.ERROR_WRITE_PROTECT, windows.ERROR_CLOUD_FILE_READ_ONLY_VOLUME:
		return cloud.ErrReadOnly, false
	case windows.ERROR_ACCESS_DENIED, windows.ERROR_PRIVILEGE_NOT_HELD, windows.ERROR_CLOUD_FILE_ACCESS_DENIED, syscall.EACCES, syscall.EPERM:
		return cloud.ErrDenied, false
	case windows.ERROR_CLOUD_FILE_AUTHENTICATION_FAILED:
		return cloud.ErrAuth, false
	case windows.ERROR_NOT_READY, windows.ERROR_DEV_NOT_EXIST, windows.ERROR_DEVICE_NOT_CONNECTED, windows.ERROR_DEVICE_REMOVED:
		return cloud.ErrOffline, passing
	}
	return nil, passing
}
