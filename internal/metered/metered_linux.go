package metered

import (
	"context"

	"github.com/godbus/dbus/v5"
)

const (
	systemBus = "unix:path=/run/dbus/system_bus_socket"
	manager   = "org.freedesktop.NetworkManager"
)

// What NetworkManager says (its D-Bus interface, NMMetered).
const (
	yes      = 1
	no       = 2
	guessYes = 3
	guessNo  = 4
)

// ask reads the property of NetworkManager. The connection ends with ctx, and with
// it every wait in there; NetworkManager is not started by asking.
func ask(ctx context.Context, bus string) (metered, known bool) {
	if bus == "" {
		bus = systemBus
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := dbus.Connect(bus, dbus.WithContext(ctx))
	if err != nil {
		return false, false
	}
	defer conn.Close()
	var value dbus.Variant
	err = conn.Object(manager, "/org/freedesktop/NetworkManager").
		CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, manager, "Metered").Store(&value)
	if err != nil {
		return false, false
	}
	switch state, _ := value.Value().(uint32); state {
	case yes, guessYes:
		return true, true
	case no, guessNo:
		return false, true
	}
	return false, false
}
