package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"coffer/crypto/aead"
	"coffer/crypto/hpke"
	"coffer/crypto/opaque"
	"coffer/vault/server"
	"coffer/vault/server/admit"
	"coffer/vault/server/gate"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
	"coffer/vault/trust"
	"coffer/vault/vaulttest"
)

// A subject is a vault's core that is measured, on some store, with some sealer.
type subject struct {
	core   *server.Server
	store  store.Store
	sealer seal.Sealer
	id     [16]byte
	key    *opaque.ServerKey
}

// newSubject returns a core without waits: what is measured is work.
func newSubject(s store.Store, sealer seal.Sealer) (*subject, error) {
	v := &subject{store: s, sealer: sealer, id: [16]byte(aead.Random(16)), key: opaque.GenerateServerKey()}
	return v, v.start()
}

func (v *subject) start() (err error) {
	v.core, err = server.New(server.Config{
		VaultID: v.id, Store: v.store, Sealer: v.sealer, Key: v.key,
		Receipts: ed25519.NewKeyFromSeed(aead.Random(ed25519.SeedSize)), Waits: []time.Duration{}, Log: jsonLog(),
	})
	return err
}

// on returns the same vault on another store.
func (v *subject) on(s store.Store) (*subject, error) {
	other := &subject{store: s, sealer: v.sealer, id: v.id, key: v.key}
	return other, other.start()
}

func (v *subject) guesser(door vaulttest.Door) *vaulttest.Guesser {
	return vaulttest.NewGuesser(door, v.id, [33]byte(v.key.Public()))
}

// A nowhere is a writer that nobody reads. It is not io.Discard, for which a linter would
// have the handler left out: writing its lines is part of what is measured.
type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// jsonLog writes its lines as the program does, to nowhere.
func jsonLog() *slog.Logger { return slog.New(slog.NewJSONHandler(nowhere{}, nil)) }

// A dialer returns the door for one opening, and what ends its connection.
type dialer func() (door vaulttest.Door, hangUp func())

// inside returns the dialer to the core itself.
func (v *subject) inside() dialer { return insideOf(v.core) }

func insideOf(core vaulttest.Core) dialer {
	door := vaulttest.Inside(core, nil)
	return func() (vaulttest.Door, func()) { return door, func() {} }
}

// A front is a gate that listens on loopback before a core.
type front struct {
	bundle trust.Bundle
	url    string
	stop   func() error
}

// serve puts a gate before the core. The caller calls stop.
func (v *subject) serve(ctx context.Context) (*front, error) {
	cert, pin, err := trust.SelfSigned(trust.NewTLSKey())
	if err != nil {
		return nil, err
	}
	envelopes := hpke.GenerateKey()
	desk, err := admit.New(admit.Config{VaultID: v.id, Key: [32]byte(aead.Random(32)), Mode: admit.ModeOpen, Store: v.store, Sealer: v.sealer})
	if err != nil {
		return nil, err
	}
	g, err := gate.New(gate.Config{
		VaultID: v.id, Server: v.core, Desk: desk, Log: jsonLog(),
		Keys:   func() []*hpke.PrivateKey { return []*hpke.PrivateKey{envelopes} },
		Bundle: func() []byte { return nil }, // the clients here have it
		Limits: gate.Limits{AddressBurst: 1 << 20, AddressRate: 1e6, RecordBurst: 1 << 20, RecordRate: 1e6, AddressConnections: 1 << 10},
	})
	if err != nil {
		return nil, err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{url: "https://" + ln.Addr().String()}
	f.bundle = trust.Bundle{VaultID: v.id, HPKEKey: envelopes.Public().Bytes(), TLSPins: [][32]byte{pin}}
	f.run(ctx, g, ln, trust.ServerTLS(cert))
	return f, nil
}

func (f *front) run(ctx context.Context, g *gate.Gate, ln net.Listener, conf *tls.Config) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(ctx, ln, conf) }()
	f.stop = func() error {
		cancel()
		return <-ended
	}
}

// idle is when a client gives up a connection: before the vault does (60 s), for a request
// that meets a closing connection is one of unknown outcome.
const idle = 15 * time.Second

func (f *front) transport() *http.Transport {
	return &http.Transport{TLSClientConfig: trust.ClientTLS(f.bundle, "127.0.0.1"), MaxIdleConnsPerHost: 256, IdleConnTimeout: idle}
}

func (f *front) door(t *http.Transport) vaulttest.Door {
	return &vaulttest.Network{Bundle: f.bundle, HTTP: &http.Client{Transport: t, Timeout: time.Minute}, URL: f.url}
}

// kept returns a dialer whose connections stay open, and what closes them.
func (f *front) kept() (dialer, func()) {
	t := f.transport()
	door := f.door(t)
	return func() (vaulttest.Door, func()) { return door, func() {} }, t.CloseIdleConnections
}

// fresh returns a dialer that makes a connection for each opening, as people's apps do.
func (f *front) fresh() dialer {
	return func() (vaulttest.Door, func()) {
		t := f.transport()
		return f.door(t), t.CloseIdleConnections
	}
}

// closing collects what must be closed, last one first.
type closing []func() error

func (c closing) close() error {
	var errs []error
	for i := len(c) - 1; i >= 0; i-- {
		errs = append(errs, c[i]())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
