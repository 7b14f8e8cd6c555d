package repo

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"

	"coffer/crypto"
)

// A storedPack is a pack at the destination, as an index names it.
type storedPack struct {
	name     Name
	size     int64
	segments []segmentEntry
}

const storedPackSize = 20 + 8 + 4 + segmentEntrySize

// sealIndex returns the stored bytes of an index of packs.
func sealIndex(keys *crypto.Keys, packs []storedPack) []byte {
	slices.SortFunc(packs, func(a, b storedPack) int { return bytes.Compare(a.name[:], b.name[:]) })
	return sealBody(keys, crypto.KindIndex, frameIndex, indexBody(packs))
}

// indexBody writes packs, which ascend, as section 6 says.
func indexBody(packs []storedPack) []byte {
	body := binary.BigEndian.AppendUint32(nil, uint32(len(packs)))
	for _, p := range packs {
		body = append(body, p.name[:]...)
		body = binary.BigEndian.AppendUint64(body, uint64(p.size))
		body = appendTable(body, p.segments)
	}
	return body
}

// openIndex returns the packs of a stored index.
func openIndex(keys *crypto.Keys, stored []byte) ([]storedPack, error) {
	body, err := openBody(keys, crypto.KindIndex, frameIndex, stored, maxIndex)
	if err != nil {
		return nil, err
	}
	return parseIndex(body)
}

func parseIndex(body []byte) ([]storedPack, error) {
	r := tableReader{b: body}
	n := r.count(storedPackSize)
	packs := make([]storedPack, 0, n)
	for range n {
		var p storedPack
		copy(p.name[:], r.take(len(p.name)))
		size := binary.BigEndian.Uint64(r.take(8))
		p.size, p.segments = int64(size), r.table()
		ascending := len(packs) == 0 || bytes.Compare(packs[len(packs)-1].name[:], p.name[:]) < 0
		if r.failed || !ascending || size > maxPack || segmentsEnd(p.segments) > int64(size)-trailerSize {
			return nil, errFormat
		}
		packs = append(packs, p)
	}
	if r.failed || len(r.b) != 0 {
		return nil, errFormat
	}
	return packs, nil
}

// sealBody seals an object that is a header and one padded frame.
func sealBody(keys *crypto.Keys, kind crypto.Kind, frame uint32, body []byte) []byte {
	const overhead = crypto.HeaderSize + crypto.FrameOverhead
	sealer := keys.NewSealer(kind)
	header := sealer.Header()
	return sealer.Seal(header[:], pad(body, overhead), crypto.Frame{Type: frame}, nil)
}

// openBody is the reverse of sealBody.
func openBody(keys *crypto.Keys, kind crypto.Kind, frame uint32, stored []byte, limit int) ([]byte, error) {
	if len(stored) > limit || len(stored) < crypto.HeaderSize {
		return nil, errFormat
	}
	opener, err := keys.NewOpener(kind, stored[:crypto.HeaderSize])
	if err != nil {
		return nil, err
	}
	plain, err := opener.Open(nil, stored[crypto.HeaderSize:], crypto.Frame{Type: frame}, nil)
	if err != nil {
		return nil, err
	}
	return unpad(plain, crypto.HeaderSize+crypto.FrameOverhead)
}

// A location says where a chunk lies.
type location struct {
	pack    uint32 // number of the pack in this Repository
	segment uint32 // number in the pack
	offset  uint32 // in the raw bytes of the segment
	length  uint32
}

// Packs of chunks that are in no pack.
const (
	claimed = ^uint32(0) - iota // a writer is about to store it
	dropped                     // the writer that claimed it gave up, or it was found damaged
)

// maxCopies bounds how many places are remembered for one chunk: two devices may store
// the same one, and a third place helps nobody.
const maxCopies = 3

// A chunkTable is the set of known chunks: 48 bytes each and 4 to 8 for the
// slots, a third of what a Go map takes. It is split in shards, by the first
// byte of the id, so that workers seldom wait for each other.
type chunkTable struct{ shards [64]chunkShard }

type chunkShard struct {
	mu      sync.Mutex
	entries []tableEntry
	slots   []uint32                      // 1 + position in entries; 0 is free. Length is a power of two
	copies  map[crypto.ChunkID][]location // further places of few chunks
}

type tableEntry struct {
	id crypto.ChunkID
	location
}

// claim reports whether the chunk is known, and marks it as being stored when it
// is not: of many workers that meet a chunk, one stores it.
func (t *chunkTable) claim(id crypto.ChunkID) (known bool) {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(id)
	if e == nil {
		s.insert(tableEntry{id, location{pack: claimed}})
		return false
	}
	if e.pack == dropped {
		e.pack = claimed
		return false
	}
	return true
}

// drop gives up all claims: what a writer that was cut off did not store is not stored,
// and the next one must not skip it.
func (t *chunkTable) drop() {
	t.all(func(e *tableEntry) {
		if e.pack == claimed {
			e.pack = dropped
		}
	})
}

// claims returns how many chunks are claimed and not stored.
func (t *chunkTable) claims() (n int) {
	t.all(func(e *tableEntry) {
		if e.pack == claimed {
			n++
		}
	})
	return n
}

// all calls fn for the first place of every chunk.
func (t *chunkTable) all(fn func(*tableEntry)) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for j := range s.entries {
			fn(&s.entries[j])
		}
		s.mu.Unlock()
	}
}

// everywhere calls fn for every known place of every chunk.
func (t *chunkTable) everywhere(fn func(crypto.ChunkID, location)) {
	t.all(func(e *tableEntry) { fn(e.id, e.location) })
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for id, copies := range s.copies {
			for _, at := range copies {
				fn(id, at)
			}
		}
		s.mu.Unlock()
	}
}

// set records where a chunk lies. The first place stays the first, others are kept for
// when it turns out to be damaged.
func (t *chunkTable) set(id crypto.ChunkID, at location) {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := s.find(id); {
	case e == nil:
		s.insert(tableEntry{id, at})
	case e.pack >= dropped:
		e.location = at
	case e.location != at && len(s.copies[id]) < maxCopies-1:
		if s.copies == nil {
			s.copies = map[crypto.ChunkID][]location{}
		}
		s.copies[id] = append(s.copies[id], at)
	}
}

// get returns where a stored chunk lies.
func (t *chunkTable) get(id crypto.ChunkID) (location, bool) {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(id)
	if e == nil || e.pack >= dropped {
		return location{}, false
	}
	return e.location, true
}

// copies returns the further places of a chunk.
func (t *chunkTable) copies(id crypto.ChunkID) []location {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.copies[id])
}

// prefer makes at, one of copies, the first place of a chunk.
func (t *chunkTable) prefer(id crypto.ChunkID, at location) {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(id)
	if i := slices.Index(s.copies[id], at); e != nil && i >= 0 {
		s.copies[id][i], e.location = e.location, at
	}
}

// forget makes the chunks of some segments of a pack such that are not stored.
func (t *chunkTable) forget(pack uint32, segments map[uint32]bool) {
	t.all(func(e *tableEntry) {
		if e.pack == pack && segments[e.segment] {
			e.pack = dropped
		}
	})
}

func (t *chunkTable) shard(id crypto.ChunkID) *chunkShard { return &t.shards[id[0]&63] }

// find needs s.mu. Ids are keyed hashes, so eight bytes of one are as good a
// hash as any.
func (s *chunkShard) find(id crypto.ChunkID) *tableEntry {
	if len(s.slots) == 0 {
		return nil
	}
	mask := uint64(len(s.slots) - 1)
	for i := binary.LittleEndian.Uint64(id[8:]) & mask; s.slots[i] != 0; i = (i + 1) & mask {
		if e := &s.entries[s.slots[i]-1]; e.id == id {
			return e
		}
	}
	return nil
}

func (s *chunkShard) insert(e tableEntry) {
	s.entries = append(s.entries, e)
	if len(s.entries)*4 > len(s.slots)*3 {
		s.grow()
		return
	}
	s.place(len(s.entries) - 1)
}

func (s *chunkShard) grow() {
	s.slots = make([]uint32, max(64, 2*len(s.slots)))
	for i := range s.entries {
		s.place(i)
	}
}

func (s *chunkShard) place(i int) {
	mask := uint64(len(s.slots) - 1)
	at := binary.LittleEndian.Uint64(s.entries[i].id[8:]) & mask
	for s.slots[at] != 0 {
		at = (at + 1) & mask
	}
	s.slots[at] = uint32(i + 1)
}
