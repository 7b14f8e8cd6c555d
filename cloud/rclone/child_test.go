//go:build unix

package rclone

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"coffer/cloud"
)

// pid returns that of the child.
func (d *Driver) pid(t *testing.T) int {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.child == nil {
		t.Fatal("no child runs")
	}
	return d.child.run.cmd.Process.Pid
}

// TestChildRestarts: a child that died is started again by the next request.
func TestChildRestarts(t *testing.T) {
	d := mustOpen(t, config(t, "box:"+t.TempDir(), ""))
	name := mustPut(t, d, content(1, 1000))
	first := d.pid(t)
	d.kill(t)
	wantData(t, d, name, content(1, 1000))
	if d.pid(t) == first {
		t.Fatal("the dead one answered")
	}
}

// TestChildDiesInAnUpload: the Store tries again, with a new child.
func TestChildDiesInAnUpload(t *testing.T) {
	s := newService(t)
	d := mustOpen(t, config(t, "far:backup", s.URL))
	mustPut(t, d, content(0, 10))
	release := s.holdBack("PUT")
	defer release()
	store := cloud.New(d, cloud.Options{})
	data := content(1, 500_000)
	done := make(chan error, 1)
	go func() { done <- store.Put(context.WithoutCancel(t.Context()), cloud.Name("pack", data), data) }()
	<-s.held
	d.kill(t)
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantData(t, d, cloud.Name("pack", data), data)
}

func TestCloseEndsTheChild(t *testing.T) {
	d := mustOpen(t, config(t, "box:"+t.TempDir(), ""))
	mustPut(t, d, []byte("x"))
	pid := d.pid(t)
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	waitForEnd(t, pid)
	_, err := put(t.Context(), d, []byte("x"))
	wantIs(t, "put after close", err, fs.ErrClosed)
}

// TestSecretsAreNotArguments: everybody on this computer can read the arguments
// of a program.
func TestSecretsAreNotArguments(t *testing.T) {
	c := config(t, "box:"+t.TempDir(), "")
	secret := newPassword()
	c.Password = func() string { return secret }
	d := mustOpen(t, c)
	mustPut(t, d, []byte("x"))
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.pid(t)))
	if err != nil {
		t.Skipf("there is no /proc on this system: %v", err)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", d.pid(t)))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(line), "webdav") || !strings.Contains(string(environ), "RCLONE_PASS="+secret) {
		t.Fatalf("this is not the child: %q", line)
	}
	if strings.Contains(string(line), secret) {
		t.Fatal("the password is an argument")
	}
	for _, entry := range strings.Split(string(environ), "\x00") {
		if name, _, _ := strings.Cut(entry, "="); name == "RCLONE_LOG_FILE" || name == "RCLONE_VFS_CACHE_MODE" {
			t.Errorf("%s came through", name)
		}
	}
}

// TestNoPasswordNoEntry: another user of this computer finds the port, and no more.
func TestNoPasswordNoEntry(t *testing.T) {
	d := mustOpen(t, config(t, "box:"+t.TempDir(), ""))
	mustPut(t, d, []byte("x"))
	said := d.child.said.since(0)
	if len(said) == 0 {
		t.Fatal("the child said nothing")
	}
	for _, line := range said {
		at := started.FindStringSubmatch(line)
		if at == nil {
			continue
		}
		res, err := http.DefaultTransport.RoundTrip(mustRequest(t, at[1]))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 401 {
			t.Fatalf("a stranger gets %d", res.StatusCode)
		}
		return
	}
	t.Fatalf("no address in %q", said)
}

// TestUnlockedChild: a rclone that takes no password is not used.
func TestUnlockedChild(t *testing.T) {
	needRclone(t)
	path, err := exec.LookPath("rclone")
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "rclone")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nunset RCLONE_USER RCLONE_PASS\nexec "+path+" \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := config(t, "box:"+t.TempDir(), "")
	c.Program = script
	_, err = put(t.Context(), mustOpen(t, c), []byte("x"))
	wantIs(t, "put", err, cloud.ErrUnsupported)
}

// waitForEnd returns when there is no such process, or a zombie of another parent.
func waitForEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return
		}
		if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "Z") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
		<-time.After(20 * time.Millisecond) // then look again
	}
}

// victim says that this program is to be the one that the tests below kill.
const victim = "COFFER_TEST_VICTIM"

func TestMain(m *testing.M) {
	kind, dir, ok := strings.Cut(os.Getenv(victim), "|")
	if !ok {
		os.Exit(m.Run())
	}
	start := startWatched
	if kind == "rclone" {
		start = startServed
	}
	pid, err := start(dir)
	if err != nil {
		panic(err)
	}
	fmt.Printf("pid %d\n", pid)
	select {} // until it is killed
}

// startServed starts a child that serves a folder, and returns its id.
func startServed(dir string) (int, error) {
	d, err := New(Config{
		Remote: "box:" + dir, ConfigFile: filepath.Join(dir, "rclone.conf"), Create: true, Password: newPassword,
		Env: []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")},
	})
	if err != nil {
		return 0, err
	}
	if _, err := put(context.Background(), d, []byte("x")); err != nil {
		return 0, err
	}
	return d.child.run.cmd.Process.Pid, nil
}

// TestChildDiesWithUs: also when we are killed, which no program can see coming.
func TestChildDiesWithUs(t *testing.T) {
	needRclone(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rclone.conf"), []byte("[box]\ntype = local\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	killVictim(t, "rclone|"+dir)
}

// killVictim starts this program as the victim, kills it when it has a child, and
// waits for the child's end.
func killVictim(t *testing.T, what string) {
	t.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skipf("there is no /proc on this system: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.timeout=1m")
	cmd.Env = append(os.Environ(), victim+"="+what)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "pid "); ok {
			if pid, err = strconv.Atoi(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if pid == 0 {
		t.Fatal("the victim has no child")
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
		t.Fatalf("its child does not run: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	waitForEnd(t, pid)
}
