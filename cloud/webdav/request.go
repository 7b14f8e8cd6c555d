package webdav

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"coffer/cloud"
)

const (
	maxHops  = 3        // redirects of one request
	maxSends = 3        // of one request: unsigned, signed, signed with a newer nonce
	maxDrain = 64 << 10 // bytes of an answer that nobody reads, for the connection's sake
)

// A request may be sent several times: its body is made anew each time.
type request struct {
	method string
	url    *url.URL
	header map[string]string
	body   func() io.ReadCloser // nil: none
	size   int64                // of the body
}

// plainClient follows no redirects by itself: do does, with more care.
func plainClient(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// do sends a request, signs in if it must, and follows redirects within the same
// server. It returns every other answer, whatever its status. Errors are classed.
func (d *Driver) do(ctx context.Context, r request) (*http.Response, error) {
	for range maxHops {
		res, err := d.signedIn(ctx, r)
		if err != nil {
			return nil, err
		}
		if !isRedirect(res.StatusCode) {
			if err := unencoded(res); err != nil {
				discard(res)
				return nil, err
			}
			return res, nil
		}
		next, err := d.next(r.url, res)
		discard(res)
		if err != nil {
			return nil, err
		}
		r.url = next
	}
	return nil, errPortal // in a circle
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// next returns where a redirect leads. To somewhere else is a portal, or an
// attack: neither sees a password or an object of ours.
func (d *Driver) next(from *url.URL, res *http.Response) (*url.URL, error) {
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil {
		return nil, errPortal
	}
	to = from.ResolveReference(to)
	host, ok := canonicalHost(to)
	if !ok || to.Scheme != d.base.Scheme || host != d.base.Host || to.User != nil {
		return nil, errPortal
	}
	if from != d.base && to.Path == from.Path+"/" {
		return nil, errSubfolder
	}
	to.Host = host
	return to, nil
}

// signedIn sends a request to one address, and answers its challenge.
func (d *Driver) signedIn(ctx context.Context, r request) (*http.Response, error) {
	asked := false
	for range maxSends {
		field, used, err := d.auth.header(r.method, r.url.RequestURI())
		if err != nil {
			return nil, err
		}
		res, err := d.send(ctx, r, field)
		if err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusUnauthorized {
			d.auth.renew(res.Header, used)
			return res, nil
		}
		discard(res)
		if err := d.auth.learn(res.Header, used, asked); err != nil {
			return nil, err
		}
		asked = true
	}
	return nil, fmt.Errorf("%w: the server asks again and again", cloud.ErrAuth)
}

// send sends a request once.
func (d *Driver) send(ctx context.Context, r request, authorization string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), http.NoBody)
	if err != nil {
		return nil, d.classify(ctx, err)
	}
	if r.body != nil && r.size > 0 {
		req.Body, req.ContentLength = r.body(), r.size
	}
	req.Header.Set("User-Agent", "Coffer")
	req.Header.Set("Accept-Encoding", "identity")
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := d.http.Do(req)
	if err != nil {
		return nil, d.classify(ctx, err)
	}
	return res, nil
}

// unencoded refuses an answer whose bytes are not those of the file.
func unencoded(res *http.Response) error {
	switch coding := strings.ToLower(res.Header.Get("Content-Encoding")); coding {
	case "", "identity":
		return nil
	}
	if res.StatusCode >= 300 {
		return nil // of an error page nothing is read
	}
	return cloud.Final(errEncoded)
}

// isPage reports that the answer is a web page.
func isPage(res *http.Response) bool {
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	return kind == "text/html" || kind == "application/xhtml+xml"
}

// discard reads a short rest, so that the connection can be used again, and
// closes the answer.
func discard(res *http.Response) {
	if res.ContentLength > 0 && res.ContentLength <= maxDrain {
		_, _ = io.CopyN(io.Discard, res.Body, res.ContentLength) // only the connection is at stake
	}
	res.Body.Close()
}
