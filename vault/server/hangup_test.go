package server_test

import (
	"context"
	"testing"

	"coffer/vault/protocol"
	"coffer/vault/server/seal"
	"coffer/vault/vaulttest"
)

// An evaluated sealer tells when it has evaluated.
type evaluated struct {
	*seal.Soft
	then func()
}

func (e *evaluated) Evaluate(ctx context.Context, id seal.ID, reference, blinded []byte) ([]byte, error) {
	out, err := e.Soft.Evaluate(ctx, id, reference, blinded)
	if e.then != nil {
		e.then()
	}
	return out, err
}

// A hangUpDoor is one whose user goes away while the vault evaluates.
type hangUpDoor struct {
	vaulttest.Door
	sealer *evaluated
}

func (d hangUpDoor) Exchange(ctx context.Context, kind protocol.Kind, sign func([32]byte) []byte) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.sealer.then = cancel
	defer func() { d.sealer.then = nil }()
	return d.Door.Exchange(ctx, kind, sign)
}

// TestATryIsChargedAlsoToWhoHangsUp: hardware that counts has counted by then. What the record does
// not know would be in no log, and nobody would have to wait for the next.
func TestATryIsChargedAlsoToWhoHangsUp(t *testing.T) {
	sealer := &evaluated{Soft: seal.NewSoft([32]byte{1})}
	s, guesser := newVault(t, sealer, 10)
	door := vaulttest.Inside(s, nil)
	g := guesser(door)
	if err := g.Register(t.Context(), "right"); err != nil {
		t.Fatal(err)
	}
	before, err := g.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const hangUps = 3
	g.Door = hangUpDoor{door, sealer}
	for range hangUps {
		_, _ = g.Ask(t.Context(), "wrong", 0) // whether an answer came is not the question
	}
	g.Door = door
	after, err := g.Status(t.Context())
	if err != nil || after.Serial != before.Serial+hangUps {
		t.Errorf("%d tries were charged, want %d: %v", after.Serial-before.Serial, hangUps, err)
	}
}
