package vault

import (
	"fmt"
	"sync"
)

// Seen is the highest that a client saw of one record. None of it ever falls, unless a
// store was put back: that would give tries back, too, to who guesses. The zero Seen has
// seen nothing.
type Seen struct {
	Record      [16]byte // which one; zero: whichever is asked about first
	Serial      uint64   // tries ever charged
	Sequence    uint64   // of the owner's acts
	Generation  uint64   // active or pending
	Anchor      uint64   // version
	Incarnation uint64   // of the vault: when it has grown, the operator has owned up to it
}

// A memory keeps what was seen of the records of one vault. It is safe for concurrent use.
// The nil memory, of an embedded vault, keeps nothing.
type memory struct {
	keep func(Seen) error

	mu    sync.Mutex // guards what follows, and makes calls of keep follow each other
	first *Seen      // of no record yet
	seen  map[[16]byte]Seen
}

func newMemory(opts RemoteOptions) *memory {
	m := &memory{keep: opts.KeepSeen, seen: map[[16]byte]Seen{}}
	if m.keep == nil {
		m.keep = func(Seen) error { return nil }
	}
	if opts.Seen.Record == [16]byte{} {
		m.first = &opts.Seen
	} else {
		m.seen[opts.Seen.Record] = opts.Seen
	}
	return m
}

// before returns what was seen until now, to compare the answer to a question with that is
// asked next: answers to several questions at once may overtake each other.
func (m *memory) before(record [16]byte) Seen {
	if m == nil {
		return Seen{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(record)
}

// look compares what a vault says with what was seen before it was asked, and keeps it.
// [ErrVaultRolledBack] when it says less; an error of keep.
func (m *memory) look(was, now Seen) error {
	if m == nil {
		return nil
	}
	if now.Incarnation > was.Incarnation {
		// The vault went on from a copy, and its root has signed that: numbers may have
		// fallen, and users are told by the bundle ([trust.ChangeRestored]).
		was = Seen{Record: now.Record}
	}
	if now.Serial < was.Serial || now.Sequence < was.Sequence || now.Generation < was.Generation ||
		now.Anchor < was.Anchor || now.Incarnation < was.Incarnation {
		return fmt.Errorf("%w: tries %d after %d, acts %d after %d, generation %d after %d, anchor %d after %d", ErrVaultRolledBack,
			now.Serial, was.Serial, now.Sequence, was.Sequence, now.Generation, was.Generation, now.Anchor, was.Anchor)
	}
	return m.raise(now)
}

// lookAnchor is look for an answer that names the version of the anchor alone.
func (m *memory) lookAnchor(was Seen, record [16]byte, incarnation, version uint64) error {
	now := was
	if incarnation > was.Incarnation {
		now = Seen{Incarnation: incarnation}
	}
	now.Record, now.Anchor = record, version
	return m.look(was, now)
}

// raise remembers what is higher than what was seen, and has it kept when it is news.
func (m *memory) raise(now Seen) error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	top := m.of(now.Record)
	switch {
	case now.Incarnation > top.Incarnation:
		top = now
	case now.Incarnation == top.Incarnation:
		top.Serial, top.Sequence = max(top.Serial, now.Serial), max(top.Sequence, now.Sequence)
		top.Generation, top.Anchor = max(top.Generation, now.Generation), max(top.Anchor, now.Anchor)
	}
	if top == m.seen[now.Record] {
		return nil
	}
	if err := m.keep(top); err != nil {
		return fmt.Errorf("keep what was seen of the vault: %w", err)
	}
	m.seen[now.Record] = top
	return nil
}

// of returns what was seen of a record; m.mu is held.
func (m *memory) of(record [16]byte) Seen {
	s, ok := m.seen[record]
	if !ok && m.first != nil {
		s, m.first = *m.first, nil
	}
	s.Record = record
	m.seen[record] = s
	return s
}

// seenIn is what a status says of the numbers that never fall.
func (c *Client) seenIn(slot Slot, s Status) Seen {
	return Seen{
		Record: slot.Record, Serial: s.Serial, Sequence: s.Sequence, Generation: max(s.Generation, s.Pending),
		Anchor: s.Anchor, Incarnation: c.Bundle().Incarnation,
	}
}

// warned hands an error to who wants to hear it, when it is not the caller's any more.
func (c *Client) warned(err error) {
	if err != nil && c.warn != nil {
		c.warn(err)
	}
}
