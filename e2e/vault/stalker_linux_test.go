package vault_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A stalker has a tracer follow a process, and kill it at a point.
type stalker struct {
	t      testing.TB
	at     int
	cmd    *exec.Cmd
	traced chan struct{} // closed when the process is traced
	read   chan struct{} // closed when the tracer has ended

	mu    sync.Mutex
	trace trace // guarded by mu
}

// A trace is what a process did: its points, and in between the ends of calls.
type trace struct {
	points []string
	all    []string
}

// stalk follows a process that runs, from now on, and kills it at a point; 0: never. Only
// points count that fit a regular expression.
func stalk(t testing.TB, pid, at int, only string) *stalker {
	t.Helper()
	s := newStalker(t, at, tracesThis, strconv.Itoa(at), only, strconv.Itoa(pid))
	s.cmd.Stderr = os.Stderr
	s.launch()
	return s
}

func newStalker(t testing.TB, at int, args ...string) *stalker {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	s := &stalker{t: t, at: at, traced: make(chan struct{}), read: make(chan struct{})}
	s.cmd = exec.Command(self, append([]string{tracerArg}, args...)...)
	return s
}

// launch returns when the process is traced.
func (s *stalker) launch() {
	s.t.Helper()
	r, w, err := os.Pipe()
	must(s.t, err)
	s.cmd.ExtraFiles = []*os.File{w}
	err = s.cmd.Start()
	must(s.t, w.Close())
	must(s.t, err)
	go func() {
		defer close(s.read)
		defer r.Close()
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if lines.Text() == tracedLine {
				close(s.traced)
				continue
			}
			s.heard(lines.Text())
		}
	}()
	select {
	case <-s.traced:
	case <-s.read:
		s.t.Fatalf("the tracer has ended: %v", s.cmd.Wait())
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		s.t.Fatal("the tracer does not begin")
	}
}

func (s *stalker) heard(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, point := strings.CutPrefix(line, pointLine)
	s.trace.all = append(s.trace.all, text)
	if point {
		s.trace.points = append(s.trace.points, text)
	}
}

// leave lets a process go, where it still lives, and returns what it did, and whether it was
// killed at the last point.
func (s *stalker) leave() (did trace, killed bool) {
	s.t.Helper()
	s.mu.Lock()
	due := s.at != 0 && len(s.trace.points) >= s.at
	s.mu.Unlock()
	if !due {
		_ = s.cmd.Process.Kill() // what it traces goes on
	}
	<-s.read
	_ = s.cmd.Wait() // killed, mostly
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trace, s.at != 0 && len(s.trace.points) >= s.at
}

// runUntil runs a program until it has ended or is killed at a point; 0: never.
func runUntil(t testing.TB, at int, only string, cmd *exec.Cmd) (did trace, status int) {
	t.Helper()
	s := newStalker(t, at, append([]string{tracesRun, strconv.Itoa(at), only, cmd.Path}, cmd.Args[1:]...)...)
	s.cmd.Env, s.cmd.Dir, s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr
	s.launch()
	_ = s.cmd.Wait() // its status says the rest
	<-s.read
	return s.trace, s.cmd.ProcessState.ExitCode()
}

// told says of points how often each kind came: for the log of a test.
func told(points []string) string {
	var kinds []string
	times := map[string]int{}
	for _, p := range points {
		if times[p]++; times[p] == 1 {
			kinds = append(kinds, p)
		}
	}
	for i, k := range kinds {
		if times[k] > 1 {
			kinds[i] = fmt.Sprintf("%s (%d)", k, times[k])
		}
	}
	return strings.Join(kinds, ", ")
}

// TestTheTracer: what it says of a process, and when that ends.
func TestTheTracer(t *testing.T) {
	begin(t)
	script := `echo one > "$0/a"; echo two > "$0/b"`
	count := func(at int, only string) (did trace, left []string) {
		dir := t.TempDir()
		did, status := runUntil(t, at, only, exec.Command(program(t, "sh"), "-c", script, dir))
		if want := map[bool]int{true: 0, false: 128 + 9}[at == 0]; status != want {
			t.Errorf("killed at %d: exit status %d, want %d", at, status, want)
		}
		files, err := os.ReadDir(dir)
		must(t, err)
		for _, f := range files {
			data, err := os.ReadFile(filepath.Join(dir, f.Name()))
			must(t, err)
			left = append(left, f.Name()+":"+strings.TrimSpace(string(data)))
		}
		return did, left
	}
	all, left := count(0, "")
	if !slices.Equal(left, []string{"a:one", "b:two"}) || !slices.Equal(all.points, []string{"before create a", "before write a", "before create b", "before write b"}) {
		t.Fatalf("%q left %q", all, left)
	}
	for at, want := range [][]string{1: nil, 2: {"a:"}, 3: {"a:one"}, 4: {"a:one", "b:"}} {
		if at == 0 {
			continue
		}
		if did, left := count(at, ""); len(did.points) != at || !slices.Equal(left, want) {
			t.Errorf("killed at %q: left %q, want %q", did, left, want)
		}
	}
	if did, left := count(2, "write"); len(did.points) != 2 || !slices.Equal(left, []string{"a:one", "b:"}) {
		t.Errorf("killed at %q: left %q", did, left)
	}
}
