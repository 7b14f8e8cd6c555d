package crypto

import (
	stdcrypto "crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// A GuardKey signs for the owner where the verifier is a TPM, which knows no Ed25519:
// ECDSA on P-256 (FIPS 186-5). Only its signature has the hardware of a vault count tries
// from zero again. It prints as "[redacted]".
type GuardKey struct {
	redact
	scalar Secret
	public [33]byte
}

// guardSize is the number of derived bytes: 16 more than the scalar has, so that reducing
// them leaves no bias that matters (FIPS 186-5, A.2.1).
const guardSize = 48

func newGuardKey(derived []byte) GuardKey {
	n := new(big.Int).Sub(elliptic.P256().Params().N, big.NewInt(1))
	d := new(big.Int).SetBytes(derived)
	d.Add(d.Mod(d, n), big.NewInt(1))
	scalar := d.FillBytes(make([]byte, 32))
	defer clear(scalar)
	key := guardFrom(scalar)
	point, err := key.PublicKey.Bytes()
	if err != nil {
		panic("crypto: internal error: " + err.Error())
	}
	g := GuardKey{scalar: NewSecret(scalar).Clone()}
	g.public[0] = 2 | point[64]&1
	copy(g.public[1:], point[1:33])
	return g
}

func guardFrom(scalar []byte) *ecdsa.PrivateKey {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		panic("crypto: internal error: " + err.Error())
	}
	return key
}

// Public returns the public key: a compressed point (SEC 1, 2.3.3).
func (g GuardKey) Public() [33]byte { return g.public }

// Sign signs a SHA-256 digest: r and s, 32 bytes each, big-endian. It is deterministic
// (RFC 6979). It panics when the key is empty or has been wiped.
func (g GuardKey) Sign(digest [32]byte) (signature [64]byte) {
	use(g.scalar, func(scalar []byte) {
		der, err := guardFrom(scalar).Sign(nil, digest[:], stdcrypto.SHA256)
		if err != nil {
			panic("crypto: internal error: " + err.Error())
		}
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &rs); err != nil {
			panic(fmt.Sprintf("crypto: internal error: %v", err))
		}
		rs.R.FillBytes(signature[:32])
		rs.S.FillBytes(signature[32:])
	})
	return signature
}

// Wipe overwrites the private key.
func (g GuardKey) Wipe() { g.scalar.Wipe() }
