// Package signin gets an ID token by way of the browser of this computer.
//
// Words: the issuer is who knows the user's account (OpenID Connect Core 1.0); an ID token
// is its signed word that somebody has signed in just now; the client id is the name under
// which the issuer knows the program that asks; the nonce is what the token is for, so that
// it is good for nothing else.
//
// The program is a native one without a secret (RFC 8252): the answer of the browser comes
// to a port of this computer that is open for this alone, and is worth nothing without the
// verifier that never left this process (RFC 7636). The token is not judged here: it came
// from the issuer over TLS (OpenID Connect Core 1.0, section 3.1.3.7), and whom it is for
// judges it anyway.
package signin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	// maxAnswer bounds what an issuer may answer, in bytes.
	maxAnswer = 64 << 10
	// MaxToken is the longest ID token that is taken, in bytes (docs/vault-protocol.md).
	MaxToken = 6144
	// maxCode bounds what the browser brings.
	maxCode = 4 << 10

	answerLife = 30 * time.Second
	userLife   = 5 * time.Minute
	wellKnown  = "/.well-known/openid-configuration"
	donePage   = "You can close this tab and return to Coffer."
)

var (
	// ErrRefused says that the user did not allow it, in the browser.
	ErrRefused = errors.New("signin: refused in the browser")
	// ErrTimeout says that nobody finished in the browser.
	ErrTimeout = errors.New("signin: nobody finished in the browser")
	// ErrIssuer says that the issuer does not answer, or not as one (OpenID Connect
	// Discovery 1.0; RFC 6749).
	ErrIssuer = errors.New("signin: the issuer does not answer as one")
)

// A Request is what the token shall say. All fields are needed but the last two.
type Request struct {
	Issuer    string // a URL, https or on this very computer
	ClientID  string
	Nonce     string
	Transport http.RoundTripper // nil: http.DefaultTransport
	Patience  time.Duration     // how long the user may take; 0: five minutes
}

// IDToken shows the user the issuer's page and returns the ID token. open gets the address
// of that page, once; it may also be shown to be copied. [ErrRefused], [ErrTimeout],
// [ErrIssuer], those of open, and the cause of ctx.
func IDToken(ctx context.Context, r Request, open func(address string) error) (string, error) {
	if r.Patience <= 0 {
		r.Patience = userLife
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.Patience, ErrTimeout)
	defer cancel()
	token, err := r.token(ctx, open)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("sign in at %s: %w", host(r.Issuer), err)
	}
	return token, nil
}

func (r Request) token(ctx context.Context, open func(string) error) (string, error) {
	endpoint, err := r.discover(ctx)
	if err != nil {
		return "", err
	}
	// The number and not "localhost", which another program may have pointed elsewhere.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("wait for the browser: %w", err)
	}
	config := oauth2.Config{
		ClientID: r.ClientID, Endpoint: endpoint, Scopes: []string{"openid"}, RedirectURL: "http://" + listener.Addr().String() + "/",
	}
	state, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier() // both are 32 random bytes
	w := &waiter{state: state, reply: make(chan reply, 1)}
	server := &http.Server{Handler: w, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() { _ = server.Serve(listener) }() // ends with Close, below
	defer server.Close()

	if err := open(config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", r.Nonce))); err != nil {
		return "", fmt.Errorf("open the browser: %w", err)
	}
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case answer := <-w.reply:
		if answer.err != nil {
			return "", answer.err
		}
		return r.exchange(ctx, config, answer.code, verifier)
	}
}

// exchange makes a token of the browser's code.
func (r Request) exchange(ctx context.Context, config oauth2.Config, code, verifier string) (string, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, r.client())
	answer, err := config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		// Its words are the issuer's, and may quote the code.
		return "", fmt.Errorf("%w: it gave no token for the code", ErrIssuer)
	}
	token, _ := answer.Extra("id_token").(string)
	if token == "" || len(token) > MaxToken || strings.Count(token, ".") != 2 {
		return "", fmt.Errorf("%w: it gave no ID token", ErrIssuer)
	}
	return token, nil
}

// discover asks the issuer for its addresses (OpenID Connect Discovery 1.0, section 4).
func (r Request) discover(ctx context.Context) (oauth2.Endpoint, error) {
	if !isSafe(r.Issuer) {
		return oauth2.Endpoint{}, fmt.Errorf("%w: its address is not one of https", ErrIssuer)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(r.Issuer, "/")+wellKnown, nil)
	if err != nil {
		return oauth2.Endpoint{}, fmt.Errorf("%w: %w", ErrIssuer, err)
	}
	resp, err := r.client().Do(req)
	if err != nil {
		return oauth2.Endpoint{}, fmt.Errorf("%w: %w", ErrIssuer, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return oauth2.Endpoint{}, fmt.Errorf("%w: HTTP status %d", ErrIssuer, resp.StatusCode)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return oauth2.Endpoint{}, fmt.Errorf("%w: %w", ErrIssuer, err)
	}
	return parseDiscovery(body, r.Issuer)
}

// parseDiscovery reads the metadata of an issuer. It must name itself as it was asked
// (section 4.3): otherwise one issuer could stand for another.
func parseDiscovery(body []byte, issuer string) (oauth2.Endpoint, error) {
	var says struct {
		Issuer        string `json:"issuer"`
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
	}
	if err := json.Unmarshal(body, &says); err != nil {
		return oauth2.Endpoint{}, fmt.Errorf("%w: %w", ErrIssuer, err)
	}
	if says.Issuer != issuer || !isSafe(says.Authorization) || !isSafe(says.Token) {
		return oauth2.Endpoint{}, fmt.Errorf("%w: its metadata are another's, or not of https", ErrIssuer)
	}
	// A client without a secret names itself in the parameters (RFC 6749, section 3.2.1).
	return oauth2.Endpoint{AuthURL: says.Authorization, TokenURL: says.Token, AuthStyle: oauth2.AuthStyleInParams}, nil
}

// isSafe reports whether an address is one of https, or on this very computer.
func isSafe(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && err == nil && ip.IsLoopback()
}

func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an issuer"
	}
	return u.Host
}

// client follows no redirect, waits for a time, and reads no more than is of use.
func (r Request) client() *http.Client {
	transport := r.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &http.Client{
		Transport: bounded{transport}, Timeout: answerLife,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded cuts answers off.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

// A waiter takes the browser's answer, once.
type waiter struct {
	state string
	reply chan reply // has room for one
	first sync.Once
}

type reply struct {
	code string
	err  error
}

// ServeHTTP takes the one request with our state. Others (icons, port scanners, forged
// answers) must not end the wait.
func (w *waiter) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	ours := subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(w.state)) == 1
	code, refusal := query.Get("code"), query.Get("error")
	if req.Method != http.MethodGet || req.URL.Path != "/" || !ours || code == "" && refusal == "" {
		http.Error(rw, "not for here", http.StatusNotFound)
		return
	}
	page(rw) // before the reply, which ends the server
	w.first.Do(func() { w.reply <- replyOf(code, refusal) })
}

// replyOf reads an authorization response (RFC 6749, section 4.1.2).
func replyOf(code, refusal string) reply {
	switch {
	case refusal == "access_denied":
		return reply{err: ErrRefused}
	case refusal != "" || len(code) > maxCode:
		return reply{err: fmt.Errorf("%w: it sent the browser back without a code", ErrIssuer)}
	}
	return reply{code: code}
}

// page says that the browser is not needed any more.
func page(rw http.ResponseWriter) {
	h := rw.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Referrer-Policy", "no-referrer") // the address of this page has the code
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("Connection", "close")
	fmt.Fprintf(rw, "<!doctype html><meta charset=utf-8><title>Coffer</title><p>%s</p>\n", html.EscapeString(donePage))
	if err := http.NewResponseController(rw).Flush(); errors.Is(err, http.ErrNotSupported) {
		return // sent at the end of the request, then
	}
}
