package icloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"coffer/cloud"
)

// pieceSize is how much is read, hashed and written at once.
const pieceSize = 256 << 10

// errFleeting: the name was taken when we renamed, and free when we looked.
var errFleeting = errors.New("the object came and went")

// Put implements [cloud.Driver]. When it returns, the object is on this computer
// and will be uploaded when iCloud likes to; see [Driver.Confirm].
func (d *Driver) Put(ctx context.Context, name string, src cloud.Source) error {
	err := d.put(ctx, name, src)
	if errors.Is(err, fs.ErrNotExist) {
		err = offlineIfGone(err)
	}
	return classify(err)
}

func (d *Driver) put(ctx context.Context, name string, src cloud.Source) error {
	there, err := d.holds(ctx, name, src)
	if err != nil {
		return err
	}
	if there {
		// The try before this one may have been cut between rename and flush.
		return d.do(ctx, func() error { return d.system.flush(d.folder) })
	}
	// Two tries: the first may find that the staging is on another file system.
	for range 2 {
		err = d.publish(ctx, name, src)
		if !errors.Is(err, errOtherDevice) {
			break
		}
		d.apart.Store(true)
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if there, err = d.holds(ctx, name, src); err != nil || there { // another writer was faster
		return err
	}
	return fmt.Errorf("%w: %w", cloud.ErrOffline, errFleeting)
}

// do is attempt for what has no result.
func (d *Driver) do(ctx context.Context, f func() error) error {
	_, err := attempt(ctx, func() (struct{}, error) { return struct{}{}, f() }, nil)
	return err
}

// holds reports whether name has the bytes of src already. Other bytes are
// ErrExists. An absent file is downloaded to be compared: its name promises
// bytes that a thief, too, could have given it.
func (d *Driver) holds(ctx context.Context, name string, src cloud.Source) (bool, error) {
	size, err := attempt(ctx, func() (int64, error) {
		if err := d.here(); err != nil {
			return 0, err
		}
		if e, err := d.system.stat(filepath.Join(d.folder, name)); err == nil && !e.regular {
			return -1, nil // a folder or a link has the name
		}
		e, err := d.find(name)
		return e.size, err
	}, nil)
	if errors.Is(err, cloud.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if size != src.Size() {
		return false, cloud.ErrExists
	}
	r, err := d.Get(ctx, name, 0, size)
	if errors.Is(err, cloud.ErrNotFound) {
		return false, nil // taken away since
	}
	if errors.Is(err, cloud.ErrRange) {
		return false, cloud.ErrExists
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return false, err
	}
	want := src.SHA256()
	if !bytes.Equal(sum.Sum(nil), want[:]) {
		return false, cloud.ErrExists
	}
	return true, nil
}

// publish writes src beside the folder, or in it under a temporary name, and
// gives it its name.
func (d *Driver) publish(ctx context.Context, name string, src cloud.Source) error {
	dir := d.staging
	if d.apart.Load() {
		dir = d.folder
	}
	temp, err := d.stage(ctx, dir, src)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(err, d.discard(ctx, temp))
	}
	return d.do(ctx, func() error {
		// A worker that is left behind still finishes, and tidies up, alone.
		err := d.rename(temp, filepath.Join(d.folder, name)) // COMMIT
		if err != nil {
			err = errors.Join(err, d.drop(temp))
		}
		return err
	})
}

// rename gives temp its name, which must be free, and flushes the folder.
func (d *Driver) rename(temp, path string) error {
	err := d.system.rename(temp, path)
	if errors.Is(err, errors.ErrUnsupported) {
		err = d.renameAfterLook(temp, path)
	}
	if err != nil {
		return err
	}
	return d.system.flush(d.folder)
}

// renameAfterLook is for file systems that cannot rename exclusively. Within this
// process the lock makes it so.
func (d *Driver) renameAfterLook(temp, path string) error {
	d.lastResort.Lock()
	defer d.lastResort.Unlock()
	if _, err := d.system.stat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fs.ErrExist
		}
		return err
	}
	return d.system.replace(temp, path)
}

// stage writes and flushes src under a temporary name in dir, or leaves nothing.
func (d *Driver) stage(ctx context.Context, dir string, src cloud.Source) (temp string, err error) {
	type created struct {
		path string
		file file
	}
	c, err := attempt(ctx, func() (created, error) {
		path, f, err := d.system.create(dir)
		return created{path, f}, err
	}, func(c created) { // nobody waited
		c.file.Close()
		_ = d.system.remove(c.path) // else Maintain does
	})
	if err != nil {
		return "", err
	}
	err = d.fill(ctx, c.file, src)
	if closing := c.file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return "", errors.Join(err, d.discard(ctx, c.path))
	}
	return c.path, nil
}

// discard removes a temporary file, also when ctx is done; but then it must not
// wait for long. The worker goes on, and after it there is Maintain.
func (d *Driver) discard(ctx context.Context, temp string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := d.do(ctx, func() error { return d.drop(temp) })
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// drop is discard without a worker of its own.
func (d *Driver) drop(temp string) error {
	err := d.system.remove(temp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// fill writes src to f and flushes it, if its bytes are the promised ones. When
// a write is left behind, so is the piece.
func (d *Driver) fill(ctx context.Context, f file, src cloud.Source) error {
	sum := sha256.New()
	piece := make([]byte, min(src.Size(), pieceSize))
	for done := int64(0); done < src.Size(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := piece[:min(src.Size()-done, pieceSize)]
		if _, err := io.ReadFull(io.NewSectionReader(src, done, int64(len(part))), part); err != nil {
			return err
		}
		sum.Write(part)
		err := d.do(ctx, func() error {
			_, err := f.Write(part)
			return err
		})
		if err != nil {
			return err
		}
		done += int64(len(part))
	}
	want := src.SHA256()
	if !bytes.Equal(sum.Sum(nil), want[:]) {
		return cloud.ErrChecksum
	}
	return d.do(ctx, f.Sync)
}

// Delete implements [cloud.Driver]: the file, and a stub of it. A sync client
// may bring it back; the next prune deletes it again.
func (d *Driver) Delete(ctx context.Context, name string) error {
	return classify(d.do(ctx, func() error {
		if err := d.here(); err != nil {
			return err
		}
		for _, own := range []string{name, stubName(name)} {
			path := filepath.Join(d.folder, own)
			e, err := d.system.stat(path)
			if errors.Is(err, fs.ErrNotExist) || err == nil && !e.regular {
				continue // gone, or foreign
			}
			if err == nil {
				err = d.system.remove(path)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}))
}
