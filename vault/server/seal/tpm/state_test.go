package tpm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"coffer/crypto/aead"
	"coffer/vault/attest"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
)

func exampleHead(t testing.TB) *head {
	t.Helper()
	n, err := newCounter(DefaultIndex)
	must(t, err)
	return &head{
		incarnation: 3, epoch: 77, counter: n, parent: [nameSize]byte{1, 2},
		sealed:   sealedKey{private: []byte("private"), public: []byte("public")},
		recovery: bytes.Repeat([]byte{9}, recoverySize),
	}
}

func exampleState() *state {
	s := newState()
	s.incarnation, s.epoch, s.rows = 3, 77, 5
	s.sum = sum{1, 2, 3, 4}
	s.indices = []indexEntry{{DefaultIndex + 1, id(1), 6}, {DefaultIndex + 2, id(2), 0}}
	return s
}

func TestStateRoundTrip(t *testing.T) {
	h, s, key := exampleHead(t), exampleState(), aead.Random(aead.KeySize)
	s.counter = h.counter
	note := sealState(h, s, key)
	gotHead, box, err := decodeHead(note)
	must(t, err)
	got, err := openState(gotHead, box, key)
	must(t, err)
	if !bytes.Equal(got.encode(), s.encode()) || got.epoch != 77 || got.incarnation != 3 || got.counter != h.counter {
		t.Error("another state")
	}
	if !bytes.Equal(gotHead.encode(), h.encode()) {
		t.Error("another head")
	}
	_, err = openState(gotHead, box, aead.Random(aead.KeySize))
	wantErr(t, err, ErrTampered)
	for n := range note[:len(note)-len(box)] {
		if _, _, err := decodeHead(note[:n]); !errors.Is(err, ErrTampered) {
			t.Errorf("prefix of %d: %v", n, err)
		}
	}
	body := s.encode()
	for _, n := range []int{0, 1, stateFixed - 1, stateFixed, len(body) - 1} {
		if _, err := decodeState(h, body[:n]); !errors.Is(err, ErrTampered) {
			t.Errorf("body of %d: %v", n, err)
		}
	}
	for _, tail := range [][]byte{append(bytes.Clone(body), 0), append([]byte{2}, body[1:]...)} {
		if _, err := decodeState(h, tail); !errors.Is(err, ErrTampered) {
			t.Error(err)
		}
	}
}

// Sums: order does not matter, what is taken out is as if it had never been in, and carries
// go all the way.
func TestSums(t *testing.T) {
	all := sum{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	one := sum{1}
	if got := all.plus(one); got != (sum{}) {
		t.Errorf("%x", got)
	}
	if got := (sum{}).minus(one); got != all {
		t.Errorf("%x", got)
	}
	a, b := readSum(bytes.Repeat([]byte{0xab}, 32)), readSum(bytes.Repeat([]byte{0xcd}, 32))
	if a.plus(b) != b.plus(a) || a.plus(b).minus(a) != b {
		t.Error("not a sum")
	}
	raw := sha256.Sum256([]byte("x"))
	if got := readSum(raw[:]).append(nil); !bytes.Equal(got, raw[:]) {
		t.Errorf("%x", got)
	}
	s := newState()
	base := s.digestOf(id(1), 1, []byte("row"))
	for _, other := range []digest{
		s.digestOf(id(2), 1, []byte("row")), s.digestOf(id(1), 2, []byte("row")), s.digestOf(id(1), 1, []byte("roW")),
		newState().digestOf(id(1), 1, []byte("row")),
	} {
		if other == base {
			t.Error("one digest for two rows")
		}
	}
}

// The row of a vault is what docs/vault-protocol.md says, and this package reads it.
func TestRows(t *testing.T) {
	handle, sealed := bytes.Repeat([]byte{5}, handleSize), []byte("sealed")
	row := joinRow(handle, sealed)
	if want := append([]byte{1, 0, handleSize}, handle...); !bytes.Equal(row, append(want, sealed...)) {
		t.Errorf("%x", row)
	}
	if h, ok := handleOf(row); !ok || !bytes.Equal(h, handle) {
		t.Error("not read")
	}
	for _, other := range [][]byte{nil, {1}, row[:rowHead+handleSize-1], append([]byte{2}, row[1:]...), {1, 0, 2, 8, 8}} {
		if _, ok := handleOf(other); ok {
			t.Errorf("%x is a row with a handle of ours", other)
		}
	}
}

func FuzzHead(f *testing.F) {
	h := exampleHead(f)
	f.Add(append(h.encode(), "box"...))
	h.recovery = nil
	f.Add(h.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, box, err := decodeHead(b)
		if err != nil {
			wantErr(t, err, ErrTampered)
			return
		}
		if !bytes.Equal(append(h.encode(), box...), b) {
			t.Error("not canonical")
		}
	})
}

func FuzzState(f *testing.F) {
	h := exampleHead(f)
	f.Add(exampleState().encode())
	f.Add(newState().encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(h, b)
		if err != nil {
			wantErr(t, err, ErrTampered)
			return
		}
		if !bytes.Equal(s.encode(), b) {
			t.Error("not canonical")
		}
	})
}

func FuzzReference(f *testing.F) {
	o := newOwner(f, 10)
	r := &reference{handle: DefaultIndex + 1, guard: attest.Guard(o.guard), private: []byte("private"), public: []byte("public")}
	f.Add(r.encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeReference(store.ID{}, b)
		if err != nil {
			wantErr(t, err, seal.ErrReference)
			return
		}
		if !bytes.Equal(r.encode(), b) {
			t.Error("not canonical")
		}
	})
}

func FuzzRow(f *testing.F) {
	f.Add(joinRow(make([]byte, handleSize), []byte("sealed")))
	f.Add([]byte{1, 0, 16})
	f.Fuzz(func(t *testing.T, b []byte) {
		if handle, ok := handleOf(b); ok && !bytes.Equal(joinRow(handle, b[rowHead+handleSize:]), b) {
			t.Error("not canonical")
		}
	})
}
