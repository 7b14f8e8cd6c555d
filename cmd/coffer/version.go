package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"coffer/internal/wiring"
)

// version says which program this is: the release, and the commit that it was built from
// where the build knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return wiring.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return wiring.Version + " (" + s.Value[:12] + ")"
		}
	}
	return wiring.Version
}

func (p *program) versionCommand() *cobra.Command {
	return p.command("version", "Say which version this is", `
Says the version of Coffer, of the Go it was built with, and of the system it is for.

  coffer version`,
		cobra.NoArgs, func(context.Context, []string) error {
			system := runtime.GOOS + "/" + runtime.GOARCH
			if p.console.json {
				return p.console.record("summary", struct {
					Version string `json:"version"`
					Go      string `json:"go"`
					System  string `json:"system"`
				}{version(), runtime.Version(), system})
			}
			return p.console.result("coffer %s, built with %s for %s", version(), runtime.Version(), system)
		})
}
