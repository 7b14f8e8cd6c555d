package vault_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/embedded"
)

func TestTheOwnerFreezesResetsAndDestroys(t *testing.T) {
	w := newWorld(t, noWaits)
	root, ctx := crypto.NewRootKey(), t.Context()
	slot := w.mustEnroll(root, rightPassword, nil)
	for range 5 {
		w.guess(slot)
	}
	if err := w.client.Freeze(ctx, slot, root); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.client.Open(ctx, slot, secret(rightPassword)); !errors.Is(err, vault.ErrFrozen) {
		t.Fatalf("open a frozen record: %v", err)
	}
	if err := w.client.Unfreeze(ctx, slot, root); err != nil {
		t.Fatal(err)
	}
	w.guess(slot)
	if err := w.client.Reset(ctx, slot, root); err != nil {
		t.Fatal(err)
	}
	if s := w.mustStatus(slot); s.Left != slot.Tries || s.Sequence != 3 {
		t.Fatalf("status %+v", s)
	}
	w.mustOpen(slot, rightPassword, root)
	receipt, err := w.client.Destroy(ctx, slot, root)
	if err != nil || !receipt.Verify(slot.ReceiptKey) || receipt.At.UnixMilli() != w.clock.now().UnixMilli() {
		t.Fatalf("receipt %+v, %v", receipt, err)
	}
	again, err := w.client.Destroy(ctx, slot, root)
	if err != nil || again != receipt {
		t.Fatalf("receipt of what is destroyed: %+v, %v", again, err)
	}
	receipt.Record[0] ^= 1
	if receipt.Verify(slot.ReceiptKey) {
		t.Fatal("a receipt of another record verifies")
	}
	if err := w.client.Reset(ctx, slot, root); !errors.Is(err, vault.ErrDestroyed) {
		t.Fatalf("reset after destroy: %v", err)
	}
}

func TestAThiefOfTheCloudFilesMayOnlyTry(t *testing.T) {
	w := newWorld(t, noWaits)
	slot := w.mustEnroll(crypto.NewRootKey(), rightPassword, nil)
	thief, ctx := crypto.NewRootKey(), t.Context()
	_, destroyed := w.client.Destroy(ctx, slot, thief)
	_, logged := w.client.Log(ctx, slot, thief.Derive().Owner())
	for name, err := range map[string]error{
		"reset": w.client.Reset(ctx, slot, thief), "freeze": w.client.Freeze(ctx, slot, thief),
		"unfreeze": w.client.Unfreeze(ctx, slot, thief), "destroy": destroyed, "log": logged,
	} {
		if !errors.Is(err, vault.ErrUnknownRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoCloudFilesNoTry(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	stranger, absent, ahead := slot, slot, slot
	stranger.CloudShare[0] ^= 1
	absent.Record[0] ^= 1
	ahead.Generation++
	var said []string
	for name, s := range map[string]vault.Slot{"wrong capability": stranger, "no such record": absent, "no such generation": ahead} {
		e := w.guess(s)
		if !errors.Is(e, vault.ErrUnknownRecord) || e.Left != -1 || !e.Until.IsZero() {
			t.Errorf("%s: %+v", name, e)
		}
		_, err := w.client.Status(t.Context(), s)
		said = append(said, err.Error())
	}
	if slices.Sort(said); said[0] != said[2] {
		t.Errorf("they can be told apart: %q", said)
	}
	if s := w.mustStatus(slot); s.Left != slot.Tries {
		t.Fatalf("a stranger has moved the count: %+v", s)
	}
}

func TestTheLogTellsTheOwner(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	w.guess(slot)
	w.mustOpen(slot, rightPassword, root)
	events, err := w.client.Log(t.Context(), slot, root.Derive().Owner())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []vault.EventKind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
		if e.Kind == vault.EventTry && e.Device != "ann's laptop" {
			t.Errorf("a try from %q", e.Device)
		}
		if !e.At.Equal(w.clock.now()) {
			t.Errorf("at %v", e.At)
		}
	}
	want := []vault.EventKind{
		vault.EventCommitted, vault.EventTry, vault.EventRight, vault.EventReplaced,
		vault.EventTry, vault.EventWrong, vault.EventTry, vault.EventRight,
	}
	if !slices.Equal(kinds, want) {
		t.Fatalf("log %v, want %v", kinds, want)
	}
	for range 60 {
		w.mustOpen(slot, rightPassword, root)
	}
	if events, err = w.client.Log(t.Context(), slot, root.Derive().Owner()); err != nil || len(events) != 48 {
		t.Fatalf("%d events, %v", len(events), err)
	}
}

func TestAnotherVaultGetsNotOneByte(t *testing.T) {
	w, other := newWorld(t, noWaits), newWorld(t, noWaits)
	slot := w.mustEnroll(crypto.NewRootKey(), rightPassword, nil)
	posted := 0
	client := w.clientVia(&via{next: other.vault.Transport(), seen: func(string, []byte) { posted++ }})
	_, _, err := client.Open(t.Context(), slot, secret(rightPassword))
	_, statusErr := client.Status(t.Context(), slot)
	_, enrollErr := client.Enroll(t.Context(), crypto.NewRootKey(), secret("x"), floor, nil, saveNothing)
	_, _, slotErr := other.client.Open(t.Context(), slot, secret(rightPassword))
	for _, err := range []error{err, statusErr, enrollErr, slotErr} {
		if !errors.Is(err, vault.ErrIdentity) {
			t.Errorf("another vault: %v", err)
		}
	}
	if posted != 0 {
		t.Fatalf("%d messages were sent", posted)
	}
}

func TestOfflineUsesNoTry(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	down := &net.OpError{Op: "dial", Err: errors.New("no route")}
	for _, from := range []string{"/v1/info", "/v1/attempts"} {
		client := w.clientVia(&via{next: w.vault.Transport(), before: func(path string) error {
			if path == from {
				return down
			}
			return nil
		}})
		if _, _, err := client.Open(t.Context(), slot, secret(rightPassword)); !errors.Is(err, vault.ErrOffline) || errors.Is(err, vault.ErrUnknownOutcome) {
			t.Errorf("offline at %s: %v", from, err)
		}
	}
	if s := w.mustStatus(slot); s.Left != slot.Tries {
		t.Fatalf("status %+v", s)
	}
}

func TestALostAnswerIsASpentTry(t *testing.T) {
	w := newWorld(t, noWaits)
	slot := w.mustEnroll(crypto.NewRootKey(), rightPassword, nil)
	client := w.clientVia(&via{next: w.vault.Transport(), lose: func(path string) bool { return path == "/v1/attempts" }})
	_, _, err := client.Open(t.Context(), slot, secret(rightPassword))
	var e *vault.AttemptError
	if !errors.Is(err, vault.ErrUnknownOutcome) || !errors.As(err, &e) || e.Left != -1 {
		t.Fatalf("lost answer: %v", err)
	}
	if s := w.mustStatus(slot); s.Left != slot.Tries-1 {
		t.Fatalf("status %+v", s)
	}
}

func TestACancelledTryEnds(t *testing.T) {
	w := newWorld(t, noWaits)
	slot := w.mustEnroll(crypto.NewRootKey(), rightPassword, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.client.Open(ctx, slot, secret(rightPassword)); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
}

func TestConcurrentGuessersReceiveExactlyNAnswers(t *testing.T) {
	const guessers = 64
	rounds := 5
	if testing.Short() {
		rounds = 1
	}
	w := newWorld(t, embedded.Options{Waits: noWaits.Waits, Tries: 7})
	for range rounds {
		slot := w.mustEnroll(crypto.NewRootKey(), rightPassword, nil)
		var mu sync.Mutex
		answers := 0
		client := w.clientVia(roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := w.vault.Transport().RoundTrip(r)
			if err == nil && r.URL.Path == "/v1/attempts" && resp.StatusCode == http.StatusOK {
				mu.Lock()
				answers++
				mu.Unlock()
			}
			return resp, err
		}))
		var wg sync.WaitGroup
		for range guessers {
			wg.Go(func() {
				_, _, err := client.Open(t.Context(), slot, secret(wrongPassword))
				if !errors.Is(err, vault.ErrWrongPassword) && !errors.Is(err, vault.ErrLastTry) && !errors.Is(err, vault.ErrDestroyed) {
					t.Errorf("a guesser got %v", err)
				}
			})
		}
		wg.Wait()
		if answers != slot.Tries {
			t.Fatalf("%d answers to %d tries", answers, slot.Tries)
		}
		if s := w.mustStatus(slot); s.State != vault.StateDestroyed {
			t.Fatalf("status %+v", s)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
