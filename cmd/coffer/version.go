package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is the version of a released program: the linker sets it.
var release string

// version says which program this is: the release, or the commit that it was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unreleased"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "unreleased (" + s.Value[:12] + ")"
		}
	}
	return "unreleased"
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
