//go:build linux || darwin

package target

import (
	"errors"
	"io"

	"coffer/app/source"

	"golang.org/x/sys/unix"
)

// A folder is an open folder: all that follows is relative to its descriptor.
type folder struct {
	dir        *source.Dir
	defaultACL bool // what is made in it inherits an ACL
	setGID     bool // what is made in it inherits its group
}

func openFolder(path string) (*folder, error) {
	d, err := source.OpenDir(path)
	if err != nil {
		return nil, err
	}
	return newFolder(d), nil
}

func newFolder(d *source.Dir) *folder {
	return &folder{dir: d, defaultACL: hasDefaultACL(d.Fd()), setGID: d.Info().Mode&unix.S_ISGID != 0}
}

// sub opens a folder in the folder, not through a link.
func (f *folder) sub(name string) (*folder, error) {
	d, err := f.dir.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return newFolder(d), nil
}

func (f *folder) close() error                           { return f.dir.Close() }
func (f *folder) names() ([]string, error)               { return f.dir.Names() }
func (f *folder) lstat(name string) (source.Info, error) { return f.dir.Lstat(name) }
func (f *folder) readlink(name string) (string, error)   { return f.dir.ReadLink(name) }

func (f *folder) openFile(name string) (Existing, error) {
	h, err := f.dir.OpenFile(name)
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (f *folder) mkdir(name string) error {
	return again(func() error { return unix.Mkdirat(f.dir.Fd(), name, 0o700) })
}

// createTemp creates a file that was not there.
func (f *folder) createTemp(name string, mode uint32) (*handle, error) {
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Openat(f.dir.Fd(), name, flags, mode)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &handle{fd: fd}, nil
}

// publish renames without overwriting; fs.ErrExist: the name is taken.
func (f *folder) publish(old, name string) error {
	fd := f.dir.Fd()
	err := again(func() error { return renameNew(fd, old, name) })
	if !unsupported(err) {
		return err
	}
	// A network or old disk that cannot: a second name fails if it is taken.
	err = again(func() error { return unix.Linkat(fd, old, fd, name, 0) })
	if err == nil {
		return f.remove(old)
	}
	if !unsupported(err) && err != unix.EPERM {
		return err
	}
	// And one without hard links: an empty file reserves the name. Killed here,
	// a restore leaves it empty, which the next one sees by its size.
	h, err := f.createTemp(name, 0o600)
	if err != nil {
		return err
	}
	_ = h.close()
	return f.replace(old, name)
}

func unsupported(err error) bool {
	return err == unix.EINVAL || err == unix.ENOSYS || err == unix.ENOTSUP || err == unix.EOPNOTSUPP
}

// replace renames over what is there, be it a link, which is not followed.
func (f *folder) replace(old, name string) error {
	return again(func() error { return unix.Renameat(f.dir.Fd(), old, f.dir.Fd(), name) })
}

func (f *folder) remove(name string) error {
	return again(func() error { return unix.Unlinkat(f.dir.Fd(), name, 0) })
}

func (f *folder) symlink(target, name string) error {
	return again(func() error { return unix.Symlinkat(target, f.dir.Fd(), name) })
}

// link gives a file, or a link itself, a second name.
func (f *folder) link(from *folder, fromName, name string) error {
	return again(func() error { return unix.Linkat(from.dir.Fd(), fromName, f.dir.Fd(), name, 0) })
}

// inUse reports whether another restore is writing this temporary: it holds a
// lock then.
func (f *folder) inUse(name string, info source.Info) bool {
	if info.Type != source.TypeFile {
		return false
	}
	h, err := f.dir.OpenFile(name)
	if err != nil {
		return false
	}
	defer h.Close()
	return unix.Flock(h.Fd(), unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK
}

// A handle is an open temporary.
type handle struct {
	fd int
}

// lock tells CleanTemps that somebody is at work. A disk without locks has no
// such luxury.
func (h *handle) lock() { _ = unix.Flock(h.fd, unix.LOCK_EX|unix.LOCK_NB) }

func (h *handle) writeAt(data []byte, off int64) error {
	for len(data) > 0 {
		n, err := unix.Pwrite(h.fd, data[:min(len(data), 1<<30)], off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data, off = data[n:], off+int64(n)
	}
	return nil
}

// writeSmall writes all of a file, with its holes.
func (h *handle) writeSmall(data []byte) error {
	end := 0
	for off := 0; off < len(data); {
		run, hole := nextRun(data[off:], int64(off))
		if !hole {
			if err := h.writeAt(data[off:off+run], int64(off)); err != nil {
				return err
			}
			end = off + run
		}
		off += run
	}
	if end == len(data) {
		return nil
	}
	return h.truncate(int64(len(data)))
}

func (h *handle) readAt(buf []byte, off int64) (int, error) {
	n := 0
	for n < len(buf) {
		m, err := unix.Pread(h.fd, buf[n:], off+int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

func (h *handle) truncate(size int64) error {
	return again(func() error { return unix.Ftruncate(h.fd, size) })
}

func (h *handle) sync() error { return again(func() error { return unix.Fsync(h.fd) }) }

func (h *handle) close() error {
	err := unix.Close(h.fd)
	if err == unix.EINTR {
		return nil // closed all the same
	}
	return err
}

// skipped is called for each hole. Files are sparse by themselves here.
func (h *handle) skipped() error { return nil }

// again repeats what a signal interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// kindOf maps the system's errors to our sentinels, or to nil.
func kindOf(err error) error {
	e, ok := errors.AsType[unix.Errno](err)
	if !ok {
		return nil
	}
	switch e {
	case unix.ENOSPC, unix.EDQUOT:
		return ErrFull
	case unix.EROFS:
		return ErrReadOnly
	case unix.EACCES, unix.EPERM:
		return ErrPermission
	case unix.ENOTDIR, unix.ELOOP:
		return ErrNotFolder
	case unix.EFBIG:
		return ErrTooLarge
	case unix.ENAMETOOLONG, unix.EILSEQ, unix.EINVAL:
		// EINVAL: vfat and NTFS refuse names so.
		return ErrName
	case unix.EMLINK, unix.EXDEV, unix.ENOTSUP:
		return ErrNoLinks
	case unix.ENOENT:
		return source.ErrVanished
	case unix.EIO:
		return source.ErrRead
	case unix.EMFILE, unix.ENFILE:
		return source.ErrTooMany
	}
	return nil
}

func freeSpace(path string) (int64, error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Statfs(path, &st) }); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
