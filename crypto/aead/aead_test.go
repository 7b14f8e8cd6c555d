package aead

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"testing"
)

const vectorBox = "" +
	"0202020202020202020202020202020202020202020202020202020202020202" +
	"13e4bbfce18e37514a739ff890401d0e8ce84dfb1d5ab172a393c7c03faaa4b4" +
	"52cc513f0536ddc5afe69afa711375e9a9cdb31109889d81d3"

func mustHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	key := Random(KeySize)
	for _, n := range []int{0, 1, 15, 16, 17, 1000, 1 << 16} {
		for _, ad := range [][]byte{nil, {}, []byte("what it is for")} {
			plaintext := Random(n)
			box := Seal(key, ad, plaintext)
			if len(box) != n+Overhead {
				t.Errorf("%d bytes sealed to %d, want %d", n, len(box), n+Overhead)
			}
			got, err := Open(key, ad, box)
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	}
}

// A fixed box, made by another implementation (Python, package cryptography).
func TestVector(t *testing.T) {
	key := bytes.Repeat([]byte{1}, KeySize)
	salt := bytes.Repeat([]byte{2}, saltSize)
	box := seal(key, []byte("ad"), []byte("plaintext"), salt)
	want := mustHex(t, vectorBox)
	if !bytes.Equal(box, want) {
		t.Errorf("\n got %x\nwant %x", box, want)
	}
	if got, err := Open(key, []byte("ad"), want); err != nil || string(got) != "plaintext" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTampered(t *testing.T) {
	key, ad, plaintext := Random(KeySize), []byte("ad"), []byte("plaintext")
	box := Seal(key, ad, plaintext)
	refused := func(what string, key, ad, box []byte) {
		t.Helper()
		if got, err := Open(key, ad, box); !errors.Is(err, ErrOpen) || got != nil {
			t.Errorf("%s: %x, %v", what, got, err)
		}
	}
	for i := range box {
		changed := bytes.Clone(box)
		changed[i] ^= 1 << (i % 8)
		refused("changed byte", key, ad, changed)
	}
	for n := range box {
		refused("prefix", key, ad, box[:n])
		refused("suffix", key, ad, box[n+1:])
	}
	refused("one byte more", key, ad, append(bytes.Clone(box), 0))
	refused("other key", Random(KeySize), ad, box)
	refused("short key", key[:16], ad, box)
	refused("no key", nil, ad, box)
	refused("other associated data", key, []byte("Ad"), box)
	refused("no associated data", key, nil, box)
	refused("longer associated data", key, []byte("ad\x00"), box)
	// The boundary between associated data and box is not open to shifting.
	refused("shifted", key, append(bytes.Clone(ad), box[0]), box[1:])
}

// A box whose ciphertext opens under the key, but which commits to another, stays shut:
// this is what AES-GCM alone would not do.
func TestCommitmentIsChecked(t *testing.T) {
	key := Random(KeySize)
	box := Seal(key, nil, []byte("plaintext"))
	clear(box[saltSize : saltSize+commitmentSize])
	gcm, _ := derive(key, box[:saltSize])
	if _, err := gcm.Open(nil, zeroNonce(), box[saltSize+commitmentSize:], nil); err != nil {
		t.Fatal("the ciphertext should be intact")
	}
	if _, err := Open(key, nil, box); !errors.Is(err, ErrOpen) {
		t.Errorf("%v, want ErrOpen", err)
	}
}

func TestNoTwoBoxesAlike(t *testing.T) {
	key := Random(KeySize)
	seen := map[[saltSize + commitmentSize]byte]bool{}
	for range 100 {
		head := [saltSize + commitmentSize]byte(Seal(key, nil, nil))
		if seen[head] {
			t.Fatal("salt used twice")
		}
		seen[head] = true
	}
}

func TestSealPanicsOnBadKey(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("sealed under a key of %d bytes", n)
				}
			}()
			Seal(make([]byte, n), nil, nil)
		}()
	}
}

// Arguments are neither kept nor changed.
func TestArguments(t *testing.T) {
	key, ad, plaintext := Random(KeySize), []byte("ad"), []byte("plaintext")
	k, a, p := bytes.Clone(key), bytes.Clone(ad), bytes.Clone(plaintext)
	box := Seal(key, ad, plaintext)
	b := bytes.Clone(box)
	got, err := Open(key, ad, box)
	if err != nil {
		t.Fatal(err)
	}
	clear(got)
	for _, x := range [][2][]byte{{key, k}, {ad, a}, {plaintext, p}, {box, b}} {
		if !bytes.Equal(x[0], x[1]) {
			t.Error("an argument was changed")
		}
	}
}

// The size of the tag is what the constants say.
func TestTagSize(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil || gcm.Overhead() != tagSize || gcm.NonceSize() != len(zeroNonce()) {
		t.Errorf("GCM: tag %d, nonce %d", gcm.Overhead(), gcm.NonceSize())
	}
}

func FuzzOpen(f *testing.F) {
	key := bytes.Repeat([]byte{1}, KeySize)
	box := Seal(key, []byte("ad"), []byte("plaintext"))
	f.Add([]byte("ad"), box)
	f.Add([]byte("ad"), box[:Overhead])
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, ad, b []byte) {
		plaintext, err := Open(key, ad, b)
		if err != nil {
			if !errors.Is(err, ErrOpen) || plaintext != nil {
				t.Fatalf("%x, %v", plaintext, err)
			}
			return
		}
		// Whatever opens is what Seal makes of it: nothing is malleable.
		if !bytes.Equal(seal(key, ad, plaintext, b[:saltSize]), b) {
			t.Fatal("a box of two encodings")
		}
	})
}
