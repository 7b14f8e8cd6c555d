package wiring

import (
	"context"

	"coffer/app"
	"coffer/cloud/transport"
	"coffer/internal/signin"
)

// idToken signs the user in over the line that all places share: through the same proxy, and
// with the same certificates.
func (c *connector) idToken(ctx context.Context, r app.IDTokenRequest, browser func(string) error) (string, error) {
	return signin.IDToken(ctx, signin.Request{
		Issuer: r.Issuer, ClientID: r.ClientID, Nonce: r.Nonce, Transport: c.line.HTTP(transport.TLS{}),
	}, browser)
}
