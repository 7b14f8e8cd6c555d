package crypto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"unicode/utf8"

	"coffer/crypto/aead"
)

// cheap is below the floor: only unexported functions take it.
var cheap = KDFCost{MemoryKiB: 64, Time: 1, Threads: 1}

// lowest is the least that exported functions take.
var lowest = KDFCost{MemoryKiB: 64 << 10, Time: 1, Threads: 4}

func text(s string) Secret { return NewSecret([]byte(s)) }

func TestNormalizePassword(t *testing.T) {
	for _, c := range []struct {
		in, want string
		err      error
	}{
		{"correct horse", "correct horse", nil},
		{" leading and trailing ", " leading and trailing ", nil},
		{"Straße", "Straße", nil},
		{"A\u030angstro\u0308m", "\u00c5ngstr\u00f6m", nil}, // NFC
		{"\u212bngstrom", "\u00c5ngstrom", nil},             // the sign of the unit
		{"no\u00a0break\u3000space", "no break space", nil}, // every space is U+0020
		{"\uff21\uff11", "\uff21\uff11", nil},               // widths stay: RFC 8265, 4.2.2
		{"π\u00df\u0939\U0001f40e", "π\u00df\u0939\U0001f40e", nil},
		{"", "", ErrEmptyPassword},
		{"tab\t", "", ErrPasswordCharacters},
		{"line\n", "", ErrPasswordCharacters},
		{"nul\x00", "", ErrPasswordCharacters},
		{"zero\u200bwidth", "", ErrPasswordCharacters},
		{"unassigned \U000e0fff", "", ErrPasswordCharacters},
		{"not utf-8 \xff", "", ErrPasswordCharacters},
		{"half a letter \xc3", "", ErrPasswordCharacters},
		{"a surrogate \xed\xa0\x80", "", ErrPasswordCharacters},
	} {
		got, err := NormalizePassword(text(c.in))
		if !errors.Is(err, c.err) || string(exposed(got)) != c.want {
			t.Errorf("%q: %q, %v; want %q, %v", c.in, exposed(got), err, c.want, c.err)
		}
	}
	if _, err := NormalizePassword(Secret{}); !errors.Is(err, ErrEmptyPassword) {
		t.Errorf("no password: %v", err)
	}
}

func TestNormalizedPasswordIsACopy(t *testing.T) {
	for _, s := range []string{"plain", "A\u030a"} {
		in := text(s)
		out, err := NormalizePassword(in)
		if err != nil {
			t.Fatal(err)
		}
		want := exposed(out)
		if string(exposed(in)) != s {
			t.Error("the argument was changed")
		}
		in.Wipe()
		if !bytes.Equal(exposed(out), want) {
			t.Error("wiping the argument wiped the result")
		}
	}
}

func FuzzNormalizePassword(f *testing.F) {
	for _, s := range []string{"correct horse", "A\u030a", "\u3000", "\xff", "", "\u1100\u1161\u11a8"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := NormalizePassword(text(s))
		if err != nil {
			if !once.IsZero() {
				t.Fatal("an error, and a password")
			}
			return
		}
		if !utf8.ValidString(s) || once.IsZero() {
			t.Fatal("a password of nothing")
		}
		twice, err := NormalizePassword(once)
		if err != nil || !twice.Equal(once) {
			t.Fatalf("normal is not normal: %q, %q, %v", exposed(once), exposed(twice), err)
		}
	})
}

func mustSlot(t testing.TB, root RootKey, passphrase string) PassphraseSlot {
	t.Helper()
	slot, err := wrapSlot(root, text(passphrase), cheap, [32]byte(aead.Random(32)))
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

func TestPassphraseSlot(t *testing.T) {
	root := NewRootKey()
	id := root.Derive().Repository()
	slot, err := NewPassphraseSlot(root, text("Caf\u00e9 au lait"), lowest)
	if err != nil {
		t.Fatal(err)
	}
	// The same passphrase as another keyboard sends it.
	if got, err := slot.Open(text("Cafe\u0301 au lait"), id); err != nil || !got.Equal(root) {
		t.Errorf("right passphrase: %v", err)
	}
	if _, err := slot.Open(text("Caf\u00e9 au Lait"), id); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
}

// The default is what the documents say, and works.
func TestPassphraseSlotDefault(t *testing.T) {
	if testing.Short() {
		t.Skip("256 MiB, twice")
	}
	root := NewRootKey()
	slot, err := NewPassphraseSlot(root, text("passphrase"), KDFCost{})
	if err != nil {
		t.Fatal(err)
	}
	if slot.MemoryKiB != 256<<10 || slot.Time != 3 || slot.Threads != 4 {
		t.Errorf("default cost: %+v", slot.cost())
	}
	if got, err := slot.Open(text("passphrase"), root.Derive().Repository()); err != nil || !got.Equal(root) {
		t.Errorf("%v", err)
	}
}

func TestKDFCostBounds(t *testing.T) {
	root := NewRootKey()
	for _, c := range []struct {
		cost KDFCost
		want error
	}{
		{KDFCost{MemoryKiB: 64<<10 - 1, Time: 1, Threads: 1}, ErrWeakKDF},
		{KDFCost{MemoryKiB: 256 << 10, Time: 0, Threads: 4}, ErrWeakKDF},
		{KDFCost{MemoryKiB: 256 << 10, Time: 3, Threads: 0}, ErrWeakKDF},
		{KDFCost{MemoryKiB: 0, Time: 3, Threads: 4}, ErrWeakKDF},
		{KDFCost{MemoryKiB: 1<<20 + 1, Time: 3, Threads: 4}, ErrCostlyKDF},
		{KDFCost{MemoryKiB: 1<<32 - 1, Time: 1<<32 - 1, Threads: 255}, ErrCostlyKDF},
		{KDFCost{MemoryKiB: 256 << 10, Time: 17, Threads: 4}, ErrCostlyKDF},
		{KDFCost{MemoryKiB: 256 << 10, Time: 3, Threads: 17}, ErrCostlyKDF},
		{KDFCost{MemoryKiB: 1, Time: 1<<32 - 1, Threads: 255}, ErrWeakKDF},
	} {
		if _, err := NewPassphraseSlot(root, text("p"), c.cost); !errors.Is(err, c.want) {
			t.Errorf("NewPassphraseSlot %+v: %v, want %v", c.cost, err, c.want)
		}
		slot := mustSlot(t, root, "p")
		slot.MemoryKiB, slot.Time, slot.Threads = c.cost.MemoryKiB, c.cost.Time, c.cost.Threads
		if _, err := slot.Open(text("p"), RepositoryID{}); !errors.Is(err, c.want) {
			t.Errorf("Open %+v: %v, want %v", c.cost, err, c.want)
		}
		check := newPracticeCheck(root, text("p"), cheap, aead.Random(practiceSaltSize))
		copy(check, c.cost.bytes())
		if _, err := PracticePassword(root, check, text("p")); !errors.Is(err, c.want) {
			t.Errorf("PracticePassword %+v: %v, want %v", c.cost, err, c.want)
		}
		if NewPracticeCheck(root, text("p"), c.cost) != nil {
			t.Errorf("NewPracticeCheck %+v: a check", c.cost)
		}
	}
	for _, cost := range []KDFCost{{64 << 10, 1, 1}, {1 << 20, 16, 16}, DefaultKDFCost()} {
		if err := cost.check(); err != nil {
			t.Errorf("%+v: %v", cost, err)
		}
	}
	// A slot that says nothing does not get the default: it was never made so.
	if _, err := (PassphraseSlot{}).Open(text("p"), RepositoryID{}); !errors.Is(err, ErrWeakKDF) {
		t.Errorf("empty slot: %v", err)
	}
}

func TestPassphraseSlotChanged(t *testing.T) {
	root := NewRootKey()
	id := root.Derive().Repository()
	good := mustSlot(t, root, "passphrase")
	if got, err := good.unwrap(text("passphrase"), id); err != nil || !got.Equal(root) {
		t.Fatal(err)
	}
	refused := func(what string, s PassphraseSlot, id RepositoryID, want error) {
		t.Helper()
		if got, err := s.unwrap(text("passphrase"), id); !errors.Is(err, want) || !got.IsZero() {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	with := func(edit func(*PassphraseSlot)) PassphraseSlot {
		s := good
		s.Wrapped = bytes.Clone(good.Wrapped)
		edit(&s)
		return s
	}
	refused("memory", with(func(s *PassphraseSlot) { s.MemoryKiB++ }), id, ErrWrongPassphrase)
	refused("time", with(func(s *PassphraseSlot) { s.Time++ }), id, ErrWrongPassphrase)
	refused("threads", with(func(s *PassphraseSlot) { s.Threads++ }), id, ErrWrongPassphrase)
	for i := range good.Salt {
		refused("salt", with(func(s *PassphraseSlot) { s.Salt[i] ^= 1 }), id, ErrWrongPassphrase)
	}
	for i := range good.Wrapped {
		refused("wrapped key", with(func(s *PassphraseSlot) { s.Wrapped[i] ^= 1 }), id, ErrWrongPassphrase)
		refused("wrapped key, cut", with(func(s *PassphraseSlot) { s.Wrapped = s.Wrapped[:i] }), id, ErrDamaged)
	}
	refused("wrapped key, longer", with(func(s *PassphraseSlot) { s.Wrapped = append(s.Wrapped, 0) }), id, ErrDamaged)
	refused("other repository", good, NewRootKey().Derive().Repository(), ErrWrongPassphrase)
}

// Who knows the passphrase and may write at the destination puts in a key of his own,
// under our repository's name, to read what is backed up from then on.
func TestPlantedRootKey(t *testing.T) {
	id := NewRootKey().Derive().Repository()
	theirs := NewRootKey()
	slot := mustSlot(t, theirs, "passphrase")
	key := slot.cost().stretch(text("passphrase"), slot.Salt[:])
	slot.Wrapped = aead.Seal(key, slot.ad(id), exposed(theirs))
	if _, err := slot.unwrap(text("passphrase"), id); !errors.Is(err, ErrOtherRepository) {
		t.Errorf("%v, want ErrOtherRepository", err)
	}
}

func TestPassphraseRefused(t *testing.T) {
	root := NewRootKey()
	slot := mustSlot(t, root, "p")
	slot.MemoryKiB = lowest.MemoryKiB
	for s, want := range map[string]error{"": ErrEmptyPassword, "\x00": ErrPasswordCharacters} {
		if _, err := NewPassphraseSlot(root, text(s), lowest); !errors.Is(err, want) {
			t.Errorf("NewPassphraseSlot(%q): %v", s, err)
		}
		if _, err := slot.Open(text(s), RepositoryID{}); !errors.Is(err, want) {
			t.Errorf("Open(%q): %v", s, err)
		}
	}
}

func TestPracticePassword(t *testing.T) {
	root := NewRootKey()
	check := NewPracticeCheck(root, text("Caf\u00e9"), lowest)
	for s, want := range map[string]bool{"Caf\u00e9": true, "Cafe\u0301": true, "cafe": false, "": false, "\x00": false} {
		if got, err := PracticePassword(root, check, text(s)); got != want || err != nil {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	if NewPracticeCheck(root, text(""), lowest) != nil || NewPracticeCheck(root, text("\n"), lowest) != nil {
		t.Error("a check of no password")
	}
}

func TestPracticeCheckChanged(t *testing.T) {
	root := NewRootKey()
	good := newPracticeCheck(root, text("password"), cheap, aead.Random(practiceSaltSize))
	if ok, err := practice(root, good, text("password")); !ok || err != nil {
		t.Fatal(ok, err)
	}
	refused := func(what string, root RootKey, check []byte) {
		t.Helper()
		if ok, err := practice(root, check, text("password")); ok || !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, %v", what, ok, err)
		}
	}
	for i := range good {
		changed := bytes.Clone(good)
		changed[i] ^= 1
		refused("changed byte", root, changed)
		refused("cut", root, good[:i])
	}
	refused("longer", root, append(bytes.Clone(good), 0))
	refused("other root key", NewRootKey(), good)
	for i := range good {
		if _, err := PracticePassword(root, good[:i], text("password")); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d: %v", i, err)
		}
	}
	// The verifier itself is nowhere in the open.
	if bytes.Contains(good, cheap.stretch(text("password"), good[kdfCostBytes:kdfCostBytes+32])) {
		t.Error("the check holds its verifier unsealed")
	}
}

func TestWrapRoot(t *testing.T) {
	root := NewRootKey()
	export, release, share := NewSecret(aead.Random(32)), NewSecret(aead.Random(32)), NewSecret(aead.Random(32))
	record := []byte("record")
	wrapped := WrapRoot(root, export, release, share, record, 7)
	if got, err := UnwrapRoot(wrapped, export, release, share, record, 7); err != nil || !got.Equal(root) {
		t.Fatal(err)
	}
	other := NewSecret(aead.Random(32))
	for what, open := range map[string]func() (RootKey, error){
		"export key":     func() (RootKey, error) { return UnwrapRoot(wrapped, other, release, share, record, 7) },
		"release secret": func() (RootKey, error) { return UnwrapRoot(wrapped, export, other, share, record, 7) },
		"cloud share":    func() (RootKey, error) { return UnwrapRoot(wrapped, export, release, other, record, 7) },
		"swapped":        func() (RootKey, error) { return UnwrapRoot(wrapped, release, export, share, record, 7) },
		"record":         func() (RootKey, error) { return UnwrapRoot(wrapped, export, release, share, []byte("Record"), 7) },
		"no record":      func() (RootKey, error) { return UnwrapRoot(wrapped, export, release, share, nil, 7) },
		"generation":     func() (RootKey, error) { return UnwrapRoot(wrapped, export, release, share, record, 8) },
	} {
		if got, err := open(); !errors.Is(err, ErrWrongKey) || !got.IsZero() {
			t.Errorf("other %s: %v", what, err)
		}
	}
	for i := range wrapped {
		changed := bytes.Clone(wrapped)
		changed[i] ^= 1
		if _, err := UnwrapRoot(changed, export, release, share, record, 7); !errors.Is(err, ErrWrongKey) {
			t.Errorf("byte %d: %v", i, err)
		}
		if _, err := UnwrapRoot(wrapped[:i], export, release, share, record, 7); !errors.Is(err, ErrWrongKey) {
			t.Errorf("cut to %d: %v", i, err)
		}
	}
	for _, n := range []int{0, 31, 33} {
		bad := NewSecret(make([]byte, n))
		if _, err := UnwrapRoot(wrapped, export, bad, share, record, 7); !errors.Is(err, ErrKeySize) {
			t.Errorf("%d bytes: %v", n, err)
		}
		mustPanic(t, "WrapRoot with a secret of a wrong size", func() { WrapRoot(root, export, bad, share, record, 7) })
	}
}

// Whatever box the vault returns, it is opened or refused, and what opens is a root key.
func FuzzUnwrapRoot(f *testing.F) {
	root := mustRoot(f, make([]byte, KeySize))
	s := NewSecret(bytes.Repeat([]byte{1}, 32))
	f.Add(WrapRoot(root, s, s, s, []byte("record"), 1), []byte("record"), uint64(1))
	f.Add([]byte{}, []byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, wrapped, record []byte, generation uint64) {
		got, err := UnwrapRoot(wrapped, s, s, s, record, generation)
		if err == nil && !got.Equal(root) || err != nil && !errors.Is(err, ErrWrongKey) {
			t.Fatalf("%v", err)
		}
	})
}

func FuzzPassphraseSlot(f *testing.F) {
	root := mustRoot(f, make([]byte, KeySize))
	good := mustSlot(f, root, "p")
	f.Add(good.cost().bytes(), good.Salt[:], good.Wrapped)
	f.Add([]byte{}, []byte{}, []byte{})
	id := root.Derive().Repository()
	f.Fuzz(func(t *testing.T, cost, salt, wrapped []byte) {
		s := PassphraseSlot{Wrapped: wrapped}
		if len(cost) == kdfCostBytes {
			s.MemoryKiB, s.Time, s.Threads = binary.BigEndian.Uint32(cost), binary.BigEndian.Uint32(cost[4:]), cost[8]
		}
		copy(s.Salt[:], salt)
		if s.cost().check() == nil || s.MemoryKiB > 1<<10 || s.Time > 4 || s.Time < 1 || s.Threads < 1 {
			return // Argon2id in earnest is not what is fuzzed here
		}
		got, err := s.unwrap(text("p"), id)
		if err == nil && !got.Equal(root) {
			t.Fatal("another key came out")
		}
	})
}
