//go:build unix

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// hideTyping stops a terminal from showing what is typed, until show is called. Lines are
// still edited by the terminal, and Ctrl-C is still a signal.
func hideTyping(f *os.File) (show func(), err error) {
	before, err := unix.IoctlGetTermios(int(f.Fd()), readTermios)
	if err != nil {
		return nil, fmt.Errorf("read terminal mode: %w", err)
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO | unix.ECHONL
	if err := unix.IoctlSetTermios(int(f.Fd()), writeTermios, &hidden); err != nil {
		return nil, fmt.Errorf("set terminal mode: %w", err)
	}
	return func() { _ = unix.IoctlSetTermios(int(f.Fd()), writeTermios, before) }, nil
}
