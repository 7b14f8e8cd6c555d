package wiring

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"sync"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/icloud"
	"coffer/cloud/transport"
)

// connector reaches places of every kind, all over one line. It remembers nothing of
// them. What it takes from the environment it takes when a place is opened.
type connector struct {
	home   string // the user's own folder
	getenv func(string) string
	line   *transport.Line
	// findICloud is [icloud.Find], which finds nothing where tests run.
	findICloud func(home string, getenv func(string) string) (root string, err error)
	client     string // Google's client of this build, "ID:SECRET"; "": none

	mu    sync.Mutex
	given func() string // guarded by mu; the proxy of the settings, which may have a password; nil: none
}

var _ app.Connector = (*connector)(nil)

// newConnector returns the connector of one program. home is the user's own folder.
func newConnector(home string, getenv func(string) string) (*connector, error) {
	line, err := transport.New(transport.Settings{}, getenv)
	if err != nil {
		return nil, fmt.Errorf("make line: %w", err)
	}
	return &connector{home: home, getenv: getenv, line: line, client: driveClient, findICloud: icloud.Find}, nil
}

// Network implements [app.Connector].
func (c *connector) Network(s app.NetworkSettings) error {
	if err := c.line.Set(transport.Settings{Up: s.Up, Down: s.Down, Proxy: s.Proxy, CAs: s.CAs}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.given = func() string { return s.Proxy }
	return nil
}

// proxy is that of the settings: "", "direct" or an address.
func (c *connector) proxy() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.given == nil {
		return ""
	}
	return c.given()
}

// Open implements [app.Connector].
func (c *connector) Open(ctx context.Context, r app.PlaceRequest) (app.OpenedPlace, error) {
	d, err := parseDest(r.Dest, r.Options)
	if err != nil {
		return app.OpenedPlace{Kind: d.kind, Dest: d.shown(err)}, err
	}
	opened := app.OpenedPlace{Kind: d.kind, Dest: d.String(), Options: maps.Clone(r.Options)}
	if err := ctx.Err(); err != nil {
		return opened, err
	}
	switch d.kind {
	case kindDrive:
		opened.Driver, err = c.openDrive(ctx, d, r)
	case kindICloud:
		opened.Driver, opened.Dir, err = c.openICloud(d, r)
	case kindS3:
		opened.Driver, err = c.openS3(ctx, d, r)
	case kindWebDAV:
		opened.Driver, err = c.openWebDAV(ctx, d, r)
	case kindSFTP:
		opened.Driver, err = c.openSFTP(ctx, d, r, opened.Options)
	case kindRclone:
		opened.Driver, err = c.openRclone(d, r, opened.Options)
	default:
		opened.Dir = d.at
		opened.Driver, err = openFolder(d.at, r.Create)
	}
	if err != nil {
		opened.Driver = nil // and no pointer to nothing in it
		return opened, err
	}
	return opened, nil
}

// SignIn implements [app.Connector].
func (c *connector) SignIn(ctx context.Context, r app.PlaceRequest, browser func(string) error) (app.OpenedPlace, error) {
	d, err := parseDest(r.Dest, r.Options)
	if err != nil {
		return app.OpenedPlace{Kind: d.kind, Dest: d.shown(err)}, err
	}
	if d.kind != kindDrive {
		return app.OpenedPlace{Kind: d.kind, Dest: d.String()}, fmt.Errorf("sign in: %w", cloud.ErrUnsupported)
	}
	return c.signInDrive(ctx, d, r, browser)
}

// SignOut implements [app.Connector].
func (c *connector) SignOut(ctx context.Context, r app.PlaceRequest) error {
	d, err := parseDest(r.Dest, r.Options)
	if err != nil {
		return err
	}
	if d.kind != kindDrive {
		return fmt.Errorf("sign out: %w", cloud.ErrUnsupported)
	}
	return c.signOutDrive(ctx, r)
}

// RestoreFolder implements [app.Connector].
func (c *connector) RestoreFolder(ctx context.Context, r app.PlaceRequest) (int, error) {
	d, err := parseDest(r.Dest, r.Options)
	if err != nil {
		return 0, err
	}
	if d.kind != kindDrive {
		return 0, fmt.Errorf("restore folder: %w", cloud.ErrUnsupported)
	}
	return c.restoreDrive(ctx, d, r)
}

// http returns a transport of the line for one place, held to the pins in its options.
func (c *connector) http(options map[string]string) (http.RoundTripper, error) {
	tls := transport.TLS{Pins: words(options["pin"])}
	if err := tls.Check(); err != nil {
		return nil, fmt.Errorf("option pin: %w: %w", cloud.ErrAddress, err)
	}
	return c.line.HTTP(tls), nil
}

// makeState makes the folder of this computer that belongs to a place.
func makeState(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder for the place: %w", err)
	}
	return nil
}

// closing closes a driver and wipes the secrets that it used.
func closing(driver io.Closer, secrets ...app.Secret) error {
	err := driver.Close()
	for _, s := range secrets {
		s.Wipe()
	}
	return err
}
