//go:build unix

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"coffer/vault/server/seal/tpm/tpmtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"coffer-vault": func() { os.Exit(realMain()) }})
}

// The stories: the real program against temporary folders and ports of its own.
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(stories) < 5 {
		t.Fatalf("%d stories: %v", len(stories), err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Setenv("ADDRESS", l.Addr().String())
			return l.Close()
		},
		Condition: condition,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": cmdStatus, "keep": cmdKeep, "serve": cmdServe, "end": cmdEnd, "edit": cmdEdit, "mode": cmdMode,
		},
	})
}

func condition(name string) (bool, error) {
	if name == "cgo" {
		return cgo, nil
	}
	return false, fmt.Errorf("condition %q is not known", name)
}

// status N PROGRAM ARGS... runs a program and wants exactly this exit status.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program args...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("run: %v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

// keep NAME puts the last standard output, which must be one line, into a variable.
func cmdKeep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep NAME")
	}
	out := ts.ReadFile("stdout")
	if strings.Count(out, "\n") != 1 {
		ts.Fatalf("not one line: %q", out)
	}
	ts.Setenv(args[0], strings.TrimSpace(out))
}

// serve DIR ARGS... runs the vault in the background and waits until it is ready. Its log
// is in DIR.log.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: serve DIR args...")
	}
	dir := ts.MkAbs(args[0])
	log, err := os.OpenFile(dir+".log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	ts.Check(err)
	self, err := exec.LookPath("coffer-vault")
	if err != nil {
		self = filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "coffer-vault")
	}
	cmd := exec.Command(self, append([]string{"serve", "--data", dir}, args[1:]...)...)
	cmd.Env, cmd.Stderr, cmd.Dir = []string{"PATH=" + ts.Getenv("PATH"), "TMPDIR=" + ts.Getenv("TMPDIR"), "HOME=/"}, log, ts.Getenv("WORK")
	ts.Check(cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait(); close(done) }()
	ts.Defer(func() {
		_ = cmd.Process.Kill() // where it was not ended before
		<-done
		_ = log.Close()
	})
	ts.Check(os.WriteFile(dir+".pid", []byte(strconv.Itoa(cmd.Process.Pid)), 0o600))
	for until := time.Now().Add(20 * time.Second); ; {
		if exec.Command(self, "status", "--data", dir).Run() == nil {
			return
		}
		select {
		case err := <-done:
			ts.Fatalf("serve ended: %v\n%s", err, ts.ReadFile(dir+".log"))
		default:
		}
		if time.Now().After(until) {
			ts.Fatalf("not ready:\n%s", ts.ReadFile(dir+".log"))
		}
	}
}

// end DIR sends SIGTERM to the vault and waits until it has given its folder back.
func cmdEnd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: end DIR")
	}
	dir := ts.MkAbs(args[0])
	pid, err := strconv.Atoi(ts.ReadFile(dir + ".pid"))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGTERM))
	for until := time.Now().Add(20 * time.Second); strings.Count(ts.ReadFile(dir+".log"), `"msg":"ended"`) == 0; {
		if time.Now().After(until) {
			ts.Fatalf("it does not end:\n%s", ts.ReadFile(dir+".log"))
		}
	}
}

// edit FILE FROM TO replaces a text that must be there.
func cmdEdit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE FROM TO")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%q is not in %s", args[1], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

// mode FILE OCTAL wants these permissions.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has the mode %s", args[0], got)
	}
}

// A vault on a TPM, by the commands alone: made, served, rolled back, recovered.
func TestStoryOfATPM(t *testing.T) {
	chip := tpmtest.Start(t)
	testscript.Run(t, testscript.Params{
		Files: []string{"testdata/tpm.txt"}, RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Setenv("ADDRESS", l.Addr().String())
			env.Setenv("DEVICE", chip.Device())
			return l.Close()
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": cmdStatus, "keep": cmdKeep, "serve": cmdServe, "end": cmdEnd, "edit": cmdEdit, "mode": cmdMode,
		},
	})
}
