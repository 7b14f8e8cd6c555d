package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// hideTyping stops a console from showing what is typed, until show is called.
func hideTyping(f *os.File) (show func(), err error) {
	console := windows.Handle(f.Fd())
	var before uint32
	if err := windows.GetConsoleMode(console, &before); err != nil {
		return nil, fmt.Errorf("read console mode: %w", err)
	}
	if err := windows.SetConsoleMode(console, before&^windows.ENABLE_ECHO_INPUT); err != nil {
		return nil, fmt.Errorf("set console mode: %w", err)
	}
	return func() { windows.SetConsoleMode(console, before) }, nil
}
