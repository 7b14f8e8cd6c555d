package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"coffer/crypto/aead"
	"coffer/crypto/opaque"
	"coffer/vault/server/seal"
	"coffer/vault/server/store/bolt"
)

// A handle is the name of a record key: 16 random bytes. The key itself lies in the store,
// in the note "key/" || shard || handle: record (16), and a box of it under the key of its
// shard. So a handle stays the same when its shard gets another key.
const (
	handleSize  = 16
	keyNoteSize = 16 + aead.KeySize + aead.Overhead
	keyPrefix   = "key/"
	labelKey    = "coffer-vault/1/tpm-record-key"
	labelBody   = "coffer-vault/1/tpm-record-body"
)

func label(use string, id seal.ID) []byte { return append([]byte(use+"\x00"), id[:]...) }

func shardPrefix(shard byte) string { return keyPrefix + string([]byte{shard}) }

func keyName(id seal.ID, handle []byte) string { return shardPrefix(shardOf(id)) + string(handle) }

// keyLabel binds a record key to its record and its name.
func keyLabel(id seal.ID, handle []byte) []byte { return append(label(labelKey, id), handle...) }

func (s *state) sealKey(id seal.ID, handle, key []byte) []byte {
	return append(id[:], aead.Seal(s.shards[shardOf(id)][:], keyLabel(id, handle), key)...)
}

// openKey opens a note of a record key. [seal.ErrOpen].
func (s *state) openKey(id seal.ID, handle, note []byte) ([]byte, error) {
	if len(handle) != handleSize || len(note) != keyNoteSize || seal.ID(note) != id {
		return nil, seal.ErrOpen
	}
	key, err := aead.Open(s.shards[shardOf(id)][:], keyLabel(id, handle), note[16:])
	if err != nil {
		return nil, seal.ErrOpen
	}
	return key, nil
}

// recordKey returns the key of a handle. [seal.ErrOpen], [store.ErrClosed].
func (e *Epochs) recordKey(ctx context.Context, id seal.ID, handle []byte) ([]byte, error) {
	key, err := e.readKey(ctx, id, handle)
	if !errors.Is(err, seal.ErrOpen) {
		return key, err
	}
	// Perhaps an epoch is being made, and its shard has a new key in the file already.
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("open record key: %w", ctx.Err())
	}
	defer func() { <-e.turn }()
	return e.readKey(ctx, id, handle)
}

func (e *Epochs) readKey(ctx context.Context, id seal.ID, handle []byte) ([]byte, error) {
	if err := e.usable(); err != nil {
		return nil, fmt.Errorf("open record key: %w", err)
	}
	var note []byte
	err := e.db.View(ctx, func(tx *bolt.Tx) error {
		note = tx.Note(keyName(id, handle))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open record key: %w", err)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.why != nil {
		return nil, fmt.Errorf("open record key: %w", e.why)
	}
	key, err := e.state.openKey(id, handle, note)
	if err != nil {
		return nil, fmt.Errorf("open record key: %w", err)
	}
	return key, nil
}

// NewKey makes a record key, durably.
func (e *Epochs) NewKey(ctx context.Context, id seal.ID) ([]byte, error) {
	handle, key := aead.Random(handleSize), aead.Random(aead.KeySize)
	defer clear(key)
	err := e.submit(ctx, &change{apply: func(b *batch) error {
		return b.tx.SetNote(keyName(id, handle), b.next.sealKey(id, handle, key))
	}})
	if err != nil {
		return nil, fmt.Errorf("make record key: %w", err)
	}
	return handle, nil
}

// Seal seals a body under the record key of a handle. [seal.ErrOpen].
func (e *Epochs) Seal(ctx context.Context, id seal.ID, handle, body []byte) ([]byte, error) {
	key, err := e.recordKey(ctx, id, handle)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return aead.Seal(key, label(labelBody, id), body), nil
}

// Open opens what Seal sealed. [seal.ErrOpen].
func (e *Epochs) Open(ctx context.Context, id seal.ID, handle, sealed []byte) ([]byte, error) {
	key, err := e.recordKey(ctx, id, handle)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	body, err := aead.Open(key, label(labelBody, id), sealed)
	if err != nil {
		return nil, fmt.Errorf("open record body: %w", seal.ErrOpen)
	}
	return body, nil
}

// DestroyKey destroys a record key for ever: it is deleted, and its shard gets a new key, in
// one epoch. After an Erase of the row that the handle lay in there is nothing left to do.
func (e *Epochs) DestroyKey(ctx context.Context, id seal.ID, handle []byte) error {
	key, err := e.recordKey(ctx, id, handle)
	clear(key)
	if errors.Is(err, seal.ErrOpen) {
		return nil
	}
	if err == nil {
		handle = bytes.Clone(handle)
		err = e.submit(ctx, &change{erase: true, apply: func(b *batch) error { return b.destroy(id, handle) }})
	}
	if err != nil {
		return fmt.Errorf("destroy record key: %w", err)
	}
	return nil
}

// NewOPRF returns a fresh OPRF key: the reference is the key itself, which lies inside of
// the sealed record alone. The vault's program counts.
func (*Epochs) NewOPRF(ctx context.Context, _ seal.ID, _ seal.Guard) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("make OPRF key: %w", err)
	}
	return opaque.NewOPRFKey(), nil
}

// Evaluate multiplies. [seal.ErrReference].
func (*Epochs) Evaluate(ctx context.Context, _ seal.ID, reference, blinded []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	key, err := opaque.NewEvaluator(reference)
	if err != nil {
		return nil, fmt.Errorf("read OPRF key: %w", seal.ErrReference)
	}
	return key.Evaluate(blinded)
}

// DestroyOPRF has nothing to do: the key goes with the record that it lies in.
func (*Epochs) DestroyOPRF(context.Context, seal.ID, []byte) error { return nil }
