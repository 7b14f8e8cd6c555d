package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"coffer/crypto/opaque"
	"coffer/vault/server/seal"
	"coffer/vault/server/store/bolt"
)

// tokenlike is a sealer with the class of a token. crash makes DestroyKey do nothing and
// fail, as if the program had ended before it.
type tokenlike struct {
	*seal.Soft
	crash     bool
	destroyed map[string]bool
}

func (*tokenlike) Class() string { return seal.ClassToken }

func (k *tokenlike) DestroyKey(_ context.Context, _ seal.ID, handle []byte) error {
	if k.crash {
		return errors.New("crashed")
	}
	k.destroyed[string(handle)] = true
	return nil
}

// newTestServer returns a server with a store in a file, and this sealer.
func newTestServer(t *testing.T, sealer seal.Sealer) *Server {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "vault.db"), 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{
		VaultID: [16]byte{7}, Store: db, Sealer: sealer, Key: opaque.GenerateServerKey(),
		Receipts: ed25519.NewKeyFromSeed(make([]byte, 32)), Waits: []time.Duration{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestAKeyThatACrashHasSparedIsDestroyedLater: by the next start of the vault.
func TestAKeyThatACrashHasSparedIsDestroyedLater(t *testing.T) {
	sealer := &tokenlike{Soft: seal.NewSoft([32]byte{1}), destroyed: map[string]bool{}}
	s := newTestServer(t, sealer)
	id, n := [16]byte{1}, uint64(0)
	step := func(erase bool) error {
		return s.change(t.Context(), id, func(*record) (*record, verdict, error) {
			r := sampleRecord()
			r.tally.Open = nil
			r.doomed = nil
			n++
			r.anchored = n
			return r, verdict{Erase: erase}, nil
		})
	}
	if err := step(false); err != nil {
		t.Fatal(err)
	}
	first, err := s.fetch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	sealer.crash = true
	if err := step(true); err == nil {
		t.Fatal("the crash was not noticed: the test could not fail")
	}
	sealer.crash = false
	if sealer.destroyed[string(first.handle)] {
		t.Fatal("destroyed before the crash")
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !sealer.destroyed[string(first.handle)] {
		t.Error("the key before the crash lives on")
	}
	now, err := s.fetch(t.Context(), id)
	if err != nil || len(now.record.doomed) != 0 || sealer.destroyed[string(now.handle)] {
		t.Errorf("after the sweep: %v, doomed %d bytes", err, len(now.record.doomed))
	}
}
