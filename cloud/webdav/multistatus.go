package webdav

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// What PROPFIND is asked: RFC 4918, section 9.1, and RFC 4331.
const (
	askKind = `<D:resourcetype/>`
	askList = `<D:resourcetype/><D:getcontentlength/>`
	askAge  = `<D:resourcetype/><D:getlastmodified/>`
	askRoom = `<D:quota-available-bytes/><D:quota-used-bytes/>`
)

// How far down PROPFIND looks.
const (
	depthSelf     = "0"
	depthChildren = "1"
)

// propfind asks for properties. The answer is a listing for [readItems].
func (d *Driver) propfind(ctx context.Context, u *url.URL, depth, ask string) (*http.Response, error) {
	t := objectTarget
	switch {
	case u == d.base && depth == depthSelf:
		t = placeTarget
	case u == d.base:
		t = listTarget
	}
	text := `<?xml version="1.0" encoding="utf-8"?>` + "\n" + `<D:propfind xmlns:D="DAV:"><D:prop>` + ask + `</D:prop></D:propfind>`
	res, err := d.do(ctx, request{
		method: "PROPFIND", url: u, size: int64(len(text)),
		header: map[string]string{"Depth": depth, "Content-Type": "application/xml; charset=utf-8"},
		body:   func() io.ReadCloser { return io.NopCloser(strings.NewReader(text)) },
	})
	if err != nil {
		return nil, err
	}
	switch {
	case res.StatusCode == http.StatusMultiStatus && !isPage(res):
		return res, nil
	case res.StatusCode < 300 && isPage(res):
		err = errPortal
	case res.StatusCode < 300:
		err = errNotWebDAV
	default:
		err = refused(t, res.StatusCode, res.Header)
	}
	discard(res)
	return nil, err
}

// bounds are how much of a listing is read. Nothing says when a hostile one ends.
type bounds struct {
	items int   // in all
	bytes int64 // in all
	item  int64 // bytes of one
}

// defaultBounds: two million files, which is 32 TB of packs, at 500 bytes each,
// as Apache and Nextcloud need them.
func defaultBounds() bounds { return bounds{items: 2_000_000, bytes: 1 << 30, item: 256 << 10} }

// An item is what a listing says about one file or folder.
type item struct {
	path            string // decoded, as the server calls it
	status          int    // 200: it is there
	folder          bool
	size            int64  // bytes; -1: not said
	modified        string // as HTTP writes dates, or ""
	available, used string // quota, or ""
}

// A response is the shape of <response>, RFC 4918, section 14.24.
type response struct {
	Hrefs  []string `xml:"DAV: href"`
	Status string   `xml:"DAV: status"`
	Stats  []struct {
		Status string `xml:"DAV: status"`
		Prop   struct {
			Kind struct {
				Folder *struct{} `xml:"DAV: collection"`
			} `xml:"DAV: resourcetype"`
			Length    string `xml:"DAV: getcontentlength"`
			Modified  string `xml:"DAV: getlastmodified"`
			Available string `xml:"DAV: quota-available-bytes"`
			Used      string `xml:"DAV: quota-used-bytes"`
		} `xml:"DAV: prop"`
	} `xml:"DAV: propstat"`
}

// readItems calls found for each item of a listing until it returns false or an
// error, which is passed on. A listing is whole only if its end is there. What
// cannot be read is errListing, without any of its text.
func readItems(r io.Reader, b bounds, found func(item) (bool, error)) error {
	m := &meter{r: r, left: b.bytes, most: b.item}
	dec := xml.NewDecoder(m)
	if err := readRoot(dec); err != nil {
		return m.reason()
	}
	for count := 0; ; {
		token, err := dec.Token()
		if err != nil {
			return m.reason()
		}
		switch token := token.(type) {
		case xml.EndElement:
			return nil
		case xml.Directive:
			return errListing
		case xml.StartElement:
			if token.Name != (xml.Name{Space: "DAV:", Local: "response"}) {
				if dec.Skip() != nil {
					return m.reason()
				}
				continue
			}
			items, err := readResponse(dec, &token)
			if err != nil {
				return m.reason()
			}
			m.since = 0
			for _, i := range items {
				if count++; count > b.items {
					return errTooMany
				}
				if more, err := found(i); err != nil || !more {
					return err
				}
			}
		}
	}
}

// readRoot reads up to <multistatus>. A document type is refused: no server has
// one, and entities are how small listings become large.
func readRoot(dec *xml.Decoder) error {
	for {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name != (xml.Name{Space: "DAV:", Local: "multistatus"}) {
				return errListing
			}
			return nil
		case xml.Directive:
			return errListing
		}
	}
}

// readResponse reads one <response>: an item, or several that share a status.
func readResponse(dec *xml.Decoder, start *xml.StartElement) ([]item, error) {
	var r response
	if err := dec.DecodeElement(&r, start); err != nil {
		return nil, err
	}
	i := item{size: -1}
	var err error
	if len(r.Stats) == 0 {
		i.status, err = readStatus(r.Status)
	}
	for n := range r.Stats {
		s := &r.Stats[n]
		status, bad := readStatus(s.Status)
		err = errors.Join(err, bad)
		switch {
		case status == http.StatusOK:
			p := &s.Prop
			i.status, i.folder = status, i.folder || p.Kind.Folder != nil
			if size, ok := number(p.Length); ok {
				i.size = size
			}
			i.modified, i.available, i.used = first(i.modified, p.Modified), first(i.available, p.Available), first(i.used, p.Used)
		case status == http.StatusNotFound && i.status == 0:
			i.status = http.StatusOK // the property is not there, the file is
		case i.status == 0:
			i.status = status
		}
	}
	if err != nil {
		return nil, err
	}
	var items []item
	for _, href := range r.Hrefs {
		u, err := url.Parse(strings.TrimSpace(href))
		if err != nil || u.Path == "" {
			continue // of a name that no object has
		}
		i.path = u.Path // whatever host a proxy makes of it: nobody goes there
		items = append(items, i)
	}
	return items, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return strings.TrimSpace(b)
}

// readStatus reads "HTTP/1.1 200 OK".
func readStatus(line string) (int, error) {
	words := strings.Fields(line)
	if len(words) < 2 || !strings.HasPrefix(words[0], "HTTP/") || len(words[1]) != 3 {
		return 0, errListing
	}
	status, err := strconv.ParseUint(words[1], 10, 16)
	if err != nil || status < 100 {
		return 0, errListing
	}
	return int(status), nil
}

// number reads a count of bytes.
func number(text string) (int64, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 63)
	return int64(n), err == nil
}

// A meter bounds what a decoder reads, and remembers why reading ended.
type meter struct {
	r           io.Reader
	left        int64 // of all
	since, most int64 // of the item that is being read
	err         error
}

func (m *meter) Read(p []byte) (int, error) {
	switch {
	case m.left <= 0:
		m.err = errTooMany
		return 0, m.err
	case m.since > m.most:
		m.err = errListing
		return 0, m.err
	}
	n, err := m.r.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	m.since += int64(n)
	if err != nil {
		m.err = err
	}
	return n, err
}

// reason returns why a listing could not be read: the connection, its size, or
// its text. The decoder's own words may repeat the server's.
func (m *meter) reason() error {
	switch {
	case m.err == nil:
		return errListing
	case errors.Is(m.err, io.EOF):
		return fmt.Errorf("%w: %w", errListing, io.ErrUnexpectedEOF)
	}
	return m.err
}
