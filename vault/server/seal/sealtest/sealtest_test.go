package sealtest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"sync"
	"testing"

	"coffer/crypto/opaque"
	"coffer/vault/server/seal"
)

// counting is a Counter in memory: so that the tests of counters are tested themselves.
type counting struct {
	*seal.Soft
	owner *ecdsa.PublicKey

	mu       sync.Mutex
	guards   map[string]seal.Guard
	left     map[string]int
	sessions map[[16]byte]string
}

func (c *counting) NewOPRF(ctx context.Context, id seal.ID, g seal.Guard) ([]byte, error) {
	reference, err := c.Soft.NewOPRF(ctx, id, g)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guards[string(reference)] = g
	return reference, err
}

func (c *counting) Evaluate(ctx context.Context, id seal.ID, reference, blinded []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.guards[string(reference)]; !ok {
		return nil, seal.ErrReference
	}
	if c.left[string(reference)] == 0 {
		return nil, seal.ErrUnarmed
	}
	c.left[string(reference)]--
	return c.Soft.Evaluate(ctx, id, reference, blinded)
}

func (c *counting) DestroyOPRF(_ context.Context, _ seal.ID, reference []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.guards, string(reference))
	return nil
}

func (c *counting) Left(_ context.Context, _ seal.ID, reference []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left[string(reference)], nil
}

func (c *counting) Challenge(_ context.Context, _ seal.ID, reference []byte) ([16]byte, []byte, error) {
	session := [16]byte(opaque.NewOPRFKey())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions[session] = string(reference)
	return session, session[:], nil
}

func (c *counting) Arm(_ context.Context, _ seal.ID, reference []byte, session [16]byte, signature [64]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.sessions[session]
	delete(c.sessions, session)
	digest := sha256.Sum256(session[:])
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if of != string(reference) || !ecdsa.Verify(c.owner, digest[:], r, s) {
		return seal.ErrSession
	}
	c.left[of] = c.guards[of].Tries
	return nil
}

func (c *counting) Evidence(_ context.Context, _ seal.ID, reference []byte, nonce [32]byte) ([]byte, error) {
	if len(reference) == 0 {
		return nil, seal.ErrReference
	}
	return nonce[:], nil
}

func TestCounterInMemory(t *testing.T) {
	owner, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	sign := func(t *testing.T, challenge []byte) (signature [64]byte) {
		digest := sha256.Sum256(challenge)
		r, s, err := ecdsa.Sign(rand.Reader, owner, digest[:])
		must(t, err)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature
	}
	Run(t, Options{KeysInHandle: true, KeepsOPRF: true, Instant: true, Sign: sign}, func(*testing.T) (seal.Sealer, func() seal.Sealer) {
		c := &counting{
			Soft: seal.NewSoft([32]byte{1}), owner: &owner.PublicKey,
			guards: map[string]seal.Guard{}, left: map[string]int{}, sessions: map[[16]byte]string{},
		}
		return c, func() seal.Sealer { return c }
	})
}

func TestMangled(t *testing.T) {
	good := []byte("good")
	all := mangled(good)
	if len(all) != 9 {
		t.Fatalf("%d manglings", len(all))
	}
	for _, x := range all {
		if bytes.Equal(x.b, good) {
			t.Errorf("%s: not changed", x.what)
		}
	}
}
