package folder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"coffer/cloud"
	"coffer/internal/durable"
)

const (
	// pieceSize is how much is read, hashed and written at once: it fits the
	// second-level cache, so that the bytes cross memory once.
	pieceSize = 256 << 10

	fileMode = 0o600
)

// Put implements [cloud.Driver]. Its promise costs two flushes, of the file and
// of the folder: measured on a virtual disk, 3.6 ms for an object of 1 KiB,
// nearly all of it flushing, and 100 ms for a pack of 16 MiB.
func (d *Driver) Put(ctx context.Context, name string, src cloud.Source) error {
	root, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer root.Close()
	err = d.put(ctx, root, name, src)
	if errors.Is(err, fs.ErrNotExist) {
		// The folder went away under us, or somebody cleaned our temporary file.
		return fmt.Errorf("%w: %w", cloud.ErrOffline, err)
	}
	if err != nil {
		return classify(err)
	}
	d.remember(cloud.Object{Name: name, Size: src.Size()})
	return nil
}

func (d *Driver) put(ctx context.Context, root *os.Root, name string, src cloud.Source) error {
	there, err := holds(ctx, root, name, src)
	if err != nil {
		return err
	}
	if there {
		// The try before this one may have been cut between its two flushes.
		return durable.SyncDir(root)
	}
	temp, err := stage(ctx, root, src)
	if err != nil {
		return err
	}
	err = d.publish(root, temp, name) // COMMIT
	if err == nil {
		return nil
	}
	if gone := root.Remove(temp); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Another writer was faster.
	if there, err = holds(ctx, root, name, src); err != nil || there {
		return err
	}
	return fmt.Errorf("%w: %w", cloud.ErrOffline, errFleeting)
}

// errFleeting: the name was taken when we published, and free when we looked.
var errFleeting = errors.New("the object came and went")

// publish gives temp its name, which must be free.
func (d *Driver) publish(root *os.Root, temp, name string) error {
	err := durable.Publish(root, temp, name)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	// No exclusive rename and no hard links: some FUSE mounts. Whole objects
	// matter more than one winner, so rename after a look; within this process
	// the lock makes it exclusive.
	d.loose.Store(true)
	d.lastResort.Lock()
	defer d.lastResort.Unlock()
	if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return err
	}
	return durable.Replace(root, temp, name)
}

// holds reports whether name has the bytes of src already. Other bytes, or
// something that is not a file, are ErrExists.
func holds(ctx context.Context, root *os.Root, name string, src cloud.Source) (bool, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || info.Size() != src.Size() {
		return false, cloud.ErrExists
	}
	f, err := openObject(root, name)
	if errors.Is(err, cloud.ErrNotFound) {
		return false, nil // deleted since
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := copyPieces(ctx, sum, f, src.Size()); err != nil {
		return false, err
	}
	want := src.SHA256()
	if !bytes.Equal(sum.Sum(nil), want[:]) {
		return false, cloud.ErrExists
	}
	return true, nil
}

// stage writes and flushes src under a temporary name, or leaves nothing.
func stage(ctx context.Context, root *os.Root, src cloud.Source) (temp string, err error) {
	f, temp, err := durable.Temp(root, fileMode)
	if err != nil {
		return "", err
	}
	err = fill(ctx, f, src)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		if gone := root.Remove(temp); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return "", err
	}
	return temp, nil
}

// fill writes src to f and flushes it, if its bytes are the promised ones.
func fill(ctx context.Context, f *os.File, src cloud.Source) error {
	sum := sha256.New()
	_, err := copyPieces(ctx, io.MultiWriter(sum, f), io.NewSectionReader(src, 0, src.Size()), src.Size())
	if err != nil {
		return err
	}
	want := src.SHA256()
	if !bytes.Equal(sum.Sum(nil), want[:]) {
		return cloud.ErrChecksum
	}
	return durable.Sync(f)
}

// copyPieces copies exactly size bytes, with a look at ctx between pieces.
func copyPieces(ctx context.Context, w io.Writer, r io.Reader, size int64) (int64, error) {
	piece := make([]byte, min(size, pieceSize))
	for done := int64(0); done < size; {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		n, err := io.ReadFull(r, piece[:min(size-done, pieceSize)])
		if err != nil {
			return done, err
		}
		if _, err := w.Write(piece[:n]); err != nil {
			return done, err
		}
		done += int64(n)
	}
	return size, ctx.Err()
}

// Delete implements [cloud.Driver]. It does not flush: what a power cut brings
// back is deleted again by the next prune.
func (d *Driver) Delete(ctx context.Context, name string) error {
	root, err := d.enter(ctx)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil // absent, or foreign
	}
	if err == nil {
		err = root.Remove(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return classify(err)
	}
	d.forget(name)
	return nil
}
