package vault_test

import (
	"errors"
	"testing"
	"time"

	"coffer/crypto"
	"coffer/crypto/hpke"
	"coffer/vault"
	"coffer/vault/trust"
)

// TestThroughTheRealGate meets the vault as it is served: its gate, its desk, its limits.
func TestThroughTheRealGate(t *testing.T) {
	f := newFront(t, frontOptions{gate: true, register: trust.RegisterInvite})
	token, err := f.desk.Invite(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	f.link.Invite = token
	c, root := f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey()
	slot := enroll(t, c, root, nil)
	if _, _, err := c.Open(t.Context(), slot, secret(wrongPassword)); !errors.Is(err, vault.ErrWrongPassword) {
		t.Fatalf("wrong password: %v", err)
	}
	key := hpke.GenerateKey()
	f.mu.Lock()
	f.keys = []*hpke.PrivateKey{key}
	f.mu.Unlock()
	f.publish(func(b *trust.Bundle) { b.Sequence++; b.HPKEKey = key.Public().Bytes() })
	if got, left, err := c.Open(t.Context(), slot, secret(rightPassword)); err != nil || !got.Equal(root) || left != 10 {
		t.Fatalf("right password, under a new envelope key: %v", err)
	}
	slot = enroll(t, c, root, &slot)
	if receipt, err := c.Destroy(t.Context(), slot, root); err != nil || !receipt.Verify(slot.ReceiptKey) {
		t.Fatalf("destroy: %v", err)
	}
}

// TestTheGatesLimitsAreObeyed asks more than one address, or one record, may ask at once.
func TestTheGatesLimitsAreObeyed(t *testing.T) {
	f := newFront(t, frontOptions{gate: true})
	c := f.mustDial(vault.RemoteOptions{})
	slot := enroll(t, c, crypto.NewRootKey(), nil)
	for range 25 { // 20 at once, then 2 a second: the client waits as it is told
		if _, err := c.Status(t.Context(), slot); err != nil {
			t.Fatalf("status: %v", err)
		}
	}
}
