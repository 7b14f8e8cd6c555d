package crypto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"coffer/crypto/aead"
)

var (
	// ErrEmptyPassword says that a password has no characters.
	ErrEmptyPassword = errors.New("crypto: the password is empty")
	// ErrPasswordCharacters says that a password has characters that cannot be typed
	// alike everywhere: control characters, unassigned ones, bytes that are not UTF-8.
	ErrPasswordCharacters = errors.New("crypto: the password has characters that are not allowed")
)

// NormalizePassword returns the password as bytes that are the same on every keyboard
// and system: the OpaqueString profile of PRECIS (RFC 8265, section 4.2; NFC, all spaces
// as U+0020). The result is a Secret of its own. [ErrEmptyPassword],
// [ErrPasswordCharacters].
func NormalizePassword(password Secret) (normal Secret, err error) {
	err = ErrEmptyPassword
	password.Expose(func(b []byte) {
		if !utf8.Valid(b) {
			err = ErrPasswordCharacters
			return
		}
		// The error of the library is dropped, lest it ever quotes what it refused.
		out, perr := precis.OpaqueString.Bytes(b)
		if perr != nil {
			err = ErrPasswordCharacters
			return
		}
		// The library may return its argument; the two have different owners.
		normal, err = NewSecret(out).Clone(), nil
		if len(out) > 0 && &out[0] != &b[0] {
			clear(out)
		}
	})
	return normal, err
}

// NewPracticeCheck returns what [PracticePassword] needs to tell whether a password is
// the right one, without a try at the vault. It is a salted Argon2id of the password,
// sealed under a key derived from the root key: who finds it learns nothing without that
// key, and who holds that key needs no password. Layout: docs/format.md.
//
// [ErrWeakKDF], [ErrCostlyKDF], [ErrEmptyPassword] and [ErrPasswordCharacters] make it
// nil: such a password was never accepted, so there is nothing to practise.
func NewPracticeCheck(root RootKey, password Secret, cost KDFCost) []byte {
	cost = cost.orDefault()
	if cost.check() != nil {
		return nil
	}
	return newPracticeCheck(root, password, cost, aead.Random(practiceSaltSize))
}

const practiceSaltSize = 32

func newPracticeCheck(root RootKey, password Secret, cost KDFCost, salt []byte) (check []byte) {
	normal, err := NormalizePassword(password)
	if err != nil {
		return nil
	}
	defer normal.Wipe()
	verifier := cost.stretch(normal, salt)
	defer clear(verifier)
	sealing := root.derive(labelPractice, KeySize)
	defer sealing.Wipe()
	use(sealing, func(key []byte) {
		check = append(cost.bytes(), aead.Seal(key, practiceAD(cost), append(salt, verifier...))...)
	})
	return check
}

func practiceAD(cost KDFCost) []byte { return append([]byte(labelPractice), cost.bytes()...) }

// PracticePassword reports whether the password is the one that check was made of.
// [ErrDamaged] when check was changed or belongs to another root key, [ErrWeakKDF] and
// [ErrCostlyKDF] when its cost is out of bounds. A password that cannot be one at all is
// simply a wrong one.
func PracticePassword(root RootKey, check []byte, password Secret) (bool, error) {
	cost, err := practiceCost(check)
	if err == nil {
		err = cost.check()
	}
	if err != nil {
		return false, fmt.Errorf("practice password: %w", err)
	}
	right, err := practice(root, check, password)
	if err != nil {
		return false, fmt.Errorf("practice password: %w", err)
	}
	return right, nil
}

func practiceCost(check []byte) (KDFCost, error) {
	if len(check) != kdfCostBytes+aead.Overhead+practiceSaltSize+KeySize {
		return KDFCost{}, ErrDamaged
	}
	return KDFCost{
		MemoryKiB: binary.BigEndian.Uint32(check),
		Time:      binary.BigEndian.Uint32(check[4:]),
		Threads:   check[8],
	}, nil
}

func practice(root RootKey, check []byte, password Secret) (bool, error) {
	cost, err := practiceCost(check)
	if err != nil {
		return false, err
	}
	sealing := root.derive(labelPractice, KeySize)
	defer sealing.Wipe()
	var box []byte
	use(sealing, func(key []byte) { box, err = aead.Open(key, practiceAD(cost), check[kdfCostBytes:]) })
	if err != nil {
		return false, ErrDamaged
	}
	defer clear(box)
	normal, err := NormalizePassword(password)
	if err != nil {
		return false, nil
	}
	defer normal.Wipe()
	got := NewSecret(cost.stretch(normal, box[:practiceSaltSize]))
	defer got.Wipe()
	return got.Equal(NewSecret(box[practiceSaltSize:])), nil
}
