package admit

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"coffer/vault/protocol"
)

// Limits of what an issuer says.
const (
	issuerPatience = 5 * time.Second // for one answer
	issuerPause    = 5 * time.Second // between two questions for the same thing
	keysLife       = time.Hour       // a key that the issuer has withdrawn is good no longer
	maxAnswer      = 256 << 10       // bytes of an answer
	maxKeys        = 32
	minRSA         = 2048 // bits
	maxSubject     = 255  // bytes (OpenID Connect Core 1.0, section 2)
	maxIssuer      = 255  // bytes, of issuer and of client id, as in a bundle
	clockSkew      = 5 * time.Minute
)

// algorithms are those that a token may be signed with: no "none", and none with a shared
// secret, for which a public key could be taken (RFC 8725, section 2.1).
func algorithms() []string {
	return []string{
		oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512,
		oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
	}
}

// errIssuer says that the issuer cannot be asked, or answers nonsense.
var errIssuer = errors.New("admit: the issuer does not answer")

// An issuer verifies the ID tokens of one identity provider. Its keys are fetched when they
// are needed, and kept; not more often than every issuerPause, so that nobody can make the
// vault flood the provider by sending tokens with keys that do not exist.
type issuer struct {
	url, clientID string
	now           func() time.Time
	http          *http.Client
	log           *slog.Logger

	lock    chan struct{}      // holds who reads or writes what follows; obeys contexts
	keys    []crypto.PublicKey // nil: never fetched
	fetched time.Time          // when keys were
	asked   time.Time          // when they were last asked for, with or without an answer
}

func newIssuer(cfg Config) (*issuer, error) {
	if !isIssuer(cfg.Issuer) || cfg.ClientID == "" || len(cfg.ClientID) > maxIssuer {
		return nil, fmt.Errorf("issuer %q, client id %q: %w", cfg.Issuer, cfg.ClientID, ErrConfig)
	}
	client := http.Client{Transport: &http.Transport{TLSHandshakeTimeout: issuerPatience, MaxIdleConns: 2, IdleConnTimeout: time.Minute}}
	if cfg.HTTP != nil {
		client = *cfg.HTTP
	}
	client.Timeout = issuerPatience
	// What was redirected could come from anywhere, also without TLS.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &issuer{
		url: cfg.Issuer, clientID: cfg.ClientID, now: cfg.Clock, http: &client, log: cfg.Log,
		lock: make(chan struct{}, 1),
	}, nil
}

// isIssuer reports whether s can be an issuer (OpenID Connect Discovery 1.0, section 3):
// https, host, perhaps a path. http is for providers on this computer.
func isIssuer(s string) bool {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxIssuer || u.Host == "" || u.User != nil || strings.ContainsAny(s, "?#") {
		return false
	}
	return isSafe(u)
}

// isSafe reports whether what u says comes from who u names.
func isSafe(u *url.URL) bool {
	if u.Scheme == "https" {
		return true
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && err == nil && addr.IsLoopback()
}

// account verifies an ID token that was made for record, and returns the SHA-256 of issuer,
// a zero byte and subject. [protocol.ErrSignIn]; [protocol.ErrInternal] when the issuer
// cannot be asked for its keys.
func (i *issuer) account(ctx context.Context, record [16]byte, token []byte) (account [32]byte, err error) {
	if len(token) == 0 || len(token) > protocol.MaxAdmission {
		return account, fmt.Errorf("ID token of %d bytes: %w", len(token), protocol.ErrSignIn)
	}
	claims, err := i.verify(ctx, string(token))
	if errors.Is(err, errIssuer) {
		return account, fmt.Errorf("%w: %w", protocol.ErrInternal, err)
	}
	if err == nil {
		err = i.check(claims, record)
	}
	if err != nil {
		// What is wrong is for who runs the vault and looks for it; the client is told that it is.
		i.log.DebugContext(ctx, "ID token refused", "reason", err)
		return account, fmt.Errorf("verify ID token: %w", protocol.ErrSignIn)
	}
	return sha256.Sum256([]byte(i.url + "\x00" + claims.Subject)), nil
}

// verify checks signature, issuer, audience and expiry. errIssuer, or why not.
func (i *issuer) verify(ctx context.Context, token string) (*oidc.IDToken, error) {
	keys, fresh, err := i.keySet(ctx, false)
	if err != nil {
		return nil, err
	}
	claims, err := i.verifyWith(ctx, keys, token)
	if err == nil || fresh {
		return claims, err
	}
	if _, wrong := (&oidc.StaticKeySet{PublicKeys: keys}).VerifySignature(ctx, token); wrong == nil {
		return nil, err // signed by the issuer, and not good for something else
	}
	// It may be signed with a key that is newer than ours.
	renewed, fresh, fetchErr := i.keySet(ctx, true)
	if fetchErr != nil || !fresh {
		return nil, errors.Join(err, fetchErr)
	}
	return i.verifyWith(ctx, renewed, token)
}

func (i *issuer) verifyWith(ctx context.Context, keys []crypto.PublicKey, token string) (*oidc.IDToken, error) {
	return oidc.NewVerifier(i.url, &oidc.StaticKeySet{PublicKeys: keys}, &oidc.Config{
		ClientID: i.clientID, SupportedSigningAlgs: algorithms(), Now: i.now,
	}).Verify(ctx, token)
}

// check is what the library leaves to its user (OpenID Connect Core 1.0, section 3.1.3.7).
func (i *issuer) check(t *oidc.IDToken, record [16]byte) error {
	var more struct {
		AuthorizedParty string `json:"azp"`
	}
	if err := t.Claims(&more); err != nil {
		return fmt.Errorf("read claims: %w", err)
	}
	switch {
	case t.Issuer != i.url: // the library takes two spellings of one provider
		return errors.New("admit: another issuer")
	case t.Nonce != hex.EncodeToString(record[:]):
		return errors.New("admit: the nonce is not the record")
	case t.Subject == "" || len(t.Subject) > maxSubject:
		return errors.New("admit: no subject")
	case more.AuthorizedParty != "" && more.AuthorizedParty != i.clientID,
		more.AuthorizedParty == "" && len(t.Audience) > 1:
		return errors.New("admit: made for another party")
	case t.IssuedAt.After(i.now().Add(clockSkew)):
		return errors.New("admit: issued in the future")
	}
	return nil
}

// keySet returns the issuer's keys, and whether they were fetched just now. With renew, they
// are fetched again, unless that was done a moment ago. errIssuer.
func (i *issuer) keySet(ctx context.Context, renew bool) (keys []crypto.PublicKey, fresh bool, err error) {
	select {
	case i.lock <- struct{}{}:
		defer func() { <-i.lock }()
	case <-ctx.Done():
		return nil, false, fmt.Errorf("wait for keys: %w: %w", errIssuer, ctx.Err())
	}
	now := i.now()
	good := i.keys != nil && now.Before(i.fetched.Add(keysLife))
	if good && !renew {
		return i.keys, false, nil
	}
	if now.Before(i.asked.Add(issuerPause)) {
		if good {
			return i.keys, false, nil
		}
		return nil, false, fmt.Errorf("asked a moment ago: %w", errIssuer)
	}
	i.asked = now
	// Who goes away in the middle must not spend the one question that others wait for.
	keys, err = i.fetch(context.WithoutCancel(ctx))
	if err != nil {
		i.log.WarnContext(ctx, "issuer's keys not fetched", "error", err)
		return nil, false, err
	}
	i.keys, i.fetched = keys, now
	return keys, true, nil
}

// fetch asks for the configuration (OpenID Connect Discovery 1.0, section 4) and for the
// keys that it points to.
func (i *issuer) fetch(ctx context.Context) ([]crypto.PublicKey, error) {
	var config struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := i.get(ctx, strings.TrimSuffix(i.url, "/")+"/.well-known/openid-configuration", &config); err != nil {
		return nil, fmt.Errorf("fetch configuration: %w", err)
	}
	u, err := url.Parse(config.Keys)
	if err != nil || config.Issuer != i.url || !isSafe(u) {
		return nil, fmt.Errorf("read configuration: another issuer, or no place for its keys: %w", errIssuer)
	}
	var set jose.JSONWebKeySet
	if err := i.get(ctx, config.Keys, &set); err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	keys := usable(set)
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("read keys: %d usable: %w", len(keys), errIssuer)
	}
	return keys, nil
}

// usable returns the keys of a set that may sign.
func usable(set jose.JSONWebKeySet) (keys []crypto.PublicKey) {
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" || !k.Valid() {
			continue
		}
		switch key := k.Key.(type) {
		case *rsa.PublicKey:
			if key.N.BitLen() >= minRSA {
				keys = append(keys, key)
			}
		case *ecdsa.PublicKey, ed25519.PublicKey:
			keys = append(keys, key)
		}
	}
	return keys
}

// get reads one JSON answer, of at most maxAnswer bytes. errIssuer.
func (i *issuer) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errIssuer, err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := i.http.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", errIssuer, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP status %d: %w", resp.StatusCode, errIssuer)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read answer: %w: %w", errIssuer, err)
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("answer over %d bytes: %w", maxAnswer, errIssuer)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read answer: %w: %w", errIssuer, err)
	}
	return nil
}
