package hpke

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
)

var (
	info = []byte("vault 1")
	aad  = []byte("request 1")
)

// An exchange is what crosses, and the keys of its two ends.
type exchange struct {
	key             *PrivateKey
	sender          *Sender
	enc, ciphertext []byte
}

func newExchange(t testing.TB, plaintext []byte) exchange {
	t.Helper()
	key := GenerateKey()
	public := mustPublicKey(t, key.Public().Bytes())
	sender, err := NewSender(public, info)
	if err != nil {
		t.Fatal(err)
	}
	return exchange{key, sender, sender.Encapsulated(), sender.Seal(aad, plaintext)}
}

func mustPublicKey(t testing.TB, b []byte) PublicKey {
	t.Helper()
	key, err := PublicKeyFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustPrivateKey(t testing.TB, b []byte) *PrivateKey {
	t.Helper()
	key, err := PrivateKeyFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// open is the whole of the recipient's side.
func open(key *PrivateKey, enc, info, aad, ciphertext []byte) ([]byte, error) {
	r, err := NewRecipient(key, enc, info)
	if err != nil {
		return nil, err
	}
	return r.Open(aad, ciphertext)
}

func TestRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, 15, 16, 17, 8192, 1 << 20} {
		plaintext := bytes.Repeat([]byte{7}, size)
		x := newExchange(t, plaintext)
		if len(x.enc) != EncapsulatedSize || len(x.ciphertext) != size+Overhead {
			t.Fatalf("encapsulated %d, ciphertext %d bytes of %d", len(x.enc), len(x.ciphertext), size)
		}
		key := mustPrivateKey(t, x.key.Bytes()) // as if read from a file
		r, err := NewRecipient(key, x.enc, info)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Open(aad, x.ciphertext)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("%d bytes came back as %d: %v", size, len(got), err)
		}
		if r.Export("reply") != x.sender.Export("reply") {
			t.Fatal("the two sides export different secrets")
		}
		if r.Export("reply") == r.Export("binding") || r.Export("reply") == [ExportSize]byte{} {
			t.Fatal("a label changes nothing")
		}
	}
}

// Two exchanges of one text with one key have nothing in common.
func TestExchangesAreFresh(t *testing.T) {
	key := GenerateKey()
	a, errA := NewSender(key.Public(), info)
	b, errB := NewSender(key.Public(), info)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if bytes.Equal(a.Encapsulated(), b.Encapsulated()) || a.Export("x") == b.Export("x") ||
		bytes.Equal(a.Seal(nil, info), b.Seal(nil, info)) {
		t.Fatal("two exchanges are the same")
	}
	if bytes.Equal(GenerateKey().Bytes(), key.Bytes()) {
		t.Fatal("two keys are the same")
	}
}

func TestEveryChangeIsRefused(t *testing.T) {
	x := newExchange(t, []byte("what is said"))
	if _, err := open(x.key, x.enc, info, aad, x.ciphertext); err != nil {
		t.Fatal(err)
	}
	other := GenerateKey()
	for name, try := range map[string]func() ([]byte, error){
		"another key":      func() ([]byte, error) { return open(other, x.enc, info, aad, x.ciphertext) },
		"other info":       func() ([]byte, error) { return open(x.key, x.enc, []byte("vault 2"), aad, x.ciphertext) },
		"no info":          func() ([]byte, error) { return open(x.key, x.enc, nil, aad, x.ciphertext) },
		"other aad":        func() ([]byte, error) { return open(x.key, x.enc, info, []byte("request 2"), x.ciphertext) },
		"no aad":           func() ([]byte, error) { return open(x.key, x.enc, info, nil, x.ciphertext) },
		"info, aad merged": func() ([]byte, error) { return open(x.key, x.enc, append(info[:7:7], aad...), nil, x.ciphertext) },
		"more ciphertext":  func() ([]byte, error) { return open(x.key, x.enc, info, aad, append(x.ciphertext[:28:28], 0)) },
		"more key": func() ([]byte, error) {
			return open(x.key, append(x.enc[:EncapsulatedSize:EncapsulatedSize], 0), info, aad, x.ciphertext)
		},
		"zero key": func() ([]byte, error) { return open(x.key, make([]byte, EncapsulatedSize), info, aad, x.ciphertext) },
	} {
		if got, err := try(); !errors.Is(err, ErrMessage) || got != nil {
			t.Errorf("%s: %q, %v, want ErrMessage", name, got, err)
		}
	}
	mangle(x.enc, func(name string, bad []byte) {
		if _, err := open(x.key, bad, info, aad, x.ciphertext); !errors.Is(err, ErrMessage) {
			t.Errorf("encapsulated key %s: %v, want ErrMessage", name, err)
		}
	})
	mangle(x.ciphertext, func(name string, bad []byte) {
		if _, err := open(x.key, x.enc, info, aad, bad); !errors.Is(err, ErrMessage) {
			t.Errorf("ciphertext %s: %v, want ErrMessage", name, err)
		}
	})
}

// mangle calls fn with every prefix of b, and with each of its bytes changed: in the
// lowest bit and in the highest, which X25519 ignores and nothing else may.
func mangle(b []byte, fn func(name string, bad []byte)) {
	for i := range b {
		fn(fmt.Sprintf("cut to %d", i), b[:i])
		for _, flip := range []byte{1, 0x80} {
			bad := bytes.Clone(b)
			bad[i] ^= flip
			fn(fmt.Sprintf("changed at %d by %#x", i, flip), bad)
		}
	}
}

// Of an exchange with a changed encapsulated key the exported secret is nobody's.
func TestChangedKeyExportsNothingShared(t *testing.T) {
	x := newExchange(t, nil)
	for _, at := range []int{0, EncapsulatedSize / 2, EncapsulatedSize - 1} {
		bad := bytes.Clone(x.enc)
		bad[at] ^= 0x80
		r, err := NewRecipient(x.key, bad, info)
		if err != nil {
			t.Fatal(err)
		}
		if r.Export("reply") == x.sender.Export("reply") {
			t.Errorf("changed at %d: the secret is shared all the same", at)
		}
	}
}

func TestOneMessageEachWay(t *testing.T) {
	x := newExchange(t, []byte("first"))
	r, err := NewRecipient(x.key, x.enc, info)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(aad, []byte("rubbish, which does not spend the exchange")); !errors.Is(err, ErrMessage) {
		t.Fatal(err)
	}
	if _, err := r.Open(aad, x.ciphertext); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(aad, x.ciphertext); !errors.Is(err, ErrMessage) {
		t.Fatalf("opened twice: %v", err)
	}
	next, err := x.sender.context.Seal(aad, []byte("a stranger's sender goes on"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(aad, next); !errors.Is(err, ErrMessage) {
		t.Fatalf("opened a second message: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Fatal("sealed twice")
		}
	}()
	x.sender.Seal(aad, []byte("second"))
}

func TestHostileKeys(t *testing.T) {
	good := GenerateKey().Public().Bytes()
	withPoint := func(u []byte) []byte { return append(bytes.Clone(good[:PublicKeySize-32]), u...) }
	prime := append(append([]byte{0xed}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f)
	one := append([]byte{1}, make([]byte, 31)...)
	order8, err := hex.DecodeString("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
	if err != nil {
		t.Fatal(err)
	}
	high := bytes.Clone(good)
	high[PublicKeySize-1] |= 0x80
	overPrime := bytes.Clone(prime)
	overPrime[0] = 0xee
	coefficient := bytes.Clone(good)
	coefficient[0], coefficient[1] = 0xff, 0xff // 4095, and ML-KEM counts modulo 3329
	for name, bad := range map[string][]byte{
		"zeros": make([]byte, PublicKeySize), "point zero": withPoint(make([]byte, 32)), "point one": withPoint(one),
		"point of order 8": withPoint(order8), "the prime": withPoint(prime), "above the prime": withPoint(overPrime),
		"highest bit": high, "coefficient": coefficient, "longer": append(bytes.Clone(good), 0),
	} {
		if _, err := PublicKeyFrom(bad); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
	for n := range good {
		if _, err := PublicKeyFrom(good[:n]); !errors.Is(err, ErrKey) {
			t.Errorf("cut to %d: %v, want ErrKey", n, err)
		}
	}
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := PrivateKeyFrom(make([]byte, n)); !errors.Is(err, ErrKey) {
			t.Errorf("private key of %d bytes: %v, want ErrKey", n, err)
		}
	}
	if _, err := NewSender(PublicKey{}, info); !errors.Is(err, ErrKey) {
		t.Errorf("zero key: %v, want ErrKey", err)
	}
}

func TestCanonicalPoints(t *testing.T) {
	below := append(append([]byte{0xec}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f)
	middle := bytes.Clone(below)
	middle[0], middle[15] = 0xff, 0xfe
	for _, u := range [][]byte{below, middle, make([]byte, 32)} {
		if !canonicalPoint(u) {
			t.Errorf("%x is below the prime", u)
		}
	}
}

func TestKeysAreNamedAndCopied(t *testing.T) {
	key := GenerateKey()
	public := key.Public()
	sum := sha256.Sum256(append([]byte("coffer-vault/1/hpke-key\x00"), public.Bytes()...))
	if id := public.ID(); !bytes.Equal(id[:], sum[:8]) || public.String() != hex.EncodeToString(sum[:8]) {
		t.Errorf("ID %x, want %x", id, sum[:8])
	}
	if !public.Equal(mustPublicKey(t, public.Bytes())) || public.Equal(GenerateKey().Public()) || public.Equal(PublicKey{}) {
		t.Error("Equal is wrong")
	}
	if (PublicKey{}).Bytes() != nil {
		t.Error("the zero key has bytes")
	}
	clear(key.Bytes())
	clear(public.Bytes())
	if !mustPrivateKey(t, key.Bytes()).Public().Equal(public) {
		t.Error("Bytes hands out the key itself")
	}
	x := newExchange(t, nil)
	clear(x.sender.Encapsulated())
	if _, err := open(x.key, x.sender.Encapsulated(), info, aad, x.ciphertext); err != nil {
		t.Error("Encapsulated hands out the key itself")
	}
}

func TestNothingPrints(t *testing.T) {
	x := newExchange(t, nil)
	r, err := NewRecipient(x.key, x.enc, info)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{x.key, *x.key, x.sender, *x.sender, r, *r} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			if got := fmt.Sprintf(verb, v); got != "[redacted]" {
				t.Errorf("%T prints as %.40s", v, got)
			}
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		if !strings.Contains(log.String(), "[redacted]") {
			t.Errorf("%T logs as %.80s", v, log.String())
		}
		if _, err := json.Marshal(v); err == nil {
			t.Errorf("%T becomes JSON", v)
		}
	}
	public := x.key.Public()
	if got := fmt.Sprintf("%v %x", public, &public); got != public.String()+" "+public.String() {
		t.Errorf("a public key prints as %.60s", got)
	}
	if public.LogValue().String() != public.String() {
		t.Error("a public key logs otherwise")
	}
}

// The frozen exchanges: what was sealed once opens for ever, here and in any other
// implementation. All values but the label are hexadecimal.
func TestFrozenExchange(t *testing.T) {
	for _, v := range readVectors(t) {
		key := mustPrivateKey(t, v.Private)
		if id := key.Public().ID(); !bytes.Equal(id[:], v.KeyID) || !bytes.Equal(key.Public().Bytes(), v.Public) {
			t.Errorf("public key %s, want %x", key.Public(), v.KeyID)
		}
		r, err := NewRecipient(key, v.Encapsulated, v.Info)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Open(v.AAD, v.Ciphertext)
		if err != nil || !bytes.Equal(got, v.Plaintext) {
			t.Errorf("opened %q: %v", got, err)
		}
		if secret := r.Export(v.Label); !bytes.Equal(secret[:], v.Exported) {
			t.Errorf("exported %x, want %x", secret, v.Exported)
		}
	}
}

type vector struct {
	Private      hexBytes `json:"private"`
	Public       hexBytes `json:"public"`
	KeyID        hexBytes `json:"key_id"`
	Info         hexBytes `json:"info"`
	AAD          hexBytes `json:"aad"`
	Plaintext    hexBytes `json:"plaintext"`
	Encapsulated hexBytes `json:"encapsulated"`
	Ciphertext   hexBytes `json:"ciphertext"`
	Label        string   `json:"label"` // of what is exported
	Exported     hexBytes `json:"exported"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func readVectors(t testing.TB) (vectors []vector) {
	t.Helper()
	raw, err := os.ReadFile("testdata/exchange.json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&vectors); err != nil || len(vectors) == 0 {
		t.Fatalf("%d vectors: %v", len(vectors), err)
	}
	return vectors
}

// Nothing but the one good message opens, and nothing panics.
func FuzzOpen(f *testing.F) {
	v := readVectors(f)[0]
	key := mustPrivateKey(f, v.Private)
	f.Add([]byte(v.Encapsulated), []byte(v.Ciphertext))
	f.Add([]byte(v.Encapsulated), []byte(nil))
	f.Add(make([]byte, EncapsulatedSize), []byte(v.Ciphertext))
	f.Fuzz(func(t *testing.T, enc, ciphertext []byte) {
		good := bytes.Equal(enc, v.Encapsulated) && bytes.Equal(ciphertext, v.Ciphertext)
		_, err := open(key, enc, v.Info, v.AAD, ciphertext)
		if good != (err == nil) || err != nil && !errors.Is(err, ErrMessage) {
			t.Fatalf("%d and %d bytes: %v", len(enc), len(ciphertext), err)
		}
	})
}

// Whatever is taken for a public key has one encoding, and can be sealed to.
func FuzzPublicKey(f *testing.F) {
	v := readVectors(f)[0]
	f.Add([]byte(v.Public))
	f.Add(make([]byte, PublicKeySize))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := PublicKeyFrom(b)
		if err != nil {
			if !errors.Is(err, ErrKey) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(key.Bytes(), b) {
			t.Fatal("another encoding came back")
		}
		if _, err := NewSender(key, info); err != nil {
			t.Fatal(err)
		}
	})
}
