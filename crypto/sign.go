package crypto

import "crypto/ed25519"

// SignatureSize is the length of a signature, in bytes.
const SignatureSize = ed25519.SignatureSize

// signer is an Ed25519 key (RFC 8032) of which the 32-byte seed is kept.
type signer struct {
	redact
	seed   Secret
	public [32]byte
}

func newSigner(seed []byte) signer {
	s := signer{seed: NewSecret(seed).Clone()}
	key := ed25519.NewKeyFromSeed(seed)
	defer clear(key)
	copy(s.public[:], key[32:])
	return s
}

// Public returns the public key, which [Verify] takes.
func (s signer) Public() [32]byte { return s.public }

// Sign returns the signature of msg, [SignatureSize] bytes. It panics when the key is
// empty or has been wiped.
func (s signer) Sign(msg []byte) (signature []byte) {
	use(s.seed, func(seed []byte) {
		key := ed25519.NewKeyFromSeed(seed)
		defer clear(key)
		signature = ed25519.Sign(key, msg)
	})
	return signature
}

// Wipe overwrites the private key; it and its copies sign nothing from then on.
func (s signer) Wipe() { s.seed.Wipe() }

// An OwnerKey signs for the owner of a repository. It is derived from the root key: who
// holds that may replace the password or destroy the vault record, and a thief of the
// cloud files may not.
type OwnerKey struct{ signer }

// A CapabilityKey signs attempts at the vault. It is derived from the cloud share: who
// has not got the cloud files cannot spend a try.
type CapabilityKey struct{ signer }

// CapabilityFrom returns the key that belongs to a cloud share. It copies cloudShare.
// The caller has refused a share that has not [KeySize] bytes; a wrong one gives a key
// that no vault knows.
func CapabilityFrom(cloudShare []byte) CapabilityKey {
	seed := hkdfKey(cloudShare, nil, labelCapability, KeySize)
	defer clear(seed)
	return CapabilityKey{newSigner(seed)}
}

// Verify reports whether signature was made of msg by the key with this public half.
func Verify(public [32]byte, msg, signature []byte) bool {
	return ed25519.Verify(public[:], msg, signature)
}
