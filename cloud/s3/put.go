package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/minio/minio-go/v7"

	"coffer/cloud"
)

const sumHeader = "X-Amz-Checksum-Sha256"

// Put implements [cloud.Driver].
func (d *Driver) Put(ctx context.Context, name string, src cloud.Source) error {
	if src.Size() == 0 && src.SHA256() != sha256.Sum256(nil) {
		return errSource // there is no byte that could be held back
	}
	f, err := d.probed(ctx)
	if err != nil {
		return err
	}
	if !f.ifAbsent {
		unlock, err := d.names.lock(ctx, name)
		if err != nil {
			return err
		}
		defer unlock()
		if err := d.settle(ctx, name, src); !errors.Is(err, cloud.ErrNotFound) {
			return err
		}
	}
	made, err := d.send(ctx, name, src, f)
	switch {
	case errors.Is(err, errTaken):
		return d.taken(ctx, name, src)
	case errors.Is(err, errBusy):
		if settled := d.settle(ctx, name, src); !errors.Is(settled, cloud.ErrNotFound) {
			return settled
		}
		return err
	case err != nil:
		return fmt.Errorf("send object: %w", err)
	}
	d.hide(name, false)
	if err := d.accept(ctx, name, src, f, made); err != nil {
		return err
	}
	return d.assureLock(ctx, name, made.version)
}

// taken is Put of a name that the server says exists.
func (d *Driver) taken(ctx context.Context, name string, src cloud.Source) error {
	// Some servers also say so of a name that is only hidden. Even if this driver
	// hid it, the bytes may do now.
	hidden := d.isHidden(name)
	d.hide(name, false)
	err := d.settle(ctx, name, src)
	if err != nil {
		d.hide(name, hidden)
	}
	if errors.Is(err, cloud.ErrNotFound) {
		return errBusy // gone again: another try will tell
	}
	return err
}

// A stored object is what the server says of a PUT.
type stored struct {
	version string
	sum     string // SHA-256 in Base64, or ""
}

// send puts src under name, in one request.
func (d *Driver) send(ctx context.Context, name string, src cloud.Source, f *features) (stored, error) {
	want := src.SHA256()
	opts := minio.PutObjectOptions{DisableContentSha256: true} // no stream of signed chunks
	if f.sum {
		opts.UserMetadata = map[string]string{sumHeader: base64.StdEncoding.EncodeToString(want[:])}
	}
	if f.ifAbsent {
		opts.SetMatchETagExcept("*")
	}
	if until := d.until(); !until.IsZero() {
		opts.Mode, opts.RetainUntilDate = minio.Compliance, until
	}
	var u *upload
	var made stored
	err := d.with(ctx, func(ctx context.Context, p *place, n *note) error {
		u = &upload{ctx: ctx, src: src, sum: sha256.New()}
		info, err := p.core.PutObject(ctx, d.at.bucket, d.key(name), u, src.Size(), "", hex.EncodeToString(want[:]), opts)
		if err == nil {
			made = stored{info.VersionID, n.header.Get(sumHeader)}
		}
		return err
	})
	if err != nil && u != nil && u.err != nil {
		return stored{}, u.err // the connection broke because the source did
	}
	return made, err
}

var errSource = fmt.Errorf("s3: the source is not what it promised: %w", cloud.ErrChecksum)

// An upload reads a source once. It gives the last bytes away only if all of
// them hash to what was promised: without them the server has no whole object.
type upload struct {
	ctx context.Context
	src cloud.Source
	off int64
	sum hash.Hash
	err error // of the source; the connection knows only that it broke
}

func (u *upload) Read(p []byte) (int, error) {
	switch {
	case u.err != nil:
		return 0, u.err
	case u.off == u.src.Size():
		return 0, io.EOF
	case u.ctx.Err() != nil:
		return 0, u.ctx.Err()
	}
	p = p[:min(int64(len(p)), u.src.Size()-u.off)]
	n, err := u.src.ReadAt(p, u.off)
	if n < len(p) {
		u.err = fmt.Errorf("read source: %w", err)
		return 0, u.err
	}
	u.sum.Write(p)
	if u.off+int64(n) == u.src.Size() && [32]byte(u.sum.Sum(nil)) != u.src.SHA256() {
		u.err = errSource
		return 0, u.err
	}
	u.off += int64(n)
	return n, nil
}

// accept holds what the server stored against what was sent. Other bytes go away.
func (d *Driver) accept(ctx context.Context, name string, src cloud.Source, f *features, made stored) error {
	want := src.SHA256()
	equal := f.checks // it compared the bytes with the hash of the request
	if f.sum && made.sum != "" {
		equal = made.sum == base64.StdEncoding.EncodeToString(want[:])
		if equal {
			d.mu.Lock()
			d.summed = true
			d.mu.Unlock()
		}
	} else if !equal {
		var err error
		if equal, err = d.holds(ctx, name, made.version, src); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
	}
	if equal {
		if made.version != "" {
			d.pin(name, made.version)
		}
		return nil
	}
	d.unpin(name)
	if err := d.removeKey(ctx, d.key(name), made.version); err != nil {
		return errors.Join(errSum, fmt.Errorf("remove what was stored: %w", err))
	}
	return errSum
}

// settle is Put of a name that exists: nil for the same bytes, which get their
// lock, ErrExists for others, ErrNotFound if there is none after all.
func (d *Driver) settle(ctx context.Context, name string, src cloud.Source) error {
	e, err := d.find(ctx, name)
	if err != nil {
		return err
	}
	if e.size != src.Size() {
		return fmt.Errorf("%w in the bucket", cloud.ErrExists)
	}
	want := src.SHA256()
	equal := e.sum == hex.EncodeToString(want[:])
	if f := d.known(); e.sum == "" || f == nil || !f.sum {
		if equal, err = d.holds(ctx, name, e.version, src); err != nil {
			return fmt.Errorf("compare: %w", err)
		}
	}
	if !equal {
		return fmt.Errorf("%w in the bucket", cloud.ErrExists)
	}
	if err := d.reveal(ctx, name); err != nil {
		return err
	}
	if until := d.until(); !until.IsZero() {
		return d.prolong(ctx, name, e.version, until)
	}
	return nil
}

// holds reads a version to its end, and reports whether it has the bytes of src.
func (d *Driver) holds(ctx context.Context, name, version string, src cloud.Source) (bool, error) {
	sum, size, err := d.digest(ctx, name, version, src.Size())
	return err == nil && size == src.Size() && sum == src.SHA256(), err
}

// digest hashes a version. One that is not of the wanted size is not read
// (wanted -1: any size).
func (d *Driver) digest(ctx context.Context, name, version string, wanted int64) (sum [32]byte, size int64, err error) {
	r, e, err := d.open(ctx, name, version, 0, -1)
	if err != nil {
		return sum, 0, err
	}
	defer r.Close()
	if wanted >= 0 && e.size != wanted {
		return sum, e.size, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return sum, 0, err
	}
	return [32]byte(h.Sum(nil)), e.size, nil
}
