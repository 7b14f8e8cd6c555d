package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"coffer/cloud"
)

// Stat implements [cloud.Stater].
func (d *Driver) Stat(ctx context.Context, name string) (cloud.Object, error) {
	v, err := d.enter(ctx)
	if err != nil {
		return cloud.Object{}, settle(ctx, err)
	}
	defer v.leave()
	size, err := d.size(ctx, v, name)
	if err != nil {
		return cloud.Object{}, settle(ctx, err)
	}
	return cloud.Object{Name: name, Size: size}, nil
}

// size returns the size of an object: of a file, and nothing else. Links lead
// elsewhere, and opening a pipe waits for ever.
func (d *Driver) size(ctx context.Context, v *visit, name string) (int64, error) {
	a, err := v.lstat(ctx, d.at(name))
	if isCode(err, codeNoSuchFile) {
		return 0, d.gone(ctx, v)
	}
	if err != nil {
		return 0, fmt.Errorf("look for object: %w", err)
	}
	size, ok := a.bytes()
	if !ok || !a.regular() {
		return 0, cloud.ErrNotFound
	}
	return size, nil
}

// Get implements [cloud.Driver].
func (d *Driver) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	v, err := d.enter(ctx)
	if err != nil {
		return nil, settle(ctx, err)
	}
	size, err := d.size(ctx, v, name)
	if err == nil {
		if n < 0 {
			n = max(0, size-off)
		}
		if off > size || n > size-off {
			err = fmt.Errorf("%w: %d bytes from %d of %d", cloud.ErrRange, n, off, size)
		}
	}
	if err != nil {
		v.leave()
		return nil, settle(ctx, err)
	}
	r := d.reader(ctx, v, d.at(name), off, n, v.leave)
	if err := r.begin(); err != nil {
		_ = r.Close() // err is what matters
		return nil, settle(ctx, err)
	}
	return r, nil
}

// A reader is a range of an object's file. It asks for many pieces ahead of the
// one that is being read, so that a line with latency stays full.
type reader struct {
	ctx    context.Context // of the one request that this reader is
	d      *Driver
	v      *visit
	path   string
	handle string
	leave  func() // called once, when nothing more is to be asked; or nil

	size int64     // of the range
	next int64     // where the first piece begins that was not asked for yet
	end  int64     // of the range
	left int64     // bytes that must still come
	line []request // asked for, in order
	raw  []byte    // packet that ready is a part of
	data []byte    // came, and not read yet
	over bool
}

// request is one read under way.
type request struct {
	*ticket
	off int64
	n   int
}

// reader returns a reader of n bytes from off, not yet begun.
func (d *Driver) reader(ctx context.Context, v *visit, path string, off, n int64, leave func()) *reader {
	return &reader{ctx: ctx, d: d, v: v, path: path, leave: leave, size: n, next: off, end: off + n, left: n}
}

// begin opens the file, if there is anything to read.
func (r *reader) begin() error {
	if r.handle != "" || r.left == 0 {
		return nil
	}
	handle, err := r.v.open(r.ctx, r.path, openRead)
	if isCode(err, codeNoSuchFile) {
		return cloud.ErrNotFound // deleted since it was looked at
	}
	if err != nil {
		return fmt.Errorf("open object: %w", err)
	}
	r.handle = handle
	return r.ask() // at once: the first bytes are on their way when somebody reads
}

// ask sends for as many pieces as may be under way.
func (r *reader) ask() error {
	most := r.v.readPiece
	for r.next < r.end && len(r.line) < window/most {
		n := int(min(int64(most), r.end-r.next))
		if err := r.askFor(r.next, n, len(r.line)); err != nil {
			return err
		}
		r.next += int64(n)
	}
	return nil
}

// askFor sends for n bytes from off, and gives them a place in the line.
func (r *reader) askFor(off int64, n, place int) error {
	t, err := r.v.begin(r.ctx, func(id uint32) []byte { return readPacket(id, r.handle, off, n) })
	if err != nil {
		return err
	}
	r.line = append(r.line, request{})
	copy(r.line[place+1:], r.line[place:])
	r.line[place] = request{t, off, n}
	return nil
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.left == 0 {
		r.release()
		return 0, io.EOF
	}
	if r.over {
		return 0, errReadOver
	}
	if len(r.data) == 0 {
		if err := r.fetch(); err != nil {
			return 0, settle(r.ctx, err)
		}
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	r.left -= int64(n)
	if len(r.data) == 0 {
		r.v.recycle(r.raw)
		r.raw, r.data = nil, nil
	}
	return n, nil
}

// errReadOver: the reader was closed.
var errReadOver = errors.New("sftp: read after close")

// fetch waits for the next piece.
func (r *reader) fetch() error {
	if err := r.begin(); err != nil {
		return err
	}
	if err := r.ask(); err != nil {
		return err
	}
	first := r.line[0]
	answer, err := r.v.finish(r.ctx, first.ticket)
	r.line = r.line[1:]
	if err != nil {
		return err
	}
	data, err := answer.data(first.n)
	if isCode(err, codeEOF) { // shortened while we read
		return cloud.Final(fmt.Errorf("%w: %w", cloud.ErrRange, io.ErrUnexpectedEOF))
	}
	if err != nil {
		return r.v.checked(err)
	}
	r.raw, r.data = answer.raw, data
	if got := len(data); got < first.n { // allowed: ask for the rest (section 6.4)
		return r.askFor(first.off+int64(got), first.n-got, 0)
	}
	return nil
}

// Size returns how many bytes the range has.
func (r *reader) Size() int64 { return r.size }

// Close gives back what the reader holds. Its error is always nil: nothing is
// lost with a handle for reading.
func (r *reader) Close() error {
	r.release()
	return nil
}

// release gives up what is under way and leaves the channel, once.
func (r *reader) release() {
	if r.over {
		return
	}
	r.over = true
	for _, p := range r.line {
		r.v.giveUp(p.ticket)
	}
	r.line = nil
	if r.handle != "" {
		r.v.drop(r.handle)
	}
	if r.leave != nil {
		r.leave()
	}
}

const (
	// maxAhead is how many pages of a listing are asked for at once. OpenSSH puts
	// a hundred names on a page: one at a time, 100,000 objects on a line of 50 ms
	// took almost a minute.
	maxAhead = 16
	// maxEntries ends a listing that does not end.
	maxEntries = 20_000_000
	// maxEmpty pages in a row are taken for a server that never will.
	maxEmpty = 100
)

// List implements [cloud.Driver].
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		v, err := d.enter(ctx)
		if err != nil {
			yield(cloud.Object{}, settle(ctx, err))
			return
		}
		defer v.leave()
		err = d.walk(ctx, v, func(e entry) (bool, error) {
			if !cloud.ValidName(e.name) || !strings.HasPrefix(e.name, prefix) {
				return true, nil
			}
			object, ok, err := d.object(ctx, v, e)
			if err != nil || !ok {
				return true, err
			}
			return yield(object, nil), nil
		})
		if err != nil {
			yield(cloud.Object{}, settle(ctx, err))
		}
	}
}

// object returns the object that an entry is, if it is one. A server that lists
// names only is asked for the rest.
func (d *Driver) object(ctx context.Context, v *visit, e entry) (cloud.Object, bool, error) {
	if e.has&hasMode == 0 || e.has&hasSize == 0 {
		a, err := v.lstat(ctx, d.at(e.name))
		if isCode(err, codeNoSuchFile) {
			return cloud.Object{}, false, nil // deleted since
		}
		if err != nil {
			return cloud.Object{}, false, fmt.Errorf("look at object: %w", err)
		}
		e.attrs = a
	}
	size, ok := e.bytes()
	return cloud.Object{Name: e.name, Size: size}, ok && e.regular(), nil
}

// walk calls found for each entry of the folder until it returns false.
func (d *Driver) walk(ctx context.Context, v *visit, found func(entry) (bool, error)) error {
	handle, err := v.openFolder(ctx, d.folder)
	if isCode(err, codeNoSuchFile) {
		return errNoFolder
	}
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	var line []*ticket
	defer func() {
		for _, t := range line {
			v.giveUp(t)
		}
		v.drop(handle)
	}()
	ahead, entries, empty, ended := 2, 0, 0, false
	for {
		for !ended && len(line) < ahead {
			t, err := v.begin(ctx, func(id uint32) []byte { return pathPacket(kindReaddir, id, handle) })
			if err != nil {
				return err
			}
			line = append(line, t)
		}
		if len(line) == 0 {
			return nil
		}
		r, err := v.finish(ctx, line[0])
		line = line[1:]
		if err != nil {
			return err
		}
		page, err := r.entries()
		if isCode(err, codeEOF) {
			ended = true // what is under way still counts, whatever order it was done in
			continue
		}
		if err != nil {
			return fmt.Errorf("read folder: %w", v.checked(err))
		}
		if empty++; len(page) > 0 {
			empty = 0
		}
		if entries += len(page); entries > maxEntries || empty > maxEmpty {
			return cloud.Final(fmt.Errorf("%w: the listing does not end", cloud.ErrTooLarge))
		}
		ahead = min(2*ahead, maxAhead)
		for _, e := range page {
			if more, err := found(e); err != nil || !more {
				return err
			}
		}
	}
}
