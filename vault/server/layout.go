package server

import (
	"encoding/binary"

	"coffer/vault/protocol"
)

// A layout writes the fields of a record into bytes, or reads them from bytes: one
// description of their order serves both ways. Package encoding/binary would do the same
// by reflection, byte for byte, and take more time than all the sealing.
type layout struct {
	b       []byte
	writing bool
	short   bool // there were not enough bytes to read
}

func (l *layout) bytes(p []byte) {
	switch {
	case l.writing:
		l.b = append(l.b, p...)
	case len(l.b) < len(p):
		l.short = true
	default:
		copy(p, l.b)
		l.b = l.b[len(p):]
	}
}

// number writes or reads an integer, big-endian, in so many bytes.
func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int64](l *layout, v *T, size int) {
	var whole [8]byte
	part := whole[8-size:]
	if l.writing {
		binary.BigEndian.PutUint64(whole[:], uint64(*v))
		l.bytes(part)
		return
	}
	l.bytes(part)
	*v = T(binary.BigEndian.Uint64(whole[:]))
}

func (g *generation) walk(l *layout) {
	number(l, &g.Number, 8)
	l.bytes(g.Capability[:])
	number(l, &g.Cost.MemoryKiB, 4)
	number(l, &g.Cost.Time, 4)
	number(l, &g.Cost.Threads, 1)
	l.bytes(g.Registration[:])
	l.bytes(g.Release[:])
	l.bytes(g.Wrapped[:])
}

func (h *recordHead) walk(l *layout) {
	number(l, &h.Format, 1)
	number(l, &h.State, 1)
	number(l, &h.Limit, 2)
	number(l, &h.Count, 2)
	number(l, &h.Charged, 8)
	number(l, &h.Sequence, 8)
	number(l, &h.Serial, 8)
	number(l, &h.Committed, 1)
	l.bytes(h.ID[:])
	l.bytes(h.Owner[:])
	l.bytes(h.Guard[:])
	l.bytes(h.LastAct[:])
	number(l, &h.DestroyedAt, 8)
	number(l, &h.BegunAt, 8)
	h.Current.walk(l)
	h.Pending.walk(l)
	number(l, &h.Anchored, 8)
	for _, n := range []*uint16{&h.CurrentKey, &h.PendingKey, &h.Anchor, &h.Doomed, &h.Open, &h.Events} {
		number(l, n, 2)
	}
}

func (o *open) walk(l *layout) {
	l.bytes(o.ID[:])
	number(l, &o.Generation, 8)
	number(l, &o.Deadline, 8)
	l.bytes(o.Login[:])
}

func walkEvent(l *layout, e *protocol.Event) {
	number(l, &e.At, 8)
	number(l, &e.Kind, 1)
	number(l, &e.Generation, 8)
	number(l, &e.Left, 2)
	l.bytes(e.Device[:])
}

// Sizes of what a record is made of, in bytes (docs/vault-protocol.md, "What a vault keeps").
const (
	generationSize = 8 + 32 + 9 + 129 + 32 + 112
	headSize       = 160 + 2*generationSize + 20
	openSize       = 16 + 8 + 8 + loginSize
	eventSize      = 8 + 1 + 8 + 2 + protocol.DeviceSize
)
