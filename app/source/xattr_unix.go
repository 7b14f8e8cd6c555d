//go:build linux || darwin

package source

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxXattrList  = 1 << 20  // Linux ends at 64 KiB
	maxXattrValue = 16 << 20 // Linux ends at 64 KiB; a resource fork on macOS may be large
)

// Extra returns what costs more system calls than an Info: for a file without
// extended attributes it is one. It returns an error only if the name vanished;
// attributes that cannot be read are said in XattrErr.
func (d *Dir) Extra(info Info) (Extra, error) {
	if err := checkName("read attributes of", info.Name); err != nil {
		return Extra{}, err
	}
	xs, err := d.nameXattrs(info)
	return d.owners.extra(info, xs, err)
}

// Extra returns the same of an open file.
func (f *File) Extra() (Extra, error) {
	xs, err := fdXattrs(f.fd)
	return f.owners.extra(f.info, xs, err)
}

// OwnExtra returns the same of the folder itself.
func (d *Dir) OwnExtra() (Extra, error) {
	xs, err := fdXattrs(d.fd)
	return d.owners.extra(d.info, xs, err)
}

// extra puts names to numbers.
func (o *owners) extra(info Info, xs []Xattr, err error) (Extra, error) {
	e := Extra{User: o.user(info.UID), Group: o.group(info.GID), Xattrs: xs}
	switch err {
	case nil:
	case unix.ENOENT:
		return Extra{}, wrap("read attributes of", info.Name, err)
	default:
		e.XattrErr = wrap("read attributes of", info.Name, err)
	}
	return e, nil
}

// openXattrs reads the attributes of a file or folder by opening it.
func (d *Dir) openXattrs(name string) ([]Xattr, error) {
	fd, err := openQuiet(d.fd, name, fileFlags)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return fdXattrs(fd)
}

func fdXattrs(fd int) ([]Xattr, error) {
	return readXattrs(
		func(dest []byte) (int, error) { return unix.Flistxattr(fd, dest) },
		func(attr string, dest []byte) (int, error) { return unix.Fgetxattr(fd, attr, dest) },
	)
}

// readXattrs lists and gets. One call answers the common case of none; an
// attribute that vanishes meanwhile is as if it had never been there.
func readXattrs(list func([]byte) (int, error), get func(string, []byte) (int, error)) ([]Xattr, error) {
	n, err := list(nil)
	if err == unix.ENOTSUP || err == unix.EOPNOTSUPP || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := grow(maxXattrList, list)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var xs []Xattr
	var first error
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		value, err := grow(maxXattrValue, func(dest []byte) (int, error) { return get(name, dest) })
		if err == errNoXattr {
			continue
		}
		if err != nil {
			first = cmpErr(first, err)
			continue
		}
		xs = append(xs, Xattr{name, value})
	}
	slices.SortFunc(xs, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return xs, first
}

// cmpErr keeps the first of two errors.
func cmpErr(first, err error) error {
	if first != nil {
		return first
	}
	return err
}

// grow calls read with a buffer that is large enough, or fails when that would
// be more than limit.
func grow(limit int, read func([]byte) (int, error)) ([]byte, error) {
	var small [512]byte
	buf := small[:]
	for {
		n, err := read(buf)
		if err == nil && n <= len(buf) {
			return slices.Clone(buf[:n]), nil
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil && err != unix.ERANGE {
			return nil, err
		}
		if len(buf) >= limit {
			return nil, ErrXattrSize
		}
		buf = make([]byte, min(limit, 16*len(buf)))
	}
}
