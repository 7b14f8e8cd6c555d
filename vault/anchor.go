package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"coffer/crypto"
	"coffer/crypto/aead"
	"coffer/vault/protocol"
)

// MaxAnchor is the longest anchor, in bytes, before it is sealed.
const MaxAnchor = protocol.MaxAnchor - aead.Overhead

// maxMerges bounds how often an anchor is merged again because another device was faster.
const maxMerges = 8

// Anchor returns the anchor of the backup, which its owner's devices have sealed into the
// record, and its version; nil and 0 when there is none. crypto.ErrDamaged: the vault shows
// something else. [ErrVaultRolledBack]: it shows an older one than was seen. Otherwise errors as for
// [Client.Reset].
func (c *Client) Anchor(ctx context.Context, slot Slot, keys *crypto.Keys) (anchor []byte, version uint64, err error) {
	if err := c.ready(ctx, slot); err != nil {
		return nil, 0, fmt.Errorf("read anchor: %w", err)
	}
	anchor, version, err = c.anchor(ctx, slot, keys)
	if err != nil {
		return nil, 0, fmt.Errorf("read anchor: %w", err)
	}
	return anchor, version, nil
}

func (c *Client) anchor(ctx context.Context, slot Slot, keys *crypto.Keys) ([]byte, uint64, error) {
	kind, before := protocol.KindAnchor, c.memory.before(slot.Record)
	reply, err := c.post(ctx, kind, protocol.Encode(&protocol.Act{Header: header(kind, slot)}), keys.Owner(), slot.capability())
	if err != nil {
		return nil, 0, err
	}
	head, sealed, err := protocol.ParseVariable[protocol.AnchorReply](kind.Reply(), reply, protocol.MaxAnchor, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	if err := c.memory.lookAnchor(before, slot.Record, c.Bundle().Incarnation, head.Version); err != nil {
		return nil, 0, err
	}
	if head.Version == 0 && len(sealed) == 0 {
		return nil, 0, nil
	}
	anchor, err := keys.OpenAnchor(slot.Record, head.Version, sealed)
	return anchor, head.Version, err
}

// PutAnchor replaces the anchor by what merge makes of the old one (nil: there is none). It
// is called again when another device was faster, and nothing is sent when it changes
// nothing. merge returns at most [MaxAnchor] bytes: [ErrTooLarge]. [ErrStale]: others were
// faster every time. Otherwise errors as for [Client.Anchor], and of merge.
func (c *Client) PutAnchor(ctx context.Context, slot Slot, keys *crypto.Keys, merge func(old []byte) ([]byte, error)) error {
	if err := c.ready(ctx, slot); err != nil {
		return fmt.Errorf("put anchor: %w", err)
	}
	err := error(ErrStale)
	for n := 0; n < maxMerges && errors.Is(err, ErrStale); n++ {
		err = c.mergeAnchor(ctx, slot, keys, merge)
	}
	if err != nil {
		return fmt.Errorf("put anchor: %w", err)
	}
	return nil
}

func (c *Client) mergeAnchor(ctx context.Context, slot Slot, keys *crypto.Keys, merge func(old []byte) ([]byte, error)) error {
	old, version, err := c.anchor(ctx, slot, keys)
	if err != nil {
		return err
	}
	merged, err := merge(old)
	if err != nil {
		return fmt.Errorf("merge: %w", err)
	}
	if len(merged) > MaxAnchor {
		return fmt.Errorf("anchor of %d bytes: %w", len(merged), ErrTooLarge)
	}
	if version > 0 && bytes.Equal(merged, old) {
		return nil
	}
	kind := protocol.KindPutAnchor
	head := protocol.PutAnchor{Header: header(kind, slot), Version: version + 1}
	body := protocol.EncodeVariable(&head, keys.SealAnchor(slot.Record, version+1, merged), 2)
	reply, err := c.post(ctx, kind, body, keys.Owner(), slot.capability())
	if err != nil {
		return err
	}
	if _, err := parseReply[protocol.Done](kind, reply); err != nil {
		return err
	}
	return c.memory.raise(Seen{Record: slot.Record, Incarnation: c.Bundle().Incarnation, Anchor: version + 1})
}
