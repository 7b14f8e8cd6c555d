//go:build linux || darwin

package source

import (
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// A Dir is an open folder.
type Dir struct {
	fd     int
	info   Info    // when it was opened
	up     *Dir    // the Dir that it was opened from, for the test of loops
	owners *owners // shared by all Dirs of one walk
}

const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NONBLOCK | unix.O_CLOEXEC

// OpenDir opens the folder at path, through links, for it is the user's own
// choice. Paths of any length work.
func OpenDir(path string) (*Dir, error) {
	fd, err := openLong(path)
	if err != nil {
		return nil, wrap("open folder", path, err)
	}
	return newDir(fd, path, nil, newOwners())
}

// openLong opens path in pieces that the kernel takes: PATH_MAX bounds a path,
// not a tree.
func openLong(path string) (int, error) {
	const piece = 1000
	at := unix.AT_FDCWD
	for {
		head, rest := path, ""
		if len(path) > piece {
			cut := strings.IndexByte(path[piece:], '/')
			if cut >= 0 {
				head, rest = path[:piece+cut], strings.TrimLeft(path[piece+cut:], "/")
			}
		}
		fd, err := openQuiet(at, head, dirFlags)
		if at != unix.AT_FDCWD {
			_ = unix.Close(at)
		}
		if err != nil || rest == "" {
			return fd, err
		}
		at, path = fd, rest
	}
}

// openQuiet opens without touching the time of last access where that is
// allowed.
func openQuiet(dirfd int, name string, flags int) (int, error) {
	fd, err := openAt(dirfd, name, flags|noATime)
	if noATime != 0 && err == unix.EPERM {
		return openAt(dirfd, name, flags)
	}
	return fd, err
}

// newDir takes over fd.
func newDir(fd int, name string, up *Dir, own *owners) (*Dir, error) {
	info, err := statAt(fd, "")
	if err != nil {
		_ = unix.Close(fd)
		return nil, wrap("stat folder", name, err)
	}
	for a := up; a != nil; a = a.up {
		// A bind mount of a folder inside itself. Links cannot do it: they are
		// never followed.
		if SameFile(a.info, info) {
			_ = unix.Close(fd)
			return nil, &Error{Op: "open folder", Name: name, Kind: ErrLoop, Err: unix.ELOOP}
		}
	}
	return &Dir{fd: fd, info: info, up: up, owners: own}, nil
}

// Info returns what was known of the folder when it was opened. Its Name is
// empty.
func (d *Dir) Info() Info { return d.info }

// Close releases the folder. Dirs and Files opened from it stay open.
func (d *Dir) Close() error {
	if d.fd < 0 {
		return nil
	}
	fd := d.fd
	d.fd = -1
	return unix.Close(fd)
}

// checkName lets single path elements through and nothing else.
func checkName(op, name string) error {
	if name == "" || name == "." || name == ".." || strings.IndexByte(name, '/') >= 0 || strings.IndexByte(name, 0) >= 0 {
		return &Error{Op: op, Name: name, Kind: ErrName, Err: unix.EINVAL}
	}
	return nil
}

// names returns the raw names, unsorted.
func (d *Dir) names() ([]string, error) {
	names, err := readNames(d.fd)
	if err != nil {
		return nil, wrap("read folder", d.info.Name, err)
	}
	return names, nil
}

// Lstat says what has this name in the folder.
func (d *Dir) Lstat(name string) (Info, error) {
	if err := checkName("stat", name); err != nil {
		return Info{}, err
	}
	info, err := statAt(d.fd, name)
	if err != nil {
		return Info{}, wrap("stat", name, err)
	}
	return info, nil
}

// OpenDir opens a folder in the folder. It returns ErrReplaced if name is not a
// folder, and ErrLoop if it is one of those that it is in.
func (d *Dir) OpenDir(name string) (*Dir, error) {
	if err := checkName("open folder", name); err != nil {
		return nil, err
	}
	fd, err := openQuiet(d.fd, name, dirFlags|unix.O_NOFOLLOW)
	if err != nil {
		return nil, wrap("open folder", name, err)
	}
	return newDir(fd, name, d, d.owners)
}

// ReadLink returns the target of a link, raw.
func (d *Dir) ReadLink(name string) (string, error) {
	if err := checkName("read link", name); err != nil {
		return "", err
	}
	// One more than PATH_MAX, so that a full buffer means that it was cut.
	for size := 256; size <= 1<<20; size *= 16 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(d.fd, name, buf)
		if err == unix.EINVAL {
			return "", &Error{Op: "read link", Name: name, Kind: ErrReplaced, Err: err}
		}
		if err != nil {
			return "", wrap("read link", name, err)
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
	return "", wrap("read link", name, unix.ENAMETOOLONG)
}

const fileFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// openRegular opens name and refuses what is not a regular file: a FIFO or a
// device put there since the lstat must neither hang us nor be read.
func (d *Dir) openRegular(name string) (int, Info, error) {
	if err := checkName("open", name); err != nil {
		return -1, Info{}, err
	}
	fd, err := openQuiet(d.fd, name, fileFlags)
	if err != nil {
		return -1, Info{}, wrap("open", name, err)
	}
	info, err := statAt(fd, "")
	if err != nil {
		_ = unix.Close(fd)
		return -1, Info{}, wrap("stat", name, err)
	}
	info.Name = name
	if info.Type != TypeFile {
		_ = unix.Close(fd)
		return -1, Info{}, &Error{Op: "open", Name: name, Kind: ErrReplaced, Err: unix.EINVAL}
	}
	return fd, info, nil
}

// ReadSmall reads the file that before describes into buf, which must be longer
// than before.Size: one byte more shows that it grew. It returns the number of
// bytes read and the Info after reading; [Changed] tells whether both belong
// together. ErrReplaced means that it is not a regular file any more.
func ReadSmall(d *Dir, name string, before Info, buf []byte) (n int, after Info, err error) {
	if int64(len(buf)) <= before.Size {
		return 0, Info{}, &Error{Op: "read", Name: name, Err: io.ErrShortBuffer}
	}
	fd, _, err := d.openRegular(name)
	if err != nil {
		return 0, Info{}, err
	}
	n, err = preadFull(fd, buf[:before.Size+1], 0)
	if err != nil {
		_ = unix.Close(fd)
		return n, Info{}, readError(name, int64(n), before.Size+1-int64(n), err)
	}
	after, err = statAt(fd, "")
	_ = unix.Close(fd)
	if err != nil {
		return n, Info{}, wrap("stat", name, err)
	}
	after.Name = name
	return n, after, nil
}

// Fd returns the descriptor of the folder, for system calls relative to it. It
// is valid until Close.
func (d *Dir) Fd() int { return d.fd }
