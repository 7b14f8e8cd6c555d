package trust

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// The names of the two keys in a signed note, before the vault's id.
const (
	nameRoot   = "coffer-vault/"
	nameSecond = "coffer-vault-second/"
)

// MaxKeyFile is the largest key file, in bytes.
const MaxKeyFile = 1024

// A Key signs the bundles of one vault: as its root, or as its second signer. It belongs
// off line, in a file of [Key.Encode]. It prints as "[redacted]". Copies share the bytes:
// wiping one wipes all. The zero Key signs nothing.
type Key struct {
	second bool
	vault  [16]byte
	public [32]byte
	// seed hides behind a function: fmt prints the bytes of unexported fields, whatever
	// methods their type has.
	seed func() []byte
}

// NewRoot makes the root key of a vault.
func NewRoot(vault [16]byte) Key { return newKey(vault, false, freshSeed()) }

// NewSecond makes a second signer's key for a vault.
func NewSecond(vault [16]byte) Key { return newKey(vault, true, freshSeed()) }

func freshSeed() []byte {
	_, key, err := ed25519.GenerateKey(nil) // nil: the system's randomness
	if err != nil {
		panic("trust: internal error: " + err.Error())
	}
	return key.Seed()
}

// newKey takes ownership of seed.
func newKey(vault [16]byte, second bool, seed []byte) Key {
	k := Key{second: second, vault: vault, seed: func() []byte { return seed }}
	copy(k.public[:], ed25519.NewKeyFromSeed(seed)[32:])
	return k
}

// Public returns the public half, which links name.
func (k Key) Public() [32]byte { return k.public }

// Vault returns the id of the vault that the key signs for.
func (k Key) Vault() [16]byte { return k.vault }

// IsSecond reports whether it is a second signer's key.
func (k Key) IsSecond() bool { return k.second }

// IsZero reports whether there is no key, or no more.
func (k Key) IsZero() bool { return k.seed == nil || bytes.Equal(k.seed(), make([]byte, 32)) }

// Wipe overwrites the key; it and its copies sign nothing from then on. It is a best
// effort: the run-time of Go may have made copies.
func (k Key) Wipe() {
	if k.seed != nil {
		clear(k.seed())
	}
}

// Encode returns the key as the text of a file, to be kept off line: two lines that say
// what it is, then the key. The caller wipes it. It panics for a Key that is zero or wiped.
func (k Key) Encode() []byte {
	if k.IsZero() {
		panic("trust: the key is empty")
	}
	role, what := "root", "Offline root key"
	if k.second {
		role, what = "second", "Offline key of the second signer"
	}
	id := hex.EncodeToString(k.vault[:])
	return []byte("# " + what + " of the Coffer vault " + id + ".\n" +
		"# Whoever has it can sign for this vault. Keep it secret, and away from the vault's computer.\n" +
		"coffer-vault " + role + " 1\n" +
		"vault " + id + "\n" +
		"public " + base64.RawURLEncoding.EncodeToString(k.public[:]) + "\n" +
		"secret " + base64.RawURLEncoding.EncodeToString(k.seed()) + "\n")
}

// ParseKey reads the file of a key, a root's or a second signer's. [ErrKey], also for a
// file in which a single character is not as [Key.Encode] wrote it: the public half and
// the vault's id stand in it so that a damaged file signs nothing.
func ParseKey(text []byte) (Key, error) {
	if len(text) > MaxKeyFile {
		return Key{}, fmt.Errorf("read key file of %d bytes: %w", len(text), ErrKey)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 7 {
		return Key{}, fmt.Errorf("read key file: %d lines: %w", len(lines)-1, ErrKey)
	}
	var seed [32]byte
	var vault [16]byte
	digits, isVault := strings.CutPrefix(lines[3], "vault ")
	secret, isSecret := strings.CutPrefix(lines[5], "secret ")
	if !isVault || !isSecret || !readKey(&seed, secret) || len(digits) != 32 {
		return Key{}, fmt.Errorf("read key file: %w", ErrKey)
	}
	if _, err := hex.Decode(vault[:], []byte(digits)); err != nil {
		return Key{}, fmt.Errorf("read key file: %w", ErrKey)
	}
	k := newKey(vault, lines[2] == "coffer-vault second 1", seed[:])
	again := k.Encode()
	defer clear(again)
	if !bytes.Equal(again, text) {
		k.Wipe()
		return Key{}, fmt.Errorf("read key file: it was changed: %w", ErrKey)
	}
	return k, nil
}

// noteName is the name of a key in a signed note.
func noteName(vault [16]byte, second bool) string {
	if second {
		return nameSecond + hex.EncodeToString(vault[:])
	}
	return nameRoot + hex.EncodeToString(vault[:])
}

// newVerifier returns what a signed note checks a signature with. It panics only for a
// bug: every 32 bytes make a verifier, if not one that any signature passes.
func newVerifier(vault [16]byte, second bool, public [32]byte) note.Verifier {
	text, err := note.NewEd25519VerifierKey(noteName(vault, second), public[:])
	if err != nil {
		panic("trust: internal error: " + err.Error())
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		panic("trust: internal error: " + err.Error())
	}
	return v
}

// noteSigner makes a Key a signer of notes.
type noteSigner struct {
	note.Verifier // for its name and hash
	key           Key
}

// Sign returns the Ed25519 signature of msg (RFC 8032).
func (s noteSigner) Sign(msg []byte) ([]byte, error) {
	if s.key.IsZero() {
		return nil, fmt.Errorf("the key is empty: %w", ErrKey)
	}
	key := ed25519.NewKeyFromSeed(s.key.seed())
	defer clear(key)
	return ed25519.Sign(key, msg), nil
}

// Format prints "[redacted]" for every verb.
func (Key) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// LogValue returns "[redacted]".
func (Key) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText fails: a key is written by [Key.Encode] alone.
func (Key) MarshalText() ([]byte, error) {
	return nil, errors.New("trust: a secret cannot be serialized")
}
