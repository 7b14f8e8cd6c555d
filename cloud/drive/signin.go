package drive

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"coffer/cloud"
)

// signInFor is how long the user may take.
const signInFor = 5 * time.Minute

// SignInOptions tune a sign-in. The zero value is right for Google.
type SignInOptions struct {
	// Account, if not zero, is the only one that will do; others are [cloud.ErrAccount].
	Account Account
	// Endpoint and Transport are those of [Config].
	Endpoint  string
	Transport http.RoundTripper
	// Timeout is how long the user may take; 0: five minutes.
	Timeout time.Duration
	// Done is the sentence that the browser shows at the end; "" is an English one.
	Done string
}

// SignIn lets the user sign in with the browser of this computer, and returns
// what is to be kept. open shows an address to the user; it is called once, and
// the address may also be shown to be copied. It waits for
// the user as long as o says ([cloud.ErrTimeout]), or until ctx is done.
//
// The browser's answer comes to a port of this computer that is open for this
// alone (RFC 8252, section 7.3); what does not carry the secret of this very
// sign-in is not for us and changes nothing. An answer that is stolen is worth
// nothing without the verifier that never left this process (RFC 7636).
func SignIn(ctx context.Context, client ClientConfig, open func(url string) error, o SignInOptions) (Token, error) {
	if err := client.check(); err != nil {
		return Token{}, fmt.Errorf("sign in: %w: %w", cloud.ErrClient, err)
	}
	if o.Timeout <= 0 {
		o.Timeout = signInFor
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, cloud.ErrTimeout)
	defer cancel()
	fresh, err := authorize(ctx, client, open, o)
	if err != nil {
		return Token{}, fmt.Errorf("sign in: %w", plain(ctx, err))
	}
	account, err := whose(ctx, client, fresh, o)
	if err != nil {
		return Token{}, fmt.Errorf("sign in: %w", plain(ctx, err))
	}
	if o.Account.ID != "" && o.Account.ID != account.ID {
		return Token{}, fmt.Errorf("sign in: %w", cloud.ErrAccount)
	}
	return NewToken(fresh.RefreshToken, account), nil
}

// plain says why ctx ended, if it did.
func plain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// authorize gets a token by way of the browser.
func authorize(ctx context.Context, client ClientConfig, open func(string) error, o SignInOptions) (*oauth2.Token, error) {
	// The number and not "localhost", which another program may have pointed
	// elsewhere, or which is ::1 to the browser.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("wait for the browser: %w", err)
	}
	config := client.oauth()
	config.RedirectURL = "http://" + listener.Addr().String()
	state, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier() // both are 32 random bytes
	w := &waiter{state: state, done: o.Done, reply: make(chan reply, 1)}
	server := &http.Server{Handler: w, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() { _ = server.Serve(listener) }() // ends with Close, below
	defer server.Close()

	address := config.AuthCodeURL(state, oauth2.AccessTypeOffline, oauth2.SetAuthURLParam("prompt", "consent"), oauth2.S256ChallengeOption(verifier))
	if err := open(address); err != nil {
		return nil, fmt.Errorf("open the browser: %w", err)
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case r := <-w.reply:
		if r.err != nil {
			return nil, r.err
		}
		return exchange(ctx, config, r.code, verifier, o.Transport)
	}
}

// exchange makes a token of the browser's code.
func exchange(ctx context.Context, config *oauth2.Config, code, verifier string, t http.RoundTripper) (*oauth2.Token, error) {
	fresh, err := config.Exchange(withClient(ctx, plainClient(t)), code, oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, fmt.Errorf("exchange code: %w", tokenError(err))
	}
	// The user may untick the box. If the answer does not say what was granted,
	// all of it was (RFC 6749, section 5.1).
	if granted, ok := fresh.Extra("scope").(string); ok && !slices.Contains(strings.Fields(granted), Scope) {
		return nil, cloud.ErrScope
	}
	if !printable(fresh.RefreshToken, maxToken) {
		return nil, &classed{fmt.Errorf("%w: no refresh token came", cloud.ErrAuth)}
	}
	return fresh, nil
}

// whose asks for the account of a new token.
func whose(ctx context.Context, client ClientConfig, fresh *oauth2.Token, o SignInOptions) (Account, error) {
	d, err := New(Config{Client: client, Tokens: once{NewToken(fresh.RefreshToken, o.Account)}, Endpoint: o.Endpoint, Transport: o.Transport})
	if err != nil {
		return Account{}, err
	}
	return d.Account(ctx)
}

// once is a store for the time of a sign-in.
type once struct{ token Token }

func (o once) Load(context.Context) (Token, error) { return o.token, nil }
func (o once) Save(context.Context, Token) error   { return nil }

// A waiter takes the browser's answer, once.
type waiter struct {
	state string
	done  string
	reply chan reply // has room for one
	first sync.Once
}

type reply struct {
	code string
	err  error
}

// ServeHTTP takes the one request with our state. Others (icons, port scanners,
// forged answers) must not end the wait.
func (w *waiter) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	ours := subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(w.state)) == 1
	code, refusal := query.Get("code"), query.Get("error")
	if req.Method != http.MethodGet || req.URL.Path != "/" || !ours || code == "" && refusal == "" {
		http.Error(rw, "not for here", http.StatusNotFound)
		return
	}
	w.page(rw) // before the reply, which ends the server
	w.first.Do(func() { w.reply <- replyOf(code, refusal) })
}

// replyOf reads an authorization response (RFC 6749, section 4.1.2).
func replyOf(code, refusal string) reply {
	switch {
	case refusal == "access_denied":
		return reply{err: cloud.ErrRefused}
	case refusal != "":
		return reply{err: &classed{fmt.Errorf("%w: %w", cloud.ErrClient, &answer{status: http.StatusFound, reason: word(refusal)})}}
	case !printable(code, maxToken):
		return reply{err: &classed{fmt.Errorf("%w: a code that is none", cloud.ErrAuth)}}
	}
	return reply{code: code}
}

// page says that the browser is not needed any more.
func (w *waiter) page(rw http.ResponseWriter) {
	sentence := w.done
	if sentence == "" {
		sentence = "You can close this tab and return to Coffer."
	}
	h := rw.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Referrer-Policy", "no-referrer") // the address of this page has the code
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("Connection", "close")
	fmt.Fprintf(rw, "<!doctype html><meta charset=utf-8><title>Coffer</title><p>%s</p>\n", html.EscapeString(sentence))
	if err := http.NewResponseController(rw).Flush(); errors.Is(err, http.ErrNotSupported) {
		return // sent at the end of the request, then
	}
}
