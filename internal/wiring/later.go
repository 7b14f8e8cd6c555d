package wiring

import (
	"context"

	"coffer/app"
	"coffer/cloud"
)

func (c *connector) noICloud() string { return "no-icloud" }

func (c *connector) openICloud(d dest, r app.PlaceRequest) (cloud.Driver, string, error) {
	return nil, "", &app.UnsupportedPlaceError{Scheme: d.kind}
}

// Metered implements [app.Connector].
func (c *connector) Metered(ctx context.Context) (metered, known bool) { return false, false }
