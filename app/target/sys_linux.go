package target

import (
	"runtime"
	"strconv"
	"unsafe"

	"coffer/app/source"

	"golang.org/x/sys/unix"
)

// renameNew renames and never overwrites.
func renameNew(fd int, old, name string) error {
	return unix.Renameat2(fd, old, fd, name, unix.RENAME_NOREPLACE)
}

func (h *handle) punch(off, length int64) error {
	return unix.Fallocate(h.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, length)
}

// sync puts the whole disk's changes down, which for many files is cheaper than
// one fsync each.
func (f *folder) sync() error { return unix.Syncfs(f.dir.Fd()) }

// hasDefaultACL reports whether what is made in the folder inherits an ACL.
func hasDefaultACL(fd int) bool {
	n, err := unix.Fgetxattr(fd, aclDefault, nil)
	return err == nil && n > 0
}

// path is a short path of o for the calls that have no *at form; /proc leads to
// the open folder whatever its name is by now.
func (o object) path() string {
	p := "/proc/self/fd/" + strconv.Itoa(o.in.dir.Fd())
	if o.name == "" {
		return p
	}
	return p + "/" + o.name
}

// setXattrs sets what m has, and takes away the ACL that was inherited from the
// folder that m's file does not have.
func (o object) setXattrs(m *Meta, lost []string) []string {
	if o.typ == source.TypeDir || o.in.defaultACL && o.typ == source.TypeFile {
		for _, acl := range []string{aclAccess, aclDefault} {
			if !m.hasXattr(acl) && o.fd >= 0 {
				_ = unix.Fremovexattr(o.fd, acl) // most often it is not there
			}
		}
	}
	for _, x := range m.Xattrs {
		err := again(func() error {
			if o.fd >= 0 {
				return unix.Fsetxattr(o.fd, x.Name, x.Value, 0)
			}
			return unix.Lsetxattr(o.path(), x.Name, x.Value, 0)
		})
		if err != nil {
			lost = append(lost, lostBecause(xattrWord(x.Name), err))
		}
	}
	runtime.KeepAlive(o.in)
	return lost
}

// chmodByName is for what could not be opened. fchmodat2 does not follow links;
// before Linux 6.6 an O_PATH descriptor has to do.
func (o object) chmodByName(mode uint32) error {
	fd, err := unix.Openat(o.in.dir.Fd(), o.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.ELOOP
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}

// setBirth: Linux has no way to set it.
func (o object) setBirth(m *Meta, lost []string) []string {
	if m.BirthTime.IsZero() {
		return lost
	}
	return append(lost, LostBirthTime+": this system cannot set it")
}

// utimes is utimensat(2); with a null path it means the descriptor itself, which
// the wrapper of x/sys does not offer.
func (o object) utimes(mod source.Time) error {
	ts, err := timespec(mod)
	if err != nil {
		return err
	}
	both := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, ts}
	if o.fd < 0 {
		return again(func() error { return unix.UtimesNanoAt(o.in.dir.Fd(), o.name, both[:], unix.AT_SYMLINK_NOFOLLOW) })
	}
	for {
		_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(o.fd), 0, uintptr(unsafe.Pointer(&both)), 0, 0, 0)
		if e == 0 {
			return nil
		}
		if e != unix.EINTR {
			return e
		}
	}
}

// setFlags: macOS's flags have no meaning here.
func (o object) setFlags(m *Meta, lost []string) []string { return foreignFlags(m, lost) }

// foreignFlags names what other systems have.
func foreignFlags(m *Meta, lost []string) []string {
	if m.Flags&keptFlags != 0 {
		lost = append(lost, LostFlags+": only macOS has them")
	}
	return foreignWinAttrs(m, lost)
}
