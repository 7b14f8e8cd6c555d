package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"coffer/crypto/opaque"
	"coffer/vault/protocol"
	"coffer/vault/server/seal"
)

const loginSize = opaque.LoginSize

// A generation is one password of a record. All of it but the number and the capability
// is destroyed with it.
type generation struct {
	Number       uint64
	Capability   [32]byte // Ed25519 public key
	Cost         protocol.Cost
	Registration [protocol.RecordSize]byte
	Release      [32]byte
	Wrapped      [protocol.WrappedSize]byte
}

// An oprf is the sealer's reference to the OPRF key of a generation: random, of this
// generation alone, and destroyed with it.
type oprf = []byte

// forget destroys what could answer a try or open anything.
func (g *generation) forget() {
	*g = generation{Number: g.Number, Capability: g.Capability, Cost: g.Cost}
}

// A record is what a vault keeps for the password way into one backup.
type record struct {
	id          [16]byte
	owner       [32]byte                 // Ed25519 public key, fixed for life
	guard       [protocol.GuardSize]byte // P-256 public key of the newest generation, for hardware
	lastAct     [32]byte                 // SHA-256 of the owner's last act, to know a repetition
	destroyedAt int64                    // unix milliseconds
	begunAt     int64                    // when the OPRF key of pending was made, unix milliseconds
	tally       tally
	current     generation
	pending     generation
	currentKey  oprf
	pendingKey  oprf
	anchored    uint64 // version of the anchor; 0: none
	anchor      []byte // sealed by the client
	// doomed is the handle of the record key before this one, as long as nobody knows
	// whether that was destroyed: a crash may have come in between. Only of sealers whose
	// handles open nothing by themselves.
	doomed []byte
	events []protocol.Event
}

// generation returns the one with this number, or nil.
func (r *record) generation(number uint64) *generation {
	switch {
	case number == 0:
		return nil
	case number == r.current.Number:
		return &r.current
	case number == r.pending.Number:
		return &r.pending
	}
	return nil
}

// keyOf returns the reference to the OPRF key of a generation of this record.
func (r *record) keyOf(number uint64) oprf {
	if number == r.current.Number {
		return r.currentKey
	}
	return r.pendingKey
}

// keys returns the references that the record has now.
func (r *record) keys() []oprf {
	var keys []oprf
	for _, k := range []oprf{r.currentKey, r.pendingKey} {
		if len(k) > 0 {
			keys = append(keys, k)
		}
	}
	return keys
}

// abandonedAfter is how long a generation may stay begun and uncommitted where keys are few.
const abandonedAfter = 24 * time.Hour

// abandon drops the OPRF key of a generation that was begun long ago and never committed, and
// says whether it did. Nothing was registered under that key: who comes back begins again,
// and gets another one.
func (r *record) abandon(now int64) bool {
	if len(r.pendingKey) == 0 || r.tally.Committed || now-r.begunAt < abandonedAfter.Milliseconds() {
		return false
	}
	r.pendingKey = nil
	return true
}

// decide applies the rule and brings generations and log in line with its outcome.
func (r *record) decide(q ask, waits []time.Duration, now int64) verdict {
	before := r.tally
	next, v := decide(before, q, waits, now)
	r.tally = next
	switch {
	case next.Current != before.Current:
		r.current, r.pending = r.pending, generation{}
		r.currentKey, r.pendingKey = r.pendingKey, nil
	case next.Pending != before.Pending:
		r.pending, r.pendingKey = generation{Number: next.Pending}, nil
	}
	if next.State == protocol.StateDestroyed && before.State != protocol.StateDestroyed {
		r.current.forget()
		r.pending.forget()
		r.currentKey, r.pendingKey, r.anchor = nil, nil, nil
		r.destroyedAt = now
		r.note(protocol.Event{At: now, Kind: protocol.EventDestroyed, Generation: next.Current})
	}
	return v
}

// note adds a line to the log and drops the oldest when there are too many.
func (r *record) note(e protocol.Event) {
	if len(r.events) >= protocol.MaxEvents {
		r.events = append(r.events[:0:0], r.events[len(r.events)-protocol.MaxEvents+1:]...)
	}
	r.events = append(r.events, e)
}

// recordFormat is the version of the bytes below.
const recordFormat = 2

// recordHead is the part of a record's bytes that has a fixed size. The references to the
// OPRF keys, the anchor, the doomed handle, the open attempts and the events follow.
type recordHead struct {
	Format       byte
	State        protocol.State
	Limit, Count uint16
	Charged      int64
	Sequence     uint64
	Serial       uint64
	Committed    byte
	ID           [16]byte
	Owner        [32]byte
	Guard        [protocol.GuardSize]byte
	LastAct      [32]byte
	DestroyedAt  int64
	BegunAt      int64
	Current      generation
	Pending      generation
	Anchored     uint64
	CurrentKey   uint16 // lengths, in bytes
	PendingKey   uint16
	Anchor       uint16
	Doomed       uint16
	Open, Events uint16 // numbers
}

// encode returns the bytes of a record: integers big-endian, one encoding for each.
func (r *record) encode() []byte {
	h := recordHead{
		Format: recordFormat, State: r.tally.State, Limit: uint16(r.tally.Limit), Count: uint16(r.tally.Count),
		Charged: r.tally.Charged, Sequence: r.tally.Sequence, Serial: r.tally.Serial,
		ID: r.id, Owner: r.owner, Guard: r.guard, LastAct: r.lastAct,
		DestroyedAt: r.destroyedAt, BegunAt: r.begunAt, Current: r.current, Pending: r.pending, Anchored: r.anchored,
		CurrentKey: uint16(len(r.currentKey)), PendingKey: uint16(len(r.pendingKey)), Anchor: uint16(len(r.anchor)), Doomed: uint16(len(r.doomed)),
		Open: uint16(len(r.tally.Open)), Events: uint16(len(r.events)),
	}
	if r.tally.Committed {
		h.Committed = 1
	}
	size := headSize + len(r.currentKey) + len(r.pendingKey) + len(r.anchor) + len(r.doomed) +
		len(r.tally.Open)*openSize + len(r.events)*eventSize
	l := &layout{b: make([]byte, 0, size), writing: true}
	h.walk(l)
	for _, part := range [][]byte{r.currentKey, r.pendingKey, r.anchor, r.doomed} {
		l.bytes(part)
	}
	for i := range r.tally.Open {
		r.tally.Open[i].walk(l)
	}
	for i := range r.events {
		walkEvent(l, &r.events[i])
	}
	return l.b
}

var errRecord = errors.New("server: a stored record is damaged")

// errOther says that a row is not a record: who may register is kept in the same store
// (package admit), under formats from 0x80 upwards.
var errOther = errors.New("server: a row that is not a record")

// decodeRecord reads the record id. The bytes were sealed by this vault; what they say is
// checked all the same, because a store may be older than the program.
func decodeRecord(id [16]byte, b []byte) (*record, error) {
	var h recordHead
	if len(b) > 0 && b[0] >= 0x80 {
		return nil, fmt.Errorf("decode record: %w", errOther)
	}
	l := &layout{b: b}
	h.walk(l)
	if l.short {
		return nil, fmt.Errorf("decode record: %d bytes: %w", len(b), errRecord)
	}
	if h.Open > maxOpen || h.Events > protocol.MaxEvents || h.CurrentKey > seal.MaxReference ||
		h.PendingKey > seal.MaxReference || h.Anchor > protocol.MaxAnchor || h.Doomed > seal.MaxHandle {
		return nil, fmt.Errorf("decode record: too large: %w", errRecord)
	}
	parts := [4][]byte{make([]byte, h.CurrentKey), make([]byte, h.PendingKey), make([]byte, h.Anchor), make([]byte, h.Doomed)}
	for _, part := range parts {
		l.bytes(part)
	}
	opens, events := make([]open, h.Open), make([]protocol.Event, h.Events)
	for i := range opens {
		opens[i].walk(l)
	}
	for i := range events {
		walkEvent(l, &events[i])
	}
	if l.short || len(l.b) != 0 {
		return nil, fmt.Errorf("decode record: %d bytes: %w", len(b), errRecord)
	}
	r := h.record(opens, events)
	r.currentKey, r.pendingKey, r.anchor, r.doomed = parts[0], parts[1], parts[2], parts[3]
	if r.id != id || !h.sane() {
		return nil, fmt.Errorf("decode record: it contradicts itself: %w", errRecord)
	}
	return r, nil
}

func (h *recordHead) record(opens []open, events []protocol.Event) *record {
	return &record{
		id: h.ID, owner: h.Owner, guard: h.Guard, anchored: h.Anchored, lastAct: h.LastAct,
		destroyedAt: h.DestroyedAt, begunAt: h.BegunAt,
		current: h.Current, pending: h.Pending, events: events,
		tally: tally{
			State: h.State, Limit: int(h.Limit), Count: int(h.Count), Charged: h.Charged,
			Current: h.Current.Number, Pending: h.Pending.Number, Committed: h.Committed == 1,
			Sequence: h.Sequence, Serial: h.Serial, Open: opens,
		},
	}
}

func (h *recordHead) sane() bool {
	return h.Format == recordFormat && h.Committed <= 1 &&
		h.State >= protocol.StatePending && h.State <= protocol.StateDestroyed &&
		h.Limit >= 1 && h.Limit <= protocol.MaxTries && h.Count <= h.Limit &&
		(h.Current.Number != 0 || h.Pending.Number != 0) &&
		(h.State != protocol.StateActive || h.Current.Number != 0) &&
		(h.Committed == 0 || h.Pending.Number != 0)
}

// rowFormat is the version of a stored row: format (1), length of the handle (2), handle,
// sealed record.
const rowFormat = 1

func encodeRow(handle, sealed []byte) []byte {
	b := append(make([]byte, 0, 3+len(handle)+len(sealed)), rowFormat)
	b = binary.BigEndian.AppendUint16(b, uint16(len(handle)))
	b = append(b, handle...)
	return append(b, sealed...)
}

func decodeRow(row []byte) (handle, sealed []byte, err error) {
	if len(row) < 3 || row[0] != rowFormat {
		return nil, nil, fmt.Errorf("decode row: %w", errRecord)
	}
	n := int(binary.BigEndian.Uint16(row[1:]))
	if len(row) < 3+n {
		return nil, nil, fmt.Errorf("decode row: cut: %w", errRecord)
	}
	return row[3 : 3+n], row[3+n:], nil
}
