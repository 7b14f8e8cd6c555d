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
	record := [16]byte{1}
	a, again := root.Derive().Guard(record, 1), root.Derive().Guard(record, 1)
	if a.Public() != again.Public() {
		t.Fatal("the guard's key is not that of its root key")
	}
	others := map[string]GuardKey{
		"another root key":   NewRootKey().Derive().Guard(record, 1),
		"another record":     root.Derive().Guard([16]byte{2}, 1),
		"another generation": root.Derive().Guard(record, 2),
	}
	public := a.Public()
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), public[:])
	if x == nil {
		t.Fatal("the public key is no point")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), elliptic.Marshal(elliptic.P256(), x, y)) //nolint:staticcheck // the one way from a compressed point
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("arm"))
	good := a.Sign(digest)
	verify := func(s [64]byte) bool {
		return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:]))
	}
	if !verify(good) {
		t.Fatal("it does not verify")
	}
	for name, other := range others {
		if other.Public() == public || verify(other.Sign(digest)) {
			t.Errorf("%s: the same guard", name)
		}
	}
	for i := range good {
		changed := good
		changed[i] ^= 1
		if verify(changed) {
			t.Fatalf("changed at %d, it still verifies", i)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		if s := fmt.Sprintf(verb, a); !strings.Contains(s, "redacted") {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}
