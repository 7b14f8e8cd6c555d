package server_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"coffer/crypto/aead"
	"coffer/crypto/opaque"
	"coffer/vault/protocol"
	"coffer/vault/server"
	"coffer/vault/server/seal"
	"coffer/vault/server/store/bolt"
	"coffer/vault/vaulttest"
)

// small is a sealer with room for few OPRF keys, as a chip has.
type small struct {
	*seal.Soft
	mu   sync.Mutex
	keys map[string]bool
	room int
}

func (k *small) NewOPRF(ctx context.Context, id seal.ID, g seal.Guard) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) >= k.room {
		return nil, seal.ErrFull
	}
	reference, err := k.Soft.NewOPRF(ctx, id, g)
	k.keys[string(reference)] = true
	return reference, err
}

func (k *small) Evaluate(ctx context.Context, id seal.ID, reference, blinded []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.keys[string(reference)] {
		return nil, seal.ErrReference
	}
	return k.Soft.Evaluate(ctx, id, reference, blinded)
}

func (k *small) DestroyOPRF(_ context.Context, _ seal.ID, reference []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, string(reference))
	return nil
}

// A leaver begins, and is gone before the commit.
type leaver struct{ vaulttest.Door }

var errLeft = errors.New("left")

func (l leaver) Exchange(ctx context.Context, kind protocol.Kind, sign func([32]byte) []byte) ([]byte, error) {
	if kind == protocol.KindCommit {
		return nil, errLeft
	}
	return l.Door.Exchange(ctx, kind, sign)
}

// TestStrangersDoNotFillTheHardwareForEver: who begins and goes away takes room for a day.
// Who has registered keeps his, and who comes back later begins anew.
func TestStrangersDoNotFillTheHardwareForEver(t *testing.T) {
	db, err := bolt.Open(filepath.Join(t.TempDir(), "vault.db"), 0)
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1_800_000_000_000)
	sealer := &small{Soft: seal.NewSoft([32]byte{1}), keys: map[string]bool{}, room: 4}
	key := opaque.GenerateServerKey()
	s, err := server.New(server.Config{
		VaultID: [16]byte{7}, Store: db, Sealer: sealer, Key: key, Receipts: ed25519.NewKeyFromSeed(aead.Random(32)),
		Waits: []time.Duration{}, Clock: func() time.Time { return now },
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
	door := vaulttest.Inside(s, nil)
	guesser := func(d vaulttest.Door) *vaulttest.Guesser {
		return vaulttest.NewGuesser(d, [16]byte{7}, [33]byte(key.Public()))
	}
	friend := guesser(door)
	if err := friend.Register(t.Context(), "right"); err != nil {
		t.Fatal(err)
	}
	strangers := []*vaulttest.Guesser{guesser(leaver{door}), guesser(leaver{door}), guesser(leaver{door})}
	for _, g := range strangers {
		if err := g.Register(t.Context(), "any"); !errors.Is(err, errLeft) {
			t.Fatal(err)
		}
	}
	late := guesser(door)
	if err := late.Register(t.Context(), "right"); !errors.Is(err, protocol.ErrFull) {
		t.Fatalf("a full chip says %v", err)
	}
	now = now.Add(24*time.Hour - time.Second)
	if err := late.Register(t.Context(), "right"); !errors.Is(err, protocol.ErrFull) {
		t.Fatalf("within the day: %v", err)
	}
	now = now.Add(time.Minute + time.Second)
	if err := late.Register(t.Context(), "right"); err != nil {
		t.Fatalf("after a day: %v", err)
	}
	for name, g := range map[string]*vaulttest.Guesser{"the friend": friend, "who came late": late} {
		if _, err := g.Guess(t.Context(), "right"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One of them was no stranger: his commit comes too late, and he begins again.
	back := strangers[0]
	back.Door = door
	if err := back.Register(t.Context(), "any"); err != nil {
		t.Errorf("who comes back: %v", err)
	}
	if _, err := back.Guess(t.Context(), "any"); err != nil {
		t.Errorf("who came back: %v", err)
	}
}
