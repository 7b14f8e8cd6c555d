package repo

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"
)

var update = flag.Bool("update", false, "write docs/testdata/vectors/format.json anew; only with a new format version")

const formatVectors = "../../docs/testdata/vectors/format.json"

// The shape of format.json. Byte strings are hexadecimal.
type vectors struct {
	Comment string
	RootKey string
	Padme   [][2]int // size before and after
	Padded  []paddedVector
	Cuts    []cutVector
	Entry   string // CBOR
	Page    string // CBOR
	Body    string // of a snapshot, before padding
	First   string // of a first snapshot with nothing optional
	Table   string // pack table of 3 segments
	Index   string // body of an index of 2 packs, before padding
	Public  string // public part of a head
	Server  string // of one whose vault is on a network, and has hardware that counts
}

// A paddedVector is a payload in an object with so many bytes beside it.
type paddedVector struct {
	Payload  string
	Overhead int
	Padded   string
}

// A cutVector is data and the lengths of its chunks. Data is the ChaCha8 stream of C2SP
// and Go's math/rand/v2 under a seed of 8 bytes, little-endian, and zeros; or so many
// zero bytes when Seed is 0.
type cutVector struct {
	Seed    uint64
	Size    int
	Lengths []int
}

func (c cutVector) data() []byte {
	if c.Seed == 0 {
		return make([]byte, c.Size)
	}
	return seeded(c.Seed, c.Size)
}

func makeVectors(t *testing.T) vectors {
	keys := testKeys(t)
	v := vectors{
		Comment: "Test vectors of docs/format.md, sections 3.3 to 9. Byte strings are hexadecimal. Data of Cuts is the ChaCha8 stream " +
			"(C2SP chacha8rand) under Seed as 8 bytes little-endian and 24 zeros; zero bytes where Seed is 0.",
		RootKey: hex.EncodeToString(exposeRoot(mustRoot(t, 0))),
		Padme:   padmeVectors,
		Entry:   hex.EncodeToString(fullEntry().append(nil)),
		Page:    hex.EncodeToString(testPage(3)),
		Body:    hex.EncodeToString(fullSnapshot().body()),
		First:   hex.EncodeToString(testSnapshot(1, 1, Name{}).body()),
		Table:   hex.EncodeToString(appendTable(nil, testTable(3))),
		Index:   hex.EncodeToString(testIndexBody()),
		Public:  hex.EncodeToString(fullHead().public()),
		Server:  hex.EncodeToString(serverHead().public()),
	}
	for _, payload := range [][]byte{{}, {0}, {0x80}, {0x80, 0, 0}, []byte("payload"), seeded(1, 200)} {
		padded := pad(append([]byte{}, payload...), 112)
		v.Padded = append(v.Padded, paddedVector{hex.EncodeToString(payload), 112, hex.EncodeToString(padded)})
	}
	for _, c := range []cutVector{{Seed: 1, Size: 4 << 20}, {Seed: 2, Size: 6<<20 + 1}, {Seed: 3, Size: 300_000}, {Size: 9 << 20}} {
		c.Lengths = cutAll(NewChunker(keys), c.data())
		v.Cuts = append(v.Cuts, c)
	}
	return v
}

// TestVectors holds what this program writes against what the first release wrote.
func TestVectors(t *testing.T) {
	got := makeVectors(t)
	if *update {
		text, err := json.MarshalIndent(got, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(formatVectors, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(formatVectors)
	if err != nil {
		t.Fatal(err)
	}
	var want vectors
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		compareJSON(t, "the form of the format", got, want)
	}
	if len(want.Padme) < 20 || len(want.Cuts) < 4 || len(want.Padded) < 6 {
		t.Error("vectors are missing")
	}
}
