package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"coffer/vault/server/store"
)

var (
	// ErrOptions says that options cannot be used, or would not be safe.
	ErrOptions = errors.New("etcd: options")
	// ErrDamaged says that the cluster holds, under the prefix, what no vault has written.
	ErrDamaged = errors.New("etcd: the store is damaged")
)

// Defaults of [Options].
const (
	DefaultPrefix         = "coffer-vault/1/"
	DefaultRequestTimeout = 3 * time.Second
)

// maxPrefix bounds the prefix: every key of the cluster is in the memory of its members.
const maxPrefix = 128

// formatNow is the value of the key "format": what another version has written is not
// touched.
const formatNow = "coffer-vault-store/1"

// Options say which cluster, and as whom.
type Options struct {
	// Endpoints are the client addresses of the members: "host:port" or a URL. Without
	// TLS they must be on loopback, and with TLS none may say "http://".
	Endpoints []string
	// Prefix is before all keys of this vault. [DefaultPrefix].
	Prefix string
	// TLS says whom to trust and which certificate to show. nil: no TLS. It is copied.
	TLS *tls.Config
	// Username and Password sign in at a cluster that has etcd's own authentication.
	// Password is called by Open. The member certificates of TLS do without.
	Username string
	Password func() string
	// RequestTimeout bounds each Create, Fetch, Replace and Ready, with all that is
	// resent. [DefaultRequestTimeout].
	RequestTimeout time.Duration
	// Log gets the warnings of the client library. nil: nobody does.
	Log *slog.Logger
}

// Format prints "[redacted]" for every verb: TLS holds a private key.
func (Options) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// withDefaults returns a checked copy.
func (o Options) withDefaults() (Options, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if len(o.Prefix) > maxPrefix {
		return o, fmt.Errorf("%w: the prefix is longer than %d bytes", ErrOptions, maxPrefix)
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if (o.Username == "") != (o.Password == nil) {
		return o, fmt.Errorf("%w: a user name and a password go together", ErrOptions)
	}
	if o.TLS != nil {
		if o.TLS.InsecureSkipVerify && o.TLS.VerifyConnection == nil && o.TLS.VerifyPeerCertificate == nil {
			return o, fmt.Errorf("%w: TLS that checks no certificate is none", ErrOptions)
		}
		o.TLS = o.TLS.Clone()
		o.TLS.MinVersion = max(o.TLS.MinVersion, tls.VersionTLS12)
	}
	if len(o.Endpoints) == 0 {
		return o, fmt.Errorf("%w: no endpoint", ErrOptions)
	}
	o.Endpoints = slices.Clone(o.Endpoints)
	for i, e := range o.Endpoints {
		address, err := clientAddress(e, o.TLS != nil)
		if err != nil {
			return o, err
		}
		o.Endpoints[i] = address
	}
	return o, nil
}

// DB is a store in a cluster. It is safe for concurrent use.
type DB struct {
	options Options
	client  *clientv3.Client
	rows    string // prefix of all rows; a record id of 16 bytes follows

	// under is held for reading by each request, and for writing by Close: a request
	// that Close cuts off would be one of unknown outcome.
	under  sync.RWMutex
	closed bool // guarded by under
}

// Open connects to the cluster and checks that what is under the prefix is a store, or
// makes it one. It waits for a quorum as long as ctx allows. [ErrOptions], [ErrDamaged].
func Open(ctx context.Context, options Options) (*DB, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &DB{options: options, rows: options.Prefix + "row/"}
	s.client, err = s.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), s.Close())
	}
	return s, nil
}

// Format prints "[redacted]" for every verb: the client holds a password.
func (*DB) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// dial makes a client of the cluster. It connects only to sign in.
func (s *DB) dial(ctx context.Context) (client *clientv3.Client, err error) {
	config := clientv3.Config{
		Endpoints: s.options.Endpoints,
		TLS:       s.options.TLS,
		Username:  s.options.Username,
		Logger:    zapLogger(s.options.Log),

		// One: the package comment says why.
		MaxUnaryRetries: 1,
		DialTimeout:     s.options.RequestTimeout,

		// A member that vanished without a word is noticed. etcd takes more frequent
		// pings, and pings of an idle client, for an attack.
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: s.options.RequestTimeout,
		DialOptions: []grpc.DialOption{
			grpc.WithDisableRetry(),
			// gRPC's own limits are 20 s and 2 min: a member that comes back would
			// have to wait too long to be asked.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: s.options.RequestTimeout},
				MinConnectTimeout: s.options.RequestTimeout,
			}),
		},
	}
	if s.options.Password != nil {
		config.Password = s.options.Password()
	}
	err = s.patiently(ctx, func(ctx context.Context) error {
		// The client must outlive ctx, but signing in must obey it.
		life, end := context.WithCancel(context.WithoutCancel(ctx))
		config.Context = life //nolint:fatcontext // each attempt has its own
		detach := context.AfterFunc(ctx, end)
		client, err = clientv3.New(config)
		if err != nil {
			end()
			return err
		}
		detach()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return client, nil
}

// prepare finds the mark of the format, or sets it.
func (s *DB) prepare(ctx context.Context) error {
	key := s.formatKey()
	return s.patiently(ctx, func(ctx context.Context) error {
		ctx, cancel := s.once(ctx)
		defer cancel()
		answer, err := s.client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, formatNow)).
			Else(clientv3.OpGet(key)).
			Commit()
		if err != nil {
			return err
		}
		if answer.Succeeded {
			return nil
		}
		if kv := found(answer); kv == nil || string(kv.Value) != formatNow {
			return fmt.Errorf("another format: %w", ErrDamaged)
		}
		return nil
	})
}

func (s *DB) formatKey() string { return s.options.Prefix + "format" }

// Ready returns nil when a linearizable read works: a quorum is there and answers.
// [store.ErrClosed], [ErrDamaged].
func (s *DB) Ready(ctx context.Context) error {
	answer, err := s.get(ctx, s.formatKey())
	if err != nil {
		return fmt.Errorf("ask cluster: %w", err)
	}
	if len(answer.Kvs) != 1 || string(answer.Kvs[0].Value) != formatNow {
		return fmt.Errorf("ask cluster: the mark of the format is gone: %w", ErrDamaged)
	}
	return nil
}

// Close waits for the requests under way, and disconnects.
func (s *DB) Close() error {
	s.under.Lock()
	defer s.under.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// enter begins a request that Close waits for.
func (s *DB) enter() (leave func(), err error) {
	s.under.RLock()
	if s.closed {
		s.under.RUnlock()
		return nil, store.ErrClosed
	}
	return s.under.RUnlock, nil
}
