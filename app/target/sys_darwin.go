package target

import (
	"coffer/app/source"

	"golang.org/x/sys/unix"
)

// renameNew renames and never overwrites.
func renameNew(fd int, old, name string) error {
	return unix.RenameatxNp(fd, old, fd, name, unix.RENAME_EXCL)
}

// punch: zeros are written instead.
func (h *handle) punch(int64, int64) error { return unix.ENOTSUP }

// sync asks for everything; F_FULLFSYNC makes the disk empty its own memory,
// which sync and fsync do not on macOS.
func (f *folder) sync() error {
	if err := unix.Sync(); err != nil {
		return err
	}
	_, err := unix.FcntlInt(uintptr(f.dir.Fd()), unix.F_FULLFSYNC, 0)
	if unsupported(err) {
		return nil
	}
	return err
}

// hasDefaultACL: macOS's ACLs are not attributes.
func hasDefaultACL(int) bool { return false }

func (o object) setXattrs(m *Meta, lost []string) []string {
	fd := o.fd
	if fd < 0 && len(m.Xattrs) > 0 && o.typ == source.TypeSymlink {
		var err error
		fd, err = unix.Openat(o.in.dir.Fd(), o.name, unix.O_RDONLY|unix.O_SYMLINK|unix.O_CLOEXEC, 0)
		if err == nil {
			defer unix.Close(fd)
		}
	}
	for _, x := range m.Xattrs {
		err := again(func() error { return unix.Fsetxattr(fd, x.Name, x.Value, 0) })
		if err != nil {
			lost = append(lost, lostBecause(xattrWord(x.Name), err))
		}
	}
	return lost
}

func (o object) chmodByName(mode uint32) error {
	return unix.Fchmodat(o.in.dir.Fd(), o.name, mode, unix.AT_SYMLINK_NOFOLLOW)
}

// setBirth uses that a time of modification before the time of birth takes the
// latter back with it. A birth after the modification cannot be set so.
func (o object) setBirth(m *Meta, lost []string) []string {
	if m.BirthTime.IsZero() {
		return lost
	}
	if m.ModTime.Before(m.BirthTime) {
		return append(lost, LostBirthTime+": it is after the modification time")
	}
	if err := o.utimes(m.BirthTime); err != nil {
		return append(lost, lostBecause(LostBirthTime, err))
	}
	return lost
}

// utimes goes by name: the call on descriptors knows microseconds alone.
func (o object) utimes(mod source.Time) error {
	ts, err := timespec(mod)
	if err != nil {
		return err
	}
	const omit = -2 // UTIME_OMIT of sys/stat.h
	name, flags := o.name, unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		name, flags = ".", 0
	}
	both := []unix.Timespec{{Nsec: omit}, ts}
	return again(func() error { return unix.UtimesNanoAt(o.in.dir.Fd(), name, both, flags) })
}

// setFlags comes last: some flags forbid any change.
func (o object) setFlags(m *Meta, lost []string) []string {
	lost = foreignWinAttrs(m, lost)
	if m.Flags&keptFlags == 0 {
		return lost
	}
	if o.fd < 0 {
		return append(lost, LostFlags+": "+"not set on links")
	}
	if err := again(func() error { return unix.Fchflags(o.fd, int(m.Flags&keptFlags)) }); err != nil {
		return append(lost, lostBecause(LostFlags, err))
	}
	return lost
}
