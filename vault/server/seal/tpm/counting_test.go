package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"coffer/crypto/opaque"
	"coffer/vault/attest"
	"coffer/vault/server/seal"
	"coffer/vault/server/seal/tpm/tpmtest"
	"coffer/vault/server/store"
)

// counted is a world whose chip counts.
type counted struct {
	*world
	*Counting
}

func newCounted(t *testing.T, options Options) *counted {
	t.Helper()
	c := &counted{world: newWorld(t, options)}
	c.count()
	return c
}

func (c *counted) count() {
	c.t.Helper()
	counting, err := NewCounting(c.t.Context(), c.world.Epochs)
	must(c.t, err)
	c.Counting = counting
}

func (c *counted) reopen(options Options) {
	c.t.Helper()
	c.mustOpen(options)
	c.count()
}

// An owner has the key that arms.
type owner struct {
	key   *ecdsa.PrivateKey
	guard seal.Guard
}

func newOwner(t testing.TB, tries int) *owner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	o := &owner{key: key, guard: seal.Guard{Tries: tries}}
	copy(o.guard.Owner[:], elliptic.MarshalCompressed(elliptic.P256(), key.X, key.Y))
	return o
}

// sign answers a challenge, for guards that may not be his.
func (o *owner) sign(t testing.TB, challenge []byte, guard seal.Guard) (signature [64]byte, index []byte) {
	t.Helper()
	digest, index, err := attest.ArmDigest(challenge, attest.Guard(guard))
	must(t, err)
	r, s, err := ecdsa.Sign(rand.Reader, o.key, digest[:])
	must(t, err)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature, index
}

func (c *counted) newOPRF(id seal.ID, o *owner) []byte {
	c.t.Helper()
	ref, err := c.NewOPRF(c.t.Context(), id, o.guard)
	must(c.t, err)
	return ref
}

func (c *counted) arm(id seal.ID, ref []byte, o *owner) (index []byte) {
	c.t.Helper()
	session, challenge, err := c.Challenge(c.t.Context(), id, ref)
	must(c.t, err)
	if len(challenge) > seal.MaxChallenge {
		c.t.Fatalf("challenge of %d bytes", len(challenge))
	}
	signature, index := o.sign(c.t, challenge, o.guard)
	must(c.t, c.Arm(c.t.Context(), id, ref, session, signature))
	return index
}

func (c *counted) wantLeft(id seal.ID, ref []byte, want int) {
	c.t.Helper()
	got, err := c.Left(c.t.Context(), id, ref)
	if err != nil || got != want {
		c.t.Fatalf("%d tries left, %v, want %d", got, err, want)
	}
}

// generator is a point to evaluate at.
func generator() []byte {
	p := elliptic.P256().Params()
	return elliptic.MarshalCompressed(elliptic.P256(), p.Gx, p.Gy)
}

func (c *counted) evaluate(id seal.ID, ref []byte) ([]byte, error) {
	return c.Evaluate(c.t.Context(), id, ref, generator())
}

func TestChipCounts(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 3)
	ref := c.newOPRF(id(1), o)
	if len(ref) > seal.MaxReference || c.Class() != seal.ClassTPM {
		t.Errorf("reference of %d bytes, class %q", len(ref), c.Class())
	}
	c.wantLeft(id(1), ref, 0)
	_, err := c.evaluate(id(1), ref)
	wantErr(t, err, seal.ErrUnarmed)
	c.register(id(1), "record with the reference")

	for round := range 3 {
		c.arm(id(1), ref, o)
		var first []byte
		for left := 3; left > 0; left-- {
			c.wantLeft(id(1), ref, left)
			if round == 1 && left == 2 { // a crash or a power cut gives no try back
				c.tpm.Restart()
				wake(t, c.chip)
				c.reopen(Options{})
			}
			out, err := c.evaluate(id(1), ref)
			must(t, err)
			if first == nil {
				first = out
			}
			if !bytes.Equal(out, first) || len(out) != 33 {
				t.Errorf("%x, first %x", out, first)
			}
		}
		for range 2 {
			c.wantLeft(id(1), ref, 0)
			_, err = c.evaluate(id(1), ref)
			wantErr(t, err, seal.ErrUnarmed)
		}
	}
}

// wake has the chip's device opened again, when the TPM behind it was started anew: the
// first call says that it was lost.
func wake(t *testing.T, chip *Chip) {
	t.Helper()
	for range 3 {
		err := chip.do(t.Context(), "wake", func(k *call) error {
			_, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x80000000, PropertyCount: 1}.Execute(k)
			return err
		})
		if err == nil {
			return
		}
		wantErr(t, err, seal.ErrHardware)
	}
	t.Fatal("the device does not come back")
}

// The chip's answer is that of a key in memory: an OPAQUE server may use either.
func TestEvaluationIsAMultiplication(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 10)
	ref := c.newOPRF(id(1), o)
	c.arm(id(1), ref, o)
	one, err := opaque.NewEvaluator(opaque.NewOPRFKey())
	must(t, err)
	b, err := one.Evaluate(generator()) // rG
	must(t, err)
	kB, err := c.Evaluate(t.Context(), id(1), ref, b) // krG
	must(t, err)
	kG, err := c.evaluate(id(1), ref)
	must(t, err)
	want, err := one.Evaluate(kG) // rkG
	must(t, err)
	if !bytes.Equal(kB, want) {
		t.Errorf("%x, want %x", kB, want)
	}
	for _, bad := range [][]byte{nil, kB[:32], append([]byte{2}, bytes.Repeat([]byte{0xff}, 32)...), append([]byte{5}, kB[1:]...)} {
		if _, err := c.Evaluate(t.Context(), id(1), ref, bad); err == nil {
			t.Errorf("%x evaluated", bad)
		}
	}
	c.wantLeft(id(1), ref, 8)
}

// Sixty-four at once get exactly the tries that there are.
func TestExactlySoManyAnswers(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 10)
	ref := c.newOPRF(id(1), o)
	for range 3 {
		c.arm(id(1), ref, o)
		var answers atomic.Int32
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				switch _, err := c.evaluate(id(1), ref); {
				case err == nil:
					answers.Add(1)
				case !errors.Is(err, seal.ErrUnarmed):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := answers.Load(); got != 10 {
			t.Fatalf("%d answers, want 10", got)
		}
	}
}

// Who is root on the vault's computer, with the chip's passwords and a valid reference.
func TestRootCannotCountFromZero(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 2)
	ref := c.newOPRF(id(1), o)
	c.arm(id(1), ref, o)
	r, err := decodeReference(id(1), ref)
	must(t, err)
	evaluateAll(c, ref)

	attempt := func(what string, fn func(k *call) error) {
		t.Helper()
		if err := c.chip.do(t.Context(), what, fn); err == nil {
			t.Errorf("%s: done", what)
		}
		if _, err := c.evaluate(id(1), ref); err == nil {
			t.Errorf("%s: an evaluation more", what)
		}
	}
	command, err := attest.ArmCommand(r.index(true), r.guard)
	must(t, err)
	attempt("write by the owner of the chip", func(k *call) error {
		w := command
		w.AuthHandle = k.owner()
		_, err := w.Execute(k)
		return err
	})
	attempt("write by the index's own password", func(k *call) error {
		w := command
		w.AuthHandle = tpm2.AuthHandle{Handle: tpm2.TPMHandle(r.handle), Name: *w.NVIndex.KnownName(), Auth: tpm2.PasswordAuth(r.auth[:])}
		_, err := w.Execute(k)
		return err
	})
	attempt("use the key by its own empty password", func(k *call) error {
		return k.loadKey(r, func(key *object) error {
			point, err := attest.Point(generator())
			if err != nil {
				return err
			}
			_, err = tpm2.ECDHZGen{KeyHandle: key.auth(), InPoint: tpm2.New2B(point)}.Execute(k)
			return err
		})
	})
	attempt("use the key with a session that authorizes nothing", func(k *call) error {
		return k.loadKey(r, func(key *object) error {
			return k.session(func(s tpm2.Session) error {
				point, err := attest.Point(generator())
				if err != nil {
					return err
				}
				_, err = tpm2.ECDHZGen{KeyHandle: tpm2.AuthHandle{Handle: key.handle, Name: key.name, Auth: s}, InPoint: tpm2.New2B(point)}.Execute(k)
				return err
			})
		})
	})
	// Delete the index and define it again, byte for byte: it was never written then.
	must(t, c.chip.do(t.Context(), "define again", func(k *call) error {
		if err := k.undefine(r.handle); err != nil {
			return err
		}
		area, err := attest.IndexPublic(r.index(false), r.guard)
		if err != nil {
			return err
		}
		_, err = tpm2.NVDefineSpace{AuthHandle: k.owner(), Auth: tpm2.TPM2BAuth{Buffer: r.auth[:]}, PublicInfo: tpm2.New2B(area)}.Execute(k)
		return err
	}))
	_, err = c.evaluate(id(1), ref)
	wantErr(t, err, seal.ErrUnarmed)
	// An index that the owner of the chip may write, in the same place: another name.
	must(t, c.chip.do(t.Context(), "define another", func(k *call) error {
		if err := k.undefine(r.handle); err != nil {
			return err
		}
		area, err := attest.IndexPublic(r.index(false), r.guard)
		if err != nil {
			return err
		}
		area.Attributes.OwnerWrite = true
		_, err = tpm2.NVDefineSpace{AuthHandle: k.owner(), Auth: tpm2.TPM2BAuth{Buffer: r.auth[:]}, PublicInfo: tpm2.New2B(area)}.Execute(k)
		return err
	}))
	_, err = c.evaluate(id(1), ref)
	wantErr(t, err, seal.ErrReference)
}

// evaluateAll uses up all tries.
func evaluateAll(c *counted, ref []byte) {
	c.t.Helper()
	for {
		_, err := c.evaluate(id(1), ref)
		if errors.Is(err, seal.ErrUnarmed) {
			return
		}
		must(c.t, err)
	}
}

// Arming: one signature, one session, one time, this index, this owner, so many tries.
func TestArmingIsBound(t *testing.T) {
	now := time.Now()
	c := newCounted(t, Options{Now: func() time.Time { return now }})
	ctx := t.Context()
	o, other := newOwner(t, 2), newOwner(t, 2)
	ref := c.newOPRF(id(1), o)
	second := c.newOPRF(id(1), o) // the same owner's next generation

	begin := func(ref []byte) ([16]byte, []byte) {
		t.Helper()
		session, challenge, err := c.Challenge(ctx, id(1), ref)
		must(t, err)
		return session, challenge
	}
	session, challenge := begin(ref)
	signature, _ := o.sign(t, challenge, o.guard)
	must(t, c.Arm(ctx, id(1), ref, session, signature))
	wantErr(t, c.Arm(ctx, id(1), ref, session, signature), seal.ErrSession) // twice

	fresh, challenge := begin(ref)
	wantErr(t, c.Arm(ctx, id(1), ref, fresh, signature), seal.ErrSession) // yesterday's signature
	wantErr(t, c.Arm(ctx, id(1), ref, fresh, signature), seal.ErrSession) // a challenge is good for one try
	signature, _ = o.sign(t, challenge, o.guard)
	wantErr(t, c.Arm(ctx, id(1), ref, fresh, signature), seal.ErrSession)

	fresh, challenge = begin(ref)
	signature, _ = other.sign(t, challenge, o.guard)
	wantErr(t, c.Arm(ctx, id(1), ref, fresh, signature), seal.ErrSession) // somebody else's

	fresh, challenge = begin(ref)
	signature, _ = o.sign(t, challenge, seal.Guard{Tries: 100, Owner: o.guard.Owner})
	wantErr(t, c.Arm(ctx, id(1), ref, fresh, signature), seal.ErrSession) // more tries

	fresh, challenge = begin(ref)
	signature, _ = o.sign(t, challenge, o.guard)
	wantErr(t, c.Arm(ctx, id(1), second, fresh, signature), seal.ErrSession) // another index

	fresh, challenge = begin(ref)
	signature, _ = o.sign(t, challenge, o.guard)
	now = now.Add(challengeLife)
	wantErr(t, c.Arm(ctx, id(1), ref, fresh, signature), seal.ErrSession) // too late

	var unknown [16]byte
	wantErr(t, c.Arm(ctx, id(1), ref, unknown, signature), seal.ErrSession)
	fresh, _ = begin(ref)
	wantErr(t, c.Arm(ctx, id(1), ref, fresh, [64]byte{}), seal.ErrSession)

	// Between challenge and answer the index was armed: its name has changed since.
	fresh, challenge = begin(second)
	later, challenge2 := begin(second)
	signature, _ = o.sign(t, challenge2, o.guard)
	must(t, c.Arm(ctx, id(1), second, later, signature))
	signature, _ = o.sign(t, challenge, o.guard)
	wantErr(t, c.Arm(ctx, id(1), second, fresh, signature), seal.ErrSession)

	// After a power cut no session is left.
	fresh, challenge = begin(ref)
	signature, _ = o.sign(t, challenge, o.guard)
	c.tpm.Restart()
	wantErr(t, c.Arm(ctx, id(1), ref, fresh, signature), seal.ErrHardware) // the device is lost
	wantErr(t, c.Arm(ctx, id(1), ref, fresh, signature), seal.ErrSession)
	c.wantLeft(id(1), ref, 2)
	c.arm(id(1), ref, o)
}

// Who asks for challenges and never answers does not take the chip's sessions away.
func TestChallengesAreBounded(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 2)
	ref := c.newOPRF(id(1), o)
	for range 200 {
		_, _, err := c.Challenge(t.Context(), id(1), ref)
		must(t, err)
	}
	if len(c.challenges) > maxOfRecord {
		t.Errorf("%d challenges of one record", len(c.challenges))
	}
	for n := range maxChallenges + 2 {
		other := c.newOPRF(id(100+n), o)
		_, _, err := c.Challenge(t.Context(), id(100+n), other)
		must(t, err)
		must(t, c.DestroyOPRF(t.Context(), id(100+n), other))
	}
	if len(c.challenges) > maxChallenges {
		t.Errorf("%d challenges", len(c.challenges))
	}
	c.arm(id(1), ref, o)
	c.wantLeft(id(1), ref, 2)
}

// Nothing stays loaded in the chip, whatever fails.
func TestNothingStaysLoaded(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 1)
	ref := c.newOPRF(id(1), o)
	ctx := t.Context()
	for range 5 {
		_, _ = c.evaluate(id(1), ref)
		session, _, err := c.Challenge(ctx, id(1), ref)
		must(t, err)
		wantErr(t, c.Arm(ctx, id(1), ref, session, [64]byte{1}), seal.ErrSession)
		_, err = c.Evidence(ctx, id(1), ref, [32]byte{})
		wantErr(t, err, seal.ErrUnarmed)
	}
	c.arm(id(1), ref, o)
	for range 5 {
		_, err := c.Evidence(ctx, id(1), ref, [32]byte{})
		must(t, err)
	}
	must(t, c.chip.do(ctx, "look", func(k *call) error {
		for first, want := range map[uint32]int{0x80000000: 1, 0x02000000: 0, 0x03000000: 0} { // the storage root key
			r, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 64}.Execute(k)
			if err != nil {
				return err
			}
			h, err := r.CapabilityData.Data.Handles()
			if err != nil {
				return err
			}
			if len(h.Handle) != want {
				t.Errorf("%d loaded at %#x: %x", len(h.Handle), first, h.Handle)
			}
		}
		return nil
	}))
}

func TestDestroyOPRF(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 5)
	ctx := t.Context()
	ref := c.newOPRF(id(1), o)
	c.arm(id(1), ref, o)
	must(t, c.DestroyOPRF(ctx, id(1), ref))
	_, err := c.evaluate(id(1), ref)
	wantErr(t, err, seal.ErrReference)
	_, _, err = c.Challenge(ctx, id(1), ref)
	wantErr(t, err, seal.ErrReference)
	_, err = c.Left(ctx, id(1), ref)
	wantErr(t, err, seal.ErrReference)

	// The next one, of the same owner, gets the same handle: the old key stays destroyed,
	// and to destroy it again does not touch the new one.
	next := c.newOPRF(id(1), o)
	c.arm(id(1), next, o)
	a, err := decodeReference(id(1), ref)
	must(t, err)
	b, err := decodeReference(id(1), next)
	must(t, err)
	if a.handle != b.handle {
		t.Fatal("another handle: this test shows nothing")
	}
	_, err = c.evaluate(id(1), ref)
	wantErr(t, err, seal.ErrReference)
	must(t, c.DestroyOPRF(ctx, id(1), ref))
	// Not even with the new index's authorization, by who has it.
	forged := *b
	forged.private, forged.public = a.private, a.public
	if out, err := c.evaluate(id(1), forged.encode()); err == nil {
		t.Errorf("the destroyed key answered %x", out)
	}
	c.wantLeft(id(1), next, 4) // that was one of its tries
	must(t, c.DestroyOPRF(ctx, id(1), []byte("not a reference")))
}

func TestReferencesAreBound(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 5)
	ref := c.newOPRF(id(1), o)
	c.arm(id(1), ref, o)
	_, err := c.Evaluate(t.Context(), id(2), ref, generator())
	wantErr(t, err, seal.ErrReference)
	// Every cut; every changed byte is the affair of sealtest.
	for n := range ref {
		if _, err := decodeReference(id(1), ref[:n]); !errors.Is(err, seal.ErrReference) {
			t.Errorf("prefix of %d: %v", n, err)
		}
	}
	if _, err := decodeReference(id(1), append(bytes.Clone(ref), 0)); !errors.Is(err, seal.ErrReference) {
		t.Error(err)
	}
	c.wantLeft(id(1), ref, 5)
	// Another chip.
	chip := mustChip(t, tpmtest.Start(t).Device())
	w := &world{t: t, chip: chip, path: filepath.Join(t.TempDir(), "other.db")}
	w.mustOpen(Options{Create: true})
	elsewhere, err := NewCounting(t.Context(), w.Epochs)
	must(t, err)
	_, err = elsewhere.Evaluate(t.Context(), id(1), ref, generator())
	wantErr(t, err, seal.ErrReference)
}

// A crash after an index was defined, or before its record was written, leaves nothing.
func TestOrphansAreSwept(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 5)
	used := c.newOPRF(id(1), o)
	c.register(id(1), "the reference is in here")
	c.newOPRF(id(2), o)              // no record came
	c.newOPRF(id(1), o)              // the record was not written again
	gone := c.newOPRF(store.ID{}, o) // deleted by the owner of the chip
	unknown := &reference{record: id(3), guard: attest.Guard(o.guard)}
	must(t, c.chip.do(t.Context(), "make", func(k *call) error {
		if err := c.make(k, unknown); err != nil { // the epoch that notes it did not come
			return err
		}
		r, err := decodeReference(store.ID{}, gone)
		if err != nil {
			return err
		}
		return k.undefine(r.handle)
	}))
	if c.Indices() != 4 {
		t.Fatalf("%d indices", c.Indices())
	}
	for range 2 {
		c.reopen(Options{})
		if c.Indices() != 1 {
			t.Errorf("%d indices", c.Indices())
		}
		must(t, c.chip.do(t.Context(), "list", func(k *call) error {
			handles, err := k.indicesFrom(DefaultIndex, DefaultIndex+placeSize)
			if len(handles) != 2 {
				t.Errorf("%x in the chip, want the counter and one index", handles)
			}
			return err
		}))
	}
	c.arm(id(1), used, o)
	c.wantLeft(id(1), used, 5)
}

// A record that went on without a generation, and a crash before its key was destroyed: who
// can read the records says what is left.
func TestSweepByReferences(t *testing.T) {
	c := newCounted(t, Options{})
	ctx := t.Context()
	o := newOwner(t, 5)
	used, dropped := c.newOPRF(id(1), o), c.newOPRF(id(1), o)
	other := c.newOPRF(id(2), o)
	c.register(id(1), "the first reference")
	c.register(id(2), "the third")
	c.reopen(Options{})
	if c.Indices() != 3 {
		t.Fatalf("%d indices", c.Indices())
	}
	wantErr(t, c.Sweep(ctx, [][]byte{used, []byte("damaged"), other}), seal.ErrReference)
	wantErr(t, c.Sweep(ctx, [][]byte{used, used[:len(used)-1]}), seal.ErrReference)
	if c.Indices() != 3 {
		t.Fatalf("%d indices", c.Indices())
	}
	for range 2 {
		must(t, c.Sweep(ctx, [][]byte{used, other}))
		if c.Indices() != 2 {
			t.Errorf("%d indices", c.Indices())
		}
		_, err := c.Left(ctx, id(1), dropped)
		wantErr(t, err, seal.ErrReference)
		c.arm(id(1), used, o)
		c.arm(id(2), other, o)
		c.reopen(Options{})
	}
	must(t, c.Sweep(ctx, nil))
	if c.Indices() != 0 {
		t.Errorf("%d indices", c.Indices())
	}
}

func TestFullChip(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 1)
	for n := range 5000 {
		ref := &reference{record: id(n), guard: attest.Guard(o.guard)}
		// Without an epoch for each: the chip is what is to be filled.
		err := c.chip.do(t.Context(), "make", func(k *call) error {
			ref.handle = DefaultIndex + 1 + uint32(n)
			area, err := attest.IndexPublic(ref.index(false), ref.guard)
			if err != nil {
				return err
			}
			_, err = tpm2.NVDefineSpace{AuthHandle: k.owner(), PublicInfo: tpm2.New2B(area)}.Execute(k)
			return err
		})
		if err != nil {
			t.Logf("room for %d", n)
			break
		}
	}
	_, err := c.NewOPRF(t.Context(), id(9), o.guard)
	wantErr(t, err, ErrFull)
	wantErr(t, err, seal.ErrHardware)
	c.register(id(1), "and the store goes on")
	c.wantBody(id(1), "and the store goes on")
}

func TestGuardsAreChecked(t *testing.T) {
	c := newCounted(t, Options{})
	o := newOwner(t, 1)
	for _, guard := range []seal.Guard{{}, {Tries: 0, Owner: o.guard.Owner}, {Tries: 101, Owner: o.guard.Owner}, {Tries: 3}} {
		if _, err := c.NewOPRF(t.Context(), id(1), guard); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("%d tries: %v", guard.Tries, err)
		}
	}
}
