package drivetest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DriveScope is the one scope that the fake grants.
const DriveScope = "https://www.googleapis.com/auth/drive.file"

// A grant is an access token's.
type grant struct {
	account Account
	until   time.Time
}

// A pendingCode is an authorization code that was not exchanged yet.
type pendingCode struct {
	account   Account
	challenge string
	redirect  string
}

// Consent is what Google's page does when the user agrees: it checks the address
// that the program opened, and returns the one that the browser is sent to. The
// request to it is the test's to make.
func (f *Fake) Consent(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	q := u.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": ClientID, "scope": DriveScope,
		"access_type": "offline", "prompt": "consent", "code_challenge_method": "S256",
	} {
		if q.Get(name) != want {
			return "", fmt.Errorf("sign-in asks with %s %q, want %q", name, q.Get(name), want)
		}
	}
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || redirect.Scheme != "http" || redirect.Hostname() != "127.0.0.1" || redirect.Port() == "" {
		return "", fmt.Errorf("sign-in comes back to %q", q.Get("redirect_uri"))
	}
	if len(q.Get("state")) < 20 || len(q.Get("code_challenge")) != 43 {
		return "", fmt.Errorf("sign-in has no state, or no challenge")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	account := Alice()
	if f.grantedAt == Bob().ID {
		account = Bob()
	}
	code := f.name("code-" + Mark)
	f.codes[code] = pendingCode{account, q.Get("code_challenge"), q.Get("redirect_uri")}
	answer := url.Values{"state": {q.Get("state")}, "code": {code}, "scope": {DriveScope}}
	return q.Get("redirect_uri") + "/?" + answer.Encode(), nil
}

// tokenRefusal is an error of RFC 6749, section 5.2.
func tokenRefusal(status int, code string) result {
	res := ok(mustJSON(map[string]string{"error": code, "error_description": "no: " + Mark}))
	res.status = status
	return res
}

// giveToken is the token endpoint. The caller holds mu.
func (f *Fake) giveToken(in *incoming) result {
	form, err := url.ParseQuery(string(in.body))
	if err != nil || in.Method != http.MethodPost || !strings.HasPrefix(in.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return tokenRefusal(http.StatusBadRequest, "invalid_request")
	}
	if form.Get("client_id") != ClientID || form.Get("client_secret") != ClientSecret {
		return tokenRefusal(http.StatusUnauthorized, "invalid_client")
	}
	switch form.Get("grant_type") {
	case "refresh_token":
		account, known := f.refresh[form.Get("refresh_token")]
		if !known {
			return tokenRefusal(http.StatusBadRequest, "invalid_grant")
		}
		return ok(mustJSON(f.newAccess(account)))
	case "authorization_code":
		code, known := f.codes[form.Get("code")]
		delete(f.codes, form.Get("code")) // once only
		sum := sha256.Sum256([]byte(form.Get("code_verifier")))
		if !known || code.redirect != form.Get("redirect_uri") || code.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			return tokenRefusal(http.StatusBadRequest, "invalid_grant")
		}
		answer := f.newAccess(code.account)
		refresh := f.name("refresh-" + Mark)
		f.refresh[refresh] = code.account
		answer["refresh_token"] = refresh
		return ok(mustJSON(answer))
	}
	return tokenRefusal(http.StatusBadRequest, "unsupported_grant_type")
}

func (f *Fake) newAccess(a Account) map[string]any {
	token := f.name("access-" + Mark)
	f.access[token] = grant{a, time.Now().Add(time.Hour)}
	scope := f.Scope
	if scope == "" {
		scope = DriveScope
	}
	return map[string]any{"access_token": token, "expires_in": 3600, "token_type": "Bearer", "scope": scope}
}

// revokeToken is the end of a sign-in, with all of its access tokens.
func (f *Fake) revokeToken(in *incoming) result {
	form, err := url.ParseQuery(string(in.body))
	account, known := f.refresh[form.Get("token")]
	if err != nil || in.Method != http.MethodPost || !known {
		return tokenRefusal(http.StatusBadRequest, "invalid_token")
	}
	for token, a := range f.refresh {
		if a == account {
			delete(f.refresh, token)
		}
	}
	for token, g := range f.access {
		if g.account == account {
			delete(f.access, token)
		}
	}
	return ok([]byte("{}"))
}
