package protocol

import (
	"encoding/binary"
	"fmt"
)

// On a network each request travels in an envelope of HPKE (RFC 9180), so that who ends
// the TLS connection, or breaks it one day, learns nothing (docs/vault-protocol.md,
// "Envelope").

// Sizes of the envelope, in bytes.
const (
	EncapsulatedSize = 1120     // MLKEM768X25519
	MaxSealed        = 24 << 10 // an envelope, with its padding
	padTo            = 2 << 10  // what is inside has a multiple of this length, so that lengths say little
)

// Envelope begins a sealed request; the ciphertext follows. It is also its associated data.
type Envelope struct {
	Prefix
	KeyID        [8]byte // which key of the vault it is sealed to
	Encapsulated [EncapsulatedSize]byte
}

// ChannelInfo is the info of HPKE: an envelope is good for one vault.
func ChannelInfo(vault [16]byte) []byte {
	return append([]byte(LabelChannel+"\x00"), vault[:]...)
}

// ParseEnvelope splits a sealed request. [ErrMalformed].
func ParseEnvelope(body []byte) (e *Envelope, ad, ciphertext []byte, err error) {
	size := binary.Size(Envelope{})
	if len(body) <= size {
		return nil, nil, nil, fmt.Errorf("parse envelope: %d bytes: %w", len(body), ErrMalformed)
	}
	e, err = Parse[Envelope](NewPrefix(KindSealed), body[:size])
	return e, body[:size], body[size:], err
}

// A status inside a sealed reply says whether a reply or an error follows.
const (
	insideOK    = 0
	insideError = 1
)

// Pad wraps what goes into an envelope: its length in four bytes, itself, zeros.
func Pad(body []byte) []byte {
	size := 4 + len(body)
	b := make([]byte, (size+padTo-1)/padTo*padTo)
	binary.BigEndian.PutUint32(b, uint32(len(body)))
	copy(b[4:], body)
	return b
}

// Unpad is the reverse. [ErrMalformed], also for what Pad would not have written.
func Unpad(b []byte) ([]byte, error) {
	if len(b) < padTo || len(b)%padTo != 0 {
		return nil, fmt.Errorf("open envelope: %d bytes: %w", len(b), ErrMalformed)
	}
	n := int(binary.BigEndian.Uint32(b))
	if n > len(b)-4 || n > MaxBody || (4+n+padTo-1)/padTo*padTo != len(b) {
		return nil, fmt.Errorf("open envelope: length %d: %w", n, ErrMalformed)
	}
	for _, x := range b[4+n:] {
		if x != 0 {
			return nil, fmt.Errorf("open envelope: padding: %w", ErrMalformed)
		}
	}
	return b[4 : 4+n], nil
}

// PadReply wraps a reply, or an error, for the way back.
func PadReply(reply []byte, err error) []byte {
	if err != nil {
		_, body := encodeError(err)
		return Pad(append([]byte{insideError}, body...))
	}
	return Pad(append([]byte{insideOK}, reply...))
}

// UnpadReply returns the reply, or the [Refusal] that came in its place. What is neither is
// [ErrUnknownOutcome].
func UnpadReply(b []byte) ([]byte, error) {
	inside, err := Unpad(b)
	if err != nil || len(inside) == 0 {
		return nil, fmt.Errorf("open reply: %w", ErrUnknownOutcome)
	}
	switch inside[0] {
	case insideOK:
		return inside[1:], nil
	case insideError:
		return nil, decodeError(inside[1:], 0)
	}
	return nil, fmt.Errorf("open reply: %w", ErrUnknownOutcome)
}
