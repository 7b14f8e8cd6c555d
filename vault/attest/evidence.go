package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"
)

// Evidence is what a chip has signed about one key and its index. Its bytes: format 0x01
// (1), the key's public point, compressed (33), handle of the index (4, big-endian), tag
// (32), then about the key and about the index, each: length (2), TPMS_ATTEST, signature
// (64: r and s, big-endian).
type Evidence struct {
	Key    [PointSize]byte
	Handle uint32
	Tag    [TagSize]byte
	// Certify is the answer to TPM2_Certify of the key (Part 3, 18.2), Counter that to
	// TPM2_NV_Certify of the index (Part 3, 31.16), both with the client's nonce.
	Certify, Counter Statement
}

// A Statement is a TPMS_ATTEST and the attestation key's signature over it.
type Statement struct {
	Attest    []byte
	Signature [64]byte
}

const (
	evidenceFormat = 1
	evidenceHead   = 1 + PointSize + 4 + TagSize
	maxAttest      = 1 << 10
)

// Encode returns the bytes of e.
func (e *Evidence) Encode() []byte {
	b := append([]byte{evidenceFormat}, e.Key[:]...)
	b = binary.BigEndian.AppendUint32(b, e.Handle)
	b = append(b, e.Tag[:]...)
	for _, s := range []Statement{e.Certify, e.Counter} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s.Attest)))
		b = append(b, s.Attest...)
		b = append(b, s.Signature[:]...)
	}
	return b
}

func decodeEvidence(b []byte) (*Evidence, error) {
	malformed := fmt.Errorf("read evidence: %w", ErrMalformed)
	if len(b) < evidenceHead || b[0] != evidenceFormat {
		return nil, malformed
	}
	e := &Evidence{
		Key:    [PointSize]byte(b[1:]),
		Handle: binary.BigEndian.Uint32(b[1+PointSize:]),
		Tag:    [TagSize]byte(b[1+PointSize+4:]),
	}
	b = b[evidenceHead:]
	for _, s := range []*Statement{&e.Certify, &e.Counter} {
		if len(b) < 2 {
			return nil, malformed
		}
		n := int(binary.BigEndian.Uint16(b))
		if n > maxAttest || len(b) < 2+n+len(s.Signature) {
			return nil, malformed
		}
		s.Attest = bytes.Clone(b[2 : 2+n])
		s.Signature = [64]byte(b[2+n:])
		b = b[2+n+len(s.Signature):]
	}
	if len(b) != 0 {
		return nil, malformed
	}
	return e, nil
}

// A Report is what evidence proves.
type Report struct {
	Left  int             // evaluations that the chip allows until it is armed again
	Index []byte          // name of the index that counts them
	Key   [PointSize]byte // public point of the OPRF key, kG
}

// Verify returns what evidence proves, or [ErrEvidence] or [ErrMalformed]; the package doc
// says what holds then. attestationKey is an encoded TPMT_PUBLIC of the kind of
// [AttestationPublic], or its point alone, compressed or not. nonce is what the client has
// asked with: fresh random bytes, so that the count is today's. guard is what it registered
// with.
func Verify(evidence, attestationKey []byte, nonce [32]byte, guard Guard) (Report, error) {
	key, err := decodeAttestationKey(attestationKey)
	if err != nil {
		return Report{}, err
	}
	e, err := decodeEvidence(evidence)
	if err != nil {
		return Report{}, err
	}
	index := Index{Handle: e.Handle, Tag: e.Tag, Written: true}
	if err := e.checkKey(key, nonce, index, guard); err != nil {
		return Report{}, err
	}
	return e.checkCounter(key, nonce, index, guard)
}

// checkKey compares the certified name with that of the key there must be.
func (e *Evidence) checkKey(key *ecdsa.PublicKey, nonce [32]byte, index Index, guard Guard) error {
	point, err := Point(e.Key[:])
	if err != nil {
		return err
	}
	area, err := KeyPublic(index, guard, point)
	if err != nil {
		return err
	}
	name, err := tpm2.ObjectName(&area)
	if err != nil {
		return fmt.Errorf("name key: %w", err)
	}
	said, err := e.Certify.verify(key, nonce, tpm2.TPMSTAttestCertify)
	if err != nil {
		return fmt.Errorf("verify key: %w", err)
	}
	certified, err := said.Attested.Certify()
	if err != nil || !bytes.Equal(certified.Name.Buffer, name.Buffer) {
		return fmt.Errorf("verify key: it is not one that this index guards: %w", ErrEvidence)
	}
	return nil
}

// checkCounter compares the certified name with that of the index there must be, and reads
// the count.
func (e *Evidence) checkCounter(key *ecdsa.PublicKey, nonce [32]byte, index Index, guard Guard) (Report, error) {
	name, err := IndexName(index, guard)
	if err != nil {
		return Report{}, err
	}
	said, err := e.Counter.verify(key, nonce, tpm2.TPMSTAttestNV)
	if err != nil {
		return Report{}, fmt.Errorf("verify counter: %w", err)
	}
	certified, err := said.Attested.NV()
	if err != nil || certified.Offset != 0 || !bytes.Equal(certified.IndexName.Buffer, name.Buffer) {
		return Report{}, fmt.Errorf("verify counter: it is not one that only this owner writes: %w", ErrEvidence)
	}
	left, err := Left(certified.NVContents.Buffer, guard)
	if err != nil {
		return Report{}, fmt.Errorf("verify counter: %w: %w", ErrEvidence, err)
	}
	return Report{Left: left, Index: name.Buffer, Key: e.Key}, nil
}

// verify checks the signature, that the chip itself has made the statement, just now and
// of this kind. Everything is signed before it is parsed.
func (s *Statement) verify(key *ecdsa.PublicKey, nonce [32]byte, kind tpm2.TPMST) (*tpm2.TPMSAttest, error) {
	digest := sha256.Sum256(s.Attest)
	r, t := new(big.Int).SetBytes(s.Signature[:32]), new(big.Int).SetBytes(s.Signature[32:])
	if !ecdsa.Verify(key, digest[:], r, t) {
		return nil, fmt.Errorf("its signature is not right: %w", ErrEvidence)
	}
	said, err := decodeAttest(s.Attest)
	if err != nil {
		return nil, err
	}
	if said.Type != kind || !bytes.Equal(said.ExtraData.Buffer, nonce[:]) {
		return nil, fmt.Errorf("it says something else, or to somebody else: %w", ErrEvidence)
	}
	return said, nil
}

// decodeAttest reads a TPMS_ATTEST. A restricted key signs what comes from outside only if
// it does not begin with the magic number: what does was made by the chip itself.
func decodeAttest(b []byte) (*tpm2.TPMSAttest, error) {
	if len(b) < 6 || binary.BigEndian.Uint32(b) != uint32(tpm2.TPMGeneratedValue) {
		return nil, fmt.Errorf("read statement: not made by a TPM: %w", ErrMalformed)
	}
	// Other kinds are none of ours, and go-tpm need not see them.
	kind := tpm2.TPMST(binary.BigEndian.Uint16(b[4:]))
	if kind != tpm2.TPMSTAttestCertify && kind != tpm2.TPMSTAttestNV {
		return nil, fmt.Errorf("read statement: %w", ErrMalformed)
	}
	said, err := tpm2.Unmarshal[tpm2.TPMSAttest](b)
	if err != nil || !bytes.Equal(tpm2.Marshal(*said), b) {
		return nil, fmt.Errorf("read statement: %w", ErrMalformed)
	}
	return said, nil
}

// decodeAttestationKey reads an attestation key. An encoded one has exactly one form, so
// its point is cut out and the rest must be what this package would have written.
func decodeAttestationKey(b []byte) (*ecdsa.PublicKey, error) {
	const field = 2 + coordinate // each coordinate at the end has its length in front
	flat := b
	switch {
	case len(b) == PointSize:
		x, y := elliptic.UnmarshalCompressed(elliptic.P256(), b)
		if x == nil {
			return nil, fmt.Errorf("read attestation key: %w", ErrMalformed)
		}
		flat = append([]byte{4}, x.FillBytes(make([]byte, coordinate))...)
		flat = append(flat, y.FillBytes(make([]byte, coordinate))...)
	case len(b) > 2*field:
		tail := b[len(b)-2*field:]
		flat = append([]byte{4}, tail[2:field]...)
		flat = append(flat, tail[field+2:]...)
		area := AttestationPublic(tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: flat[1 : 1+coordinate]}, Y: tpm2.TPM2BECCParameter{Buffer: flat[1+coordinate:]},
		})
		if !bytes.Equal(tpm2.Marshal(area), b) {
			return nil, fmt.Errorf("read attestation key: it is of another kind: %w", ErrMalformed)
		}
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), flat)
	if err != nil {
		return nil, fmt.Errorf("read attestation key: %w", ErrMalformed)
	}
	return key, nil
}
