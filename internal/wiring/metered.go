package wiring

import (
	"context"
)

// Metered implements [app.Connector].
func (c *connector) Metered(ctx context.Context) (metered, known bool) { return false, false }
