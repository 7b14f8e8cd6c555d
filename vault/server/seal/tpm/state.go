package tpm

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"coffer/crypto/aead"
	"coffer/vault/server/store"
)

// The state lies in the note "state" of the store: a head in clear, and the body in a box
// (crypto/aead) under the epoch key, with the head as associated data. Integers are
// big-endian.
//
// Head: format 0x01 (1), incarnation (8), epoch (8), handle of the counter (4), name of the
// counter (34), name of the storage root key (34); length (2) and bytes of the private part
// of the sealed epoch key, the same of its public part; length (2) and bytes of the epoch
// key in a box for the recovery key, or length 0.
//
// Body: format 0x01 (1), key of the digests (32), digest of the store (32), number of rows
// (8), recovery key's public half (32) or zeros, 256 shard keys (32 each), number of counting
// indices (2), and each of them: handle (4), record (16), revision of its row (8).
const (
	stateNote   = "state"
	stateFormat = 1
	shardCount  = 256
	labelState  = "coffer-vault/1/tpm-state"
	maxSealed   = 1 << 10
	maxIndices  = placeSize - 1
)

// A head is what must be known of a state before it can be opened. Whoever writes the file
// writes it: nothing in it is believed until the chip and the box have agreed.
type head struct {
	incarnation, epoch uint64
	counter            counter
	parent             [nameSize]byte
	sealed             sealedKey
	recovery           []byte // empty: none
}

func (h *head) encode() []byte {
	b := append([]byte(nil), stateFormat)
	b = binary.BigEndian.AppendUint64(b, h.incarnation)
	b = binary.BigEndian.AppendUint64(b, h.epoch)
	b = binary.BigEndian.AppendUint32(b, h.counter.handle)
	b = append(b, h.counter.name[:]...)
	b = append(b, h.parent[:]...)
	for _, part := range [][]byte{h.sealed.private, h.sealed.public, h.recovery} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
		b = append(b, part...)
	}
	return b
}

const headFixed = 1 + 8 + 8 + 4 + nameSize + nameSize

// decodeHead reads a head and returns what follows it. [ErrTampered].
func decodeHead(b []byte) (h *head, box []byte, err error) {
	tampered := fmt.Errorf("read state: %w", ErrTampered)
	if len(b) < headFixed || b[0] != stateFormat {
		return nil, nil, tampered
	}
	h = &head{
		incarnation: binary.BigEndian.Uint64(b[1:]), epoch: binary.BigEndian.Uint64(b[9:]),
		counter: counter{binary.BigEndian.Uint32(b[17:]), [nameSize]byte(b[21:])},
		parent:  [nameSize]byte(b[21+nameSize:]),
	}
	b = b[headFixed:]
	for _, part := range []*[]byte{&h.sealed.private, &h.sealed.public, &h.recovery} {
		if len(b) < 2 {
			return nil, nil, tampered
		}
		n := int(binary.BigEndian.Uint16(b))
		if n > maxSealed || len(b) < 2+n {
			return nil, nil, tampered
		}
		*part, b = bytes.Clone(b[2:2+n]), b[2+n:]
	}
	// Handles of NV indices only, and no counter but the kind that stores have.
	want, err := newCounter(h.counter.handle)
	if err != nil || want != h.counter || h.counter.handle>>24 != 1 {
		return nil, nil, tampered
	}
	if len(h.recovery) != 0 && len(h.recovery) != recoverySize {
		return nil, nil, tampered
	}
	return h, b, nil
}

// An indexEntry is a counting index that belongs to this store: the record that it was made for,
// and the revision that the record's row had then (0: none).
type indexEntry struct {
	handle   uint32
	record   store.ID
	revision store.Revision
}

// A state is what an epoch key opens.
type state struct {
	incarnation, epoch uint64 // from the head, which is bound to the box
	counter            counter
	key                [32]byte
	sum                sum
	rows               uint64
	recovery           [32]byte // zeros: none
	shards             [shardCount][aead.KeySize]byte
	indices            []indexEntry
}

func newState() *state {
	s := &state{key: [32]byte(aead.Random(32))}
	for i := range s.shards {
		s.shards[i] = [aead.KeySize]byte(aead.Random(aead.KeySize))
	}
	return s
}

// copy returns a state that can be changed while the first one is still in use.
func (s *state) copy() *state {
	c := *s
	c.indices = append([]indexEntry(nil), s.indices...)
	return &c
}

// wipe overwrites the keys.
func (s *state) wipe() {
	clear(s.key[:])
	clear(s.shards[:])
}

const (
	stateFixed = 1 + 32 + sumSize + 8 + 32 + shardCount*aead.KeySize + 2
	entrySize  = 4 + 16 + 8
)

func (s *state) encode() []byte {
	b := append(make([]byte, 0, stateFixed+len(s.indices)*entrySize), stateFormat)
	b = append(b, s.key[:]...)
	b = s.sum.append(b)
	b = binary.BigEndian.AppendUint64(b, s.rows)
	b = append(b, s.recovery[:]...)
	for i := range s.shards {
		b = append(b, s.shards[i][:]...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.indices)))
	for _, e := range s.indices {
		b = binary.BigEndian.AppendUint32(b, e.handle)
		b = append(b, e.record[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(e.revision))
	}
	return b
}

func decodeState(h *head, b []byte) (*state, error) {
	if len(b) < stateFixed || b[0] != stateFormat {
		return nil, fmt.Errorf("read state: %w", ErrTampered)
	}
	s := &state{incarnation: h.incarnation, epoch: h.epoch, counter: h.counter}
	b = b[1:]
	b = b[copy(s.key[:], b):]
	s.sum = readSum(b)
	b = b[sumSize:]
	s.rows = binary.BigEndian.Uint64(b)
	b = b[8:]
	b = b[copy(s.recovery[:], b):]
	for i := range s.shards {
		b = b[copy(s.shards[i][:], b):]
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if n > maxIndices || len(b) != n*entrySize {
		return nil, fmt.Errorf("read state: %w", ErrTampered)
	}
	for ; n > 0; n-- {
		s.indices = append(s.indices, indexEntry{
			binary.BigEndian.Uint32(b), store.ID(b[4:]), store.Revision(binary.BigEndian.Uint64(b[20:])),
		})
		b = b[entrySize:]
	}
	return s, nil
}

// sealState returns the note of a state.
func sealState(h *head, s *state, epochKey []byte) []byte {
	clear8k := s.encode()
	defer clear(clear8k)
	ad := h.encode()
	return append(ad, aead.Seal(epochKey, append([]byte(labelState+"\x00"), ad...), clear8k)...)
}

// openState is the reverse. [ErrTampered].
func openState(h *head, box, epochKey []byte) (*state, error) {
	body, err := aead.Open(epochKey, append([]byte(labelState+"\x00"), h.encode()...), box)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", ErrTampered)
	}
	defer clear(body)
	return decodeState(h, body)
}

// A digest is the keyed hash of one row, as a number below 2^256.
type digest = sum

// digestOf is HMAC-SHA-256(key, record || revision || row).
func (s *state) digestOf(id store.ID, revision store.Revision, row []byte) digest {
	h := hmac.New(sha256.New, s.key[:])
	h.Write(id[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(revision)))
	h.Write(row)
	return readSum(h.Sum(nil))
}

// A sum is a number below 2^256, the lowest word first. Sums of the keyed hashes of a set
// are equal only for equal sets, for who does not know the key (Clarke et al.,
// "Incremental Multiset Hash Functions", MSet-Add-Hash; the sum itself stays secret).
type sum [4]uint64

const sumSize = 32

func readSum(b []byte) (n sum) {
	for i := range n {
		n[len(n)-1-i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return n
}

func (n sum) append(b []byte) []byte {
	for i := range n {
		b = binary.BigEndian.AppendUint64(b, n[len(n)-1-i])
	}
	return b
}

func (n sum) plus(m sum) (r sum) {
	carry := uint64(0)
	for i := range n {
		r[i], carry = bits.Add64(n[i], m[i], carry)
	}
	return r
}

func (n sum) minus(m sum) (r sum) {
	borrow := uint64(0)
	for i := range n {
		r[i], borrow = bits.Sub64(n[i], m[i], borrow)
	}
	return r
}

// shardOf returns the shard of a record: names are chosen by clients, so they are hashed.
func shardOf(id store.ID) byte {
	h := sha256.Sum256(id[:])
	return h[0]
}
