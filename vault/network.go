package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"coffer/crypto/hpke"
	"coffer/vault/protocol"
	"coffer/vault/trust"
)

// A network is the channel to a vault on a network: it knows the vault by its bundle and
// puts each request into an envelope.
type network struct {
	link trust.Link // without invitation
	opts RemoteOptions

	fetching chan struct{} // held by who fetches a bundle

	mu   sync.Mutex // guards what follows
	at   *contact
	base *trust.Bundle // what changes are told against; nil: a first contact
}

// A contact is a vault as one accepted bundle describes it.
type contact struct {
	bundle    trust.Bundle
	key       hpke.PublicKey
	lines     *lines
	addresses []string     // at least one
	answered  atomic.Int32 // which of them answered last: it is asked first
}

// newNetwork reads what is known already. [ErrBundle], [ErrIdentity].
func newNetwork(link trust.Link, opts RemoteOptions) (*network, error) {
	n := &network{link: link.WithoutInvite(), opts: opts, fetching: make(chan struct{}, 1)}
	if opts.Known == nil {
		return n, nil
	}
	known, err := readKnown(opts.Known, n.link)
	if err != nil {
		return nil, fmt.Errorf("read known bundle: %w", err)
	}
	if opts.Pin != nil && pinOf(known) != *opts.Pin {
		return nil, fmt.Errorf("compare slot with known bundle: %w", ErrIdentity)
	}
	n.base = &known
	return n, nil
}

// readKnown reads a bundle that was accepted once. It may have expired meanwhile: it
// says what must not have changed, not what holds now.
func readKnown(signed []byte, link trust.Link) (trust.Bundle, error) {
	b, err := trust.ParseBundle(noteText(signed))
	if err != nil {
		return trust.Bundle{}, err
	}
	return trust.Verify(signed, link, b.Issued)
}

// noteText returns the text of a signed note: all before its signatures, which an empty
// line sets apart.
func noteText(signed []byte) []byte {
	i := bytes.LastIndex(signed, []byte("\n\n"))
	return signed[:i+1]
}

// begin makes the first contact of this run.
func (n *network) begin(ctx context.Context) error {
	addresses := union([]string{n.link.Address}, n.opts.Also)
	if n.base != nil {
		addresses = union(addresses, n.base.Addresses)
	}
	at, err := n.fetch(ctx, addresses, n.base)
	if err != nil {
		return err
	}
	if n.opts.Seen.Incarnation > at.bundle.Incarnation {
		return fmt.Errorf("incarnation %d after %d: %w", at.bundle.Incarnation, n.opts.Seen.Incarnation, ErrVaultRolledBack)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at = at
	if n.base == nil {
		n.base = &at.bundle
	}
	return nil
}

func (n *network) contact() *contact {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at
}

func (n *network) changes() []trust.Change {
	n.mu.Lock()
	defer n.mu.Unlock()
	return trust.Changes(*n.base, n.at.bundle)
}

// current returns the contact, made anew when its bundle has expired while the program ran.
func (n *network) current(ctx context.Context) (*contact, error) {
	at := n.contact()
	if n.opts.Clock().Before(at.bundle.Expires) {
		return at, nil
	}
	return n.renew(ctx, at)
}

// renew replaces a contact; who comes second gets the first one's.
func (n *network) renew(ctx context.Context, stale *contact) (*contact, error) {
	select {
	case n.fetching <- struct{}{}:
		defer func() { <-n.fetching }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrOffline, ctx.Err())
	}
	if at := n.contact(); at != stale {
		return at, nil
	}
	at, err := n.fetch(ctx, union(stale.addresses, []string{n.link.Address}), &stale.bundle)
	if err != nil {
		return nil, fmt.Errorf("fetch bundle again: %w", err)
	}
	n.mu.Lock()
	n.at = at
	n.mu.Unlock()
	stale.lines.close()
	return at, nil
}

// fetch asks one address after the other for the bundle and returns the first contact
// that passes every rule. known is nil when no bundle was accepted before.
func (n *network) fetch(ctx context.Context, addresses []string, known *trust.Bundle) (*contact, error) {
	var failed []error
	for _, address := range addresses {
		at, signed, err := n.fetchFrom(ctx, address, known)
		if err == nil && (known == nil || at.bundle.Sequence > known.Sequence) && n.opts.Keep != nil {
			if err = n.opts.Keep(signed); err != nil {
				return nil, fmt.Errorf("keep bundle: %w", err)
			}
		}
		if err == nil {
			return at, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", address, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failed...)
}

func (n *network) fetchFrom(ctx context.Context, address string, known *trust.Bundle) (*contact, []byte, error) {
	probe := new(trust.Probe)
	signed, err := n.download(ctx, address, probe)
	if err != nil {
		return nil, nil, err
	}
	b, err := n.accept(signed, known)
	if err != nil {
		return nil, nil, err
	}
	// What the bundle came through must be the vault itself, or its front: otherwise
	// somebody in between would see when, and how much, is asked.
	if err := probe.Check(b); err != nil {
		return nil, nil, err
	}
	at, err := n.contactOf(b, address)
	return at, signed, err
}

// accept is every rule about a bundle but that of the connection.
func (n *network) accept(signed []byte, known *trust.Bundle) (trust.Bundle, error) {
	now := n.opts.Clock()
	b, err := trust.Verify(signed, n.link, now)
	if errors.Is(err, trust.ErrExpired) {
		// Its signatures are right, or it would be another error.
		if b, parseErr := trust.ParseBundle(noteText(signed)); parseErr == nil {
			return trust.Bundle{}, &ExpiredError{Issued: b.Issued, Expires: b.Expires, Now: now}
		}
	}
	if err != nil {
		return trust.Bundle{}, err
	}
	if n.opts.Pin != nil && pinOf(b) != *n.opts.Pin {
		return trust.Bundle{}, fmt.Errorf("compare bundle with slot: %w", ErrIdentity)
	}
	if known == nil {
		return b, nil
	}
	return b, trust.Newer(*known, b)
}

// contactOf prefers the address that has answered, when the vault itself names it: the
// link's may be one that leads there by chance.
func (n *network) contactOf(b trust.Bundle, address string) (*contact, error) {
	key, err := hpke.PublicKeyFrom(b.HPKEKey)
	if err != nil {
		return nil, fmt.Errorf("read envelope key: %w: %w", trust.ErrBundle, err)
	}
	at := &contact{bundle: b, key: key, addresses: union(b.Addresses, []string{n.link.Address})}
	at.answered.Store(int32(max(0, slices.Index(at.addresses, address))))
	at.lines = newLines(n.opts, at.config)
	return at, nil
}

// info is made of the bundle: who runs the vault is in [Client.Bundle].
func (n *network) info(ctx context.Context) (Info, error) {
	at, err := n.current(ctx)
	if err != nil {
		return Info{}, err
	}
	b := at.bundle
	return Info{
		VaultID: b.VaultID, ServerKey: b.ServerKey, ReceiptKey: b.ReceiptKey,
		Tries: b.Tries, Waits: slices.Clone(b.Waits), Sealer: b.Sealer,
	}, nil
}

// union returns a, and what of b is not in it.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// isBundle reports whether an answer could be a bundle at all.
func isBundle(body []byte) bool { return strings.HasPrefix(string(body), "coffer-vault bundle ") }

// charges reports whether a request of this kind costs a try.
func charges(kind protocol.Kind) bool {
	return kind == protocol.KindAttempt || kind == protocol.KindExpose
}

// isQuestion reports whether a request of this kind changes nothing, or the same when it is
// asked twice: such a one may be sent again.
func isQuestion(kind protocol.Kind) bool {
	switch kind {
	case protocol.KindStatus, protocol.KindLog, protocol.KindEvidence, protocol.KindChallenge,
		protocol.KindAnchor, protocol.KindAdmit:
		return true
	}
	return false
}
