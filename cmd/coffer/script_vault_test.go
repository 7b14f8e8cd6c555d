package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// builtVault is the real coffer-vault, built once for all stories that want one.
type builtVault struct {
	dir  string
	once sync.Once
	path string
	err  error
	says string
}

func (b *builtVault) program(ts *testscript.TestScript) string {
	b.once.Do(func() {
		b.path = filepath.Join(b.dir, "coffer-vault")
		if runtime.GOOS == "windows" {
			b.path += ".exe"
		}
		out, err := exec.Command("go", "build", "-o", b.path, "../coffer-vault").CombinedOutput()
		b.says, b.err = string(out), err
	})
	if b.err != nil {
		ts.Fatalf("build coffer-vault: %v\n%s", b.err, b.says)
	}
	return b.path
}

// makeVault makes a vault on this computer, in the folder of that name, and puts its link
// into the variable of that name: vault-make NAME FLAGS...
func (b *builtVault) makeVault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: vault-make name flags...")
	}
	// Free now, and a moment later most likely too.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	address := l.Addr().String()
	ts.Check(l.Close())
	dir := ts.MkAbs(args[0])
	cmd := exec.Command(b.program(ts), append([]string{"init", "--data", dir, "--address", address}, args[1:]...)...)
	var out, says bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &says
	if err := cmd.Run(); err != nil {
		ts.Fatalf("%v\n%s", err, says.String())
	}
	ts.Setenv(args[0], strings.TrimSpace(out.String()))
	ts.Setenv(args[0]+"_address", address)
	// A story does in a second what people do in a day.
	file := filepath.Join(dir, "vault.toml")
	config, err := os.ReadFile(file)
	ts.Check(err)
	for _, limit := range []string{"burst", "per_minute", "record_burst", "record_per_minute"} {
		config = bytes.Replace(config, []byte("\n"+limit+" = 0"), []byte("\n"+limit+" = 10000"), 1)
	}
	ts.Check(os.WriteFile(file, config, 0o600))
}

// startVault runs a vault until the story ends: vault-start NAME.
func (b *builtVault) startVault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: vault-start name")
	}
	cmd := exec.Command(b.program(ts), "serve", "--data", ts.MkAbs(args[0]))
	var says bytes.Buffer
	cmd.Stderr = &says
	ts.Check(cmd.Start())
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Kill() // a vault must be as good after that
		_ = cmd.Wait()
	}
	ts.Defer(stop)
	b.running(ts)[args[0]] = stop
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for listens := time.Now().Add(30 * time.Second); time.Now().Before(listens); <-tick.C {
		conn, err := net.Dial("tcp", ts.Getenv(args[0]+"_address"))
		if err == nil {
			ts.Check(conn.Close())
			return
		}
	}
	stop()
	ts.Fatalf("the vault does not listen:\n%s", says.String())
}

// stopVault kills a running vault: vault-stop NAME.
func (b *builtVault) stopVault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || b.running(ts)[args[0]] == nil {
		ts.Fatalf("usage: vault-stop name, of one that runs")
	}
	b.running(ts)[args[0]]()
}

type runningVaults struct{}

// running are the vaults of one story, by name.
func (b *builtVault) running(ts *testscript.TestScript) map[string]func() {
	return ts.Value(runningVaults{}).(map[string]func())
}
