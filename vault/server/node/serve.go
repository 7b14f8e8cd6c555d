package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"coffer/vault/trust"
)

var errGone = errors.New("the store has closed itself: the outcome of a write is not known, and the next start looks")

// A task is one of the things that a serving vault does at the same time. It ends when its
// context ends, and returns nil then.
type task func(ctx context.Context) error

// Serve answers until ctx ends, and then finishes what is under way. nil then, else what
// has ended it: [ErrListen], [ErrStore].
func (n *Node) Serve(ctx context.Context) error {
	tasks, err := n.tasks(ctx)
	if err != nil {
		return err
	}
	n.log.Info("serving", "listen", n.config.listen(), "sealer", n.parts.sealer.Class(), "store", n.config.Store)
	err = runAll(ctx, tasks)
	n.log.Info("ended")
	return errors.Join(err, n.dir.remove(socketName))
}

// tasks opens all listeners, so that none is served when one is missing.
func (n *Node) tasks(ctx context.Context) (tasks []task, err error) {
	if err := n.server.Tidy(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	var open []net.Listener
	defer func() {
		if err != nil {
			for _, l := range open {
				_ = l.Close() // nothing came through it
			}
		}
	}()
	for _, address := range n.config.listen() {
		l, err := listen(ctx, address)
		if err != nil {
			return nil, err
		}
		open = append(open, l)
		tasks = append(tasks, func(ctx context.Context) error { return n.serveGate(ctx, l) })
	}
	admin, err := listenAdmin(n.dir)
	if err != nil {
		return nil, err
	}
	open = append(open, admin)
	tasks = append(tasks, func(ctx context.Context) error { return serveHTTP(ctx, admin, adminHandler(n.office)) })
	if n.config.Metrics.Listen != "" {
		l, err := listen(ctx, n.config.Metrics.Listen)
		if err != nil {
			return nil, err
		}
		open = append(open, l)
		tasks = append(tasks, func(ctx context.Context) error { return serveHTTP(ctx, l, n.gate.Metrics()) })
	}
	return append(tasks, n.sweep, n.tend, n.watch), nil
}

// serverTLS returns the configuration of the listeners, whose certificate is the one of the
// bundle in use.
func (n *Node) serverTLS() *tls.Config {
	c := trust.ServerTLS(n.live.Load().certificate)
	c.Certificates = nil
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &n.live.Load().certificate, nil }
	return c
}

// adminTimeout bounds what one command may take; a backup of a large store is the longest.
const adminTimeout = time.Hour

// serveHTTP serves the socket, or the metrics.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: adminTimeout,
		IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
		defer cancel()
		if s.Shutdown(ctx) != nil {
			_ = s.Close() // who did not end in time is cut off
		}
	})
	err := s.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w: %w", ErrListen, err)
}

// endPatience is how long a command that is under way may go on when the vault ends.
const endPatience = 5 * time.Second

// sweep destroys what has expired while no vault ran. The vault answers meanwhile: each
// request looks at its own record first.
func (n *Node) sweep(ctx context.Context) error {
	err := n.server.Sweep(ctx)
	if err != nil && ctx.Err() == nil {
		n.log.Error("not all records could be looked at", "error", err)
	}
	return nil
}

// watch ends the vault when store or sealer has closed itself, so that its keeper starts it
// again and the next start finds out what was written.
func (n *Node) watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-n.parts.gone:
		return fmt.Errorf("%w: %w", ErrStore, errGone)
	}
}

// tendEvery is how often the vault looks after its bundle and its certificate.
const tendEvery = time.Minute

// tend renews the bundle in time, warns when that cannot be done here, and takes up a
// certificate that was replaced.
func (n *Node) tend(ctx context.Context) error {
	ticker := time.NewTicker(tendEvery)
	defer ticker.Stop()
	t := tending{certificate: n.certificateTime()}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			n.tendOnce(&t)
		}
	}
}

// A tending is what was seen before.
type tending struct {
	certificate time.Time // of the file
	warned      time.Time // when
}

func (n *Node) tendOnce(t *tending) {
	o := n.office
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.id.clock()
	before := o.id.bundle.Sequence
	warning, err := o.id.current()
	if err != nil {
		warning = err.Error()
	}
	if warning != "" && now.Sub(t.warned) >= 24*time.Hour {
		t.warned = now
		n.log.Warn("bundle", "warning", warning, "expires", o.id.bundle.Expires)
	}
	changed := o.id.bundle.Sequence != before
	if at := n.certificateTime(); !at.Equal(t.certificate) {
		t.certificate, changed = at, true
	}
	if !changed {
		return
	}
	if err := n.refresh(); err != nil {
		n.log.Error("what has changed cannot be used", "error", err)
	}
}

// certificateTime is when the certificate of vault.toml was written; zero: there is none.
func (n *Node) certificateTime() time.Time {
	if n.config.TLS.Certificate == "" {
		return time.Time{}
	}
	info, err := os.Stat(n.dir.at(n.config.TLS.Certificate))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
