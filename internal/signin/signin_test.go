package signin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"coffer/vault/server/admit/oidctest"
)

func request(p *oidctest.Provider) Request {
	return Request{Issuer: p.Issuer(), ClientID: p.ClientID(), Nonce: "00112233445566778899aabbccddeeff"}
}

// TestIDToken signs somebody in at a real provider: the token is for this client and for
// this nonce, and not for another.
func TestIDToken(t *testing.T) {
	p := oidctest.Start(t)
	asked := 0
	token, err := IDToken(t.Context(), request(p), func(address string) error {
		asked++
		p.SignIn(t, address, "ann")
		return nil
	})
	if err != nil || asked != 1 {
		t.Fatalf("asked %d times: %v", asked, err)
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var says struct{ Iss, Sub, Nonce string }
	if err := json.Unmarshal(claims, &says); err != nil {
		t.Fatal(err)
	}
	if says.Iss != p.Issuer() || says.Nonce != request(p).Nonce || says.Sub == "" {
		t.Errorf("%+v", says)
	}
}

// answer lets the browser come back with these values and the right state.
func answer(t *testing.T, values string) func(string) error {
	return func(address string) error {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		back := u.Query().Get("redirect_uri")
		for _, forged := range []string{"?code=x&state=forged", "favicon.ico", "?state=" + u.Query().Get("state")} {
			if status := visit(t, back+forged); status != http.StatusNotFound {
				t.Errorf("%s: status %d", forged, status)
			}
		}
		if status := visit(t, back+"?"+values+"&state="+u.Query().Get("state")); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
		return nil
	}
}

func visit(t *testing.T, address string) int {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestSignInEnds(t *testing.T) {
	p := oidctest.Start(t)
	noBrowser := errors.New("no browser")
	for name, tt := range map[string]struct {
		open func(string) error
		want error
	}{
		"refused":    {answer(t, "error=access_denied"), ErrRefused},
		"error":      {answer(t, "error=server_error"), ErrIssuer},
		"code":       {answer(t, "code=forged"), ErrIssuer},
		"long code":  {answer(t, "code="+strings.Repeat("x", maxCode+1)), ErrIssuer},
		"no browser": {func(string) error { return noBrowser }, noBrowser},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := IDToken(t.Context(), request(p), tt.open)
			if !errors.Is(err, tt.want) || token != "" {
				t.Errorf("%q, %v", token, err)
			}
			if err != nil && strings.Contains(err.Error(), "forged") {
				t.Errorf("the error quotes the code: %v", err)
			}
		})
	}
	r := request(p)
	r.Patience = time.Millisecond
	if _, err := IDToken(t.Context(), r, func(string) error { return nil }); !errors.Is(err, ErrTimeout) {
		t.Errorf("nobody there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := IDToken(ctx, request(p), func(string) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	p.SetDown(true)
	if _, err := IDToken(t.Context(), request(p), func(string) error { t.Error("asked"); return nil }); !errors.Is(err, ErrIssuer) {
		t.Errorf("down: %v", err)
	}
}

// TestIssuersThatAreNone: nobody is sent to a page that the issuer has not named over TLS.
func TestIssuersThatAreNone(t *testing.T) {
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, body) }))
	defer server.Close()
	for name, tt := range map[string]string{
		"nothing":        "",
		"not JSON":       "<html>",
		"another":        `{"issuer":"https://other.example","authorization_endpoint":"https://a/","token_endpoint":"https://a/"}`,
		"plain page":     `{"issuer":"ISSUER","authorization_endpoint":"http://a.example/","token_endpoint":"https://a/"}`,
		"plain token":    `{"issuer":"ISSUER","authorization_endpoint":"https://a/","token_endpoint":"http://a.example/"}`,
		"script":         `{"issuer":"ISSUER","authorization_endpoint":"javascript:alert(1)","token_endpoint":"https://a/"}`,
		"endless":        `{"issuer":"ISSUER","x":"` + strings.Repeat("x", maxAnswer) + `"}`,
		"no token at it": `{"issuer":"ISSUER","authorization_endpoint":"https://a/"}`,
	} {
		t.Run(name, func(t *testing.T) {
			body = strings.ReplaceAll(tt, "ISSUER", server.URL)
			_, err := IDToken(t.Context(), Request{Issuer: server.URL, ClientID: "c", Nonce: "n"}, func(string) error { t.Error("asked"); return nil })
			if !errors.Is(err, ErrIssuer) {
				t.Errorf("%v", err)
			}
		})
	}
	for _, issuer := range []string{"", "http://issuer.example", "ftp://127.0.0.1", "https://ann@issuer.example", "https://"} {
		_, err := IDToken(t.Context(), Request{Issuer: issuer, ClientID: "c", Nonce: "n"}, func(string) error { t.Error("asked"); return nil })
		if !errors.Is(err, ErrIssuer) {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

func FuzzDiscovery(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://i","authorization_endpoint":"https://a/","token_endpoint":"https://t/"}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := parseDiscovery(body, "https://i")
		if err == nil && (!isSafe(e.AuthURL) || !isSafe(e.TokenURL)) {
			t.Errorf("took %+v", e)
		}
	})
}
