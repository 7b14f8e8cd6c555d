package vault_test

import (
	"bytes"
	"errors"
	"testing"

	"coffer/vault"
	"coffer/vault/protocol"
	"coffer/vault/trust"
)

// FuzzReply gives a client whatever can come back from /v1/sealed: only what was sealed to
// this request is believed.
func FuzzReply(f *testing.F) {
	key := [32]byte{7}
	good := sealReply(key, protocol.PadReply([]byte("reply"), nil))
	f.Add(200, good)
	f.Add(200, sealReply([32]byte{8}, protocol.PadReply([]byte("reply"), nil)))
	f.Add(200, sealReply(key, protocol.PadReply(nil, protocol.ErrWait)))
	f.Add(200, sealReply(key, nil))
	f.Add(429, []byte(`{"code":"busy","wait_ms":1000}`))
	f.Add(403, []byte(`{"code":"wrong-password","left":9}`))
	f.Add(302, []byte("<html>"))
	f.Add(200, []byte{})
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		reply, err := vault.OpenReply(key, status, body)
		if err == nil && !bytes.Equal(reply, []byte("reply")) {
			t.Fatalf("believed %q", reply)
		}
		var refusal *protocol.Refusal
		if errors.As(err, &refusal) && status != 200 {
			t.Fatalf("believed %v, which came outside", err)
		}
		if err != nil && refusal == nil && !errors.Is(err, vault.ErrUnknownOutcome) {
			t.Fatalf("sure of %v", err)
		}
	})
}

// TestEachByteOfAReplyCounts: every cut and every one-byte change leaves the outcome unknown.
func TestEachByteOfAReplyCounts(t *testing.T) {
	key := [32]byte{7}
	good := sealReply(key, protocol.PadReply([]byte("reply"), nil))
	if reply, err := vault.OpenReply(key, 200, good); err != nil || string(reply) != "reply" {
		t.Fatalf("good reply: %q, %v", reply, err)
	}
	for i := range good {
		changed := bytes.Clone(good)
		changed[i] ^= 1
		for _, bad := range [][]byte{good[:i], changed} {
			if _, err := vault.OpenReply(key, 200, bad); !errors.Is(err, vault.ErrUnknownOutcome) {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
	}
	if _, err := vault.OpenReply(key, 200, append(bytes.Clone(good), 0)); !errors.Is(err, vault.ErrUnknownOutcome) {
		t.Fatalf("a byte more: %v", err)
	}
}

// FuzzKnown reads what a profile may hold as the bundle that was accepted last.
func FuzzKnown(f *testing.F) {
	link := trust.Link{Address: "vault.example:443", Root: [32]byte{1}}
	f.Add([]byte("coffer-vault bundle 1\nvault 00\n\n— coffer-vault/00 AAAA\n"))
	f.Add([]byte("\n\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, signed []byte) {
		_, err := vault.Dial(t.Context(), link, vault.RemoteOptions{Known: append([]byte{}, signed...)})
		if !errors.Is(err, trust.ErrBundle) {
			t.Fatalf("dial: %v", err)
		}
	})
}
