package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"

	"coffer/cloud"
)

// openObject opens the file of an object, and nothing else: ErrNotFound for a
// link, a pipe or a folder of that name. Links lead elsewhere, and opening a
// pipe waits for ever.
func openObject(root *os.Root, name string) (*os.File, error) {
	before, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !before.Mode().IsRegular() {
		return nil, cloud.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cloud.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	// What was looked at and what was opened must be one: someone may have put
	// a link there in between.
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = cloud.ErrNotFound
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Get implements [cloud.Driver].
func (d *Driver) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	root, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := openObject(root, name)
	if err != nil {
		return nil, classify(err)
	}
	r, err := section(ctx, f, off, n)
	if err != nil {
		return nil, errors.Join(classify(err), f.Close())
	}
	d.remember(cloud.Object{Name: name, Size: r.total})
	return r, nil
}

func section(ctx context.Context, f *os.File, off, n int64) (*reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if n < 0 {
		n = max(0, size-off)
	}
	if off > size || n > size-off {
		return nil, fmt.Errorf("%w: %d bytes from %d of %d", cloud.ErrRange, n, off, size)
	}
	return &reader{ctx: ctx, file: f, part: io.NewSectionReader(f, off, n), left: n, total: size}, nil
}

// A reader is a range of an object's file.
type reader struct {
	ctx   context.Context // of the one request that this reader is
	file  *os.File
	part  *io.SectionReader
	left  int64 // bytes that must still come
	total int64 // size of the object
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.part.Read(p)
	r.left -= int64(n)
	switch {
	case err == io.EOF && r.left > 0: // shortened while we read
		return n, cloud.Final(fmt.Errorf("%w: %w", cloud.ErrRange, io.ErrUnexpectedEOF))
	case err == nil || err == io.EOF:
		return n, err
	}
	return n, classify(err)
}

// Size returns how many bytes the range has.
func (r *reader) Size() int64 { return r.part.Size() }

func (r *reader) Close() error { return r.file.Close() }

// List implements [cloud.Driver].
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		root, err := d.enter(ctx)
		if err != nil {
			yield(cloud.Object{}, err)
			return
		}
		defer root.Close()
		err = list(ctx, root, prefix, func(object cloud.Object) bool {
			d.remember(object)
			return yield(object, nil)
		})
		if err != nil {
			yield(cloud.Object{}, classify(err))
		}
	}
}

// list calls found for each object until it returns false. It reads the folder
// in batches: a hundred thousand packs should not be in memory at once.
func list(ctx context.Context, root *os.Root, prefix string, found func(cloud.Object) bool) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := dir.ReadDir(1024)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, entry := range entries {
			object, ok, err := objectOf(entry, prefix)
			if err != nil {
				return err
			}
			if ok && !found(object) {
				return nil
			}
		}
	}
}

// objectOf returns the object that entry is, if it is one.
func objectOf(entry fs.DirEntry, prefix string) (cloud.Object, bool, error) {
	name := entry.Name()
	if !strings.HasPrefix(name, prefix) || !cloud.ValidName(name) {
		return cloud.Object{}, false, nil
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return cloud.Object{}, false, nil // deleted meanwhile
	}
	if err != nil {
		return cloud.Object{}, false, err
	}
	return cloud.Object{Name: name, Size: info.Size()}, info.Mode().IsRegular(), nil
}

// Stat implements [cloud.Stater].
func (d *Driver) Stat(ctx context.Context, name string) (cloud.Object, error) {
	root, err := d.enter(ctx)
	if err != nil {
		return cloud.Object{}, err
	}
	defer root.Close()
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return cloud.Object{}, cloud.ErrNotFound
	}
	if err != nil {
		return cloud.Object{}, classify(err)
	}
	return cloud.Object{Name: name, Size: info.Size()}, nil
}
