package crypto

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Every type that holds a secret, under every verb and in every company.
func TestSecretsNeverPrint(t *testing.T) {
	canary := []byte("CANARY-canary-CANARY-canary-1234")
	secret := NewSecret(bytes.Clone(canary))
	root := mustRoot(t, canary)
	keys := root.Derive()
	sealer := keys.NewSealer(KindPack)
	line := RecoveryLines(root)[0]
	var seed []byte
	keys.owner.seed.Expose(func(b []byte) { seed = bytes.Clone(b) })

	var out bytes.Buffer
	printAll(t, &out, secret)
	printAll(t, &out, root)
	printAll(t, &out, keys)
	printAll(t, &out, keys.Owner())
	printAll(t, &out, CapabilityFrom(canary))
	printAll(t, &out, sealer)
	printAll(t, &out, sealer.Opener())
	printAll(t, &out, keys.NewChunkHasher())
	printAll(t, &out, line)

	leaks := []string{line.Digits, line.Digits[:4]}
	for _, b := range [][]byte{canary, seed} {
		leaks = append(leaks, string(b), fmt.Sprintf("%x", b), fmt.Sprintf("%X", b),
			strings.Trim(fmt.Sprint(b[:8]), "[]"), strings.TrimSuffix(fmt.Sprintf("%#v", b[:3])[7:], "}"))
	}
	for _, l := range strings.Split(out.String(), "\n") {
		for _, c := range leaks {
			if strings.Contains(l, c) {
				t.Errorf("leak (%q): %s", c, l)
				break
			}
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was printed")
	}
}

type holder[T any] struct {
	Name string
	Key  T
}

type private[T any] struct{ key T }

func printAll[T any](t *testing.T, out *bytes.Buffer, v T) {
	t.Helper()
	// A RecoveryLine is made to be shown: its strings are public fields, which fmt reaches
	// where it calls no methods.
	_, isLine := any(v).(RecoveryLine)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%T", "%p"} {
		if isLine && verb == "%p" {
			continue
		}
		fmt.Fprintf(out, verb+"\n", v)
		fmt.Fprintf(out, verb+"\n", &v)
		fmt.Fprintf(out, verb+"\n", holder[T]{"n", v})
		fmt.Fprintf(out, verb+"\n", &holder[T]{"n", v})
		fmt.Fprintf(out, verb+"\n", []T{v})
		fmt.Fprintf(out, verb+"\n", map[string]T{"k": v})
		if !isLine {
			fmt.Fprintf(out, "private "+verb+"\n", private[T]{v})
		}
	}
	// Without the time, whose digits can be those of a secret by chance.
	timeless := &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	for _, h := range []slog.Handler{slog.NewTextHandler(out, timeless), slog.NewJSONHandler(out, timeless)} {
		slog.New(h).Info("m", "k", v, "h", holder[T]{"n", v}, "p", &v)
	}
	if b, err := json.Marshal(holder[T]{"n", v}); err == nil {
		t.Errorf("json of %T succeeded: %s", v, b)
	}
	if b, err := xml.Marshal(holder[T]{"n", v}); err == nil {
		t.Errorf("xml of %T succeeded: %s", v, b)
	}
	if err := gob.NewEncoder(out).Encode(holder[T]{"n", v}); err == nil {
		t.Errorf("gob of %T succeeded", v)
	}
}

func TestSecret(t *testing.T) {
	a, b := NewSecret([]byte("one")), NewSecret([]byte("one"))
	if !a.Equal(b) || a.Equal(NewSecret([]byte("two"))) || a.Equal(NewSecret([]byte("on"))) || a.Equal(Secret{}) {
		t.Error("Equal is wrong")
	}
	if a.Len() != 3 || a.IsZero() || !(Secret{}).IsZero() || !NewSecret(nil).IsZero() || (Secret{}).Len() != 0 {
		t.Error("Len or IsZero is wrong")
	}
	var held []byte
	a.Expose(func(b []byte) { held = b })
	clone, copied := a.Clone(), a
	a.Wipe()
	if !bytes.Equal(held, make([]byte, 3)) {
		t.Error("the bytes were not overwritten")
	}
	if !a.IsZero() || !copied.IsZero() {
		t.Error("a wiped Secret is not empty")
	}
	if !clone.Equal(b) {
		t.Error("the clone was wiped too")
	}
	for _, s := range []Secret{a, copied, {}, NewSecret(nil), NewSecret([]byte{})} {
		s.Expose(func([]byte) { t.Error("nothing was lent") })
		s.Wipe()
		if !s.Clone().IsZero() || !s.Equal(Secret{}) {
			t.Error("nothing is not nothing")
		}
	}
}
