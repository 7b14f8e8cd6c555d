// Package seal is who holds the keys of a vault: those under which its records lie in
// the store, and those of the OPRF behind which each password hides.
//
// Words:
//
//   - record key: the key of one record, or of one stretch of its life. Destroying the
//     record is destroying this key, wherever copies of the sealed bytes may be.
//   - handle: what is stored beside a sealed record and names, or wraps, its record key.
//   - OPRF key: the key of one generation of a record. One evaluation is one guess.
//   - reference: what is stored inside of a sealed record and names, or wraps, an OPRF key.
//   - class: the kind of a sealer, which clients are told and show.
//   - guard: what hardware that counts by itself must know: the tries it allows, and the
//     key of the owner, who alone may have it count from zero again.
//   - to arm: to have such hardware count from zero, by the owner's signature.
//
// The sealers: [Soft] here, seal/pkcs11 (a token), seal/tpm. sealtest says when one is
// right.
package seal

import (
	"context"
	"errors"
	"fmt"

	"coffer/crypto/aead"
	"coffer/crypto/opaque"
)

var (
	// ErrOpen says that a record does not open: another key file, another record, or it
	// was changed or destroyed.
	ErrOpen = errors.New("seal: the record does not open")
	// ErrReference says that a reference is none of this sealer's, or its key was destroyed.
	ErrReference = errors.New("seal: there is no such OPRF key")
	// ErrUnarmed says that the hardware allows no evaluation until the owner has armed it.
	// Nothing was evaluated.
	ErrUnarmed = errors.New("seal: the owner has not armed the hardware")
	// ErrSession says that a challenge has expired or was used, or its signature is not right.
	ErrSession = errors.New("seal: this challenge is over")
	// ErrFull says that the hardware has no room for another OPRF key.
	ErrFull = errors.New("seal: the hardware has no room for another key")
	// ErrHardware says that the token or the TPM failed. What it was asked may be done.
	ErrHardware = errors.New("seal: the hardware failed")
)

// ID names a record.
type ID = [16]byte

// The classes of sealers (docs/vault-protocol.md, "Sealers").
const (
	ClassSoftware  = "software"   // keys in a file
	ClassToken     = "pkcs11"     // keys in a token; the vault's program counts
	ClassTPM       = "tpm"        // a TPM counts each evaluation, and the store cannot be put back
	ClassTPMEpochs = "tpm-epochs" // the program counts; the store cannot be put back
)

// KeysOutside reports whether the record keys of a class live outside of their handles, so
// that a handle opens nothing by itself, and its key must be destroyed where it lives.
func KeysOutside(class string) bool { return class == ClassToken }

// Limits, in bytes.
const (
	MaxHandle    = 1 << 10
	MaxReference = 1 << 10
	MaxChallenge = 1 << 10
	MaxEvidence  = 4 << 10
)

// A Guard is what hardware that counts by itself is told with a new OPRF key.
type Guard struct {
	Tries int
	// Owner is a compressed P-256 point (SEC 1, 2.3.3): the key whose signature arms.
	Owner [33]byte
}

// A Sealer seals records under keys of their own, and evaluates their OPRFs. It is safe
// for concurrent use.
type Sealer interface {
	// Class names the kind of sealer: one of the classes above.
	Class() string

	// NewKey makes a record key and returns its handle, at most [MaxHandle] bytes.
	NewKey(ctx context.Context, id ID) (handle []byte, err error)
	// Seal seals the body of a record.
	Seal(ctx context.Context, id ID, handle, body []byte) (sealed []byte, err error)
	// Open is the reverse. [ErrOpen].
	Open(ctx context.Context, id ID, handle, sealed []byte) (body []byte, err error)
	// DestroyKey destroys a record key for ever, as far as it lives outside of the
	// handle. It may be repeated.
	DestroyKey(ctx context.Context, id ID, handle []byte) error

	// NewOPRF makes the OPRF key of one generation and returns its reference, at most
	// [MaxReference] bytes, which is kept inside of the sealed record and nowhere else.
	// [ErrFull].
	NewOPRF(ctx context.Context, id ID, guard Guard) (reference []byte, err error)
	// Evaluate returns the product of the key and a compressed point, compressed: 33 bytes.
	// The caller has checked the point. [ErrReference], [ErrUnarmed].
	Evaluate(ctx context.Context, id ID, reference, blinded []byte) ([]byte, error)
	// DestroyOPRF destroys an OPRF key for ever, as far as it lives outside of the
	// reference. It may be repeated.
	DestroyOPRF(ctx context.Context, id ID, reference []byte) error
}

// A Counter is a Sealer whose hardware counts every evaluation of an OPRF key by itself,
// and evaluates no more when the tries of its guard are used: also for somebody who is
// root on the vault's computer. A new key is unarmed.
type Counter interface {
	Sealer
	// Left returns how many evaluations the hardware allows now; 0 also when unarmed.
	Left(ctx context.Context, id ID, reference []byte) (int, error)
	// Challenge begins to arm: it returns a fresh session, good for one [Counter.Arm]
	// within 60 s, and what the owner needs to know to sign, at most [MaxChallenge] bytes
	// (package vault/attest reads it).
	Challenge(ctx context.Context, id ID, reference []byte) (session [16]byte, challenge []byte, err error)
	// Arm has the hardware count from zero. signature is the owner's, of ECDSA on P-256
	// with SHA-256: r and s, 32 bytes each, big-endian. [ErrSession].
	Arm(ctx context.Context, id ID, reference []byte, session [16]byte, signature [64]byte) error
	// Evidence returns what proves to a client that the hardware holds this key and
	// counts: signed by the hardware over nonce; at most [MaxEvidence] bytes (package
	// vault/attest reads it).
	Evidence(ctx context.Context, id ID, reference []byte, nonce [32]byte) ([]byte, error)
}

// A Sweeper is a Sealer that can find OPRF keys that no record knows any more: a crash came
// after the change that dropped them.
type Sweeper interface {
	// Sweep destroys all OPRF keys of the store but the live ones. It is for a vault that
	// starts, before it makes any.
	Sweep(ctx context.Context, live [][]byte) error
}

const (
	labelKey    = "coffer-vault/1/record-key"
	labelRecord = "coffer-vault/1/record-body"
)

// Soft is the software sealer: the handle is the record key itself, sealed under the key
// of a file. So a record key is destroyed by erasing the row that its handle lies in.
type Soft struct{ key [aead.KeySize]byte }

// NewSoft returns the sealer with this key, which the caller keeps in a file of mode 0600.
func NewSoft(key [aead.KeySize]byte) *Soft { return &Soft{key} }

// Class returns [ClassSoftware].
func (*Soft) Class() string { return ClassSoftware }

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

// NewOPRF returns a fresh OPRF key: the reference is the key itself, which lies inside of
// the sealed record alone. A software vault has nothing to guard with.
func (*Soft) NewOPRF(context.Context, ID, Guard) ([]byte, error) { return opaque.NewOPRFKey(), nil }

// Evaluate multiplies. [ErrReference].
func (*Soft) Evaluate(_ context.Context, _ ID, reference, blinded []byte) ([]byte, error) {
	key, err := opaque.NewEvaluator(reference)
	if err != nil {
		return nil, fmt.Errorf("read OPRF key: %w", ErrReference)
	}
	return key.Evaluate(blinded)
}

// DestroyOPRF has nothing to do: the key goes with the record that it lies in.
func (*Soft) DestroyOPRF(context.Context, ID, []byte) error { return nil }

// label binds a box to its use and its record: rows cannot be swapped.
func label(use string, id ID) []byte { return append([]byte(use+"\x00"), id[:]...) }
