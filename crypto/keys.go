package crypto

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"

	"coffer/crypto/aead"
)

// KeySize is the length of the root key and of each symmetric key, in bytes.
const KeySize = 32

// ChunkerSeedSize is the length of [Keys.ChunkerSeed], in bytes.
const ChunkerSeedSize = 256*8 + 2*8

var (
	// ErrKeySize says that bytes which should be a key are too few or too many.
	ErrKeySize = errors.New("crypto: a key has a wrong size")
	// ErrDamaged says that sealed bytes do not open: they were changed, cut, moved or
	// made under another key.
	ErrDamaged = errors.New("crypto: sealed data is damaged")
)

// A RootKey is the one key of a repository: 32 random bytes, from which everything else
// is derived. The recovery key is the root key in 64 hexadecimal digits. It prints as
// "[redacted]". Copies share the bytes: wiping one wipes all. The zero RootKey is empty.
type RootKey struct {
	redact
	secret Secret
}

// NewRootKey returns a fresh root key.
func NewRootKey() RootKey { return RootKey{secret: NewSecret(aead.Random(KeySize))} }

// RootKeyFrom returns the root key that b holds. It copies b, which stays the caller's
// to wipe. [ErrKeySize] unless b has [KeySize] bytes.
func RootKeyFrom(b []byte) (RootKey, error) {
	if len(b) != KeySize {
		return RootKey{}, fmt.Errorf("read root key: %w", ErrKeySize)
	}
	return RootKey{secret: NewSecret(b).Clone()}, nil
}

// Expose lends the 32 bytes to fn, which must neither keep nor change them. It does not
// call fn when the key is empty or has been wiped.
func (k RootKey) Expose(fn func([]byte)) { k.secret.Expose(fn) }

// Wipe overwrites the key; it and its copies are empty from then on. Keys that were
// derived from it live on.
func (k RootKey) Wipe() { k.secret.Wipe() }

// Equal reports, in constant time, whether both are the same key.
func (k RootKey) Equal(other RootKey) bool { return k.secret.Equal(other.secret) }

// IsZero reports whether the key is empty or has been wiped.
func (k RootKey) IsZero() bool { return k.secret.IsZero() }

// A RepositoryID names a repository in public. It is derived from the root key, so that
// it needs no stored object, and tells nothing of it.
type RepositoryID [16]byte

// String returns 32 lower-case hexadecimal digits.
func (id RepositoryID) String() string { return hex.EncodeToString(id[:]) }

// A ChunkID names the content of a chunk within one repository. It is a keyed hash:
// who does not hold the key cannot test whether a known file is in the backup.
type ChunkID [32]byte

// String returns 64 lower-case hexadecimal digits.
func (id ChunkID) String() string { return hex.EncodeToString(id[:]) }

// Keys are the keys of one repository, all derived from its root key with HKDF-SHA-256
// (RFC 5869; docs/format.md). They are safe for concurrent use, until Wipe. They print
// as "[redacted]".
type Keys struct {
	redact
	repository RepositoryID
	data       Secret
	chunkID    Secret
	chunker    Secret
	head       Secret
	local      Secret
	anchor     Secret
	guard      Secret
	owner      OwnerKey
}

// Derive returns the keys that belong to the root key. It panics when the root key is
// empty or has been wiped: everybody could derive the keys of nothing.
func (k RootKey) Derive() *Keys {
	keys := &Keys{
		repository: k.repository(),
		data:       k.derive(labelData, KeySize),
		chunkID:    k.derive(labelChunkID, KeySize),
		chunker:    k.derive(labelChunker, ChunkerSeedSize),
		head:       k.derive(labelHead, KeySize),
		local:      k.derive(labelLocal, KeySize),
		anchor:     k.derive(labelAnchor, KeySize),
		guard:      k.derive(labelGuard, KeySize),
	}
	seed := k.derive(labelOwner, KeySize)
	defer seed.Wipe()
	seed.Expose(func(b []byte) { keys.owner = OwnerKey{newSigner(b)} })
	return keys
}

// repository derives the repository's name alone.
func (k RootKey) repository() (id RepositoryID) {
	k.derive(labelRepository, len(id)).Expose(func(b []byte) { copy(id[:], b) })
	return id
}

// derive is HKDF-SHA-256 of the root key, without salt.
func (k RootKey) derive(label string, size int) (derived Secret) {
	if k.IsZero() {
		panic("crypto: the root key is empty or has been wiped")
	}
	k.Expose(func(root []byte) { derived = NewSecret(hkdfKey(root, nil, label, size)) })
	return derived
}

// hkdfKey cannot fail: the lengths are constants far below the limit of HKDF.
func hkdfKey(secret, salt []byte, info string, size int) []byte {
	key, err := hkdf.Key(sha256.New, secret, salt, info, size)
	if err != nil {
		panic("crypto: internal error: " + err.Error())
	}
	return key
}

// Repository returns the public name of the repository.
func (k *Keys) Repository() RepositoryID { return k.repository }

// ChunkerSeed returns the 2,064 secret bytes that decide where content is cut into
// chunks: 256 gear values, then two multipliers, each a big-endian uint64. The user of a
// multiplier forces its lowest bit to 1. They are secret because the lengths of chunks,
// which the cloud sees, would otherwise be a fingerprint of known files. The Secret is
// shared: it must not be wiped.
func (k *Keys) ChunkerSeed() Secret { return k.chunker }

// Owner returns the key that signs for the owner of the repository.
func (k *Keys) Owner() OwnerKey { return k.owner }

// Guard returns the key that signs for the owner where hardware is to verify it. Each
// generation of a record has its own: what is signed for one means nothing to another.
// The caller wipes it.
func (k *Keys) Guard(record [16]byte, generation uint64) (guard GuardKey) {
	info := binary.BigEndian.AppendUint64(append([]byte(labelArming), record[:]...), generation)
	use(k.guard, func(secret []byte) {
		wide := hkdfKey(secret, nil, string(info), guardSize)
		defer clear(wide)
		guard = newGuardKey(wide)
	})
	return guard
}

// SealAnchor seals what a vault keeps in a record for the owner: the newest heads of the
// backup. Record and version are bound: what was sealed for one does not open for another, so
// that a vault cannot show an old anchor of one record as the new one of another of the same
// owner's. Layout: package aead.
func (k *Keys) SealAnchor(record [16]byte, version uint64, plaintext []byte) (sealed []byte) {
	use(k.anchor, func(key []byte) { sealed = aead.Seal(key, anchorData(record, version), plaintext) })
	return sealed
}

// OpenAnchor opens what SealAnchor sealed for the same record as the same version, or returns
// [ErrDamaged].
func (k *Keys) OpenAnchor(record [16]byte, version uint64, sealed []byte) (plaintext []byte, err error) {
	use(k.anchor, func(key []byte) { plaintext, err = aead.Open(key, anchorData(record, version), sealed) })
	if err != nil {
		return nil, fmt.Errorf("open anchor: %w", ErrDamaged)
	}
	return plaintext, nil
}

func anchorData(record [16]byte, version uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(labelAnchor), record[:]...), version)
}

// Wipe overwrites the keys. Nothing may use them from then on; what they made before
// (sealers, openers, hashers) holds keys of its own.
func (k *Keys) Wipe() {
	for _, s := range []Secret{k.data, k.chunkID, k.chunker, k.head, k.local, k.anchor, k.guard, k.owner.seed} {
		s.Wipe()
	}
}

// A ChunkHasher names chunks. It is not for concurrent use: one per goroutine.
type ChunkHasher struct {
	redact
	hash *blake3.Hasher
}

// NewChunkHasher returns a hasher of keyed BLAKE3-256 under the repository's key.
func (k *Keys) NewChunkHasher() *ChunkHasher {
	h := &ChunkHasher{}
	use(k.chunkID, func(key []byte) {
		hash, err := blake3.NewKeyed(key)
		if err != nil {
			panic("crypto: internal error: " + err.Error())
		}
		h.hash = hash
	})
	return h
}

// Sum returns the name of the chunk.
func (h *ChunkHasher) Sum(data []byte) (id ChunkID) {
	h.hash.Reset()
	h.hash.Write(data)
	h.hash.Sum(id[:0])
	return id
}

// SealLocal seals a small file of this computer (settings, cached keys), so that only
// who holds the root key reads it. The purpose is bound: what was sealed for one does not
// open for another. Layout: package aead.
func (k *Keys) SealLocal(purpose string, plaintext []byte) (sealed []byte) {
	use(k.local, func(key []byte) { sealed = aead.Seal(key, []byte(labelLocal+purpose), plaintext) })
	return sealed
}

// OpenLocal opens what SealLocal sealed for the same purpose, or returns [ErrDamaged].
func (k *Keys) OpenLocal(purpose string, sealed []byte) (plaintext []byte, err error) {
	use(k.local, func(key []byte) { plaintext, err = aead.Open(key, []byte(labelLocal+purpose), sealed) })
	if err != nil {
		return nil, fmt.Errorf("open local %s: %w", purpose, ErrDamaged)
	}
	return plaintext, nil
}

// use lends a key, and panics when there is none: the alternative is a box that was
// never sealed, or one sealed under nothing.
func use(key Secret, fn func([]byte)) {
	if key.IsZero() {
		panic("crypto: the keys have been wiped")
	}
	key.Expose(fn)
}
