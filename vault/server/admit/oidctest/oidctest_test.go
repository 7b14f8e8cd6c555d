package oidctest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestSignInEndsAtTheClient: the browser follows from the client's address to the form, and
// back to the client, with code and state, on any port and path of loopback.
func TestSignInEndsAtTheClient(t *testing.T) {
	p := Start(t)
	for _, path := range []string{"", "/", "/callback", "/oauth/callback"} {
		got := make(chan url.Values, 1)
		app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got <- r.URL.Query()
			_, _ = fmt.Fprintln(w, "you may close this window")
		}))
		query := url.Values{
			"response_type": {"code"}, "client_id": {p.ClientID()}, "scope": {"openid"}, "redirect_uri": {app.URL + path},
			"state": {"state 1"}, "nonce": {"nonce"}, "code_challenge_method": {"S256"}, "code_challenge": {strings.Repeat("a", 43)},
		}
		p.SignIn(t, p.Issuer()+"/authorize?"+query.Encode(), "anna")
		app.Close()
		select {
		case q := <-got:
			if q.Get("state") != "state 1" || q.Get("code") == "" {
				t.Errorf("%q: the client got %v", path, q)
			}
		default:
			t.Errorf("%q: the client got nothing", path)
		}
	}
}

// TestAClientWithoutPKCEIsRefused: the provider is as strict as a good one.
func TestAClientWithoutPKCEIsRefused(t *testing.T) {
	p := Start(t)
	query := url.Values{
		"response_type": {"code"}, "client_id": {p.ClientID()}, "scope": {"openid"}, "redirect_uri": {"http://127.0.0.1:9/"},
		"state": {"state"}, "nonce": {"nonce"},
	}
	page, err := fetch(t.Context(), &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}, http.MethodGet, p.Issuer()+"/authorize?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if at := page.Header.Get("Location"); !strings.Contains(at, "error=") {
		t.Errorf("HTTP status %d, %q", page.StatusCode, at)
	}
}
