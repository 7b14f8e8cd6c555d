package transport

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"coffer/cloud"
)

const (
	dialTimeout      = 30 * time.Second // to be connected, proxy included
	handshakeTimeout = 15 * time.Second // of TLS
)

// A Line is this computer's line to all places. It is safe for concurrent use.
type Line struct {
	env      func(string) string
	up, down *bucket
	now      atomic.Pointer[policy]

	// reach makes a plain connection: net.Dialer, but for tests.
	reach func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	limit int64              // guarded by mu; of downloads
	conns map[*conn]struct{} // guarded by mu; those that are open
}

// A policy is what holds for new connections. It is replaced, never changed.
type policy struct {
	*routes
	roots *x509.CertPool // nil: the system's
}

// New makes a line. env looks a variable of the environment up (os.Getenv); nil:
// there is none. Used are HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in
// small letters first: for https:// the first and the third, for http:// the
// second and the third, for all else, such as SSH, ALL_PROXY and then
// HTTPS_PROXY. The error is that of [Settings.Check].
func New(s Settings, env func(string) string) (*Line, error) {
	dialer := &net.Dialer{
		Timeout: dialTimeout,
		// A connection whose other end is gone is noticed in a minute and a half.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4},
	}
	l := &Line{
		env: env, up: newBucket(0), down: newBucket(0),
		reach: dialer.DialContext, conns: map[*conn]struct{}{},
	}
	if err := l.Set(s); err != nil {
		return nil, err
	}
	return l, nil
}

// Set changes the settings, all or, after an error (that of [Settings.Check]),
// none. The limits hold at once, for transfers under way too; proxy and
// certificates hold for connections made from now on.
func (l *Line) Set(s Settings) error {
	if err := s.Check(); err != nil {
		return err
	}
	routes, err := newRoutes(s.Proxy, l.env)
	if err != nil {
		return err
	}
	extra, err := parseCAs(s.CAs)
	if err != nil {
		return err
	}
	l.now.Store(&policy{routes, trusted(extra)})
	l.up.set(s.Up)
	l.down.set(s.Down)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = s.Down
	for c := range l.conns {
		c.fit(s.Down)
	}
	return nil
}

// Dial connects to address ("host:port") over TCP, as SSH needs it: through the
// proxy if there is one for such connections, and within the limits. It takes at
// most 30 seconds. network is "tcp", "tcp4" or "tcp6"; through a proxy, which
// chooses by itself, the difference is lost. Errors are classed, see [Classify].
func (l *Line) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, fmt.Errorf("connect to %s: %w", address, net.UnknownNetworkError(network))
	}
	policy := l.now.Load()
	c, err := l.dial(ctx, policy, policy.raw, network, address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return c, nil
}

// dial connects to address, through via unless it is to be reached directly.
func (l *Line) dial(ctx context.Context, policy *policy, via *proxy, network, address string) (net.Conn, error) {
	host, address, err := target(address)
	if err != nil {
		return nil, err
	}
	via, err = policy.by(via, host, address)
	if err != nil {
		return nil, err
	}
	var c net.Conn
	err = within(ctx, dialTimeout, "connection", func(ctx context.Context) (err error) {
		if via == nil {
			c, err = l.open(ctx, network, address)
		} else {
			c, err = l.pass(ctx, policy, via, address)
		}
		return err
	})
	return c, err
}

// within runs do, whose context ends after the given time. The error is ctx's if
// that has ended, and else classed.
func within(ctx context.Context, limit time.Duration, what string, do func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := do(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case isContext(err):
		return fmt.Errorf("%w: no %s within %v", cloud.ErrOffline, what, limit)
	}
	return Classify(err)
}

// open makes a connection that keeps the limits.
func (l *Line) open(ctx context.Context, network, address string) (net.Conn, error) {
	inner, err := l.reach(ctx, network, address)
	if err != nil {
		return nil, offline(err)
	}
	c := newConn(inner, l)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	c.fit(l.limit)
	return c, nil
}

// leave forgets a connection that closes.
func (l *Line) leave(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// pass connects to address through a proxy.
func (l *Line) pass(ctx context.Context, policy *policy, via *proxy, address string) (net.Conn, error) {
	c, err := l.meet(ctx, policy, via)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", via, err)
	}
	through := c
	err = interruptible(ctx, c, func() (err error) {
		if via.kind == kindSOCKS {
			return socks(c, via, address)
		}
		through, err = tunnel(c, via, address)
		return err
	})
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("proxy %s: %w", via, offline(err))
	}
	return through, nil
}

// meet connects to the proxy itself.
func (l *Line) meet(ctx context.Context, policy *policy, via *proxy) (net.Conn, error) {
	c, err := l.open(ctx, "tcp", via.address)
	if err != nil || via.kind != kindHTTPS {
		return c, err
	}
	return secure(ctx, c, trust{host: via.host, roots: policy.roots}, nil)
}

// interruptible runs talk, whose reads and writes of c end when ctx does.
func interruptible(ctx context.Context, c net.Conn, talk func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	err := talk()
	if !stop() { // the deadline is set, or will be in a moment: the connection is lost
		return context.Cause(ctx)
	}
	return err
}
