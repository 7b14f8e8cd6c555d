package repo

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"coffer/crypto"
)

func cutAll(c *Chunker, data []byte) (lengths []int) {
	for len(data) > 0 {
		n := c.Cut(data[:min(len(data), maxChunk)])
		lengths, data = append(lengths, n), data[n:]
	}
	return lengths
}

// slowCuts is section 4.1 word for word: no byte is skipped, and products are made of
// halves, as in school.
func slowCuts(keys *crypto.Keys, data []byte) (lengths []int) {
	seed := exposeSeed(keys)
	var table [258]uint64
	for i := range table {
		for _, c := range seed[8*i : 8*i+8] {
			table[i] = table[i]*256 + uint64(c)
		}
	}
	a, b := table[256]|1, table[257]|1
	length, h := 0, uint64(0)
	for i, c := range data {
		h = 2*h + table[c]
		length++
		zeros := bits.LeadingZeros64(slowFold(slowFold(h, a), b))
		end := length >= 256<<10 && length < 1<<20 && zeros >= 21 || length >= 1<<20 && zeros >= 18 || length == 4<<20
		if end || i == len(data)-1 {
			lengths = append(lengths, length)
			length, h = 0, 0
		}
	}
	return lengths
}

func slowFold(x, y uint64) uint64 {
	const half = 1<<32 - 1
	x1, x0, y1, y0 := x>>32, x&half, y>>32, y&half
	middle := x1*y0 + x0*y0>>32
	other := x0*y1 + middle&half
	high := x1*y1 + middle>>32 + other>>32
	low := other<<32 | x0*y0&half
	return high ^ low
}

func exposeSeed(keys *crypto.Keys) (seed []byte) {
	keys.ChunkerSeed().Expose(func(b []byte) { seed = bytes.Clone(b) })
	return seed
}

func TestChunkerIsTheDocument(t *testing.T) {
	keys := testKeys(t)
	for name, data := range map[string][]byte{
		"random": seeded(1, 3<<20),
		"words":  wordy(2, 64, 256, 2<<20), // repeats, so cuts come early or never
		"short":  seeded(3, chunkMin+1),
		"one":    {1},
	} {
		if got, want := cutAll(NewChunker(keys), data), slowCuts(keys, data); !slices.Equal(got, want) {
			t.Errorf("%s: cut at %v, the document says %v", name, got, want)
		}
	}
}

func TestChunkLengths(t *testing.T) {
	c := NewChunker(testKeys(t))
	const size = 64 << 20
	data := seeded(4, size)
	lengths := cutAll(c, data)
	for i, n := range lengths {
		if n > chunkMax || n < chunkMin && i < len(lengths)-1 {
			t.Errorf("chunk %d has %d bytes", i, n)
		}
	}
	if average := size / len(lengths); average < 800<<10 || average > 1400<<10 {
		t.Errorf("chunks have %d bytes on average", average)
	}
	for _, n := range []int{1, chunkMin - 1, chunkMin, chunkMin + 1} {
		if got := cutAll(c, make([]byte, n)); len(got) != 1 || got[0] != n {
			t.Errorf("%d zeros are cut to %v", n, got)
		}
	}
	if got := cutAll(c, make([]byte, 9<<20)); !slices.Equal(got, []int{chunkMax, chunkMax, 1 << 20}) {
		t.Errorf("9 MiB of zeros are cut to %v", got)
	}
}

// TestChunkerFindsItsPlaceAgain: a byte put into the middle changes few chunks.
func TestChunkerFindsItsPlaceAgain(t *testing.T) {
	keys := testKeys(t)
	c, h := NewChunker(keys), keys.NewChunkHasher()
	data := seeded(5, 24<<20)
	ids := func(data []byte) map[crypto.ChunkID]bool {
		all := map[crypto.ChunkID]bool{}
		for _, n := range cutAll(c, data) {
			all[h.Sum(data[:n])] = true
			data = data[n:]
		}
		return all
	}
	before := ids(data)
	after := ids(slices.Insert(bytes.Clone(data), len(data)/2, 'x'))
	fresh := 0
	for id := range after {
		if !before[id] {
			fresh++
		}
	}
	if fresh < 1 || fresh > 4 {
		t.Errorf("one byte more made %d of %d chunks new", fresh, len(after))
	}
	other := NewChunker(mustRoot(t, 1).Derive())
	if slices.Equal(cutAll(c, data), cutAll(other, data)) {
		t.Error("two keys cut alike")
	}
}

// TestChunkerIsSecret: the table must not reach a log.
func TestChunkerIsSecret(t *testing.T) {
	c := NewChunker(testKeys(t))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		if got := fmt.Sprintf(verb, c); got != redacted {
			t.Errorf("%s prints %.40q", verb, got)
		}
	}
	if got := c.LogValue().String(); got != redacted {
		t.Errorf("logs %.40q", got)
	}
}

// TestPadme compares with values worked out by hand from the paper's definition, and with
// the definition itself, in other words.
func TestPadme(t *testing.T) {
	for _, v := range padmeVectors {
		if got := padme(v[0]); got != v[1] {
			t.Errorf("padme(%d) = %d, want %d", v[0], got, v[1])
		}
	}
	for n := 2; n < 1<<26; n += 1 + n/1000 {
		// The size has floor(log2 n)+1 bits, of which the lowest E-S are zero.
		e := bits.Len(uint(n)) - 1
		zeros := e - bits.Len(uint(e))
		unit := 1
		for range zeros {
			unit *= 2
		}
		want := (n + unit - 1) / unit * unit
		if got := padme(n); got != want || got < n || float64(got) > float64(n)*1.12 {
			t.Fatalf("padme(%d) = %d, want %d", n, got, want)
		}
		if padme(padme(n)) != padme(n) {
			t.Fatalf("padme(%d) is not a Padmé size", n)
		}
	}
}

// padmeVectors: E, S, E-S and so the unit are 3,2,1: 2; 6,3,3: 8; 7,3,4: 16; 9,4,5: 32;
// 10,4,6: 64; 16,5,11: 2048; 20,5,15: 32768; 24,5,19: 524288; 25,5,20: 1048576.
var padmeVectors = [][2]int{
	{1, 1},
	{2, 2},
	{3, 3},
	{7, 7},
	{8, 8},
	{9, 10},
	{15, 16},
	{16, 16},
	{100, 104},
	{129, 144},
	{200, 208},
	{255, 256},
	{256, 256},
	{257, 272},
	{1000, 1024},
	{1025, 1088},
	{65536, 65536},
	{65537, 67584},
	{1 << 20, 1 << 20},
	{1<<20 + 1, 1<<20 + 1<<15},
	{16_000_000, 16_252_928},
	{16<<20 + 1, 17_301_504},
	{33_554_433, 34_603_008},
}
