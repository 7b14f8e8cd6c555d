package source

import (
	"strings"

	"golang.org/x/sys/windows"
)

func folderPaths(string, func(string) string) map[string]string {
	paths := map[string]string{}
	for id, known := range map[string]*windows.KNOWNFOLDERID{
		"documents": windows.FOLDERID_Documents,
		"pictures":  windows.FOLDERID_Pictures,
		"desktop":   windows.FOLDERID_Desktop,
		"videos":    windows.FOLDERID_Videos,
		"music":     windows.FOLDERID_Music,
		"downloads": windows.FOLDERID_Downloads,
	} {
		if path, err := windows.KnownFolderPath(known, 0); err == nil {
			paths[id] = path
		}
	}
	return paths
}

// slashes brings a path into the form that Rules match.
func slashes(path string) string { return strings.ReplaceAll(path, `\`, "/") }
