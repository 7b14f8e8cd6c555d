package repo

import (
	"encoding/binary"
	"fmt"
	"testing"

	"coffer/cloud/cloudtest"
	"coffer/crypto"
)

func BenchmarkChunker(b *testing.B) {
	c := NewChunker(testKeys(b))
	data := seeded(1, 32<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		cutAll(c, data)
	}
}

// benchEntry is what most entries are: a small file with a chunk of its own.
func benchEntry() *Entry {
	return &Entry{
		Name: "picture 001234.jpg", Type: TypeFile, Mode: 0o644, ModTime: Time{1_700_000_000, 123_456_789},
		ChangeTime: Time{1_700_000_000, 123_456_789}, Inode: 1 << 33, UID: 1000, GID: 1000, User: "ann", Group: "ann",
		Size: 12345, Content: Content{IDs: []crypto.ChunkID{testID(1)}},
	}
}

func BenchmarkEntryEncode(b *testing.B) {
	e, buf := benchEntry(), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = e.append(buf[:0])
	}
}

func BenchmarkEntryCheck(b *testing.B) {
	e := benchEntry()
	b.ReportAllocs()
	for b.Loop() {
		if e.Check() != nil {
			b.Fatal("refused")
		}
	}
}

// BenchmarkPageDecode reads a page of 1,000 entries; see ns/entry.
func BenchmarkPageDecode(b *testing.B) {
	const n = 1000
	var body []byte
	for i := range n {
		e := benchEntry()
		e.Name = fmt.Sprintf("picture %06d.jpg", i)
		body = e.append(body)
	}
	page := appendPage(n, body)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parsePage(page, ""); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
}

func BenchmarkChunkTable(b *testing.B) {
	const n = 1 << 20
	ids := make([]crypto.ChunkID, n)
	for i := range ids {
		copy(ids[i][:], seeded(uint64(i), 32))
	}
	full := new(chunkTable)
	for _, id := range ids {
		full.set(id, location{})
	}
	b.Run("insert", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t := new(chunkTable)
			for _, id := range ids {
				t.claim(id)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/chunk")
	})
	b.Run("find", func(b *testing.B) {
		i := 0
		for b.Loop() {
			if _, ok := full.get(ids[i&(n-1)]); !ok {
				b.Fatal("not found")
			}
			i++
		}
	})
}

// BenchmarkBundle stores small files of 2 kB that compress a little, in memory.
func BenchmarkBundle(b *testing.B) {
	w := mustOpen(b, cloudtest.NewMemory()).NewWriter(b.Context(), nil)
	defer w.Close()
	bundle := w.NewBundle()
	chunk := wordy(1, 64, 8, 2000)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		binary.BigEndian.PutUint64(chunk, n)
		n++
		if _, err := bundle.Put(chunk); err != nil {
			b.Fatal(err)
		}
	}
}
