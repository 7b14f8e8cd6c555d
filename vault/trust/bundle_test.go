package trust

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"coffer/crypto/hpke"
	"coffer/vault/protocol"
	"coffer/vault/server/seal"
)

// smallBundle has as little in it as a bundle may have.
func smallBundle(t testing.TB) Bundle {
	return changed(t, func(b *Bundle) {
		b.Name, b.Addresses, b.TLSPins, b.Waits = "v", []string{"nas:1"}, nil, nil
		b.Sealer, b.AttestationKey, b.Store, b.Register = SealerSoftware, nil, StoreFile, RegisterOpen
		b.Issuer, b.ClientID, b.Incarnation, b.Sequence, b.Tries = "", "", 0, 1, 1
	})
}

// largeBundle has as much in it as a bundle may have.
func largeBundle(t testing.TB) Bundle {
	return changed(t, func(b *Bundle) {
		b.Name = strings.Repeat("n", MaxName)
		b.Addresses, b.TLSPins, b.Waits = nil, nil, nil
		for i := range MaxAddresses {
			b.Addresses = append(b.Addresses, fmt.Sprintf("%s%d:65535", strings.Repeat("a.", 126), i)[:252]+fmt.Sprintf("%c:6553%d", 'a'+i, i%6))
		}
		for i := range MaxPins {
			b.TLSPins = append(b.TLSPins, [32]byte{byte(i)})
		}
		for range protocol.MaxTries {
			b.Waits = append(b.Waits, protocol.MaxWait)
		}
		b.AttestationKey = pattern(MaxAttestation, 0)
		b.Issuer, b.ClientID = "https://id.example/"+strings.Repeat("i", MaxOIDC-19), strings.Repeat("c", MaxOIDC)
		b.Tries, b.Incarnation, b.Sequence = protocol.MaxTries, ^uint64(0), ^uint64(0)
		b.Floor = protocol.Cost{MemoryKiB: protocol.MaxMemoryKiB, Time: protocol.MaxTime, Threads: protocol.MaxThreads}
		b.Expires = b.Issued.Add(MaxLife)
	})
}

func TestBundlesComeBack(t *testing.T) {
	for name, b := range map[string]Bundle{"sample": sampleBundle(t), "small": smallBundle(t), "large": largeBundle(t)} {
		got, err := ParseBundle(mustEncode(t, b))
		if err != nil || !reflect.DeepEqual(got, b) || !got.Equal(b) {
			t.Errorf("%s: %v\n%+v\n%+v", name, err, got, b)
		}
		signed := mustAddSignature(t, mustSign(t, b), sampleSecond())
		if len(signed) > MaxBundle*3/4 {
			t.Errorf("%s: %d bytes: there is little room left", name, len(signed))
		}
		if _, err := Verify(signed, double(), sampleTime); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each value that is out of bounds is refused by who signs, and by who reads.
func TestOutOfBounds(t *testing.T) {
	for name, change := range map[string]func(*Bundle){
		"no vault":            func(b *Bundle) { b.VaultID = [16]byte{} },
		"no name":             func(b *Bundle) { b.Name = "" },
		"long name":           func(b *Bundle) { b.Name = strings.Repeat("n", MaxName+1) },
		"name of blanks":      func(b *Bundle) { b.Name = "  " },
		"name with blank":     func(b *Bundle) { b.Name = "n " },
		"name in two lines":   func(b *Bundle) { b.Name = "n\nsequence 9" },
		"name with escape":    func(b *Bundle) { b.Name = "n\x1b[2J" },
		"name with C1":        func(b *Bundle) { b.Name = "n\u009b2J" },
		"name turned round":   func(b *Bundle) { b.Name = "n\u202elive" },
		"name with isolate":   func(b *Bundle) { b.Name = "n\u2066x" },
		"name with separator": func(b *Bundle) { b.Name = "n\u2028x" },
		"name not UTF-8":      func(b *Bundle) { b.Name = "n\xff" },
		"no address":          func(b *Bundle) { b.Addresses = nil },
		"bad address":         func(b *Bundle) { b.Addresses = []string{"nas"} },
		"address twice":       func(b *Bundle) { b.Addresses = []string{"nas:1", "nas:1"} },
		"nine addresses": func(b *Bundle) {
			b.Addresses = strings.Fields("a:1 a:2 a:3 a:4 a:5 a:6 a:7 a:8 a:9")
		},
		"server key":          func(b *Bundle) { b.ServerKey[0] = 4 },
		"no server key":       func(b *Bundle) { b.ServerKey = [33]byte{} },
		"no receipt key":      func(b *Bundle) { b.ReceiptKey = [32]byte{} },
		"no HPKE key":         func(b *Bundle) { b.HPKEKey = nil },
		"short HPKE key":      func(b *Bundle) { b.HPKEKey = b.HPKEKey[1:] },
		"pin twice":           func(b *Bundle) { b.TLSPins[1] = b.TLSPins[0] },
		"nine pins":           func(b *Bundle) { b.TLSPins = make([][32]byte, 9) },
		"no tries":            func(b *Bundle) { b.Tries = 0 },
		"negative tries":      func(b *Bundle) { b.Tries = -1 },
		"many tries":          func(b *Bundle) { b.Tries = protocol.MaxTries + 1 },
		"negative wait":       func(b *Bundle) { b.Waits[0] = -time.Millisecond },
		"long wait":           func(b *Bundle) { b.Waits[0] = protocol.MaxWait + time.Millisecond },
		"many waits":          func(b *Bundle) { b.Waits = make([]time.Duration, protocol.MaxTries+1) },
		"low memory":          func(b *Bundle) { b.Floor.MemoryKiB = protocol.MinMemoryKiB - 1 },
		"few passes":          func(b *Bundle) { b.Floor.Time = protocol.MinTime - 1 },
		"few lanes":           func(b *Bundle) { b.Floor.Threads = protocol.MinThreads - 1 },
		"much memory":         func(b *Bundle) { b.Floor.MemoryKiB = protocol.MaxMemoryKiB + 1 },
		"sealer":              func(b *Bundle) { b.Sealer = "hardware" },
		"no sealer":           func(b *Bundle) { b.Sealer = "" },
		"software attests":    func(b *Bundle) { b.Sealer = SealerSoftware },
		"token attests":       func(b *Bundle) { b.Sealer = SealerToken },
		"TPM without key":     func(b *Bundle) { b.AttestationKey = nil },
		"long attestation":    func(b *Bundle) { b.AttestationKey = make([]byte, MaxAttestation+1) },
		"long attestation 2":  func(b *Bundle) { b.Sealer, b.AttestationKey = SealerTPMEpochs, make([]byte, MaxAttestation+1) },
		"store":               func(b *Bundle) { b.Store = "cloud" },
		"register":            func(b *Bundle) { b.Register = "everybody" },
		"open with issuer":    func(b *Bundle) { b.Register = RegisterOpen },
		"invite with client":  func(b *Bundle) { b.Register, b.Issuer = RegisterInvite, "" },
		"no issuer":           func(b *Bundle) { b.Issuer = "" },
		"no client":           func(b *Bundle) { b.ClientID = "" },
		"client is a dash":    func(b *Bundle) { b.ClientID = "-" },
		"client with blank":   func(b *Bundle) { b.ClientID = "a b" },
		"long client":         func(b *Bundle) { b.ClientID = strings.Repeat("c", MaxOIDC+1) },
		"issuer in clear":     func(b *Bundle) { b.Issuer = "http://id.example.org" },
		"issuer almost here":  func(b *Bundle) { b.Issuer = "http://127.0.0.1.example.org" },
		"issuer with query":   func(b *Bundle) { b.Issuer = "https://id.example.org?x" },
		"issuer with part":    func(b *Bundle) { b.Issuer = "https://id.example.org#x" },
		"issuer with user":    func(b *Bundle) { b.Issuer = "https://me@id.example.org" },
		"issuer without host": func(b *Bundle) { b.Issuer = "https:///realm" },
		"issuer is no URL":    func(b *Bundle) { b.Issuer = "https:id" },
		"issuer is a file":    func(b *Bundle) { b.Issuer = "file:///etc/passwd" },
		"no sequence":         func(b *Bundle) { b.Sequence = 0 },
		"no time":             func(b *Bundle) { b.Issued = time.Time{} },
		"local time":          func(b *Bundle) { b.Issued = b.Issued.In(time.FixedZone("x", 3600)) },
		"expires first":       func(b *Bundle) { b.Expires = b.Issued },
		"for ever":            func(b *Bundle) { b.Expires = b.Issued.Add(MaxLife + time.Second) },
		"year 10000":          func(b *Bundle) { b.Issued, b.Expires = b.Issued.AddDate(8000, 0, 0), b.Expires.AddDate(8000, 0, 0) },
	} {
		b := changed(t, change)
		if _, err := b.Encode(); !errors.Is(err, ErrBundle) {
			t.Errorf("%s: encoded: %v", name, err)
		}
		if _, err := Sign(b, sampleRoot()); !errors.Is(err, ErrBundle) {
			t.Errorf("%s: signed: %v", name, err)
		}
		if _, err := ParseBundle(b.text()); !errors.Is(err, ErrBundle) {
			t.Errorf("%s: read: %v", name, err)
		}
		// A root that is hostile signs it all the same.
		if _, err := Verify(forge(t, b.text(), sampleRoot()), single(), sampleTime); !errors.Is(err, ErrBundle) {
			t.Errorf("%s: verified: %v", name, err)
		}
	}
}

// What the text cannot say is refused by who signs.
func TestUnwritable(t *testing.T) {
	for name, change := range map[string]func(*Bundle){
		"address with blank": func(b *Bundle) { b.Addresses = []string{"nas:1 nas:2"} },
		"address of nothing": func(b *Bundle) { b.Addresses = []string{"nas:1", ""} },
		"part of a wait":     func(b *Bundle) { b.Waits[0] = time.Microsecond },
		"part of a second":   func(b *Bundle) { b.Issued = b.Issued.Add(1) },
	} {
		if _, err := Sign(changed(t, change), sampleRoot()); !errors.Is(err, ErrBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAllowedValues(t *testing.T) {
	for name, change := range map[string]func(*Bundle){
		"front of the web":   func(b *Bundle) { b.TLSPins = nil },
		"token":              func(b *Bundle) { b.Sealer, b.AttestationKey = SealerToken, nil },
		"epochs":             func(b *Bundle) { b.Sealer = SealerTPMEpochs },
		"epochs without key": func(b *Bundle) { b.Sealer, b.AttestationKey = SealerTPMEpochs, nil },
		"invitation":         func(b *Bundle) { b.Register, b.Issuer, b.ClientID = RegisterInvite, "", "" },
		"issuer here":        func(b *Bundle) { b.Issuer = "http://127.0.0.1:8080/realm" },
		"issuer here, IPv6":  func(b *Bundle) { b.Issuer = "http://[::1]:8080" },
		"name is a dash":     func(b *Bundle) { b.Name = "-" },
		"name in Persian":    func(b *Bundle) { b.Name = "گاو\u200cصندوق" },
		"sixteen lanes":      func(b *Bundle) { b.Floor.Threads = 16 },
	} {
		b := changed(t, change)
		if got, err := ParseBundle(b.text()); err != nil || !reflect.DeepEqual(got, b) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// There is one spelling of a bundle.
func TestOtherSpellings(t *testing.T) {
	good := string(mustEncode(t, sampleBundle(t)))
	for _, swap := range [][2]string{
		{"coffer-vault bundle 1", "coffer-vault bundle 2"},
		{"coffer-vault bundle 1\n", "coffer-vault bundle 1\r\n"},
		{"tries 10", "tries 010"},
		{"tries 10", "tries +10"},
		{"tries 10", "tries  10"},
		{"tries 10", "tries 10 "},
		{"tries 10\n", "tries 10\n\n"},
		{"tries 10\n", ""},
		{"tries 10\n", "tries 10\ntries 10\n"},
		{"tries 10", "tries 65546"}, // 10 in 16 bits
		{"tries 10", "Tries 10"},
		{"waits 0 0", "waits 00 0"},
		{"waits 0 0", "waits -0 0"},
		{"waits 0 0", "waits 0  0"},
		{"waits 0 0", "waits 0 0.0"},
		{"waits 0 0", "waits 18446744073709551616 0"},
		{"floor 65536 3 4", "floor 65536 3 260"}, // 4 in 8 bits
		{"floor 65536 3 4", "floor 65536 3"},
		{"floor 65536 3 4", "floor 65536 3 4 5"},
		{"floor 65536 3 4", "floor -"},
		{"vault 1011", "vault 1O11"},
		{"server-key 02010203", "server-key 0x010203"},
		{"issued 2026-01-02T03:04:05Z", "issued 2026-01-02T03:04:05+00:00"},
		{"issued 2026-01-02T03:04:05Z", "issued 2026-01-02T04:04:05+01:00"},
		{"issued 2026-01-02T03:04:05Z", "issued 2026-01-02T03:04:05.0Z"},
		{"issued 2026-01-02T03:04:05Z", "issued 2026-01-02T03:04:05,0Z"},
		{"issued 2026-01-02T03:04:05Z", "issued 2026-01-02 03:04:05Z"},
		{"issued 2026-01-02T03:04:05Z", "issued 1767323045"},
		{"store cluster", "store -"},
		{"issuer https", "issuer  https"},
		{"client-id coffer", "client-id "},
		{"client-id coffer", "client-id"},
		{"sequence 7", "sequence 07"},
		{"sequence 7\n", "sequence 7\ncolour red\n"},
		{"incarnation 1\nsequence 7\n", "sequence 7\nincarnation 1\n"},
		{"attestation-key 70", "attestation-key 7"},
		{"attestation-key 7071727374757677", "attestation-key 707172737475767g"},
		{"tls-pins 60", "tls-pins 6"},
		{"hpke-key ", "hpke-key 00"},
	} {
		bad := strings.Replace(good, swap[0], swap[1], 1)
		if bad == good {
			t.Fatalf("%q is not in the sample", swap[0])
		}
		if _, err := ParseBundle([]byte(bad)); !errors.Is(err, ErrBundle) {
			t.Errorf("%q for %q: %v", swap[1], swap[0], err)
		}
	}
	upper := strings.Replace(good, "0b0c0d0e0f", "0B0C0D0E0F", 1)
	if upper == good {
		t.Fatal("the sample has no such digits")
	}
	if _, err := ParseBundle([]byte(upper)); !errors.Is(err, ErrBundle) {
		t.Errorf("upper case: %v", err)
	}
	if _, err := ParseBundle(make([]byte, MaxBundle+1)); !errors.Is(err, ErrBundle) {
		t.Errorf("too large: %v", err)
	}
}

// What a change of one byte leaves readable says something else.
func TestMangledText(t *testing.T) {
	good := mustEncode(t, sampleBundle(t))
	mangle(good, func(name string, bad []byte) {
		b, err := ParseBundle(bad)
		if err != nil {
			if !errors.Is(err, ErrBundle) {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		if !bytes.Equal(b.text(), bad) || bytes.Equal(bad, good) {
			t.Errorf("%s: read as another text", name)
		}
	})
}

// The numbers and words that other packages have, too.
func TestSharedWords(t *testing.T) {
	if HPKEKeySize != hpke.PublicKeySize {
		t.Error("the size of an HPKE key has changed")
	}
	if SealerSoftware != seal.ClassSoftware || SealerToken != seal.ClassToken || SealerTPM != seal.ClassTPM || SealerTPMEpochs != seal.ClassTPMEpochs {
		t.Error("the classes of sealers have changed")
	}
}

func FuzzBundle(f *testing.F) {
	for _, b := range []Bundle{sampleBundle(f), smallBundle(f), largeBundle(f)} {
		f.Add(mustEncode(f, b))
	}
	f.Add([]byte(firstLine + "\n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := ParseBundle(text)
		if err != nil {
			if !errors.Is(err, ErrBundle) {
				t.Fatal(err)
			}
			return
		}
		if again, err := b.Encode(); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("comes back as another text: %v", err)
		}
		if err := Newer(b, b); err != nil || len(Changes(b, b)) != 0 {
			t.Fatalf("not the same as itself: %v", err)
		}
	})
}
