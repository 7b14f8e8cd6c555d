package wiring

import (
	"context"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/webdav"
)

// A webdavPlace forgets its password when it is closed.
type webdavPlace struct {
	*webdav.Driver
	password app.Secret
}

var (
	_ cloud.Stater     = (*webdavPlace)(nil)
	_ cloud.Capacitor  = (*webdavPlace)(nil)
	_ cloud.Maintainer = (*webdavPlace)(nil)
	_ cloud.Describer  = (*webdavPlace)(nil)
)

// Close implements [io.Closer].
func (p *webdavPlace) Close() error { return closing(p.Driver, p.password) }

func (c *connector) openWebDAV(ctx context.Context, d dest, r app.PlaceRequest) (*webdavPlace, error) {
	plain, err := yes(r.Options, "plain")
	if err != nil {
		return nil, err
	}
	pool, err := c.http(r.Options)
	if err != nil {
		return nil, err
	}
	password, err := take(ctx, r, "password")
	if err != nil {
		return nil, err
	}
	if d.user != "" && password.IsZero() {
		return nil, missing("password")
	}
	driver, err := webdav.New(webdav.Config{
		Address: d.at, User: d.user, Password: asked(password), Create: r.Create, AllowPlain: plain, Transport: pool,
	})
	if err != nil {
		password.Wipe()
		return nil, err
	}
	return &webdavPlace{driver, password}, nil
}
