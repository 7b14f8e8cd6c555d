package metered

import (
	"bufio"
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

// startBus starts a bus for this test alone and returns its address.
func startBus(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("dbus-daemon (dbus) is not installed")
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, "dbus-daemon", "--session", "--nofork", "--print-address=1",
		"--address=unix:path="+filepath.Join(t.TempDir(), "bus"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the bus did not start: %v", err)
	}
	return strings.TrimSpace(address)
}

// serve plays NetworkManager, whose property Metered has the value; or, with a
// nil value, one that never answers.
func serve(t *testing.T, bus string, value any) {
	t.Helper()
	conn, err := dbus.Connect(bus)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	const path = "/org/freedesktop/NetworkManager"
	if value == nil {
		silent := make(chan struct{})
		t.Cleanup(func() { close(silent) })
		err = conn.ExportMethodTable(map[string]any{
			"Get": func(string, string) (dbus.Variant, *dbus.Error) {
				<-silent
				return dbus.MakeVariant(uint32(yes)), nil
			},
		}, path, "org.freedesktop.DBus.Properties")
	} else {
		_, err = prop.Export(conn, path, prop.Map{manager: {"Metered": {Value: value}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	reply, err := conn.RequestName(manager, dbus.NameFlagDoNotQueue)
	if err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("%v, %v", reply, err)
	}
}

func TestMetered(t *testing.T) {
	for name, test := range map[string]struct {
		value any
		want  answer
	}{
		"unknown":      {uint32(0), answer{}},
		"yes":          {uint32(yes), answer{true, true}},
		"no":           {uint32(no), answer{false, true}},
		"guess yes":    {uint32(guessYes), answer{true, true}},
		"guess no":     {uint32(guessNo), answer{false, true}},
		"later value":  {uint32(99), answer{}},
		"other type":   {"yes", answer{}},
		"other number": {int64(1), answer{}},
	} {
		t.Run(name, func(t *testing.T) {
			bus := startBus(t)
			serve(t, bus, test.value)
			metered, known := Metered(t.Context(), bus)
			if got := (answer{metered, known}); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func TestNobodyKnows(t *testing.T) {
	bus := startBus(t)
	for name, address := range map[string]string{
		"no NetworkManager": bus,
		"no bus":            "unix:path=" + filepath.Join(t.TempDir(), "none"),
		"not an address":    "nonsense",
	} {
		if metered, known := Metered(t.Context(), address); metered || known {
			t.Errorf("%s: %v, %v", name, metered, known)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if metered, known := Metered(ctx, bus); metered || known {
		t.Errorf("cancelled: %v, %v", metered, known)
	}
}

// TestSilence: neither a NetworkManager nor a bus that does not answer holds up the
// caller, and nothing stays behind.
func TestSilence(t *testing.T) {
	mute, err := net.Listen("unix", filepath.Join(t.TempDir(), "mute"))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	bus := startBus(t)
	serve(t, bus, nil)
	before := runtime.NumGoroutine()
	for name, address := range map[string]string{"bus": "unix:path=" + mute.Addr().String(), "NetworkManager": bus} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		began := time.Now()
		metered, known := Metered(ctx, address)
		cancel()
		if took := time.Since(began); metered || known || took > patience {
			t.Errorf("%s: %v, %v after %s", name, metered, known, took)
		}
	}
	began := time.Now()
	if metered, known := Metered(t.Context(), bus); metered || known || time.Since(began) > 2*patience {
		t.Errorf("%v, %v after %s", metered, known, time.Since(began))
	}
	// The fake has a goroutine for each question that it does not answer.
	limit := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before+2 && time.Now().Before(limit) {
		runtime.Gosched()
	}
	if after := runtime.NumGoroutine(); after > before+2 {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}
