package admit

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/server/admit/oidctest"
)

func nonce(record byte) string {
	id := [16]byte{record}
	return hex.EncodeToString(id[:])
}

func newOIDCWorld(t *testing.T, p *oidctest.Provider) *world {
	t.Helper()
	return newWorld(t, func(c *Config) { c.Mode, c.Issuer, c.ClientID = ModeOIDC, p.Issuer(), p.ClientID() })
}

func TestAnAccountHasEightRecords(t *testing.T) {
	p := oidctest.Start(t)
	w := newOIDCWorld(t, p)
	for record := range byte(AccountRecords) {
		if err := w.admitted(t, 1+record, []byte(p.Token(t, "anna", nonce(1+record)))); err != nil {
			t.Fatalf("record %d: %v", 1+record, err)
		}
	}
	ninth := []byte(p.Token(t, "anna", nonce(9)))
	if err := w.admitted(t, 9, ninth); !errors.Is(err, protocol.ErrQuota) {
		t.Errorf("a ninth record: %v", err)
	}
	if err := w.admitted(t, 3, []byte(p.Token(t, "anna", nonce(3)))); err != nil {
		t.Errorf("the third again: %v", err)
	}
	if err := w.admitted(t, 9, []byte(p.Token(t, "bert", nonce(9)))); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	if len(w.store.rows) != 2 || len(w.sealer.keys) != 2 {
		t.Errorf("%d rows, %d keys for two accounts", len(w.store.rows), len(w.sealer.keys))
	}
}

// TestAFullAccountGetsBackThePlacesOfDestroyedRecords: one for each, none while nobody can
// say what became of them, and none of those that live.
func TestAFullAccountGetsBackThePlacesOfDestroyedRecords(t *testing.T) {
	p := oidctest.Start(t)
	w := newOIDCWorld(t, p)
	destroyed := map[byte]bool{}
	var broken error
	w.cfg.Fate = func(_ context.Context, record [16]byte) (protocol.State, time.Time, error) {
		if destroyed[record[0]] {
			return protocol.StateDestroyed, w.clock().Add(-PlaceRest), broken
		}
		return protocol.StateActive, time.Time{}, broken
	}
	admit := func(record byte) error {
		return w.admitted(t, record, []byte(p.Token(t, "anna", nonce(record))))
	}
	for record := range byte(AccountRecords) {
		if err := admit(1 + record); err != nil {
			t.Fatalf("record %d: %v", 1+record, err)
		}
	}
	if err := admit(9); !errors.Is(err, protocol.ErrQuota) {
		t.Errorf("a ninth, while all live: %v", err)
	}
	destroyed[2], destroyed[5] = true, true
	broken = errors.New("the store is away")
	if err := admit(9); !errors.Is(err, protocol.ErrInternal) {
		t.Errorf("a ninth, and nobody knows of the others: %v", err)
	}
	broken = nil
	for _, record := range []byte{9, 10, 9} {
		if err := admit(record); err != nil {
			t.Errorf("record %d, in the place of a destroyed one: %v", record, err)
		}
	}
	if err := admit(11); !errors.Is(err, protocol.ErrQuota) {
		t.Errorf("an eleventh, with eight that live: %v", err)
	}
	if err := admit(1); err != nil {
		t.Errorf("the first again: %v", err)
	}
}

// TestTokensThatAreWrongInOneThing: each is refused, nothing is stored for it, and the token
// it was made from is good.
func TestTokensThatAreWrongInOneThing(t *testing.T) {
	p := oidctest.Start(t)
	w := newOIDCWorld(t, p)
	good := p.Token(t, "anna", nonce(1))
	if len(oidctest.Faults()) < 10 {
		t.Fatal("hardly any faults")
	}
	for _, fault := range oidctest.Faults() {
		bad := p.Wrong(t, good, fault)
		if bad == good {
			t.Fatalf("%s: the same token", fault)
		}
		if err := w.admitted(t, 1, []byte(bad)); !errors.Is(err, protocol.ErrSignIn) {
			t.Errorf("a token %s: %v", fault, err)
		}
	}
	for name, bad := range map[string]string{
		"empty": "", "no token": "hello", "dots": "..", "large": strings.Repeat("a", protocol.MaxAdmission+1),
		"cut": good[:len(good)-1], "twice": good + good, "of another record": p.Token(t, "anna", nonce(2)),
	} {
		if err := w.admitted(t, 1, []byte(bad)); !errors.Is(err, protocol.ErrSignIn) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.store.rows) != 0 {
		t.Errorf("%d rows for nobody", len(w.store.rows))
	}
	for name, change := range map[string]func(map[string]any){
		"as it is":      func(map[string]any) {},
		"two audiences": func(c map[string]any) { c["aud"], c["azp"] = []string{"another", p.ClientID()}, p.ClientID() },
		"no party":      func(c map[string]any) { delete(c, "azp") },
	} {
		if err := w.admitted(t, 1, []byte(p.Resign(t, good, change))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.pass(oidctest.TokenLife + time.Minute)
	if err := w.admitted(t, 1, []byte(good)); !errors.Is(err, protocol.ErrSignIn) {
		t.Errorf("an hour later: %v", err)
	}
}

// TestAnAccountIsNotAnAddress: who signs in with somebody else's e-mail address is not him.
func TestAnAccountIsNotAnAddress(t *testing.T) {
	p := oidctest.Start(t)
	w := newOIDCWorld(t, p)
	with := func(user string, record byte, claims map[string]any) []byte {
		return []byte(p.Resign(t, p.Token(t, user, nonce(record)), func(c map[string]any) {
			for k, v := range claims {
				c[k] = v
			}
		}))
	}
	mail := map[string]any{"email": "anna@example.org", "email_verified": true, "preferred_username": "anna"}
	for record := range byte(AccountRecords) {
		if err := w.admitted(t, 1+record, with("anna", 1+record, mail)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.admitted(t, 20, with("bert", 20, mail)); err != nil {
		t.Errorf("another subject with the same address: %v", err)
	}
	other := map[string]any{"email": "anna@elsewhere.example"}
	if err := w.admitted(t, 21, with("anna", 21, other)); !errors.Is(err, protocol.ErrQuota) {
		t.Errorf("the same subject with another address: %v", err)
	}
}

func TestKeysThatChange(t *testing.T) {
	p := oidctest.Start(t)
	w := newOIDCWorld(t, p)
	old := p.Token(t, "anna", nonce(1))
	if err := w.admitted(t, 1, []byte(old)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := w.admitted(t, 1, []byte(old)); err != nil {
			t.Fatal(err)
		}
	}
	if p.Asked() != 1 {
		t.Errorf("the keys were asked for %d times: they are not kept", p.Asked())
	}
	w.pass(time.Minute)
	for _, elliptic := range []bool{false, true} {
		p.Rotate(t, elliptic)
		if err := w.admitted(t, 1, []byte(p.Token(t, "anna", nonce(1)))); err != nil {
			t.Errorf("after a rotation (elliptic: %v): %v", elliptic, err)
		}
		w.pass(time.Minute)
	}
	if err := w.admitted(t, 1, []byte(old)); err != nil {
		t.Errorf("an older key that is still published: %v", err)
	}
	p.Withdraw()
	w.pass(keysLife)
	if err := w.admitted(t, 1, []byte(old)); !errors.Is(err, protocol.ErrSignIn) {
		t.Errorf("a key that was withdrawn an hour ago: %v", err)
	}
}

// TestNobodyFloodsTheProvider: tokens with keys that do not exist make the vault ask again,
// but not more often than every few seconds; who has a good token meanwhile gets in.
func TestNobodyFloodsTheProvider(t *testing.T) {
	p := oidctest.Start(t)
	w := newOIDCWorld(t, p)
	good := p.Token(t, "anna", nonce(1))
	bad := p.Wrong(t, good, oidctest.OtherKey)
	for range 50 {
		if err := w.admitted(t, 1, []byte(bad)); !errors.Is(err, protocol.ErrSignIn) {
			t.Fatal(err)
		}
	}
	if err := w.admitted(t, 1, []byte(good)); err != nil {
		t.Error(err)
	}
	if p.Asked() != 1 {
		t.Errorf("asked %d times", p.Asked())
	}
	w.pass(issuerPause + time.Second)
	for range 50 {
		_ = w.admitted(t, 1, []byte(bad))
	}
	if p.Asked() != 2 {
		t.Errorf("asked %d times", p.Asked())
	}
	w.pass(issuerPause + time.Second)
	for range 10 { // signed by the provider: no other key would change anything
		_ = w.admitted(t, 1, []byte(p.Wrong(t, good, oidctest.Expired)))
	}
	if p.Asked() != 2 {
		t.Errorf("an expired token has the keys asked for: %d times", p.Asked())
	}
}

func TestAProviderThatIsDown(t *testing.T) {
	p := oidctest.Start(t)
	w := newOIDCWorld(t, p)
	good := []byte(p.Token(t, "anna", nonce(1)))
	p.SetDown(true)
	if err := w.admitted(t, 1, good); !errors.Is(err, protocol.ErrInternal) {
		t.Errorf("down: %v", err)
	}
	p.SetDown(false)
	if err := w.admitted(t, 1, good); !errors.Is(err, protocol.ErrInternal) {
		t.Errorf("asked again at once: %v", err)
	}
	w.pass(issuerPause)
	if err := w.admitted(t, 1, good); err != nil {
		t.Errorf("up again: %v", err)
	}
	p.SetDown(true)
	w.pass(time.Minute)
	if err := w.admitted(t, 1, good); err != nil {
		t.Errorf("down, but its keys are known: %v", err)
	}
	w.pass(keysLife)
	if err := w.admitted(t, 1, good); errors.Is(err, nil) {
		t.Error("down for an hour: who knows whether the key was withdrawn")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newOIDCWorld(t, p).Admit(ctx, [16]byte{1}, good); !errors.Is(err, protocol.ErrInternal) {
		t.Errorf("gone before it began: %v", err)
	}
}

// TestProvidersThatAnswerNonsense: nothing that a provider, or who speaks for it, says makes
// the desk take a token, follow a redirect, or read without end.
func TestProvidersThatAnswerNonsense(t *testing.T) {
	good := oidctest.Start(t)
	token := []byte(good.Token(t, "anna", nonce(1)))
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a redirect was followed")
	}))
	defer elsewhere.Close()
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(bytes.Repeat([]byte{' '}, 1<<10)); err != nil {
				return
			}
		}
	}
	for name, answer := range map[string]func(issuer string) (config, keys http.HandlerFunc){
		"another issuer": func(string) (http.HandlerFunc, http.HandlerFunc) {
			return text(`{"issuer":"https://issuer.example","jwks_uri":"%s"}`, good.Issuer()+"/keys"), nil
		},
		"keys without TLS": func(s string) (http.HandlerFunc, http.HandlerFunc) {
			return text(`{"issuer":"%s","jwks_uri":"http://issuer.example/keys"}`, s), nil
		},
		"no keys' place": func(s string) (http.HandlerFunc, http.HandlerFunc) { return text(`{"issuer":"%s"}`, s), nil },
		"a file": func(s string) (http.HandlerFunc, http.HandlerFunc) {
			return text(`{"issuer":"%s","jwks_uri":"file:///etc/passwd"}`, s), nil
		},
		"no JSON": func(string) (http.HandlerFunc, http.HandlerFunc) { return text("<html>%s", ""), nil },
		"endless": func(string) (http.HandlerFunc, http.HandlerFunc) { return endless, nil },
		"redirect": func(string) (http.HandlerFunc, http.HandlerFunc) {
			return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, nil
		},
		"no keys":      func(s string) (http.HandlerFunc, http.HandlerFunc) { return config(s), text(`{"keys":[]%s}`, "") },
		"endless keys": func(s string) (http.HandlerFunc, http.HandlerFunc) { return config(s), endless },
		"a secret": func(s string) (http.HandlerFunc, http.HandlerFunc) {
			return config(s), text(`{"keys":[{"kty":"oct","k":"%s"}]}`, "AAAA")
		},
		"for encrypting": func(s string) (http.HandlerFunc, http.HandlerFunc) {
			return config(s), text(`{"keys":[%s]}`, ecKey("enc"))
		},
		"too many keys": func(s string) (http.HandlerFunc, http.HandlerFunc) {
			return config(s), text(`{"keys":[%s]}`, strings.Repeat(ecKey("sig")+",", maxKeys)+ecKey("sig"))
		},
		"a small key": func(s string) (http.HandlerFunc, http.HandlerFunc) {
			return config(s), text(`{"keys":[{"kty":"RSA","e":"AQAB","n":"%s"}]}`, strings.Repeat("_", 171)) // 1,024 bits
		},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			server := httptest.NewServer(mux)
			defer server.Close()
			config, keys := answer(server.URL)
			mux.HandleFunc("/.well-known/openid-configuration", config)
			if keys != nil {
				mux.HandleFunc("/keys", keys)
			}
			w := newWorld(t, func(c *Config) { c.Mode, c.Issuer, c.ClientID = ModeOIDC, server.URL, oidctest.ClientID })
			if err := w.admitted(t, 1, token); !errors.Is(err, protocol.ErrInternal) {
				t.Error(err)
			}
		})
	}
}

func text(format string, a string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, format, a)
	}
}

func config(issuer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"issuer":"%s","jwks_uri":"%s/keys"}`, issuer, issuer)
	}
}

// ecKey is the base point of P-256 as a public key.
func ecKey(use string) string {
	return `{"kty":"EC","crv":"P-256","use":"` + use + `","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}`
}

// TestTheLogKeepsTokensToItself: what is logged about a refused token is the reason.
func TestTheLogKeepsTokensToItself(t *testing.T) {
	p := oidctest.Start(t)
	var log bytes.Buffer
	w := newWorld(t, func(c *Config) {
		c.Mode, c.Issuer, c.ClientID = ModeOIDC, p.Issuer(), p.ClientID()
		c.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	good := p.Token(t, "anna", nonce(1))
	for _, fault := range oidctest.Faults() {
		bad := p.Wrong(t, good, fault)
		_ = w.admitted(t, 1, []byte(bad))
		for _, part := range append(strings.Split(bad, "."), "subject of") {
			if len(part) > 8 && bytes.Contains(log.Bytes(), []byte(part)) {
				t.Errorf("a token %s: a part of it is in the log", fault)
			}
		}
	}
	if !strings.Contains(log.String(), "ID token refused") {
		t.Error("nothing is logged")
	}
}
