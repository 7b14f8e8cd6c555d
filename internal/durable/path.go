package durable

import "strings"

// extendedPath turns an absolute, clean Windows path into its extended form:
// `C:\x` into `\\?\C:\x`, `\\server\share\x` into `\\?\UNC\server\share\x`.
// Paths of that form or of the device form (`\\.\`) stay. It is here, and not in
// a file for Windows, to be tested everywhere.
func extendedPath(path string) string {
	switch {
	case strings.HasPrefix(path, `\\?\`), strings.HasPrefix(path, `\\.\`):
		return path
	case strings.HasPrefix(path, `\\`):
		return `\\?\UNC` + path[1:]
	default:
		return `\\?\` + path
	}
}
