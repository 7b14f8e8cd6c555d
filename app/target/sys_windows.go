package target

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
	"unsafe"

	"coffer/app/source"

	"golang.org/x/sys/windows"
)

// A folder is an os.Root, used with names of one element alone, and the path for
// questions. Writing goes through the Root, which no link leads out of.
type folder struct {
	root *os.Root
	info *source.Dir
}

func openFolder(path string) (*folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return newFolder(root, path)
}

func newFolder(root *os.Root, path string) (*folder, error) {
	info, err := source.OpenDir(path)
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &folder{root, info}, nil
}

// sub opens a folder in the folder. OpenRoot follows links that stay inside, so
// the name is looked at before and after.
func (f *folder) sub(name string) (*folder, error) {
	if err := f.mustBeFolder(name); err != nil {
		return nil, err
	}
	root, err := f.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if err := f.mustBeFolder(name); err != nil {
		_ = root.Close()
		return nil, err
	}
	info, err := f.info.OpenDir(name)
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &folder{root, info}, nil
}

func (f *folder) mustBeFolder(name string) error {
	info, err := f.info.Lstat(name)
	if err != nil {
		return err
	}
	if info.Type != source.TypeDir {
		return &source.Error{Op: "open folder", Name: name, Kind: source.ErrReplaced, Err: windows.ERROR_DIRECTORY}
	}
	return nil
}

func (f *folder) close() error                           { return errors.Join(f.root.Close(), f.info.Close()) }
func (f *folder) names() ([]string, error)               { return f.info.Names() }
func (f *folder) lstat(name string) (source.Info, error) { return f.info.Lstat(name) }
func (f *folder) readlink(name string) (string, error)   { return f.root.Readlink(name) }
func (f *folder) mkdir(name string) error                { return f.root.Mkdir(name, 0o700) }
func (f *folder) replace(old, name string) error         { return f.root.Rename(old, name) }
func (f *folder) remove(name string) error               { return f.root.Remove(name) }
func (f *folder) symlink(target, name string) error      { return f.root.Symlink(target, name) }

func (f *folder) openFile(name string) (Existing, error) {
	h, err := f.info.OpenFile(name)
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (f *folder) createTemp(name string, _ uint32) (*handle, error) {
	h, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &handle{f: h}, nil
}

// publish gives the temporary its name without overwriting: a second name fails
// if it is taken. Where the disk has no hard links (FAT, exFAT), and for links,
// an empty file reserves the name first.
func (f *folder) publish(old, name string) error {
	err := f.root.Link(old, name)
	if err == nil {
		return f.root.Remove(old)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	h, err := f.createTemp(name, 0)
	if err != nil {
		return err
	}
	_ = h.close()
	return f.root.Rename(old, name)
}

// link gives a file a second name in the same folder. os.Root links inside one
// Root alone, so for another folder the caller writes the file twice.
func (f *folder) link(from *folder, fromName, name string) error {
	if f.root == from.root {
		return f.root.Link(fromName, name)
	}
	return windows.ERROR_NOT_SUPPORTED
}

// sync: Windows flushes a whole volume for administrators alone, so each file
// was flushed when it was written.
func (f *folder) sync() error { return nil }

func (f *folder) inUse(name string, info source.Info) bool {
	if info.Type != source.TypeFile {
		return false
	}
	h, err := f.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer h.Close()
	return lockFile(h) == windows.ERROR_LOCK_VIOLATION
}

// lockAt is where the lock lies: far beyond any contents, for locks on Windows
// forbid writing.
const lockAt = 1 << 62

func lockFile(f *os.File) error {
	at := windows.Overlapped{OffsetHigh: lockAt >> 32}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
}

// A handle is an open temporary.
type handle struct {
	f      *os.File
	sparse bool // it was told to keep holes
}

func (h *handle) lock() { _ = lockFile(h.f) }

func (h *handle) writeAt(data []byte, off int64) error {
	_, err := h.f.WriteAt(data, off)
	return err
}

func (h *handle) writeSmall(data []byte) error { return h.writeAt(data, 0) }

func (h *handle) readAt(buf []byte, off int64) (int, error) {
	n, err := h.f.ReadAt(buf, off)
	if err != nil && err != io.EOF {
		return n, err
	}
	return n, err
}

func (h *handle) truncate(size int64) error { return h.f.Truncate(size) }
func (h *handle) sync() error               { return h.f.Sync() }
func (h *handle) close() error              { return h.f.Close() }

// skipped marks the file as sparse, without which NTFS fills what is left out
// with zeros. A disk that has no sparse files does just that.
func (h *handle) skipped() error {
	const setSparse = 0x000900C4 // FSCTL_SET_SPARSE
	var n uint32
	_ = windows.DeviceIoControl(windows.Handle(h.f.Fd()), setSparse, nil, 0, nil, 0, &n, nil)
	return nil
}

// punch: zeros are written instead.
func (h *handle) punch(int64, int64) error { return errors.ErrUnsupported }

// basicInfo is FILE_BASIC_INFO: four times in units of 100 ns since 1601, where
// 0 leaves one as it is.
type basicInfo struct {
	birth, access, write, change int64
	attributes, _                uint32
}

func (h *handle) setMeta(_ *folder, _ string, m *Meta, _ *ids) []string {
	return setHandle(windows.Handle(h.f.Fd()), m, source.TypeFile)
}

// setLate flushes the file: see folder.sync.
func (h *handle) setLate(_ *folder, _ string, _ *Meta, lost []string) []string {
	_ = h.f.Sync()
	return lost
}

func (f *folder) setOwnMeta(m *Meta, _ *ids) []string {
	return f.setByName(".", m, source.TypeDir)
}

func (f *folder) setMeta(name string, typ source.Type, m *Meta, _ *ids) []string {
	return f.setByName(name, m, typ)
}

// setByName: a folder or link cannot be opened for writing through os.Root, so
// its time goes through the Root and its other attributes are lost.
func (f *folder) setByName(name string, m *Meta, typ source.Type) []string {
	if typ == source.TypeFile {
		h, err := f.root.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return []string{lostBecause(LostTime, err)}
		}
		defer h.Close()
		return setHandle(windows.Handle(h.Fd()), m, typ)
	}
	lost := foreign(m)
	if typ == source.TypeSymlink {
		return append(lost, LostTime+": not set on links")
	}
	if err := f.root.Chtimes(name, time.Time{}, m.ModTime.Time()); err != nil {
		lost = append(lost, lostBecause(LostTime, err))
	}
	return lost
}

// keptWinAttrs are the attributes that can be set: read-only, hidden, system, archive,
// not indexed.
const keptWinAttrs = 0x1 | 0x2 | 0x4 | 0x20 | 0x2000

func setHandle(h windows.Handle, m *Meta, _ source.Type) (lost []string) {
	lost = foreign(m)
	info := basicInfo{attributes: m.WinAttrs & keptWinAttrs}
	if m.UID != source.NoID && m.Mode&0o200 == 0 {
		info.attributes |= windows.FILE_ATTRIBUTE_READONLY
	}
	if info.attributes == 0 {
		info.attributes = windows.FILE_ATTRIBUTE_NORMAL
	}
	var ok bool
	if info.write, ok = toFileTime(m.ModTime); !ok {
		lost = append(lost, LostTime+": this system cannot hold the date")
	}
	if !m.BirthTime.IsZero() {
		if info.birth, ok = toFileTime(m.BirthTime); !ok {
			lost = append(lost, LostBirthTime+": this system cannot hold the date")
		}
	}
	err := windows.SetFileInformationByHandle(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		lost = append(lost, lostBecause(LostTime, err))
	}
	return lost
}

// foreign names what other systems have and Windows does not take.
func foreign(m *Meta) (lost []string) {
	if m.Mode&0o7000 != 0 {
		lost = append(lost, LostSetID+": this system has none")
	}
	for _, x := range m.Xattrs {
		lost = append(lost, xattrWord(x.Name)+": this system has none")
	}
	if m.Flags&keptFlags != 0 {
		lost = append(lost, LostFlags+": only macOS has them")
	}
	return lost
}

// toFileTime converts to units of 100 ns since 1601; ok is false where that
// loses more than the last two digits, and 0 leaves the time alone.
func toFileTime(t source.Time) (units int64, ok bool) {
	const toUnix = 11_644_473_600
	sec := t.Sec + toUnix
	if sec <= 0 || sec > 1<<39 {
		return 0, false
	}
	return sec*1e7 + int64(t.Nsec)/100, true
}

// kindOf maps the system's errors to our sentinels, or to nil.
func kindOf(err error) error {
	e, ok := errors.AsType[windows.Errno](err)
	if !ok {
		return nil
	}
	switch e {
	case windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED:
		return ErrFull
	case windows.ERROR_WRITE_PROTECT:
		return ErrReadOnly
	case windows.ERROR_ACCESS_DENIED, windows.ERROR_PRIVILEGE_NOT_HELD:
		return ErrPermission
	case windows.ERROR_DIRECTORY:
		return ErrNotFolder
	case windows.ERROR_INVALID_NAME, windows.ERROR_FILENAME_EXCED_RANGE:
		return ErrName
	case windows.ERROR_FILE_TOO_LARGE:
		return ErrTooLarge
	case windows.ERROR_NOT_SUPPORTED, windows.ERROR_TOO_MANY_LINKS, windows.ERROR_NOT_SAME_DEVICE, windows.ERROR_INVALID_FUNCTION:
		return ErrNoLinks
	case windows.ERROR_FILE_NOT_FOUND, windows.ERROR_PATH_NOT_FOUND:
		return source.ErrVanished
	case windows.ERROR_CRC, windows.ERROR_IO_DEVICE, windows.ERROR_WRITE_FAULT:
		return source.ErrRead
	case windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION:
		return source.ErrBusy
	}
	return nil
}

func freeSpace(path string) (int64, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(free), nil
}
