package vault

import (
	"context"
	"fmt"
	"time"

	"coffer/crypto"
	"coffer/vault/protocol"
)

// Reset gives all tries back. Like all acts of the owner it takes the root key and works
// at once, whatever the waits. [ErrDestroyed], [ErrStale] (somebody else acted at this
// moment: ask again), [ErrUnknownRecord], [ErrOffline], [ErrUnknownOutcome].
func (c *Client) Reset(ctx context.Context, slot Slot, root crypto.RootKey) error {
	return c.checkedAct(ctx, protocol.KindReset, slot, root, "reset vault record")
}

// Freeze refuses all tries until Unfreeze. Errors as for [Client.Reset].
func (c *Client) Freeze(ctx context.Context, slot Slot, root crypto.RootKey) error {
	return c.checkedAct(ctx, protocol.KindFreeze, slot, root, "freeze vault record")
}

// Unfreeze allows tries again, and gives all of them back. Errors as for [Client.Reset].
func (c *Client) Unfreeze(ctx context.Context, slot Slot, root crypto.RootKey) error {
	return c.checkedAct(ctx, protocol.KindUnfreeze, slot, root, "unfreeze vault record")
}

func (c *Client) checkedAct(ctx context.Context, kind protocol.Kind, slot Slot, root crypto.RootKey, verb string) error {
	if err := c.ready(ctx, slot); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	if err := c.act(ctx, kind, slot, root); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	if kind == protocol.KindFreeze {
		return nil
	}
	// The record has all tries again; hardware that counts by itself must be told, too.
	keys := root.Derive()
	defer keys.Wipe()
	if err := c.armAfterAct(ctx, slot, keys); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

func (c *Client) act(ctx context.Context, kind protocol.Kind, slot Slot, root crypto.RootKey) error {
	reply, err := c.ownerPost(ctx, kind, slot, root)
	if err != nil {
		return err
	}
	_, err = parseReply[protocol.Done](kind, reply)
	return err
}

// ownerPost sends an act under the next sequence: a recorded act cannot be played back.
func (c *Client) ownerPost(ctx context.Context, kind protocol.Kind, slot Slot, root crypto.RootKey) ([]byte, error) {
	status, err := c.status(ctx, slot)
	if err != nil {
		return nil, err
	}
	keys := root.Derive()
	defer keys.Wipe()
	act := protocol.Act{Header: header(kind, slot), Sequence: status.Sequence + 1}
	return c.post(ctx, kind, protocol.Encode(&act), keys.Owner(), slot.capability())
}

// Log returns what happened to the record, oldest first, at most protocol.MaxEvents.
// Errors as for [Client.Reset].
func (c *Client) Log(ctx context.Context, slot Slot, owner crypto.OwnerKey) ([]Event, error) {
	if err := c.ready(ctx, slot); err != nil {
		return nil, fmt.Errorf("read vault log: %w", err)
	}
	kind := protocol.KindLog
	reply, err := c.post(ctx, kind, protocol.Encode(&protocol.Act{Header: header(kind, slot)}), owner, slot.capability())
	if err != nil {
		return nil, fmt.Errorf("read vault log: %w", err)
	}
	lines, err := protocol.ParseLog(reply)
	if err != nil {
		return nil, fmt.Errorf("read vault log: %w", err)
	}
	events := make([]Event, 0, len(lines))
	for _, l := range lines {
		events = append(events, Event{
			At: time.UnixMilli(l.At), Kind: l.Kind, Generation: l.Generation, Left: int(l.Left),
			Device: openDevice(slot.CloudShare, l.Device),
		})
	}
	return events, nil
}

// Destroy has the vault destroy the record for ever and returns its signed receipt, which
// has been checked against the pinned key. For a record that is destroyed already, by the
// owner or by too many tries, it returns the receipt of that. Errors as for [Client.Reset];
// [ErrUnknownOutcome] also for a receipt that does not verify.
func (c *Client) Destroy(ctx context.Context, slot Slot, root crypto.RootKey) (Receipt, error) {
	if err := c.ready(ctx, slot); err != nil {
		return Receipt{}, fmt.Errorf("destroy vault record: %w", err)
	}
	reply, err := c.ownerPost(ctx, protocol.KindDestroy, slot, root)
	if err != nil {
		return Receipt{}, fmt.Errorf("destroy vault record: %w", err)
	}
	done, err := parseReply[protocol.DestroyReply](protocol.KindDestroy, reply)
	if err != nil {
		return Receipt{}, fmt.Errorf("destroy vault record: %w", err)
	}
	r := Receipt{VaultID: slot.VaultID, Record: slot.Record, At: time.UnixMilli(done.At), Signature: done.Receipt}
	if !r.Verify(c.pin.ReceiptKey) {
		return Receipt{}, fmt.Errorf("destroy vault record: receipt does not verify: %w", ErrUnknownOutcome)
	}
	return r, nil
}
