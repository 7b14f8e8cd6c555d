//go:build unix && !linux

package rclone

import (
	"os"
	"syscall"
)

// A tether ends the child with us: here a shell does.
type tether struct{ shellTether }

func politely() os.Signal { return syscall.SIGTERM }

func (*tether) hold(*os.Process) error { return nil }
