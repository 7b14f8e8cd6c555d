package tpm

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"coffer/crypto/aead"
)

// RecoveryKeySize is the length of either half of a recovery key, in bytes.
const RecoveryKeySize = 32

// NewRecoveryKey makes a recovery key (X25519, RFC 7748). The private half is for paper, or
// another place away from the vault; the public half for [Options].
func NewRecoveryKey() (private, public []byte, err error) {
	private = aead.Random(RecoveryKeySize)
	key, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("make recovery key: %w", err)
	}
	return private, key.PublicKey().Bytes(), nil
}

// The epoch key for the recovery key: an ephemeral X25519 key (32), and a box of the epoch
// key under HKDF-SHA-256 of the shared secret, which is bound to both keys.
const (
	labelRecovery = "coffer-vault/1/tpm-recovery"
	recoverySize  = RecoveryKeySize + aead.KeySize + aead.Overhead
)

func recoveryLabel(incarnation, epoch uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte(labelRecovery+"\x00"), incarnation)
	return binary.BigEndian.AppendUint64(b, epoch)
}

func recoverySecret(own *ecdh.PrivateKey, other, ephemeral, recovery []byte) ([]byte, error) {
	key, err := ecdh.X25519().NewPublicKey(other)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", ErrRecovery)
	}
	shared, err := own.ECDH(key)
	if err != nil { // a point of small order
		return nil, fmt.Errorf("read key: %w", ErrRecovery)
	}
	defer clear(shared)
	info := labelRecovery + "\x00" + string(ephemeral) + string(recovery)
	secret, err := hkdf.Key(sha256.New, shared, nil, info, aead.KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return secret, nil
}

// sealRecovery seals the key of an epoch for a recovery key. [ErrRecovery].
func sealRecovery(public []byte, incarnation, epoch uint64, epochKey []byte) ([]byte, error) {
	ephemeral, err := ecdh.X25519().NewPrivateKey(aead.Random(RecoveryKeySize))
	if err != nil {
		return nil, fmt.Errorf("seal for recovery: %w", err)
	}
	own := ephemeral.PublicKey().Bytes()
	secret, err := recoverySecret(ephemeral, public, own, public)
	if err != nil {
		return nil, fmt.Errorf("seal for recovery: %w", err)
	}
	defer clear(secret)
	return append(own, aead.Seal(secret, recoveryLabel(incarnation, epoch), epochKey)...), nil
}

// openRecovery is the reverse. [ErrRecovery].
func openRecovery(private []byte, h *head) ([]byte, error) {
	if len(h.recovery) != recoverySize {
		return nil, fmt.Errorf("the store was made without a recovery key: %w", ErrRecovery)
	}
	own, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", ErrRecovery)
	}
	ephemeral := h.recovery[:RecoveryKeySize]
	secret, err := recoverySecret(own, ephemeral, ephemeral, own.PublicKey().Bytes())
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	key, err := aead.Open(secret, recoveryLabel(h.incarnation, h.epoch), h.recovery[RecoveryKeySize:])
	if err != nil {
		return nil, fmt.Errorf("open epoch key: %w", ErrRecovery)
	}
	return key, nil
}
