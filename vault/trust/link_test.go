package trust

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

const (
	keyA = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" // 0, 1, ... 31
	keyB = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA" // 1, 2, ... 32
)

func TestLinks(t *testing.T) {
	a, b := [32]byte(pattern(32, 0)), [32]byte(pattern(32, 1))
	for text, want := range map[string]Link{
		"coffer-vault://vault.example.org:8443#" + keyA:                            {Address: "vault.example.org:8443", Root: a},
		"coffer-vault://vault.example.org:8443#" + keyA + "." + keyB:               {Address: "vault.example.org:8443", Root: a, Second: b},
		"coffer-vault://nas:1#" + keyB:                                             {Address: "nas:1", Root: b},
		"coffer-vault://3d-printer.local:65535#" + keyA:                            {Address: "3d-printer.local:65535", Root: a},
		"coffer-vault://xn--bcher-kva.example:443?invite=Ab-_9#" + keyA:            {Address: "xn--bcher-kva.example:443", Root: a, Invite: "Ab-_9"},
		"coffer-vault://192.0.2.7:443#" + keyA:                                     {Address: "192.0.2.7:443", Root: a},
		"coffer-vault://127.0.0.1:8443?invite=x#" + keyA + "." + keyB:              {Address: "127.0.0.1:8443", Root: a, Second: b, Invite: "x"},
		"coffer-vault://[2001:db8::7]:443#" + keyA:                                 {Address: "[2001:db8::7]:443", Root: a},
		"coffer-vault://[::1]:443?invite=" + strings.Repeat("i", 128) + "#" + keyA: {Address: "[::1]:443", Root: a, Invite: strings.Repeat("i", 128)},
	} {
		got, err := ParseLink(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if got.String() != text {
			t.Errorf("%s comes back as %s", text, got)
		}
		if got.HasSecond() != (want.Second == b) || got.WithoutInvite().Invite != "" || strings.Contains(got.WithoutInvite().String(), "invite") {
			t.Errorf("%s: second %v, without invitation %s", text, got.HasSecond(), got.WithoutInvite())
		}
	}
}

func TestLogsShowNoInvitation(t *testing.T) {
	l := single()
	l.Invite = "secret"
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "link", l)
	if strings.Contains(log.String(), l.Invite) || !strings.Contains(log.String(), single().String()) {
		t.Errorf("logged as %s", log.String())
	}
}

// What a mail program makes of a long line.
func TestPastedLinks(t *testing.T) {
	good := "coffer-vault://vault.example.org:8443?invite=abc#" + keyA + "." + keyB
	want, err := ParseLink(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, pasted := range []string{
		" " + good + "\n", "\t" + good[:30] + "\r\n   " + good[30:] + "\r\n", good[:80] + "\u00a0" + good[80:],
		strings.Join(strings.Split(good, ""), "\n"),
	} {
		if got, err := ParseLink(pasted); err != nil || got != want {
			t.Errorf("%q: %+v, %v", pasted, got, err)
		}
	}
	if _, err := ParseLink(strings.Repeat(" ", MaxLink) + good); !errors.Is(err, ErrLink) {
		t.Errorf("a kilobyte of blanks: %v", err)
	}
}

// Each sentence says which part is wrong.
func TestBadLinks(t *testing.T) {
	zero := strings.Repeat("A", 43)
	for part, texts := range map[string][]string{
		"begin with": {
			"", "#", "https://vault.example:1#" + keyA, "Coffer-Vault://nas:1#" + keyA, "coffer-vault:nas:1#" + keyA, keyA,
			"\u200bcoffer-vault://nas:1#" + keyA, "<coffer-vault://nas:1#" + keyA + ">",
		},
		"key after # is missing": {"coffer-vault://nas:1", "coffer-vault://nas:1?invite=x"},
		"port": {
			"coffer-vault://nas#" + keyA, "coffer-vault://#" + keyA, "coffer-vault://nas:#" + keyA, "coffer-vault://nas:0#" + keyA,
			"coffer-vault://nas:65536#" + keyA, "coffer-vault://nas:080#" + keyA, "coffer-vault://nas:+80#" + keyA, "coffer-vault://nas:1/#" + keyA,
			"coffer-vault://nas:8_0#" + keyA, "coffer-vault://nas:1?#" + keyA, "coffer-vault://nas:1?x=y#" + keyA, "coffer-vault://nas:1&invite=x#" + keyA,
		},
		"host": {
			"coffer-vault://:1#" + keyA, "coffer-vault://NAS:1#" + keyA, "coffer-vault://a..b:1#" + keyA, "coffer-vault://nas.:1#" + keyA,
			"coffer-vault://.nas:1#" + keyA, "coffer-vault://-nas:1#" + keyA, "coffer-vault://nas-:1#" + keyA, "coffer-vault://n_s:1#" + keyA,
			"coffer-vault://user@nas:1#" + keyA, "coffer-vault://bücher:1#" + keyA, "coffer-vault://127.1:1#" + keyA, "coffer-vault://127.0x1:1#" + keyA,
			"coffer-vault://0x7f000001:1#" + keyA, "coffer-vault://2130706433:1#" + keyA, "coffer-vault://1.2.3.256:1#" + keyA,
			"coffer-vault://0x.:1#" + keyA, "coffer-vault://n/s:1#" + keyA, "coffer-vault://%6eas:1#" + keyA,
			"coffer-vault://" + strings.Repeat("a", 64) + ":1#" + keyA, "coffer-vault://" + strings.Repeat("a.", 127) + "a:1#" + keyA,
		},
		"IP": {
			"coffer-vault://::1:1#" + keyA, "coffer-vault://2001:db8::7:1#" + keyA, "coffer-vault://0.0.0.0:1#" + keyA, "coffer-vault://[::]:1#" + keyA,
			"coffer-vault://[ff02::1]:1#" + keyA, "coffer-vault://224.0.0.1:1#" + keyA, "coffer-vault://[2001:DB8::7]:1#" + keyA,
			"coffer-vault://[2001:db8:0::7]:1#" + keyA, "coffer-vault://[fe80::1%eth0]:1#" + keyA, "coffer-vault://[::ffff:192.0.2.7]:1#" + keyA,
			"coffer-vault://[192.0.2.7]:1#" + keyA, "coffer-vault://[nas]:1#" + keyA, "coffer-vault://[::1:1#" + keyA, "coffer-vault://::1]:1#" + keyA,
			"coffer-vault://[]:1#" + keyA,
		},
		"invitation": {
			"coffer-vault://nas:1?invite=#" + keyA, "coffer-vault://nas:1?invite=a+b#" + keyA, "coffer-vault://nas:1?invite=a&b=c#" + keyA,
			"coffer-vault://nas:1?invite=" + strings.Repeat("a", 129) + "#" + keyA, "coffer-vault://nas:1?invite=é#" + keyA,
			"coffer-vault://nas:1?invite=a?invite=b#" + keyA,
		},
		"key after # is incomplete": {
			"coffer-vault://nas:1#", "coffer-vault://nas:1#" + keyA[:42], "coffer-vault://nas:1#" + keyA + "A", "coffer-vault://nas:1#" + keyA + "=",
			"coffer-vault://nas:1#" + keyA[:42] + "9", "coffer-vault://nas:1#" + keyA[:41] + "++", "coffer-vault://nas:1#" + zero,
			"coffer-vault://nas:1##" + keyA, "coffer-vault://nas:1#." + keyA,
		},
		"second key": {
			"coffer-vault://nas:1#" + keyA + ".", "coffer-vault://nas:1#" + keyA + "." + keyA, "coffer-vault://nas:1#" + keyA + "." + keyB[:42],
			"coffer-vault://nas:1#" + keyA + "." + zero, "coffer-vault://nas:1#" + keyA + "." + keyB + ".", "coffer-vault://nas:1#" + keyA + "." + keyB + "." + keyA,
		},
		"longer than": {"coffer-vault://nas:1#" + keyA + strings.Repeat(" ", MaxLink)},
	} {
		for _, text := range texts {
			_, err := ParseLink(text)
			if !errors.Is(err, ErrLink) || !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %v, want a word on %q", text, err, part)
			}
			if err != nil && strings.Contains(err.Error(), keyA) {
				t.Errorf("%q: the error repeats the link", text)
			}
		}
	}
}

// A link that was cut, by whomever, never becomes a link with one key less.
func TestCutLinks(t *testing.T) {
	good := "coffer-vault://vault.example.org:8443?invite=abc#" + keyA + "." + keyB
	for n := range len(good) {
		got, err := ParseLink(good[:n])
		if n == len(good)-len(keyB)-1 {
			continue // exactly without the dot: that is the link of somebody who trusts the root alone
		}
		if !errors.Is(err, ErrLink) {
			t.Errorf("cut to %d: %+v, %v", n, got, err)
		}
	}
}

func FuzzLink(f *testing.F) {
	for _, s := range []string{
		"coffer-vault://vault.example.org:8443?invite=abc#" + keyA + "." + keyB, " coffer-vault://[2001:db8::7]:443#\r\n" + keyA,
		"coffer-vault://192.0.2.7:1#" + keyA, "coffer-vault://127.0x1:1#" + keyA, "coffer-vault://", "#", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLink(s)
		if err != nil {
			if !errors.Is(err, ErrLink) || l != (Link{}) {
				t.Fatalf("%q: %+v, %v", s, l, err)
			}
			return
		}
		if l.String() != unwrap(s) {
			t.Fatalf("%q comes back as %q", s, l)
		}
		if again, err := ParseLink(l.String()); err != nil || again != l {
			t.Fatalf("%q: %+v, then %+v, %v", s, l, again, err)
		}
		if _, _, err := SplitAddress(l.Address); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
	})
}

func TestAFingerprintIsThatOfTheKeysAlone(t *testing.T) {
	a := Link{Address: "vault.example.org:7443", Root: [32]byte{1}}
	moved, other, second := a, a, a
	moved.Address, moved.Invite = "vault.example.com:443", "abc"
	other.Root[31] = 9
	second.Second = [32]byte{2}
	if len(a.Fingerprint()) != 5*4+4 || a.Fingerprint() != moved.Fingerprint() {
		t.Errorf("%q, after a move %q", a.Fingerprint(), moved.Fingerprint())
	}
	if a.Fingerprint() == other.Fingerprint() || a.Fingerprint() == second.Fingerprint() {
		t.Error("other keys have the same fingerprint")
	}
}
