package crypto

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

func TestTheGuardSignsForItsOwnerAlone(t *testing.T) {
	root := NewRootKey()
	a, again, other := root.Derive(), root.Derive(), NewRootKey().Derive()
	if a.Guard().Public() != again.Guard().Public() || a.Guard().Public() == other.Guard().Public() {
		t.Fatal("the guard's key is not that of its root key")
	}
	public := a.Guard().Public()
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), public[:])
	if x == nil {
		t.Fatal("the public key is no point")
	}
	key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}
	digest := sha256.Sum256([]byte("arm"))
	good := a.Guard().Sign(digest)
	verify := func(s [64]byte) bool {
		return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:]))
	}
	if !verify(good) || verify(other.Guard().Sign(digest)) {
		t.Fatal("signature of the guard's key does not tell owners apart")
	}
	for i := range good {
		changed := good
		changed[i] ^= 1
		if verify(changed) {
			t.Fatalf("changed at %d, it still verifies", i)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		if s := fmt.Sprintf(verb, a.Guard()); !strings.Contains(s, "redacted") {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}
