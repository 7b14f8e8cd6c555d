// Package attest is what a client, and a vault's sealer, must say alike about a TPM 2.0
// that counts tries by itself. It talks to no device.
//
// Words:
//
//   - guard: how many evaluations the TPM allows, and the owner's key, whose signature
//     alone lets it count from zero again.
//   - index: the NV index that counts. Type PIN Pass (TPM 2.0 Library, Part 1, 37.2.8):
//     each use of its authorization value raises its count, inside of the chip, and none
//     is accepted any more when the count has reached the limit.
//   - tag: 32 random bytes in the policy of an index, so that no two indices ever have
//     one name: a key that was destroyed stays so when its handle is used again.
//   - name: a hash of all that an object or an index is, made by the TPM (Part 1, 16).
//   - to arm: to write "count 0, limit N" into the index.
//   - challenge: what the vault sends for the owner to sign, to arm. See [ArmDigest].
//   - evidence: what the chip has signed about a key and its index. See [Verify].
//   - attestation key: the restricted signing key of a chip. It signs nothing but what
//     the chip itself says. A client knows it from the vault's signed bundle.
//
// What a client knows after [Verify]: the private key of Report.Key was made in this chip
// and never leaves it; each use of it costs one try of the index Report.Index; only
// signatures of the owner's key give tries back, and each gives exactly Guard.Tries. It
// holds against somebody who is root on the vault's computer and knows all of the chip's
// passwords. It does not hold against who breaks the chip open.
//
// What it does not say is that answers of the vault were made with this key: there is no
// proof of equal discrete logarithms in them. At the registration a client finds that out
// by itself (opaque.Probe). Later a lying vault gains nothing by another key: what was
// registered under that of the chip does not open then.
//
// A client never sees a public area that it must judge: it builds those that there must be
// from the few bytes that differ, and compares their names. Nothing else can be in them.
package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"
)

var (
	// ErrMalformed says that bytes are not a challenge, evidence, key or guard.
	ErrMalformed = errors.New("attest: malformed")
	// ErrEvidence says that the evidence does not prove what it should.
	ErrEvidence = errors.New("attest: the evidence does not hold")
)

// Sizes, in bytes, and limits.
const (
	TagSize    = 32
	NonceSize  = 32 // of a session of the chip
	MaxTries   = 100
	NameSize   = 2 + 32 // algorithm, SHA-256
	PointSize  = 33     // compressed: SEC 1, 2.3.3
	ArmSeconds = 60     // how long a challenge may be answered; the chip sees to it
	coordinate = 32
)

// A Guard is what a client has asked for: 1 to [MaxTries] tries, and the owner's key, a
// compressed P-256 point.
type Guard struct {
	Tries int
	Owner [PointSize]byte
}

// An Index names an NV index of the kind that this package describes.
type Index struct {
	Handle  uint32
	Tag     [TagSize]byte
	Written bool // armed at least once; part of the name
}

// Point returns a compressed point as a TPM writes it. [ErrMalformed] unless it is on the
// curve.
func Point(compressed []byte) (tpm2.TPMSECCPoint, error) {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), compressed)
	if x == nil {
		return tpm2.TPMSECCPoint{}, fmt.Errorf("read point: %w", ErrMalformed)
	}
	return tpm2.TPMSECCPoint{X: parameter(x), Y: parameter(y)}, nil
}

func parameter(n *big.Int) tpm2.TPM2BECCParameter {
	return tpm2.TPM2BECCParameter{Buffer: n.FillBytes(make([]byte, coordinate))}
}

// Compress is the reverse of [Point]. [ErrMalformed] unless the point is on the curve.
func Compress(p *tpm2.TPMSECCPoint) ([PointSize]byte, error) {
	if len(p.X.Buffer) > coordinate || len(p.Y.Buffer) > coordinate {
		return [PointSize]byte{}, fmt.Errorf("read point of TPM: %w", ErrMalformed)
	}
	flat := make([]byte, 1+2*coordinate)
	flat[0] = 4
	copy(flat[1+coordinate-len(p.X.Buffer):], p.X.Buffer)
	copy(flat[1+2*coordinate-len(p.Y.Buffer):], p.Y.Buffer)
	if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), flat); err != nil {
		return [PointSize]byte{}, fmt.Errorf("read point of TPM: %w", ErrMalformed)
	}
	return [PointSize]byte(append([]byte{2 | flat[2*coordinate]&1}, flat[1:1+coordinate]...)), nil
}

// ecdsaScheme is ECDSA with SHA-256.
func ecdsaScheme() tpm2.TPMTECCScheme {
	return tpm2.TPMTECCScheme{
		Scheme:  tpm2.TPMAlgECDSA,
		Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
	}
}

func public(attributes tpm2.TPMAObject, policy []byte, scheme tpm2.TPMTECCScheme, point tpm2.TPMSECCPoint) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: attributes,
		AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256, Scheme: scheme}),
		Unique:     tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &point),
	}
}

// OwnerPublic returns the owner's key as it is loaded into a chip that shall verify his
// signatures. [ErrMalformed].
func OwnerPublic(owner [PointSize]byte) (tpm2.TPMTPublic, error) {
	point, err := Point(owner[:])
	if err != nil {
		return tpm2.TPMTPublic{}, err
	}
	return public(tpm2.TPMAObject{SignEncrypt: true, UserWithAuth: true}, nil, ecdsaScheme(), point), nil
}

// AttestationPublic returns an attestation key's public area; a zero point is the template
// that one is made from.
func AttestationPublic(point tpm2.TPMSECCPoint) tpm2.TPMTPublic {
	return public(tpm2.TPMAObject{
		FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true,
		Restricted: true, SignEncrypt: true, NoDA: true,
	}, nil, ecdsaScheme(), point)
}

// KeyPublic returns the public area of an OPRF key that works only with the authorization
// of index; a zero point is the template that one is made from. The key cannot be used by
// its own (empty) password: UserWithAuth is clear.
func KeyPublic(index Index, guard Guard, point tpm2.TPMSECCPoint) (tpm2.TPMTPublic, error) {
	index.Written = true // an index that was never written authorizes nothing
	name, err := IndexName(index, guard)
	if err != nil {
		return tpm2.TPMTPublic{}, err
	}
	policy, err := policyOf(tpm2.PolicySecret{AuthHandle: tpm2.NamedHandle{Name: name}})
	if err != nil {
		return tpm2.TPMTPublic{}, err
	}
	return public(tpm2.TPMAObject{
		FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, NoDA: true, Decrypt: true,
	}, policy, tpm2.TPMTECCScheme{}, point), nil
}

// IndexPublic returns the public area of an index: PIN Pass, 8 bytes, and the owner's
// signature over the tag is the one way to write it. Whoever owns the chip may read it and
// may delete it. [ErrMalformed].
func IndexPublic(index Index, guard Guard) (tpm2.TPMSNVPublic, error) {
	if guard.Tries < 1 || guard.Tries > MaxTries {
		return tpm2.TPMSNVPublic{}, fmt.Errorf("guard of %d tries: %w", guard.Tries, ErrMalformed)
	}
	owner, err := OwnerPublic(guard.Owner)
	if err != nil {
		return tpm2.TPMSNVPublic{}, err
	}
	name, err := tpm2.ObjectName(&owner)
	if err != nil {
		return tpm2.TPMSNVPublic{}, fmt.Errorf("name owner: %w", err)
	}
	policy, err := policyOf(tpm2.PolicySigned{
		AuthObject: tpm2.NamedHandle{Name: *name}, PolicyRef: tpm2.TPM2BNonce{Buffer: index.Tag[:]},
	})
	if err != nil {
		return tpm2.TPMSNVPublic{}, err
	}
	return tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(index.Handle), NameAlg: tpm2.TPMAlgSHA256, DataSize: PinSize,
		AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
		Attributes: tpm2.TPMANV{
			NT: tpm2.TPMNTPinPass, PolicyWrite: true, OwnerRead: true, AuthRead: true, NoDA: true, Written: index.Written,
		},
	}, nil
}

// IndexName returns the name of an index. [ErrMalformed].
func IndexName(index Index, guard Guard) (tpm2.TPM2BName, error) {
	area, err := IndexPublic(index, guard)
	if err != nil {
		return tpm2.TPM2BName{}, err
	}
	name, err := tpm2.NVName(&area)
	if err != nil {
		return tpm2.TPM2BName{}, fmt.Errorf("name index: %w", err)
	}
	return *name, nil
}

func policyOf(command tpm2.PolicyCommand) ([]byte, error) {
	policy, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, fmt.Errorf("compute policy: %w", err)
	}
	if err := command.Update(policy); err != nil {
		return nil, fmt.Errorf("compute policy: %w", err)
	}
	return policy.Hash().Digest, nil
}

// PinSize is the length of what an index holds, in bytes: count (4), limit (4), big-endian
// (Part 2, 13.3: TPMS_NV_PIN_COUNTER_PARAMETERS).
const PinSize = 8

// Armed returns what an armed index holds: count 0, the limit of the guard.
func Armed(guard Guard) []byte {
	return binary.BigEndian.AppendUint32(make([]byte, 4, PinSize), uint32(guard.Tries))
}

// Left returns the evaluations that an index with these contents still allows.
// [ErrMalformed] unless its limit is the guard's.
func Left(contents []byte, guard Guard) (int, error) {
	if len(contents) != PinSize {
		return 0, fmt.Errorf("read counter: %w", ErrMalformed)
	}
	count, limit := binary.BigEndian.Uint32(contents), binary.BigEndian.Uint32(contents[4:])
	if int64(limit) != int64(guard.Tries) || count > limit {
		return 0, fmt.Errorf("read counter: %d of %d tries: %w", count, limit, ErrMalformed)
	}
	return int(limit - count), nil
}
