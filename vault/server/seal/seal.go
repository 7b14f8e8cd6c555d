// Package seal is who holds the keys under which a vault's records lie in its store.
//
// Words:
//
//   - record key: the key of one record, or of one stretch of its life. Destroying the
//     record is destroying this key, wherever copies of the sealed bytes may be.
//   - handle: what is stored beside a sealed record and names, or wraps, its record key.
//   - software: the keys are in a file; who has file and store can read the records (and
//     guess passwords, slowly, without limit). A token or a TPM makes a better sealer.
package seal

import (
	"context"
	"errors"
	"fmt"

	"coffer/crypto/aead"
)

// ErrOpen says that a record does not open: another key file, another record, or it was
// changed or destroyed.
var ErrOpen = errors.New("seal: the record does not open")

// ID names a record.
type ID = [16]byte

// A Sealer seals records under keys of their own. It is safe for concurrent use.
type Sealer interface {
	// Class names the kind of sealer to the user: "software".
	Class() string
	// NewKey makes a record key and returns its handle, at most 1,024 bytes.
	NewKey(ctx context.Context, id ID) (handle []byte, err error)
	// Seal seals the body of a record.
	Seal(ctx context.Context, id ID, handle, body []byte) (sealed []byte, err error)
	// Open is the reverse. [ErrOpen].
	Open(ctx context.Context, id ID, handle, sealed []byte) (body []byte, err error)
	// DestroyKey destroys a record key for ever, as far as it lives outside of the
	// handle. It may be repeated.
	DestroyKey(ctx context.Context, id ID, handle []byte) error
}

// MaxHandle bounds a handle, in bytes.
const MaxHandle = 1 << 10

const (
	labelKey    = "coffer-vault/1/record-key"
	labelRecord = "coffer-vault/1/record-body"
)

// Soft is the software sealer: the handle is the record key itself, sealed under the key
// of a file. So a record key is destroyed by erasing the row that its handle lies in.
type Soft struct{ key [aead.KeySize]byte }

// NewSoft returns the sealer with this key, which the caller keeps in a file of mode 0600.
func NewSoft(key [aead.KeySize]byte) *Soft { return &Soft{key} }

// Class returns "software".
func (*Soft) Class() string { return "software" }

// Format prints "[redacted]" for every verb.
func (*Soft) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// NewKey makes a record key and returns it sealed.
func (s *Soft) NewKey(_ context.Context, id ID) ([]byte, error) {
	key := aead.Random(aead.KeySize)
	defer clear(key)
	return aead.Seal(s.key[:], label(labelKey, id), key), nil
}

// Seal seals body under the record key in handle. [ErrOpen] for a handle that is none.
func (s *Soft) Seal(_ context.Context, id ID, handle, body []byte) ([]byte, error) {
	key, err := aead.Open(s.key[:], label(labelKey, id), handle)
	if err != nil {
		return nil, fmt.Errorf("open record key: %w", ErrOpen)
	}
	defer clear(key)
	return aead.Seal(key, label(labelRecord, id), body), nil
}

// Open opens what Seal sealed. [ErrOpen].
func (s *Soft) Open(_ context.Context, id ID, handle, sealed []byte) ([]byte, error) {
	key, err := aead.Open(s.key[:], label(labelKey, id), handle)
	if err != nil {
		return nil, fmt.Errorf("open record key: %w", ErrOpen)
	}
	defer clear(key)
	body, err := aead.Open(key, label(labelRecord, id), sealed)
	if err != nil {
		return nil, fmt.Errorf("open record body: %w", ErrOpen)
	}
	return body, nil
}

// DestroyKey has nothing to do: the key lives in the handle alone, which the store erases.
func (*Soft) DestroyKey(context.Context, ID, []byte) error { return nil }

// label binds a box to its use and its record: rows cannot be swapped.
func label(use string, id ID) []byte { return append([]byte(use+"\x00"), id[:]...) }
