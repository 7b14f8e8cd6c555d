package opaque

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"filippo.io/nistec"
)

// xToken is a token as NewXOnly sees it, with a key that the test knows.
func xToken(t testing.TB, key []byte) (public []byte, multiplyX func([]byte) ([]byte, error)) {
	t.Helper()
	p, err := nistec.NewP256Point().ScalarBaseMult(key)
	if err != nil {
		t.Fatal(err)
	}
	return p.Bytes(), func(point []byte) ([]byte, error) {
		if len(point) != UncompressedSize {
			return nil, fmt.Errorf("a point of %d bytes", len(point))
		}
		q, err := nistec.NewP256Point().SetBytes(point)
		if err != nil {
			return nil, err
		}
		if q, err = q.ScalarMult(q, key); err != nil {
			return nil, err
		}
		return q.BytesX()
	}
}

func scalar(low ...byte) []byte { return append(make([]byte, scalarSize-len(low)), low...) }

// minus returns the order of the group minus n: the scalar -n.
func minus(n byte) []byte {
	order := []byte{
		0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
	}
	order[31] -= n
	return order
}

func multiple(t testing.TB, key []byte) []byte {
	t.Helper()
	return must(keyPairFrom(key))(t).public
}

func TestXOnlyEqualsTheWholeProduct(t *testing.T) {
	keys := [][]byte{scalar(1), scalar(2), scalar(3), minus(1), minus(2)}
	// G, -G (the shifted point is the identity), -2G, 2G: where sums meet.
	points := [][]byte{multiple(t, scalar(1)), multiple(t, minus(1)), multiple(t, minus(2)), multiple(t, scalar(2))}
	for range 40 {
		keys, points = append(keys, newScalar()), append(points, multiple(t, newScalar()))
	}
	for _, key := range keys {
		whole := must(NewEvaluator(key))(t)
		xOnly := must(NewXOnly(xToken(t, key)))(t)
		for _, point := range points {
			want := must(whole.Evaluate(point))(t)
			got, err := xOnly.Evaluate(point)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("key %x, point %x: %x, %v; want %x", key, point, got, err, want)
			}
		}
	}
}

func TestXOnlyRefusesATokenThatComputesWrongly(t *testing.T) {
	key := newScalar()
	public, right := xToken(t, key)
	otherPublic, other := xToken(t, newScalar())
	point := multiple(t, newScalar())
	failed := errors.New("the token failed")
	negated := must(nistec.NewP256Point().SetBytes(public))(t).BytesCompressed()
	negated[0] ^= 1
	at := func(n int, wrong func(x []byte) []byte) func([]byte) ([]byte, error) {
		calls := 0
		return func(p []byte) ([]byte, error) {
			x, err := right(p)
			if calls++; calls == n {
				x = wrong(x)
			}
			return x, err
		}
	}
	flip := func(x []byte) []byte { x[5] ^= 1; return x }
	for _, test := range []struct {
		name   string
		public []byte
		token  func([]byte) ([]byte, error)
		want   error
	}{
		{"another public key", otherPublic, right, ErrProduct},
		{"another key", public, other, ErrProduct},
		{"first answer changed", public, at(1, flip), ErrProduct},
		{"second answer changed", public, at(2, flip), ErrProduct},
		{"first answer of another key", public, at(1, func([]byte) []byte { return must(other(public))(t) }), ErrProduct},
		{"first answer cut", public, at(1, func(x []byte) []byte { return x[1:] }), ErrProduct},
		{"second answer cut", public, at(2, func(x []byte) []byte { return x[1:] }), ErrProduct},
		{"first answer empty", public, at(1, func([]byte) []byte { return nil }), ErrProduct},
		{"second answer empty", public, at(2, func([]byte) []byte { return nil }), ErrProduct},
		{"answers zero", public, func([]byte) ([]byte, error) { return make([]byte, 32), nil }, ErrProduct},
		{"answers beyond the prime", public, func([]byte) ([]byte, error) { return bytes.Repeat([]byte{255}, 32), nil }, ErrProduct},
		{"no answer", public, func([]byte) ([]byte, error) { return nil, failed }, failed},
	} {
		got, err := must(NewXOnly(test.public, test.token))(t).Evaluate(point)
		if !errors.Is(err, test.want) || got != nil {
			t.Errorf("%s: %x, %v; want %v", test.name, got, err, test.want)
		}
	}
	// With the point -G, the second answer is not asked for: the sum must be the identity.
	minusG := multiple(t, minus(1))
	if got, err := must(NewXOnly(public, other))(t).Evaluate(minusG); !errors.Is(err, ErrProduct) {
		t.Errorf("-G with another key: %x, %v", got, err)
	}
	if got, err := must(NewXOnly(public, right))(t).Evaluate(minusG); err != nil || !bytes.Equal(got, negated) {
		t.Errorf("-G: %x, %v", got, err)
	}
}

func TestXOnlyRefusesWhatIsNoPoint(t *testing.T) {
	public, token := xToken(t, newScalar())
	refused := func(name string, public []byte) {
		t.Helper()
		if _, err := NewXOnly(public, token); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range public {
		changed := bytes.Clone(public)
		changed[i] ^= 1
		refused("changed", changed)
		refused("cut", public[:i])
	}
	refused("longer", append(bytes.Clone(public), 0))
	refused("compressed", multiple(t, newScalar()))
	key := must(NewXOnly(public, token))(t)
	for _, point := range [][]byte{nil, {0}, public, make([]byte, 33), multiple(t, newScalar())[:32]} {
		if got, err := key.Evaluate(point); !errors.Is(err, ErrMessage) {
			t.Errorf("evaluated %x: %x, %v", point, got, err)
		}
	}
	if got := fmt.Sprintf("%v %+v %#v", key, key, key); got != "[redacted] [redacted] [redacted]" {
		t.Errorf("prints %s", got)
	}
}

func FuzzXOnly(f *testing.F) {
	key := scalar(7)
	public, right := xToken(f, key)
	f.Add(public, multiple(f, scalar(1)), scalar(1), scalar(2))
	f.Add(public, multiple(f, minus(1)), must(right(public))(f), []byte{})
	f.Fuzz(func(t *testing.T, public, point, x1, x2 []byte) {
		answers := [][]byte{x1, x2}
		e, err := NewXOnly(public, func([]byte) ([]byte, error) {
			x := answers[0]
			answers = answers[1:]
			return x, nil
		})
		if err != nil {
			return
		}
		got, err := e.Evaluate(point)
		if err != nil && got != nil || err == nil && !bytes.Equal(got[1:], x1) {
			t.Fatalf("%x, %v", got, err)
		}
	})
}
