package vault_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"coffer/crypto"
	"coffer/crypto/opaque"
	"coffer/vault"
	"coffer/vault/protocol"
	"coffer/vault/server/seal"
	"coffer/vault/server/seal/tpm"
	"coffer/vault/server/seal/tpm/tpmtest"
	"coffer/vault/server/store/bolt"
	"coffer/vault/trust"
)

// newTPMFront is a vault whose tries a TPM counts.
func newTPMFront(t *testing.T, tries int) *front {
	t.Helper()
	return newLyingFront(t, tries, nil)
}

func newLyingFront(t *testing.T, tries int, lying func(seal.Counter) seal.Sealer) *front {
	t.Helper()
	m := tpmtest.Start(t)
	chip, err := tpm.OpenChip(t.Context(), tpm.ChipConfig{Device: m.Device()})
	if err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(t.TempDir(), "counted.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	counting, err := tpm.OpenCounting(t.Context(), chip, db, tpm.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(counting.Close(), chip.Close()); err != nil {
			t.Error(err)
		}
	})
	attests, err := chip.AttestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return newFront(t, frontOptions{tries: tries, counting: counting, attests: attests, lying: lying})
}

func TestHardwareThatCountsIsArmedAndChecked(t *testing.T) {
	f := newTPMFront(t, 5)
	var warned error
	o := vault.RemoteOptions{Warn: func(err error) { warned = errors.Join(warned, err) }}
	c, root := f.mustDial(o), crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	if keys := root.Derive(); slot.Guard != keys.Guard(slot.Record, slot.Generation).Public() {
		t.Fatal("the slot names another guard")
	}
	left := func(want int) {
		t.Helper()
		report, err := c.CheckHardware(t.Context(), slot)
		if err != nil || report.Left != want {
			t.Fatalf("the chip allows %d evaluations, want %d: %v", report.Left, want, err)
		}
	}
	left(5)
	for i := range 3 {
		if _, _, err := c.Open(t.Context(), slot, secret(wrongPassword)); !errors.Is(err, vault.ErrWrongPassword) {
			t.Fatal(err)
		}
		left(4 - i)
	}
	if got, n, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil || !got.Equal(root) || n != 5 {
		t.Fatalf("open: %v, %d left", err, n)
	}
	left(5)
	if _, _, err := c.Open(t.Context(), slot, secret(wrongPassword)); !errors.Is(err, vault.ErrWrongPassword) {
		t.Fatal(err)
	}
	if err := c.Reset(t.Context(), slot, root); err != nil {
		t.Fatal(err)
	}
	left(5)
	slot = enroll(t, c, root, &slot)
	left(5)
	if warned != nil {
		t.Fatalf("warned: %v", warned)
	}
	// The vault does not arm: the password is right all the same.
	f.set(func(x *exchange) {
		if x.kind == protocol.KindArm {
			x.cut()
			return
		}
		x.reply(x.deliver())
	})
	if got, _, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil || !got.Equal(root) || warned == nil {
		t.Fatalf("open without arming: %v, warned: %v", err, warned)
	}
	f.set(nil)
	left(4)
}

// TestNoPasswordForHardwareThatProvesNothing: no KE1 leaves without evidence.
func TestNoPasswordForHardwareThatProvesNothing(t *testing.T) {
	f := newTPMFront(t, 5)
	c, root := f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	_, before, _ := f.counted()
	refuse := func(name string, c *vault.Client, slot vault.Slot) {
		t.Helper()
		if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); !errors.Is(err, vault.ErrEvidence) {
			t.Errorf("%s: open: %v", name, err)
		}
	}
	// Evidence from before, for another nonce.
	var old []byte
	f.set(func(x *exchange) {
		inside, o, err := f.open(x.envelope)
		if err != nil || x.kind != protocol.KindEvidence {
			x.reply(x.deliver())
			return
		}
		if old == nil {
			old, _ = f.core.Answer(t.Context(), o.binding, inside)
		}
		x.reply(sealReply(o.key, protocol.PadReply(old, nil)))
	})
	if _, err := c.CheckHardware(t.Context(), slot); err != nil {
		t.Fatal(err)
	}
	refuse("old evidence", c, slot)
	reply := protocol.EvidenceReply{Prefix: protocol.KindEvidence.Reply()}
	old = protocol.EncodeVariable(&reply, nil, 0)
	refuse("no evidence", c, slot)
	old = old[:len(old)-1]
	refuse("half an answer", c, slot)
	f.set(nil)
	stranger := crypto.NewRootKey().Derive()
	foreign, none, more := slot, slot, slot
	foreign.Guard, none.Guard, more.Tries = stranger.Guard(slot.Record, slot.Generation).Public(), [33]byte{}, 100
	refuse("a slot with another guard", c, foreign)
	refuse("a slot without a guard", c, none)
	refuse("a slot with another limit", c, more)
	if _, after, _ := f.counted(); after != before {
		t.Fatalf("%d tries were charged", after-before)
	}
	// Another TPM, says the bundle.
	other := newTPMFront(t, 5)
	f.publish(func(b *trust.Bundle) { b.Sequence++; b.AttestationKey = other.bundle.AttestationKey })
	refuse("another chip", f.mustDial(vault.RemoteOptions{}), slot)
	if _, err := f.mustDial(vault.RemoteOptions{}).Enroll(t.Context(), crypto.NewRootKey(), secret(rightPassword), floor, nil, saveNothing); !errors.Is(err, vault.ErrEvidence) {
		t.Errorf("enroll at another chip: %v", err)
	}
}

// TestASpentChipAnswersNothing: a chip that was never armed again is told before a try.
// TestNoPasswordForAVaultThatHasLostItsHardware: the key that the chip made cannot be where
// the chip is not.
func TestNoPasswordForAVaultThatHasLostItsHardware(t *testing.T) {
	f := newFront(t, frontOptions{})
	c, root := f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	slot.Guard = [33]byte{2, 7}
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); !errors.Is(err, vault.ErrEvidence) {
		t.Errorf("open: %v", err)
	}
	if status, err := c.Status(t.Context(), slot); err != nil || status.Serial != 1 {
		t.Errorf("status: %+v, %v", status, err)
	}
}

func TestASpentChipAnswersNothing(t *testing.T) {
	f := newTPMFront(t, 3)
	c, root := f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	for range 2 {
		if _, _, err := c.Open(t.Context(), slot, secret(wrongPassword)); !errors.Is(err, vault.ErrWrongPassword) {
			t.Fatal(err)
		}
	}
	if _, _, err := c.Open(t.Context(), slot, secret(wrongPassword)); !errors.Is(err, vault.ErrDestroyed) {
		t.Fatalf("the last wrong try: %v", err)
	}
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); err == nil {
		t.Fatal("opened what was destroyed")
	}
}

// A keyLiar shows the chip's evidence and has the chip count, and answers with a key of its own:
// root on the vault's computer could, and would guess at that key without end.
type keyLiar struct {
	seal.Counter
	own   opaque.Evaluator
	times int // how many evaluations are lies
	lies  int
}

func (l *keyLiar) Evaluate(ctx context.Context, id seal.ID, key, blinded []byte) ([]byte, error) {
	truth, err := l.Counter.Evaluate(ctx, id, key, blinded)
	if err != nil || l.lies == l.times {
		return truth, err
	}
	l.lies++
	return l.own.Evaluate(blinded)
}

// TestNoRegistrationUnderAnotherKeyThanTheChips: nothing is committed, so that there is
// nothing to guess at.
func TestNoRegistrationUnderAnotherKeyThanTheChips(t *testing.T) {
	own, err := opaque.NewEvaluator(opaque.NewOPRFKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, times := range []int{1, 1000} {
		f := newLyingFront(t, 5, func(c seal.Counter) seal.Sealer { return &keyLiar{Counter: c, own: own, times: times} })
		committed := false
		f.set(func(x *exchange) {
			committed = committed || x.kind == protocol.KindCommit
			x.reply(x.deliver())
		})
		c := f.mustDial(vault.RemoteOptions{})
		_, err := c.Enroll(t.Context(), crypto.NewRootKey(), secret(rightPassword), floor, nil, saveNothing)
		if !errors.Is(err, vault.ErrEvidence) || committed {
			t.Errorf("%d lies: enroll: %v, committed: %v", times, err, committed)
		}
	}
}

// TestHardwareOfFewTries: what registering itself takes is given back before.
func TestHardwareOfFewTries(t *testing.T) {
	for _, tries := range []int{1, 2, 3} {
		f := newTPMFront(t, tries)
		c, root := f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey()
		slot := enroll(t, c, root, nil)
		if report, err := c.CheckHardware(t.Context(), slot); err != nil || report.Left != tries {
			t.Fatalf("%d tries: %d are left: %v", tries, report.Left, err)
		}
		if got, _, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil || !got.Equal(root) {
			t.Fatalf("%d tries: open: %v", tries, err)
		}
	}
}

// A decoy shows the challenge of another index than that which was asked about, and arms that.
type decoy struct {
	seal.Counter
	mu   sync.Mutex
	id   seal.ID // whose index is shown; zero: the truth
	keys map[seal.ID][]byte
}

func (d *decoy) of(id seal.ID, key []byte) (seal.ID, []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[id] = bytes.Clone(key)
	if d.id == (seal.ID{}) {
		return id, key
	}
	return d.id, d.keys[d.id]
}

func (d *decoy) Challenge(ctx context.Context, id seal.ID, key []byte) ([16]byte, []byte, error) {
	id, key = d.of(id, key)
	return d.Counter.Challenge(ctx, id, key)
}

func (d *decoy) Arm(ctx context.Context, id seal.ID, key []byte, session [16]byte, signature [64]byte) error {
	id, key = d.of(id, key)
	return d.Counter.Arm(ctx, id, key, session, signature)
}

// TestNoTriesForAnotherIndex: what the owner signs after a right password, or a reset, gives no
// tries to another record of his, or to a password that was replaced.
func TestNoTriesForAnotherIndex(t *testing.T) {
	d := &decoy{keys: map[seal.ID][]byte{}}
	f := newLyingFront(t, 5, func(c seal.Counter) seal.Sealer { d.Counter = c; return d })
	var warned error
	c := f.mustDial(vault.RemoteOptions{Warn: func(err error) { warned = errors.Join(warned, err) }})
	root := crypto.NewRootKey()
	one, two := enroll(t, c, root, nil), enroll(t, c, root, nil)
	for range 2 {
		if _, _, err := c.Open(t.Context(), two, secret(wrongPassword)); !errors.Is(err, vault.ErrWrongPassword) {
			t.Fatal(err)
		}
	}
	d.mu.Lock()
	d.id = two.Record
	d.mu.Unlock()
	if got, _, err := c.Open(t.Context(), one, secret(rightPassword)); err != nil || !got.Equal(root) {
		t.Fatal(err)
	}
	if !errors.Is(warned, vault.ErrEvidence) {
		t.Errorf("warned: %v", warned)
	}
	if err := c.Reset(t.Context(), one, root); !errors.Is(err, vault.ErrEvidence) {
		t.Errorf("reset: %v", err)
	}
	if report, err := c.CheckHardware(t.Context(), two); err != nil || report.Left != 3 {
		t.Errorf("the other index allows %d evaluations, want 3: %v", report.Left, err)
	}
}
