package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"time"

	"coffer/crypto/hpke"
	"coffer/vault/protocol"
	"coffer/vault/server/admit"
)

// ErrConfig says that a Config lacks what is needed or holds what cannot be.
var ErrConfig = errors.New("gate: bad configuration")

// A Core answers requests: *server.Server. Its errors are those of package protocol; what
// leaves of them is their code.
type Core interface {
	Answer(ctx context.Context, binding [32]byte, body []byte) ([]byte, error)
}

// Config says what a gate guards. VaultID, Server, Keys, Bundle and Desk are needed.
type Config struct {
	VaultID [16]byte
	Server  Core
	// Keys returns the keys that envelopes may be sealed to: the one of the bundle first,
	// then the one before, for clients that have not fetched the new bundle yet. It is asked
	// for each request.
	Keys func() []*hpke.PrivateKey
	// Bundle returns the signed bundle. It is asked for each request.
	Bundle func() []byte
	// BundleState returns what the metrics say about that bundle; nil: nothing.
	BundleState func() (sequence uint64, expires time.Time)
	Desk        *admit.Desk                 // who may register
	Ready       func(context.Context) error // can store and sealer be asked? nil: always
	Version     string                      // of the program, for the metrics
	Log         *slog.Logger                // nil: none
	// LogAddresses has addresses of clients stand in the log. Without it they stand nowhere.
	LogAddresses bool
	// Fronts are the proxies whose X-Forwarded-For is believed.
	Fronts []netip.Prefix
	// PlainAnywhere lets ServePlain listen elsewhere than on loopback: in a container beside
	// its front, say. What is in envelopes stays hidden all the same.
	PlainAnywhere bool
	Limits        Limits
	Clock         func() time.Time // of the limits; nil: time.Now
}

// A Gate takes requests from a network. It is safe for concurrent use.
type Gate struct {
	cfg       Config
	addresses *limiter[netip.Addr]
	records   *limiter[[16]byte]
	working   chan struct{} // one for each request that is being opened or answered
	metrics   *metrics

	readyMu sync.Mutex
	ready   readiness // guarded by readyMu
}

// readiness is what was known last.
type readiness struct {
	at  time.Time
	err error
}

// New returns a Gate. [ErrConfig].
func New(cfg Config) (*Gate, error) {
	if cfg.Server == nil || cfg.Keys == nil || cfg.Bundle == nil || cfg.Desk == nil || cfg.VaultID == [16]byte{} {
		return nil, fmt.Errorf("new gate: core, keys, bundle, desk or vault id is missing: %w", ErrConfig)
	}
	limits, err := cfg.Limits.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("new gate: %w", err)
	}
	cfg.Limits = limits
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Ready == nil {
		cfg.Ready = func(context.Context) error { return nil }
	}
	g := &Gate{
		cfg:       cfg,
		addresses: newLimiter[netip.Addr](limits.AddressBurst, limits.AddressRate, limits.Table),
		records:   newLimiter[[16]byte](limits.RecordBurst, limits.RecordRate, limits.Table),
		working:   make(chan struct{}, limits.Requests),
	}
	g.metrics = newMetrics(g)
	return g, nil
}

// Format prints "[redacted]" for every verb: a Gate can open every envelope.
func (*Gate) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// The paths beside those of the protocol, for who looks after a vault.
const (
	healthPath = "/healthz" // the process runs
	readyPath  = "/readyz"  // and can answer: its store and its sealer do
)

// Handler returns what answers the network:
//
//	GET  /v1/bundle   the signed bundle
//	POST /v1/sealed   an envelope
//	GET  /healthz     "ok"
//	GET  /readyz      "ok", or HTTP status 503
//
// Everything else is malformed.
func (g *Gate) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch {
		case r.URL.Path == healthPath && isGet(r):
			_, _ = w.Write([]byte("ok\n"))
		case r.URL.Path == readyPath && isGet(r):
			g.serveReady(w, r)
		default:
			g.serve(w, r)
		}
	})
}

func isGet(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// An outcome is what is counted and logged of a request, and nothing else of it is.
type outcome struct {
	kind string // of package protocol, by name; or what it was instead
	err  error
	in   int // bytes of the body
}

// serve answers a request of the protocol, counts it and logs one line about it.
func (g *Gate) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	out := &counter{ResponseWriter: w}
	address := g.clientAddress(r)
	done := outcome{kind: "other", err: protocol.ErrInternal}
	defer func() {
		if v := recover(); v != nil {
			done.err = fmt.Errorf("panic: %w", protocol.ErrInternal)
			g.panicked(out, r, v)
		}
		g.account(r.Context(), done, address, out.n, time.Since(start))
	}()
	if wait := g.addresses.take(limitKey(address), 1, g.cfg.Clock()); wait > 0 {
		g.metrics.limited("address")
		done.err = &protocol.Refusal{Err: protocol.ErrBusy, Left: -1, Wait: wait}
		protocol.WriteError(out, done.err)
		return
	}
	switch {
	case r.URL.Path == protocol.BundlePath && isGet(r):
		done = outcome{kind: "bundle"}
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = out.Write(g.cfg.Bundle())
	case r.URL.Path == protocol.SealedPath:
		g.serveSealed(out, r, &done)
	default:
		done.err = fmt.Errorf("no such path: %w", protocol.ErrMalformed)
		protocol.WriteError(out, done.err)
	}
}

// account counts a request and logs it.
func (g *Gate) account(ctx context.Context, done outcome, address netip.Addr, out int, took time.Duration) {
	code := codeOf(done.err)
	g.metrics.request(done, code, took)
	attrs := []slog.Attr{
		slog.String("kind", done.kind), slog.String("code", code), slog.Duration("took", took),
		slog.Int("in", done.in), slog.Int("out", out),
	}
	if g.cfg.LogAddresses {
		attrs = append(attrs, slog.String("address", address.String()))
	}
	g.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "request", attrs...)
	// What is the vault's own fault is for its log, where the client cannot see it.
	if errors.Is(done.err, protocol.ErrInternal) || errors.Is(done.err, protocol.ErrUnknownOutcome) {
		g.cfg.Log.LogAttrs(ctx, slog.LevelError, "request failed",
			slog.String("kind", done.kind), slog.String("error", done.err.Error()))
	}
}

// panicked keeps the process going. Of the panic only its type and its place are logged: a
// value, or an argument on the stack, may be a key.
func (g *Gate) panicked(out *counter, r *http.Request, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // the server's own word for "close this connection"
	}
	g.metrics.panics.Inc()
	g.cfg.Log.LogAttrs(r.Context(), slog.LevelError, "panic in a handler",
		slog.String("type", fmt.Sprintf("%T", v)), slog.Any("at", places()))
	if !out.started {
		protocol.WriteError(out, protocol.ErrInternal)
	}
}

// places returns functions and lines of the goroutine, innermost first, without arguments.
func places() []string {
	var pcs [24]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var out []string
	for {
		f, more := frames.Next()
		out = append(out, f.Function+":"+strconv.Itoa(f.Line))
		if !more {
			return out
		}
	}
}

// A counter counts what is written.
type counter struct {
	http.ResponseWriter
	n       int
	started bool
}

func (c *counter) WriteHeader(status int) {
	c.started = true
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(b []byte) (int, error) {
	c.started = true
	n, err := c.ResponseWriter.Write(b)
	c.n += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// readyAge is how old an answer of Config.Ready may be: everybody may ask, and the store
// has other things to do.
const (
	readyAge      = time.Second
	readyPatience = 3 * time.Second
)

// isReady asks whether the vault can answer.
func (g *Gate) isReady(ctx context.Context) error {
	g.readyMu.Lock()
	defer g.readyMu.Unlock()
	if g.ready.at.IsZero() || time.Since(g.ready.at) > readyAge {
		// Who goes away must not make a vault that is well look ill to the next one.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyPatience)
		defer cancel()
		was := g.ready.err
		g.ready.err = g.cfg.Ready(ctx)
		g.ready.at = time.Now()
		if g.ready.err != nil && was == nil {
			g.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("error", g.ready.err.Error()))
		}
	}
	return g.ready.err
}

func (g *Gate) serveReady(w http.ResponseWriter, r *http.Request) {
	if g.isReady(r.Context()) != nil {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
