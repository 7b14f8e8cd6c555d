package vault_test

import (
	"testing"
	"time"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/trust"
)

// TestPromise08: the client checks whom it talks to before it sends a byte. Of each wrong
// bundle it says what is wrong, and not one envelope arrives.
func TestPromise08(t *testing.T) {
	inWorlds(t, named("soft-bolt"), func(t *testing.T, w *world) {
		f := w.newFront(t)
		good := f.sign(func(*trust.Bundle) {})
		newer := f.sign(func(b *trust.Bundle) { b.Sequence++ })
		now := time.Now().UTC().Truncate(time.Second)
		second := trust.NewSecond(f.vault)
		twice := f.link
		twice.Second = second.Public()
		stranger, err := trust.Sign(mustRead(t, good, f.link), trust.NewRoot(f.vault))
		must(t, err)
		pin := vault.Pin{VaultID: [16]byte{9}, ServerKey: [33]byte{2, 9}, ReceiptKey: [32]byte{9}}
		for _, c := range []struct {
			name string
			show []byte
			link trust.Link
			opts vault.RemoteOptions
			want error
		}{
			{"a wrong pin", f.sign(func(b *trust.Bundle) { b.TLSPins = [][32]byte{{1}} }), f.link, vault.RemoteOptions{}, vault.ErrPin},
			{"the vault's own bundle, shown by somebody else", f.sign(func(b *trust.Bundle) { *b = w.first().door().Bundle }), f.link, vault.RemoteOptions{}, vault.ErrPin},
			{"signed by the root alone", good, twice, vault.RemoteOptions{}, vault.ErrSingleSigned},
			{"signed by a stranger", stranger, f.link, vault.RemoteOptions{}, vault.ErrBundle},
			{"changed after it was signed", changed(good), f.link, vault.RemoteOptions{}, vault.ErrBundle},
			{"expired", f.sign(func(b *trust.Bundle) { b.Issued, b.Expires = now.Add(-240*time.Hour), now.Add(-time.Minute) }), f.link, vault.RemoteOptions{}, vault.ErrExpired},
			{"of the future", f.sign(func(b *trust.Bundle) { b.Issued, b.Expires = now.Add(48*time.Hour), now.Add(96*time.Hour) }), f.link, vault.RemoteOptions{}, vault.ErrExpired},
			{"a lower sequence", good, f.link, vault.RemoteOptions{Known: newer}, vault.ErrOlder},
			{"another one with the same sequence", f.sign(func(b *trust.Bundle) { b.Name = "Another" }), f.link, vault.RemoteOptions{Known: good}, vault.ErrBundle},
			{"another vault than the slot's", good, f.link, vault.RemoteOptions{Pin: &pin}, vault.ErrIdentity},
			{"a lower incarnation than was seen", good, f.link, vault.RemoteOptions{Seen: vault.Seen{Incarnation: 5}}, vault.ErrVaultRolledBack},
		} {
			t.Run(c.name, func(t *testing.T) {
				f.show(c.show)
				_, err := vault.Dial(t.Context(), c.link, c.opts)
				wantErr(t, "dial", err, c.want)
				if n := f.heard(); n != 0 {
					t.Fatalf("%d requests arrived", n)
				}
			})
		}
		// What is right is heard: the front could have seen the others.
		signed, err := trust.AddSignature(good, f.link.Root, second)
		must(t, err)
		f.show(signed)
		c, err := vault.Dial(t.Context(), twice, vault.RemoteOptions{})
		must(t, err)
		if _, err = c.Enroll(t.Context(), crypto.NewRootKey(), secret("right"), cheapest, nil, saveNothing); err != nil || f.heard() == 0 {
			t.Fatalf("with the right bundle: %d requests, %v", f.heard(), err)
		}
	})
}

func mustRead(t *testing.T, signed []byte, link trust.Link) trust.Bundle {
	t.Helper()
	b, err := trust.Verify(signed, link, time.Now())
	must(t, err)
	return b
}

// changed changes a letter of the name in a signed bundle.
func changed(signed []byte) []byte {
	out := append([]byte(nil), signed...)
	for i := range out {
		if string(out[i:i+6]) == "Proofs" {
			out[i] = 'B'
			return out
		}
	}
	panic("a bundle without its name")
}
