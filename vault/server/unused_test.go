package server_test

import (
	"context"
	"testing"

	"coffer/vault/server/seal"
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
	sealer := &small{Soft: seal.NewSoft([32]byte{1}), keys: map[string]bool{}, room: 1000}
	s, guesser := newVault(t, hangUp{sealer}, 10)
	for range 10 {
		g := guesser(vaulttest.Inside(s, nil))
		if err := g.Register(t.Context(), "any"); err == nil {
			t.Fatal("registered")
		}
	}
	if n := len(sealer.keys); n != 0 {
		t.Errorf("%d keys are left in the hardware", n)
	}
}
