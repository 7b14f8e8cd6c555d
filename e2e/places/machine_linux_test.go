package places

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const modeVar = "COFFER_E2E_PLACES"

// full says that this is the real thing: large trees, and no server may be missing.
func full() bool { return os.Getenv(modeVar) == "1" }

// begin skips what is not to run now.
func begin(t *testing.T) {
	t.Helper()
	if os.Getenv(modeVar) == "0" {
		t.Skip(modeVar + "=0: these stories are run apart")
	}
}

// missing ends a test for which a program is not installed.
func missing(t *testing.T, program string) {
	t.Helper()
	if full() {
		t.Fatalf("%s is not installed (scripts/packages.sh places, scripts/test.sh)", program)
	}
	t.Skipf("%s is not installed", program)
}

// program finds a server.
func program(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	missing(t, name)
	return ""
}

// binVar is where TestMain tells of the folder for the command line that is built.
const binVar = "COFFER_E2E_PLACES_BIN"

// built is the command line, built once from this tree.
var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("COFFER_BIN"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(os.Getenv(binVar), "coffer")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "coffer/cmd/coffer")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the command line: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "coffer-bin-")
	if err == nil {
		err = os.Setenv(binVar, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for the command line:", err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// A machine is a computer with one profile.
type machine struct {
	*testing.T
	home    string
	profile string
	env     []string
	said    *transcript // everything that its commands printed
	binary  string
}

// A transcript is safe for concurrent use.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *transcript) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.text.Bytes())
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	m := &machine{T: t, home: home, profile: filepath.Join(home, "profile"), said: &transcript{}, binary: binary}
	// No bus, so no key store: what is secret goes into the sealed file.
	m.env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(), "COFFER_LOG=debug", "LC_ALL=C.UTF-8"}
	return m
}

// file writes a private file of the machine and returns its path.
func (m *machine) file(name, text string) string {
	m.Helper()
	path := filepath.Join(m.home, name)
	must(m.T, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// An answer is what one command said.
type answer struct {
	status   int
	out, err string
}

// record returns the last JSON record of that type. They are on standard error where
// standard output was asked for something else.
func (a answer) record(kind string) map[string]any {
	var last map[string]any
	for line := range strings.Lines(a.out + a.err) {
		var v map[string]any
		if json.Unmarshal([]byte(line), &v) == nil && v["type"] == kind {
			last = v
		}
	}
	return last
}

// number is a field of a record; -1 when it is not there.
func number(record map[string]any, name string) int64 {
	n, ok := record[name].(float64)
	if !ok {
		return -1
	}
	return int64(n)
}

// command prepares a run of coffer.
func (m *machine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.binary, append([]string{"-C", m.profile}, args...)...)
	cmd.Env = m.env
	cmd.Dir = m.home
	return cmd
}

// run runs coffer to its end.
func (m *machine) run(args ...string) answer {
	m.Helper()
	return m.finish(m.command(m.Context(), args...))
}

// finish runs a command to its end, and looks at it while it runs.
func (m *machine) finish(cmd *exec.Cmd) answer {
	m.Helper()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, m.said), io.MultiWriter(&err, m.said)
	must(m.T, cmd.Start())
	failed := cmd.Wait()
	var exit *exec.ExitError
	if failed != nil && !errors.As(failed, &exit) {
		m.Fatalf("coffer %s: %v", strings.Join(cmd.Args[3:], " "), failed)
	}
	return answer{status: cmd.ProcessState.ExitCode(), out: out.String(), err: err.String()}
}

// must runs coffer and requires it to succeed.
func (m *machine) must(args ...string) answer {
	m.Helper()
	a := m.run(args...)
	if a.status != 0 {
		m.Fatalf("coffer %s: status %d\n%s\n%s", strings.Join(args, " "), a.status, a.out, a.err)
	}
	return a
}

// refused runs coffer with --json and requires it to fail with a code.
func (m *machine) refused(code string, args ...string) answer {
	m.Helper()
	a := m.run(append([]string{"--json"}, args...)...)
	got := a.record("error")
	if a.status == 0 || got["code"] != code {
		m.Fatalf("coffer %s: status %d, %v; want the code %s\n%s\n%s", strings.Join(args, " "), a.status, got, code, a.out, a.err)
	}
	if text, _ := got["message"].(string); len(text) < 20 || !strings.HasSuffix(strings.TrimSpace(text), ".") {
		m.Errorf("coffer %s: the sentence for %s is %q", strings.Join(args, " "), code, text)
	}
	return a
}

// backup makes a backup and returns its summary.
func (m *machine) backup(args ...string) map[string]any {
	m.Helper()
	a := m.must(append([]string{"--json", "backup"}, args...)...)
	summary := a.record("summary")
	if summary == nil {
		m.Fatalf("backup: no summary in\n%s", a.out)
	}
	return summary
}

// scratch is a folder for trees: in memory where there is plenty, because thousands of
// small files take minutes on a disk that others use too.
func scratch(t *testing.T) string {
	t.Helper()
	const room = 4 << 30
	var fs syscall.Statfs_t
	if syscall.Statfs("/dev/shm", &fs) != nil || fs.Bavail*uint64(fs.Bsize) < room { // the size of a block is positive
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "coffer-tree-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for !is() {
		select {
		case <-end:
			t.Fatalf("still not: %s", what)
		case <-tick.C:
		}
	}
}
