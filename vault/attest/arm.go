package attest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// A challenge is: format 0x01 (1), nonce of the session (32), handle of the index (4,
// big-endian), tag (32), written (1: 0 or 1).
const (
	challengeFormat = 1
	challengeSize   = 1 + NonceSize + 4 + TagSize + 1
)

// EncodeChallenge returns the challenge of a session of the chip.
func EncodeChallenge(nonce [NonceSize]byte, index Index) []byte {
	b := append(make([]byte, 0, challengeSize), challengeFormat)
	b = append(b, nonce[:]...)
	b = binary.BigEndian.AppendUint32(b, index.Handle)
	b = append(b, index.Tag[:]...)
	if index.Written {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeChallenge(b []byte) (nonce [NonceSize]byte, index Index, err error) {
	if len(b) != challengeSize || b[0] != challengeFormat || b[challengeSize-1] > 1 {
		return nonce, Index{}, fmt.Errorf("read challenge: %w", ErrMalformed)
	}
	nonce = [NonceSize]byte(b[1:])
	index.Handle = binary.BigEndian.Uint32(b[1+NonceSize:])
	index.Tag = [TagSize]byte(b[1+NonceSize+4:])
	index.Written = b[challengeSize-1] == 1
	if index.Handle>>24 != uint32(tpm2.TPMHTNVIndex) {
		return nonce, Index{}, fmt.Errorf("read challenge: not an NV index: %w", ErrMalformed)
	}
	return nonce, index, nil
}

// ArmDigest returns what the owner signs (ECDSA on P-256, the digest as it is) to have the
// chip count from zero, and the name of the index, as [Verify] reports it: a client that
// knows the name of its index compares it before it signs.
//
// The signature binds the session that the chip has opened, the [ArmSeconds] that it is
// good for, and one command (cpHash, Part 1, 16.7): NV_Write of "count 0, limit
// guard.Tries", nothing else, to this very index, which is PIN Pass and which nobody but
// this owner writes. A vault that shows the challenge of any other index gets a signature
// that its chip refuses. [ErrMalformed].
func ArmDigest(challenge []byte, guard Guard) (digest [32]byte, index []byte, err error) {
	nonce, at, err := decodeChallenge(challenge)
	if err != nil {
		return digest, nil, err
	}
	command, err := ArmCommand(at, guard)
	if err != nil {
		return digest, nil, err
	}
	cpHash, err := tpm2.CPHash[tpm2.NVWriteResponse](tpm2.TPMAlgSHA256, command)
	if err != nil {
		return digest, nil, fmt.Errorf("hash command: %w", err)
	}
	at.Written = true
	name, err := IndexName(at, guard)
	if err != nil {
		return digest, nil, err
	}
	// aHash, Part 3, 23.3.1: nonceTPM || expiration || cpHashA || policyRef.
	h := sha256.New()
	h.Write(nonce[:])
	h.Write(binary.BigEndian.AppendUint32(nil, ArmSeconds))
	h.Write(cpHash.Buffer)
	h.Write(at.Tag[:])
	return [32]byte(h.Sum(nil)), name.Buffer, nil
}

// ArmCommand returns the command that arms an index; its session is the caller's to set.
// [ErrMalformed].
func ArmCommand(index Index, guard Guard) (tpm2.NVWrite, error) {
	name, err := IndexName(index, guard)
	if err != nil {
		return tpm2.NVWrite{}, err
	}
	return tpm2.NVWrite{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(index.Handle), Name: name},
		NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(index.Handle), Name: name},
		Data:       tpm2.TPM2BMaxNVBuffer{Buffer: Armed(guard)},
	}, nil
}
