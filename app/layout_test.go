package app

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"coffer/app/repo"
)

// A file with holes is cut into its data, the data into chunks, and put together again; a
// layout that skips gives the same places as one that goes through.
func TestLayoutPutsDataBetweenHoles(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		file := make([]byte, 1+rng.IntN(500))
		for i := range file {
			file[i] = byte(1 + rng.IntN(255))
		}
		var e repo.Entry
		e.Size = int64(len(file))
		var data []byte
		for at := 0; at < len(file); {
			n := min(1+rng.IntN(60), len(file)-at)
			if rng.IntN(2) == 0 && (len(e.Holes) == 0 || e.Holes[len(e.Holes)-1].Offset+e.Holes[len(e.Holes)-1].Length < int64(at)) {
				e.Holes = append(e.Holes, repo.Range{Offset: int64(at), Length: int64(n)})
				clear(file[at : at+n])
			} else {
				data = append(data, file[at:at+n]...)
			}
			at += n
		}
		through, skipping := newLayout(&e), newLayout(&e)
		got, again := make([]byte, len(file)), make([]byte, len(file))
		for rest := data; len(rest) > 0; {
			n := min(1+rng.IntN(90), len(rest))
			for off, piece := range through.place(rest[:n]) {
				copy(got[off:], piece)
			}
			l := skipping.skip(int64(n))
			for off, piece := range l.place(rest[:n]) {
				copy(again[off:], piece)
			}
			rest = rest[n:]
		}
		if !bytes.Equal(got, file) || !bytes.Equal(again, file) {
			t.Fatalf("seed %d: holes %v", seed, e.Holes)
		}
	}
}
