package wiring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/drive"
)

// driveClient is the client that this build carries, "ID:SECRET", or "". Only the linker
// sets it (-ldflags "-X coffer/internal/wiring.driveClient=..."), which takes a variable
// and no constant. What Google calls the secret of a desktop client is none (RFC 8252,
// section 8.5); it still is no part of the source, because quota is counted by client.
var driveClient string

// driveClientOf returns the client of the user, or else that of the build.
// [cloud.ErrClient] where there is none, or one that is not usable.
func (c *connector) driveClientOf(ctx context.Context, r app.PlaceRequest) (drive.ClientConfig, error) {
	own, err := take(ctx, r, "client")
	if err != nil {
		return drive.ClientConfig{}, err
	}
	if !own.IsZero() {
		var client drive.ClientConfig
		own.Expose(func(b []byte) { client, err = drive.ParseClient(b) })
		own.Wipe()
		return client, err
	}
	id, secret, found := strings.Cut(c.client, ":")
	if !found {
		return drive.ClientConfig{}, fmt.Errorf("%w: none was given, and this build has none of its own", cloud.ErrClient)
	}
	return drive.NewClient(id, secret), nil
}

// A drivePlace is a driver that knows what is worth keeping.
type drivePlace struct {
	*drive.Driver
	tokens *tokens
}

var (
	_ app.Learner      = (*drivePlace)(nil)
	_ cloud.Stater     = (*drivePlace)(nil)
	_ cloud.Capacitor  = (*drivePlace)(nil)
	_ cloud.Maintainer = (*drivePlace)(nil)
	_ cloud.Describer  = (*drivePlace)(nil)
)

// Learned implements [app.Learner]: the account.
func (p *drivePlace) Learned() map[string]string { return accountOptions(p.tokens.account()) }

// accountOptions are the options that keep an account; nil for one that is not known.
func accountOptions(a drive.Account) map[string]string {
	if a.ID == "" {
		return nil
	}
	options := map[string]string{app.OptionAccountID: a.ID}
	if a.Email != "" {
		options[app.OptionAccount] = a.Email
	}
	return options
}

func (c *connector) openDrive(ctx context.Context, d dest, r app.PlaceRequest) (*drivePlace, error) {
	client, err := c.driveClientOf(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := makeState(r.State); err != nil {
		return nil, err
	}
	pool, err := c.http(r.Options)
	if err != nil {
		return nil, err
	}
	tokens := newTokens(r)
	driver, err := drive.New(drive.Config{
		Client: client, Tokens: tokens, Folder: d.at, Create: r.Create, State: r.State, Seal: r.Seal, Open: r.Open,
		Endpoint: c.getenv("COFFER_DRIVE_ENDPOINT"), Transport: pool,
	})
	if err != nil {
		return nil, err
	}
	return &drivePlace{driver, tokens}, nil
}

// signInDrive keeps the new sign-in before it is used: a token that was lost on the way
// would stay valid, with nobody to end it.
func (c *connector) signInDrive(ctx context.Context, d dest, r app.PlaceRequest, browser func(string) error) (app.OpenedPlace, error) {
	opened := app.OpenedPlace{Kind: d.kind, Dest: d.String(), Options: maps.Clone(r.Options)}
	client, err := c.driveClientOf(ctx, r)
	if err != nil {
		return opened, err
	}
	pool, err := c.http(r.Options)
	if err != nil {
		return opened, err
	}
	defer closeIdle(pool)
	token, err := drive.SignIn(ctx, client, browser, drive.SignInOptions{
		Account: accountOf(r.Options), Endpoint: c.getenv("COFFER_DRIVE_ENDPOINT"), Transport: pool,
	})
	if err != nil {
		return opened, err
	}
	if err := keepToken(ctx, r, token); err != nil {
		return opened, err
	}
	if opened.Options == nil {
		opened.Options = map[string]string{}
	}
	maps.Copy(opened.Options, accountOptions(token.Account))
	r.Options = opened.Options
	driver, err := c.openDrive(ctx, d, r)
	if err != nil {
		return opened, err
	}
	opened.Driver = driver
	return opened, nil
}

// signOutDrive ends the sign-in at Google, and then here. A place that has none is
// signed out.
func (c *connector) signOutDrive(ctx context.Context, r app.PlaceRequest) error {
	client, err := c.driveClientOf(ctx, r)
	if err != nil {
		return err
	}
	token, err := newTokens(r).Load(ctx)
	if errors.Is(err, cloud.ErrAuth) {
		return nil
	}
	if err != nil {
		return err
	}
	pool, err := c.http(r.Options)
	if err != nil {
		return err
	}
	defer closeIdle(pool)
	if err := drive.Revoke(ctx, client, token, pool); err != nil {
		return err
	}
	return r.Secrets.Set(ctx, "token", app.Secret{})
}

func (c *connector) restoreDrive(ctx context.Context, d dest, r app.PlaceRequest) (int, error) {
	r.Create = false
	place, err := c.openDrive(ctx, d, r)
	if err != nil {
		return 0, err
	}
	n, err := place.Restore(ctx)
	return n, errors.Join(err, place.Close())
}

func closeIdle(t http.RoundTripper) {
	if c, ok := t.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// tokens keep the sign-in among the secrets of a place, and its account among the
// options: that is what [drive.TokenStore] wants, of one place.
type tokens struct {
	request app.PlaceRequest

	mu    sync.Mutex
	known drive.Account // guarded by mu
}

func newTokens(r app.PlaceRequest) *tokens { return &tokens{request: r, known: accountOf(r.Options)} }

// accountOf is the account that the options of a place name.
func accountOf(options map[string]string) drive.Account {
	return drive.Account{ID: options[app.OptionAccountID], Email: options[app.OptionAccount]}
}

func (t *tokens) account() drive.Account {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known
}

// Load implements [drive.TokenStore]. What the user gave is a file: a token, or JSON
// with one.
func (t *tokens) Load(ctx context.Context) (drive.Token, error) {
	s, err := take(ctx, t.request, "token")
	if err != nil {
		return drive.Token{}, err
	}
	if s.IsZero() {
		return drive.Token{}, fmt.Errorf("%w: nobody has signed in", cloud.ErrAuth)
	}
	defer s.Wipe()
	var token drive.Token
	s.Expose(func(b []byte) { token, err = drive.ParseToken(b) })
	if err != nil {
		return drive.Token{}, fmt.Errorf("%w: %w", cloud.ErrAuth, err)
	}
	return drive.NewToken(token.Refresh(), t.account()), nil
}

// Save implements [drive.TokenStore]. Of the two only the token is a secret; nothing is
// written where it is the one that is kept.
func (t *tokens) Save(ctx context.Context, token drive.Token) error {
	kept, err := t.Load(ctx)
	if err != nil && !errors.Is(err, cloud.ErrAuth) {
		return err
	}
	if kept.Refresh() != token.Refresh() {
		if err := keepToken(ctx, t.request, token); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known = token.Account
	return nil
}

func keepToken(ctx context.Context, r app.PlaceRequest, token drive.Token) error {
	s := app.NewSecret([]byte(token.Refresh()))
	defer s.Wipe()
	if err := r.Secrets.Set(ctx, "token", s); err != nil {
		return fmt.Errorf("keep sign-in: %w", cloud.Final(err))
	}
	return nil
}
