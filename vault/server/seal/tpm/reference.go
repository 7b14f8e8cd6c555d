package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"coffer/vault/attest"
	"coffer/vault/server/seal"
)

// A reference is all that is needed to use an OPRF key that the chip has made, on this chip.
// Its bytes, integers big-endian: format 0x01 (1), handle of the index (4), record (16), seed
// (32), tries (2), owner (33), authorization value of the index (32), and the private and
// the public part of the key, each with its length (2) in front.
//
// The tag of the index is SHA-256("coffer-vault/1/tpm-index" || 0x00 || seed || record ||
// tries): a reference of another record, or for other tries, names no index at all.
//
// Who reads one may use up tries, and no more: each use is counted in the chip.
type reference struct {
	handle          uint32
	record          seal.ID
	seed            [seedSize]byte
	guard           attest.Guard
	auth            [authSize]byte
	private, public []byte
}

const (
	referenceFormat = 1
	authSize        = 32
	seedSize        = 32
	labelIndex      = "coffer-vault/1/tpm-index"
	referenceFixed  = 1 + 4 + 16 + seedSize + 2 + attest.PointSize + authSize
)

func (r *reference) encode() []byte {
	b := append([]byte(nil), referenceFormat)
	b = binary.BigEndian.AppendUint32(b, r.handle)
	b = append(b, r.record[:]...)
	b = append(b, r.seed[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(r.guard.Tries))
	b = append(b, r.guard.Owner[:]...)
	b = append(b, r.auth[:]...)
	for _, part := range [][]byte{r.private, r.public} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
		b = append(b, part...)
	}
	return b
}

// decodeReference reads a reference of this record. [seal.ErrReference].
func decodeReference(id seal.ID, b []byte) (*reference, error) {
	foreign := fmt.Errorf("read reference: %w", seal.ErrReference)
	if len(b) < referenceFixed || b[0] != referenceFormat {
		return nil, foreign
	}
	r := &reference{handle: binary.BigEndian.Uint32(b[1:])}
	b = b[5:]
	b = b[copy(r.record[:], b):]
	b = b[copy(r.seed[:], b):]
	r.guard.Tries = int(binary.BigEndian.Uint16(b))
	b = b[2:]
	b = b[copy(r.guard.Owner[:], b):]
	b = b[copy(r.auth[:], b):]
	for _, part := range []*[]byte{&r.private, &r.public} {
		if len(b) < 2 {
			return nil, foreign
		}
		n := int(binary.BigEndian.Uint16(b))
		if n > maxSealed || len(b) < 2+n {
			return nil, foreign
		}
		*part, b = bytes.Clone(b[2:2+n]), b[2+n:]
	}
	if len(b) != 0 || r.record != id || r.handle>>24 != 1 {
		return nil, foreign
	}
	if _, err := attest.IndexPublic(r.index(false), r.guard); err != nil {
		return nil, foreign
	}
	return r, nil
}

func (r *reference) index(written bool) attest.Index {
	return attest.Index{Handle: r.handle, Tag: r.tag(), Written: written}
}

func (r *reference) tag() [attest.TagSize]byte {
	b := append([]byte(labelIndex+"\x00"), r.seed[:]...)
	b = append(b, r.record[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint16(b, uint16(r.guard.Tries)))
}
