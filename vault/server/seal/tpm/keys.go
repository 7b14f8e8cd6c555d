package tpm

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"coffer/crypto/aead"
	"coffer/crypto/opaque"
	"coffer/vault/server/seal"
)

// A handle is a record key in a box under the key of its shard.
const (
	handleSize  = aead.KeySize + aead.Overhead
	labelHandle = "coffer-vault/1/tpm-record-key"
	labelBody   = "coffer-vault/1/tpm-record-body"
)

// An alias lets a request go on whose handle was sealed again meanwhile, because another
// record of its shard was destroyed: between the fetch of a row and its replacement, and
// between the making of a handle and the row that it lies in.
type alias struct {
	key   []byte
	until time.Time
}

// aliasLife is longer than any request.
const aliasLife = time.Minute

func label(use string, id seal.ID) []byte { return append([]byte(use+"\x00"), id[:]...) }

func sealHandle(s *state, id seal.ID, key []byte) []byte {
	return aead.Seal(s.shards[shardOf(id)][:], label(labelHandle, id), key)
}

func openHandle(s *state, id seal.ID, handle []byte) ([]byte, error) {
	return aead.Open(s.shards[shardOf(id)][:], label(labelHandle, id), handle)
}

// alias returns the record key of a handle whose shard has another key by now.
func (e *Epochs) alias(handle []byte) (key []byte, ok bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	a, ok := e.aliases[handleName(handle)]
	if !ok || e.options.Now().After(a.until) {
		return nil, false
	}
	return bytes.Clone(a.key), true
}

// recordKey returns the key of a handle. [seal.ErrOpen], [store.ErrClosed].
func (e *Epochs) recordKey(id seal.ID, handle []byte) ([]byte, error) {
	e.mu.RLock()
	if e.why != nil {
		defer e.mu.RUnlock()
		return nil, e.why
	}
	key, err := openHandle(e.state, id, handle)
	e.mu.RUnlock()
	if err == nil {
		return key, nil
	}
	if key, ok := e.alias(handle); ok {
		return key, nil
	}
	return nil, fmt.Errorf("open record key: %w", seal.ErrOpen)
}

// NewKey makes a record key. Its handle is good as long as a request lasts, and from when a
// row with it is stored until it is destroyed.
func (e *Epochs) NewKey(ctx context.Context, id seal.ID) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("make record key: %w", err)
	}
	key := aead.Random(aead.KeySize)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why != nil {
		return nil, fmt.Errorf("make record key: %w", e.why)
	}
	handle := sealHandle(e.state, id, key)
	now := e.options.Now()
	e.expire(now)
	e.aliases[handleName(handle)] = alias{key, now.Add(aliasLife)}
	return handle, nil
}

// expire forgets old aliases, not oftener than once in a while. The caller holds mu.
func (e *Epochs) expire(now time.Time) {
	if now.Before(e.expired.Add(aliasLife / 10)) {
		return
	}
	e.expired = now
	for name, a := range e.aliases {
		if now.After(a.until) {
			clear(a.key)
			delete(e.aliases, name)
		}
	}
}

// forget drops all aliases of destroyed record keys. The caller holds mu.
func (e *Epochs) forget(dead [][]byte) {
	if len(dead) == 0 {
		return
	}
	for name, a := range e.aliases {
		if slices.ContainsFunc(dead, func(key []byte) bool { return bytes.Equal(key, a.key) }) {
			clear(a.key)
			delete(e.aliases, name)
		}
	}
}

// Seal seals a body under the record key of a handle. [seal.ErrOpen].
func (e *Epochs) Seal(ctx context.Context, id seal.ID, handle, body []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("seal record: %w", err)
	}
	key, err := e.recordKey(id, handle)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return aead.Seal(key, label(labelBody, id), body), nil
}

// Open opens what Seal sealed. [seal.ErrOpen].
func (e *Epochs) Open(ctx context.Context, id seal.ID, handle, sealed []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open record: %w", err)
	}
	key, err := e.recordKey(id, handle)
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

// DestroyKey destroys a record key for ever: its shard gets a new key in a new epoch. After
// an Erase of the row that the handle lay in there is nothing left to do.
func (e *Epochs) DestroyKey(ctx context.Context, id seal.ID, handle []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("destroy record key: %w", err)
	}
	alive, err := e.drop(id, handle)
	if err != nil || !alive {
		return err
	}
	handle = bytes.Clone(handle)
	err = e.submit(ctx, &change{erase: true, apply: func(b *batch) error {
		b.destroy(id, handle)
		return nil
	}})
	if err != nil {
		return fmt.Errorf("destroy record key: %w", err)
	}
	return nil
}

// drop forgets the alias of a handle, and says whether the handle still opens without it.
func (e *Epochs) drop(id seal.ID, handle []byte) (alive bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why != nil {
		return false, fmt.Errorf("destroy record key: %w", e.why)
	}
	if a, ok := e.aliases[handleName(handle)]; ok {
		e.forget([][]byte{bytes.Clone(a.key)})
	}
	key, err := openHandle(e.state, id, handle)
	clear(key)
	return err == nil, nil
}

// NewOPRF returns a fresh OPRF key: the reference is the key itself, which lies inside of
// the sealed record alone. The vault's program counts.
func (*Epochs) NewOPRF(context.Context, seal.ID, seal.Guard) ([]byte, error) {
	return opaque.NewOPRFKey(), nil
}

// Evaluate multiplies. [seal.ErrReference].
func (*Epochs) Evaluate(_ context.Context, _ seal.ID, reference, blinded []byte) ([]byte, error) {
	key, err := opaque.NewEvaluator(reference)
	if err != nil {
		return nil, fmt.Errorf("read OPRF key: %w", seal.ErrReference)
	}
	return key.Evaluate(blinded)
}

// DestroyOPRF has nothing to do: the key goes with the record that it lies in.
func (*Epochs) DestroyOPRF(context.Context, seal.ID, []byte) error { return nil }
