package node

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"

	"coffer/crypto/aead"
	"coffer/crypto/hpke"
	"coffer/crypto/opaque"
	"coffer/vault/server/seal"
	"coffer/vault/trust"
)

// keptHPKE and keptTLS are how many keys vault.key keeps: one that is not signed yet, the
// one in use, and for envelopes the one before, to which some are on their way.
const (
	keptHPKE = 3
	keptTLS  = 2
)

// A keyFile is vault.key: its bytes, integers big-endian, then their SHA-256, which tells a
// file that a disk has damaged from the right one before anything is called damaged. It
// also says what is fixed when a vault is made.
type keyFile struct {
	Magic     [16]byte
	ID        [16]byte
	Class     uint8  // index in classes
	Store     uint8  // index in stores
	Tries     uint16 // the most that vault.toml may ask for
	Root      [32]byte
	Seal      [aead.KeySize]byte // of the sealer "soft"
	Recovery  [32]byte           // public, of the sealers on a TPM
	Server    [opaque.KeySize]byte
	Receipts  [32]byte
	Admission [32]byte
	HPKE      [keptHPKE][hpke.PrivateKeySize]byte // newest first; zero: none
	TLS       [keptTLS][32]byte                   // likewise
}

var keyMagic = [16]byte([]byte("coffer-vault-n/1"))

// classes and stores are numbered in vault.key: never change the order.
func classes() []string {
	return []string{seal.ClassSoftware, seal.ClassToken, seal.ClassTPM, seal.ClassTPMEpochs}
}

func stores() []string { return []string{StoreBolt, StoreEtcd, StoreEmbedded} }

// Format prints "[redacted]" for every verb.
func (keyFile) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// LogValue returns "[redacted]".
func (keyFile) LogValue() slog.Value { return slog.StringValue("[redacted]") }

const maxKeyFile = 4 << 10

// makeKeys makes the keys of a new vault.
func makeKeys(id [16]byte, root [32]byte) keyFile {
	k := keyFile{
		Magic: keyMagic, ID: id, Root: root,
		Seal: [aead.KeySize]byte(aead.Random(aead.KeySize)), Receipts: [32]byte(aead.Random(32)), Admission: [32]byte(aead.Random(32)),
	}
	copy(k.Server[:], opaque.GenerateServerKey().Private())
	k.addHPKE()
	k.addTLS()
	return k
}

// addHPKE puts a new envelope key before the others; the oldest is dropped.
func (k *keyFile) addHPKE() {
	copy(k.HPKE[1:], k.HPKE[:])
	copy(k.HPKE[0][:], hpke.GenerateKey().Bytes())
}

// addTLS puts a new key of the vault's certificate before the others.
func (k *keyFile) addTLS() {
	copy(k.TLS[1:], k.TLS[:])
	b, err := trust.NewTLSKey().Bytes()
	if err != nil || len(b) != len(k.TLS[0]) {
		panic("node: internal error: a P-256 key is 32 bytes")
	}
	copy(k.TLS[0][:], b)
}

func (d folder) readKeys() (keyFile, error) {
	b, err := d.readSecret(keyName, maxKeyFile)
	if err != nil {
		return keyFile{}, err
	}
	defer clear(b)
	return parseKeys(b)
}

func (d folder) writeKeys(k keyFile) error {
	b := k.encode()
	defer clear(b)
	return d.write(keyName, b, 0o600)
}

func (k keyFile) encode() []byte {
	b, err := binary.Append(nil, binary.BigEndian, &k)
	if err != nil {
		panic("node: internal error: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func parseKeys(b []byte) (keyFile, error) {
	var k keyFile
	body := binary.Size(k)
	if len(b) != body+sha256.Size {
		return keyFile{}, fmt.Errorf("read %s: %d bytes: %w", keyName, len(b), ErrDamaged)
	}
	if sum := sha256.Sum256(b[:body]); !bytes.Equal(sum[:], b[body:]) {
		return keyFile{}, fmt.Errorf("read %s: checksum: %w", keyName, ErrDamaged)
	}
	if _, err := binary.Decode(b, binary.BigEndian, &k); err != nil || k.Magic != keyMagic {
		return keyFile{}, fmt.Errorf("read %s: not a key file: %w", keyName, ErrDamaged)
	}
	if int(k.Class) >= len(classes()) || int(k.Store) >= len(stores()) {
		return keyFile{}, fmt.Errorf("read %s: of another version: %w", keyName, ErrDamaged)
	}
	if _, err := opaque.ServerKeyFrom(k.Server[:]); err != nil {
		return keyFile{}, fmt.Errorf("read %s: OPAQUE key: %w", keyName, ErrDamaged)
	}
	return k, nil
}

// envelopeKeys returns the envelope keys, newest first.
func (k *keyFile) envelopeKeys() ([]*hpke.PrivateKey, error) {
	var all []*hpke.PrivateKey
	for _, b := range k.HPKE {
		if b == [hpke.PrivateKeySize]byte{} {
			continue
		}
		key, err := hpke.PrivateKeyFrom(b[:])
		if err != nil {
			return nil, fmt.Errorf("envelope key: %w: %w", ErrDamaged, err)
		}
		all = append(all, key)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no envelope key: %w", ErrDamaged)
	}
	return all, nil
}

// tlsKeys returns the keys of the vault's own certificates, newest first.
func (k *keyFile) tlsKeys() ([]*ecdsa.PrivateKey, error) {
	var all []*ecdsa.PrivateKey
	for _, b := range k.TLS {
		if b == [32]byte{} {
			continue
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b[:])
		if err != nil {
			return nil, fmt.Errorf("TLS key: %w: %w", ErrDamaged, err)
		}
		all = append(all, key)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no TLS key: %w", ErrDamaged)
	}
	return all, nil
}

// receiptKey returns the key that signs receipts.
func (k *keyFile) receiptKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.Receipts[:]) }

// wipe overwrites the keys. It is a best effort: the run-time of Go may have made copies.
func (k *keyFile) wipe() { *k = keyFile{} }
