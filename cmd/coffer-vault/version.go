package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is what the program calls itself.
const release = "0.1.0"

// version says which program this is: the release, and the commit that it was built from
// where the build knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return release + " (" + s.Value[:12] + ")"
		}
	}
	return release
}

func (p *program) versionCommand() *cobra.Command {
	return p.command("version", "Say which version this is", `
Says the version, the Go it was built with, and the system it is for.

  coffer-vault version`,
		cobra.NoArgs, func(context.Context, []string) error {
			system := runtime.GOOS + "/" + runtime.GOARCH
			err := p.record("summary", struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				System  string `json:"system"`
			}{version(), runtime.Version(), system})
			if err != nil {
				return err
			}
			return p.result("coffer-vault %s, built with %s for %s", version(), runtime.Version(), system)
		})
}
