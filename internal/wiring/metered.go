package wiring

import (
	"context"

	"coffer/internal/metered"
)

// Metered implements [app.Connector]. The system bus is where the environment says, or
// where it always is.
func (c *connector) Metered(ctx context.Context) (costs, known bool) {
	return metered.Metered(ctx, c.getenv("DBUS_SYSTEM_BUS_ADDRESS"))
}
