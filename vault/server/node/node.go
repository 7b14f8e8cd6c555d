package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"coffer/crypto/hpke"
	"coffer/crypto/opaque"
	"coffer/vault/protocol"
	"coffer/vault/server"
	"coffer/vault/server/admit"
	"coffer/vault/server/gate"
)

// Options say how a vault is opened, beyond its files. The zero value is usable.
type Options struct {
	Log         io.Writer        // where the log goes, a JSON object a line; nil: nowhere
	Clock       func() time.Time // nil: time.Now
	Version     string           // of the program, for Status
	Listen      []string         // instead of those of vault.toml
	Certificate string           // PEM file, instead of that of vault.toml; with Key
	Key         string
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o
}

func (o Options) logger(c Config) *slog.Logger {
	level, err := c.level()
	if err != nil {
		level = slog.LevelInfo // a configuration that was not checked yet
	}
	return slog.New(slog.NewJSONHandler(o.Log, &slog.HandlerOptions{Level: level}))
}

// override puts what was said on the command line in the place of the file.
func (o Options) override(c *Config) error {
	if len(o.Listen) > 0 {
		c.Listen = o.Listen
	}
	if o.Certificate != "" || o.Key != "" {
		c.TLS.Certificate, c.TLS.Key = o.Certificate, o.Key
	}
	return c.check()
}

// live is what the gate shows at this moment: it changes in one piece.
type live struct {
	keys        []*hpke.PrivateKey
	signed      []byte
	sequence    uint64
	expires     time.Time
	certificate tls.Certificate
}

// A Node is a vault with its files open. It has the folder until Close.
type Node struct {
	dir    folder
	config Config
	log    *slog.Logger
	lock   *lock
	parts  *parts
	server *server.Server
	gate   *gate.Gate
	office *office
	live   atomic.Pointer[live]
}

// Open opens the vault in dir: keys, store, sealer. It makes the next bundle when that is
// needed and all signatures can be made here.
//
// [ErrNoVault], [ErrBusy], [ErrConfig], [ErrDamaged], [ErrOpenToAll], [ErrStore],
// [ErrSeal], [ErrNotSigned], [ErrCertificate].
func Open(ctx context.Context, dir string, opts Options) (_ *Node, err error) {
	opts = opts.withDefaults()
	d := folder(dir)
	if err := d.hasVault(); err != nil {
		return nil, err
	}
	l, err := d.waitLock(ctx)
	if err != nil {
		return nil, err
	}
	n := &Node{dir: d, lock: l}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	id, err := readIdentity(d, opts.Clock)
	if err != nil {
		return nil, err
	}
	if err := opts.override(&id.config); err != nil {
		return nil, err
	}
	n.config, n.log = id.config, opts.logger(id.config)
	if err := errors.Join(d.remove(markName), d.sweepTemps()); err != nil {
		return nil, err
	}
	how := opening{dir: d, config: id.config, keys: id.keys, clock: opts.Clock, log: n.log}
	if n.parts, err = how.open(ctx); err != nil {
		return nil, err
	}
	id.learn(n.parts.facts)
	warning, err := id.current()
	if err != nil {
		return nil, err
	}
	if warning != "" {
		n.log.Warn("bundle", "warning", warning, "expires", id.bundle.Expires)
	}
	n.office = &office{opts: opts, log: n.log, id: id, parts: n.parts, since: opts.Clock(), ready: n.ready, changed: n.refresh}
	return n, n.assemble(opts)
}

// learn takes what only store and sealer know.
func (id *identity) learn(f facts) {
	id.facts.incarnation = max(id.facts.incarnation, f.incarnation)
	id.facts.attestation = f.attestation
}

// assemble builds what answers.
func (n *Node) assemble(opts Options) error {
	id := n.office.id
	if err := n.refresh(); err != nil {
		return err
	}
	key, err := opaque.ServerKeyFrom(id.keys.Server[:])
	if err != nil {
		return fmt.Errorf("OPAQUE key: %w: %w", ErrDamaged, err)
	}
	desk, err := admit.New(admit.Config{
		VaultID: id.keys.ID, Key: id.keys.Admission, Mode: id.config.Register, Issuer: id.config.OIDC.Issuer,
		ClientID: id.config.OIDC.ClientID, Store: n.parts.store, Sealer: n.parts.sealer, Clock: opts.Clock, Log: n.log,
		// The server asks the desk for tickets, and the desk the server for records.
		Fate: func(ctx context.Context, record [16]byte) (protocol.State, time.Time, error) {
			return n.server.Fate(ctx, record)
		},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	n.server, err = server.New(server.Config{
		VaultID: id.keys.ID, Store: n.parts.store, Sealer: n.parts.sealer, Key: key, Receipts: id.keys.receiptKey(),
		Tries: id.config.Tries, Waits: id.config.waits(), Clock: opts.Clock, Admit: desk.Check, Log: n.log,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	n.office.census = n.server.Census
	n.gate, err = n.newGate(desk, opts)
	return err
}

// refresh makes live what the identity says. The office calls it under its lock.
func (n *Node) refresh() error {
	id := n.office.id
	keys, err := id.envelopeKeys()
	if err != nil {
		return err
	}
	l := &live{keys: keys, signed: id.signed, sequence: id.bundle.Sequence, expires: id.bundle.Expires}
	if !id.config.Front.Behind {
		if l.certificate, err = id.certificate(); err != nil {
			return err
		}
	}
	n.live.Store(l)
	n.log.Info("bundle in use", "sequence", id.bundle.Sequence, "expires", id.bundle.Expires)
	return nil
}

// errExpired says why a vault is not ready.
var errExpired = errors.New("the bundle has expired")

// ready says whether a request could be answered now. It takes no lock of the office, which
// may be waiting for hardware.
func (n *Node) ready(ctx context.Context) error {
	select {
	case <-n.parts.gone: // nil: never
		return errGone
	default:
	}
	if n.office.opts.Clock().After(n.live.Load().expires) {
		return errExpired
	}
	for _, ask := range n.parts.ready {
		if err := ask(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close closes everything and gives the folder to the next process. The caller has ended
// Serve.
func (n *Node) Close() error {
	if n.server != nil {
		n.server.Close()
	}
	var err error
	if n.parts != nil {
		err = n.parts.Close()
	}
	if n.office != nil {
		n.office.id.keys.wipe()
	}
	n.lock.release()
	return err
}

// Addresses are where Serve listens, as configured.
func (n *Node) Addresses() []string { return n.config.listen() }

func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w: %w", address, ErrListen, err)
	}
	return l, nil
}
