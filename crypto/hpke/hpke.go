// Package hpke is Hybrid Public Key Encryption (RFC 9180) in one suite: what a client
// says to a vault inside of TLS, so that whoever ends the TLS connection, or breaks it one
// day, learns nothing.
//
// Words (those of the RFC):
//
//   - to encapsulate: to make a fresh shared secret for the holder of a private key. What
//     travels is the encapsulated key, [EncapsulatedSize] bytes.
//   - sender, recipient: the two sides of one exchange. Here each says one thing at most
//     through the exchange itself: the sender seals once, the recipient opens once.
//   - info: public bytes that both sides must have the same; they say what the exchange is
//     for, and with whom.
//   - aad: public bytes that belong to one ciphertext.
//   - to export: to derive a secret that only the two sides know. The answer is sealed
//     under an exported key (RFC 9180, section 9.8).
//
// The suite: base mode, KEM MLKEM768-X25519 (0x647a; X-Wing, draft-ietf-hpke-pq), KDF
// HKDF-SHA-256 (0x0001), AEAD AES-256-GCM (0x0002). It holds as long as one of ML-KEM-768
// and X25519 holds: what was recorded today is not read by tomorrow's quantum computer.
//
// One exchange:
//
//	client: NewSender(public, info)            -> encapsulated key
//	client: Export, Seal(aad, plaintext)       -> ciphertext
//	server: NewRecipient(private, enc, info)
//	server: Export, Open(aad, ciphertext)      -> plaintext
//
// The sender is not authenticated: anybody may encapsulate. Who asks is said, and signed,
// inside. An exchange has no memory either: a recorded one can be sent again.
//
// Private keys and both sides of an exchange print as "[redacted]".
package hpke

import (
	"crypto/hpke"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

var (
	// ErrMessage says that an encapsulated key or a ciphertext is malformed, or does not
	// open: another key, other info or aad, a changed or foreign message. Which of them it
	// was cannot be told.
	ErrMessage = errors.New("hpke: the message does not open")
	// ErrKey says that a key is none of this suite.
	ErrKey = errors.New("hpke: this is no key")
)

// Sizes, in bytes.
const (
	PrivateKeySize   = 32        // the seed of both halves
	PublicKeySize    = 1184 + 32 // ML-KEM-768 encapsulation key, X25519 point
	EncapsulatedSize = 1088 + 32 // ML-KEM-768 ciphertext, X25519 point
	Overhead         = 16        // how much longer a ciphertext is than its plaintext
	ExportSize       = 32
)

// labelID keeps the name of a key apart from every other hash of it.
const labelID = "coffer-vault/1/hpke-key"

func suite() (hpke.KEM, hpke.KDF, hpke.AEAD) {
	return hpke.MLKEM768X25519(), hpke.HKDFSHA256(), hpke.AES256GCM()
}

// A PrivateKey opens what was sealed to its public half. It is safe for concurrent use.
type PrivateKey struct {
	redact
	key    hpke.PrivateKey
	public PublicKey
}

// GenerateKey returns a fresh key. It does not fail: a system without randomness ends the
// program.
func GenerateKey() *PrivateKey {
	kem, _, _ := suite()
	key, err := kem.GenerateKey()
	if err != nil {
		panic("hpke: internal error: " + err.Error())
	}
	return newPrivateKey(key)
}

// PrivateKeyFrom returns the key that [PrivateKey.Bytes] gave, [PrivateKeySize] bytes,
// which it copies. [ErrKey] for another length; any 32 bytes are a key.
func PrivateKeyFrom(b []byte) (*PrivateKey, error) {
	kem, _, _ := suite()
	key, err := kem.NewPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("read private key of %d bytes: %w", len(b), ErrKey)
	}
	return newPrivateKey(key), nil
}

func newPrivateKey(key hpke.PrivateKey) *PrivateKey {
	public, err := PublicKeyFrom(key.PublicKey().Bytes())
	if err != nil {
		panic("hpke: internal error: " + err.Error())
	}
	return &PrivateKey{key: key, public: public}
}

// Bytes returns the key as [PrivateKeyFrom] takes it: [PrivateKeySize] bytes, to be kept
// secret. The slice is new, and the caller's to wipe.
func (k *PrivateKey) Bytes() []byte {
	b, err := k.key.Bytes()
	if err != nil {
		panic("hpke: internal error: " + err.Error())
	}
	return append([]byte(nil), b...) // crypto/hpke hands out its own
}

// Public returns the public half.
func (k *PrivateKey) Public() PublicKey { return k.public }

// A PublicKey is what one seals to. The zero PublicKey is none: [NewSender] refuses it. It
// prints as its ID in hexadecimal.
type PublicKey struct {
	key hpke.PublicKey
	enc [PublicKeySize]byte
}

// PublicKeyFrom reads a key of [PublicKeySize] bytes. [ErrKey], also for a second
// encoding of a key, and for a point of X25519 that gives everybody the same secret.
func PublicKeyFrom(b []byte) (PublicKey, error) {
	if len(b) != PublicKeySize {
		return PublicKey{}, fmt.Errorf("read public key of %d bytes: %w", len(b), ErrKey)
	}
	if !canonicalPoint(b[PublicKeySize-32:]) {
		return PublicKey{}, fmt.Errorf("read public key: second encoding: %w", ErrKey)
	}
	kem, kdf, aead := suite()
	key, err := kem.NewPublicKey(b)
	if err != nil {
		return PublicKey{}, fmt.Errorf("read public key: %w", ErrKey)
	}
	// A point of small order shows only when it is used.
	if _, _, err := hpke.NewSender(key, kdf, aead, nil); err != nil {
		return PublicKey{}, fmt.Errorf("try public key: %w", ErrKey)
	}
	p := PublicKey{key: key}
	copy(p.enc[:], b)
	return p, nil
}

// canonicalPoint reports whether the u-coordinate, little-endian, is below the prime
// 2^255 - 19. X25519 takes others, too, so that one key would have two names.
func canonicalPoint(u []byte) bool {
	if u[31] != 0x7f {
		return u[31] < 0x7f
	}
	for _, b := range u[1:31] {
		if b != 0xff {
			return true
		}
	}
	return u[0] < 0xed
}

// Bytes returns the key as [PublicKeyFrom] takes it; nil for the zero PublicKey.
func (p PublicKey) Bytes() []byte {
	if p.key == nil {
		return nil
	}
	return append([]byte(nil), p.enc[:]...)
}

// ID names the key: the first 8 bytes of SHA-256 of the label "coffer-vault/1/hpke-key", a
// zero byte and the key. A name is for finding a key, not for trusting one: 8 bytes can be
// met by who tries long enough.
func (p PublicKey) ID() (id [8]byte) {
	h := sha256.New()
	h.Write([]byte(labelID + "\x00"))
	h.Write(p.Bytes())
	copy(id[:], h.Sum(nil))
	return id
}

// Equal reports whether both are the same key.
func (p PublicKey) Equal(other PublicKey) bool {
	return subtle.ConstantTimeCompare(p.Bytes(), other.Bytes()) == 1
}

// String returns the ID in hexadecimal.
func (p PublicKey) String() string {
	id := p.ID()
	return hex.EncodeToString(id[:])
}

// Format prints the ID for every verb: nobody wants 1,216 bytes in a log.
func (p PublicKey) Format(f fmt.State, _ rune) { io.WriteString(f, p.String()) }

// LogValue returns the ID in hexadecimal.
func (p PublicKey) LogValue() slog.Value { return slog.StringValue(p.String()) }

// A Sender is the client's side of one exchange. It is not for concurrent use.
type Sender struct {
	redact
	context *hpke.Sender
	enc     []byte
	spent   bool
}

// NewSender begins an exchange with the holder of a key. [ErrKey] for the zero PublicKey.
func NewSender(public PublicKey, info []byte) (*Sender, error) {
	if public.key == nil {
		return nil, fmt.Errorf("encapsulate: %w", ErrKey)
	}
	_, kdf, aead := suite()
	enc, context, err := hpke.NewSender(public.key, kdf, aead, info)
	if err != nil {
		return nil, fmt.Errorf("encapsulate: %w", ErrKey)
	}
	return &Sender{context: context, enc: enc}, nil
}

// Encapsulated returns the encapsulated key, [EncapsulatedSize] bytes, for the recipient.
// It is known before anything is sealed: what is sealed may be bound to it.
func (s *Sender) Encapsulated() []byte { return append([]byte(nil), s.enc...) }

// Export returns the secret of this exchange for a label; the recipient gets the same.
func (s *Sender) Export(label string) [ExportSize]byte { return export(s.context, label) }

// Seal returns the ciphertext of plaintext, [Overhead] bytes longer. A second call panics:
// an exchange carries one message, and a recipient would not open another.
func (s *Sender) Seal(aad, plaintext []byte) []byte {
	if s.spent {
		panic("hpke: a sender seals once")
	}
	s.spent = true
	ciphertext, err := s.context.Seal(aad, plaintext)
	if err != nil {
		panic("hpke: internal error: " + err.Error())
	}
	return ciphertext
}

// A Recipient is the server's side of one exchange. It is not for concurrent use.
type Recipient struct {
	redact
	context *hpke.Recipient
	spent   bool
}

// NewRecipient takes up an exchange. [ErrMessage] for an encapsulated key that is none.
// One that was made for another key, or with other info, shows only when the ciphertext
// does not open: ML-KEM gives a random secret then (FIPS 203, section 6.3).
func NewRecipient(private *PrivateKey, enc, info []byte) (*Recipient, error) {
	if len(enc) != EncapsulatedSize {
		return nil, fmt.Errorf("decapsulate %d bytes: %w", len(enc), ErrMessage)
	}
	_, kdf, aead := suite()
	context, err := hpke.NewRecipient(enc, private.key, kdf, aead, info)
	if err != nil {
		return nil, fmt.Errorf("decapsulate: %w", ErrMessage)
	}
	return &Recipient{context: context}, nil
}

// Export returns the secret of this exchange for a label: the sender's, once a ciphertext
// has opened. Before that it may be a secret that nobody shares.
func (r *Recipient) Export(label string) [ExportSize]byte { return export(r.context, label) }

// Open returns the plaintext. [ErrMessage], and always when something was opened before.
func (r *Recipient) Open(aad, ciphertext []byte) ([]byte, error) {
	if r.spent {
		return nil, fmt.Errorf("open a second message: %w", ErrMessage)
	}
	plaintext, err := r.context.Open(aad, ciphertext)
	if err != nil {
		return nil, fmt.Errorf("open: %w", ErrMessage)
	}
	r.spent = true
	return plaintext, nil
}

func export(context interface {
	Export(label string, length int) ([]byte, error)
}, label string,
) (secret [ExportSize]byte) {
	b, err := context.Export(label, ExportSize)
	if err != nil {
		panic("hpke: internal error: " + err.Error())
	}
	defer clear(b)
	copy(secret[:], b)
	return secret
}

// redact keeps a type that holds secrets out of print, logs and files.
type redact struct{}

// Format prints "[redacted]" for every verb.
func (redact) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// LogValue returns "[redacted]".
func (redact) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText fails: a secret is not serialized by accident.
func (redact) MarshalText() ([]byte, error) {
	return nil, errors.New("hpke: a secret cannot be serialized")
}
