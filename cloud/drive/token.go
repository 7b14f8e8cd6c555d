package drive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/oauth2"

	"coffer/cloud"
)

const (
	maxTokenFile = 16 << 10
	maxToken     = 2048 // characters; Google's limit is 512
	// early is how long before its end an access token is not used any more.
	early = time.Minute
)

// An Account is whose Drive it is.
type Account struct {
	ID    string // Drive's permission id: stays when the address changes
	Email string // for people
}

// A Token is a sign-in that lasts: a refresh token and whose it is. The zero
// value is none. It prints without its secret.
type Token struct {
	Account Account // the zero value: not known yet; the first use of it tells
	refresh secret
}

// NewToken returns the sign-in with this refresh token.
func NewToken(refresh string, a Account) Token { return Token{a, conceal(refresh)} }

// Refresh returns the refresh token: for the keyring, and nobody else.
func (t Token) Refresh() string { return t.refresh.reveal() }

// A TokenStore keeps the sign-in: in the keyring, or in a sealed file. Load
// gives cloud.ErrAuth if there is none. Save is called when the account becomes
// known, or if Google gives a new refresh token. One Driver calls them from one
// goroutine at a time.
type TokenStore interface {
	Load(ctx context.Context) (Token, error)
	Save(ctx context.Context, t Token) error
}

// ReadTokenFile reads a refresh token from a file, for use without a browser: a
// line that is the token, or a JSON object with "refresh_token".
func ReadTokenFile(path string) (Token, error) {
	f, err := os.Open(path)
	if err != nil {
		return Token{}, fmt.Errorf("read token file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return Token{}, fmt.Errorf("read token file: %w", err)
	}
	t, err := ParseToken(data)
	if err != nil {
		return Token{}, fmt.Errorf("read token file %s: %w", path, err)
	}
	return t, nil
}

// ParseToken reads what [ReadTokenFile] found.
func ParseToken(data []byte) (Token, error) {
	if len(data) > maxTokenFile {
		return Token{}, fmt.Errorf("%w: too long", errSyntax)
	}
	data = bytes.TrimSpace(data)
	refresh := string(data)
	if bytes.HasPrefix(data, []byte("{")) {
		fields, err := object(data)
		if err != nil {
			return Token{}, err
		}
		if refresh, err = text(fields, "refresh_token"); err != nil {
			return Token{}, err
		}
	}
	if !printable(refresh, maxToken) {
		return Token{}, fmt.Errorf("%w: no refresh token", errSyntax)
	}
	return NewToken(refresh, Account{}), nil
}

// A signer gives access tokens, which live for an hour.
type signer struct {
	client ClientConfig
	tokens TokenStore
	http   *http.Client // without a signature of its own

	one    cloud.Mutex // held by whoever refreshes, and to read what follows
	access secret
	expiry time.Time // zero: not said
}

// token returns an access token that should be good, and asks for one if there
// is none.
func (s *signer) token(ctx context.Context) (string, error) {
	if err := s.one.Lock(ctx); err != nil {
		return "", err
	}
	defer s.one.Unlock()
	if access := s.access.reveal(); access != "" && (s.expiry.IsZero() || time.Until(s.expiry) > early) {
		return access, nil
	}
	if err := s.renew(ctx); err != nil {
		return "", err
	}
	return s.access.reveal(), nil
}

// spurn forgets an access token that was refused, unless a newer one is there.
func (s *signer) spurn(ctx context.Context, access string) error {
	if err := s.one.Lock(ctx); err != nil {
		return err
	}
	defer s.one.Unlock()
	if s.access.reveal() == access {
		s.access = nil
	}
	return nil
}

// renew asks for a new access token. The caller holds one.
func (s *signer) renew(ctx context.Context) error {
	kept, err := s.tokens.Load(ctx)
	if err != nil {
		return &classed{fmt.Errorf("load sign-in: %w", err)}
	}
	if kept.Refresh() == "" {
		return &classed{fmt.Errorf("load sign-in: %w", cloud.ErrAuth)}
	}
	source := s.client.oauth().TokenSource(withClient(ctx, s.http), &oauth2.Token{RefreshToken: kept.Refresh()})
	fresh, err := source.Token()
	if err != nil {
		return &classed{fmt.Errorf("refresh sign-in: %w", tokenError(err))}
	}
	if fresh.RefreshToken != "" && fresh.RefreshToken != kept.Refresh() {
		if err := s.tokens.Save(ctx, NewToken(fresh.RefreshToken, kept.Account)); err != nil {
			return &classed{fmt.Errorf("save sign-in: %w", err)}
		}
	}
	s.access, s.expiry = conceal(fresh.AccessToken), fresh.Expiry
	return nil
}

// belongs holds the account that Drive named against the one that the sign-in was
// kept for, or keeps it if none was named yet.
func (s *signer) belongs(ctx context.Context, actual Account) error {
	if err := s.one.Lock(ctx); err != nil {
		return err
	}
	defer s.one.Unlock()
	kept, err := s.tokens.Load(ctx)
	if err != nil {
		return fmt.Errorf("load sign-in: %w", err)
	}
	if kept.Account.ID == "" {
		if err := s.tokens.Save(ctx, NewToken(kept.Refresh(), actual)); err != nil {
			return fmt.Errorf("save sign-in: %w", err)
		}
		return nil
	}
	if kept.Account.ID != actual.ID {
		return cloud.ErrAccount
	}
	return nil
}

// withClient tells package oauth2 which client to use.
func withClient(ctx context.Context, c *http.Client) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, c)
}

// tokenError classes what package oauth2 says. Its own text repeats the
// server's answer, which may hold a token.
func tokenError(err error) error {
	var refusal *oauth2.RetrieveError
	if !errors.As(err, &refusal) {
		return classify(err)
	}
	a := &answer{reason: word(refusal.ErrorCode)}
	if refusal.Response != nil {
		a.status = refusal.Response.StatusCode
	}
	switch {
	case a.reason == "invalid_grant":
		return fmt.Errorf("%w: %w", cloud.ErrAuth, a)
	case a.reason == "invalid_client", a.reason == "unauthorized_client", a.reason == "deleted_client", a.reason == "disabled_client":
		return fmt.Errorf("%w: %w", cloud.ErrClient, a)
	case a.status == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %w", limited(refusal.Response.Header), a)
	case a.status >= 500 || a.status == http.StatusRequestTimeout || a.status < 400:
		return fmt.Errorf("%w: %w", cloud.ErrOffline, a)
	}
	return cloud.Final(fmt.Errorf("unexpected answer: %w", a))
}

// Revoke ends the sign-in at Google, on all devices that use this client and
// account. Files stay. A token that is not valid any more is no error.
func Revoke(ctx context.Context, client ClientConfig, t Token, transport http.RoundTripper) error {
	address, err := client.revokeURL()
	if err != nil {
		return fmt.Errorf("revoke sign-in: %w", err)
	}
	// In the body, not in the address: those are logged by proxies.
	body := bytes.NewReader([]byte("token=" + queryEscape(t.Refresh())))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
	if err != nil {
		return fmt.Errorf("revoke sign-in: %w", errSyntax)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := plainClient(transport).Do(req)
	if err != nil {
		return fmt.Errorf("revoke sign-in: %w", classify(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("revoke sign-in: %w: %w", cloud.ErrOffline, &answer{status: res.StatusCode})
	}
	return nil
}
