package vault_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

const modeVar = "COFFER_E2E_VAULT"

// begin skips what is not to run now.
func begin(t *testing.T) {
	t.Helper()
	if os.Getenv(modeVar) != "1" {
		t.Skip(modeVar + " is not 1: these proofs are run apart (scripts/test.sh)")
	}
}

// house is the folder of this run, for the program and for the worlds.
var house string

// built is coffer-vault, built once from this tree.
var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("COFFER_VAULT_BIN"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(house, "coffer-vault")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "coffer/cmd/coffer-vault")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // with tokens
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build coffer-vault: %w\n%s", err, out)
	}
	return path, nil
})

// builtCoffer is the command line, built once from this tree.
var builtCoffer = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("COFFER_BIN"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(house, "coffer")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "coffer/cmd/coffer")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build coffer: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == tracerArg {
		os.Exit(beTracer(os.Args[2:]))
	}
	dir, err := os.MkdirTemp("", "coffer-vault-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for the worlds:", err)
		os.Exit(1)
	}
	house = dir
	status := m.Run()
	for _, w := range allWorlds {
		if err := w.end(); err != nil {
			fmt.Fprintln(os.Stderr, w.name+":", err)
			status = max(status, 1)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = max(status, 1)
	}
	os.Exit(status)
}

// program finds a program that a proof needs.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed (scripts/packages.sh vault)", name)
	return ""
}

var (
	portMu sync.Mutex
	nextAt int // guarded by portMu
)

// freeAddress gives a loopback address that nobody has, below the ports that the system
// gives to connections and those of etcdtest: who is killed must find it free again.
func freeAddress(t testing.TB) string {
	t.Helper()
	const low, high = 8000, 12000
	portMu.Lock()
	defer portMu.Unlock()
	for range high - low {
		port := low + (os.Getpid()*97+nextAt)%(high-low)
		nextAt++
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		must(t, l.Close())
		return address
	}
	t.Fatal("no free port")
	return ""
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr requires one of the errors.
func wantErr(t testing.TB, what string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	t.Fatalf("%s: %v, want %v", what, err, want)
}
