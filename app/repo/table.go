package repo

import (
	"encoding/binary"

	"coffer/crypto"
)

// Methods of a segment.
const (
	methodStored = 0
	methodZstd   = 1
)

// A segmentEntry describes one segment in a pack table (docs/format.md,
// section 5.2).
type segmentEntry struct {
	sealed uint32 // bytes of the frame, tag included
	raw    uint32 // bytes of all chunks
	method uint8
	chunks []chunkEntry
}

type chunkEntry struct {
	id     crypto.ChunkID
	length uint32
}

func appendTable(b []byte, segments []segmentEntry) []byte {
	be := binary.BigEndian
	b = be.AppendUint32(b, uint32(len(segments)))
	for _, s := range segments {
		b = be.AppendUint32(b, s.sealed)
		b = be.AppendUint32(b, s.raw)
		b = append(b, s.method)
		b = be.AppendUint32(b, uint32(len(s.chunks)))
		for _, c := range s.chunks {
			b = append(b, c.id[:]...)
			b = be.AppendUint32(b, c.length)
		}
	}
	return b
}

// A tableReader takes big-endian numbers off the front of b; after the first
// fault it gives zeros.
type tableReader struct {
	b      []byte
	failed bool
}

func (r *tableReader) take(n int) []byte {
	if r.failed || len(r.b) < n {
		r.failed = true
		return make([]byte, n)
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *tableReader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }

// count reads a number of things that take at least size bytes each.
func (r *tableReader) count(size int) int {
	n := r.u32()
	if n == 0 || uint64(n)*uint64(size) > uint64(len(r.b)) {
		r.failed = true
		return 0
	}
	return int(n)
}

const (
	chunkEntrySize   = 32 + 4
	segmentEntrySize = 4 + 4 + 1 + 4 + chunkEntrySize
)

// table reads one pack table.
func (r *tableReader) table() []segmentEntry {
	n := r.count(segmentEntrySize)
	segments := make([]segmentEntry, 0, n)
	for range n {
		s := r.segment()
		if r.failed {
			return nil
		}
		segments = append(segments, s)
	}
	return segments
}

func (r *tableReader) segment() segmentEntry {
	s := segmentEntry{sealed: r.u32(), raw: r.u32(), method: r.take(1)[0]}
	chunks := r.count(chunkEntrySize)
	s.chunks = make([]chunkEntry, chunks)
	sum := uint64(0)
	for i := range s.chunks {
		c := &s.chunks[i]
		copy(c.id[:], r.take(len(c.id)))
		c.length = r.u32()
		if c.length == 0 || c.length > maxChunk {
			r.failed = true
		}
		sum += uint64(c.length)
	}
	stored := s.method == methodStored && uint64(s.sealed) == uint64(s.raw)+crypto.FrameOverhead
	packed := s.method == methodZstd && s.sealed > crypto.FrameOverhead && s.sealed < s.raw+crypto.FrameOverhead
	if sum != uint64(s.raw) || s.raw > maxRaw || !stored && !packed {
		r.failed = true
	}
	return s
}
