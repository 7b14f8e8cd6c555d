package opaque

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"filippo.io/nistec"
)

// A probed is a registration request, its probe, and the right answers to both.
type probed struct {
	key, public, request []byte
	probe                *Probe
	second               []byte // what is asked
	e, f                 []byte // the right answers
}

func newProbed(t testing.TB) probed {
	t.Helper()
	x := probed{key: newScalar(), request: multiple(t, newScalar())}
	x.public = multiple(t, x.key)
	var err error
	if x.probe, x.second, err = NewProbe(x.request); err != nil {
		t.Fatal(err)
	}
	x.e, x.f = must(multiply(x.key, x.request))(t), must(multiply(x.key, x.second))(t)
	return x
}

func sumOf(t testing.TB, a, b []byte) []byte {
	t.Helper()
	p, q := must(parsePoint(a))(t), must(parsePoint(b))(t)
	return nistec.NewP256Point().Add(p, q).BytesCompressed()
}

func negative(point []byte) []byte {
	out := bytes.Clone(point)
	out[0] ^= 1
	return out
}

func TestProbeTakesTheKeyThatItShould(t *testing.T) {
	for range 20 {
		x := newProbed(t)
		if err := x.probe.Check(x.e, x.f, x.public); err != nil {
			t.Fatal(err)
		}
		if err := x.probe.Check(x.e, x.f, x.public); !errors.Is(err, ErrOrder) {
			t.Fatalf("a probe that was used: %v", err)
		}
	}
}

// TestProbeFindsALyingServer: whoever does not know c and r, and answers the first request
// with another key, does not pass, whatever he does with the second one.
func TestProbeFindsALyingServer(t *testing.T) {
	own := newScalar() // the liar's
	lies := map[string]func(x *probed) (first, second, public []byte){
		"both with his own key": func(x *probed) ([]byte, []byte, []byte) {
			return must(multiply(own, x.request))(t), must(multiply(own, x.second))(t), x.public
		},
		"the first with his own, the second with the chip": func(x *probed) ([]byte, []byte, []byte) {
			return must(multiply(own, x.request))(t), x.f, x.public
		},
		"the first with the chip, the second with his own": func(x *probed) ([]byte, []byte, []byte) {
			return x.e, must(multiply(own, x.second))(t), x.public
		},
		"the second, moved by what the first is off": func(x *probed) ([]byte, []byte, []byte) {
			lie := must(multiply(own, x.request))(t)
			return lie, sumOf(t, sumOf(t, x.f, lie), negative(x.e)), x.public
		},
		"the first moved by a known point": func(x *probed) ([]byte, []byte, []byte) {
			return sumOf(t, x.e, x.public), sumOf(t, x.f, x.public), x.public
		},
		"both negated": func(x *probed) ([]byte, []byte, []byte) {
			return negative(x.e), negative(x.f), x.public
		},
		"the key negated": func(x *probed) ([]byte, []byte, []byte) { return x.e, x.f, negative(x.public) },
		"another chip's key": func(x *probed) ([]byte, []byte, []byte) {
			return x.e, x.f, multiple(t, own)
		},
		"one answer to both":  func(x *probed) ([]byte, []byte, []byte) { return x.e, x.e, x.public },
		"the answers swapped": func(x *probed) ([]byte, []byte, []byte) { return x.f, x.e, x.public },
		"what was asked":      func(x *probed) ([]byte, []byte, []byte) { return x.request, x.second, x.public },
	}
	for name, lie := range lies {
		x := newProbed(t)
		if err := x.probe.Check(lie(&x)); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProbeRefusesWhatIsNoPoint(t *testing.T) {
	bad := [][]byte{nil, {0}, make([]byte, elementSize), bytes.Repeat([]byte{0xff}, elementSize), make([]byte, UncompressedSize)}
	for _, b := range bad {
		if p, second, err := NewProbe(b); !errors.Is(err, ErrMessage) || p != nil || second != nil {
			t.Errorf("probe of %x: %v", b, err)
		}
		for i := range 3 {
			x := newProbed(t)
			args := [][]byte{x.e, x.f, x.public}
			args[i] = b
			if err := x.probe.Check(args[0], args[1], args[2]); !errors.Is(err, ErrMessage) {
				t.Errorf("argument %d is %x: %v", i, b, err)
			}
		}
	}
}

// TestProbeSaysNothing: two probes of one request have nothing in common, so that the
// server cannot tell the probe from another registration.
func TestProbeSaysNothing(t *testing.T) {
	request := multiple(t, newScalar())
	seen := map[string]bool{string(request): true}
	for range 20 {
		p, second, err := NewProbe(request)
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(second)] || CheckRegistrationRequest(second) != nil {
			t.Fatal("a probe was seen before, or is no request")
		}
		seen[string(second)] = true
		for _, s := range []string{fmt.Sprint(p), fmt.Sprintf("%+v %#v", *p, *p)} {
			if !bytes.Contains([]byte(s), []byte("[redacted]")) {
				t.Fatal("a probe shows itself")
			}
		}
	}
}

func FuzzProbe(f *testing.F) {
	f.Add([]byte{}, []byte{0}, make([]byte, elementSize))
	x := newProbed(f)
	f.Add(x.e, x.f, x.public)
	f.Add(x.f, x.e, negative(x.public))
	f.Fuzz(func(t *testing.T, first, second, public []byte) {
		x := newProbed(t)
		if err := x.probe.Check(first, second, public); err == nil {
			t.Fatal("answers from before the question passed")
		}
		if err := newProbed(t).probe.Check(x.e, second, public); err == nil {
			t.Fatal("answers to another question passed")
		}
	})
}
