//go:build unix

package rclone

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watchedSleep is a program that prints its own id and sleeps. It is "rclone" to
// the shell that watches it.
func watchedSleep(t *testing.T, file string) (*exec.Cmd, *shellTether) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `echo $$ >"$0.part" && mv "$0.part" "$0" && exec sleep 1000`, file)
	tether := &shellTether{}
	if err := tether.prepare(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, tether
}

// sleeper returns the id that a watched program wrote.
func sleeper(t *testing.T, file string) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if text, err := os.ReadFile(file); err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		<-time.After(10 * time.Millisecond) // then look again
	}
	t.Fatal("the program did not start")
	return 0
}

// startWatched is what the victim does for TestWatchedDiesWithUs.
func startWatched(t *testing.T) {
	file := filepath.Join(os.TempDir(), fmt.Sprintf("coffer-watched-%d", os.Getpid()))
	defer os.Remove(file)
	watchedSleep(t, file)
	fmt.Printf("\npid %d\n", sleeper(t, file))
}

// TestWatchedDiesWithUs: the shell of systems that are not Linux, tried here.
func TestWatchedDiesWithUs(t *testing.T) { killVictim(t, "shell|") }

// TestWatchedEnds: asked politely, killed, or by itself; nothing stays behind.
func TestWatchedEnds(t *testing.T) {
	for name, end := range map[string]func(cmd *exec.Cmd, child int) error{
		"asked":   func(cmd *exec.Cmd, _ int) error { return cmd.Process.Signal(syscall.SIGTERM) },
		"killed":  func(cmd *exec.Cmd, _ int) error { return cmd.Process.Kill() },
		"crashed": func(_ *exec.Cmd, child int) error { return syscall.Kill(child, syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pid")
			cmd, tether := watchedSleep(t, file)
			child := sleeper(t, file)
			if err := end(cmd, child); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was ended
			if name != "killed" {
				waitForEnd(t, child)
			}
			_ = tether.release() // Wait may have closed it
			waitForEnd(t, child)
		})
	}
}

// TestWatchedExitCode: that of the program.
func TestWatchedExitCode(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "exit 3")
	if err := (&shellTether{}).prepare(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("%v", err)
	}
	missing := exec.CommandContext(t.Context(), "no-such-rclone")
	wantIs(t, "a program that is not there", (&shellTether{}).prepare(missing), exec.ErrNotFound)
}
