package repo

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/bits"

	"coffer/crypto"
)

// Sizes of content-defined chunks (docs/format.md, section 4.1).
const (
	chunkMin = 256 << 10
	chunkAvg = 1 << 20
	chunkMax = maxChunk

	windowSize = 64 // bytes that the rolling hash depends on

	cutSmall = 64 - 21 // shift under which a candidate before chunkAvg must be zero
	cutLarge = 64 - 18
)

// A Chunker cuts data by content with a secret table. It is safe for
// concurrent use. It prints as "[redacted]": with the table, lengths of chunks tell which
// known files are in a backup.
type Chunker struct {
	table [256]uint64
	a, b  uint64
}

const redacted = "[redacted]"

// Format prints "[redacted]" for every verb.
func (*Chunker) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) } // fmt has no use for the error

// LogValue returns "[redacted]".
func (*Chunker) LogValue() slog.Value { return slog.StringValue(redacted) }

// NewChunker returns the chunker of a repository.
func NewChunker(keys *crypto.Keys) *Chunker {
	c := new(Chunker)
	keys.ChunkerSeed().Expose(func(seed []byte) {
		for i := range c.table {
			c.table[i] = binary.BigEndian.Uint64(seed[8*i:])
		}
		c.a = binary.BigEndian.Uint64(seed[2048:]) | 1
		c.b = binary.BigEndian.Uint64(seed[2056:]) | 1
	})
	return c
}

// Cut returns the length of the first chunk of data, which holds 4 MiB or all that is
// left: at least one byte.
func (c *Chunker) Cut(data []byte) int {
	if len(data) <= chunkMin {
		return len(data)
	}
	data = data[:min(len(data), chunkMax)]
	h := uint64(0)
	i := chunkMin - windowSize
	for ; i < chunkMin-1; i++ {
		h = h<<1 + c.table[data[i]]
	}
	mid := min(len(data), chunkAvg-1)
	for ; i < mid; i++ {
		h = h<<1 + c.table[data[i]]
		if c.fold(h)>>cutSmall == 0 {
			return i + 1
		}
	}
	for ; i < len(data); i++ {
		h = h<<1 + c.table[data[i]]
		if c.fold(h)>>cutLarge == 0 {
			return i + 1
		}
	}
	return len(data)
}

// fold hides the linear sum of table values behind two secret multiplications:
// with the sum alone, lengths of chunks of known files give the table away
// (ePrint 2025/532, 2025/558).
func (c *Chunker) fold(h uint64) uint64 {
	hi, lo := bits.Mul64(h, c.a)
	hi, lo = bits.Mul64(hi^lo, c.b)
	return hi ^ lo
}
