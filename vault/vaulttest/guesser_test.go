package vaulttest_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"coffer/crypto/opaque"
	"coffer/vault/protocol"
	"coffer/vault/server"
	"coffer/vault/server/seal"
	"coffer/vault/server/store/bolt"
	"coffer/vault/vaulttest"
)

func newGuesser(t *testing.T, tap func(request, reply []byte)) *vaulttest.Guesser {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "vault.db"), 0)
	if err != nil {
		t.Fatal(err)
	}
	key := opaque.GenerateServerKey()
	s, err := server.New(server.Config{
		VaultID: [16]byte{7}, Store: db, Sealer: seal.NewSoft([32]byte{1}), Key: key,
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
	return vaulttest.NewGuesser(vaulttest.Inside(s, tap), [16]byte{7}, [33]byte(key.Public()))
}

func TestARightGuessOpensAndAWrongOneDoesNot(t *testing.T) {
	g := newGuesser(t, nil)
	if err := g.Register(t.Context(), "right"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Guess(t.Context(), "wrong"); !errors.Is(err, protocol.ErrWrongPassword) {
		t.Fatalf("wrong password: %v", err)
	}
	root, err := g.Guess(t.Context(), "right")
	if err != nil || !root.Equal(g.Root) {
		t.Fatalf("right password: %v", err)
	}
	if s, err := g.Status(t.Context()); err != nil || s.Serial != 3 || s.Left != 10 {
		t.Fatalf("status %+v, %v", s, err)
	}
}

func TestAStormGetsTheAnswersOfItsTries(t *testing.T) {
	for round := range 5 {
		g := newGuesser(t, nil)
		if err := g.Register(t.Context(), "right"); err != nil {
			t.Fatal(err)
		}
		n, err := g.Storm(t.Context(), 64, func(i, j int) string { return fmt.Sprint("guess", i, j) })
		if err != nil || n != 10 {
			t.Fatalf("round %d: %d answers, %v", round, n, err)
		}
	}
}

func TestATryThatWasPlayedAgainCostsNothing(t *testing.T) {
	var tries [][]byte
	g := newGuesser(t, func(request, _ []byte) {
		if h, err := protocol.HeaderOf(request); err == nil && h.Kind == protocol.KindAttempt {
			tries = append(tries, bytes.Clone(request))
		}
	})
	if err := g.Register(t.Context(), "right"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Ask(t.Context(), "wrong", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Ask(t.Context(), "wrong", 2); !errors.Is(err, protocol.ErrSerial) {
		t.Fatalf("the number of a try that was used: %v", err)
	}
	if s, err := g.Status(t.Context()); err != nil || s.Left != 9 || len(tries) != 2 {
		t.Fatalf("status %+v, %v after %d tries", s, err, len(tries))
	}
}
