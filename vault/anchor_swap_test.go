package vault_test

import (
	"errors"
	"testing"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/protocol"
)

// TestAnAnchorIsOfOneRecord: a vault cannot show the anchor of one record as that of another of
// the same owner's, with the same version: it would be an old state that looks new.
func TestAnAnchorIsOfOneRecord(t *testing.T) {
	f := newFront(t, frontOptions{})
	c, root := f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey()
	keys := root.Derive()
	old, now := enroll(t, c, root, nil), enroll(t, c, root, nil)
	put := func(slot vault.Slot, text string) {
		t.Helper()
		err := c.PutAnchor(t.Context(), slot, keys, func([]byte) ([]byte, error) { return []byte(text), nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	put(old, "yesterday")
	put(now, "today")
	var shown []byte
	f.set(func(x *exchange) {
		inside, o, err := f.open(x.envelope)
		if err != nil || x.kind != protocol.KindAnchor {
			x.reply(x.deliver())
			return
		}
		if shown == nil {
			shown, _ = f.core.Answer(t.Context(), o.binding, inside)
		}
		x.reply(sealReply(o.key, protocol.PadReply(shown, nil)))
	})
	if got, _, err := c.Anchor(t.Context(), old, keys); err != nil || string(got) != "yesterday" {
		t.Fatalf("%q, %v", got, err)
	}
	if got, _, err := c.Anchor(t.Context(), now, keys); !errors.Is(err, crypto.ErrDamaged) {
		t.Errorf("another record's anchor: %q, %v", got, err)
	}
}
