//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// canMount reports whether this user may mount a file system, which a full or a read-only
// disk needs.
func canMount() bool {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		return false
	}
	dir, err := os.MkdirTemp("", "coffer-mount-")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	if exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir).Run() != nil {
		return false
	}
	return exec.Command("umount", dir).Run() == nil
}

// tmpfs FOLDER OPTIONS mounts a small disk, or mounts it again with other options.
func cmdTmpfs(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	options := args[1]
	if _, err := os.Stat(dir); err == nil {
		ts.Check(exec.Command("mount", "-o", "remount,"+options, dir).Run())
		return
	}
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).Run())
	ts.Defer(func() { _ = exec.Command("umount", "-l", dir).Run() })
}

// as-nobody STATUS PROGRAM ARGS... runs a program as an unprivileged user, because to
// root every file is readable. Nobody gets the work folder, and a copy of the program.
func cmdAsNobody(ts *testscript.TestScript, neg bool, args []string) {
	const nobody = 65534
	work := ts.Getenv("WORK")
	ts.Check(exec.Command("chown", "-R", "65534:65534", work).Run())
	for dir := work; len(dir) > 1; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		ts.Check(err)
		ts.Check(os.Chmod(dir, info.Mode().Perm()|0o011))
	}
	content, err := os.ReadFile(filepath.Join(binFolder(ts), args[1]))
	ts.Check(err)
	// testscript knows the program by its name, so that the copy keeps it.
	program := filepath.Join(work, "bin-of-nobody", args[1])
	ts.Check(os.MkdirAll(filepath.Dir(program), 0o755))
	ts.Check(os.WriteFile(program, content, 0o755))
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir = work
	for _, name := range []string{"HOME", "COFFER_HOME", "PATH", "TZ"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "TMPDIR="+work)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	wantStatus(ts, args[0], cmd.Run())
}

// hold-lock FILE takes the lock that a working Coffer holds, until the end of the story.
func cmdHoldLock(ts *testscript.TestScript, neg bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	ts.Defer(func() { f.Close() })
}
