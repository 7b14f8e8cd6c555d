//go:build !windows

package icloud

import (
	"path/filepath"
	"runtime"
)

// candidates are where the synced folder may be.
func candidates(home string, _ func(string) string) []string {
	if runtime.GOOS != "darwin" || home == "" {
		return nil
	}
	return []string{filepath.Join(home, "Library", "Mobile Documents", "com~apple~CloudDocs")}
}
