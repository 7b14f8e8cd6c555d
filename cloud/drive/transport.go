package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	driveapi "google.golang.org/api/drive/v3"
	"google.golang.org/api/option"
)

const (
	googleEndpoint = "https://www.googleapis.com/drive/v3/"
	uploadPath     = "/upload/drive/v3/files"

	// maxAnswer bounds an answer that is held in memory: a page of 1,000 files
	// has half a megabyte. Downloads are not held.
	maxAnswer = 16 << 20
)

func queryEscape(s string) string { return url.QueryEscape(s) }

// endpoint returns the base of the API and the address of uploads of the same
// host. "" is Google's.
func endpoint(address string) (base, upload string, err error) {
	if address == "" {
		address = googleEndpoint
	}
	u, err := parseAddress(address)
	if err != nil || u.RawQuery != "" {
		return "", "", fmt.Errorf("drive endpoint: %w", errSyntax)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/drive/v3/"
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u.String(), (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: uploadPath}).String(), nil
}

// plainClient is an HTTP client that follows no redirects: Drive sends none,
// and the signature must not follow one to somebody else.
func plainClient(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     bounded{t},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded cuts answers that are too long to be true. Nil is Go's own transport.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	res, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 300 || req.URL.Query().Get("alt") != "media" {
		res.Body = &cutBody{res.Body, maxAnswer}
	}
	return res, nil
}

// CloseIdleConnections is what http.Client looks for.
func (b bounded) CloseIdleConnections() { closeIdle(b.next) }

// CloseIdleConnections is what http.Client looks for.
func (t *signed) CloseIdleConnections() { closeIdle(t.next) }

// closeIdle leaves Go's own transport alone: others use it too.
func closeIdle(t http.RoundTripper) {
	if c, ok := t.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// errLong is the end of an answer that is too long.
var errLong = errors.New("drive: answer too long")

type cutBody struct {
	io.ReadCloser
	left int64
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLong
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// signed puts the access token on each request to the API's own host. A 401 may
// come before the token's time is over (password changed, clock wrong): then one
// new token is asked for, and the request sent again once.
type signed struct {
	signer *signer
	host   *url.URL // scheme and host that may see the token
	next   http.RoundTripper
}

func (t *signed) RoundTrip(req *http.Request) (*http.Response, error) {
	if !sameOrigin(req.URL, t.host) {
		closeBody(req)
		return nil, &classed{fmt.Errorf("address of another host: %w", errSyntax)}
	}
	access, err := t.signer.token(req.Context())
	if err != nil {
		closeBody(req)
		return nil, err
	}
	res, err := t.next.RoundTrip(sign(req, req.Body, access))
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		return res, err
	}
	if err := t.signer.spurn(req.Context(), access); err != nil {
		res.Body.Close()
		return nil, err
	}
	body, ok := again(req)
	if !ok {
		return res, nil
	}
	res.Body.Close()
	if access, err = t.signer.token(req.Context()); err != nil {
		if body != nil {
			body.Close()
		}
		return nil, err
	}
	return t.next.RoundTrip(sign(req, body, access))
}

// sign returns a copy: a RoundTripper may not change what it was given.
func sign(req *http.Request, body io.ReadCloser, access string) *http.Request {
	req = req.Clone(req.Context())
	req.Body = body
	req.Header.Set("Authorization", "Bearer "+access)
	return req
}

// again returns the body once more, if it can be had.
func again(req *http.Request) (io.ReadCloser, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	return body, err == nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// sameOrigin reports whether two addresses are of one server. The names of this
// computer are one: stand-ins mix them.
func sameOrigin(a, b *url.URL) bool {
	if a.Scheme != b.Scheme || a.Port() != b.Port() {
		return false
	}
	return a.Hostname() == b.Hostname() || loopback(a.Hostname()) && loopback(b.Hostname())
}

// newService is Google's own client of the API over ours. Without a logger of
// its own it would obey an environment variable and print requests. The context
// is for finding credentials, of which it has none to find: each call has its own.
func newService(c *http.Client, base string) (*driveapi.Service, error) {
	s, err := driveapi.NewService(context.Background(), option.WithHTTPClient(c), option.WithEndpoint(base),
		option.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("make drive client: %w", err)
	}
	s.BasePath = base
	return s, nil
}
