package crypto

import (
	"encoding/binary"
	"errors"
	"fmt"

	"coffer/crypto/aead"
)

// ErrWrongKey says that a wrapped root key does not open with the three secrets, the
// record and the generation given, or that it was changed.
var ErrWrongKey = errors.New("crypto: wrong key")

// WrapRoot wraps the root key so that opening it takes all of: the password (through the
// export key of OPAQUE), the vault (its release secret) and the cloud files (the cloud
// share); for one generation of one vault record. Layout: package aead.
//
// Each of the three secrets has [KeySize] bytes, or WrapRoot panics: they are hashed one
// after the other, and of other lengths two triples could be one. The caller checks what
// came from the network.
func WrapRoot(root RootKey, exportKey, releaseSecret, cloudShare Secret, record []byte, generation uint64) (wrapped []byte) {
	key, err := wrappingKey(exportKey, releaseSecret, cloudShare, record, generation)
	if err != nil {
		panic("crypto: WrapRoot: a secret has a wrong size")
	}
	defer clear(key)
	use(root.secret, func(b []byte) { wrapped = aead.Seal(key, wrapLabel(generation, record), b) })
	return wrapped
}

// UnwrapRoot opens what [WrapRoot] wrapped. [ErrWrongKey]; [ErrKeySize] when a secret has
// not [KeySize] bytes.
func UnwrapRoot(wrapped []byte, exportKey, releaseSecret, cloudShare Secret, record []byte, generation uint64) (RootKey, error) {
	key, err := wrappingKey(exportKey, releaseSecret, cloudShare, record, generation)
	if err != nil {
		return RootKey{}, fmt.Errorf("unwrap root key: %w", err)
	}
	defer clear(key)
	opened, err := aead.Open(key, wrapLabel(generation, record), wrapped)
	if err != nil {
		return RootKey{}, fmt.Errorf("unwrap root key: %w", ErrWrongKey)
	}
	defer clear(opened)
	return RootKeyFrom(opened)
}

// wrappingKey is HKDF-SHA-256 of the three secrets, salted with the record; info is
// "coffer/1/kek" and the generation.
func wrappingKey(exportKey, releaseSecret, cloudShare Secret, record []byte, generation uint64) ([]byte, error) {
	var all [3 * KeySize]byte
	defer clear(all[:])
	for i, s := range []Secret{exportKey, releaseSecret, cloudShare} {
		if s.Len() != KeySize {
			return nil, ErrKeySize
		}
		s.Expose(func(b []byte) { copy(all[i*KeySize:], b) })
	}
	return hkdfKey(all[:], record, string(wrapLabel(generation, nil)), KeySize), nil
}

func wrapLabel(generation uint64, record []byte) []byte {
	label := binary.BigEndian.AppendUint64([]byte(labelKEK), generation)
	return append(label, record...)
}
