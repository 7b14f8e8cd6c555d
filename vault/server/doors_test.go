package server_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"coffer/crypto"
	"coffer/crypto/aead"
	"coffer/crypto/opaque"
	"coffer/vault/attest"
	"coffer/vault/protocol"
	"coffer/vault/server"
	"coffer/vault/server/seal"
	"coffer/vault/server/store/bolt"
	"coffer/vault/vaulttest"
)

// newVault is a vault with a sealer of the test's, and what makes guessers of it.
func newVault(t *testing.T, sealer seal.Sealer, tries int) (*server.Server, func(vaulttest.Door) *vaulttest.Guesser) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "vault.db"), 0)
	if err != nil {
		t.Fatal(err)
	}
	key := opaque.GenerateServerKey()
	s, err := server.New(server.Config{
		VaultID: [16]byte{7}, Store: db, Sealer: sealer, Key: key, Receipts: ed25519.NewKeyFromSeed(aead.Random(32)),
		Tries: tries, Waits: []time.Duration{},
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
	return s, func(d vaulttest.Door) *vaulttest.Guesser {
		return vaulttest.NewGuesser(d, [16]byte{7}, [33]byte(key.Public()))
	}
}

// TestOnlyTheOwnerBeginsAGeneration: who signs with keys of his own, whatever they are, does not
// get at a record that is there. He is told what he would be told of none.
func TestOnlyTheOwnerBeginsAGeneration(t *testing.T) {
	s, guesser := newVault(t, seal.NewSoft([32]byte{1}), 10)
	g := guesser(vaulttest.Inside(s, nil))
	if err := g.Register(t.Context(), "right"); err != nil {
		t.Fatal(err)
	}
	thief := g.Next()
	thief.Root, thief.Door = crypto.NewRootKey(), leaver{g.Door} // it is begin that must refuse him
	if err := thief.Commit(t.Context(), "mine"); !errors.Is(err, protocol.ErrUnknownRecord) {
		t.Fatalf("begin by another owner: %v", err)
	}
	if s, err := g.Status(t.Context()); err != nil || s.Pending != 0 {
		t.Fatalf("pending generation %d: %v", s.Pending, err)
	}
}

// TestOneGenerationIsOfOneHand: two devices that change the password at once do not mix; the
// second is told so before it has the answer to its password.
func TestOneGenerationIsOfOneHand(t *testing.T) {
	s, guesser := newVault(t, seal.NewSoft([32]byte{1}), 10)
	g := guesser(vaulttest.Inside(s, nil))
	if err := g.Register(t.Context(), "right"); err != nil {
		t.Fatal(err)
	}
	one, two := g.Next(), g.Next()
	one.Door = leaver{g.Door}
	if err := one.Commit(t.Context(), "first"); !errors.Is(err, errLeft) {
		t.Fatal(err)
	}
	if err := two.Commit(t.Context(), "second"); !errors.Is(err, protocol.ErrStale) {
		t.Fatalf("begin with another capability: %v", err)
	}
	dearer := *one
	dearer.Cost.Time++
	if err := dearer.Commit(t.Context(), "first"); !errors.Is(err, protocol.ErrStale) {
		t.Fatalf("begin with another cost: %v", err)
	}
}

// An elsewhere is a door to a core that is asked through another channel than was signed for.
type elsewhere struct{ core *server.Server }

func (e elsewhere) Exchange(ctx context.Context, _ protocol.Kind, sign func([32]byte) []byte) ([]byte, error) {
	return e.core.Answer(ctx, [32]byte{2}, sign([32]byte{1}))
}

func TestARequestIsGoodForItsChannel(t *testing.T) {
	s, guesser := newVault(t, seal.NewSoft([32]byte{1}), 10)
	g := guesser(vaulttest.Inside(s, nil))
	if err := g.Register(t.Context(), "right"); err != nil {
		t.Fatal(err)
	}
	g.Door = elsewhere{s}
	if _, err := g.Status(t.Context()); !errors.Is(err, protocol.ErrIdentity) {
		t.Errorf("status: %v", err)
	}
	if _, err := g.Ask(t.Context(), "right", 2); !errors.Is(err, protocol.ErrIdentity) {
		t.Errorf("attempt: %v", err)
	}
}

// A counting sealer always has tries, and counts how often it was armed.
type counting struct {
	*seal.Soft
	armed int
}

func (c *counting) Left(context.Context, seal.ID, []byte) (int, error) { return 5, nil }

func (c *counting) Challenge(context.Context, seal.ID, []byte) ([16]byte, []byte, error) {
	return [16]byte{1}, attest.EncodeChallenge([attest.NonceSize]byte{}, attest.Index{Handle: 0x01800000}), nil
}

func (c *counting) Arm(context.Context, seal.ID, []byte, [16]byte, [64]byte) error {
	c.armed++
	return nil
}

func (c *counting) Evidence(context.Context, seal.ID, []byte, [32]byte) ([]byte, error) {
	return nil, nil
}

// TestALastTryIsNotArmedAway: while the last try decides whether there is a record at all, the
// hardware gets no new ones.
func TestALastTryIsNotArmedAway(t *testing.T) {
	sealer := &counting{Soft: seal.NewSoft([32]byte{1})}
	s, guesser := newVault(t, sealer, 1)
	g := guesser(vaulttest.Inside(s, nil))
	if err := g.Register(t.Context(), "right"); err != nil {
		t.Fatal(err)
	}
	before := sealer.armed
	if _, err := g.Ask(t.Context(), "wrong", 0); err != nil {
		t.Fatal(err)
	}
	if err := g.Arm(t.Context()); !errors.Is(err, protocol.ErrLastTry) || sealer.armed != before {
		t.Errorf("arm under a last try: %v, armed %d times", err, sealer.armed-before)
	}
}
