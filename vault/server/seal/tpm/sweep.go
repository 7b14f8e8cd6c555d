package tpm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"coffer/vault/attest"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
)

// sweep deletes indices that no record can refer to: such that the store does not know,
// and such that were made for a record whose row was not written since.
func (c *Counting) sweep(ctx context.Context) error {
	known := map[uint32]bool{}
	var orphans []indexEntry
	for _, e := range c.entries() {
		_, revision, err := c.Fetch(ctx, e.record)
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && revision == e.revision:
			orphans = append(orphans, e)
		case err != nil:
			return err
		default:
			known[e.handle] = true
		}
	}
	return c.deleteOrphans(ctx, known, orphans)
}

// Sweep deletes all indices of the store that none of these references names: those of
// generations whose record went on without them before a crash, of which a store that
// cannot read its records knows nothing. live is the references of all records. It is for
// a vault that starts, before it makes any OPRF key.
func (c *Counting) Sweep(ctx context.Context, live [][]byte) error {
	if err := c.usable(); err != nil {
		return fmt.Errorf("sweep indices: %w", err)
	}
	known := map[uint32]bool{}
	for _, ref := range live {
		if len(ref) < referenceFixed {
			return fmt.Errorf("sweep indices: %w", seal.ErrReference)
		}
		r, err := decodeReference(seal.ID(ref[5:]), ref)
		if err != nil { // to delete what cannot be read would be final
			return fmt.Errorf("sweep indices: %w", err)
		}
		known[r.handle] = true
	}
	var orphans []indexEntry
	for _, e := range c.entries() {
		if !known[e.handle] {
			orphans = append(orphans, e)
		}
	}
	if err := c.deleteOrphans(ctx, known, orphans); err != nil {
		return fmt.Errorf("sweep indices: %w", err)
	}
	return nil
}

// deleteOrphans deletes the store's indices that are not known, and forgets orphans and such as
// are gone.
func (c *Counting) deleteOrphans(ctx context.Context, known map[uint32]bool, orphans []indexEntry) error {
	err := c.chip.do(ctx, "delete orphans", func(k *call) error {
		first := c.place() + 1
		handles, err := k.indicesFrom(first, first+placeSize-1)
		if err != nil {
			return err
		}
		for _, e := range c.entries() { // known, and gone
			if !slices.Contains(handles, e.handle) {
				orphans = append(orphans, e)
			}
		}
		for _, handle := range handles {
			if err := k.sweepOne(handle, known); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		c.dropEntry(func(e indexEntry) bool { return slices.Contains(orphans, e) })
	}
	return err
}

// sweepOne deletes an index that is not known, if it is of our kind.
func (k *call) sweepOne(handle uint32, known map[uint32]bool) error {
	if known[handle] {
		return nil
	}
	r, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(handle)}.Execute(k)
	if err != nil {
		return fmt.Errorf("look at NV index %#x: %w", handle, err)
	}
	area, err := r.NVPublic.Contents()
	if err != nil {
		return fmt.Errorf("look at NV index %#x: %w", handle, err)
	}
	if area.Attributes.NT != tpm2.TPMNTPinPass || area.DataSize != attest.PinSize || !area.Attributes.PolicyWrite {
		return nil
	}
	return k.undefine(handle)
}
