package vault

import (
	"context"
	"fmt"
	"net"
	"time"

	"coffer/crypto/opaque"
	"coffer/vault/protocol"
	"coffer/vault/trust"
)

// RemoteOptions is how a vault on a network is asked. The zero value is a first contact.
type RemoteOptions struct {
	// Device is the name under which tries stand in the log: see [NewClient].
	Device string
	// Dial opens a connection to host:port, through whatever proxy the caller uses; nil: as
	// the system does. Its errors are [ErrOffline]: nothing has left yet.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Pin is what a slot says about the vault; nil: there is no slot yet.
	Pin *Pin
	// Also are addresses to ask where that of the link does not answer: [Slot.Addresses].
	Also []string
	// Known is the signed bundle that was accepted last, as Keep got it; nil: none.
	Known []byte
	// Keep makes a newer signed bundle durable. It is called before anything is sent to the
	// vault that this bundle describes; when it fails, nothing is sent. nil: not kept.
	Keep func(signed []byte) error
	// Seen is what KeepSeen got last for the record that this client is for.
	Seen Seen
	// KeepSeen makes the highest numbers of a record durable. When it fails before a try,
	// there is no try. nil: not kept.
	KeepSeen func(Seen) error
	// Warn hears what went wrong after a password was right already, and so is no error of
	// that: the vault's hardware was not armed again, Seen was not kept. nil: nobody hears.
	Warn func(error)
	// Clock is the time that bundles are compared with; nil: time.Now.
	Clock func() time.Time
}

// Dial returns a client of the vault on a network that link names, once it has a bundle
// that passes every rule (docs/vault-protocol.md, "Trust"): before that, nothing leaves
// this computer but the question for the bundle. An invitation in the link is used for a
// new record ([Client.WithAdmission]).
//
// Not reached: [ErrOffline], also [ErrPortal] when something answered that is no vault, and
// [ErrBusy]. Alarms: [ErrBundle], [ErrSingleSigned], [ErrOlder], [ErrPin] (somebody is in
// between), [ErrIdentity] (not the vault of the pin), [ErrVaultRolledBack]. [ErrExpired] is
// an [*ExpiredError]: the bundle's time is over, or this computer's clock is wrong. Several
// addresses may fail in several ways: ask for the alarms first. Errors of Keep.
func Dial(ctx context.Context, link trust.Link, opts RemoteOptions) (*Client, error) {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Dial == nil {
		opts.Dial = new(net.Dialer).DialContext
	}
	n, err := newNetwork(link, opts)
	if err != nil {
		return nil, fmt.Errorf("dial vault: %w", err)
	}
	if err := n.begin(ctx); err != nil {
		return nil, fmt.Errorf("dial vault: %w", err)
	}
	return &Client{
		channel: n, remote: n, pin: pinOf(n.contact().bundle), device: opts.Device,
		memory: newMemory(opts), admission: Admission{Invitation: link.Invite}, warn: opts.Warn,
		ksf: func(c protocol.Cost) (opaque.KSF, error) {
			return opaque.Argon2id(c.MemoryKiB, c.Time, c.Threads)
		},
	}, nil
}

// Bundle returns what the vault says about itself now; the zero Bundle for the embedded
// vault, which has none.
func (c *Client) Bundle() trust.Bundle {
	if c.remote == nil {
		return trust.Bundle{}
	}
	return c.remote.contact().bundle
}

// Changes returns what has become weaker since the bundle that [RemoteOptions].Known holds,
// for users to see; it may grow while the client lives.
func (c *Client) Changes() []trust.Change {
	if c.remote == nil {
		return nil
	}
	return c.remote.changes()
}

// Link returns the link of the vault without its invitation, as it stands in slots; the
// zero Link for the embedded vault.
func (c *Client) Link() trust.Link {
	if c.remote == nil {
		return trust.Link{}
	}
	return c.remote.link
}

func pinOf(b trust.Bundle) Pin {
	return Pin{VaultID: b.VaultID, ServerKey: b.ServerKey, ReceiptKey: b.ReceiptKey}
}
