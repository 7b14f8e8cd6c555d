//go:build linux || darwin

package source

import (
	"io"

	"golang.org/x/sys/unix"
)

// A File is an open regular file. It implements io.Reader and io.ReaderAt.
type File struct {
	fd     int
	info   Info
	off    int64 // of Read
	owners *owners
}

// readAhead is the size from which the system is told that all will be read.
const readAhead = 1 << 20

// OpenFile opens a regular file in the folder for reading. ErrReplaced means
// that the name is something else by now.
func (d *Dir) OpenFile(name string) (*File, error) {
	fd, info, err := d.openRegular(name)
	if err != nil {
		return nil, err
	}
	if info.Size >= readAhead {
		adviseSequential(fd)
	}
	return &File{fd: fd, info: info, owners: d.owners}, nil
}

// Info returns what was known when the file was opened.
func (f *File) Info() Info { return f.info }

// Stat asks again.
func (f *File) Stat() (Info, error) {
	info, err := statAt(f.fd, "")
	if err != nil {
		return Info{}, wrap("stat", f.info.Name, err)
	}
	info.Name = f.info.Name
	return info, nil
}

// ReadAt implements io.ReaderAt. An ErrRead is an [*Error] with the range that
// was not read.
func (f *File) ReadAt(buf []byte, off int64) (int, error) {
	n, err := preadFull(f.fd, buf, off)
	if err != nil {
		return n, readError(f.info.Name, off+int64(n), int64(len(buf)-n), err)
	}
	if n < len(buf) {
		return n, io.EOF
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
	if f.fd < 0 {
		return nil
	}
	fd := f.fd
	f.fd = -1
	return unix.Close(fd)
}

// Extents returns the ranges that hold data, in order, none touching another:
// the rest of the file, up to the size that Info said, are holes that read as
// zeros. Where the disk knows no holes it is one extent.
func (f *File) Extents() ([]Extent, error) {
	size := f.info.Size
	var data []Extent
	for off := int64(0); off < size; {
		start, err := unix.Seek(f.fd, off, seekData)
		if err == unix.ENXIO {
			break // only a hole is left
		}
		if err == unix.EINVAL || err == unix.EOPNOTSUPP || err == unix.ENOTTY {
			return []Extent{{0, size}}, nil
		}
		if err != nil {
			return nil, wrap("find holes of", f.info.Name, err)
		}
		end, err := unix.Seek(f.fd, start, seekHole)
		if err != nil && err != unix.ENXIO {
			return nil, wrap("find holes of", f.info.Name, err)
		}
		if err == unix.ENXIO || end > size {
			end = size
		}
		if start >= end {
			break
		}
		data = appendExtent(data, Extent{start, end - start})
		off = end
	}
	return data, nil
}

// Fd returns the descriptor of the file. It is valid until Close.
func (f *File) Fd() int { return f.fd }
