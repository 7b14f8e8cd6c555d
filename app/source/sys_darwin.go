package source

import (
	"os"

	"golang.org/x/sys/unix"
)

// noATime has no counterpart on macOS.
const noATime = 0

func openAt(dirfd int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dirfd, name, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// statAt does not follow a link at the end. An empty name means dirfd itself.
func statAt(dirfd int, name string) (Info, error) {
	var st unix.Stat_t
	for {
		var err error
		if name == "" {
			err = unix.Fstat(dirfd, &st)
		} else {
			err = unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		}
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Info{}, err
		}
	}
	i := Info{
		Name:       name,
		Mode:       uint32(st.Mode) & 0o7777,
		Size:       st.Size,
		ModTime:    Time{st.Mtim.Sec, uint32(st.Mtim.Nsec)},
		ChangeTime: Time{st.Ctim.Sec, uint32(st.Ctim.Nsec)},
		BirthTime:  Time{st.Btim.Sec, uint32(st.Btim.Nsec)},
		Inode:      st.Ino,
		Device:     uint64(uint32(st.Dev)),
		Links:      uint32(st.Nlink),
		UID:        st.Uid,
		GID:        st.Gid,
		Blocks:     st.Blocks,
		Flags:      st.Flags,
	}
	i.Type, i.Other = typeOf(uint32(st.Mode))
	return i, nil
}

func preadFull(fd int, buf []byte, off int64) (int, error) {
	n := 0
	for n < len(buf) {
		// macOS refuses reads of 2 GiB and more.
		m, err := unix.Pread(fd, buf[n:min(len(buf), n+1<<30)], off+int64(n))
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

// readNames goes through package os, which keeps one DIR open: the emulation of
// getdirentries in x/sys seeks anew for every buffer.
func readNames(fd int) ([]string, error) {
	again, err := openAt(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(again), ".")
	defer f.Close()
	return f.Readdirnames(-1)
}

func adviseSequential(fd int) {
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_RDAHEAD, 1)
}

// nameXattrs opens the file, or the link itself, because macOS has no *at form
// of the calls. Devices, sockets and FIFOs are left alone.
func (d *Dir) nameXattrs(info Info) ([]Xattr, error) {
	switch info.Type {
	case TypeOther:
		return nil, nil
	case TypeSymlink:
		fd, err := openAt(d.fd, info.Name, unix.O_RDONLY|unix.O_SYMLINK|unix.O_NONBLOCK|unix.O_CLOEXEC)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		return fdXattrs(fd)
	default:
		return d.openXattrs(info.Name)
	}
}
