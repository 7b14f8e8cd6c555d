//go:build unix

package rclone

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watchedSleep is a program that writes its own id to a file and sleeps. It is
// "rclone" to the shell that watches it.
func watchedSleep(file string) (*exec.Cmd, *shellTether, error) {
	cmd := exec.Command("/bin/sh", "-c", `echo $$ >"$0.part" && mv "$0.part" "$0" && exec sleep 1000`, file) //nolint:noctx // it is to outlive us
	tether := &shellTether{}
	if err := tether.prepare(cmd); err != nil {
		return nil, nil, err
	}
	return cmd, tether, cmd.Start()
}

// sleeper returns the id that a watched program wrote.
func sleeper(file string) (int, error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if text, err := os.ReadFile(file); err == nil {
			return strconv.Atoi(strings.TrimSpace(string(text)))
		}
		<-time.After(10 * time.Millisecond) // then look again
	}
	return 0, errors.New("the program did not start")
}

// startWatched starts a watched program, and returns its id.
func startWatched(dir string) (int, error) {
	file := filepath.Join(dir, "pid")
	if _, _, err := watchedSleep(file); err != nil {
		return 0, err
	}
	return sleeper(file)
}

// TestWatchedDiesWithUs: the shell of systems that are not Linux, tried here.
func TestWatchedDiesWithUs(t *testing.T) { killVictim(t, "shell|"+t.TempDir()) }

// TestWatchedEnds: asked politely, killed, or by itself; nothing stays behind.
func TestWatchedEnds(t *testing.T) {
	for name, end := range map[string]func(cmd *exec.Cmd, child int) error{
		"asked":   func(cmd *exec.Cmd, _ int) error { return cmd.Process.Signal(syscall.SIGTERM) },
		"killed":  func(cmd *exec.Cmd, _ int) error { return cmd.Process.Kill() },
		"crashed": func(_ *exec.Cmd, child int) error { return syscall.Kill(child, syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pid")
			cmd, tether, err := watchedSleep(file)
			if err != nil {
				t.Fatal(err)
			}
			child, err := sleeper(file)
			if err != nil {
				t.Fatal(err)
			}
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
