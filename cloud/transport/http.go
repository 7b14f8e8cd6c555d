package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"coffer/cloud"
)

// HTTP returns a transport with a pool of connections of its own: for one place.
// It speaks HTTP/1.1 and HTTP/2, TLS 1.2 and later, is limited and classes its
// errors, those of reading bodies too (see [Classify]). A connection is made in
// 30 seconds and sealed in another 15, or not; nothing else has a limit but the
// request's context. It has CloseIdleConnections. Pins that are none make every
// request fail with [ErrBadPin].
//
// Answers are never unpacked: the bytes are those of the object. Bodies of
// requests are read in small pieces, at the speed at which they are sent.
func (l *Line) HTTP(t TLS) http.RoundTripper {
	r := &roundTripper{line: l, bad: t.Check()}
	pins := append([]string(nil), t.Pins...)
	protocols := []string{"h2", "http/1.1"}
	r.transport = &http.Transport{
		Proxy:       l.plainProxy,
		DialContext: l.dialPlain,
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return l.dialTLS(ctx, network, address, pins, protocols)
		},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  2 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		ReadBufferSize:         64 << 10,
		WriteBufferSize:        maxPiece, // what is buffered was read but not sent
		HTTP2: &http.HTTP2Config{
			// A connection that died is noticed: a request that is given up leaves
			// it in the pool, and the next would get it. Only when no frame came
			// for a minute, so that a slow line is not asked.
			SendPingTimeout: time.Minute,
			PingTimeout:     30 * time.Second,
		},
	}
	return r
}

// plainProxy is the proxy that http:// is sent to whole; https:// is tunnelled,
// by dialTLS. That of TLS is given as one without: dialPlain knows it again.
func (l *Line) plainProxy(req *http.Request) (*url.URL, error) {
	policy := l.now.Load()
	if req.URL.Scheme != "http" || policy.plain == nil || policy.plain.kind == kindSOCKS {
		return nil, nil
	}
	port := req.URL.Port()
	if port == "" {
		port = "80"
	}
	host, address, err := target(net.JoinHostPort(req.URL.Hostname(), port))
	if err != nil {
		return nil, err
	}
	via, err := policy.by(policy.plain, host, address)
	if via == nil || err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "http", User: via.login(), Host: via.address}, nil
}

// dialPlain connects for http://, to the server or to the proxy.
func (l *Line) dialPlain(ctx context.Context, network, address string) (net.Conn, error) {
	policy := l.now.Load()
	via := policy.plain
	switch {
	case via == nil || via.broken != nil:
		return l.dial(ctx, policy, nil, network, address)
	case via.kind == kindSOCKS:
		return l.dial(ctx, policy, via, network, address)
	case via.kind == kindHTTPS && address == via.address:
		return l.dialProxy(ctx, policy, via)
	}
	return l.dial(ctx, policy, nil, network, address)
}

// dialTLS connects for https://.
func (l *Line) dialTLS(ctx context.Context, network, address string, pins, protocols []string) (net.Conn, error) {
	host, _, err := target(address)
	if err != nil {
		return nil, err
	}
	policy := l.now.Load()
	c, err := l.dial(ctx, policy, policy.secure, network, address)
	if err != nil {
		return nil, err
	}
	sealed, err := secure(ctx, c, trust{host: host, roots: policy.roots, pins: pins}, protocols)
	if err != nil {
		return nil, err
	}
	return sealed, nil
}

// dialProxy connects to a proxy that wants TLS.
func (l *Line) dialProxy(ctx context.Context, policy *policy, via *proxy) (net.Conn, error) {
	var c net.Conn
	err := within(ctx, dialTimeout, "connection", func(ctx context.Context) (err error) {
		c, err = l.meet(ctx, policy, via)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", via, err)
	}
	return struct{ net.Conn }{c}, nil // not to be taken for the server's TLS
}

// A roundTripper is an http.Transport whose errors have classes.
type roundTripper struct {
	line      *Line
	transport *http.Transport
	bad       error // of the pins
}

// CloseIdleConnections is called by that of http.Client.
func (r *roundTripper) CloseIdleConnections() { r.transport.CloseIdleConnections() }

// RoundTrip implements [http.RoundTripper].
func (r *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.bad != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, cloud.Final(r.bad)
	}
	ctx := req.Context()
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	sent := req.WithContext(httptrace.WithClientTrace(ctx, trace))
	var source trouble
	r.measure(sent, &source)

	res, err := r.transport.RoundTrip(sent)
	switch {
	case err == nil:
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return nil, ctx.Err()
	case ctx.Err() != nil, source.get() != nil:
		return nil, err // that of the caller, or of what the caller wanted to send
	case connected.Load():
		return nil, offline(Classify(err)) // net/http has no names for half of them
	default:
		return nil, Classify(err)
	}
	res.Request = req
	if err := r.proxyStatus(req, res); err != nil {
		res.Body.Close()
		return nil, err
	}
	res.Body = &answer{res.Body, ctx}
	return res, nil
}

// proxyStatus finds the answers that are the proxy's, not the server's.
func (r *roundTripper) proxyStatus(req *http.Request, res *http.Response) error {
	if res.StatusCode != http.StatusProxyAuthRequired || req.URL.Scheme != "http" {
		return nil
	}
	return tunnelStatus(res.StatusCode)
}

// measure makes the bodies of req ones that are read in small pieces.
func (r *roundTripper) measure(req *http.Request, source *trouble) {
	if req.Body == nil || req.Body == http.NoBody {
		return
	}
	req.Body = &measured{req.Body, r.line.up, source}
	if again := req.GetBody; again != nil {
		req.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil {
				return nil, err
			}
			return &measured{body, r.line.up, source}, nil
		}
	}
}

// measured is the body of a request. HTTP/2 asks for up to 512 kB at once, and
// sends them as one frame that nothing else gets past: at 10 kB/s that is 52
// seconds in which no byte of the source moves, nearly what the Store calls a
// stall.
type measured struct {
	io.ReadCloser
	up     *bucket
	source *trouble
}

func (m *measured) Read(p []byte) (int, error) {
	size := freePiece
	if piece := m.up.piece(); piece > 0 {
		size = min(4*piece, maxPiece) // less would be all headers
	}
	n, err := m.ReadCloser.Read(p[:min(len(p), size)])
	if err != nil && !errors.Is(err, io.EOF) {
		m.source.set(err)
	}
	return n, err
}

// trouble is the error of a source, which net/http would pass off as that of the
// connection, and which it may still meet when its RoundTrip has returned.
type trouble struct {
	mu  sync.Mutex
	err error // guarded by mu
}

func (t *trouble) set(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
}

func (t *trouble) get() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// answer is the body of an answer, with errors that have classes.
type answer struct {
	io.ReadCloser
	ctx context.Context // of the one request that this is the answer of
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	switch {
	case err == nil, err == io.EOF, errors.Is(err, http.ErrBodyReadAfterClose):
		return n, err
	case a.ctx.Err() != nil && !errors.Is(err, a.ctx.Err()):
		return n, a.ctx.Err()
	case a.ctx.Err() != nil:
		return n, err
	}
	return n, offline(Classify(err))
}
