package target

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"

	"coffer/app/source"
)

// A File is a file on its way: contents come in any order and from any
// goroutine, then Commit or Abort.
type File struct {
	d       *Dir
	h       *handle
	temp    string
	name    string
	size    int64
	written atomic.Int64 // end of the furthest bytes that are on disk, not holes
}

// Create begins the file that will have this name and size in bytes. Until
// Commit it is a temporary that only its owner can read.
func (d *Dir) Create(name string, size int64) (*File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if size < 0 {
		return nil, &source.Error{Op: "create", Name: name, Kind: ErrSize, Err: errors.New("negative size")}
	}
	temp := tempName()
	h, err := d.at.createTemp(temp, 0o600)
	if err != nil {
		return nil, wrap("create", name, err)
	}
	h.lock()
	return &File{d: d, h: h, temp: temp, name: name, size: size}, nil
}

// block is the unit of holes.
const block = 4096

// zeros is what a hole reads as.
var zeros [block]byte

// WriteAt implements io.WriterAt. Runs of zeros that are aligned to 4 KiB become
// holes; what is never written is zeros too.
func (f *File) WriteAt(data []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(data)) > f.size {
		return 0, &source.Error{Op: "write", Name: f.name, Off: off, Len: int64(len(data)), Kind: ErrSize, Err: io.ErrShortBuffer}
	}
	n := 0
	for n < len(data) {
		run, hole := nextRun(data[n:], off+int64(n))
		var err error
		if hole {
			err = f.hole(data[n:n+run], off+int64(n))
		} else {
			err = f.plain(data[n:n+run], off+int64(n))
		}
		if err != nil {
			return n, &source.Error{Op: "write", Name: f.name, Off: off + int64(n), Len: int64(run), Kind: kindOf(err), Err: err}
		}
		n += run
	}
	return n, nil
}

// plain writes bytes. The mark goes first: a hole that is made meanwhile by
// another goroutine elsewhere may then only be too careful.
func (f *File) plain(data []byte, off int64) error {
	end := off + int64(len(data))
	for {
		was := f.written.Load()
		if was >= end || f.written.CompareAndSwap(was, end) {
			break
		}
	}
	return f.h.writeAt(data, off)
}

// hole leaves out what was never written; where something may have been, it must
// be taken away.
func (f *File) hole(data []byte, off int64) error {
	if off >= f.written.Load() {
		return f.h.skipped()
	}
	if f.h.punch(off, int64(len(data))) == nil {
		return nil
	}
	return f.plain(data, off)
}

// nextRun returns the length of the longest run of data, which lies at off, that
// is a hole or that is not.
func nextRun(data []byte, off int64) (n int, hole bool) {
	for n < len(data) {
		k := min(len(data)-n, block-int((off+int64(n))%block))
		zero := k == block && data[n] == 0 && bytes.Equal(data[n:n+block], zeros[:])
		if n == 0 {
			hole = zero
		} else if zero != hole {
			break
		}
		n += k
	}
	return n, hole
}

// ReadAt reads back what was written, for a check before Commit.
func (f *File) ReadAt(buf []byte, off int64) (int, error) { return f.h.readAt(buf, off) }

// Commit gives the file its size, its attributes and, under policy, its name.
// The File is done, whatever the error.
func (f *File) Commit(meta Meta, policy Policy) (out Outcome, err error) {
	defer func() {
		if err != nil {
			_ = f.Abort()
		}
	}()
	if err := f.h.truncate(f.size); err != nil {
		return Outcome{}, wrap("write", f.name, err)
	}
	lost := f.h.setMeta(f.d.at, f.temp, &meta, &f.d.t.ids)
	out, err = f.d.settle(f.temp, f.name, meta.ModTime, policy, f.h)
	if err != nil {
		return Outcome{}, err
	}
	if out.Result != Skipped {
		out.Lost = f.h.setLate(f.d.at, out.Name, &meta, lost)
	}
	return out, f.close()
}

// close ends the use of the handle; network disks say here that they are full.
func (f *File) close() error {
	h := f.h
	f.h = nil
	return wrap("write", f.name, h.close())
}

// Abort removes the file. After Commit it does nothing.
func (f *File) Abort() error {
	if f.h == nil {
		return nil
	}
	return errors.Join(f.close(), wrap("remove", f.name, f.d.at.remove(f.temp)))
}
