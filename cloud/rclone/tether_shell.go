//go:build unix

package rclone

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// A shellTether is for systems where the kernel does not end a child with its
// parent. A shell starts the program, and a second process of it waits for the end
// of a pipe whose other end we alone hold. However we end, the pipe ends.
type shellTether struct{ pipe io.Closer }

// watched is the shell's program. The arguments are the program's own, and hold
// no secret. The waiting part must not keep the program's standard error open, nor
// the program the pipe. Who asks the shell to end may do so at any moment: also between
// the start of the program and the line that knows its id.
const watched = `exec 3<&0
child= asked=
trap 'asked=yes; [ -z "$child" ] || kill "$child" 2>/dev/null' TERM
"$@" </dev/null 3<&- &
child=$!
[ -z "$asked" ] || kill "$child" 2>/dev/null
{ read -r _ <&3; kill "$child"; } >/dev/null 2>&1 &
watcher=$!
wait "$child"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"`

func (t *shellTether) prepare(cmd *exec.Cmd) error {
	if cmd.Err != nil {
		return cmd.Err // the shell's own message would say less
	}
	const shell = "/bin/sh"
	cmd.Args = append([]string{shell, "-c", watched, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = shell
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	t.pipe = pipe
	return nil
}

func (t *shellTether) release() error {
	if t.pipe == nil {
		return nil
	}
	return t.pipe.Close()
}
