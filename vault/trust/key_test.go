package trust

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestKeyFiles(t *testing.T) {
	for name, k := range map[string]Key{"root": NewRoot(sampleVault), "second": NewSecond(sampleVault)} {
		text := k.Encode()
		if len(text) > MaxKeyFile || !bytes.HasPrefix(text, []byte("# Offline ")) || !bytes.Contains(text, []byte("vault 10111213")) {
			t.Errorf("%s: %s", name, text)
		}
		got, err := ParseKey(text)
		if err != nil || got.Public() != k.Public() || got.Vault() != sampleVault || got.IsSecond() != (name == "second") {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(got.Encode(), text) {
			t.Errorf("%s: comes back as another file", name)
		}
		mangle(text, func(what string, bad []byte) {
			if _, err := ParseKey(bad); !errors.Is(err, ErrKey) || bytes.Equal(bad, text) {
				t.Errorf("%s %s: %v", name, what, err)
			}
		})
	}
	if NewRoot(sampleVault).Public() == NewRoot(sampleVault).Public() {
		t.Error("two keys are the same")
	}
}

func TestBadKeyFiles(t *testing.T) {
	good := string(sampleRoot().Encode())
	secret := good[strings.Index(good, "secret "):]
	for name, bad := range map[string]string{
		"empty":             "",
		"too long":          good + strings.Repeat("#", MaxKeyFile),
		"the other role":    strings.Replace(good, "root 1", "second 1", 1),
		"another version":   strings.Replace(good, "root 1", "root 2", 1),
		"another secret":    strings.Replace(good, secret, string(sampleSecond().Encode())[strings.Index(string(sampleSecond().Encode()), "secret "):], 1),
		"zero secret":       strings.Replace(good, secret, "secret "+strings.Repeat("A", 43)+"\n", 1),
		"no comment":        good[strings.Index(good, "coffer-vault root"):],
		"CRLF":              strings.ReplaceAll(good, "\n", "\r\n"),
		"another vault":     strings.ReplaceAll(good, "101112", "101113")[:len(good)-1],
		"vault not hex":     strings.Replace(good, "vault 10", "vault 1x", 1),
		"vault upper case":  strings.ReplaceAll(good, "1a1b", "1A1B"),
		"half a vault":      strings.ReplaceAll(good, "101112131415161718191a1b1c1d1e1f", "1011121314151617"),
		"a longer vault":    strings.ReplaceAll(good, "1e1f", "1e1f20"),
		"two keys":          good + good,
		"a link":            single().String(),
		"a signed bundle":   string(mustSign(t, sampleBundle(t))),
		"not UTF-8":         "\xff" + good,
		"lines of nothing":  strings.Repeat("\n", 6),
		"public in capital": strings.Replace(good, "public ", "Public ", 1),
	} {
		if bad == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		_, err := ParseKey([]byte(bad))
		if !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
		if err != nil && strings.Contains(err.Error(), secret[7:20]) {
			t.Errorf("%s: the error contains the secret", name)
		}
	}
}

// The vault's id of a file may be changed in all its places: then it is another vault's
// key, whose name in a note is another one, and it signs nothing for this vault.
func TestMovedKeySignsNothing(t *testing.T) {
	moved, err := ParseKey([]byte(strings.ReplaceAll(string(sampleRoot().Encode()), "101112", "101113")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(sampleBundle(t), moved); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

func TestWipedKeys(t *testing.T) {
	k := NewRoot(sampleVault)
	again, err := ParseKey(k.Encode())
	if err != nil {
		t.Fatal(err)
	}
	clear(k.Encode())
	if k.IsZero() || !(Key{}).IsZero() {
		t.Error("IsZero is wrong, or Encode hands out the key itself")
	}
	again.Wipe()
	(Key{}).Wipe()
	if !again.IsZero() || k.IsZero() {
		t.Error("wiping wiped another key, or not its own")
	}
	if _, err := (noteSigner{newVerifier(sampleVault, false, again.Public()), again}).Sign([]byte("x")); !errors.Is(err, ErrKey) {
		t.Errorf("a wiped key signs: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a wiped key was written")
		}
	}()
	again.Encode()
}

func TestKeysDoNotPrint(t *testing.T) {
	k := sampleRoot()
	type holder struct{ key Key } // fmt ignores methods of what is in an unexported field
	seed := pattern(32, 0x40)
	full := ed25519.NewKeyFromSeed(seed)
	for _, v := range []any{k, &k, holder{k}, []Key{k}, map[string]Key{"k": k}, noteSigner{nil, k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			got := fmt.Sprintf(verb, v)
			for _, form := range []string{string(seed), fmt.Sprintf("%x", seed[:8]), fmt.Sprint(seed[:8])[1:20], fmt.Sprintf("%x", full[:4]), "0x40, 0x41"} {
				if strings.Contains(got, form) {
					t.Errorf("%T shows its key in %s: %s", v, verb, got)
				}
			}
		}
	}
	if got := fmt.Sprintf("%+v", k); got != "[redacted]" {
		t.Errorf("prints as %s", got)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "k", k)
	if !strings.Contains(log.String(), "[redacted]") {
		t.Errorf("logs as %s", log.String())
	}
	if _, err := json.Marshal(k); err == nil {
		t.Error("becomes JSON")
	}
}

func FuzzKey(f *testing.F) {
	f.Add(sampleRoot().Encode())
	f.Add(sampleSecond().Encode())
	f.Add([]byte("coffer-vault root 1\n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := ParseKey(text)
		if err != nil {
			if !errors.Is(err, ErrKey) || !k.IsZero() {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(k.Encode(), text) {
			t.Fatal("comes back as another file")
		}
	})
}
