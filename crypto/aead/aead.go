// Package aead seals small things: a wrapped key, a settings value, a vault record.
//
// Words:
//
//   - to seal: to encrypt so that any change is noticed; the result is a sealed box.
//   - to open: the reverse, or an error and nothing at all.
//   - associated data: bytes that are not in the box but must be the same when it is
//     opened; they say what the box is for, so that it cannot be used for something else.
//   - commitment: bytes that fix the key before anything is decrypted. AES-GCM alone
//     does not: a box can be built that opens under two keys, to two plaintexts
//     (Albertini et al., "How to Abuse and Fix Authenticated Encryption Without Key
//     Commitment"), and one such box tests many passwords at once.
//
// Box layout (docs/format.md): salt (32 random bytes), commitment (32 bytes),
// ciphertext, tag (16 bytes). HKDF-SHA-256 (RFC 5869) of the key, with the salt and
// the info "coffer/1/aead", gives an AES-256 key (32 bytes) and the commitment.
//
// The package imports nothing of Coffer and knows nothing of backups: the vault server
// may use it and still cannot open one.
package aead

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
)

// KeySize is the length of every key, in bytes.
const KeySize = 32

// Overhead is how much longer a sealed box is than its plaintext, in bytes.
const Overhead = saltSize + commitmentSize + tagSize

const (
	saltSize       = 32
	commitmentSize = 32
	tagSize        = 16

	// info is listed in the table of crypto/labels.go; a test there compares the two.
	info = "coffer/1/aead"
)

// ErrOpen says that a box does not open: another key, other associated data, a changed,
// cut or foreign box. Which of them it was cannot be told, and is nobody's business.
var ErrOpen = errors.New("aead: the box does not open")

// Random returns n bytes from the operating system's generator. It does not fail: since
// Go 1.24 crypto/rand ends the program when the system has no randomness to give.
func Random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// Seal returns plaintext in a box that only [Open] with the same key and the same
// associated data opens. It panics unless key has [KeySize] bytes.
//
// A key may seal any number of boxes: each has an AES key of its own.
func Seal(key, ad, plaintext []byte) []byte {
	return seal(key, ad, plaintext, Random(saltSize))
}

func seal(key, ad, plaintext, salt []byte) []byte {
	if len(key) != KeySize {
		panic("aead: the key has a wrong size")
	}
	gcm, commitment := derive(key, salt)
	box := make([]byte, 0, len(plaintext)+Overhead)
	box = append(box, salt...)
	box = append(box, commitment...)
	return gcm.Seal(box, zeroNonce(), plaintext, ad)
}

// Open returns the plaintext of a box made by [Seal], or [ErrOpen]. The slice is new.
func Open(key, ad, sealed []byte) ([]byte, error) {
	if len(key) != KeySize || len(sealed) < Overhead {
		return nil, ErrOpen
	}
	gcm, commitment := derive(key, sealed[:saltSize])
	body := sealed[saltSize+commitmentSize:]
	// First of all: nothing is decrypted under a key that the box was not made for.
	if subtle.ConstantTimeCompare(commitment, sealed[saltSize:saltSize+commitmentSize]) != 1 {
		return nil, ErrOpen
	}
	plaintext, err := gcm.Open(make([]byte, 0, len(body)), zeroNonce(), body, ad)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// zeroNonce is safe because no AES key seals more than one box: each has a salt, and so
// a key, of its own.
func zeroNonce() []byte { return make([]byte, 12) }

func derive(key, salt []byte) (cipher.AEAD, []byte) {
	material, err := hkdf.Key(sha256.New, key, salt, info, KeySize+commitmentSize)
	if err != nil {
		panic("aead: internal error: " + err.Error())
	}
	defer clear(material[:KeySize])
	block, err := aes.NewCipher(material[:KeySize])
	if err != nil {
		panic("aead: internal error: " + err.Error())
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("aead: internal error: " + err.Error())
	}
	return gcm, material[KeySize:]
}
