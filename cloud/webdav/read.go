package webdav

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"coffer/cloud"
)

const (
	// farAway is an offset that no object reaches. Servers read larger ones in
	// ways of their own.
	farAway = 1 << 50
	// maxUnsized is how many files of a listing may come without their size.
	maxUnsized = 1000
)

// Stat implements [cloud.Stater].
func (d *Driver) Stat(ctx context.Context, name string) (cloud.Object, error) {
	if err := d.enter(ctx); err != nil {
		return cloud.Object{}, err
	}
	size, _, err := d.look(ctx, name)
	if err != nil {
		return cloud.Object{}, err
	}
	return cloud.Object{Name: name, Size: size}, nil
}

// look asks for the size of an object or an upload, by HEAD, and by PROPFIND
// where that does not tell. The header may hold the server's own checksum.
func (d *Driver) look(ctx context.Context, name string) (int64, http.Header, error) {
	res, err := d.do(ctx, request{method: http.MethodHead, url: d.object(name)})
	if err != nil {
		return 0, nil, err
	}
	defer discard(res)
	switch status := res.StatusCode; {
	case status == http.StatusOK && isPage(res):
		return 0, nil, errPortal
	case status == http.StatusOK && res.ContentLength >= 0:
		return res.ContentLength, res.Header, nil
	case status == http.StatusOK, status == http.StatusNoContent, status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		size, err := d.measure(ctx, name)
		return size, res.Header, err
	default:
		return 0, nil, refused(objectTarget, status, res.Header)
	}
}

// measure asks for the size by PROPFIND. A folder of that name is errSubfolder.
func (d *Driver) measure(ctx context.Context, name string) (int64, error) {
	res, err := d.propfind(ctx, d.object(name), depthSelf, askList)
	if err != nil {
		return 0, err
	}
	defer discard(res)
	var self *item
	err = readItems(res.Body, defaultBounds(), func(i item) (bool, error) {
		self = &i
		return false, nil
	})
	switch {
	case err != nil:
		return 0, d.classify(ctx, err)
	case self == nil:
		return 0, errListing
	case self.status != http.StatusOK:
		return 0, refused(objectTarget, self.status, nil)
	case self.folder:
		return 0, errSubfolder
	case self.size < 0:
		return 0, cloud.Final(fmt.Errorf("%w: the server does not tell sizes", cloud.ErrUnsupported))
	}
	return self.size, nil
}

// Get implements [cloud.Driver]. Of a server that has no ranges the bytes before
// are read and thrown away.
func (d *Driver) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := d.enter(ctx); err != nil {
		return nil, err
	}
	if n == 0 || off >= farAway || n >= farAway {
		return d.edge(ctx, name, off, n)
	}
	header := map[string]string{}
	switch {
	case n > 0:
		header["Range"] = fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	case off > 0:
		header["Range"] = fmt.Sprintf("bytes=%d-", off)
	}
	res, err := d.do(ctx, request{method: http.MethodGet, url: d.object(name), header: header})
	if err != nil {
		return nil, err
	}
	switch res.StatusCode {
	case http.StatusRequestedRangeNotSatisfiable:
		discard(res)
		return d.edge(ctx, name, off, n)
	case http.StatusMethodNotAllowed: // of a folder
		if _, _, err := d.look(ctx, name); err != nil {
			discard(res)
			return nil, err
		}
	}
	r, err := d.part(ctx, res, off, n)
	if err != nil {
		discard(res)
		return nil, err
	}
	return r, nil
}

// edge answers for ranges that HTTP has no words for: those of no bytes.
func (d *Driver) edge(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	size, _, err := d.look(ctx, name)
	if err != nil {
		return nil, err
	}
	if off > size || n > size-off {
		return nil, fmt.Errorf("%w: %d bytes from %d of %d", cloud.ErrRange, n, off, size)
	}
	if n == 0 || off == size {
		return &partReader{body: io.NopCloser(strings.NewReader(""))}, nil
	}
	return nil, fmt.Errorf("%w: the server refused a range of the object", cloud.ErrOffline)
}

// part returns the range as a reader, if the answer is of it.
func (d *Driver) part(ctx context.Context, res *http.Response, off, n int64) (io.ReadCloser, error) {
	if res.StatusCode < 300 && isPage(res) {
		return nil, errPortal
	}
	p := &partReader{d: d, ctx: ctx, body: res.Body, left: n}
	switch res.StatusCode {
	case http.StatusPartialContent:
		length, err := wantRange(res.Header.Get("Content-Range"), off, n)
		if err != nil {
			return nil, err
		}
		if res.ContentLength >= 0 && res.ContentLength != length {
			return nil, errOtherRange
		}
		p.left = length
	case http.StatusOK:
		size := res.ContentLength
		if size < 0 { // then only the end of the connection tells the end
			return nil, fmt.Errorf("%w: the server does not tell the length", cloud.ErrOffline)
		}
		if off > size || n > size-off {
			return nil, fmt.Errorf("%w: %d bytes from %d of %d", cloud.ErrRange, n, off, size)
		}
		p.skip = off
		if n < 0 {
			p.left = size - off
		}
	default:
		return nil, refused(objectTarget, res.StatusCode, res.Header)
	}
	p.size = p.left
	return p, nil
}

var errOtherRange = fmt.Errorf("%w: the server sent another range", cloud.ErrOffline)

// wantRange reads a Content-Range (RFC 9110, section 14.4), which must be that of
// n bytes from off, and returns how many bytes that is. A range that is cut at the
// object's end is ErrRange.
func wantRange(field string, off, n int64) (int64, error) {
	text, ok := strings.CutPrefix(field, "bytes ")
	span, total, ok2 := strings.Cut(text, "/")
	from, to, ok3 := strings.Cut(span, "-")
	first, ok4 := digits(from)
	last, ok5 := digits(to)
	if !ok || !ok2 || !ok3 || !ok4 || !ok5 || first != off || last < first {
		return 0, errOtherRange
	}
	size, known := digits(total)
	if !known && total != "*" || known && last >= size {
		return 0, errOtherRange
	}
	length := last - first + 1
	switch {
	case n < 0 && known && last == size-1, length == n:
		return length, nil
	case known && last == size-1 && length < n:
		return 0, fmt.Errorf("%w: %d bytes from %d of %d", cloud.ErrRange, n, off, size)
	}
	return 0, errOtherRange
}

// digits reads a number of digits alone.
func digits(text string) (int64, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// A partReader gives a range of an answer, all of it or an error.
type partReader struct {
	d    *Driver
	ctx  context.Context // of the one request that this reader is
	body io.ReadCloser
	skip int64 // bytes before the range
	left int64 // bytes that must still come
	size int64
}

// Size returns how many bytes the range has.
func (p *partReader) Size() int64 { return p.size }

func (p *partReader) Close() error { return p.body.Close() }

func (p *partReader) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	if p.skip > 0 {
		n, err := io.CopyN(io.Discard, p.body, p.skip)
		p.skip -= n
		if err != nil {
			return 0, p.cut(err)
		}
	}
	n, err := p.body.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	if p.left == 0 || err == nil {
		return n, nil
	}
	return n, p.cut(err)
}

// cut is the error of an answer that ended too early.
func (p *partReader) cut(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return p.d.classify(p.ctx, err)
}

// List implements [cloud.Driver]. It passes objects on while the listing still
// comes: a hundred thousand of them are 50 MB on the wire.
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		if err := d.list(ctx, prefix, func(o cloud.Object) bool { return yield(o, nil) }); err != nil {
			yield(cloud.Object{}, err)
		}
	}
}

// list calls found for each object until it returns false.
func (d *Driver) list(ctx context.Context, prefix string, found func(cloud.Object) bool) error {
	unsized := 0
	_, err := d.children(ctx, askList, func(i item, name string) (bool, error) {
		if !strings.HasPrefix(name, prefix) || !cloud.ValidName(name) || i.folder {
			return true, nil
		}
		switch {
		case i.status == http.StatusNotFound, i.status == http.StatusGone:
			return true, nil // deleted meanwhile
		case i.status != http.StatusOK:
			return false, refused(objectTarget, i.status, nil)
		case i.size >= 0:
			return found(cloud.Object{Name: name, Size: i.size}), nil
		}
		if unsized++; unsized > maxUnsized {
			return false, cloud.Final(fmt.Errorf("%w: the server does not tell sizes", cloud.ErrUnsupported))
		}
		size, _, err := d.look(ctx, name)
		if errors.Is(err, cloud.ErrNotFound) {
			return true, nil
		}
		return err == nil && found(cloud.Object{Name: name, Size: size}), err
	})
	return err
}

// children calls found for everything in the folder, with its name, until it
// returns false or an error. It returns the header of the answer.
//
// A listing that has neither the folder itself nor anything in it is of another
// folder. Taken for an empty one, it would say that all backups are gone.
func (d *Driver) children(ctx context.Context, ask string, found func(item, string) (bool, error)) (http.Header, error) {
	if err := d.enter(ctx); err != nil {
		return nil, err
	}
	res, err := d.propfind(ctx, d.base, depthChildren, ask)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	own, ours := d.known(), false
	err = readItems(res.Body, defaultBounds(), func(i item) (bool, error) {
		if i.status == http.StatusInsufficientStorage {
			return false, errTooMany // cut there: RFC 6578, section 3.6
		}
		name, inside := strings.CutPrefix(i.path, own)
		switch {
		case asFolder(i.path) == own && i.status != http.StatusOK:
			return false, refused(listTarget, i.status, nil)
		case asFolder(i.path) == own:
			ours = true
			return true, nil
		case !inside || strings.Contains(name, "/"):
			return true, nil // elsewhere, or a folder
		}
		ours = true
		return found(i, name)
	})
	if err == nil && !ours {
		err = cloud.Final(fmt.Errorf("%w: it is of another folder", errListing))
	}
	return res.Header, d.classify(ctx, err)
}

// Capacity implements [cloud.Capacitor], where the server tells quotas (RFC 4331).
func (d *Driver) Capacity(ctx context.Context) (cloud.Capacity, error) {
	if err := d.enter(ctx); err != nil {
		return cloud.Capacity{}, fmt.Errorf("ask for free space: %w", err)
	}
	res, err := d.propfind(ctx, d.base, depthSelf, askRoom)
	if err != nil {
		return cloud.Capacity{}, fmt.Errorf("ask for free space: %w", err)
	}
	defer discard(res)
	room := cloud.Capacity{Free: -1, Total: -1}
	err = readItems(res.Body, defaultBounds(), func(i item) (bool, error) {
		free, ok := number(i.available) // of ownCloud negative: not known, not limited
		if !ok {
			return false, nil
		}
		room.Free = free
		if used, ok := number(i.used); ok && used <= farAway && free <= farAway && used+free > 0 {
			room.Total = used + free
		}
		return false, nil
	})
	if err != nil {
		return cloud.Capacity{}, fmt.Errorf("ask for free space: %w", d.classify(ctx, err))
	}
	return room, nil
}
