package repo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/klauspost/compress/zstd"

	"coffer/crypto"
)

// A Place says where a chunk lies: chunks with equal Pack and Segment are opened
// together.
type Place struct {
	Pack, Segment  uint32
	Offset, Length uint32 // in the raw bytes of the segment
}

// Locate returns the place of a chunk. A *ChunkError, or an *ObjectError that
// names the pack, when it is not stored.
func (r *Repository) Locate(id crypto.ChunkID) (Place, error) {
	at, ok := r.chunks.get(id)
	if ok {
		return at.place(), nil
	}
	r.mu.RLock()
	pack, lost := r.lost[id]
	r.mu.RUnlock()
	if lost {
		return Place{}, &ObjectError{packName(pack), ErrMissing}
	}
	return Place{}, &ChunkError{id.String()}
}

// Known reports whether all chunks of a content are stored, those of its lists
// included.
func (r *Repository) Known(ctx context.Context, c Content) (bool, error) {
	if c.Depth == 0 {
		for _, id := range c.IDs {
			if _, ok := r.chunks.get(id); !ok {
				return false, nil
			}
		}
		return true, nil
	}
	for id, err := range r.IDs(ctx, c) {
		if errors.Is(err, ErrMissing) || errors.Is(err, ErrDamaged) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if _, ok := r.chunks.get(id); !ok {
			return false, nil
		}
	}
	return true, nil
}

// IDs yields the chunks of a content in order, lists of lists unfolded.
func (r *Repository) IDs(ctx context.Context, c Content) iter.Seq2[crypto.ChunkID, error] {
	return func(yield func(crypto.ChunkID, error) bool) { r.unfold(ctx, c, yield) }
}

func (r *Repository) unfold(ctx context.Context, c Content, yield func(crypto.ChunkID, error) bool) bool {
	// A few lists that name each other's chunks over and over unfold to more ids than
	// anybody has time for, and all of them from memory.
	if err := ctx.Err(); err != nil {
		yield(crypto.ChunkID{}, err)
		return false
	}
	for _, id := range c.IDs {
		if c.Depth == 0 {
			if !yield(id, nil) {
				return false
			}
			continue
		}
		list, err := r.Chunk(ctx, id)
		if err != nil {
			yield(crypto.ChunkID{}, err)
			return false
		}
		ids, err := splitIDs(list)
		if err != nil {
			yield(crypto.ChunkID{}, fmt.Errorf("read list of chunks: %w: %w", ErrDamaged, err))
			return false
		}
		if !r.unfold(ctx, Content{ids, c.Depth - 1}, yield) {
			return false
		}
	}
	return true
}

// Folder yields the entries of a folder in ascending order of names.
func (r *Repository) Folder(ctx context.Context, c Content) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		last := ""
		for id, err := range r.IDs(ctx, c) {
			var entries []Entry
			if err == nil {
				entries, err = r.page(ctx, id, last)
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
			last = entries[len(entries)-1].Name
		}
	}
}

func (r *Repository) page(ctx context.Context, id crypto.ChunkID, after string) ([]Entry, error) {
	page, err := r.Chunk(ctx, id)
	if err != nil {
		return nil, err
	}
	entries, err := parsePage(page, after)
	if err != nil {
		return nil, fmt.Errorf("read folder page: %w: %w", ErrDamaged, err)
	}
	return entries, nil
}

// Chunk returns a chunk, checked by its id, from any pack that holds it whole. The bytes
// are shared: they must not be changed.
func (r *Repository) Chunk(ctx context.Context, id crypto.ChunkID) ([]byte, error) {
	at, err := r.Locate(id)
	if err != nil {
		return nil, err
	}
	chunk, err := r.chunkAt(ctx, at, id)
	if err == nil || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrMissing) {
		return chunk, err
	}
	for _, other := range r.chunks.copies(id) {
		if chunk, otherErr := r.chunkAt(ctx, other.place(), id); otherErr == nil {
			r.chunks.prefer(id, other)
			return chunk, nil
		}
	}
	return nil, err
}

func (at location) place() Place { return Place{at.pack, at.segment, at.offset, at.length} }

func (r *Repository) chunkAt(ctx context.Context, at Place, id crypto.ChunkID) ([]byte, error) {
	raw, err := r.segment(ctx, at)
	if err != nil {
		return nil, err
	}
	return r.Slice(raw, at, id)
}

// Slice cuts a chunk out of its opened segment and checks its id.
func (r *Repository) Slice(raw []byte, at Place, id crypto.ChunkID) ([]byte, error) {
	end := uint64(at.Offset) + uint64(at.Length)
	if end > uint64(len(raw)) {
		return nil, broken(r.object(at.Pack), errFormat)
	}
	chunk := raw[at.Offset:end:end]
	h := r.hashers.Get().(*crypto.ChunkHasher)
	defer r.hashers.Put(h)
	if h.Sum(chunk) != id {
		return nil, broken(r.object(at.Pack), errors.New("a chunk has not the bytes of its id"))
	}
	return chunk, nil
}

func (r *Repository) object(pack uint32) string { return packName(r.pack(pack).name) }

func (r *Repository) pack(number uint32) packInfo {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.packs[number]
}

// segment returns the raw bytes of a segment, from memory when it was opened
// lately.
func (r *Repository) segment(ctx context.Context, at Place) ([]byte, error) {
	key := uint64(at.Pack)<<32 | uint64(at.Segment)
	if raw := r.segments.get(key); raw != nil {
		return raw, nil
	}
	var raw []byte
	err := r.ReadSegments(ctx, at.Pack, []uint32{at.Segment}, func(_ uint32, opened []byte) error {
		raw = opened
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.segments.put(key, raw)
	return raw, nil
}

// maxRun is how many bytes of neighbouring segments are read in one request.
const maxRun = 8 << 20

// ReadSegments opens segments of one pack, ascending numbers, and hands the raw
// bytes of each to fn, which may keep them. Neighbours come in one request.
func (r *Repository) ReadSegments(ctx context.Context, pack uint32, segments []uint32, fn func(segment uint32, raw []byte) error) error {
	info := r.pack(pack)
	opener, err := r.opener(ctx, pack, info)
	if err != nil {
		return err
	}
	for len(segments) > 0 {
		run := nextRun(info.segments, segments)
		first, last := info.segments[segments[0]], info.segments[segments[run-1]]
		sealed := make([]byte, last.offset+last.sealed-first.offset)
		if err := r.readAt(ctx, packName(info.name), sealed, int64(first.offset)); err != nil {
			return err
		}
		for _, number := range segments[:run] {
			place := info.segments[number]
			at := place.offset - first.offset
			raw, err := r.openSegment(opener, sealed[at:at+place.sealed], number, place)
			if err != nil {
				raw, err = r.segmentAgain(ctx, opener, packName(info.name), number, place)
			}
			if err != nil {
				return err
			}
			if err := fn(number, raw); err != nil {
				return err
			}
		}
		segments = segments[run:]
	}
	return nil
}

// segmentAgain takes a second look at a segment that does not open. Nothing but the
// segment's own tag tells a bit that was lost on the way from one that was lost at the
// destination, and only the second is damage.
func (r *Repository) segmentAgain(ctx context.Context, o *crypto.Opener, object string, number uint32, p segmentPlace) ([]byte, error) {
	sealed := make([]byte, p.sealed)
	if err := r.readAt(ctx, object, sealed, int64(p.offset)); err != nil {
		return nil, err
	}
	raw, err := r.openSegment(o, sealed, number, p)
	if err != nil {
		return nil, broken(object, err)
	}
	return raw, nil
}

// nextRun returns how many of the wanted segments to read in one request: they
// follow each other, or nearly so, as skipping a little costs less than asking
// again.
func nextRun(places []segmentPlace, wanted []uint32) int {
	start := places[wanted[0]].offset
	n := 1
	for n < len(wanted) {
		before, next := places[wanted[n-1]], places[wanted[n]]
		gap := next.offset - (before.offset + before.sealed)
		if gap > 256<<10 || next.offset+next.sealed-start > maxRun {
			break
		}
		n++
	}
	return n
}

// opener returns the key of a pack, from its header.
func (r *Repository) opener(ctx context.Context, pack uint32, info packInfo) (*crypto.Opener, error) {
	r.mu.RLock()
	o := r.openers[pack]
	r.mu.RUnlock()
	if o != nil {
		return o, nil
	}
	o, err := r.readHeader(ctx, packName(info.name))
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.openers) > 1024 {
		clear(r.openers)
	}
	r.openers[pack] = o
	return o, nil
}

// readHeader returns the opener of a stored pack, after a second look if need be.
func (r *Repository) readHeader(ctx context.Context, object string) (o *crypto.Opener, err error) {
	header := make([]byte, crypto.HeaderSize)
	for range 2 {
		if err := r.readAt(ctx, object, header, 0); err != nil {
			return nil, err
		}
		if o, err = r.keys.NewOpener(crypto.KindPack, header); err == nil {
			return o, nil
		}
	}
	return nil, broken(object, err)
}

// openSegment opens and decompresses a segment.
func (r *Repository) openSegment(o *crypto.Opener, sealed []byte, number uint32, p segmentPlace) ([]byte, error) {
	frame := crypto.Frame{Type: frameSegment, Number: uint64(number)}
	plain, err := o.Open(nil, sealed, frame, segmentExtra(p.raw, p.method))
	if err != nil {
		return nil, err
	}
	if p.method == methodStored {
		if len(plain) != int(p.raw) {
			return nil, errFormat
		}
		return plain, nil
	}
	return r.decompress(plain, int(p.raw))
}

func newDecoder() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRaw), zstd.WithDecoderMaxWindow(maxRaw), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic("repo: internal error: " + err.Error()) // the options are constants
	}
	return d
}

// decompress refuses anything but exactly raw bytes, and never makes more.
func (r *Repository) decompress(plain []byte, raw int) ([]byte, error) {
	d := r.decoders.Get().(*zstd.Decoder)
	defer r.decoders.Put(d)
	out, err := d.DecodeAll(plain, make([]byte, 0, raw))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(out) != raw {
		return nil, errFormat
	}
	return out, nil
}

// A segmentCache keeps the segments that were opened last. A small file of a
// folder is in the segment of its neighbours, and a page in that of its
// siblings.
type segmentCache struct {
	limit int

	mu    sync.Mutex
	bytes int
	order []uint64 // oldest first
	raw   map[uint64][]byte
}

func (c *segmentCache) get(key uint64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw[key]
}

func (c *segmentCache) put(key uint64, raw []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.raw[key]; ok || len(raw) > c.limit {
		return
	}
	if c.raw == nil {
		c.raw = map[uint64][]byte{}
	}
	c.raw[key] = raw
	c.order = append(c.order, key)
	for c.bytes += len(raw); c.bytes > c.limit; c.order = c.order[1:] {
		c.bytes -= len(c.raw[c.order[0]])
		delete(c.raw, c.order[0])
	}
}

// Forget makes what cannot be read of a content, of its pages or lists, count as not
// stored, with all that is as damaged in the same pack. A backup that meets damage in
// what it compares with calls it, or else it would find the same pages stored already and
// leave them as damaged as they are.
func (r *Repository) Forget(ctx context.Context, c Content) {
	for _, id := range c.IDs {
		at, err := r.Locate(id)
		if err != nil {
			continue // it counts as not stored
		}
		chunk, err := r.Chunk(ctx, id)
		switch {
		case isDamage(err):
			r.forgetPack(ctx, at.Pack)
		case err == nil && c.Depth > 0:
			if ids, err := splitIDs(chunk); err == nil {
				r.Forget(ctx, Content{ids, c.Depth - 1})
			}
		}
	}
}

// forgetPack tries every segment of a pack: what lies below a damaged page cannot be
// found from there, and is likely to lie beside it.
func (r *Repository) forgetPack(ctx context.Context, pack uint32) {
	bad := map[uint32]bool{}
	for n := range uint32(len(r.pack(pack).segments)) {
		err := r.ReadSegments(ctx, pack, []uint32{n}, func(uint32, []byte) error { return nil })
		bad[n] = isDamage(err)
	}
	r.chunks.forget(pack, bad)
}

func isDamage(err error) bool { return errors.Is(err, ErrDamaged) || errors.Is(err, ErrMissing) }
