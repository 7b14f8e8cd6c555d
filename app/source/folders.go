package source

import (
	"os"
	"path/filepath"
	"strings"
)

// A Folder is one of the folders that every desktop has.
type Folder struct {
	ID   string // "documents", "pictures", "desktop", "videos", "music" or "downloads"
	Path string // absolute
}

// folderIDs in the order of the screen.
var folderIDs = [...]string{"documents", "pictures", "desktop", "videos", "music", "downloads"}

// Folders returns those of the user's well-known folders that exist, in the
// order of the screen. home is the user's home folder, getenv looks an
// environment variable up (os.Getenv in main). On Windows both are ignored: the
// system knows where the user has moved them.
func Folders(home string, getenv func(string) string) []Folder {
	paths := folderPaths(home, getenv)
	var found []Folder
	taken := map[string]bool{}
	for _, id := range folderIDs {
		path := paths[id]
		if path == "" || taken[path] {
			continue
		}
		if fi, err := os.Stat(path); err != nil || !fi.IsDir() {
			continue
		}
		taken[path] = true
		found = append(found, Folder{id, path})
	}
	return found
}

// plainFolders are the English names below the home folder.
func plainFolders(home, videos string) map[string]string {
	return map[string]string{
		"documents": filepath.Join(home, "Documents"),
		"pictures":  filepath.Join(home, "Pictures"),
		"desktop":   filepath.Join(home, "Desktop"),
		"videos":    filepath.Join(home, videos),
		"music":     filepath.Join(home, "Music"),
		"downloads": filepath.Join(home, "Downloads"),
	}
}

var xdgNames = map[string]string{
	"XDG_DOCUMENTS_DIR": "documents",
	"XDG_PICTURES_DIR":  "pictures",
	"XDG_DESKTOP_DIR":   "desktop",
	"XDG_VIDEOS_DIR":    "videos",
	"XDG_MUSIC_DIR":     "music",
	"XDG_DOWNLOAD_DIR":  "downloads",
}

// maxUserDirs bounds user-dirs.dirs, which has a line for each folder.
const maxUserDirs = 64 << 10

// xdgFolders reads user-dirs.dirs (freedesktop.org, xdg-user-dirs), where the
// folders have the names of the user's language. A folder that is the home
// folder itself has been switched off.
func xdgFolders(home string, getenv func(string) string) map[string]string {
	paths := plainFolders(home, "Videos")
	config := getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) {
		config = filepath.Join(home, ".config")
	}
	fi, err := os.Stat(filepath.Join(config, "user-dirs.dirs"))
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > maxUserDirs {
		return paths
	}
	text, err := os.ReadFile(filepath.Join(config, "user-dirs.dirs"))
	if err != nil {
		return paths
	}
	for id, path := range parseUserDirs(string(text), home) {
		paths[id] = path
	}
	return paths
}

// parseUserDirs returns the folders that the file names; "" for one that is
// switched off. Lines that it does not understand are nothing.
func parseUserDirs(text, home string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		id := xdgNames[strings.TrimSpace(name)]
		if !ok || id == "" {
			continue
		}
		value, ok = unquoteShell(strings.TrimSpace(value))
		if !ok {
			continue
		}
		if rest, below := strings.CutPrefix(value, "$HOME"); below && (rest == "" || rest[0] == '/') {
			value = home + rest
		}
		if !filepath.IsAbs(value) || strings.IndexByte(value, 0) >= 0 {
			continue
		}
		paths[id] = filepath.Clean(value)
		if paths[id] == filepath.Clean(home) {
			paths[id] = ""
		}
	}
	return paths
}

// unquoteShell takes "..." with backslashes before special bytes.
func unquoteShell(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		} else if s[i] == '"' || s[i] == '\\' {
			return "", false
		}
		b.WriteByte(s[i])
	}
	return b.String(), true
}
