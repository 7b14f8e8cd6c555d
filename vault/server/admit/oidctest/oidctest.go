// Package oidctest is an identity provider for tests: a real one (zitadel/oidc's, with its
// storage in memory), on loopback, with users who sign in without a browser.
//
// Words:
//
//   - user: a name. Everybody exists; the provider's login form takes the name and
//     [Password]. The subject of his tokens is "subject of " and the name.
//   - fault: the one thing that is wrong with an ID token ([Provider.Wrong]).
//
// The provider has one client, a native one, of PKCE (RFC 7636) and any loopback redirect
// (RFC 8252, section 7.3): what the app is.
package oidctest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"

	"coffer/crypto/aead"
)

// ClientID is the one client of every provider of this package.
const ClientID = "coffer-desktop"

// Password opens the account of every user.
const Password = "a password for the provider alone"

// TokenLife is how long an ID token is good.
const TokenLife = time.Hour

// A Provider is a running identity provider. It is safe for concurrent use.
type Provider struct {
	server  *httptest.Server
	storage *storage
	asked   atomic.Int64 // for its keys
	down    atomic.Bool
}

// Start runs a provider until the test ends.
func Start(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{storage: newStorage(t)}
	mux := http.NewServeMux()
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		if r.URL.Path == "/keys" {
			p.asked.Add(1)
		}
		mux.ServeHTTP(w, r)
	}))
	p.server.Start()
	t.Cleanup(p.server.Close)
	provider, err := op.NewProvider(&op.Config{
		CryptoKey: [32]byte(aead.Random(32)), CodeMethodS256: true, SupportedUILocales: []language.Tag{language.English},
	}, p.storage, op.StaticIssuer(p.server.URL), op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	interceptor := op.NewIssuerInterceptor(provider.IssuerFromRequest)
	mux.HandleFunc("GET /login", showForm)
	mux.HandleFunc("POST /login", interceptor.HandlerFunc(p.takeForm(op.AuthCallbackURL(provider))))
	mux.Handle("/", provider)
	return p
}

// Issuer returns the issuer as tokens name it: a URL without a slash at its end.
func (p *Provider) Issuer() string { return p.server.URL }

// ClientID returns [ClientID].
func (p *Provider) ClientID() string { return ClientID }

// Asked returns how often anybody has asked for the provider's keys.
func (p *Provider) Asked() int { return int(p.asked.Load()) }

// SetDown has every request answered with HTTP status 503, or not any more.
func (p *Provider) SetDown(down bool) { p.down.Store(down) }

var form = template.Must(template.New("form").Parse(
	`<!doctype html><form method="post" action="/login"><input type="hidden" name="id" value="{{.}}">` +
		`<input name="user"><input name="password" type="password"></form>`))

func showForm(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = form.Execute(w, r.FormValue("id"))
}

func (p *Provider) takeForm(callback func(context.Context, string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.PostFormValue("id")
		if r.PostFormValue("password") != Password || !p.storage.signIn(id, r.PostFormValue("user")) {
			http.Error(w, "who?", http.StatusForbidden)
			return
		}
		http.Redirect(w, r, callback(r.Context(), id), http.StatusFound)
	}
}

var hiddenID = regexp.MustCompile(`name="id" value="([^"]+)"`)

// SignIn is a user in front of a browser: it opens authURL, fills in the provider's form,
// and follows every redirect to its end, which is the page that the client shows at its
// redirect URI.
func (p *Provider) SignIn(t testing.TB, authURL, user string) {
	t.Helper()
	resp, err := p.browse(t, authURL, user, nil) //nolint:bodyclose // browse has closed it
	if err != nil {
		t.Fatalf("sign in: %v", err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("sign in: the client's page: HTTP status %d", resp.StatusCode)
	}
}

// browse signs in; stop says where to stop.
func (p *Provider) browse(t testing.TB, authURL, user string, stop func(*http.Request, []*http.Request) error) (*http.Response, error) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{Jar: jar, CheckRedirect: stop, Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	page, err := fetch(t.Context(), browser, http.MethodGet, authURL, nil)
	if err != nil {
		return nil, err
	}
	id := hiddenID.FindStringSubmatch(page.text)
	if id == nil {
		return nil, fmt.Errorf("no login form, but HTTP status %d: %.200s", page.StatusCode, page.text)
	}
	// The form's own address, and with it the cookies, are those of the provider.
	page, err = fetch(t.Context(), browser, http.MethodPost, p.Issuer()+"/login",
		url.Values{"id": {id[1]}, "user": {user}, "password": {Password}})
	if err != nil {
		return nil, err
	}
	return page.Response, nil
}

type page struct {
	*http.Response
	text string
}

func fetch(ctx context.Context, client *http.Client, method, address string, form url.Values) (page, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		return page{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return page{resp, string(text)}, err
}

// Token signs a user in and returns his ID token: the whole authorization code flow with
// PKCE, as a client does it (OpenID Connect Core 1.0, section 3.1).
func (p *Provider) Token(t testing.TB, user, nonce string) string {
	t.Helper()
	const redirect = "http://127.0.0.1:9/callback" // nobody listens: the code is taken from the address
	verifier := base64.RawURLEncoding.EncodeToString(aead.Random(32))
	challenge := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {ClientID}, "scope": {"openid"}, "redirect_uri": {redirect},
		"state": {"a state"}, "nonce": {nonce}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}
	reached := errors.New("oidctest: at the client's address")
	var code string
	_, err := p.browse(t, p.Issuer()+"/authorize?"+query.Encode(), user, func(r *http.Request, _ []*http.Request) error { //nolint:bodyclose // browse has closed it
		if strings.HasPrefix(r.URL.String(), redirect) {
			code = r.URL.Query().Get("code")
			return reached
		}
		return nil
	})
	if !errors.Is(err, reached) || code == "" {
		t.Fatalf("no code for user %q: %v", user, err)
	}
	answer, err := fetch(t.Context(), p.server.Client(), http.MethodPost, p.Issuer()+"/oauth/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect},
		"client_id": {ClientID}, "code_verifier": {verifier},
	})
	if err != nil {
		t.Fatal(err)
	}
	var tokens struct {
		ID string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(answer.text), &tokens); err != nil || tokens.ID == "" {
		t.Fatalf("no ID token: HTTP status %d: %.200s: %v", answer.StatusCode, answer.text, err)
	}
	return tokens.ID
}
