package trust

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"coffer/crypto/hpke"
	"coffer/vault/protocol"
)

// pattern is n bytes that begin with first and count upwards.
func pattern(n int, first byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

var (
	sampleVault = [16]byte(pattern(16, 0x10))
	sampleTime  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) // a good moment for the sample bundle
)

func sampleRoot() Key   { return newKey(sampleVault, false, pattern(32, 0x40)) }
func sampleSecond() Key { return newKey(sampleVault, true, pattern(32, 0x80)) }

// single and double are the links that a sample bundle must satisfy.
func single() Link { return Link{Address: "vault.example.org:8443", Root: sampleRoot().Public()} }

func double() Link {
	l := single()
	l.Second = sampleSecond().Public()
	return l
}

// sampleBundle is the bundle in testdata/sample.bundle: every field has a value.
func sampleBundle(t testing.TB) Bundle {
	t.Helper()
	key, err := hpke.PrivateKeyFrom(pattern(32, 0xc0))
	if err != nil {
		t.Fatal(err)
	}
	return Bundle{
		VaultID:        sampleVault,
		Name:           "Käthe's vault — at home",
		Addresses:      []string{"vault.example.org:8443", "192.0.2.7:8443", "[2001:db8::7]:443"},
		ServerKey:      [33]byte(append([]byte{2}, pattern(32, 1)...)),
		ReceiptKey:     [32]byte(pattern(32, 0x20)),
		HPKEKey:        key.Public().Bytes(),
		TLSPins:        [][32]byte{[32]byte(pattern(32, 0x60)), [32]byte(pattern(32, 0x61))},
		Tries:          10,
		Waits:          []time.Duration{0, 0, 0, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 8 * time.Hour, 24 * time.Hour},
		Floor:          protocol.Cost{MemoryKiB: 64 << 10, Time: 3, Threads: 4},
		Sealer:         SealerTPM,
		AttestationKey: pattern(91, 0x70),
		Store:          StoreCluster,
		Register:       RegisterOIDC,
		Issuer:         "https://id.example.org/realms/home",
		ClientID:       "coffer",
		Incarnation:    1,
		Sequence:       7,
		Issued:         time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Expires:        time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// changed is the sample bundle after a change.
func changed(t testing.TB, change func(*Bundle)) Bundle {
	t.Helper()
	b := sampleBundle(t)
	change(&b)
	return b
}

func mustEncode(t testing.TB, b Bundle) []byte {
	t.Helper()
	text, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func mustSign(t testing.TB, b Bundle) []byte {
	t.Helper()
	signed, err := Sign(b, sampleRoot())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func mustAddSignature(t testing.TB, signed []byte, second Key) []byte {
	t.Helper()
	out, err := AddSignature(signed, sampleRoot().Public(), second)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mustRead(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mangle calls fn with every prefix of b, with each byte changed in two ways, each left
// out, and each doubled where that is a change.
func mangle(b []byte, fn func(name string, bad []byte)) {
	for i := range b {
		fn(fmt.Sprintf("cut to %d", i), b[:i])
		for _, flip := range []byte{1, 0x20} { // 0x20: the other case of a letter
			bad := bytes.Clone(b)
			bad[i] ^= flip
			fn(fmt.Sprintf("changed at %d by %#x", i, flip), bad)
		}
		fn(fmt.Sprintf("without %d", i), append(bytes.Clone(b[:i]), b[i+1:]...))
		fn(fmt.Sprintf("%d twice", i), append(bytes.Clone(b[:i+1]), b[i:]...))
	}
	for _, more := range []string{"\n", " ", "\x00", "x", "—"} {
		fn(fmt.Sprintf("with %q after it", more), append(bytes.Clone(b), more...))
		fn(fmt.Sprintf("with %q before it", more), append([]byte(more), b...))
	}
}
