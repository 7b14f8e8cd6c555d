package vault_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"coffer/crypto"
	"coffer/crypto/opaque"
	"coffer/vault"
	"coffer/vault/protocol"
	"coffer/vault/server"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
	"coffer/vault/server/store/bolt"
)

// A faulty store does one write in a wrong way, then works again.
type faulty struct {
	*bolt.DB
	mu    sync.Mutex
	next  string // "", "failed", "failed but done", "hung"
	skip  int    // writes that work before
	fired int
}

var errDisk = errors.New("input/output error")

func (f *faulty) fault() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.skip > 0 {
		f.skip--
		return ""
	}
	kind := f.next
	if f.next = ""; kind != "" {
		f.fired++
	}
	return kind
}

func (f *faulty) arm(kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = kind
}

// after arms a fault for the write after n that work.
func (f *faulty) after(n int, kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next, f.skip = kind, n
}

func (f *faulty) do(ctx context.Context, write func() error) error {
	switch f.fault() {
	case "failed":
		return errDisk
	case "failed but done":
		return errors.Join(write(), errDisk)
	case "hung":
		<-ctx.Done()
		return ctx.Err()
	}
	return write()
}

func (f *faulty) Create(ctx context.Context, id store.ID, row []byte) error {
	return f.do(ctx, func() error { return f.DB.Create(ctx, id, row) })
}

func (f *faulty) Replace(ctx context.Context, id store.ID, r store.Revision, row []byte) error {
	return f.do(ctx, func() error { return f.DB.Replace(ctx, id, r, row) })
}

func (f *faulty) Erase(ctx context.Context, id store.ID, r store.Revision, row []byte) error {
	return f.do(ctx, func() error { return f.DB.Erase(ctx, id, r, row) })
}

type faultWorld struct {
	store   *faulty
	client  *vault.Client
	answers int // to attempts

	finishing bool // false: no finish arrives
}

func newFaultWorld(t *testing.T) *faultWorld {
	t.Helper()
	return newFaultWorldWith(t, 10, time.Now)
}

func newFaultWorldWith(t *testing.T, tries int, now func() time.Time) *faultWorld {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "vault.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	w := &faultWorld{store: &faulty{DB: db}, finishing: true}
	srv, err := server.New(server.Config{
		VaultID: [16]byte{1}, Store: w.store, Sealer: seal.NewSoft([32]byte{2}), Key: opaque.GenerateServerKey(),
		Receipts: ed25519.NewKeyFromSeed(make([]byte, 32)), Waits: []time.Duration{}, Tries: tries, Clock: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		srv.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		ctx := r.Context()
		if !w.finishing && r.URL.Path == "/v1/attempts/finish" {
			return nil, errDisk
		}
		if w.store.hanging() {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, 20*time.Millisecond) // the asker loses patience
			defer stop()
		}
		rec := httptest.NewRecorder()
		in := httptest.NewRequest(r.Method, r.URL.Path, r.Body).WithContext(ctx)
		in.Header = r.Header
		srv.ServeHTTP(rec, in)
		if r.URL.Path == "/v1/attempts" && rec.Code == http.StatusOK {
			w.answers++
		}
		return rec.Result(), nil
	})
	rec := httptest.NewRecorder()
	srv.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, protocol.InfoPath, nil))
	info, err := protocol.ParseInfo(rec.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	w.client = vault.NewClient(transport, vault.PinOf(info), "")
	w.client.UseCheapKSF()
	return w
}

func (f *faulty) hanging() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next == "hung" && f.skip == 0
}

// TestAnUnknownOutcomeIsSpentAndNeverAnAnswer breaks the write of a charge in every way.
func TestAnUnknownOutcomeIsSpentAndNeverAnAnswer(t *testing.T) {
	for _, kind := range []string{"failed", "failed but done", "hung"} {
		t.Run(kind, func(t *testing.T) {
			w := newFaultWorld(t)
			root := crypto.NewRootKey()
			slot, err := w.client.Enroll(t.Context(), root, secret(rightPassword), floor, nil, saveNothing)
			if err != nil {
				t.Fatal(err)
			}
			unknown := 0
			for i := range 40 {
				if i%2 == 0 {
					w.store.arm(kind)
				}
				_, _, err := w.client.Open(t.Context(), slot, secret(wrongPassword))
				if errors.Is(err, vault.ErrUnknownOutcome) {
					unknown++
				}
				s, statusErr := w.client.Status(t.Context(), slot)
				if statusErr != nil {
					t.Fatal(statusErr)
				}
				if charges := s.Tries - s.Left; w.answers > charges {
					t.Fatalf("%d answers to %d charges", w.answers, charges)
				}
			}
			if unknown == 0 || w.store.fired == 0 {
				t.Fatalf("%d unknown outcomes of %d faults", unknown, w.store.fired)
			}
			if w.answers > slot.Tries {
				t.Fatalf("%d answers to %d tries", w.answers, slot.Tries)
			}
		})
	}
}

// TestARegistrationSurvivesEveryFault breaks each write of a registration in turn.
func TestARegistrationSurvivesEveryFault(t *testing.T) {
	for _, kind := range []string{"failed", "failed but done", "hung"} {
		for write := range 4 { // begin, commit, charge of the exposing try, its finish
			t.Run(fmt.Sprintf("%s at write %d", kind, write+1), func(t *testing.T) {
				w := newFaultWorld(t)
				root := crypto.NewRootKey()
				w.store.after(write, kind)
				var pending vault.Pending
				_, err := w.client.Enroll(t.Context(), root, secret(rightPassword), floor, nil, func(p vault.Pending) error { pending = p; return nil })
				if !errors.Is(err, vault.ErrUnknownOutcome) {
					t.Fatalf("enroll: %v", err)
				}
				slot, err := w.client.Resume(t.Context(), pending, root, secret(rightPassword))
				if err != nil {
					t.Fatalf("resume: %v", err)
				}
				got, _, err := w.client.Open(t.Context(), slot, secret(rightPassword))
				if err != nil || !got.Equal(root) {
					t.Fatalf("open: %v", err)
				}
				if w.store.fired != 1 {
					t.Fatalf("%d faults fired", w.store.fired)
				}
			})
		}
	}
}

func post(t *testing.T, transport http.RoundTripper, path, contentType string, body []byte) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://vault.invalid"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// TestWhatIsMalformedIsNotCharged sends every cut and every one-byte change of a good
// attempt, and other rubbish.
func TestWhatIsMalformedIsNotCharged(t *testing.T) {
	w := newWorld(t, noWaits)
	slot := w.mustEnroll(crypto.NewRootKey(), rightPassword, nil)
	good := map[string][]byte{}
	spy := &via{next: w.vault.Transport(), seen: func(path string, body []byte) { good[path] = bytes.Clone(body) }}
	if _, _, err := w.clientVia(spy).Open(t.Context(), slot, secret(wrongPassword)); !errors.Is(err, vault.ErrWrongPassword) {
		t.Fatal(err)
	}
	before := w.mustStatus(slot)
	const path = "/v1/attempts"
	refuse := func(name, path, contentType string, body []byte) {
		t.Helper()
		if resp := post(t, w.vault.Transport(), path, contentType, body); resp.StatusCode < 400 || resp.StatusCode >= 500 {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
	for i := range good[path] {
		refuse(fmt.Sprintf("cut at %d", i), path, protocol.ContentType, good[path][:i])
		changed := bytes.Clone(good[path])
		changed[i] ^= 1
		refuse(fmt.Sprintf("changed at %d", i), path, protocol.ContentType, changed)
	}
	refuse("a MiB", path, protocol.ContentType, make([]byte, 1<<20))
	refuse("a byte more", path, protocol.ContentType, append(bytes.Clone(good[path]), 0))
	refuse("as a form", path, "application/x-www-form-urlencoded", good[path])
	refuse("to another path", "/v1/records/status", protocol.ContentType, good[path])
	refuse("to no path", "/v2/attempts", protocol.ContentType, good[path])
	if after := w.mustStatus(slot); after.Left != before.Left {
		t.Fatalf("%d tries left, %d before", after.Left, before.Left)
	}
}
