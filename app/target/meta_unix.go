//go:build linux || darwin

package target

import (
	"math"

	"coffer/app/source"

	"golang.org/x/sys/unix"
)

const setIDBits = unix.S_ISUID | unix.S_ISGID

// An object is what attributes are set on: by descriptor where there is one, by
// name without following links otherwise.
type object struct {
	in   *folder
	name string // "" for the folder itself
	fd   int    // -1 for links, devices, and what cannot be opened
	typ  source.Type
}

func (h *handle) setMeta(in *folder, temp string, m *Meta, o *ids) (lost []string) {
	return object{in: in, name: temp, fd: h.fd, typ: source.TypeFile}.set(m, o)
}

// setLate sets what would have forbidden to publish the file, now that it has
// its name, and returns all that was lost.
func (h *handle) setLate(in *folder, name string, m *Meta, lost []string) []string {
	return object{in: in, name: name, fd: h.fd, typ: source.TypeFile}.setFlags(m, lost)
}

func (f *folder) setOwnMeta(m *Meta, o *ids) []string {
	obj := object{in: f, fd: f.dir.Fd(), typ: source.TypeDir}
	return obj.setFlags(m, obj.set(m, o))
}

func (f *folder) setMeta(name string, typ source.Type, m *Meta, o *ids) []string {
	obj := object{in: f, name: name, fd: -1, typ: typ}
	if typ == source.TypeFile || typ == source.TypeDir {
		// O_NONBLOCK: it may be a FIFO by now, which set then treats by name.
		fd, err := unix.Openat(f.dir.Fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			defer unix.Close(fd)
			obj.fd = fd
		}
	}
	return obj.setFlags(m, obj.set(m, o))
}

// set is the order that Meta promises.
func (o object) set(m *Meta, who *ids) (lost []string) {
	now, err := o.stat()
	if err != nil {
		return []string{lostBecause(LostMode, err)}
	}
	owned, lost := o.setOwner(m, who, now)
	lost = o.setXattrs(m, lost)
	lost = o.setMode(m, owned, now, lost)
	return o.setTimes(m, now, lost)
}

func (o object) stat() (now source.Info, err error) {
	if o.name != "" && o.fd < 0 {
		return o.in.lstat(o.name)
	}
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstat(o.fd, &st) }); err != nil {
		return now, err
	}
	now.Mode, now.UID, now.GID = uint32(st.Mode)&0o7777, st.Uid, st.Gid
	return now, nil
}

// setOwner reports whether the file has the owner and group that it should.
func (o object) setOwner(m *Meta, who *ids, now source.Info) (owned bool, lost []string) {
	uid, gid := who.owner(m)
	if uid == source.NoID || uid == now.UID {
		uid = source.NoID
	}
	if gid == source.NoID || gid == now.GID {
		gid = source.NoID
	}
	if uid == source.NoID && gid == source.NoID {
		return true, nil
	}
	err := o.chown(int(int32(uid)), int(int32(gid)))
	if err == nil {
		return true, nil
	}
	if uid != source.NoID && gid != source.NoID {
		// Only root gives files away, but everybody may choose among the own
		// groups.
		_ = o.chown(-1, int(int32(gid)))
	}
	return false, append(lost, lostBecause(LostOwner, err))
}

func (o object) chown(uid, gid int) error {
	return again(func() error {
		if o.fd >= 0 {
			return unix.Fchown(o.fd, uid, gid)
		}
		return unix.Fchownat(o.in.dir.Fd(), o.name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// setMode is left out when creation has done it. A changed owner has cleared
// bits, and an ACL has changed them.
func (o object) setMode(m *Meta, owned bool, now source.Info, lost []string) []string {
	if o.typ == source.TypeSymlink {
		return lost
	}
	mode := m.Mode & 0o7777
	if !owned && o.typ != source.TypeDir && mode&setIDBits != 0 {
		mode &^= setIDBits
		lost = append(lost, LostSetID+": the owner could not be set")
	}
	if mode == now.Mode && mode&setIDBits == 0 && len(m.Xattrs) == 0 {
		return lost
	}
	err := again(func() error {
		if o.fd >= 0 {
			return unix.Fchmod(o.fd, mode)
		}
		return o.chmodByName(mode)
	})
	if err != nil {
		return append(lost, lostBecause(LostMode, err))
	}
	return lost
}

// setTimes sets the time of modification and leaves that of access alone.
func (o object) setTimes(m *Meta, now source.Info, lost []string) []string {
	lost = o.setBirth(m, lost)
	if err := o.utimes(m.ModTime); err != nil {
		return append(lost, lostBecause(LostTime, err))
	}
	if m.ModTime.Sec >= 0 && m.ModTime.Sec <= math.MaxInt32 {
		return lost
	}
	// Disks put dates that they cannot hold to the nearest that they can,
	// silently.
	if have, err := o.modTime(); err != nil || have != m.ModTime {
		return append(lost, LostTime+": this disk cannot hold the date")
	}
	return lost
}

func (o object) modTime() (source.Time, error) {
	var st unix.Stat_t
	err := again(func() error {
		if o.fd >= 0 {
			return unix.Fstat(o.fd, &st)
		}
		return unix.Fstatat(o.in.dir.Fd(), o.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	return source.Time{Sec: int64(st.Mtim.Sec), Nsec: uint32(st.Mtim.Nsec)}, err
}

// timespec converts; on a 32-bit system a far date does not fit.
func timespec(t source.Time) (ts unix.Timespec, err error) {
	if !assign(&ts.Sec, t.Sec) || !assign(&ts.Nsec, int64(t.Nsec)) || t.Nsec >= 1e9 {
		return ts, unix.EOVERFLOW
	}
	return ts, nil
}

func assign[T int32 | int64](to *T, v int64) bool {
	*to = T(v)
	return int64(*to) == v
}
