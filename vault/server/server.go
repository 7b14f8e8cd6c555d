package server

import (
	"context"
	"crypto/ed25519"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"coffer/crypto/opaque"
	"coffer/vault/protocol"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
)

// DefaultTries is the number of tries where nothing else is configured.
const DefaultTries = 10

// DefaultWaits returns the waits after the first wrong try, the second, and so on. They
// are a courtesy to the owner, who sees that somebody is trying; the count is the security.
func DefaultWaits() []time.Duration {
	return []time.Duration{
		0, 0, 0, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 8 * time.Hour, 24 * time.Hour,
	}
}

// Config says what a vault is. Store, Sealer, Key, Receipts and VaultID are needed.
type Config struct {
	VaultID  [16]byte
	Computer string // of an embedded vault: the name of its computer
	Store    store.Store
	Sealer   seal.Sealer
	Key      *opaque.ServerKey  // by which clients know the vault
	Receipts ed25519.PrivateKey // signs receipts of destruction
	Tries    int                // 0: DefaultTries; at most protocol.MaxTries
	Waits    []time.Duration    // nil: DefaultWaits; empty: none; past the end the last one goes on
	Clock    func() time.Time   // nil: time.Now
	// Admit lets a new record in, or refuses it: [protocol.ErrNotAdmitted]. nil: everybody.
	Admit func(record [16]byte, ticket [protocol.TicketSize]byte) error
	Log   *slog.Logger // nil: none
}

// ErrConfig says that a Config lacks what is needed or holds what cannot be.
var ErrConfig = errors.New("server: bad configuration")

// A Server is a vault. It is safe for concurrent use.
type Server struct {
	cfg   Config
	info  []byte                    // answer to GET /v1/info
	table map[protocol.Kind]handler // of requests
	locks [stripes]chan struct{}
	seed  maphash.Seed // of the choice of a lock

	mu     sync.Mutex // guards what follows
	closed bool
	timers map[[16]byte]*time.Timer // of last tries: see watch
	roomed time.Time                // when makeRoom last looked
	firing sync.WaitGroup           // timers that are at work
}

// New returns a Server. [ErrConfig].
func New(cfg Config) (*Server, error) {
	if cfg.Tries == 0 {
		cfg.Tries = DefaultTries
	}
	if cfg.Waits == nil {
		cfg.Waits = DefaultWaits()
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Admit == nil {
		cfg.Admit = func([16]byte, [protocol.TicketSize]byte) error { return nil }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("new server: %w", err)
	}
	s := &Server{cfg: cfg, seed: maphash.MakeSeed(), timers: map[[16]byte]*time.Timer{}}
	for i := range s.locks {
		s.locks[i] = make(chan struct{}, 1)
	}
	s.info = protocol.EncodeInfo(protocol.Info{
		VaultID: cfg.VaultID, ServerKey: [protocol.PointSize]byte(cfg.Key.Public()),
		ReceiptKey: s.receiptKey(), Computer: cfg.Computer, Tries: cfg.Tries, Waits: cfg.Waits,
		Sealer: cfg.Sealer.Class(),
	})
	s.table = s.handlers()
	// What clients would refuse must not be served.
	if _, err := protocol.ParseInfo(s.info); err != nil {
		return nil, fmt.Errorf("new server: %w: %w", ErrConfig, err)
	}
	return s, nil
}

func (c Config) check() error {
	if c.Store == nil || c.Sealer == nil || c.Key == nil || len(c.Receipts) != ed25519.PrivateKeySize {
		return fmt.Errorf("store, sealer or a key is missing: %w", ErrConfig)
	}
	if c.Tries < 1 || c.Tries > protocol.MaxTries || len(c.Waits) > protocol.MaxTries {
		return fmt.Errorf("tries or waits out of bounds: %w", ErrConfig)
	}
	for _, w := range c.Waits {
		if w < 0 || w > protocol.MaxWait || w%time.Millisecond != 0 {
			return fmt.Errorf("a wait is out of bounds: %w", ErrConfig)
		}
	}
	return nil
}

func (s *Server) receiptKey() [32]byte {
	return [32]byte(s.cfg.Receipts.Public().(ed25519.PublicKey))
}

// requestLife bounds what one request may take: a store that hangs must not keep it.
const requestLife = 10 * time.Second

// ServeHTTP answers one request (docs/vault-protocol.md, "Requests").
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestLife)
	defer cancel()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	reply, err := s.answer(ctx, w, r)
	if err != nil {
		s.refuse(ctx, w, r, err)
		return
	}
	_, _ = w.Write(reply) // the client is gone when this fails; what was charged stays charged
}

func (s *Server) answer(ctx context.Context, w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.URL.Path == protocol.InfoPath && r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "application/json")
		return s.info, nil
	}
	kind, ok := kindAt(r.URL.Path)
	if !ok || r.Method != http.MethodPost || r.Header.Get("Content-Type") != protocol.ContentType {
		return nil, fmt.Errorf("no such request: %w", protocol.ErrMalformed)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, protocol.MaxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, protocol.ErrTooLarge
		}
		return nil, fmt.Errorf("read request: %w", protocol.ErrMalformed)
	}
	w.Header().Set("Content-Type", protocol.ContentType)
	if h, err := protocol.HeaderOf(body); err != nil || h.Kind != kind {
		return nil, fmt.Errorf("another message than the path says: %w", protocol.ErrMalformed)
	}
	return s.Answer(ctx, protocol.EmbeddedBinding(s.cfg.VaultID), body)
}

// Answer answers one request that came through the channel with this binding: a request
// that was recorded on one channel is refused on another. Its errors are those of package
// protocol: what may leave of them is their code ([protocol.WriteError]).
func (s *Server) Answer(ctx context.Context, binding [32]byte, body []byte) ([]byte, error) {
	h, err := protocol.HeaderOf(body)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(h.Binding[:], binding[:]) != 1 {
		return nil, protocol.ErrIdentity
	}
	handle, ok := s.table[h.Kind]
	if !ok {
		return nil, fmt.Errorf("not a request to a record: %w", protocol.ErrMalformed)
	}
	return handle(ctx, body)
}

// kindAt returns the kind of the request that is sent to path.
func kindAt(path string) (protocol.Kind, bool) {
	for _, e := range protocol.Endpoints() {
		if e.Path == path {
			return e.Kind, true
		}
	}
	return 0, false
}

// A handler takes the body of a request and returns that of the reply.
type handler func(ctx context.Context, body []byte) ([]byte, error)

// handlers returns the table of requests: each kind and its function. Admissions are the
// gate's: they are about who may register, and know no record.
func (s *Server) handlers() map[protocol.Kind]handler {
	all := map[protocol.Kind]handler{
		protocol.KindBegin: s.begin, protocol.KindCommit: s.commit,
		protocol.KindAttempt: s.attempt, protocol.KindExpose: s.expose, protocol.KindFinish: s.finish,
		protocol.KindStatus: s.status, protocol.KindLog: s.eventLog,
		protocol.KindEvidence: s.evidence, protocol.KindChallenge: s.challenge, protocol.KindArm: s.arm,
		protocol.KindPutAnchor: s.putAnchor, protocol.KindAnchor: s.getAnchor,
	}
	for _, kind := range []protocol.Kind{protocol.KindReset, protocol.KindFreeze, protocol.KindUnfreeze, protocol.KindDestroy} {
		all[kind] = func(ctx context.Context, body []byte) ([]byte, error) { return s.act(ctx, kind, body) }
	}
	return all
}

// refuse sends the code of err. What is the vault's own fault goes to its log, where the
// client cannot see it; nothing of a request does.
func (s *Server) refuse(ctx context.Context, w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, protocol.ErrInternal) || errors.Is(err, protocol.ErrUnknownOutcome) {
		s.cfg.Log.ErrorContext(ctx, "request failed", "path", r.URL.Path, "error", err)
	}
	protocol.WriteError(w, err)
}

func (s *Server) now() int64 { return s.cfg.Clock().UnixMilli() }

// Sweep looks at every record, so that a last try that expired while no server ran
// destroys its record now. It does nothing on a store that cannot list.
func (s *Server) Sweep(ctx context.Context) error {
	lister, ok := s.cfg.Store.(store.Lister)
	if !ok {
		return nil
	}
	return lister.List(ctx, func(id [16]byte) error { return s.settle(ctx, id) })
}

// Tidy destroys the OPRF keys in hardware that no record knows: a crash came after the
// change that dropped them, and each takes room in the chip. It runs before the server
// answers anybody, and does nothing for a sealer that has none to find.
func (s *Server) Tidy(ctx context.Context) error {
	sweeper, ok := s.cfg.Sealer.(seal.Sweeper)
	lister, lists := s.cfg.Store.(store.Lister)
	if !ok || !lists {
		return nil
	}
	var live [][]byte
	err := lister.List(ctx, func(id [16]byte) error {
		r, err := s.fetch(ctx, id)
		if errors.Is(err, errOther) {
			return nil
		}
		live = append(live, r.keys()...)
		return err
	})
	if err == nil {
		err = sweeper.Sweep(ctx, live)
	}
	if err != nil {
		return fmt.Errorf("destroy keys that no record knows: %w", err)
	}
	return nil
}

// Fate says the state of a record, StateNone when there is none, and when it was destroyed.
func (s *Server) Fate(ctx context.Context, id [16]byte) (state protocol.State, destroyed time.Time, err error) {
	err = s.change(ctx, id, func(r *record) (*record, verdict, error) {
		state, destroyed = protocol.StateNone, time.Time{}
		if r == nil {
			return nil, verdict{}, nil
		}
		v := r.decide(ask{What: askStatus}, s.cfg.Waits, s.now())
		if state = r.tally.State; state == protocol.StateDestroyed {
			destroyed = time.UnixMilli(r.destroyedAt)
		}
		return r, v, nil
	})
	if err != nil {
		return protocol.StateNone, time.Time{}, fmt.Errorf("look at record: %w", err)
	}
	return state, destroyed, nil
}

// settle brings one record up to now.
func (s *Server) settle(ctx context.Context, id [16]byte) error {
	err := s.change(ctx, id, func(r *record) (*record, verdict, error) {
		if r == nil {
			return nil, verdict{}, nil
		}
		v := r.decide(ask{What: askStatus}, s.cfg.Waits, s.now())
		if r.tally.State == protocol.StateLastCall {
			s.watch(id)
		}
		return r, v, nil
	})
	if err != nil && !errors.Is(err, errOther) {
		return fmt.Errorf("settle record: %w", err)
	}
	return nil
}

// watch looks at a record again when its last try has expired: nobody else may ever ask
// for it, and until then its key still lies in the store.
func (s *Server) watch(id [16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.timers[id] != nil {
		return
	}
	s.timers[id] = time.AfterFunc(protocol.AttemptLife+time.Second, func() { s.expire(id) })
}

func (s *Server) expire(id [16]byte) {
	s.mu.Lock()
	delete(s.timers, id)
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.firing.Add(1)
	s.mu.Unlock()
	defer s.firing.Done()
	ctx, cancel := context.WithTimeout(context.Background(), requestLife)
	defer cancel()
	if err := s.settle(ctx, id); err != nil {
		s.cfg.Log.ErrorContext(ctx, "last try not settled", "error", err)
	}
}

// Close stops what the server does on its own and waits for it. It does not close the
// store.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, t := range s.timers {
		t.Stop()
	}
	clear(s.timers)
	s.mu.Unlock()
	s.firing.Wait()
}
