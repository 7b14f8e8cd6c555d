package drive

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	driveapi "google.golang.org/api/drive/v3"

	"coffer/cloud"
)

// Put implements [cloud.Driver]. When it is cancelled or fails, the next Put of
// the same bytes goes on at the byte, in this process or another one.
func (d *Driver) Put(ctx context.Context, name string, src cloud.Source) error {
	return d.limits.judge(d.put(ctx, name, src))
}

func (d *Driver) put(ctx context.Context, name string, src cloud.Source) error {
	if err := honest(ctx, src); err != nil {
		return err
	}
	unlock, err := d.names.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := d.enter(ctx)
	if err != nil {
		return err
	}
	present, err := d.existing(ctx, name)
	if err == nil {
		err := d.compare(ctx, present, src)
		if err == nil || errors.Is(err, cloud.ErrExists) {
			d.journal.remove(name) // of a program that was killed when the upload had ended
		}
		return err
	}
	if !isNotFound(err) {
		return err
	}
	if src.Size() > small {
		d.journal.keep(name, src)
	}
	u := &upload{d: d, name: name, src: src, ticket: d.journal.load(name, p.home, src), folder: p.home}
	f, err := u.run(ctx)
	if err != nil {
		return err
	}
	d.limits.taken()
	return d.accept(ctx, f, name, src)
}

// honest reads src and holds it against its promise, before anything is sent:
// afterwards the wrong bytes would be there, if only for a moment.
func honest(ctx context.Context, src cloud.Source) error {
	sum := sha256.New()
	if err := digest(ctx, sum, src); err != nil {
		return fmt.Errorf("read source: %w", err)
	}
	if want := src.SHA256(); [32]byte(sum.Sum(nil)) != want {
		return &classed{fmt.Errorf("%w: the source is not what it promised", cloud.ErrChecksum)}
	}
	return nil
}

// digest writes all of src into h.
func digest(ctx context.Context, h hash.Hash, src cloud.Source) error {
	buf := make([]byte, min(src.Size(), 1<<20))
	for off := int64(0); off < src.Size(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := src.ReadAt(buf[:min(int64(len(buf)), src.Size()-off)], off)
		h.Write(buf[:n])
		off += int64(n)
		if err != nil && (!errors.Is(err, io.EOF) || off < src.Size()) {
			return err
		}
	}
	return ctx.Err()
}

// existing returns the object of that name, which is there now, or ErrNotFound.
// After a whole listing a name that is not known is not asked for: should
// another device be writing it at this moment, its bytes are the same.
func (d *Driver) existing(ctx context.Context, name string) (entry, error) {
	if ever, _ := d.index.isListed(); ever && len(d.index.of(name)) == 0 {
		return entry{}, cloud.ErrNotFound
	}
	return d.confirm(ctx, name)
}

// compare returns nil if the file has the bytes of src, and ErrExists otherwise.
func (d *Driver) compare(ctx context.Context, e entry, src cloud.Source) error {
	equal, err := d.equal(ctx, e, src)
	if err != nil {
		return err
	}
	if !equal {
		return &classed{fmt.Errorf("%w in drive", cloud.ErrExists)}
	}
	return nil
}

// equal reports whether the file has the bytes of src: by SHA-256, by MD5 where
// Drive gives no better, and else by reading it back.
func (d *Driver) equal(ctx context.Context, e entry, src cloud.Source) (bool, error) {
	if equal, sure := e.holds(src); sure {
		return equal, nil
	}
	if e.md5 != "" {
		sum := md5.New() // against accidents on the way: who can forge is Drive itself
		if err := digest(ctx, sum, src); err != nil {
			return false, fmt.Errorf("read source: %w", err)
		}
		return hex.EncodeToString(sum.Sum(nil)) == e.md5, nil
	}
	r, err := d.open(ctx, e, 0, e.size)
	if err != nil {
		return false, fmt.Errorf("read back: %w", err)
	}
	defer r.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return false, fmt.Errorf("read back: %w", err)
	}
	return [32]byte(sum.Sum(nil)) == src.SHA256(), nil
}

// accept holds what Drive stored against what was sent. After it the object is
// there. A file of other bytes is deleted.
func (d *Driver) accept(ctx context.Context, f *driveapi.File, name string, src cloud.Source) error {
	if f.Trashed { // as are all files of a folder that is; the journal stays, for after Restore
		d.index.stale()
		d.setPlace(nil) // so that no more is sent into the trash
		return &classed{cloud.ErrTrashed}
	}
	e, ok := entryOf(f)
	if !ok || e.name != name {
		return &classed{fmt.Errorf("%w: drive made another file", cloud.ErrOffline)}
	}
	equal, err := d.equal(ctx, e, src)
	if err != nil {
		return err
	}
	if !equal {
		if err := d.deleteFile(ctx, name, e.id); err != nil {
			return err
		}
		d.journal.remove(name)
		return &classed{fmt.Errorf("%w: drive stored other bytes", cloud.ErrChecksum)}
	}
	e.own = time.Now()
	d.index.learn(e)
	d.own.add(e, false)
	d.journal.remove(name)
	return nil
}

// Delete implements [cloud.Driver]: all files of that name, past the trash,
// where they would still fill the account.
func (d *Driver) Delete(ctx context.Context, name string) error {
	unlock, err := d.names.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	p, err := d.enter(ctx)
	if err != nil {
		return err
	}
	if ever, _ := d.index.isListed(); !ever || len(d.index.of(name)) == 0 {
		if err := d.search(ctx, p, name); err != nil {
			return err
		}
	}
	for _, e := range d.index.of(name) {
		if err := d.deleteFile(ctx, name, e.id); err != nil {
			return err
		}
	}
	d.journal.remove(name)
	return nil
}

// deleteFile deletes one file and forgets it. That it is gone is no error.
func (d *Driver) deleteFile(ctx context.Context, name, id string) error {
	err := classify(d.api.Files.Delete(id).Context(ctx).Do())
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("delete file: %w", err)
	}
	d.index.drop(name, id)
	d.own.add(entry{name: name, id: id, own: time.Now()}, true)
	return nil
}
