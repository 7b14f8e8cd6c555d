package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coffer/crypto"
	"coffer/crypto/aead"
	"coffer/crypto/opaque"
	"coffer/vault/protocol"
)

// Enroll puts root behind password: in a new record when old is nil, else as the next
// generation of old's record (a password change). The count of tries is carried over
// until the new password has been used once, which Enroll does; then the old generation
// is destroyed.
//
// save must make the pending generation durable, or fail. It is called before the first
// message that changes anything; when there is a ticket, which a new record needs where not
// everybody may register ([Client.WithAdmission]); and, with Committed set, before the old
// password stops working. After a crash or an error the caller hands the last one saved to
// [Client.Resume] and never begins anew: a vault that swallows its answers must not be
// able to make a client register, and so expose, its password again and again.
//
// The zero cost stands for crypto.DefaultKDFCost; a bundle may ask for more. [ErrOffline], [ErrIdentity],
// [ErrWeakKDF], [ErrFrozen], [ErrDestroyed], [ErrUnknownRecord] (another root key, or old
// was replaced), [ErrUnknownOutcome], those of crypto.NormalizePassword and of save. Of a
// vault on a network also [ErrNotAdmitted], [ErrInvitation], [ErrSignIn], [ErrQuota],
// [ErrEvidence], and those of [Client.Status].
func (c *Client) Enroll(ctx context.Context, root crypto.RootKey, password crypto.Secret, cost crypto.KDFCost, old *Slot, save func(Pending) error) (Slot, error) {
	price := c.price(cost)
	if err := price.Check(); err != nil {
		return Slot{}, fmt.Errorf("enroll: %w", err)
	}
	if old != nil {
		if err := c.usable(*old); err != nil {
			return Slot{}, fmt.Errorf("enroll: old slot: %w", err)
		}
	}
	info, err := c.Info(ctx)
	if err != nil {
		return Slot{}, err
	}
	if err := c.admissible(); old == nil && err != nil {
		return Slot{}, fmt.Errorf("enroll: %w", err)
	}
	generation, err := c.nextGeneration(ctx, root, old)
	if err != nil {
		return Slot{}, fmt.Errorf("enroll: %w", err)
	}
	p := newPending(info, c.pin, price, old, generation, time.Now())
	c.place(&p.Slot, root, old)
	if err := save(p); err != nil {
		return Slot{}, fmt.Errorf("enroll: save pending generation: %w", err)
	}
	if old == nil {
		if err := c.fetchTicket(ctx, &p, save); err != nil {
			return Slot{}, fmt.Errorf("enroll: %w", err)
		}
	}
	if err := c.register(ctx, p, root, password); err != nil {
		return Slot{}, fmt.Errorf("enroll: %w", err)
	}
	p.Committed = true
	if err := save(p); err != nil {
		return Slot{}, fmt.Errorf("enroll: save committed generation: %w", err)
	}
	return c.expose(ctx, p.Slot, root, password)
}

// Resume finishes what [Client.Enroll] began, with the same pending generation, however
// far it came; it may be repeated. password must be the one it was begun with, once the
// vault has committed: another one is [ErrWrongPassword], and costs a try. Errors as for
// Enroll.
//
// The caller has the slot of p uploaded, or uploads it when Resume has returned it.
func (c *Client) Resume(ctx context.Context, p Pending, root crypto.RootKey, password crypto.Secret) (Slot, error) {
	if err := c.usable(p.Slot); err != nil {
		return Slot{}, fmt.Errorf("resume: %w", err)
	}
	status, err := c.Status(ctx, p.Slot)
	if err != nil && !errors.Is(err, ErrUnknownRecord) {
		return Slot{}, err
	}
	if err == nil && status.Generation == p.Slot.Generation {
		return p.Slot, nil // exposed already; its answer was lost
	}
	if err != nil || status.Pending != p.Slot.Generation || !status.Committed {
		if err := c.register(ctx, p, root, password); err != nil {
			return Slot{}, fmt.Errorf("resume: %w", err)
		}
	}
	return c.expose(ctx, p.Slot, root, password)
}

// nextGeneration returns the number for a new generation: 1 for a new record. Before the
// last try of an old record it resets the count, as its owner may: exposing takes a try,
// and a crash in the middle of the last one would destroy the record.
func (c *Client) nextGeneration(ctx context.Context, root crypto.RootKey, old *Slot) (uint64, error) {
	if old == nil {
		return 1, nil
	}
	status, err := c.seenStatus(ctx, *old)
	if err != nil {
		return 0, err
	}
	switch status.State {
	case StateDestroyed:
		return 0, ErrDestroyed
	case StateFrozen:
		return 0, ErrFrozen
	}
	if status.Left <= 1 {
		if err := c.act(ctx, protocol.KindReset, *old, root); err != nil {
			return 0, fmt.Errorf("reset the count: %w", err)
		}
	}
	return max(old.Generation, status.Generation, status.Pending) + 1, nil
}

// price is the cost of Argon2id for a new password: as asked, and at least what the bundle
// asks for.
func (c *Client) price(cost crypto.KDFCost) protocol.Cost {
	if cost == (crypto.KDFCost{}) {
		cost = crypto.DefaultKDFCost()
	}
	floor := c.Bundle().Floor // zero for the embedded vault
	return protocol.Cost{
		MemoryKiB: max(cost.MemoryKiB, floor.MemoryKiB), Time: max(cost.Time, floor.Time),
		Threads: max(cost.Threads, floor.Threads),
	}
}

// place writes into a new slot where its vault is on a network, and what its hardware
// counts for. A record keeps the limit that it was made with.
func (c *Client) place(slot *Slot, root crypto.RootKey, old *Slot) {
	if c.remote == nil {
		return
	}
	link := c.remote.link
	slot.Link = link.String()
	others := slices.DeleteFunc(slices.Clone(c.Bundle().Addresses), func(a string) bool { return a == link.Address })
	slot.Also = strings.Join(others, " ")
	if old != nil {
		slot.Tries = old.Tries
	}
	if c.counts() {
		keys := root.Derive()
		defer keys.Wipe()
		slot.Guard = keys.Guard(slot.Record, slot.Generation).Public()
	}
}

// register brings a generation to the vault: begin and commit. It may be repeated.
func (c *Client) register(ctx context.Context, p Pending, root crypto.RootKey, password crypto.Secret) error {
	slot := p.Slot
	client, err := c.opaqueClient(slot)
	if err != nil {
		return err
	}
	normal, err := crypto.NormalizePassword(password)
	if err != nil {
		return err
	}
	defer normal.Wipe()
	var request []byte
	normal.Expose(func(p []byte) { request, err = client.RegistrationRequest(p) })
	if err != nil {
		return err
	}
	keys := root.Derive()
	defer keys.Wipe()
	response, err := c.begun(ctx, p, keys, [protocol.PointSize]byte(request))
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// What commit brings makes guesses possible to who has the key: only for the hardware
	// that was promised.
	if err := c.proveKey(ctx, p, keys, request, response); err != nil {
		return fmt.Errorf("check hardware: %w", err)
	}
	record, export, err := client.FinishRegistration(response)
	if err != nil {
		return fmt.Errorf("finish registration: %w: %w", ErrIdentity, err)
	}
	exportKey := crypto.NewSecret(export)
	defer exportKey.Wipe()
	if err := c.commit(ctx, slot, root, keys.Owner(), record, exportKey); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// proveKey has the vault prove that it has answered begin with the key of its hardware, and
// not with one that counts nothing: evidence alone says only that there is such a key
// ([opaque.Probe]).
func (c *Client) proveKey(ctx context.Context, p Pending, keys *crypto.Keys, request, response []byte) error {
	if !c.counts() {
		return nil
	}
	probe, second, err := opaque.NewProbe(request)
	if err != nil {
		return err
	}
	again, err := c.begun(ctx, p, keys, [protocol.PointSize]byte(second))
	if err != nil {
		return fmt.Errorf("begin again: %w", err)
	}
	report, err := c.checkHardware(ctx, p.Slot)
	if err != nil {
		return err
	}
	if err := probe.Check(response[:protocol.PointSize], again[:protocol.PointSize], report.Key[:]); err != nil {
		return fmt.Errorf("the vault has answered with another key than its hardware's: %w: %w", ErrEvidence, err)
	}
	return nil
}

// begun is begin, again with a new ticket when the old one's hour is over, and again when
// the hardware has to be armed first: once each.
func (c *Client) begun(ctx context.Context, p Pending, keys *crypto.Keys, request [protocol.PointSize]byte) ([]byte, error) {
	response, err := c.begin(ctx, p, keys, request)
	if c.admitAgain(err) {
		if p.Ticket, err = c.admit(ctx, p.Slot.Record); err != nil {
			return nil, err
		}
		response, err = c.begin(ctx, p, keys, request)
	}
	if errors.Is(err, ErrUnarmed) && c.counts() {
		if err := c.arm(ctx, p.Slot, keys, nil); err != nil {
			return nil, err
		}
		response, err = c.begin(ctx, p, keys, request)
	}
	return response, err
}

// begin returns the registration response of OPAQUE.
func (c *Client) begin(ctx context.Context, p Pending, keys *crypto.Keys, request [protocol.PointSize]byte) ([]byte, error) {
	slot := p.Slot
	kind, owner, capability := protocol.KindBegin, keys.Owner(), slot.capability()
	guard := keys.Guard(slot.Record, slot.Generation)
	defer guard.Wipe()
	reply, err := c.post(ctx, kind, protocol.Encode(&protocol.Begin{
		Header: header(kind, slot), OwnerKey: owner.Public(), CapabilityKey: capability.Public(),
		Guard: guard.Public(), Ticket: p.Ticket, Cost: slot.cost(), Request: request,
	}), owner, capability)
	if err != nil {
		return nil, err
	}
	begun, err := parseReply[protocol.BeginReply](kind, reply)
	if err != nil {
		return nil, err
	}
	if c.remote != nil && int(begun.Tries) != slot.Tries {
		return nil, fmt.Errorf("it allows %d tries, and not %d as its bundle says: %w", begun.Tries, slot.Tries, ErrIdentity)
	}
	return append(begun.Response[:], begun.ServerKey[:]...), nil
}

func (c *Client) commit(ctx context.Context, slot Slot, root crypto.RootKey, owner crypto.OwnerKey, record []byte, export crypto.Secret) error {
	kind := protocol.KindCommit
	release := aead.Random(32)
	defer clear(release)
	secret := crypto.NewSecret(append([]byte(nil), release...))
	defer secret.Wipe()
	share := crypto.NewSecret(append([]byte(nil), slot.CloudShare[:]...))
	wrapped := crypto.WrapRoot(root, export, secret, share, slot.Record[:], slot.Generation)
	reply, err := c.post(ctx, kind, protocol.Encode(&protocol.Commit{
		Header: header(kind, slot), Registration: [protocol.RecordSize]byte(record),
		Release: [32]byte(release), Wrapped: [protocol.WrappedSize]byte(wrapped),
	}), owner, slot.capability())
	if err != nil {
		return err
	}
	_, err = parseReply[protocol.Done](kind, reply)
	return err
}

// expose proves by one full login that the new password opens the new generation, before
// and so that the vault destroys the old one.
func (c *Client) expose(ctx context.Context, slot Slot, root crypto.RootKey, password crypto.Secret) (Slot, error) {
	keys := root.Derive()
	defer keys.Wipe()
	index, err := c.prepareHardware(ctx, slot, keys)
	if err != nil {
		return Slot{}, fmt.Errorf("expose new generation: prepare hardware: %w", err)
	}
	opened, _, err := c.login(ctx, slot, password, keys.Owner())
	if err != nil {
		return Slot{}, fmt.Errorf("expose new generation: %w", err)
	}
	defer opened.Wipe()
	if !opened.Equal(root) {
		return Slot{}, fmt.Errorf("expose new generation: %w", ErrNotOpened)
	}
	c.rearm(ctx, slot, root, index)
	return slot, nil
}
