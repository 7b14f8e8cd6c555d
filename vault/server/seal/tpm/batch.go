package tpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"coffer/crypto/aead"
	"coffer/vault/server/seal"
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
	dropped int                 // so many of the dropped indices are in it
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
}

// forget wipes an epoch that did not come about.
func (b *batch) forget() {
	if b.next != nil {
		b.next.wipe()
	}
}

// destroy deletes a record key. Copies of it, in whatever file, lie under the key that its
// shard had.
func (b *batch) destroy(id store.ID, handle []byte) error {
	b.turned[shardOf(id)] = true
	return b.tx.DeleteNote(keyName(id, handle))
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

// put keeps a row, and brings the digest of the store in line. [store.ErrRow] when its handle
// is one of ours and opens nothing: a record under it could never be read again.
func (b *batch) put(id store.ID, row []byte) error {
	if handle, ok := handleOf(row); ok && b.tx.Note(keyName(id, handle)) == nil {
		return fmt.Errorf("its record key is destroyed: %w", store.ErrRow)
	}
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

// rotate gives the shards that something was destroyed in their new keys, and seals the
// record keys that are left under them. It runs when all changes are applied.
func (b *batch) rotate() error {
	for shard := range b.turned {
		if err := b.turn(shard); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) turn(shard byte) error {
	notes := map[string][]byte{}
	prefix := shardPrefix(shard)
	err := b.tx.EachNote(prefix, func(name string, note []byte) error {
		notes[name] = bytes.Clone(note)
		return nil
	})
	if err != nil {
		return err
	}
	b.next.shards[shard] = [aead.KeySize]byte(aead.Random(aead.KeySize))
	for name, note := range notes {
		handle := []byte(name[len(prefix):])
		if len(note) != keyNoteSize {
			return fmt.Errorf("record key %x: %w", handle, ErrTampered)
		}
		id := seal.ID(note)
		key, err := b.old.openKey(id, handle, note)
		if err != nil { // put back by somebody: it opens nothing, and shall not
			return fmt.Errorf("record key %x: %w", handle, ErrTampered)
		}
		err = b.tx.SetNote(name, b.next.sealKey(id, handle, key))
		clear(key)
		if err != nil {
			return err
		}
	}
	return nil
}

// dropOrphans deletes record keys that were made for a row which has got another one, or
// never came: nothing lies under them. A key whose record has no row at all stays: it may
// get one yet.
func (b *batch) dropOrphans() error {
	var orphans []string
	err := b.tx.EachNote(keyPrefix, func(name string, note []byte) error {
		if len(note) != keyNoteSize {
			return fmt.Errorf("record key %x: %w", name[len(keyPrefix):], ErrTampered)
		}
		row, _, err := b.fetch(store.ID(note))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		handle, ok := handleOf(row)
		if ok && name != keyName(store.ID(note), handle) {
			orphans = append(orphans, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range orphans {
		if err := b.tx.DeleteNote(name); err != nil {
			return err
		}
	}
	return nil
}

// A row of a vault (docs/vault-protocol.md, "What a vault keeps"): format 0x01 (1), length
// of the handle (2), handle, sealed record.
const (
	rowFormat = 1
	rowHead   = 3
)

// handleOf returns the handle of a row, if it is one of ours.
func handleOf(row []byte) (handle []byte, ok bool) {
	if len(row) < rowHead+handleSize || row[0] != rowFormat || int(binary.BigEndian.Uint16(row[1:])) != handleSize {
		return nil, false
	}
	return row[rowHead : rowHead+handleSize], true
}
