package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"coffer/app/source"
)

// Settings is what the user can change at any time.
type Settings struct {
	Sources   []string // absolute paths, raw bytes
	Exclude   []string // patterns, in addition to the defaults
	Language  string   // BCP 47, "" for the system's
	Theme     string   // "", "light", "dark"
	TextScale float64  // 1 is normal; 0 means 1
	MemoryMiB int      // of a backup; 0 for the default
	Paper     string   // "A4", "Letter", "" for A4

	UploadLimit, DownloadLimit int64  // bytes a second; 0: as fast as it goes
	Proxy                      string // "" as the environment says, "direct", or an address without a password
	CAFile                     string // certificates in PEM that are trusted beside the system's
	Metered                    string // MeteredWait, also "", or MeteredGoOn
}

// What a backup does where the network costs by the byte.
const (
	MeteredWait = "wait"
	MeteredGoOn = "go-on"
)

// The situations of sources.
var (
	// ErrNoSources: nothing was chosen to back up.
	ErrNoSources = errors.New("app: nothing is chosen to back up")
	// ErrSourceMissing: a source does not exist. See [SourceError].
	ErrSourceMissing = errors.New("app: a source does not exist")
	// ErrSourceUnreadable: a source cannot be opened. See [SourceError].
	ErrSourceUnreadable = errors.New("app: a source cannot be read")
	// ErrPlaceInsideSource: place and source lie within each other.
	ErrPlaceInsideSource = errors.New("app: the place and a source lie within each other")
	// ErrSettings: a setting has a value that it cannot have.
	ErrSettings = errors.New("app: impossible setting")
)

// A SourceError names the source.
type SourceError struct {
	Path string // raw bytes
	Err  error  // ErrSourceMissing, ErrSourceUnreadable or ErrPlaceInsideSource
}

func (e *SourceError) Error() string { return fmt.Sprintf("%v: %q", e.Err, e.Path) }

// Unwrap returns Err.
func (e *SourceError) Unwrap() error { return e.Err }

// Settings returns what is set now. Of a profile that cannot be read it is zero; whatever
// needs the profile next says why.
func (a *App) Settings() Settings {
	p, err := a.loadProfile()
	if err != nil {
		return Settings{}
	}
	return p.Settings
}

// SaveSettings replaces the settings: old or new, never half. It may be called before
// setup, and while a backup runs, which goes on with the old ones. [ErrSettings].
func (a *App) SaveSettings(s Settings) error {
	sources, err := cleanSources(s.Sources)
	if err != nil {
		return err
	}
	s.Sources = sources
	if err := s.check(); err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	before, err := a.loadProfile()
	if err != nil {
		return err
	}
	if err := a.changeNetwork(before, s); err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	err = a.changeProfile(func(p *Profile) error {
		p.Settings = s
		return nil
	})
	if err != nil {
		return errors.Join(err, a.changeNetwork(Profile{Settings: s, KeptIn: before.KeptIn}, before.Settings))
	}
	return nil
}

func (s Settings) check() error {
	for _, path := range s.Sources {
		if !filepath.IsAbs(path) || strings.IndexByte(path, 0) >= 0 {
			return fmt.Errorf("%w: a source is not an absolute path", ErrSettings)
		}
	}
	if _, err := source.ParseRules(s.Exclude); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "light", "dark"}, s.Theme) {
		return fmt.Errorf("%w: theme", ErrSettings)
	}
	if !slices.Contains([]string{"", "A4", "Letter"}, s.Paper) {
		return fmt.Errorf("%w: paper", ErrSettings)
	}
	if !(s.TextScale == 0 || s.TextScale >= 0.5 && s.TextScale <= 4) {
		return fmt.Errorf("%w: text scale", ErrSettings)
	}
	if s.MemoryMiB < 0 || s.MemoryMiB > 1<<20 {
		return fmt.Errorf("%w: memory", ErrSettings)
	}
	if s.UploadLimit < 0 || s.DownloadLimit < 0 {
		return fmt.Errorf("%w: limit of the network", ErrSettings)
	}
	if s.Proxy != "" && s.Proxy != proxyDirect {
		if _, err := parseProxy(s.Proxy); err != nil || len(s.Proxy) > maxOptionBytes {
			return fmt.Errorf("%w: proxy", ErrSettings)
		}
	}
	if s.CAFile != "" && !filepath.IsAbs(s.CAFile) {
		return fmt.Errorf("%w: file of certificates", ErrSettings)
	}
	if !slices.Contains([]string{"", MeteredWait, MeteredGoOn}, s.Metered) {
		return fmt.Errorf("%w: metered", ErrSettings)
	}
	if len(s.Language) > 64 {
		return fmt.Errorf("%w: language", ErrSettings)
	}
	return nil
}

// cleanSources makes paths absolute and drops what is named twice.
func cleanSources(paths []string) ([]string, error) {
	var out []string
	for _, path := range paths {
		if path == "" {
			return nil, &SourceError{Path: path, Err: ErrSourceMissing}
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("find source: %w", err)
		}
		if !slices.Contains(out, abs) {
			out = append(out, abs)
		}
	}
	return out, nil
}

// checkSources looks whether each source is there and opens, before anything is made that
// depends on it.
func checkSources(paths []string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			return &SourceError{Path: path, Err: ErrSourceMissing}
		}
		if err != nil || !info.IsDir() && !info.Mode().IsRegular() {
			return &SourceError{Path: path, Err: ErrSourceUnreadable} // opening a pipe would wait for its writer
		}
		f, err := os.Open(path)
		if err != nil {
			return &SourceError{Path: path, Err: ErrSourceUnreadable}
		}
		if err := f.Close(); err != nil {
			return &SourceError{Path: path, Err: ErrSourceUnreadable}
		}
	}
	return nil
}

// checkApart refuses a place inside a source, which would back up itself and grow for
// ever, and a source inside the place, where other people's software may delete it.
func checkApart(place string, sources []string) error {
	if place == "" {
		return nil // not a folder of this computer
	}
	for _, path := range sources {
		if isInside(place, path) || isInside(path, place) {
			return &SourceError{Path: path, Err: ErrPlaceInsideSource}
		}
	}
	return nil
}

// isInside reports whether path is dir or lies below it, by the folders that both really
// are and not by how they are written: links, and upper and lower case, do not deceive it.
func isInside(path, dir string) bool {
	want, err := os.Stat(dir)
	if err != nil {
		return isBelow(path, dir)
	}
	path = realPath(path)
	for {
		if info, err := os.Stat(path); err == nil && os.SameFile(info, want) {
			return true
		}
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent
	}
}

// isBelow compares by name alone.
func isBelow(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// realPath resolves the links of as much of path as exists.
func realPath(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(realPath(parent), filepath.Base(path))
}
