package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
)

func TestKeyFile(t *testing.T) {
	k := makeKeys([16]byte{1}, [32]byte{2})
	b := k.encode()
	got, err := parseKeys(b)
	if err != nil || got != k {
		t.Fatalf("came back otherwise: %v", err)
	}
	for n := range b {
		if _, err := parseKeys(b[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("prefix of %d bytes: %v", n, err)
		}
		bad := bytes.Clone(b)
		bad[n] ^= 0x40
		if _, err := parseKeys(bad); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d changed: %v", n, err)
		}
	}
	if _, err := parseKeys(append(b, 0)); !errors.Is(err, ErrDamaged) {
		t.Fatalf("one byte more: %v", err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %x", k, k, k, k, k)
	for _, secret := range [][]byte{k.Seal[:], k.Server[:], k.Receipts[:], k.Admission[:], k.HPKE[0][:], k.TLS[0][:]} {
		if bytes.Contains([]byte(shown), []byte(hex.EncodeToString(secret[:8]))) {
			t.Fatalf("prints keys: %s", shown)
		}
	}
}

func FuzzKeyFile(f *testing.F) {
	k := makeKeys([16]byte{1}, [32]byte{2})
	f.Add(k.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		// Whoever changes the file also mends the checksum.
		if len(b) > sha256.Size {
			body := b[:len(b)-sha256.Size]
			sum := sha256.Sum256(body)
			b = append(bytes.Clone(body), sum[:]...)
		}
		k, err := parseKeys(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(k.encode(), b) {
			t.Fatal("two encodings of one key file")
		}
		_, errHPKE := k.envelopeKeys()
		_, errTLS := k.tlsKeys()
		for _, err := range []error{errHPKE, errTLS} {
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
		}
	})
}

func TestRecoveryFile(t *testing.T) {
	vault, key := [16]byte{7}, bytes.Repeat([]byte{0xa5}, 32)
	text := encodeRecovery(vault, key)
	got, err := parseRecovery(text, vault)
	if err != nil || !bytes.Equal(got, key) {
		t.Fatalf("came back as %x: %v", got, err)
	}
	typed := bytes.ToUpper(bytes.ReplaceAll(text, []byte(" "), []byte("   ")))
	if got, err := parseRecovery(typed, vault); err != nil || !bytes.Equal(got, key) {
		t.Errorf("typed from paper: %v", err)
	}
	if _, err := parseRecovery(text, [16]byte{8}); !errors.Is(err, ErrRecovery) {
		t.Errorf("another vault's: %v", err)
	}
	start := bytes.Index(text, []byte(recoveryHead))
	for n := start; n < len(text)-1; n++ {
		if _, err := parseRecovery(text[:n], vault); !errors.Is(err, ErrRecovery) {
			t.Fatalf("prefix of %d bytes: %v", n, err)
		}
		bad := bytes.Clone(text)
		bad[n] ^= 1
		if bytes.ContainsAny(bad[n:n+1], "! \n\v") || text[n] == ' ' {
			continue // a space more or less is no slip of the pen
		}
		if _, err := parseRecovery(bad, vault); !errors.Is(err, ErrRecovery) {
			t.Fatalf("byte %d changed: %v\n%s", n, err, bad)
		}
	}
}

func TestCopyFile(t *testing.T) {
	text := encodeCopy(4, clockAt(0)())
	if n, err := parseCopy(text); err != nil || n != 5 {
		t.Fatalf("incarnation %d, %v", n, err)
	}
	for _, bad := range []string{"", "coffer-vault copy 1\n", "coffer-vault copy 2\nincarnation 1\n", "coffer-vault copy 1\nincarnation -1\n", "coffer-vault copy 1\nincarnation 1\nx\n"} {
		if _, err := parseCopy([]byte(bad)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSigner(t *testing.T) {
	s := Signer{[16]byte{1}, [32]byte{2}}
	if got, err := ParseSigner(s.String() + "\n"); err != nil || got != s {
		t.Fatalf("came back as %v, %v", got, err)
	}
	text := s.String()
	for n := range text {
		if _, err := ParseSigner(text[:n]); !errors.Is(err, ErrKeyFile) {
			t.Errorf("prefix of %d bytes: %v", n, err)
		}
	}
}
