package vault_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"coffer/crypto"
	"coffer/vault"
)

// A via is a transport that looks at what goes through it and may lose it.
type via struct {
	next   http.RoundTripper
	seen   func(path string, body []byte)
	lose   func(path string) bool  // the answer is lost: the vault has done it
	before func(path string) error // the request never leaves
}

func (v *via) RoundTrip(r *http.Request) (*http.Response, error) {
	if v.before != nil {
		if err := v.before(r.URL.Path); err != nil {
			return nil, err
		}
	}
	if r.Body != nil && v.seen != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		v.seen(r.URL.Path, body)
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(&replay{body})
	}
	resp, err := v.next.RoundTrip(r)
	if err == nil && v.lose != nil && v.lose(r.URL.Path) {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return nil, errors.New("the answer was lost")
	}
	return resp, err
}

type replay struct{ b []byte }

func (r *replay) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// TestALyingVaultGetsNoExtraTries loses the answers to every step of a registration, 20
// times: one generation is on the wire, and the tries in total are those of one record.
func TestALyingVaultGetsNoExtraTries(t *testing.T) {
	for _, lost := range []string{"/v1/records/begin", "/v1/records/commit", "/v1/attempts/expose", "/v1/attempts/finish"} {
		t.Run(lost[len("/v1/"):], func(t *testing.T) {
			w := newWorld(t, noWaits)
			root := crypto.NewRootKey()
			generations, capabilities := map[[24]byte]bool{}, map[[32]byte]bool{}
			liar := &via{next: w.vault.Transport(), lose: func(path string) bool { return path == lost }}
			liar.seen = func(path string, body []byte) {
				generations[[24]byte(body[4:28])] = true // record and generation
				if path == "/v1/records/begin" {
					capabilities[[32]byte(body[92:124])] = true
				}
			}
			client := w.clientVia(liar)
			var pending vault.Pending
			_, err := client.Enroll(t.Context(), root, secret(rightPassword), floor, nil, func(p vault.Pending) error { pending = p; return nil })
			if !errors.Is(err, vault.ErrUnknownOutcome) {
				t.Fatalf("enroll: %v", err)
			}
			for range 20 {
				if _, err = client.Resume(t.Context(), pending, root, secret(rightPassword)); err == nil {
					break
				}
			}
			if len(generations) != 1 || len(capabilities) != 1 {
				t.Fatalf("%d generations and %d capabilities on the wire, want 1 and 1", len(generations), len(capabilities))
			}
			w.clock.move(61 * time.Second) // a last try that was not finished has expired
			if w.mustStatusOrNone(pending.Slot).State == vault.StateDestroyed {
				return // every answer was lost: the tries ran out, and nothing was answered beyond them
			}
			liar.lose = nil
			slot, err := client.Resume(t.Context(), pending, root, secret(rightPassword))
			if err != nil {
				t.Fatalf("resume: %v", err)
			}
			w.mustOpen(slot, rightPassword, root)
		})
	}
}

func (w *world) mustStatusOrNone(slot vault.Slot) vault.Status {
	w.t.Helper()
	s, err := w.client.Status(w.t.Context(), slot)
	if err != nil && !errors.Is(err, vault.ErrUnknownRecord) {
		w.t.Fatalf("status: %v", err)
	}
	return s
}

func TestAPasswordChangeCarriesTheCountOver(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	old := w.mustEnroll(root, rightPassword, nil)
	for range 6 {
		w.guess(old)
	}
	var committed vault.Pending
	stop := errors.New("the power goes")
	_, err := w.client.Enroll(t.Context(), root, secret("a new password"), floor, &old, func(p vault.Pending) error {
		if committed = p; p.Committed {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Fatalf("enroll: %v", err)
	}
	next := committed.Slot
	if next.Record != old.Record || next.Generation != old.Generation+1 || next.CloudShare == old.CloudShare {
		t.Fatalf("next slot %+v of old %+v", next, old)
	}
	// Tries at both generations are one budget.
	if e := w.guess(next); e.Left != 3 {
		t.Fatalf("a try at the new generation: %v", e)
	}
	if e := w.guess(old); e.Left != 2 {
		t.Fatalf("a try at the old generation: %v", e)
	}
	w.mustOpen(old, rightPassword, root) // still opens
	slot, err := w.client.Resume(t.Context(), committed, root, secret("a new password"))
	if err != nil {
		t.Fatalf("resume: %v", err)
	}
	if _, err := w.client.Resume(t.Context(), committed, root, secret("a new password")); err != nil {
		t.Fatalf("resume again: %v", err)
	}
	w.mustOpen(slot, "a new password", root)
	if _, _, err := w.client.Open(t.Context(), old, secret(rightPassword)); !errors.Is(err, vault.ErrUnknownRecord) {
		t.Fatalf("the old generation: %v", err)
	}
}

func TestANewSlotFoundAfterACrashExposesItself(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	old := w.mustEnroll(root, rightPassword, nil)
	var p vault.Pending
	_, err := w.client.Enroll(t.Context(), root, secret("a new password"), floor, &old, func(q vault.Pending) error {
		if p = q; q.Committed {
			return io.ErrUnexpectedEOF
		}
		return nil
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	w.mustOpen(p.Slot, "a new password", root) // another device, with the head that was uploaded
	if s := w.mustStatus(p.Slot); s.Generation != 2 || s.Pending != 0 {
		t.Fatalf("status %+v", s)
	}
}

func TestAForgottenPasswordIsReplacedOnTheLastTry(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	for range 9 {
		w.guess(slot)
	}
	slot = w.mustEnroll(root, "a new password", &slot)
	w.mustOpen(slot, "a new password", root)
}

func TestOnlyTheOwnerReplacesThePassword(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	_, err := w.client.Enroll(t.Context(), crypto.NewRootKey(), secret("the thief's"), floor, &slot, saveNothing)
	if !errors.Is(err, vault.ErrUnknownRecord) {
		t.Fatalf("enroll with another root key: %v", err)
	}
	w.mustOpen(slot, rightPassword, root)
}

func TestNothingIsSentBeforeItIsSaved(t *testing.T) {
	w := newWorld(t, noWaits)
	posted := 0
	client := w.clientVia(&via{next: w.vault.Transport(), seen: func(string, []byte) { posted++ }})
	full := errors.New("disk full")
	_, err := client.Enroll(t.Context(), crypto.NewRootKey(), secret(rightPassword), floor, nil, func(vault.Pending) error { return full })
	if !errors.Is(err, full) || posted != 0 {
		t.Fatalf("%v, %d messages", err, posted)
	}
}

func TestWeakAndCostlyParametersAreRefused(t *testing.T) {
	w := newWorld(t, noWaits)
	root := crypto.NewRootKey()
	slot := w.mustEnroll(root, rightPassword, nil)
	posted := 0
	client := w.clientVia(&via{next: w.vault.Transport(), seen: func(string, []byte) { posted++ }})
	for _, cost := range []crypto.KDFCost{
		{MemoryKiB: 8, Time: 3, Threads: 4},
		{MemoryKiB: 64 << 10, Time: 1, Threads: 4},
		{MemoryKiB: 1 << 30, Time: 3, Threads: 4},
		{MemoryKiB: 64 << 10, Time: 1 << 30, Threads: 4},
	} {
		if _, err := client.Enroll(t.Context(), root, secret("x"), cost, nil, saveNothing); !errors.Is(err, vault.ErrWeakKDF) {
			t.Errorf("enroll with %+v: %v", cost, err)
		}
		hostile := slot
		hostile.MemoryKiB, hostile.Time, hostile.Threads = cost.MemoryKiB, cost.Time, cost.Threads
		if _, _, err := client.Open(t.Context(), hostile, secret(rightPassword)); !errors.Is(err, vault.ErrWeakKDF) {
			t.Errorf("open with %+v: %v", cost, err)
		}
	}
	if posted != 0 {
		t.Errorf("%d messages were sent", posted)
	}
	// Another cost inside the bounds is another context: the password does not match.
	other := slot
	other.Time = 4
	if e := w.guess(other); !errors.Is(e, vault.ErrWrongPassword) {
		t.Errorf("another cost: %v", e)
	}
}
