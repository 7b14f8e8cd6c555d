package server_test

import (
	"context"
	"crypto/ed25519"
	"path/filepath"
	"testing"
	"time"

	"coffer/crypto/aead"
	"coffer/crypto/opaque"
	"coffer/vault/server"
	"coffer/vault/server/seal"
	"coffer/vault/server/store/bolt"
	"coffer/vault/vaulttest"
)

// A hangUp is hardware that is asked by somebody who has gone away in the middle.
type hangUp struct{ *small }

func (hangUp) Evaluate(context.Context, seal.ID, []byte, []byte) ([]byte, error) {
	return nil, context.Canceled
}

// TestWhoHangsUpLeavesNoKeyBehind: a request that ends between the making of an OPRF key and the
// writing of its record leaves nothing in the hardware.
func TestWhoHangsUpLeavesNoKeyBehind(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "vault.db"), 0)
	if err != nil {
		t.Fatal(err)
	}
	sealer := &small{Soft: seal.NewSoft([32]byte{1}), keys: map[string]bool{}, room: 1000}
	key := opaque.GenerateServerKey()
	s, err := server.New(server.Config{
		VaultID: [16]byte{7}, Store: db, Sealer: hangUp{sealer}, Key: key, Receipts: ed25519.NewKeyFromSeed(aead.Random(32)),
		Waits: []time.Duration{},
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
	for range 10 {
		g := vaulttest.NewGuesser(vaulttest.Inside(s, nil), [16]byte{7}, [33]byte(key.Public()))
		if err := g.Register(t.Context(), "any"); err == nil {
			t.Fatal("registered")
		}
	}
	if n := len(sealer.keys); n != 0 {
		t.Errorf("%d keys are left in the hardware", n)
	}
}
