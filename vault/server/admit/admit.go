package admit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
)

// The ways to register (docs/vault-protocol.md, "Who may register").
const (
	ModeOpen   = "open"   // everybody
	ModeInvite = "invite" // who has an invitation
	ModeOIDC   = "oidc"   // who signs in with the issuer
)

// Limits.
const (
	TicketLife     = time.Hour
	MaxInvitation  = 366 * 24 * time.Hour // longer ones are keys that nobody looks after
	AccountRecords = 8                    // of one account
	// PlaceRest is how long the place of a destroyed record stays taken: its tombstone stays
	// in the store for ever, and an account must not fill that as fast as it can ask.
	PlaceRest = 24 * time.Hour
)

// ErrConfig says that a Config lacks what is needed or holds what cannot be, or that the
// desk's way to register is another one.
var ErrConfig = errors.New("admit: bad configuration")

// Config says who may register. VaultID, Key, Mode, Store and Sealer are needed; Issuer and
// ClientID for [ModeOIDC].
type Config struct {
	VaultID [16]byte
	Key     [32]byte // the admission key: makes invitations, tickets and names of rows
	Mode    string   // ModeOpen, ModeInvite or ModeOIDC
	// Issuer is the identity provider, exactly as its tokens spell it: https, or http on
	// loopback. ClientID is the audience that its tokens must have.
	Issuer, ClientID string
	Store            store.Store
	Sealer           seal.Sealer
	// Fate says the state of a record, and when it was destroyed: an account that is full
	// gets back the places of records that are no more. nil: it does not.
	Fate  func(ctx context.Context, record [16]byte) (protocol.State, time.Time, error)
	Clock func() time.Time // nil: time.Now
	HTTP  *http.Client     // to the issuer; nil: one that knows no proxy
	Log   *slog.Logger     // nil: none
}

// A Desk lets new records in. It is safe for concurrent use.
type Desk struct {
	cfg    Config
	issuer *issuer // nil unless ModeOIDC
}

// New returns a Desk. It asks nobody: the issuer's keys are fetched when the first token
// comes. [ErrConfig].
func New(cfg Config) (*Desk, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Store == nil || cfg.Sealer == nil || cfg.Key == [32]byte{} || cfg.VaultID == [16]byte{} {
		return nil, fmt.Errorf("new desk: store, sealer, key or vault id is missing: %w", ErrConfig)
	}
	d := &Desk{cfg: cfg}
	switch cfg.Mode {
	case ModeOpen, ModeInvite:
		if cfg.Issuer != "" || cfg.ClientID != "" {
			return nil, fmt.Errorf("new desk: an issuer, and mode %q: %w", cfg.Mode, ErrConfig)
		}
	case ModeOIDC:
		var err error
		if d.issuer, err = newIssuer(cfg); err != nil {
			return nil, fmt.Errorf("new desk: %w", err)
		}
	default:
		return nil, fmt.Errorf("new desk: mode %q: %w", cfg.Mode, ErrConfig)
	}
	return d, nil
}

// Format prints "[redacted]" for every verb: a Desk holds the admission key.
func (*Desk) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// Admit takes an invitation or an ID token from somebody who wants to make a record, and
// returns the ticket for it. The same record may come again, with the same invitation or
// the same account. In [ModeOpen] everybody gets a ticket, so that a client with an older
// bundle is not turned away.
//
// [protocol.ErrInvitation], [protocol.ErrSignIn], [protocol.ErrQuota];
// [protocol.ErrUnknownOutcome] when nobody knows whether the admission was stored: no ticket
// is given then, and the same record may ask again. [protocol.ErrInternal] when store, sealer
// or issuer cannot be asked: nothing was stored.
func (d *Desk) Admit(ctx context.Context, record [16]byte, token []byte) (ticket [protocol.TicketSize]byte, err error) {
	switch d.cfg.Mode {
	case ModeInvite:
		err = d.admitInvited(ctx, record, token)
	case ModeOIDC:
		err = d.admitSignedIn(ctx, record, token)
	}
	if err != nil {
		return ticket, fmt.Errorf("admit: %w", err)
	}
	return d.ticket(record, d.cfg.Clock().Add(TicketLife)), nil
}

// admitInvited lets record in on an invitation.
func (d *Desk) admitInvited(ctx context.Context, record [16]byte, token []byte) error {
	id, err := d.openInvitation(token)
	if err != nil {
		return err
	}
	err = d.join(ctx, admission{kind: byInvitation, about: id[:]}, 1, record)
	if errors.Is(err, errFull) {
		return fmt.Errorf("used for another record: %w", protocol.ErrInvitation)
	}
	return err
}

// admitSignedIn lets record in on an ID token.
func (d *Desk) admitSignedIn(ctx context.Context, record [16]byte, token []byte) error {
	account, err := d.issuer.account(ctx, record, token)
	if err != nil {
		return err
	}
	err = d.join(ctx, admission{kind: byAccount, about: account[:]}, AccountRecords, record)
	if errors.Is(err, errFull) {
		return fmt.Errorf("%d records: %w", AccountRecords, protocol.ErrQuota)
	}
	return err
}

// Check says whether ticket lets record in now: server.Config.Admit. It asks nobody and
// remembers nothing. [protocol.ErrNotAdmitted].
func (d *Desk) Check(record [16]byte, ticket [protocol.TicketSize]byte) error {
	if d.cfg.Mode == ModeOpen || d.isTicket(record, ticket) {
		return nil
	}
	return fmt.Errorf("check ticket: %w", protocol.ErrNotAdmitted)
}
