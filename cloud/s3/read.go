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
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"coffer/cloud"
)

// An entry is one version of an object, as the server describes it.
type entry struct {
	version string // "" where the bucket has no versions
	size    int64
	sum     string // SHA-256 in hex, or "" if the server does not say
}

// named reports whether bytes with that SHA-256 (hex) are those of the name. Not
// every name promises some.
func named(name, sum string) bool {
	_, digits, ok := strings.Cut(name, "-")
	return !ok || sum != "" && strings.HasPrefix(sum, digits)
}

// Stat implements [cloud.Stater].
func (d *Driver) Stat(ctx context.Context, name string) (cloud.Object, error) {
	e, err := d.find(ctx, name)
	if err != nil {
		return cloud.Object{}, err
	}
	return cloud.Object{Name: name, Size: e.size}, nil
}

// Get implements [cloud.Driver]. In a bucket with versions, bytes that are not
// those of the name are passed on, for nobody knows before their end; but the
// next Get of that name looks for better ones by reading all its versions.
func (d *Driver) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	p, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	if !p.versioned() {
		return d.get(ctx, name, "", off, n)
	}
	r, err := d.getVersion(ctx, name, off, n)
	if err != nil || off > 0 || n >= 0 || named(name, "") {
		return r, err
	}
	return &watchedReader{ReadCloser: r, sum: sha256.New(), end: func(sum string) {
		if !named(name, sum) {
			d.doubt(name)
		}
	}}, nil
}

// getVersion finds the right version.
func (d *Driver) getVersion(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if d.isHidden(name) {
		return nil, errHidden
	}
	if version := d.pinned(name); version != "" {
		r, err := d.get(ctx, name, version, off, n)
		if !isAbsent(err) {
			return r, err
		}
		d.unpin(name)
	}
	r, now, err := d.open(ctx, name, "", off, n)
	if err == nil && named(name, now.sum) && !d.isDoubted(name) {
		d.pin(name, now.version)
		return r, nil
	}
	if err != nil && !isAbsent(err) && !errors.Is(err, cloud.ErrRange) { // what covers it may be shorter
		return nil, err
	}
	e, err := d.find(ctx, name)
	if r != nil && (err != nil || e.version != now.version) {
		r.Close()
	}
	switch {
	case err != nil:
		return nil, err
	case r != nil && e.version == now.version:
		return r, nil
	}
	return d.get(ctx, name, e.version, off, n)
}

// A watchedReader tells the SHA-256 (hex) of what it gave, at its end.
type watchedReader struct {
	io.ReadCloser
	sum hash.Hash
	end func(sum string)
}

// Size is how many bytes there will be.
func (r *watchedReader) Size() int64 {
	if sized, ok := r.ReadCloser.(interface{ Size() int64 }); ok {
		return sized.Size()
	}
	return 0
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && r.end != nil {
		r.end(hex.EncodeToString(r.sum.Sum(nil)))
		r.end = nil
	}
	return n, err
}

// get is open without the entry.
func (d *Driver) get(ctx context.Context, name, version string, off, n int64) (io.ReadCloser, error) {
	r, _, err := d.open(ctx, name, version, off, n)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// errHidden: it is there, locked; but this driver deleted it.
var errHidden = fmt.Errorf("s3: deleted: %w", cloud.ErrNotFound)

// isAbsent: no such key or version, or a delete marker.
func isAbsent(err error) bool {
	return errors.Is(err, cloud.ErrNotFound) || errors.Is(err, errNoMethod)
}

// stat describes one version; "": the current one.
func (d *Driver) stat(ctx context.Context, name, version string) (entry, error) {
	var e entry
	err := d.with(ctx, func(ctx context.Context, p *place, n *note) error {
		_, err := p.core.StatObject(ctx, d.at.bucket, d.key(name), minio.StatObjectOptions{VersionID: version, Checksum: true})
		if err == nil {
			e, err = describe(n.header, n.length)
		}
		return err
	})
	var a *answer
	if errors.As(err, &a) && a.code == "" && !a.marker {
		return d.explain(ctx, name, version, err)
	}
	return e, err
}

// explain finds the reason of a refused HEAD, whose answer has no room for one: a
// bucket that is gone must not look like an object that is. If the object is there
// after all (some servers know no HEAD of a version) it is described.
func (d *Driver) explain(ctx context.Context, name, version string, refused error) (entry, error) {
	r, e, err := d.request(ctx, name, version, 0, -1)
	switch {
	case err == nil:
		return e, r.Close()
	case errors.Is(err, errNoMethod):
		return entry{}, refused
	}
	return entry{}, err
}

// describe reads the headers of an object of the given size.
func describe(h http.Header, size int64) (entry, error) {
	if size < 0 {
		return entry{}, errNotS3
	}
	e := entry{version: h.Get("X-Amz-Version-Id"), size: size}
	// The sum of an upload in parts has a dash in it, and is of something else.
	if sum, err := base64.StdEncoding.DecodeString(h.Get(sumHeader)); err == nil && len(sum) == 32 {
		e.sum = hex.EncodeToString(sum)
	}
	return e, nil
}

// errOtherRange: not the bytes that were asked for.
var errOtherRange = fmt.Errorf("s3: server sent another range: %w", cloud.ErrOffline)

// open opens n bytes of a version from off; the entry is that of the whole.
func (d *Driver) open(ctx context.Context, name, version string, off, n int64) (io.ReadCloser, entry, error) {
	if n == 0 || n > 0 && off > math.MaxInt64-n { // no request can say that
		return d.openNothing(ctx, name, version, off, n)
	}
	r, e, err := d.request(ctx, name, version, off, n)
	if n < 0 && errors.Is(err, cloud.ErrRange) {
		return d.openNothing(ctx, name, version, off, n) // at its end, perhaps
	}
	return r, e, err
}

// openNothing opens an empty range, if it is within the object.
func (d *Driver) openNothing(ctx context.Context, name, version string, off, n int64) (io.ReadCloser, entry, error) {
	e, err := d.stat(ctx, name, version)
	if err != nil {
		return nil, entry{}, err
	}
	if off > e.size || n > 0 || n < 0 && off != e.size {
		return nil, entry{}, cloud.ErrRange
	}
	return &exactReader{ctx: ctx, body: io.NopCloser(strings.NewReader(""))}, e, nil
}

// request asks for a range that is not empty (n < 0: to the end).
func (d *Driver) request(ctx context.Context, name, version string, off, n int64) (io.ReadCloser, entry, error) {
	opts := minio.GetObjectOptions{VersionID: version, Checksum: true}
	opts.Set("Accept-Encoding", "identity") // compression would hide the length
	switch {
	case n > 0:
		opts.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	case off > 0:
		opts.Set("Range", fmt.Sprintf("bytes=%d-", off))
	}
	var body io.ReadCloser
	var got note
	err := d.with(ctx, func(ctx context.Context, p *place, n *note) (err error) {
		body, _, _, err = p.core.GetObject(ctx, d.at.bucket, d.key(name), opts)
		got = *n
		return err
	})
	if err != nil {
		return nil, entry{}, err
	}
	r := &exactReader{ctx: ctx, body: body, host: d.at.host}
	e, err := r.fit(&got, off, n)
	if err != nil {
		body.Close()
		return nil, entry{}, err
	}
	return r, e, nil
}

// An exactReader gives size bytes and then io.EOF, or an error that is not.
type exactReader struct {
	ctx        context.Context
	body       io.ReadCloser
	host       string
	skip       int64 // bytes before the range, from a server that ignores ranges
	size, left int64
}

// fit holds the answer against what was asked for.
func (r *exactReader) fit(got *note, off, n int64) (entry, error) {
	from, to, total := int64(0), got.length-1, got.length
	if got.status == http.StatusPartialContent {
		var ok bool
		if from, to, total, ok = parseRange(got.header.Get("Content-Range")); !ok || from != off {
			return entry{}, errOtherRange
		}
	}
	e, err := describe(got.header, total)
	if err != nil {
		return entry{}, err
	}
	if n < 0 {
		n = total - off
	}
	if off > total || n > total-off {
		return entry{}, cloud.ErrRange
	}
	if got.status == http.StatusPartialContent && (to != off+n-1 || got.length != n) {
		return entry{}, errOtherRange
	}
	r.skip, r.size, r.left = off-from, n, n
	return e, nil
}

// parseRange reads "bytes 0-99/1234" (RFC 9110, section 14.4), with all of it
// known.
func parseRange(text string) (from, to, total int64, ok bool) {
	rest, isBytes := strings.CutPrefix(text, "bytes ")
	span, size, hasSize := strings.Cut(rest, "/")
	first, last, hasLast := strings.Cut(span, "-")
	if !isBytes || !hasSize || !hasLast {
		return 0, 0, 0, false
	}
	var numbers [3]int64
	for i, digits := range []string{first, last, size} {
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil {
			return 0, 0, 0, false
		}
		numbers[i] = int64(n)
	}
	from, to, total = numbers[0], numbers[1], numbers[2]
	return from, to, total, from <= to && to < total
}

// Size is how many bytes there will be.
func (r *exactReader) Size() int64 { return r.size }

func (r *exactReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.skip > 0 {
		skipped, err := io.CopyN(io.Discard, r.body, r.skip)
		r.skip -= skipped
		if err != nil {
			return 0, r.broken(err)
		}
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if r.left == 0 || err == nil {
		return n, nil
	}
	return n, r.broken(err)
}

func (r *exactReader) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return offline(r.ctx, r.host, err)
}

// Close gives up what was not read.
func (r *exactReader) Close() error {
	r.left = 0
	return r.body.Close()
}
