package source

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A Dir is an open folder. On Windows it is its full path: names below it are
// opened without following a link or junction at their end.
type Dir struct {
	path string // with the prefix \\?\, so that any length works
	info Info
	up   *Dir
}

// longPath makes path absolute and exempt from MAX_PATH and from the meaning of
// trailing dots and device names.
func longPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil || strings.HasPrefix(abs, `\\?\`) || strings.HasPrefix(abs, `\\.\`) {
		return abs, err
	}
	if unc, ok := strings.CutPrefix(abs, `\\`); ok {
		return `\\?\UNC\` + unc, nil
	}
	return `\\?\` + abs, nil
}

// OpenDir opens the folder at path, through links, for it is the user's own
// choice. Paths of any length work.
func OpenDir(path string) (*Dir, error) {
	long, err := longPath(path)
	if err != nil {
		return nil, wrap("open folder", path, err)
	}
	return newDir(long, path, nil, windows.FILE_FLAG_BACKUP_SEMANTICS)
}

func newDir(long, name string, up *Dir, flags uint32) (*Dir, error) {
	info, err := statPath(long, flags)
	if err != nil {
		return nil, wrap("open folder", name, err)
	}
	if info.Type != TypeDir {
		return nil, &Error{Op: "open folder", Name: name, Kind: ErrReplaced, Err: windows.ERROR_DIRECTORY}
	}
	for a := up; a != nil; a = a.up {
		if SameFile(a.info, info) {
			return nil, &Error{Op: "open folder", Name: name, Kind: ErrLoop, Err: windows.ERROR_DIRECTORY}
		}
	}
	return &Dir{path: long, info: info, up: up}, nil
}

// Info returns what was known of the folder when it was opened. Its Name is
// empty.
func (d *Dir) Info() Info { return d.info }

// Close releases the folder. Dirs and Files opened from it stay open.
func (d *Dir) Close() error { return nil }

// checkName lets single path elements through and nothing else. A colon would
// open an alternate stream.
func checkName(op, name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\:\x00") {
		return &Error{Op: op, Name: name, Kind: ErrName, Err: windows.ERROR_INVALID_NAME}
	}
	return nil
}

func (d *Dir) join(name string) string {
	if strings.HasSuffix(d.path, `\`) {
		return d.path + name
	}
	return d.path + `\` + name
}

func (d *Dir) names() ([]string, error) {
	f, err := os.Open(d.path)
	if err != nil {
		return nil, wrap("read folder", d.info.Name, err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, wrap("read folder", d.info.Name, err)
	}
	return names, nil
}

const noFollow = windows.FILE_FLAG_OPEN_REPARSE_POINT | windows.FILE_FLAG_BACKUP_SEMANTICS

// Lstat says what has this name in the folder.
func (d *Dir) Lstat(name string) (Info, error) {
	if err := checkName("stat", name); err != nil {
		return Info{}, err
	}
	info, err := statPath(d.join(name), noFollow)
	if err != nil {
		return Info{}, wrap("stat", name, err)
	}
	info.Name = name
	return info, nil
}

// OpenDir opens a folder in the folder. It returns ErrReplaced if name is not a
// folder, and ErrLoop if it is one of those that it is in.
func (d *Dir) OpenDir(name string) (*Dir, error) {
	if err := checkName("open folder", name); err != nil {
		return nil, err
	}
	return newDir(d.join(name), name, d, noFollow)
}

// ReadLink returns the target of a link or junction.
func (d *Dir) ReadLink(name string) (string, error) {
	if err := checkName("read link", name); err != nil {
		return "", err
	}
	target, err := os.Readlink(d.join(name))
	if err != nil {
		return "", wrap("read link", name, err)
	}
	return target, nil
}

// PseudoFS reports whether the folder is the system's view of itself. Windows
// has none with a path.
func (d *Dir) PseudoFS() bool { return false }

// PseudoFS reports the same for a path.
func PseudoFS(string) bool { return false }

// openPath opens for reading and shares everything, deletion too: a backup must
// not stand in the way of other programs.
func openPath(path string, access, flags uint32) (windows.Handle, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return windows.InvalidHandle, err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	return windows.CreateFile(p, access, share, nil, windows.OPEN_EXISTING, flags, 0)
}

func statPath(path string, flags uint32) (Info, error) {
	h, err := openPath(path, windows.FILE_READ_ATTRIBUTES, flags)
	if err != nil {
		return Info{}, err
	}
	defer windows.CloseHandle(h)
	return statHandle(h)
}

// basicInfo is FILE_BASIC_INFO: four times in units of 100 ns since 1601.
type basicInfo struct {
	birth, access, write, change int64
	attributes, _                uint32
}

// standardInfo is FILE_STANDARD_INFO.
type standardInfo struct {
	allocation, size int64
	links            uint32
	deleting, folder bool
	_                [2]byte
}

// tagInfo is FILE_ATTRIBUTE_TAG_INFO.
type tagInfo struct{ attributes, tag uint32 }

func statHandle(h windows.Handle) (Info, error) {
	var id windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &id); err != nil {
		return Info{}, err
	}
	var basic basicInfo
	if err := windows.GetFileInformationByHandleEx(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&basic)), uint32(unsafe.Sizeof(basic))); err != nil {
		return Info{}, err
	}
	var std standardInfo
	if err := windows.GetFileInformationByHandleEx(h, windows.FileStandardInfo, (*byte)(unsafe.Pointer(&std)), uint32(unsafe.Sizeof(std))); err != nil {
		return Info{}, err
	}
	i := Info{
		Size:       int64(id.FileSizeHigh)<<32 | int64(id.FileSizeLow),
		ModTime:    fromFileTime(basic.write),
		ChangeTime: fromFileTime(basic.change),
		BirthTime:  fromFileTime(basic.birth),
		Inode:      uint64(id.FileIndexHigh)<<32 | uint64(id.FileIndexLow),
		Device:     uint64(id.VolumeSerialNumber),
		Links:      id.NumberOfLinks,
		UID:        NoID,
		GID:        NoID,
		Blocks:     (std.allocation + 511) / 512,
		WinAttrs:   id.FileAttributes,
	}
	setWindowsType(h, &i)
	return i, nil
}

// setWindowsType tells links from files that are merely kept elsewhere: both
// are reparse points.
func setWindowsType(h windows.Handle, i *Info) {
	var tag tagInfo
	if i.WinAttrs&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		// Without a tag it stays a plain file or folder.
		_ = windows.GetFileInformationByHandleEx(h, windows.FileAttributeTagInfo, (*byte)(unsafe.Pointer(&tag)), uint32(unsafe.Sizeof(tag)))
	}
	const appExecLink, afUnix = 0x8000001B, 0x80000023
	switch {
	case tag.tag == windows.IO_REPARSE_TAG_SYMLINK || tag.tag == windows.IO_REPARSE_TAG_MOUNT_POINT:
		i.Type, i.Mode, i.Size = TypeSymlink, 0o777, 0
	case tag.tag == appExecLink:
		i.Type, i.Other = TypeOther, "application alias"
	case tag.tag == afUnix:
		i.Type, i.Other = TypeOther, "socket"
	case i.WinAttrs&windows.FILE_ATTRIBUTE_DIRECTORY != 0:
		i.Type, i.Mode, i.Size = TypeDir, 0o755, 0
	case i.WinAttrs&windows.FILE_ATTRIBUTE_READONLY != 0:
		i.Mode = 0o444
	default:
		i.Mode = 0o644
	}
}

// fromFileTime converts units of 100 ns since 1601.
func fromFileTime(t int64) Time {
	const toUnix = 11_644_473_600
	if t == 0 {
		return Time{}
	}
	return Time{Sec: t/1e7 - toUnix, Nsec: uint32(t%1e7) * 100}
}

// kindOf maps the system's errors to our sentinels, or to nil.
func kindOf(err error) error {
	var e windows.Errno
	if !errors.As(err, &e) {
		return nil
	}
	switch e {
	case windows.ERROR_FILE_NOT_FOUND, windows.ERROR_PATH_NOT_FOUND, windows.ERROR_DELETE_PENDING:
		return ErrVanished
	case windows.ERROR_DIRECTORY, windows.ERROR_NOT_A_REPARSE_POINT:
		return ErrReplaced
	case windows.ERROR_ACCESS_DENIED, windows.ERROR_PRIVILEGE_NOT_HELD:
		return ErrPermission
	case windows.ERROR_CRC, windows.ERROR_SECTOR_NOT_FOUND, windows.ERROR_READ_FAULT, windows.ERROR_IO_DEVICE,
		windows.ERROR_FILE_CORRUPT, windows.ERROR_DISK_CORRUPT, windows.ERROR_GEN_FAILURE, windows.ERROR_SEM_TIMEOUT:
		return ErrRead
	case windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION:
		return ErrBusy
	case windows.ERROR_TOO_MANY_OPEN_FILES:
		return ErrTooMany
	}
	return nil
}

// systemReason returns the system's words for an error code.
func systemReason(err error) string {
	if e, ok := errors.AsType[windows.Errno](err); ok {
		return e.Error()
	}
	return ""
}

// Extra is empty on Windows: owners and ACLs there are not carried to other
// computers.
func (d *Dir) Extra(info Info) (Extra, error) {
	return Extra{}, checkName("read attributes of", info.Name)
}

// OwnExtra is empty on Windows.
func (d *Dir) OwnExtra() (Extra, error) { return Extra{}, nil }

// A File is an open regular file. It implements io.Reader and io.ReaderAt.
type File struct {
	h    windows.Handle
	info Info
	off  int64 // of Read
}

// OpenFile opens a regular file in the folder for reading. ErrReplaced means
// that the name is something else by now.
func (d *Dir) OpenFile(name string) (*File, error) {
	if err := checkName("open", name); err != nil {
		return nil, err
	}
	before, err := statPath(d.join(name), noFollow)
	if err != nil {
		return nil, wrap("open", name, err)
	}
	flags := uint32(windows.FILE_FLAG_SEQUENTIAL_SCAN)
	if !before.Placeholder() {
		// A placeholder must be opened through its reparse point to be fetched.
		flags |= windows.FILE_FLAG_OPEN_REPARSE_POINT
	}
	h, err := openPath(d.join(name), windows.GENERIC_READ, flags)
	if err != nil {
		return nil, wrap("open", name, err)
	}
	info, err := statHandle(h)
	if err == nil && info.Type != TypeFile {
		err = &Error{Op: "open", Name: name, Kind: ErrReplaced, Err: windows.ERROR_DIRECTORY}
	}
	if err != nil {
		_ = windows.CloseHandle(h)
		return nil, wrap("open", name, err)
	}
	info.Name = name
	return &File{h: h, info: info}, nil
}

// Info returns what was known when the file was opened.
func (f *File) Info() Info { return f.info }

// Stat asks again.
func (f *File) Stat() (Info, error) {
	info, err := statHandle(f.h)
	if err != nil {
		return Info{}, wrap("stat", f.info.Name, err)
	}
	info.Name = f.info.Name
	return info, nil
}

// Extra is empty on Windows.
func (f *File) Extra() (Extra, error) { return Extra{}, nil }

// ReadAt implements io.ReaderAt. An ErrRead is an [*Error] with the range that
// was not read.
func (f *File) ReadAt(buf []byte, off int64) (int, error) {
	n := 0
	for n < len(buf) {
		at := off + int64(n)
		pos := windows.Overlapped{Offset: uint32(at), OffsetHigh: uint32(at >> 32)}
		var m uint32
		err := windows.ReadFile(f.h, buf[n:min(len(buf), n+1<<30)], &m, &pos)
		n += int(m)
		if err == windows.ERROR_HANDLE_EOF || err == nil && m == 0 {
			return n, io.EOF
		}
		if err != nil {
			return n, readError(f.info.Name, at, int64(len(buf)-n), err)
		}
	}
	return n, nil
}

// Read implements io.Reader.
func (f *File) Read(buf []byte) (int, error) {
	if len(buf) == 0 {
		return 0, nil
	}
	n, err := f.ReadAt(buf, f.off)
	f.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Close releases the file.
func (f *File) Close() error {
	if f.h == windows.InvalidHandle {
		return nil
	}
	h := f.h
	f.h = windows.InvalidHandle
	return windows.CloseHandle(h)
}

// Extents returns the ranges that hold data, in order, none touching another:
// the rest of the file, up to the size that Info said, are holes that read as
// zeros.
func (f *File) Extents() ([]Extent, error) {
	size := f.info.Size
	whole := []Extent{{0, size}}
	if size == 0 {
		return nil, nil
	}
	if f.info.WinAttrs&windows.FILE_ATTRIBUTE_SPARSE_FILE == 0 {
		return whole, nil
	}
	const queryAllocatedRanges = 0x000940CF // FSCTL_QUERY_ALLOCATED_RANGES
	var data []Extent
	for from := int64(0); from < size; {
		ask := Extent{from, size - from}
		var out [256]Extent
		var got uint32
		err := windows.DeviceIoControl(f.h, queryAllocatedRanges, (*byte)(unsafe.Pointer(&ask)), uint32(unsafe.Sizeof(ask)),
			(*byte)(unsafe.Pointer(&out)), uint32(unsafe.Sizeof(out)), &got, nil)
		if err != nil && err != windows.ERROR_MORE_DATA {
			return whole, nil // reading it all is right, if slow
		}
		n := int(got) / int(unsafe.Sizeof(ask))
		for _, e := range out[:n] {
			end := min(e.Off+e.Len, size)
			if e.Off < from || end <= e.Off {
				return whole, nil
			}
			data = appendExtent(data, Extent{e.Off, end - e.Off})
			from = end
		}
		if err == nil || n == 0 {
			return data, nil
		}
	}
	return data, nil
}

// ReadSmall reads the file that before describes into buf, which must be longer
// than before.Size: one byte more shows that it grew. It returns the number of
// bytes read and the Info after reading; [Changed] tells whether both belong
// together. ErrReplaced means that it is not a regular file any more.
func ReadSmall(d *Dir, name string, before Info, buf []byte) (n int, after Info, err error) {
	if int64(len(buf)) <= before.Size {
		return 0, Info{}, &Error{Op: "read", Name: name, Err: io.ErrShortBuffer}
	}
	f, err := d.OpenFile(name)
	if err != nil {
		return 0, Info{}, err
	}
	defer f.Close()
	n, err = f.ReadAt(buf[:before.Size+1], 0)
	if err != nil && err != io.EOF {
		return n, Info{}, err
	}
	after, err = f.Stat()
	return n, after, err
}
