package vault_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/server/admit/oidctest"
	"coffer/vault/trust"
)

// TestWhoHasSignedInMayRegister, at a real provider: as the bundle says whom and for whom.
func TestWhoHasSignedInMayRegister(t *testing.T) {
	p := oidctest.Start(t)
	f := newFront(t, frontOptions{register: trust.RegisterOIDC, issuer: p.Issuer(), clientID: p.ClientID()})
	asked := 0
	signIn := func(ctx context.Context, issuer, clientID, nonce string) (string, error) {
		if asked++; issuer != p.Issuer() || clientID != p.ClientID() {
			t.Errorf("sign in at %q as %q", issuer, clientID)
		}
		return p.Token(t, "ann", nonce), nil
	}
	c, root := f.mustDial(vault.RemoteOptions{}), crypto.NewRootKey()
	if _, err := c.Enroll(t.Context(), root, secret(rightPassword), floor, nil, saveNothing); !errors.Is(err, vault.ErrNotAdmitted) {
		t.Fatalf("enroll without a sign-in: %v", err)
	}
	if _, signs := c.NeedsAdmission(); !signs {
		t.Fatal("the client does not know that it must sign in")
	}
	ann := c.WithAdmission(vault.Admission{IDToken: signIn})
	slot := enroll(t, ann, root, nil)
	enroll(t, ann, root, &slot) // a password change asks nobody
	if asked != 1 {
		t.Fatalf("signed in %d times", asked)
	}
	// A token that was made for another record.
	var first string
	replay := func(_ context.Context, _, _, nonce string) (string, error) {
		if first == "" {
			first = p.Token(t, "bob", strings.Repeat("00", 16))
		}
		return first, nil
	}
	if _, err := c.WithAdmission(vault.Admission{IDToken: replay}).Enroll(t.Context(), root, secret(rightPassword), floor, nil, saveNothing); !errors.Is(err, vault.ErrSignIn) {
		t.Fatalf("enroll with another record's token: %v", err)
	}
	cancelled := errors.New("the browser was closed")
	refuse := func(context.Context, string, string, string) (string, error) { return "", cancelled }
	if _, err := c.WithAdmission(vault.Admission{IDToken: refuse}).Enroll(t.Context(), root, secret(rightPassword), floor, nil, saveNothing); !errors.Is(err, cancelled) {
		t.Fatalf("enroll when nobody signs in: %v", err)
	}
	long := func(context.Context, string, string, string) (string, error) { return strings.Repeat("x", 7<<10), nil }
	if _, err := c.WithAdmission(vault.Admission{IDToken: long}).Enroll(t.Context(), root, secret(rightPassword), floor, nil, saveNothing); !errors.Is(err, vault.ErrNotAdmitted) {
		t.Fatalf("enroll with a token that is too long: %v", err)
	}
}
