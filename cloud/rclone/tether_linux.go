package rclone

import (
	"os"
	"os/exec"
	"syscall"
)

// A tether ends the child with us: here the kernel does, when the thread that
// started the child is gone.
type tether struct{}

func (*tether) prepare(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGTERM,
		Setpgid:   true, // Ctrl-C in a terminal is for us to handle
	}
	return nil
}

func (*tether) hold(*os.Process) error { return nil }
func (*tether) release() error         { return nil }

func politely() os.Signal { return syscall.SIGTERM }
