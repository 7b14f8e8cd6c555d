package crypto

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"

	"coffer/crypto/aead"
)

var kinds = []Kind{KindPack, KindIndex, KindSnapshot, KindHead}

func TestSealAndOpen(t *testing.T) {
	keys := NewRootKey().Derive()
	for _, kind := range kinds {
		sealer := keys.NewSealer(kind)
		header := sealer.Header()
		if got, id, err := HeaderInfo(header[:]); got != kind || id != keys.Repository() || err != nil {
			t.Errorf("HeaderInfo: %v, %v, %v", got, id, err)
		}
		stored := bytes.Clone(header[:])
		plaintexts := [][]byte{nil, []byte("a"), aead.Random(100_000)}
		var ends []int
		for i, p := range plaintexts {
			stored = sealer.Seal(stored, p, Frame{7, uint64(i)}, []byte("extra"))
			ends = append(ends, len(stored))
		}
		opener, err := keys.NewOpener(kind, stored[:HeaderSize])
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []*Opener{opener, sealer.Opener()} {
			at := HeaderSize
			for i, p := range plaintexts {
				if ends[i]-at != len(p)+FrameOverhead {
					t.Errorf("frame of %d bytes sealed to %d", len(p), ends[i]-at)
				}
				got, err := o.Open([]byte("before"), stored[at:ends[i]], Frame{7, uint64(i)}, []byte("extra"))
				if err != nil || !bytes.Equal(got, append([]byte("before"), p...)) {
					t.Errorf("frame %d: %v", i, err)
				}
				at = ends[i]
			}
		}
	}
}

func TestFramesAreBound(t *testing.T) {
	keys := NewRootKey().Derive()
	sealer := keys.NewSealer(KindPack)
	frame, extra := Frame{1, 2}, []byte("extra")
	sealed := sealer.Seal(nil, []byte("plaintext"), frame, extra)
	opener := sealer.Opener()
	refused := func(what string, o *Opener, b []byte, f Frame, extra []byte) {
		t.Helper()
		if got, err := o.Open(nil, b, f, extra); !errors.Is(err, ErrDamaged) || got != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	refused("other number", opener, sealed, Frame{1, 3}, extra)
	refused("other type", opener, sealed, Frame{2, 2}, extra)
	refused("type and number swapped", opener, sealed, Frame{2, 1}, extra)
	refused("other extra", opener, sealed, frame, []byte("Extra"))
	refused("longer extra", opener, sealed, frame, []byte("extra\x00"))
	refused("no extra", opener, sealed, frame, nil)
	refused("other object", keys.NewSealer(KindPack).Opener(), sealed, frame, extra)
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1 << (i % 8)
		refused("changed byte", opener, changed, frame, extra)
		refused("prefix", opener, sealed[:i], frame, extra)
		refused("suffix", opener, sealed[i+1:], frame, extra)
	}
	refused("one byte more", opener, append(bytes.Clone(sealed), 0), frame, extra)
	if got, err := opener.Open(nil, sealed, frame, extra); err != nil || string(got) != "plaintext" {
		t.Errorf("unchanged: %q, %v", got, err)
	}
}

// A header that is the same but for one byte outside of the key derivation: the frames
// notice, because the header is bound to each of them.
func TestHeaderIsBoundToFrames(t *testing.T) {
	sealer := NewRootKey().Derive().NewSealer(KindPack)
	sealed := sealer.Seal(nil, []byte("plaintext"), Frame{}, nil)
	for i := range HeaderSize {
		opener := &Opener{header: sealer.Header(), gcm: sealer.opener.gcm}
		opener.header[i] ^= 1
		if _, err := opener.Open(nil, sealed, Frame{}, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

func TestInPlace(t *testing.T) {
	sealer := NewRootKey().Derive().NewSealer(KindPack)
	plaintext := []byte("plaintext in place")
	buffer := append(make([]byte, 0, 100), plaintext...)
	sealed := sealer.Seal(buffer[:0], buffer, Frame{}, nil)
	if &sealed[0] != &buffer[0] {
		t.Fatal("not in place")
	}
	got, err := sealer.Opener().Open(sealed[:0], sealed, Frame{}, nil)
	if err != nil || !bytes.Equal(got, plaintext) || &got[0] != &buffer[0] {
		t.Errorf("%q, %v", got, err)
	}
}

// AES-GCM with a nonce used twice gives away both plaintexts: the program must stop.
func TestFrameUsedTwicePanics(t *testing.T) {
	sealer := NewRootKey().Derive().NewSealer(KindPack)
	seal := func(f Frame) func() { return func() { sealer.Seal(nil, []byte("x"), f, nil) } }
	seal(Frame{1, 0})()
	seal(Frame{1, 5})()
	seal(Frame{2, 5})() // the same number in another type is another nonce
	mustPanic(t, "same number", seal(Frame{1, 5}))
	mustPanic(t, "lower number", seal(Frame{1, 4}))
	mustPanic(t, "first number again", seal(Frame{1, 0}))
	seal(Frame{1, 6})()
	seal(Frame{1, 1<<64 - 1})()
	mustPanic(t, "after the last number", seal(Frame{1, 0}))
	mustPanic(t, "unknown kind", func() { NewRootKey().Derive().NewSealer('x') })
}

func TestNoncesDiffer(t *testing.T) {
	seen := map[[12]byte]Frame{}
	for _, f := range []Frame{{0, 0}, {0, 1}, {1, 0}, {0, 1 << 32}, {1 << 31, 0}, {1<<32 - 1, 1<<64 - 1}, {0, 1 << 63}} {
		if other, used := seen[f.nonce()]; used {
			t.Errorf("%v and %v have one nonce", f, other)
		}
		seen[f.nonce()] = f
	}
}

func TestOpenerIsConcurrent(t *testing.T) {
	sealer := NewRootKey().Derive().NewSealer(KindPack)
	var sealed [16][]byte
	for i := range sealed {
		sealed[i] = sealer.Seal(nil, []byte{byte(i)}, Frame{0, uint64(i)}, []byte{byte(i)})
	}
	opener := sealer.Opener()
	var wait sync.WaitGroup
	for i, s := range sealed {
		wait.Go(func() {
			for range 100 {
				got, err := opener.Open(nil, s, Frame{0, uint64(i)}, []byte{byte(i)})
				if err != nil || !bytes.Equal(got, []byte{byte(i)}) {
					t.Errorf("frame %d: %x, %v", i, got, err)
				}
			}
		})
	}
	wait.Wait()
}

// Each byte of a header changed in each bit: which error it is says what the user is told.
func TestHeaderChanged(t *testing.T) {
	keys := NewRootKey().Derive()
	sealer := keys.NewSealer(KindPack)
	good := sealer.Header()
	for i := range HeaderSize {
		for bit := range 8 {
			header := good
			header[i] ^= 1 << bit
			var want error
			switch {
			case i < versionAt:
				want = ErrNotCoffer
			case i < kindAt: // 1 with a bit more, or 0
				want = ErrNewerFormat
				if header[i] == 0 {
					want = ErrNotCoffer
				}
			case i == kindAt:
				want = ErrNotCoffer
				if Kind(header[i]).known() {
					want = ErrWrongKind
				}
			case i < repositoryAt:
				want = ErrNotCoffer
			case i < headerSaltAt:
				want = ErrOtherRepository
			default:
				want = ErrCommitment
			}
			if _, err := keys.NewOpener(KindPack, header[:]); !errors.Is(err, want) {
				t.Errorf("byte %d, bit %d: %v, want %v", i, bit, err, want)
			}
		}
	}
	for n := range HeaderSize {
		if _, err := keys.NewOpener(KindPack, good[:n]); !errors.Is(err, ErrNotCoffer) {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
	if _, err := keys.NewOpener(KindPack, append(good[:], 0)); !errors.Is(err, ErrNotCoffer) {
		t.Errorf("one byte more: %v", err)
	}
}

// An object of one kind relabelled as another does not pass, whatever is asked for.
func TestKindsAreApart(t *testing.T) {
	keys := NewRootKey().Derive()
	for _, from := range kinds {
		for _, to := range kinds {
			if from == to {
				continue
			}
			header := keys.NewSealer(from).Header()
			if _, err := keys.NewOpener(to, header[:]); !errors.Is(err, ErrWrongKind) {
				t.Errorf("%v asked for as %v: %v", from, to, err)
			}
			header[kindAt] = byte(to)
			if _, err := keys.NewOpener(to, header[:]); !errors.Is(err, ErrCommitment) {
				t.Errorf("%v relabelled %v: %v", from, to, err)
			}
		}
		if strings.Contains(from.String(), "unknown") {
			t.Errorf("kind %q has no name", byte(from))
		}
	}
	if Kind('x').String() != "unknown kind" {
		t.Error("an unknown kind has a name")
	}
}

// The data key does not open heads, nor the head key data: a device may hold one of them.
func TestHeadsHaveAKeyOfTheirOwn(t *testing.T) {
	keys := NewRootKey().Derive()
	salt := make([]byte, 32)
	swapped := &Keys{repository: keys.repository, data: keys.head, head: keys.data}
	for _, kind := range kinds {
		header := keys.newSealer(kind, salt).Header()
		if _, err := swapped.NewOpener(kind, header[:]); !errors.Is(err, ErrCommitment) {
			t.Errorf("%v: %v", kind, err)
		}
	}
}

// Another repository's object is told apart from a damaged one; relabelled as ours, it
// does not commit to our key.
func TestOtherRepository(t *testing.T) {
	ours, theirs := NewRootKey().Derive(), NewRootKey().Derive()
	header := theirs.NewSealer(KindHead).Header()
	if _, err := ours.NewOpener(KindHead, header[:]); !errors.Is(err, ErrOtherRepository) {
		t.Errorf("%v", err)
	}
	id := ours.Repository()
	copy(header[repositoryAt:], id[:])
	if _, err := ours.NewOpener(KindHead, header[:]); !errors.Is(err, ErrCommitment) {
		t.Errorf("relabelled: %v", err)
	}
}

func TestNewSealersDiffer(t *testing.T) {
	keys := NewRootKey().Derive()
	one, two := keys.NewSealer(KindPack), keys.NewSealer(KindPack)
	if one.Header() == two.Header() {
		t.Error("two objects have one salt")
	}
}

func TestObjectName(t *testing.T) {
	// SHA-256 of "abc": FIPS 180-2, appendix B.1.
	want := "pack-ba7816bf8f01cfea414140de5dae2223b00361a3"
	if got := ObjectName("pack", []byte("abc")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzHeader(f *testing.F) {
	keys := mustRoot(f, make([]byte, KeySize)).Derive()
	for _, kind := range kinds {
		header := keys.NewSealer(kind).Header()
		f.Add(header[:])
		f.Add(header[:kindAt])
		header[versionAt]++
		f.Add(header[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, id, err := HeaderInfo(b)
		if err != nil {
			if !errors.Is(err, ErrNotCoffer) && !errors.Is(err, ErrNewerFormat) {
				t.Fatal(err)
			}
			if _, err := keys.NewOpener(KindPack, b); err == nil {
				t.Fatal("opened what is no header")
			}
			return
		}
		// What is taken has one encoding: write it again from what was read.
		again := (&Keys{repository: id, data: keys.data, head: keys.head}).newSealer(kind, b[headerSaltAt:commitmentAt]).Header()
		if !bytes.Equal(again[:commitmentAt], b[:commitmentAt]) {
			t.Fatal("a header of two encodings")
		}
		_, err = keys.NewOpener(kind, b)
		if genuine := id == keys.repository && bytes.Equal(again[:], b); genuine != (err == nil) {
			t.Fatalf("genuine: %v, opener: %v", genuine, err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	sealer := mustRoot(f, make([]byte, KeySize)).Derive().newSealer(KindPack, make([]byte, 32))
	sealed := sealer.Seal(nil, []byte("plaintext"), Frame{1, 2}, []byte("extra"))
	f.Add(sealed, uint32(1), uint64(2), []byte("extra"))
	f.Add(sealed[:16], uint32(1), uint64(2), []byte{})
	f.Add([]byte{}, uint32(0), uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, b []byte, typ uint32, number uint64, extra []byte) {
		got, err := sealer.Opener().Open(nil, b, Frame{typ, number}, extra)
		genuine := bytes.Equal(b, sealed) && typ == 1 && number == 2 && string(extra) == "extra"
		if genuine != (err == nil) || err != nil && (got != nil || !errors.Is(err, ErrDamaged)) {
			t.Fatalf("genuine: %v, %q, %v", genuine, got, err)
		}
	})
}
