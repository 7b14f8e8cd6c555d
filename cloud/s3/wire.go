package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"coffer/cloud"
)

// Answers that are not objects are read into memory, up to these sizes.
const (
	maxAnswer  = 16 << 20 // a page of a listing has 1,000 keys of up to 1,024 bytes, percent-encoded
	maxRefusal = 64 << 10
)

var (
	errTooLong = fmt.Errorf("s3: answer is too long: %w", cloud.ErrOffline)
	// errNotS3: something else answers here, such as the page of a hotel's network.
	errNotS3 = fmt.Errorf("s3: the answer is not one of S3: %w", cloud.ErrOffline)
)

// A wire carries the requests of all clients of a Driver. It notes what the
// library above it would lose: the cause of a broken connection, and the headers
// of a refusal. And it knows refusals that look like success.
type wire struct {
	base http.RoundTripper
	name atomic.Pointer[string] // what the server calls itself
}

func (w *wire) server() string {
	if name := w.name.Load(); name != nil {
		return *name
	}
	return ""
}

// A note is what happened to the requests of one context, the last one that is.
type note struct {
	broken error       // the connection failed
	answer *answer     // the server refused
	status int         // of a success
	header http.Header // of a success
	length int64       // of the body of a success; -1: not said
}

type noteKey struct{}

// noted returns a context whose requests are noted. One request at a time.
func noted(ctx context.Context) (context.Context, *note) {
	n := &note{}
	return context.WithValue(ctx, noteKey{}, n), n
}

// failure turns an error of the library into one of a known class. Nil is nil.
func (n *note) failure(ctx context.Context, host string, err error) error {
	switch {
	case err == nil:
		return nil
	case n.answer != nil:
		return n.answer
	case n.broken != nil:
		return offline(ctx, host, n.broken)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, cloud.ErrAuth):
		return errNoKeys // the library wraps it in words of its own
	}
	return errNotS3 // the library did not understand the answer; its error repeats what the server said
}

// RoundTrip implements [http.RoundTripper].
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	n, ok := req.Context().Value(noteKey{}).(*note)
	if !ok {
		n = &note{}
	}
	*n = note{}
	res, err := w.base.RoundTrip(req)
	if err != nil {
		n.broken = err
		return nil, err
	}
	w.introduce(res.Header.Get("Server"))
	if err := w.examine(n, req, res); err != nil {
		res.Body.Close()
		if n.answer == nil {
			n.broken = err
		}
		return nil, err
	}
	n.status, n.header, n.length = res.StatusCode, res.Header, res.ContentLength
	return res, nil
}

// introduce keeps the server's name: short, and printable.
func (w *wire) introduce(name string) {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, name)
	clean = clean[:min(len(clean), 100)]
	if clean != "" && clean != w.server() {
		w.name.Store(&clean)
	}
}

// examine notes a refusal. Of those that came as success it is the error.
func (w *wire) examine(n *note, req *http.Request, res *http.Response) error {
	if res.StatusCode/100 != 2 {
		body, err := readAll(res, maxRefusal)
		if err != nil && !errors.Is(err, errTooLong) {
			return err
		}
		code, region, _ := refusalIn(body)
		n.answer = refusal(res.StatusCode, code, region, res.Header, time.Now())
		return nil
	}
	var body []byte
	var err error
	switch isXML := strings.Contains(res.Header.Get("Content-Type"), "xml"); {
	case req.Method == http.MethodHead:
		return nil
	case req.Method != http.MethodGet:
		body, err = readAll(res, maxAnswer)
	case isXML && res.ContentLength < maxRefusal:
		body, err = peek(res, maxRefusal)
	}
	if err != nil {
		return err
	}
	if code, region, is := refusalIn(body); is {
		n.answer = refusal(http.StatusInternalServerError, code, region, res.Header, time.Now())
		return n.answer
	}
	return nil
}

// peek reads the first bytes of the body, and puts them back.
func peek(res *http.Response, limit int64) ([]byte, error) {
	start, err := io.ReadAll(io.LimitReader(res.Body, limit))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), res.Body), res.Body}
	return start, nil
}

// readAll reads the body and puts it back.
func readAll(res *http.Response, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, errTooLong
	}
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// refusalIn returns the code and the region of an <Error> document, if it is one.
func refusalIn(body []byte) (code, region string, is bool) {
	var doc struct {
		XMLName xml.Name
		Code    string
		Region  string
	}
	if xml.Unmarshal(body, &doc) != nil || doc.XMLName.Local != "Error" {
		return "", "", false
	}
	return doc.Code, doc.Region, true
}

// decode reads a document of S3 whose root element has one of the names. Anything
// else is errNotS3: an unknown document would be read as an empty listing.
func decode(body []byte, into any, roots ...string) error {
	var head struct{ XMLName xml.Name }
	if err := xml.Unmarshal(body, &head); err != nil || !slices.Contains(roots, head.XMLName.Local) {
		return errNotS3
	}
	if err := xml.Unmarshal(body, into); err != nil {
		return errNotS3
	}
	return nil
}
