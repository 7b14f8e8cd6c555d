package repo

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"coffer/crypto"
)

// A Bundle turns chunks into segments for one goroutine: it names them, drops
// those that are stored already, puts small ones together, compresses.
// Flush it at the end.
type Bundle struct {
	w      *Writer
	pack   *openPack
	whole  int // chunks of at least this size are segments of their own
	hasher *crypto.ChunkHasher
	enc    *zstd.Encoder
	raw    []byte
	chunks []chunkEntry
	out    []byte // what the encoder made

	// NewBytes counts the bytes of chunks that were not stored before.
	NewBytes int64
}

// NewBundle returns a bundle for data of files.
func (w *Writer) NewBundle() *Bundle { return w.newBundle(&w.data, SmallChunk) }

// NewTreeBundle returns a bundle for pages of folders and for lists. They have
// packs of their own: who browses or checks does not fetch files.
func (w *Writer) NewTreeBundle() *Bundle { return w.newBundle(&w.tree, segmentTarget) }

func (w *Writer) newBundle(pack *openPack, whole int) *Bundle {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic("repo: internal error: " + err.Error()) // the options are constants
	}
	return &Bundle{w: w, pack: pack, whole: whole, hasher: w.repo.keys.NewChunkHasher(), enc: enc}
}

// Put stores a chunk of 1 byte to 4 MiB, unless it is known, and returns its id.
// The bytes may be changed afterwards.
func (b *Bundle) Put(chunk []byte) (crypto.ChunkID, error) {
	if len(chunk) == 0 || len(chunk) > maxChunk {
		return crypto.ChunkID{}, fmt.Errorf("store chunk of %d bytes: %w", len(chunk), errFormat)
	}
	id := b.hasher.Sum(chunk)
	if b.w.repo.chunks.claim(id) {
		return id, nil
	}
	b.NewBytes += int64(len(chunk))
	entry := chunkEntry{id, uint32(len(chunk))}
	if len(chunk) >= b.whole {
		return id, b.segment(chunk, []chunkEntry{entry})
	}
	b.raw = append(b.raw, chunk...)
	b.chunks = append(b.chunks, entry)
	if len(b.raw) >= segmentTarget || len(b.chunks) >= segmentChunks {
		return id, b.Flush()
	}
	return id, nil
}

// Flush stores the chunks that wait for company.
func (b *Bundle) Flush() error {
	if len(b.chunks) == 0 {
		return nil
	}
	chunks := b.chunks
	b.chunks = make([]chunkEntry, 0, len(chunks)) // the old ones go with the pack
	err := b.segment(b.raw, chunks)
	b.raw = b.raw[:0]
	return err
}

func (b *Bundle) segment(raw []byte, chunks []chunkEntry) error {
	plain, method := b.compress(raw)
	return b.w.add(b.pack, plain, uint32(len(raw)), method, chunks)
}

// compress returns raw itself when compressing would save less than 3 %: it
// costs time at each backup and each restore.
func (b *Bundle) compress(raw []byte) (plain []byte, method uint8) {
	if !b.promising(raw) {
		return raw, methodStored
	}
	b.out = b.enc.EncodeAll(raw, b.out[:0])
	if len(b.out) >= len(raw)/100*97 {
		return raw, methodStored
	}
	return b.out, methodZstd
}

// promising compresses samples: pictures, films and archives are most of the
// bytes of most people, and give nothing.
func (b *Bundle) promising(raw []byte) bool {
	const sample = 4 << 10
	if len(raw) < 16*sample {
		return len(raw) >= 64
	}
	n := 0
	for _, at := range []int{0, len(raw) / 2, len(raw) - sample} {
		b.out = b.enc.EncodeAll(raw[at:at+sample], b.out[:0])
		n += len(b.out)
	}
	return n < 3*sample*95/100
}
