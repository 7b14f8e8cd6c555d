package vault_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/embedded"
	"coffer/vault/protocol"
)

// unfinished spends a try and never finishes it, as a client that loses its power.
func (w *world) unfinished(slot vault.Slot) {
	w.t.Helper()
	client := w.clientVia(&via{next: w.vault.Transport(), before: func(path string) error {
		if path == "/v1/attempts/finish" {
			return errors.New("no power")
		}
		return nil
	}})
	if _, _, err := client.Open(w.t.Context(), slot, secret(rightPassword)); err == nil {
		w.t.Fatal("an unfinished try has opened the record")
	}
}

func TestAnUnfinishedTryStaysCharged(t *testing.T) {
	w := newWorld(t, noWaits)
	slot := w.mustEnroll(crypto.NewRootKey(), rightPassword, nil)
	for i := range slot.Tries - 1 {
		w.unfinished(slot)
		w.clock.move(2 * protocol.AttemptLife)
		if s := w.mustStatus(slot); s.Left != slot.Tries-1-i {
			t.Fatalf("status %+v after %d", s, i+1)
		}
	}
}

func TestTheLastTryEndsAtItsDeadline(t *testing.T) {
	w := newWorld(t, embedded.Options{Tries: 1, Waits: noWaits.Waits})
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	w.unfinished(slot)
	if s := w.mustStatus(slot); s.State != vault.StateLastCall || s.Left != 0 || s.Until.IsZero() {
		t.Fatalf("status %+v", s)
	}
	_, _, err := w.client.Open(t.Context(), slot, secret(rightPassword))
	var e *vault.AttemptError
	if !errors.Is(err, vault.ErrLastTry) || !errors.As(err, &e) || e.Until.IsZero() {
		t.Fatalf("a try beside the last one: %v", err)
	}
	w.clock.move(protocol.AttemptLife - time.Millisecond)
	if s := w.mustStatus(slot); s.State != vault.StateLastCall {
		t.Fatalf("status %+v", s)
	}
	w.clock.move(time.Millisecond)
	if s := w.mustStatus(slot); s.State != vault.StateDestroyed {
		t.Fatalf("status %+v", s)
	}
}

func TestTheOwnerSavesARecordFromItsLastTry(t *testing.T) {
	w := newWorld(t, embedded.Options{Tries: 1, Waits: noWaits.Waits})
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	w.unfinished(slot)
	if err := w.client.Freeze(t.Context(), slot, root); err != nil {
		t.Fatal(err)
	}
	w.clock.move(time.Hour)
	if err := w.client.Unfreeze(t.Context(), slot, root); err != nil {
		t.Fatal(err)
	}
	w.mustOpen(slot, rightPassword, root)
}

// TestAnExpiredLastTryIsSettledWithoutARequest waits for the vault's own timer.
func TestAnExpiredLastTryIsSettledWithoutARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFaultWorldWith(t, 1, time.Now)
		slot, err := w.client.Enroll(t.Context(), crypto.NewRootKey(), secret(rightPassword), floor, nil, saveNothing)
		if err != nil {
			t.Fatal(err)
		}
		w.finishing = false
		w.client.Open(t.Context(), slot, secret(rightPassword))
		before, _, err := w.store.Fetch(t.Context(), slot.Record)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(protocol.AttemptLife + 2*time.Second)
		synctest.Wait()
		after, _, err := w.store.Fetch(t.Context(), slot.Record)
		if err != nil || bytes.Equal(before, after) {
			t.Fatalf("the record is as it was: %v", err)
		}
		w.finishing = true
		if s, err := w.client.Status(t.Context(), slot); err != nil || s.State != vault.StateDestroyed {
			t.Fatalf("status %+v, %v", s, err)
		}
	})
}

func TestARestartSettlesAnExpiredLastTry(t *testing.T) {
	w := newWorld(t, embedded.Options{Tries: 1, Waits: noWaits.Waits})
	slot := w.mustEnroll(crypto.NewRootKey(), rightPassword, nil)
	w.unfinished(slot)
	w.clock.move(protocol.AttemptLife)
	w.restart()
	if s := w.mustStatus(slot); s.State != vault.StateDestroyed {
		t.Fatalf("status %+v", s)
	}
}

// TestARecordedActCannotBePlayedBack sends the bytes of an act again: at once (its answer
// was lost) it is done already, and later it is refused.
func TestARecordedActCannotBePlayedBack(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	var freeze []byte
	const path = "/v1/records/freeze"
	spy := w.clientVia(&via{next: w.vault.Transport(), seen: func(p string, body []byte) {
		if p == path {
			freeze = body
		}
	}})
	if err := spy.Freeze(t.Context(), slot, root); err != nil {
		t.Fatal(err)
	}
	if resp := post(t, w.vault.Transport(), path, protocol.ContentType, freeze); resp.StatusCode != http.StatusOK {
		t.Fatalf("the same act again: status %d", resp.StatusCode)
	}
	if s := w.mustStatus(slot); s.Sequence != 1 {
		t.Fatalf("status %+v", s)
	}
	if err := w.client.Unfreeze(t.Context(), slot, root); err != nil {
		t.Fatal(err)
	}
	resp := post(t, w.vault.Transport(), path, protocol.ContentType, freeze)
	if err := protocol.ReadError(resp); !errors.Is(err, vault.ErrStale) {
		t.Fatalf("played back: %v", err)
	}
	w.mustOpen(slot, rightPassword, root)
}

// TestAFinishedTryIsOver finishes the same try twice.
func TestAFinishedTryIsOver(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	var finish []byte
	const path = "/v1/attempts/finish"
	spy := w.clientVia(&via{next: w.vault.Transport(), seen: func(p string, body []byte) {
		if p == path {
			finish = body
		}
	}})
	if _, _, err := spy.Open(t.Context(), slot, secret(rightPassword)); err != nil {
		t.Fatal(err)
	}
	resp := post(t, w.vault.Transport(), path, protocol.ContentType, finish)
	if err := protocol.ReadError(resp); !errors.Is(err, vault.ErrAttemptOver) {
		t.Fatalf("finished twice: %v", err)
	}
}
