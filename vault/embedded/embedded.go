// Package embedded is the vault inside the app: the same server code as a vault on the
// network, behind a pipe in this process, one for each user of a computer.
//
// It is a software vault: its keys are in a file beside its store. Who can read both can
// guess the password, at the price of Argon2id a guess, without limit; and who puts
// yesterday's store back has yesterday's tries back. docs/vault-protocol.md says what
// holds all the same.
//
// Its folder (mode 0700) holds three files (mode 0600):
//
//   - vault.db: the records, sealed (package bolt). The process that has it open has
//     the vault.
//   - vault.key: the sealing key, the OPAQUE key, the receipt key. Without it the
//     records are lost.
//   - vault.json: id, tries and waits, fixed when the vault was made. It is written
//     last: a folder that has it has a vault.
package embedded

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"coffer/crypto/opaque"
	"coffer/vault/protocol"
	"coffer/vault/server"
	"coffer/vault/server/seal"
	"coffer/vault/server/store/bolt"
)

var (
	// ErrBusy says that another process has the vault, for longer than Patience.
	ErrBusy = errors.New("embedded: another process has the vault")
	// ErrDamaged says that the vault's files are not whole. Nothing was changed.
	ErrDamaged = errors.New("embedded: the vault on this computer is damaged")
)

// DefaultPatience is how long Open waits for another process: it has the vault for one
// try at a time, which takes about a second.
const DefaultPatience = 5 * time.Second

// Options say how a vault is made and opened. The zero value is usable.
type Options struct {
	Tries    int              // of a vault made now; 0: server.DefaultTries
	Waits    []time.Duration  // of a vault made now; nil: server.DefaultWaits; empty: none
	Patience time.Duration    // 0: DefaultPatience
	Log      *slog.Logger     // nil: none
	Clock    func() time.Time // nil: time.Now

	tap func(net.Conn) net.Conn // tests record what goes through the pipe
}

// A Vault is open until Close, and no other process has it meanwhile.
type Vault struct {
	info   protocol.Info
	db     *bolt.DB
	server *server.Server
	http   *http.Server
	pipe   *pipe
	client *http.Transport
	served chan struct{} // closed when the serving goroutine has ended
}

// Open opens the vault in dir and makes it where there is none. computer is the name of
// this computer, which slots carry so that another one can say where the vault is; it is
// one that can be shown (protocol.Printable). [ErrBusy], [ErrDamaged], and those of the file
// system.
func Open(ctx context.Context, dir, computer string, opts Options) (*Vault, error) {
	if opts.Patience == 0 {
		opts.Patience = DefaultPatience
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open embedded vault: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open embedded vault: %w", err)
	}
	db, err := bolt.Open(filepath.Join(dir, dbName), opts.Patience)
	switch {
	case errors.Is(err, bolt.ErrBusy):
		return nil, fmt.Errorf("open embedded vault: %w: %w", ErrBusy, err)
	case errors.Is(err, bolt.ErrDamaged):
		return nil, fmt.Errorf("open embedded vault: %w: %w", ErrDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("open embedded vault: %w", err)
	}
	v, err := start(ctx, dir, computer, opts, db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open embedded vault: %w", err), db.Close())
	}
	return v, nil
}

// start does what needs the store's lock: from here on nobody else makes this vault.
func start(ctx context.Context, dir, computer string, opts Options, db *bolt.DB) (*Vault, error) {
	keys, settings, err := loadOrMake(ctx, dir, opts, db)
	if err != nil {
		return nil, err
	}
	key, err := opaque.ServerKeyFrom(keys.Server[:])
	if err != nil {
		return nil, fmt.Errorf("%w: OPAQUE key: %w", ErrDamaged, err)
	}
	srv, err := server.New(server.Config{
		VaultID: keys.ID, Computer: computer, Store: db, Sealer: seal.NewSoft(keys.Seal), Key: key,
		Receipts: ed25519.NewKeyFromSeed(keys.Receipts[:]), Tries: settings.Tries, Waits: settings.waits(),
		Clock: opts.Clock, Log: opts.Log,
	})
	if err != nil {
		return nil, err
	}
	if err := srv.Sweep(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	v := &Vault{
		db: db, server: srv, pipe: newPipe(opts.tap), served: make(chan struct{}),
		info: protocol.Info{
			VaultID: keys.ID, ServerKey: [protocol.PointSize]byte(key.Public()),
			ReceiptKey: [32]byte(ed25519.NewKeyFromSeed(keys.Receipts[:]).Public().(ed25519.PublicKey)),
			Computer:   computer, Tries: settings.Tries, Waits: settings.waits(), Sealer: "software",
		},
	}
	v.serve()
	return v, nil
}

// serve answers on the pipe. This is the only go statement of the package; Close ends it.
func (v *Vault) serve() {
	v.http = &http.Server{
		Handler: v.server, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
	v.client = &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return v.pipe.dial(ctx) },
		DisableCompression: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second,
	}
	go func() {
		defer close(v.served)
		_ = v.http.Serve(v.pipe) // always http.ErrServerClosed: the pipe fails only when it is closed
	}()
}

// closeTimeout bounds how long Close waits for requests in flight.
const closeTimeout = 15 * time.Second

// Close waits for the requests in flight and gives the vault to the next process.
func (v *Vault) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	v.client.CloseIdleConnections()
	err := v.http.Shutdown(ctx)
	<-v.served
	v.server.Close()
	if err = errors.Join(err, v.db.Close()); err != nil {
		return fmt.Errorf("close embedded vault: %w", err)
	}
	return nil
}

// Transport carries requests to the vault, through the pipe.
func (v *Vault) Transport() http.RoundTripper { return v.client }

// ID returns the vault's id.
func (v *Vault) ID() [16]byte { return v.info.VaultID }

// Info returns what the vault says about itself; vault.PinOf makes the pin of it.
func (v *Vault) Info() protocol.Info { return v.info }

// Exists reports whether dir holds the vault with this id. It makes nothing, opens no
// store and waits for nobody, so that "its vault is on ANN-LAPTOP" costs nothing.
func Exists(dir string, id [16]byte) bool {
	settings, err := readSettings(dir)
	return err == nil && settings.ID == hex.EncodeToString(id[:])
}

// missing reports whether err says that a file is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
