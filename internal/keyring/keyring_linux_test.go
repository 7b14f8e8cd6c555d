package keyring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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

func TestMain(m *testing.M) {
	part := map[string]func() error{"round-trip": roundTrip, "not-running": notRunning}[os.Getenv(inside)]
	if part == nil {
		os.Exit(m.Run())
	}
	if err := part(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestGnomeKeyring(t *testing.T) {
	for _, program := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed: a real key store cannot be tested here", program)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for part, script := range map[string]string{
		"round-trip":  `printf 'x\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null && exec "$0"`,
		"not-running": `exec "$0"`,
	} {
		t.Run(part, func(t *testing.T) {
			home := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "dbus-run-session", "--", "sh", "-c", script, self)
			cmd.Env = []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + home,
				"XDG_DATA_HOME=" + filepath.Join(home, "data"), inside + "=" + part,
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// roundTrip stores, reads, replaces and removes entries of the real key store.
func roundTrip() error {
	ctx, bus := context.Background(), os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	k := New("Coffer test", bus, false)
	account, other := strings.Repeat("0f", 16), strings.Repeat("1e", 16)
	if _, err := k.Get(ctx, account); !errors.Is(err, app.ErrNoEntry) {
		return fmt.Errorf("before: got %v, want ErrNoEntry", err)
	}
	for _, text := range []string{strings.Repeat("ab", 32), strings.Repeat("cd", 32)} {
		if err := k.Set(ctx, account, app.NewSecret([]byte(text))); err != nil {
			return err
		}
		got, err := k.Get(ctx, account)
		if err != nil {
			return err
		}
		if !got.Equal(app.NewSecret([]byte(text))) {
			return errors.New("what came back is not what was stored")
		}
	}
	if _, err := k.Get(ctx, other); !errors.Is(err, app.ErrNoEntry) {
		return fmt.Errorf("another account: got %v, want ErrNoEntry", err)
	}
	for range 2 {
		if err := k.Delete(ctx, account); err != nil {
			return err
		}
	}
	if _, err := k.Get(ctx, account); !errors.Is(err, app.ErrNoEntry) {
		return fmt.Errorf("after: got %v, want ErrNoEntry", err)
	}
	return nil
}

// notRunning asks where a bus is but no key store runs: none may be started by asking.
func notRunning() error {
	ctx, bus := context.Background(), os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	k := New("Coffer test", bus, false)
	if _, err := k.Get(ctx, "account"); !errors.Is(err, app.ErrNoKeyring) {
		return fmt.Errorf("got %v, want ErrNoKeyring", err)
	}
	running, _, err := lookup(ctx, bus)
	if err != nil {
		return err
	}
	if running {
		return errors.New("a key store was started")
	}
	return nil
}
