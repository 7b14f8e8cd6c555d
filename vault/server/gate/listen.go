package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// ErrPlain says that a listener without TLS is not on loopback, and that nobody has said
// that it may be elsewhere ([Config.PlainAnywhere]).
var ErrPlain = errors.New("gate: without TLS only on loopback")

// maxHeader bounds the header of a request, in bytes; net/http adds 4,096 of its own.
const maxHeader = 8 << 10

// maxStreams bounds the requests at once on one connection of HTTP/2.
const maxStreams = 16

// Serve answers the connections of ln, inside of TLS, until ctx is done: then it accepts no
// more, finishes what runs within Limits.Stop, closes ln and returns nil. It returns an
// error when ln fails, or when something still ran after that time. [ErrConfig] for a
// configuration that takes less than TLS 1.3.
func (g *Gate) Serve(ctx context.Context, ln net.Listener, conf *tls.Config) error {
	if conf == nil || conf.MinVersion < tls.VersionTLS13 {
		return fmt.Errorf("serve: no TLS, or an old one: %w", ErrConfig)
	}
	srv := g.server(ctx)
	srv.TLSConfig = conf.Clone()
	srv.Protocols.SetHTTP2(true)
	return g.run(ctx, srv, func() error { return srv.ServeTLS(g.bounded(ln), "", "") })
}

// ServePlain is Serve without TLS, in HTTP/1.1: for behind a front that ends TLS.
// [ErrPlain].
func (g *Gate) ServePlain(ctx context.Context, ln net.Listener) error {
	if !g.cfg.PlainAnywhere && !parseAddress(ln.Addr().String()).IsLoopback() {
		return fmt.Errorf("serve on %v: %w", ln.Addr(), ErrPlain)
	}
	srv := g.server(ctx)
	return g.run(ctx, srv, func() error { return srv.Serve(g.bounded(ln)) })
}

func (g *Gate) server(ctx context.Context) *http.Server {
	l := g.cfg.Limits
	// What net/http logs names addresses, and whatever a stranger sent.
	errorLog := slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	if g.cfg.LogAddresses {
		errorLog = slog.NewLogLogger(g.cfg.Log.Handler(), slog.LevelDebug)
	}
	srv := &http.Server{
		Handler:           g.Handler(),
		ReadHeaderTimeout: l.Header, ReadTimeout: l.Read, WriteTimeout: l.Write, IdleTimeout: l.Idle,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       errorLog,
		Protocols:      new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: 1 << 20,
			SendPingTimeout: l.Idle, PingTimeout: l.Header, WriteByteTimeout: l.Write,
		},
		// What runs when ctx is done is finished, not cut off.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	srv.Protocols.SetHTTP1(true)
	return srv
}

// run serves until ctx is done, and stops as Serve says.
func (g *Gate) run(ctx context.Context, srv *http.Server, serve func() error) error {
	stopped := make(chan error, 1)
	forget := context.AfterFunc(ctx, func() { stopped <- g.stop(ctx, srv) })
	err := serve()
	if forget() { // nobody has told it to stop
		return errors.Join(fmt.Errorf("serve: %w", err), srv.Close())
	}
	return <-stopped
}

func (g *Gate) stop(ctx context.Context, srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.Limits.Stop)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("stop: something still ran after %v: %w", g.cfg.Limits.Stop, err), srv.Close())
	}
	return nil
}

// bounded bounds the connections of ln.
func (g *Gate) bounded(ln net.Listener) net.Listener {
	return &listener{Listener: ln, gate: g, from: map[netip.Addr]int{}}
}

// A listener closes connections beyond the limits at once. To let them wait would let
// whoever holds many of them keep everybody else out, and keep their memory.
type listener struct {
	net.Listener
	gate *Gate

	mu    sync.Mutex
	total int                // open connections; guarded by mu
	from  map[netip.Addr]int // of each address that is not a front; guarded by mu
}

// Accept returns the next connection that is within the limits.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := parseAddress(c.RemoteAddr().String())
		key, front := limitKey(address), l.gate.isFront(address)
		if limit := l.enter(key, front); limit != "" {
			l.gate.metrics.limited(limit)
			_ = c.Close() // it never was one
			continue
		}
		l.gate.metrics.connections.Inc()
		return &conn{Conn: c, leave: sync.OnceFunc(func() { l.leave(key, front) })}, nil
	}
}

// enter counts a connection, or says which limit it is beyond.
func (l *listener) enter(key netip.Addr, front bool) (limit string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.gate.cfg.Limits.Connections {
		return "connections"
	}
	if !front {
		if l.from[key] >= l.gate.cfg.Limits.AddressConnections {
			return "address-connections"
		}
		l.from[key]++
	}
	l.total++
	return ""
}

func (l *listener) leave(key netip.Addr, front bool) {
	l.gate.metrics.connections.Dec()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if front {
		return
	}
	if l.from[key]--; l.from[key] == 0 {
		delete(l.from, key)
	}
}

type conn struct {
	net.Conn
	leave func()
}

// Close closes the connection and makes room for another.
func (c *conn) Close() error {
	c.leave()
	return c.Conn.Close()
}
