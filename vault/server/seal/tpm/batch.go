package tpm

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"coffer/crypto/aead"
	"coffer/vault/server/store"
	"coffer/vault/server/store/bolt"
)

// A batch is an epoch in the making: what the store will be, beside what it is.
type batch struct {
	e       *Epochs
	tx      *bolt.Tx
	old     *state
	next    *state
	digests map[store.ID]digest // of the rows that changed
	turned  map[byte]bool       // shards that get a new key
	doomed  map[[32]byte]bool   // handles that are destroyed
	dead    [][]byte            // record keys that are destroyed
	dropped int                 // so many of the dropped indices are in it
	aliases map[[32]byte][]byte // handles that were replaced -> their record keys
}

func (e *Epochs) newBatch(steps uint64) *batch {
	b := &batch{e: e, old: e.state, next: e.state.copy()}
	b.next.epoch += steps
	e.mu.RLock()
	defer e.mu.RUnlock()
	b.dropped = len(e.dropped)
	b.next.indices = slices.DeleteFunc(b.next.indices, func(i indexEntry) bool { return slices.Contains(e.dropped, i) })
	return b
}

// begin begins with a transaction.
func (b *batch) begin(tx *bolt.Tx) {
	b.tx = tx
	b.digests, b.turned = map[store.ID]digest{}, map[byte]bool{}
	b.doomed, b.aliases = map[[32]byte]bool{}, map[[32]byte][]byte{}
	b.dead = nil
}

// forget wipes an epoch that did not come about.
func (b *batch) forget() {
	if b.next != nil {
		b.next.wipe()
		for _, key := range b.aliases {
			clear(key)
		}
	}
	for _, key := range b.dead {
		clear(key)
	}
}

// destroy has a handle open nothing any more after this epoch.
func (b *batch) destroy(id store.ID, handle []byte) {
	b.doomed[handleName(handle)] = true
	b.turned[shardOf(id)] = true
	if key, err := openHandle(b.old, id, handle); err == nil {
		b.dead = append(b.dead, key)
	}
}

// digest returns that of a row as this epoch has it.
func (b *batch) digest(id store.ID) (digest, bool) {
	if d, ok := b.digests[id]; ok {
		return d, true
	}
	d, ok := b.e.digests[id] // written by who has the turn only
	return d, ok
}

// fetch returns a row that is what the store has written last. [store.ErrNotFound],
// [ErrTampered].
func (b *batch) fetch(id store.ID) ([]byte, store.Revision, error) {
	row, revision, err := b.tx.Fetch(id)
	want, known := b.digest(id)
	switch {
	case errors.Is(err, store.ErrNotFound) && !known:
		return nil, 0, err
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return nil, 0, err
	case err != nil, !known, b.old.digestOf(id, revision, row) != want:
		return nil, 0, fmt.Errorf("row %x: %w", id, ErrTampered)
	}
	return row, revision, nil
}

// match returns the row of this revision. [store.ErrChanged], [store.ErrNotFound].
func (b *batch) match(id store.ID, revision store.Revision) ([]byte, error) {
	row, now, err := b.fetch(id)
	if err != nil {
		return nil, err
	}
	if now != revision {
		return nil, store.ErrChanged
	}
	return row, nil
}

// put keeps a row, whose handle is brought up to date first: its shard may have got another
// key since it was made.
func (b *batch) put(id store.ID, row []byte) error {
	row, err := b.renew(id, row)
	if err != nil {
		return err
	}
	return b.keep(id, row)
}

// keep writes a row and brings the digest of the store in line.
func (b *batch) keep(id store.ID, row []byte) error {
	if _, _, err := b.tx.Fetch(id); err == nil {
		if _, known := b.digest(id); !known {
			return fmt.Errorf("row %x came from nowhere: %w", id, ErrTampered)
		}
	}
	revision, err := b.tx.Put(id, row)
	if err != nil {
		return err
	}
	now := b.next.digestOf(id, revision, row)
	if before, ok := b.digest(id); ok {
		b.next.sum = b.next.sum.minus(before)
	} else {
		b.next.rows++
	}
	b.next.sum = b.next.sum.plus(now)
	b.digests[id] = now
	return nil
}

// renew returns a row with a handle of the present key of its shard. A row that has none
// of our handles is kept as it is. [store.ErrRow] when the handle opens nothing: a record
// under it could never be read again.
func (b *batch) renew(id store.ID, row []byte) ([]byte, error) {
	handle, sealed, ok := splitRow(row)
	if !ok {
		return row, nil
	}
	if key, err := openHandle(b.old, id, handle); err == nil {
		clear(key)
		return row, nil
	}
	key, ok := b.e.alias(handle)
	if !ok || b.doomed[handleName(handle)] {
		return nil, fmt.Errorf("its handle is destroyed or unknown: %w", store.ErrRow)
	}
	defer clear(key)
	return joinRow(sealHandle(b.next, id, key), sealed), nil
}

// rotate gives the shards that something was destroyed in their new keys, and the other
// handles of those shards with them. It runs when all changes are applied.
func (b *batch) rotate() error {
	for shard := range b.turned {
		b.next.shards[shard] = [aead.KeySize]byte(aead.Random(aead.KeySize))
	}
	if len(b.turned) == 0 {
		return nil
	}
	for id := range b.e.digests {
		if b.turned[shardOf(id)] {
			if err := b.rewrap(id); err != nil {
				return err
			}
		}
	}
	for id := range b.digests { // rows of this epoch, some of them done above
		if _, old := b.e.digests[id]; !old && b.turned[shardOf(id)] {
			if err := b.rewrap(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewrap seals the handle of a row under the new key of its shard.
func (b *batch) rewrap(id store.ID) error {
	row, _, err := b.fetch(id)
	if err != nil {
		return err
	}
	handle, sealed, ok := splitRow(row)
	if !ok || b.doomed[handleName(handle)] {
		return nil
	}
	key, err := openHandle(b.old, id, handle)
	if err != nil { // it was destroyed before, and its row still lies there
		return nil //nolint:nilerr // a handle that opens nothing stays as it is
	}
	b.aliases[handleName(handle)] = key // whoever has fetched the row is still at it
	return b.keep(id, joinRow(sealHandle(b.next, id, key), sealed))
}

// A row of a vault (docs/vault-protocol.md, "What a vault keeps"): format 0x01 (1), length
// of the handle (2), handle, sealed record.
const (
	rowFormat = 1
	rowHead   = 3
)

// splitRow returns the parts of a row with a handle of ours.
func splitRow(row []byte) (handle, sealed []byte, ok bool) {
	if len(row) < rowHead+handleSize || row[0] != rowFormat || int(binary.BigEndian.Uint16(row[1:])) != handleSize {
		return nil, nil, false
	}
	return row[rowHead : rowHead+handleSize], row[rowHead+handleSize:], true
}

func joinRow(handle, sealed []byte) []byte {
	b := append(make([]byte, 0, rowHead+len(handle)+len(sealed)), rowFormat)
	b = binary.BigEndian.AppendUint16(b, uint16(len(handle)))
	return append(append(b, handle...), sealed...)
}

// handleName is what a handle is remembered by.
func handleName(handle []byte) [32]byte { return sha256.Sum256(handle) }
