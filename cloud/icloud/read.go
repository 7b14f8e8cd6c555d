package icloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"

	"coffer/cloud"
)

// readAhead is how much is read at once: a worker for each read, so large ones.
const readAhead = 512 << 10

// find returns the entry of an object: its file, or the stub that stands for it.
// The path is that of the file in both cases. It runs in a worker.
func (d *Driver) find(name string) (entry, error) {
	path := filepath.Join(d.folder, name)
	e, err := d.system.stat(path)
	switch {
	case err == nil && e.regular:
		return e, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return entry{}, err
	}
	if err != nil { // nothing has the name; perhaps because the whole folder is gone
		if err := d.here(); err != nil {
			return entry{}, err
		}
		if size, ok := d.stub(filepath.Join(d.folder, stubName(name)), name); ok {
			return entry{name: name, path: path, size: size, regular: true, absent: true}, nil
		}
	}
	return entry{}, cloud.ErrNotFound
}

// here requires that the folder is where it was.
func (d *Driver) here() error {
	if err := d.present(d.root); err != nil {
		return err
	}
	return d.present(d.folder)
}

// stub reads the stub at path, which must be one of that name.
func (d *Driver) stub(path, name string) (size int64, ok bool) {
	e, err := d.system.stat(path)
	if err != nil || !e.regular || e.absent || e.size > maxStub {
		return 0, false
	}
	f, err := d.system.open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	data := make([]byte, e.size)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, e.size), data); err != nil {
		return 0, false
	}
	who, size, err := parseStub(data)
	return size, err == nil && who == name
}

// stubName is the name of the stub of a file.
func stubName(name string) string { return "." + name + ".icloud" }

// stubOf is the reverse.
func stubOf(name string) (string, bool) {
	inner, ok := strings.CutSuffix(name, ".icloud")
	if !ok {
		return "", false
	}
	return strings.CutPrefix(inner, ".")
}

// Stat implements [cloud.Stater].
func (d *Driver) Stat(ctx context.Context, name string) (cloud.Object, error) {
	e, err := attempt(ctx, func() (entry, error) { return d.find(name) }, nil)
	if err != nil {
		return cloud.Object{}, classify(err)
	}
	return cloud.Object{Name: name, Size: e.size}, nil
}

// List implements [cloud.Driver]. What other programs can show of a folder while
// it changes is not one moment's: a name may come twice.
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		objects, err := attempt(ctx, func() ([]cloud.Object, error) { return d.objects(ctx, prefix) }, nil)
		if err != nil {
			yield(cloud.Object{}, classify(err))
			return
		}
		for _, object := range objects {
			if err := ctx.Err(); err != nil {
				yield(cloud.Object{}, err)
				return
			}
			if !yield(object, nil) {
				return
			}
		}
	}
}

// objects reads the folder. All of it is held in memory, 100 bytes an object: the
// worker may be left behind, and cannot ask the caller for each.
func (d *Driver) objects(ctx context.Context, prefix string) ([]cloud.Object, error) {
	if err := d.here(); err != nil {
		return nil, err
	}
	var found []cloud.Object
	var stubs []string
	err := d.system.list(d.folder, func(e entry) bool {
		name, stub := stubOf(e.name)
		switch {
		case stub && cloud.ValidName(name) && strings.HasPrefix(name, prefix):
			stubs = append(stubs, name)
		case e.regular && cloud.ValidName(e.name) && strings.HasPrefix(e.name, prefix):
			found = append(found, cloud.Object{Name: e.name, Size: e.size})
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, offlineIfGone(err)
	}
	for _, name := range stubs {
		if size, ok := d.stub(filepath.Join(d.folder, stubName(name)), name); ok {
			found = append(found, cloud.Object{Name: name, Size: size})
		}
	}
	return found, nil
}

// offlineIfGone: the folder was there a moment ago.
func offlineIfGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, cloud.ErrOffline) {
		return fmt.Errorf("%w: %w", cloud.ErrOffline, err)
	}
	return err
}

// Get implements [cloud.Driver]. An absent file is downloaded, whole, whatever
// the range; [cloud.ErrWaiting] while that takes.
func (d *Driver) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	f, size, err := d.fetch(ctx, name)
	if err != nil {
		return nil, classify(err)
	}
	if n < 0 {
		n = max(0, size-off)
	}
	if off > size || n > size-off {
		f.Close()
		return nil, fmt.Errorf("%w: %d bytes from %d of %d", cloud.ErrRange, n, off, size)
	}
	return &reader{ctx: ctx, file: f, off: off, left: n, size: n}, nil
}

// fetch opens the file of an object, when its bytes are here.
func (d *Driver) fetch(ctx context.Context, name string) (file, int64, error) {
	e, err := attempt(ctx, func() (entry, error) { return d.find(name) }, nil)
	if err != nil {
		return nil, 0, err
	}
	if e.absent {
		if err := d.bring(ctx, e.path); err != nil {
			return nil, 0, err
		}
	}
	type opened struct {
		file file
		size int64
	}
	o, err := attempt(ctx, func() (opened, error) {
		f, err := d.system.open(e.path)
		if errors.Is(err, fs.ErrNotExist) { // taken away since, or with the folder
			_, err := d.find(name)
			if err == nil {
				err = errWaiting
			}
			return opened{}, err
		}
		if err != nil {
			return opened{}, err
		}
		size, err := f.Size()
		if err != nil {
			return opened{}, errors.Join(err, f.Close())
		}
		return opened{f, size}, nil
	}, func(o opened) { o.file.Close() })
	return o.file, o.size, err
}

// A reader is a range of an object's file. It reads into memory of its own: a
// worker that was left behind must not write into the caller's.
type reader struct {
	ctx   context.Context // of the one request that this reader is
	file  file
	ahead []byte // read, and not yet given
	off   int64  // of what comes after ahead
	left  int64  // bytes that must still come, without ahead
	size  int64  // of the range
	err   error  // the end
}

// Size returns how many bytes the range has.
func (r *reader) Size() int64 { return r.size }

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if len(r.ahead) == 0 && r.err == nil {
		r.err = r.fill()
	}
	if len(r.ahead) == 0 {
		return 0, r.err
	}
	n := copy(p, r.ahead)
	r.ahead = r.ahead[n:]
	return n, nil
}

// fill reads on. The error io.EOF is the end of the range.
func (r *reader) fill() error {
	if r.left == 0 {
		return io.EOF
	}
	f, off, want := r.file, r.off, min(r.left, readAhead)
	got, err := attempt(r.ctx, func() ([]byte, error) {
		p := make([]byte, want)
		n, err := f.ReadAt(p, off)
		if n == len(p) {
			err = nil
		}
		return p[:n], err
	}, nil)
	if errors.Is(err, io.EOF) { // shortened while we read
		return cloud.Final(fmt.Errorf("%w: %w", cloud.ErrRange, io.ErrUnexpectedEOF))
	}
	if err != nil {
		return classify(err)
	}
	r.ahead, r.off, r.left = got, r.off+int64(len(got)), r.left-int64(len(got))
	return nil
}

func (r *reader) Close() error { return r.file.Close() }
