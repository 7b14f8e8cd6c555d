package vault_test

import (
	"errors"
	"testing"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/trust"
)

// TestAStoreThatWasPutBackIsNoticed: what the client has seen does not fall.
func TestAStoreThatWasPutBackIsNoticed(t *testing.T) {
	f := newFront(t, frontOptions{})
	var seen vault.Seen
	keep := func(s vault.Seen) error { seen = s; return nil }
	c := f.mustDial(vault.RemoteOptions{KeepSeen: keep})
	root := crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	yesterday := f.copyRow(slot.Record)
	for range 3 {
		if _, _, err := c.Open(t.Context(), slot, secret(wrongPassword)); !errors.Is(err, vault.ErrWrongPassword) {
			t.Fatal(err)
		}
	}
	if seen.Serial != 4 || seen.Record != slot.Record || seen.Generation != 1 {
		t.Fatalf("seen: %+v", seen)
	}
	f.putRow(slot.Record, yesterday)
	for name, c := range map[string]*vault.Client{
		"this run": c, "the next run": f.mustDial(vault.RemoteOptions{Seen: seen, KeepSeen: keep}),
	} {
		_, before, _ := f.counted()
		if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); !errors.Is(err, vault.ErrVaultRolledBack) {
			t.Errorf("%s: open: %v", name, err)
		}
		if _, err := c.Status(t.Context(), slot); !errors.Is(err, vault.ErrVaultRolledBack) {
			t.Errorf("%s: status: %v", name, err)
		}
		if _, err := c.Enroll(t.Context(), root, secret("another"), floor, &slot, saveNothing); !errors.Is(err, vault.ErrVaultRolledBack) {
			t.Errorf("%s: password change: %v", name, err)
		}
		if _, after, _ := f.counted(); after != before {
			t.Errorf("%s: %d tries went to a vault that lies", name, after-before)
		}
	}
	// The operator owns up to it: the root has signed that the store was restored.
	f.publish(func(b *trust.Bundle) { b.Sequence++; b.Incarnation++ })
	c = f.mustDial(vault.RemoteOptions{Seen: seen, KeepSeen: keep})
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil {
		t.Fatalf("open after the restore was signed: %v", err)
	}
	if seen.Incarnation != 1 || seen.Serial != 2 {
		t.Fatalf("seen after the restore: %+v", seen)
	}
	// Whoever has seen that takes no bundle from before.
	old := f.bundle
	old.Incarnation, old.Sequence = 0, 99
	f.mu.Lock()
	f.signed = f.sign(old)
	f.mu.Unlock()
	if _, err := f.dial(vault.RemoteOptions{Seen: seen}); !errors.Is(err, vault.ErrVaultRolledBack) {
		t.Fatalf("dial: %v", err)
	}
}

// TestTheOwnerDestroysWhatWasPutBack: an alarm must not keep him from it.
func TestTheOwnerDestroysWhatWasPutBack(t *testing.T) {
	f := newFront(t, frontOptions{})
	c, root := f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	yesterday := f.copyRow(slot.Record)
	if _, _, err := c.Open(t.Context(), slot, secret(wrongPassword)); !errors.Is(err, vault.ErrWrongPassword) {
		t.Fatal(err)
	}
	f.putRow(slot.Record, yesterday)
	if _, err := c.Destroy(t.Context(), slot, root); err != nil {
		t.Fatalf("destroy: %v", err)
	}
}

// TestWhatCannotBeKeptIsNotTried: otherwise a store that is put back would go unnoticed.
func TestWhatCannotBeKeptIsNotTried(t *testing.T) {
	f := newFront(t, frontOptions{})
	slot := enroll(t, f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey(), nil)
	_, before, _ := f.counted()
	full := errors.New("disk full")
	c := f.mustDial(vault.RemoteOptions{KeepSeen: func(vault.Seen) error { return full }})
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); !errors.Is(err, full) {
		t.Fatalf("open: %v", err)
	}
	if _, after, _ := f.counted(); after != before {
		t.Fatal("a try was charged")
	}
	// After the answer it is too late to stop: the try goes on, and the failure is told.
	var heard error
	c = f.mustDial(vault.RemoteOptions{
		KeepSeen: func(s vault.Seen) error {
			if s.Serial > uint64(before) {
				return full
			}
			return nil
		},
		Warn: func(err error) { heard = err },
	})
	if _, _, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil || !errors.Is(heard, full) {
		t.Fatalf("open: %v, heard: %v", err, heard)
	}
}

func TestAnAnchorGrowsAndIsMerged(t *testing.T) {
	f := newFront(t, frontOptions{})
	var seen vault.Seen
	c, root := f.mustDial(vault.RemoteOptions{KeepSeen: func(s vault.Seen) error { seen = s; return nil }}), crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	keys := root.Derive()
	if a, version, err := c.Anchor(t.Context(), slot, keys); err != nil || a != nil || version != 0 {
		t.Fatalf("no anchor: %q, %d, %v", a, version, err)
	}
	add := func(s string) func([]byte) ([]byte, error) {
		return func(old []byte) ([]byte, error) { return append(old, s...), nil }
	}
	if err := c.PutAnchor(t.Context(), slot, keys, add("laptop 5;")); err != nil {
		t.Fatal(err)
	}
	yesterday := f.copyRow(slot.Record)
	other := f.mustDial(vault.RemoteOptions{})
	raced := false
	err := c.PutAnchor(t.Context(), slot, keys, func(old []byte) ([]byte, error) {
		if !raced { // another device is faster
			raced = true
			if err := other.PutAnchor(t.Context(), slot, keys, add("tower 2;")); err != nil {
				t.Fatal(err)
			}
		}
		return append(old, "laptop 6;"...), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if a, version, err := other.Anchor(t.Context(), slot, keys); err != nil || string(a) != "laptop 5;tower 2;laptop 6;" || version != 3 {
		t.Fatalf("anchor: %q, %d, %v", a, version, err)
	}
	before, _, _ := f.counted()
	if err := c.PutAnchor(t.Context(), slot, keys, add("")); err != nil {
		t.Fatal(err)
	}
	if after, _, _ := f.counted(); after != before+1 {
		t.Fatalf("%d envelopes for an anchor that does not change", after-before)
	}
	if err := c.PutAnchor(t.Context(), slot, keys, func([]byte) ([]byte, error) { return make([]byte, vault.MaxAnchor+1), nil }); !errors.Is(err, vault.ErrTooLarge) {
		t.Fatalf("an anchor that is too long: %v", err)
	}
	if err := c.PutAnchor(t.Context(), slot, keys, func([]byte) ([]byte, error) { return make([]byte, vault.MaxAnchor), nil }); err != nil {
		t.Fatalf("the longest anchor: %v", err)
	}
	if _, _, err := c.Anchor(t.Context(), slot, crypto.NewRootKey().Derive()); !errors.Is(err, vault.ErrUnknownRecord) {
		t.Fatalf("another owner reads the anchor: %v", err)
	}
	f.putRow(slot.Record, yesterday)
	c = f.mustDial(vault.RemoteOptions{Seen: seen})
	if _, _, err := c.Anchor(t.Context(), slot, keys); !errors.Is(err, vault.ErrVaultRolledBack) || seen.Anchor != 4 {
		t.Fatalf("yesterday's anchor: %v; seen %+v", err, seen)
	}
}
