package crypto

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"

	"coffer/crypto/aead"
)

var (
	// ErrWrongPassphrase says that the passphrase does not open the slot, or that the
	// slot was changed or belongs to another repository: these look the same.
	ErrWrongPassphrase = errors.New("crypto: wrong passphrase")
	// ErrWeakKDF says that the parameters of Argon2id are below the floor.
	ErrWeakKDF = errors.New("crypto: the key derivation is too weak")
	// ErrCostlyKDF says that the parameters of Argon2id are above the ceiling.
	ErrCostlyKDF = errors.New("crypto: the key derivation is too costly")
)

// KDFCost says how costly one guess at a password is made, with Argon2id (RFC 9106). The
// zero KDFCost stands for [DefaultKDFCost].
type KDFCost struct {
	MemoryKiB uint32 // 64 MiB to 1 GiB
	Time      uint32 // passes over the memory, 1 to 16
	Threads   uint8  // lanes, 1 to 16
}

// DefaultKDFCost returns 256 MiB, 3 passes, 4 lanes.
func DefaultKDFCost() KDFCost { return KDFCost{MemoryKiB: 256 << 10, Time: 3, Threads: 4} }

// The bounds of what is accepted. The floor keeps a hostile place from making a guess
// cheap; the ceiling keeps it from exhausting the memory of the computer that tries.
const (
	minMemoryKiB = 64 << 10
	maxMemoryKiB = 1 << 20
	maxTime      = 16
	maxThreads   = 16

	kdfCostBytes = 9
)

func (c KDFCost) orDefault() KDFCost {
	if c == (KDFCost{}) {
		return DefaultKDFCost()
	}
	return c
}

// check returns [ErrWeakKDF] or [ErrCostlyKDF] when c is out of bounds.
func (c KDFCost) check() error {
	if c.MemoryKiB < minMemoryKiB || c.Time < 1 || c.Threads < 1 {
		return ErrWeakKDF
	}
	if c.MemoryKiB > maxMemoryKiB || c.Time > maxTime || c.Threads > maxThreads {
		return ErrCostlyKDF
	}
	return nil
}

// bytes returns memory and time as big-endian uint32, then the lanes: 9 bytes.
func (c KDFCost) bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, c.MemoryKiB)
	b = binary.BigEndian.AppendUint32(b, c.Time)
	return append(b, c.Threads)
}

// stretch returns the 32-byte Argon2id of a normalized password.
func (c KDFCost) stretch(password Secret, salt []byte) (key []byte) {
	use(password, func(p []byte) {
		key = argon2.IDKey(p, salt, c.Time, c.MemoryKiB, c.Threads, KeySize)
	})
	return key
}

// A PassphraseSlot is a way into a repository: its root key, wrapped under a passphrase.
// It is public: whoever holds it may guess without limit, so the passphrase must be
// strong and each guess costly. The fields are stored as they are (docs/format.md).
type PassphraseSlot struct {
	MemoryKiB, Time uint32
	Threads         uint8
	Salt            [32]byte
	Wrapped         []byte // package aead: key from Argon2id, bound to repository and cost
}

// NewPassphraseSlot wraps the root key under the passphrase, which it normalizes with
// [NormalizePassword]. It takes the time and the memory of one Argon2id.
// [ErrWeakKDF], [ErrCostlyKDF], [ErrEmptyPassword], [ErrPasswordCharacters].
func NewPassphraseSlot(root RootKey, passphrase Secret, cost KDFCost) (PassphraseSlot, error) {
	cost = cost.orDefault()
	if err := cost.check(); err != nil {
		return PassphraseSlot{}, fmt.Errorf("make passphrase slot: %w", err)
	}
	slot, err := wrapSlot(root, passphrase, cost, [32]byte(aead.Random(32)))
	if err != nil {
		return PassphraseSlot{}, fmt.Errorf("make passphrase slot: %w", err)
	}
	return slot, nil
}

// wrapSlot does not check the cost: tests and vectors use one that a test can wait for.
func wrapSlot(root RootKey, passphrase Secret, cost KDFCost, salt [32]byte) (PassphraseSlot, error) {
	normal, err := NormalizePassword(passphrase)
	if err != nil {
		return PassphraseSlot{}, err
	}
	defer normal.Wipe()
	slot := PassphraseSlot{MemoryKiB: cost.MemoryKiB, Time: cost.Time, Threads: cost.Threads, Salt: salt}
	key := cost.stretch(normal, salt[:])
	defer clear(key)
	use(root.secret, func(b []byte) { slot.Wrapped = aead.Seal(key, slot.ad(root.repository()), b) })
	return slot, nil
}

// Open returns the root key of the repository id. It takes the time and the memory of
// one Argon2id. [ErrWrongPassphrase]; [ErrOtherRepository] when the passphrase opens the
// slot, but the key in it is of another repository. Before anything is spent:
// [ErrWeakKDF], [ErrCostlyKDF], [ErrDamaged] when Wrapped has a wrong size,
// [ErrEmptyPassword], [ErrPasswordCharacters].
func (s PassphraseSlot) Open(passphrase Secret, id RepositoryID) (RootKey, error) {
	if err := s.cost().check(); err != nil {
		return RootKey{}, fmt.Errorf("open passphrase slot: %w", err)
	}
	root, err := s.unwrap(passphrase, id)
	if err != nil {
		return RootKey{}, fmt.Errorf("open passphrase slot: %w", err)
	}
	return root, nil
}

func (s PassphraseSlot) unwrap(passphrase Secret, id RepositoryID) (RootKey, error) {
	if len(s.Wrapped) != KeySize+aead.Overhead {
		return RootKey{}, ErrDamaged
	}
	normal, err := NormalizePassword(passphrase)
	if err != nil {
		return RootKey{}, err
	}
	defer normal.Wipe()
	key := s.cost().stretch(normal, s.Salt[:])
	defer clear(key)
	opened, err := aead.Open(key, s.ad(id), s.Wrapped)
	if err != nil {
		return RootKey{}, ErrWrongPassphrase
	}
	defer clear(opened)
	root, err := RootKeyFrom(opened)
	if err != nil {
		return RootKey{}, err
	}
	// Who knows the passphrase could have put in a key of his own, and would read all
	// that is backed up from now on.
	if root.repository() != id {
		root.Wipe()
		return RootKey{}, ErrOtherRepository
	}
	return root, nil
}

func (s PassphraseSlot) cost() KDFCost {
	return KDFCost{MemoryKiB: s.MemoryKiB, Time: s.Time, Threads: s.Threads}
}

// ad binds the box to its use, the repository and all parameters (docs/format.md, section
// 9.2).
func (s PassphraseSlot) ad(id RepositoryID) []byte {
	ad := append([]byte(labelPassphrase), id[:]...)
	ad = append(ad, s.cost().bytes()...)
	return append(ad, s.Salt[:]...)
}
