package wiring

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/s3"
)

// An s3Place forgets its keys when it is closed.
type s3Place struct {
	*s3.Driver
	secrets []app.Secret
}

var (
	_ cloud.Stater     = (*s3Place)(nil)
	_ cloud.Locker     = (*s3Place)(nil)
	_ cloud.Maintainer = (*s3Place)(nil)
	_ cloud.Describer  = (*s3Place)(nil)
)

// Close implements [io.Closer].
func (p *s3Place) Close() error { return closing(p.Driver, p.secrets...) }

func (c *connector) openS3(ctx context.Context, d dest, r app.PlaceRequest) (*s3Place, error) {
	plain, err := yes(r.Options, "plain")
	if err != nil {
		return nil, err
	}
	days, err := lockDays(r.Options["lock-days"])
	if err != nil {
		return nil, err
	}
	pool, err := c.http(r.Options)
	if err != nil {
		return nil, err
	}
	keys, err := c.s3Keys(ctx, r)
	if err != nil {
		return nil, err
	}
	region := r.Options["region"]
	if region == "" {
		region = keys.region
	}
	driver, err := s3.New(s3.Config{
		Address: d.at, AllowPlain: plain, Region: region, Create: r.Create, LockDays: days,
		Recover: c.getenv("COFFER_S3_VERSIONS") == "yes", Transport: pool,
		Credentials: func() (string, string, string) { return keys.id, reveal(keys.secret), reveal(keys.session) },
	})
	if err != nil {
		keys.wipe()
		return nil, err
	}
	return &s3Place{driver, []app.Secret{keys.secret, keys.session}}, nil
}

// s3Keys are what requests are signed with.
type s3Keys struct {
	id              string
	secret, session app.Secret
	region          string // that the environment names beside the keys
}

func (k s3Keys) wipe() {
	k.secret.Wipe()
	k.session.Wipe()
}

// s3Keys returns the place's own keys, or those of the environment where it has none.
// They stay in the environment: nothing of them is kept.
func (c *connector) s3Keys(ctx context.Context, r app.PlaceRequest) (s3Keys, error) {
	id := strings.TrimSpace(r.Options["access-key"])
	secret, err := take(ctx, r, "secret-key")
	if err != nil {
		return s3Keys{}, err
	}
	if id == "" && secret.IsZero() {
		return c.awsKeys()
	}
	if id == "" || secret.IsZero() {
		secret.Wipe()
		return s3Keys{}, missing("secret-key")
	}
	return s3Keys{id: id, secret: trimmed(secret)}, nil
}

// awsKeys reads the variables that Amazon's own tools read.
func (c *connector) awsKeys() (s3Keys, error) {
	id, secret := c.getenv("AWS_ACCESS_KEY_ID"), c.getenv("AWS_SECRET_ACCESS_KEY")
	if id == "" || secret == "" {
		return s3Keys{}, missing("secret-key")
	}
	k := s3Keys{id: id, secret: app.NewSecret([]byte(secret)), region: c.getenv("AWS_REGION")}
	if session := c.getenv("AWS_SESSION_TOKEN"); session != "" {
		k.session = app.NewSecret([]byte(session))
	}
	if k.region == "" {
		k.region = c.getenv("AWS_DEFAULT_REGION")
	}
	return k, nil
}

// trimmed takes off what an editor adds to the end of a file; no key has spaces. It wipes s.
func trimmed(s app.Secret) app.Secret {
	defer s.Wipe()
	return app.NewSecret([]byte(strings.TrimSpace(reveal(s))))
}

// lockDays reads the option of that name; "" is 0, no locks.
func lockDays(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, fmt.Errorf("option lock-days: %w: want a number of days", cloud.ErrAddress)
	}
	return int(n), nil
}
