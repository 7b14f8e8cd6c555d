package source

import (
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The functions of this file spell system calls out because the wrappers of
// x/sys allocate a C string each, and a hundred thousand small files make four
// of them each.

// statxMask is all that an Info holds.
const statxMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME

// noATime leaves the time of last access alone. The kernel refuses it for files
// of other owners.
const noATime = unix.O_NOATIME

// cName puts name with its NUL into buf, or on the heap if it is longer.
func cName(buf *[256]byte, name string) (*byte, error) {
	if strings.IndexByte(name, 0) >= 0 {
		return nil, unix.EINVAL
	}
	if len(name) < len(buf) {
		copy(buf[:], name)
		buf[len(name)] = 0
		return &buf[0], nil
	}
	return unix.BytePtrFromString(name)
}

// openAt is openat(2), repeated when a signal interrupts it.
func openAt(dirfd int, name string, flags int) (int, error) {
	var buf [256]byte
	p, err := cName(&buf, name)
	if err != nil {
		return -1, err
	}
	for {
		fd, _, e := unix.Syscall6(unix.SYS_OPENAT, uintptr(dirfd), uintptr(unsafe.Pointer(p)), uintptr(flags|unix.O_LARGEFILE), 0, 0, 0)
		if e == 0 {
			return int(fd), nil
		}
		if e != unix.EINTR {
			return -1, e
		}
	}
}

// statAt is statx(2) without following a link at the end. An empty name means
// dirfd itself.
func statAt(dirfd int, name string) (Info, error) {
	var buf [256]byte
	p, err := cName(&buf, name)
	if err != nil {
		return Info{}, err
	}
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var st unix.Statx_t
	for {
		_, _, e := unix.Syscall6(unix.SYS_STATX, uintptr(dirfd), uintptr(unsafe.Pointer(p)), uintptr(flags), statxMask, uintptr(unsafe.Pointer(&st)), 0)
		switch e {
		case 0:
			return statxInfo(name, &st), nil
		case unix.EINTR:
		case unix.ENOSYS, unix.EPERM:
			// A kernel before 4.11, or a sandbox that knows no statx.
			return oldStatAt(dirfd, name, flags)
		default:
			return Info{}, e
		}
	}
}

func statxInfo(name string, st *unix.Statx_t) Info {
	i := Info{
		Name:       name,
		Mode:       uint32(st.Mode) & 0o7777,
		Size:       int64(st.Size),
		ModTime:    Time{st.Mtime.Sec, st.Mtime.Nsec},
		ChangeTime: Time{st.Ctime.Sec, st.Ctime.Nsec},
		Inode:      st.Ino,
		Device:     unix.Mkdev(st.Dev_major, st.Dev_minor),
		Links:      st.Nlink,
		UID:        st.Uid,
		GID:        st.Gid,
		Blocks:     int64(st.Blocks),
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		i.BirthTime = Time{st.Btime.Sec, st.Btime.Nsec}
	}
	i.Type, i.Other = typeOf(uint32(st.Mode))
	return i
}

func oldStatAt(dirfd int, name string, flags int) (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, name, &st, flags); err != nil {
		return Info{}, err
	}
	i := Info{
		Name:       name,
		Mode:       st.Mode & 0o7777,
		Size:       st.Size,
		ModTime:    Time{int64(st.Mtim.Sec), uint32(st.Mtim.Nsec)},
		ChangeTime: Time{int64(st.Ctim.Sec), uint32(st.Ctim.Nsec)},
		Inode:      st.Ino,
		Device:     uint64(st.Dev),
		Links:      uint32(st.Nlink),
		UID:        st.Uid,
		GID:        st.Gid,
		Blocks:     int64(st.Blocks),
	}
	i.Type, i.Other = typeOf(st.Mode)
	return i, nil
}

// readAll fills buf from fd at off and returns how much there was before the
// end of the file.
func preadFull(fd int, buf []byte, off int64) (int, error) {
	n := 0
	for n < len(buf) {
		m, err := unix.Pread(fd, buf[n:], off+int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return n, nil
}

// direntHeader is the size of struct linux_dirent64 before the name.
const direntHeader = int(unsafe.Offsetof(unix.Dirent{}.Name))

// readNames reads the folder of fd from its beginning. All names share the
// memory of one string: two allocations instead of one a name.
func readNames(fd int) ([]string, error) {
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		return nil, err
	}
	buf := make([]byte, 32<<10)
	var all []byte
	var ends []int
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		for b := buf[:n]; len(b) > direntHeader; {
			entry := (*unix.Dirent)(unsafe.Pointer(&b[0]))
			size := int(entry.Reclen)
			if size <= direntHeader || size > len(b) {
				return nil, unix.EIO
			}
			name := b[direntHeader:size]
			b = b[size:]
			if entry.Ino == 0 {
				continue
			}
			name = name[:cLen(name)]
			if string(name) == "." || string(name) == ".." {
				continue
			}
			all = append(all, name...)
			ends = append(ends, len(all))
		}
	}
	text := string(all)
	names := make([]string, len(ends))
	start := 0
	for i, end := range ends {
		names[i] = text[start:end]
		start = end
	}
	return names, nil
}

// cLen is the length of b before its first NUL.
func cLen(b []byte) int {
	for i, c := range b {
		if c == 0 {
			return i
		}
	}
	return len(b)
}

// adviseSequential asks for a larger read-ahead. It is only a hint.
func adviseSequential(fd int) {
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL)
}

// xattrPath is a path for the l*xattr calls, which have no *at form before
// Linux 6.13: through /proc it is short and cannot be redirected.
func (d *Dir) xattrPath(name string) string {
	var b [32]byte
	return "/proc/self/fd/" + string(appendInt(b[:0], d.fd)) + "/" + name
}

func appendInt(b []byte, n int) []byte {
	if n >= 10 {
		b = appendInt(b, n/10)
	}
	return append(b, byte('0'+n%10))
}

// nameXattrs reads the attributes of a name without opening it: a device must
// not be opened, and a link cannot be.
func (d *Dir) nameXattrs(info Info) ([]Xattr, error) {
	path := d.xattrPath(info.Name)
	xs, err := readXattrs(
		func(dest []byte) (int, error) { return unix.Llistxattr(path, dest) },
		func(attr string, dest []byte) (int, error) { return unix.Lgetxattr(path, attr, dest) },
	)
	if (err == unix.ENOENT || err == unix.ENOTDIR) && info.Type != TypeSymlink && info.Type != TypeOther {
		return d.openXattrs(info.Name) // no /proc here
	}
	runtime.KeepAlive(d)
	return xs, err
}
