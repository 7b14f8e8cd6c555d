package keyring

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"coffer/app"
)

func TestWithoutASessionBusTheAnswerIsImmediate(t *testing.T) {
	for _, bus := range []string{"", "autolaunch:", "unix:path=" + filepath.Join(t.TempDir(), "none")} {
		k := New("Coffer test", bus, true)
		if _, err := k.Get(t.Context(), "account"); !errors.Is(err, app.ErrNoKeyring) {
			t.Errorf("bus %q: got %v, want ErrNoKeyring", bus, err)
		}
	}
}

// inside names the variable that tells this binary that it runs on a private bus, and
// which of the parts below it is to play there.
const inside = "COFFER_TEST_KEYRING"

func TestGnomeKeyring(t *testing.T) {
	switch os.Getenv(inside) {
	case "round-trip":
		roundTrip(t)
		return
	case "not-running":
		notRunning(t)
		return
	}
	for _, program := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed: a real key store cannot be tested here", program)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const again = `exec "$0" -test.run='^TestGnomeKeyring$' -test.v`
	for part, script := range map[string]string{
		"round-trip":  `printf 'x\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null && ` + again,
		"not-running": again,
	} {
		t.Run(part, func(t *testing.T) {
			home := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "dbus-run-session", "--", "sh", "-c", script, self)
			cmd.Env = []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + home,
				"XDG_DATA_HOME=" + filepath.Join(home, "data"), inside + "=" + part,
			}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestGnomeKeyring") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// roundTrip stores, reads, replaces and removes entries of the real key store.
func roundTrip(t *testing.T) {
	bus := os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	waitForStore(t, bus)
	k := New("Coffer test", bus, false)
	account, other := strings.Repeat("0f", 16), strings.Repeat("1e", 16)
	mustBeAbsent(t, k, account)
	for _, text := range []string{strings.Repeat("ab", 32), strings.Repeat("cd", 32)} {
		if err := k.Set(t.Context(), account, app.NewSecret([]byte(text))); err != nil {
			t.Fatal(err)
		}
		got, err := k.Get(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Equal(app.NewSecret([]byte(text))) {
			t.Error("what came back is not what was stored")
		}
	}
	mustBeAbsent(t, k, other)
	for range 2 {
		if err := k.Delete(t.Context(), account); err != nil {
			t.Fatal(err)
		}
	}
	mustBeAbsent(t, k, account)
}

// waitForStore returns when the key store has its name on the bus: its daemon goes into
// the background before that.
func waitForStore(t *testing.T, bus string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := dbus.Connect(bus, dbus.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const store = "org.freedesktop.secrets"
	err = conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, store))
	if err != nil {
		t.Fatal(err)
	}
	changes := make(chan *dbus.Signal, 8)
	conn.Signal(changes)
	for {
		var owned bool
		if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, store).Store(&owned); err != nil {
			t.Fatal(err)
		}
		if owned {
			return
		}
		select {
		case <-changes:
		case <-ctx.Done():
			t.Fatal("the key store did not come up within a minute")
		}
	}
}

func mustBeAbsent(t *testing.T, k *Keyring, account string) {
	t.Helper()
	if _, err := k.Get(t.Context(), account); !errors.Is(err, app.ErrNoEntry) {
		t.Errorf("got %v, want ErrNoEntry", err)
	}
}

// notRunning asks where a bus is but no key store runs: none may be started by asking.
func notRunning(t *testing.T) {
	bus := os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	k := New("Coffer test", bus, false)
	if _, err := k.Get(t.Context(), "account"); !errors.Is(err, app.ErrNoKeyring) {
		t.Errorf("got %v, want ErrNoKeyring", err)
	}
	running, _, err := lookup(t.Context(), bus)
	if err != nil {
		t.Fatal(err)
	}
	if running {
		t.Error("a key store was started")
	}
}
