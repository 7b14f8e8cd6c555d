package vault_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/embedded"
)

const (
	rightPassword = "correct horse battery"
	wrongPassword = "incorrect horse battery"
)

var floor = crypto.KDFCost{MemoryKiB: 64 << 10, Time: 3, Threads: 4}

func secret(s string) crypto.Secret { return crypto.NewSecret([]byte(s)) }

// A clock stands still until it is moved.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Date(2026, 3, 3, 14, 2, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) now() time.Time       { return time.UnixMilli(c.ms.Load()) }
func (c *clock) move(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// A world is a vault in a folder, a client, and what the vault has logged.
type world struct {
	t      *testing.T
	dir    string
	opts   embedded.Options
	clock  *clock
	vault  *embedded.Vault
	client *vault.Client
	log    *logBuffer
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func newWorld(t *testing.T, opts embedded.Options) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), opts: opts, clock: newClock(), log: &logBuffer{}}
	if w.opts.Clock == nil {
		w.opts.Clock = w.clock.now
	}
	w.opts.Log = slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.open()
	t.Cleanup(func() {
		if err := w.vault.Close(); err != nil {
			t.Errorf("close vault: %v", err)
		}
	})
	return w
}

func (w *world) open() {
	w.t.Helper()
	v, err := embedded.Open(context.Background(), w.dir, "ANN-LAPTOP", w.opts)
	if err != nil {
		w.t.Fatalf("open vault: %v", err)
	}
	w.vault = v
	w.client = w.clientVia(v.Transport())
}

func (w *world) clientVia(transport http.RoundTripper) *vault.Client {
	c := vault.NewClient(transport, vault.PinOf(w.vault.Info()), "ann's laptop")
	c.UseCheapKSF()
	return c
}

// restart closes the vault and opens it again, as another run of the app would.
func (w *world) restart() {
	w.t.Helper()
	if err := w.vault.Close(); err != nil {
		w.t.Fatalf("close vault: %v", err)
	}
	w.open()
}

func saveNothing(vault.Pending) error { return nil }

func (w *world) mustEnroll(root crypto.RootKey, password string, old *vault.Slot) vault.Slot {
	w.t.Helper()
	slot, err := w.client.Enroll(w.t.Context(), root, secret(password), floor, old, saveNothing)
	if err != nil {
		w.t.Fatalf("enroll: %v", err)
	}
	return slot
}

func (w *world) mustOpen(slot vault.Slot, password string, root crypto.RootKey) {
	w.t.Helper()
	got, left, err := w.client.Open(w.t.Context(), slot, secret(password))
	if err != nil {
		w.t.Fatalf("open with the right password: %v", err)
	}
	if !got.Equal(root) {
		w.t.Fatal("open gave another root key")
	}
	if left != slot.Tries {
		w.t.Fatalf("after the right password %d tries are left, want all %d", left, slot.Tries)
	}
}

// guess tries a wrong password and returns what the vault says.
func (w *world) guess(slot vault.Slot) *vault.AttemptError {
	w.t.Helper()
	_, _, err := w.client.Open(w.t.Context(), slot, secret(wrongPassword))
	var refused *vault.AttemptError
	if !errors.As(err, &refused) {
		w.t.Fatalf("open with a wrong password: %v, want an AttemptError", err)
	}
	return refused
}

func (w *world) mustStatus(slot vault.Slot) vault.Status {
	w.t.Helper()
	s, err := w.client.Status(w.t.Context(), slot)
	if err != nil {
		w.t.Fatalf("status: %v", err)
	}
	return s
}

var noWaits = embedded.Options{Waits: []time.Duration{}}
