package vault_test

import (
	"bytes"
	"errors"
	"testing"

	"coffer/crypto"
	"coffer/crypto/aead"
	"coffer/crypto/hpke"
	"coffer/vault"
	"coffer/vault/protocol"
)

// TestPromise09: the TLS front learns nothing. Who has the keys of TLS, and sees all that
// passes, reads neither which record is asked about, nor what is asked, nor what is
// released; and with envelope keys of others nothing opens.
func TestPromise09(t *testing.T) {
	inWorlds(t, named("soft-bolt"), func(t *testing.T, w *world) {
		f := w.newFront(t)
		c := w.client(f.address, f.link, vault.RemoteOptions{Device: "a device with a name"})
		root := crypto.NewRootKey()
		slot, err := c.Enroll(t.Context(), root, secret("right"), cheapest, nil, saveNothing)
		must(t, err)
		if _, _, err := c.Open(t.Context(), slot, secret("wrong")); !errors.Is(err, vault.ErrWrongPassword) {
			t.Fatal(err)
		}
		if _, _, err := c.Open(t.Context(), slot, secret("right")); err != nil {
			t.Fatal(err)
		}
		var outer bytes.Buffer
		sizes := map[int]bool{}
		secrets := map[string][]byte{"the record": slot.Record[:], "the cloud share": slot.CloudShare[:]}
		for _, x := range f.passed() {
			outer.Write(append(x.outer, x.outerReply...))
			sizes[len(x.outer)] = true
			addParts(t, secrets, x)
			mustStaySealed(t, f, x)
		}
		if len(secrets) < 6 || outer.Len() < 10_000 {
			t.Fatalf("%d secrets in %d bytes: too few to say anything", len(secrets), outer.Len())
		}
		mustNotHold(t, map[string][]byte{"the wire inside of TLS": outer.Bytes()}, secrets)
		if len(sizes) != 1 {
			t.Errorf("the sizes of requests tell what is asked: %v", sizes)
		}
	})
}

// addParts adds what a passing holds that nobody on the way may read.
func addParts(t *testing.T, secrets map[string][]byte, x *passing) {
	t.Helper()
	reply, err := protocol.UnpadReply(x.innerReply)
	switch x.kind {
	case protocol.KindCommit:
		m, parseErr := protocol.Parse[protocol.Commit](protocol.NewPrefix(x.kind), x.inner)
		must(t, parseErr)
		secrets["the release secret"], secrets["the wrapped key"] = m.Release[:], m.Wrapped[:]
	case protocol.KindAttempt:
		m, parseErr := protocol.Parse[protocol.Attempt](protocol.NewPrefix(x.kind), x.inner)
		must(t, parseErr)
		secrets["a KE1"] = m.KE1[:]
		if err == nil {
			secrets["a KE2"] = reply[len(reply)-protocol.KE2Size:]
		}
	case protocol.KindFinish:
		if err == nil {
			secrets["a release"] = reply[len(reply)-224:]
		}
	}
}

// mustStaySealed tries what somebody without the vault's envelope key can.
func mustStaySealed(t *testing.T, f *front, x *passing) {
	t.Helper()
	e, ad, ciphertext, err := protocol.ParseEnvelope(x.outer)
	must(t, err)
	recipient, err := hpke.NewRecipient(hpke.GenerateKey(), e.Encapsulated[:], protocol.ChannelInfo(f.vault))
	if err != nil {
		return
	}
	if _, err := recipient.Open(ad, ciphertext); err == nil {
		t.Error("an envelope opens with another key")
	}
	key := recipient.Export(protocol.LabelReply)
	if _, err := aead.Open(key[:], []byte(protocol.LabelReply), x.outerReply[4:]); err == nil {
		t.Error("a reply opens with another key")
	}
}
