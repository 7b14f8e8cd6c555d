package node

import (
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"coffer/vault/server"
	"coffer/vault/server/admit"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
	"coffer/vault/trust"
)

// An office is what commands ask a vault for. In the process that serves it has parts; in
// a command that opened the files itself it has none.
type office struct {
	opts Options
	log  *slog.Logger
	// changed is called, under the lock, when the bundle is another one; nil: nobody cares.
	changed func() error

	mu    sync.Mutex // guards what follows
	id    *identity
	parts *parts // nil: not running
	since time.Time
	// ready and census ask the vault that runs; nil: it does not.
	ready  func(context.Context) error
	census func(context.Context) (server.Census, error)
}

// locked runs work on the identity, and passes on what has become of the bundle.
func (o *office) locked(work func(id *identity) (Renewed, error)) (Renewed, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.id.bundle.Sequence
	r, err := work(o.id)
	if err == nil && o.id.bundle.Sequence != before && o.changed != nil {
		err = o.changed()
	}
	return r, err
}

func (o *office) renew(context.Context) (Renewed, error) {
	return o.locked(func(id *identity) (Renewed, error) {
		changed, err := o.changedConfig()
		if err != nil || changed == nil {
			return renewOr(id, err)
		}
		// The program that runs does what it was started with. A bundle must not say more.
		r, err := changed.renew(false, true)
		r.Restart = true
		return r, err
	})
}

func renewOr(id *identity, err error) (Renewed, error) {
	if err != nil {
		return Renewed{}, err
	}
	return id.renew(false, false)
}

// changedConfig returns the identity that vault.toml asks for, when somebody has changed in
// it what clients are told since the program that runs has read it; nil otherwise.
func (o *office) changedConfig() (*identity, error) {
	if o.parts == nil {
		return nil, nil // a command has just read it
	}
	fresh, err := readIdentity(o.id.dir, o.id.clock)
	if err != nil {
		return nil, err
	}
	if err := o.opts.override(&fresh.config); err != nil {
		return nil, err
	}
	fresh.facts = o.id.facts
	now, errNow := o.id.next(false)
	then, errThen := fresh.next(false)
	if err := errors.Join(errNow, errThen); err != nil {
		return nil, err
	}
	if now.Equal(then) && o.id.config.Second == fresh.config.Second {
		return nil, nil
	}
	return fresh, nil
}

func (o *office) rotate(context.Context) (Renewed, error) { return o.locked((*identity).rotate) }

func (o *office) install(_ context.Context, signed []byte) (Renewed, error) {
	return o.locked(func(id *identity) (Renewed, error) {
		// Another computer of the cluster may have brought new keys along with the bundle.
		if fresh, err := id.dir.readKeys(); err == nil && fresh.ID == id.keys.ID && fresh.Server == id.keys.Server {
			id.keys = fresh
		}
		err := id.install(signed)
		return Renewed{Installed: err == nil, Sequence: id.bundle.Sequence, Text: id.signed}, err
	})
}

func (o *office) reload(context.Context) (Renewed, error) {
	return o.locked(func(id *identity) (Renewed, error) {
		err := id.reload()
		return Renewed{Installed: err == nil, Sequence: id.bundle.Sequence, Text: id.signed}, err
	})
}

// invite returns the link with a new invitation in it. [ErrNotInvited].
func (o *office) invite(_ context.Context, life time.Duration) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.id.config.Register != trust.RegisterInvite {
		return "", fmt.Errorf("register is %s: %w", o.id.config.Register, ErrNotInvited)
	}
	// An invitation is not stored before it is used, so this desk needs neither.
	desk, err := admit.New(admit.Config{
		VaultID: o.id.keys.ID, Key: o.id.keys.Admission, Mode: admit.ModeInvite,
		Store: noStore{}, Sealer: seal.NewSoft([32]byte{}), Clock: o.id.clock,
	})
	if err != nil {
		return "", fmt.Errorf("make invitation: %w", err)
	}
	token, err := desk.Invite(life)
	if err != nil {
		return "", fmt.Errorf("make invitation: %w: %w", ErrConfig, err)
	}
	link := o.id.link()
	link.Invite = token
	return link.String(), nil
}

// noStore is the store of a desk that only makes invitations.
type noStore struct{}

func (noStore) Create(context.Context, store.ID, []byte) error { return store.ErrClosed }
func (noStore) Fetch(context.Context, store.ID) ([]byte, store.Revision, error) {
	return nil, 0, store.ErrClosed
}

func (noStore) Replace(context.Context, store.ID, store.Revision, []byte) error {
	return store.ErrClosed
}

// Who counts the tries.
const (
	CountedByProgram = "program"
	CountedByTPM     = "tpm"
)

// A Status is what a vault says to who runs it.
type Status struct {
	Vault       string    `json:"vault"` // id, hexadecimal
	Name        string    `json:"name"`
	Link        string    `json:"link"`        // without an invitation
	Fingerprint string    `json:"fingerprint"` // of the link, to be compared by telephone
	Running     bool      `json:"running"`
	Ready       bool      `json:"ready"`
	NotReady    string    `json:"not_ready,omitempty"` // why
	Since       time.Time `json:"since,omitzero"`
	Version     string    `json:"version"` // of the program that runs, or else of the one that asks
	Listen      []string  `json:"listen"`
	Bundle      Bundle    `json:"bundle"`
	DaysLeft    int       `json:"days_left"` // of the bundle; negative: expired
	Staged      bool      `json:"staged"`    // a new bundle waits to be signed or installed
	RootHere    bool      `json:"root_here"` // root.key is in the folder
	Sealer      Sealer    `json:"sealer"`
	Store       string    `json:"store"`
	Rows        int       `json:"rows"` // records and admissions; -1: not known
	// Records by their state, in small letters, and Admitted: invitations that were used, and
	// accounts. Both are missing when there are too many to be counted in a second or two.
	Records   map[string]int `json:"records,omitzero"`
	Admitted  *int           `json:"admitted,omitempty"`
	Tries     int            `json:"tries"`
	Register  string         `json:"register"`
	Endorsed  string         `json:"endorsement_certificate,omitempty"` // of the TPM, PEM
	Warnings  []string       `json:"warnings"`
	Addresses []string       `json:"addresses"`
}

// A Sealer is who holds the keys.
type Sealer struct {
	Class     string   `json:"class"`
	Hardware  bool     `json:"hardware"`
	CountedBy string   `json:"counted_by"` // program, tpm
	Says      []string `json:"says"`       // about the hardware
}

// statusPatience bounds what asking store and hardware may take.
const statusPatience = 10 * time.Second

func (o *office) status(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	o.mu.Lock()
	defer o.mu.Unlock()
	id := o.id
	s := Status{
		Vault: hex.EncodeToString(id.keys.ID[:]), Name: id.config.Name, Link: id.link().String(), Fingerprint: id.link().Fingerprint(), Version: o.opts.Version,
		Listen: id.config.listen(), Addresses: id.config.Addresses, Bundle: viewOf(id.bundle),
		Staged: id.dir.has(nextName), RootHere: id.dir.has(rootName), Store: id.config.Store, Rows: -1,
		Tries: id.config.Tries, Register: id.config.Register, Warnings: []string{}, Sealer: sealerOf(id),
	}
	if id.signed != nil {
		s.DaysLeft = int(id.bundle.Expires.Sub(id.clock()) / (24 * time.Hour))
	}
	o.warn(&s)
	if o.parts == nil {
		return s, nil
	}
	s.Running, s.Since = true, o.since
	if err := o.ready(ctx); err != nil {
		s.NotReady = err.Error()
	}
	s.Ready = s.NotReady == ""
	if err := o.describe(ctx, &s); err != nil {
		s.Warnings = append(s.Warnings, "the hardware or the store does not say how it is: "+err.Error())
	}
	return s, nil
}

func sealerOf(id *identity) Sealer {
	class := classes()[id.keys.Class]
	s := Sealer{Class: class, Hardware: class != seal.ClassSoftware, CountedBy: CountedByProgram, Says: []string{}}
	if class == seal.ClassTPM {
		s.CountedBy = CountedByTPM
	}
	return s
}

// warn adds what who runs the vault should do something about.
func (o *office) warn(s *Status) {
	id := o.id
	switch {
	case id.signed == nil:
		s.Warnings = append(s.Warnings, "there is no signed bundle yet")
	case s.DaysLeft < 0:
		s.Warnings = append(s.Warnings, "the bundle has expired: no client talks to this vault")
	case id.bundle.Expires.Sub(id.clock()) < warnBefore:
		s.Warnings = append(s.Warnings, "the bundle expires soon")
	}
	if id.signed == nil {
		return
	}
	if diff, err := id.difference(); err != nil {
		s.Warnings = append(s.Warnings, "the bundle cannot be compared with the configuration: "+err.Error())
	} else if diff != nil {
		s.Warnings = append(s.Warnings, fmt.Sprintf("the signed bundle says %s %s, and the vault's files say %s", diff.key, diff.bundle, diff.files))
	}
}

// maxRows bounds what is counted for a status.
const maxRows = 1_000_000

// describe asks store and hardware.
func (o *office) describe(ctx context.Context, s *Status) error {
	if err := o.countRows(ctx, s); err != nil {
		return err
	}
	if err := o.countRecords(ctx, s); err != nil {
		return err
	}
	if o.parts.endorsement != nil {
		s.Endorsed = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.parts.endorsement}))
	}
	if o.parts.hardware == nil {
		return nil
	}
	says, err := o.parts.hardware(ctx)
	if err == nil {
		s.Sealer.Says = says
	}
	return err
}

// countRows counts without looking into any row.
func (o *office) countRows(ctx context.Context, s *Status) error {
	lister, ok := o.parts.store.(store.Lister)
	if !ok {
		return nil
	}
	rows := 0
	err := lister.List(ctx, func([16]byte) error {
		if rows++; rows > maxRows {
			return errManyRows
		}
		return nil
	})
	if err != nil && !errors.Is(err, errManyRows) {
		return err
	}
	s.Rows = rows
	return nil
}

// censusPatience bounds the look into every record: who asks for a status waits for it, and
// so do the requests of a token or a cluster.
const censusPatience = 2 * time.Second

func (o *office) countRecords(ctx context.Context, s *Status) error {
	quick, cancel := context.WithTimeout(ctx, censusPatience)
	defer cancel()
	census, err := o.census(quick)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil && quick.Err() != nil:
		return ctx.Err() // too many: the number of rows must do
	case err != nil:
		return err
	}
	s.Records, s.Admitted = map[string]int{}, &census.Others
	for state, n := range census.Records {
		s.Records[strings.ToLower(state.String())] = n
	}
	return nil
}

var errManyRows = fmt.Errorf("more than %d rows", maxRows)
