package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"coffer/vault/protocol"
	"coffer/vault/trust"
)

// An Admission is what lets a new record in where not everybody may register
// ([trust.Bundle].Register). Records that are there already need none.
type Admission struct {
	// Invitation is that of a link; "": none.
	Invitation string
	// IDToken signs the user in at the issuer of the bundle, as the client id of the bundle,
	// and returns an ID token with this nonce (OpenID Connect Core 1.0, section 2); nil: it
	// cannot.
	IDToken func(ctx context.Context, issuer, clientID, nonce string) (string, error)
}

// WithAdmission returns a client that is the same, but for new records shows a.
func (c *Client) WithAdmission(a Admission) *Client {
	copied := *c
	copied.admission = a
	return &copied
}

// NeedsAdmission reports what a new record needs: nothing (false, false), an invitation,
// or to sign in.
func (c *Client) NeedsAdmission() (invitation, signIn bool) {
	way := c.Bundle().Register
	return way == trust.RegisterInvite, way == trust.RegisterOIDC
}

// admissible says before anything is sent, or saved, what would be refused.
// [ErrNotAdmitted].
func (c *Client) admissible() error {
	invitation, signIn := c.NeedsAdmission()
	if invitation && c.admission.Invitation == "" || signIn && c.admission.IDToken == nil {
		return fmt.Errorf("a new record here needs an invitation or a sign-in: %w", ErrNotAdmitted)
	}
	return nil
}

// admit changes the admission for a ticket of record. [ErrNotAdmitted], [ErrInvitation],
// [ErrSignIn], [ErrQuota], those of IDToken.
func (c *Client) admit(ctx context.Context, record [16]byte) (ticket [protocol.TicketSize]byte, err error) {
	if err := c.admissible(); err != nil {
		return ticket, err
	}
	token := c.admission.Invitation
	if _, signIn := c.NeedsAdmission(); signIn {
		b := c.Bundle()
		token, err = c.admission.IDToken(ctx, b.Issuer, b.ClientID, hex.EncodeToString(record[:]))
		if err != nil {
			return ticket, fmt.Errorf("sign in: %w", err)
		}
	}
	if len(token) > protocol.MaxAdmission {
		return ticket, fmt.Errorf("admission of %d bytes: %w", len(token), ErrNotAdmitted)
	}
	kind := protocol.KindAdmit
	head := protocol.Admit{Header: protocol.NewHeader(kind, record, 0, [32]byte{})}
	reply, err := c.post(ctx, kind, protocol.EncodeVariable(&head, []byte(token), 0), nil, nil)
	if err != nil {
		return ticket, err
	}
	admitted, err := parseReply[protocol.AdmitReply](kind, reply)
	if err != nil {
		return ticket, err
	}
	return admitted.Ticket, nil
}

// fetchTicket gets the ticket of a new record and has it saved: an invitation is good for
// one record, and what is saved needs no second one.
func (c *Client) fetchTicket(ctx context.Context, p *Pending, save func(Pending) error) error {
	if invitation, signIn := c.NeedsAdmission(); !invitation && !signIn {
		return nil
	}
	ticket, err := c.admit(ctx, p.Slot.Record)
	if err != nil {
		return fmt.Errorf("ask for admission: %w", err)
	}
	p.Ticket = ticket
	if err := save(*p); err != nil {
		return fmt.Errorf("save ticket: %w", err)
	}
	return nil
}

// admitAgain reports whether a begin was refused for its ticket, and there is a way to
// another one: tickets live for an hour.
func (c *Client) admitAgain(err error) bool {
	invitation, signIn := c.NeedsAdmission()
	return errors.Is(err, ErrNotAdmitted) && (invitation || signIn) && c.admissible() == nil
}
