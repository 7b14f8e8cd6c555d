package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	driveapi "google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"

	"coffer/cloud"
)

// maxTwins is how many files of one name are tried until one is there.
const maxTwins = 100

// lookup returns the files of a name, the object first: from the index, or by
// asking, since the file may be younger than the last listing.
func (d *Driver) lookup(ctx context.Context, name string) ([]entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if known := d.index.of(name); len(known) > 0 {
		return known, nil // to be read even if the folder is in the trash by now
	}
	p, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.search(ctx, p, name); err != nil {
		return nil, err
	}
	return d.index.of(name), nil
}

// search asks for the files of one name.
func (d *Driver) search(ctx context.Context, p *place, name string) error {
	q := p.inside() + " and name = '" + quote(name) + "' and trashed = false"
	return d.pages(ctx, q, fileFields, func(files []*driveapi.File) bool {
		for _, f := range files {
			if e, ok := entryOf(f); ok && e.name == name { // Drive compares loosely
				d.index.learn(e)
			}
		}
		return true
	})
}

// meta asks for one file by its id, which is always right, unlike a listing.
func (d *Driver) meta(ctx context.Context, id string) (*driveapi.File, error) {
	f, err := d.api.Files.Get(id).Fields(fileFields).Context(ctx).Do()
	if err != nil {
		return nil, classify(err)
	}
	return f, nil
}

// confirm asks for the object by id, and forgets what is not there any more.
// None left: ErrNotFound.
func (d *Driver) confirm(ctx context.Context, name string) (entry, error) {
	for searched := false; ; searched = true {
		known, err := d.lookup(ctx, name)
		if err != nil {
			return entry{}, err
		}
		for _, e := range known {
			f, err := d.meta(ctx, e.id)
			if err != nil && !isNotFound(err) {
				return entry{}, err
			}
			if err == nil {
				if now, ok := entryOf(f); ok && now.name == name {
					d.index.learn(now)
					return now, nil
				}
			}
			d.index.drop(name, e.id)
		}
		if searched || len(known) == 0 {
			return entry{}, &classed{fmt.Errorf("%w in drive", cloud.ErrNotFound)}
		}
	}
}

// Stat implements [cloud.Stater].
func (d *Driver) Stat(ctx context.Context, name string) (cloud.Object, error) {
	e, err := d.confirm(ctx, name)
	if err != nil {
		return cloud.Object{}, err
	}
	return cloud.Object{Name: e.name, Size: e.size}, nil
}

// Get implements [cloud.Driver].
func (d *Driver) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	for range maxTwins {
		known, err := d.lookup(ctx, name)
		if err != nil {
			return nil, err
		}
		if len(known) == 0 {
			break
		}
		e := known[0]
		length := n
		if n < 0 {
			length = e.size - off
		}
		if off > e.size || length > e.size-off {
			return nil, cloud.ErrRange
		}
		r, err := d.open(ctx, e, off, length)
		if !isNotFound(err) {
			return r, err
		}
		d.index.drop(name, e.id) // another device deleted it: is there another?
	}
	return nil, &classed{fmt.Errorf("%w in drive", cloud.ErrNotFound)}
}

// open opens length bytes of a file.
func (d *Driver) open(ctx context.Context, e entry, off, length int64) (io.ReadCloser, error) {
	if length == 0 {
		if _, err := d.meta(ctx, e.id); err != nil { // there is no range of no bytes
			return nil, err
		}
		return &exactReader{Reader: strings.NewReader(""), Closer: io.NopCloser(nil)}, nil
	}
	res, err := d.download(ctx, e.id, off, length)
	if err != nil {
		return nil, err
	}
	want := fmt.Sprintf("bytes %d-%d/%d", off, off+length-1, e.size)
	whole := off == 0 && length == e.size && res.StatusCode == http.StatusOK
	if !whole && (res.StatusCode != http.StatusPartialContent || res.Header.Get("Content-Range") != want) {
		res.Body.Close()
		return nil, &classed{fmt.Errorf("%w: drive sent another range", cloud.ErrOffline)}
	}
	return &exactReader{Reader: res.Body, Closer: res.Body, size: length, left: length}, nil
}

// download asks for a range of a file. It always names one, for then net/http
// does not ask for compression, which would hide the length.
//
// What Drive's scanner takes for malware (sealed bytes look like anything) it
// gives to its owner only if asked twice.
func (d *Driver) download(ctx context.Context, id string, off, length int64) (*http.Response, error) {
	call := d.api.Files.Get(id).Context(ctx)
	call.Header().Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+length-1))
	res, err := call.Download()
	var refusal *googleapi.Error
	if errors.As(err, &refusal) && reasonOf(refusal) == "cannotDownloadAbusiveFile" {
		res, err = call.AcknowledgeAbuse(true).Download()
	}
	if err != nil {
		return nil, classify(err)
	}
	return res, nil
}

// An exactReader gives size bytes and then io.EOF, or an error that is not.
type exactReader struct {
	io.Reader
	io.Closer
	size, left int64
}

// Size is how many bytes there will be.
func (r *exactReader) Size() int64 { return r.size }

func (r *exactReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.Reader.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if r.left == 0 {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, classify(err)
}

// List implements [cloud.Driver]. A listing of the last minute is not asked for
// again: [Driver.Put] and Delete keep it up to date for what this device does.
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(cloud.Object{}, err)
			return
		}
		if _, fresh := d.index.isListed(); !fresh {
			wanted, err := d.relist(ctx, prefix, yield)
			if err != nil {
				yield(cloud.Object{}, err)
			}
			if err != nil || !wanted {
				return
			}
		}
		for _, o := range d.index.objects(prefix) { // names may repeat
			if !yield(o, nil) {
				return
			}
		}
	}
}

// relist asks for all files, and passes them on as they come: a hundred
// pages take longer than the Store waits for a sign of life. It reports whether
// the caller wants more.
func (d *Driver) relist(ctx context.Context, prefix string, yield func(cloud.Object, error) bool) (wanted bool, err error) {
	p, err := d.look(ctx)
	if err != nil {
		return true, err
	}
	began, shown := time.Now(), map[string]bool{}
	wanted = true
	err = d.pages(ctx, p.inside()+" and trashed = false", fileFields, func(files []*driveapi.File) bool {
		for _, f := range files {
			e, ok := entryOf(f)
			if !ok || len(e.parent) > 0 && !slices.Contains(p.all, e.parent) {
				continue
			}
			d.index.learn(e)
			shown[e.id] = true
			if best := d.index.of(e.name); wanted && len(best) > 0 && strings.HasPrefix(e.name, prefix) {
				wanted = yield(cloud.Object{Name: e.name, Size: best[0].size}, nil)
			}
		}
		return wanted
	})
	if err == nil && wanted {
		d.index.listed(began, shown)
	}
	return wanted, err
}

// look finds the place anew if it was found some time ago: the folder may be in
// the trash now, or another device may have made one too.
func (d *Driver) look(ctx context.Context) (*place, error) {
	if ever, _ := d.index.isListed(); !ever {
		return d.enter(ctx) // found a moment ago, or now
	}
	if err := d.entering.Lock(ctx); err != nil {
		return nil, err
	}
	defer d.entering.Unlock()
	return d.find(ctx)
}
