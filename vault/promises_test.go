package vault_test

import (
	"errors"
	"testing"
	"time"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/embedded"
)

func TestTheRightPasswordOpensWhatWasEnrolled(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	w.mustOpen(slot, rightPassword, root)
	w.restart()
	w.mustOpen(slot, rightPassword, root)
}

func TestAfterTenWrongTriesTheKeyIsDestroyed(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	for i := range slot.Tries - 1 {
		e := w.guess(slot)
		if want := slot.Tries - 1 - i; !errors.Is(e, vault.ErrWrongPassword) || e.Left != want {
			t.Fatalf("wrong try %d: %v, %d left, want %d", i+1, e, e.Left, want)
		}
	}
	if e := w.guess(slot); !errors.Is(e, vault.ErrDestroyed) || e.Left != 0 {
		t.Fatalf("last wrong try: %v, want destroyed", e)
	}
	for range 2 {
		if _, _, err := w.client.Open(t.Context(), slot, secret(rightPassword)); !errors.Is(err, vault.ErrDestroyed) {
			t.Fatalf("right password after the last try: %v, want destroyed", err)
		}
		w.restart()
	}
	if s := w.mustStatus(slot); s.State != vault.StateDestroyed || s.Left != 0 {
		t.Fatalf("status: %+v", s)
	}
}

func TestARightTryResetsTheCount(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	for range 10 {
		for range slot.Tries - 1 {
			if e := w.guess(slot); !errors.Is(e, vault.ErrWrongPassword) {
				t.Fatalf("wrong try: %v", e)
			}
		}
		w.mustOpen(slot, rightPassword, root) // on the last try
	}
}

func TestWaitsRefuseWithoutCharge(t *testing.T) {
	w := newWorld(t, embedded.Options{})
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	waits := []time.Duration{0, 0, 0, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 8 * time.Hour, 24 * time.Hour}
	for i, wait := range waits {
		if e := w.guess(slot); !errors.Is(e, vault.ErrWrongPassword) || e.Left != 9-i {
			t.Fatalf("wrong try %d: %v", i+1, e)
		}
		if wait == 0 {
			continue
		}
		w.clock.move(wait - time.Second)
		for range 3 {
			e := w.guess(slot)
			if !errors.Is(e, vault.ErrWait) || e.Left != 9-i || e.Until.IsZero() || time.Until(e.Until) > time.Second {
				t.Fatalf("too early after try %d: %v, left %d, until %v", i+1, e, e.Left, e.Until)
			}
		}
		if s := w.mustStatus(slot); s.Left != 9-i || s.Until.IsZero() {
			t.Fatalf("status while waiting: %+v", s)
		}
		w.clock.move(time.Second)
	}
	w.mustOpen(slot, rightPassword, root)
	w.mustOpen(slot, rightPassword, root) // and nobody waits after a right one
}
