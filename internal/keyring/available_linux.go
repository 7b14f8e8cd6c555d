package keyring

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"coffer/app"
)

// secrets is the bus name of the Secret Service (freedesktop.org, Secret Service API 0.2).
const secrets = "org.freedesktop.secrets"

// availability returns a check that is made before each call: a key store that appears or
// goes while the program runs is noticed.
func availability(bus string, desktop bool) func(context.Context) error {
	// "autolaunch:" makes the bus library start a bus of its own, for nobody else.
	if bus == "" || strings.HasPrefix(bus, "autolaunch:") {
		return func(context.Context) error { return fmt.Errorf("%w: no session bus", app.ErrNoKeyring) }
	}
	return func(ctx context.Context) error {
		running, startable, err := lookup(ctx, bus)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", app.ErrNoKeyring, err)
		}
		if running || startable && desktop {
			return nil
		}
		return fmt.Errorf("%w: no key store is running", app.ErrNoKeyring)
	}
}

// lookup asks the bus itself, which starts nothing.
func lookup(ctx context.Context, bus string) (running, startable bool, err error) {
	conn, err := dbus.Connect(bus, dbus.WithContext(ctx))
	if err != nil {
		return false, false, fmt.Errorf("connect to session bus: %w", err)
	}
	defer conn.Close()
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, secrets).Store(&running)
	if err != nil {
		return false, false, fmt.Errorf("ask session bus for a key store: %w", err)
	}
	var names []string
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.ListActivatableNames", 0).Store(&names)
	if err != nil {
		return false, false, fmt.Errorf("ask session bus for programs: %w", err)
	}
	return running, slices.Contains(names, secrets), nil
}
