// Coffer-desktop is the window of Coffer. This file only wires it: ui shows, app does.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"runtime/debug"

	"fyne.io/fyne/v2"
	fyneapp "fyne.io/fyne/v2/app"

	"coffer/app"
	"coffer/internal/wiring"
	"coffer/ui"
)

// release is the tag of a released build, set by the linker; "" otherwise.
var release string

func main() {
	home := flag.String("C", "", "`folder` of the profile")
	probe := flag.Bool("probe", false, "see whether a window can be opened here, and exit with 0 or 1")
	flag.Parse()
	os.Exit(run(*home, *probe))
}

// run shows the window until it is closed, and returns the exit status. Without a display
// or OpenGL, fyne panics, or comes back before it has started.
func run(home string, probe bool) (status int) {
	started := false
	defer func() {
		trouble := recover()
		if started && trouble != nil {
			panic(trouble)
		}
		if !started && status == 0 {
			fmt.Fprintln(os.Stderr, "coffer-desktop: no window can be opened here; the command line does all that the window does: coffer help")
			status = 1
		}
	}()
	f := fyneapp.NewWithID("app.coffer.desktop")
	f.Lifecycle().SetOnStarted(func() {
		started = true
		if probe {
			f.Quit()
		}
	})
	if probe {
		f.NewWindow("").Show()
		f.Run()
	} else if err := open(f, home); err != nil {
		fmt.Fprintln(os.Stderr, "coffer-desktop:", err)
		return 1
	}
	return 0
}

// open shows the window of a profile until it is closed.
func open(f fyne.App, home string) error {
	config, err := wiring.Config(home, os.Getenv)
	if err != nil {
		return err
	}
	config.Version = cmp.Or(release, config.Version)
	debug.SetGCPercent(50) // buffers are pooled: twice the memory would buy no speed
	coffer, err := app.New(config)
	if err != nil {
		return err
	}
	defer coffer.Close()
	w, err := ui.New(f, ui.Options{Coffer: coffer, Computer: config.Computer, Home: config.UserHome, Log: config.Log})
	if err == nil {
		w.Show()
		f.Run()
	}
	return err
}
