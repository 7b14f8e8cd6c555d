package app

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"coffer/app/repo"
)

// Find calls fn for entries whose name matches, in all snapshots from the newest
// on; what did not change between two snapshots is found in the newer one. A pattern
// with "*", "?" or "[" is a glob (of the whole path when it holds "/"); any other
// is a part of the name in any case.
func (a *App) Find(ctx context.Context, pattern string, fn func(SnapshotInfo, EntryInfo) error) error {
	s, err := a.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	match, err := matcher(pattern)
	if err != nil {
		return err
	}
	all, err := s.snapshots(ctx)
	if err != nil {
		return err
	}
	f := finder{session: s, match: match, seen: map[string]bool{}}
	slices.Reverse(all)
	for _, snapshot := range all {
		info := snapshotInfo(snapshot)
		f.found = func(e EntryInfo) error { return fn(info, e) }
		if err := f.folder(ctx, snapshot.Root, "/"); err != nil {
			return err
		}
	}
	return nil
}

// ErrPattern says that a search pattern is not a glob.
var ErrPattern = errors.New("app: bad pattern")

func matcher(pattern string) (func(EntryInfo) bool, error) {
	if !strings.ContainsAny(pattern, "*?[") {
		part := strings.ToLower(pattern)
		return func(e EntryInfo) bool {
			name := e.Name
			if strings.Contains(part, "/") {
				name = e.Path
			}
			return strings.Contains(strings.ToLower(name), part)
		}, nil
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("%w: %q", ErrPattern, pattern)
	}
	whole := strings.Contains(pattern, "/")
	return func(e EntryInfo) bool {
		name := e.Name
		if whole {
			name = e.Path
		}
		ok, _ := path.Match(pattern, name) // the pattern was tried above
		return ok
	}, nil
}

// A finder goes through snapshots and looks at each folder once, however many
// snapshots share it.
type finder struct {
	*session
	match func(EntryInfo) bool
	found func(EntryInfo) error
	seen  map[string]bool // path and content of folders; path and state of files
}

func (f *finder) folder(ctx context.Context, content repo.Content, dir string) error {
	if key := dir + "\x00" + contentKey(content); f.seen[key] {
		return nil
	} else if len(content.IDs) > 0 {
		f.seen[key] = true
	}
	for e, err := range f.repo.Folder(ctx, content) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		info := entryInfo(dir, &e)
		if f.match(info) && !f.told(&e, info.Path) {
			if err := f.found(info); err != nil {
				return err
			}
		}
		if e.Type != repo.TypeFolder {
			continue
		}
		if err := f.folder(ctx, e.Content, info.Path); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) told(e *repo.Entry, at string) bool {
	key := fmt.Sprintf("%s\x00%d %v %s", at, e.Type, e.ModTime, contentKey(e.Content))
	if e.Type == repo.TypeFolder {
		key = at + "\x00folder"
	}
	told := f.seen[key]
	f.seen[key] = true
	return told
}

func contentKey(c repo.Content) string {
	return fmt.Sprintf("%d %s", c.Depth, fingerprintIDs(c))
}

func fingerprintIDs(c repo.Content) string {
	parts := make([]string, len(c.IDs))
	for i := range c.IDs {
		parts[i] = string(c.IDs[i][:])
	}
	return fingerprint(parts...)
}

// A Version is one state of a file.
type Version struct {
	Snapshot SnapshotInfo // the newest that has it
	Entry    EntryInfo
}

// Versions returns the different states of one file, the newest first.
func (a *App) Versions(ctx context.Context, file string) ([]Version, error) {
	s, err := a.openSession(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	all, err := s.snapshots(ctx)
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	var versions []Version
	var last repo.Entry
	for _, snapshot := range all {
		e, err := s.lookup(ctx, snapshot.Root, splitPath(file))
		if errors.Is(err, ErrNoPath) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(versions) > 0 && e.ModTime == last.ModTime && contentKey(e.Content) == contentKey(last.Content) {
			continue
		}
		last = e
		versions = append(versions, Version{snapshotInfo(snapshot), entryInfo(path.Dir(cleanPath(file)), &e)})
	}
	if len(versions) == 0 {
		return nil, &PathError{cleanPath(file), ErrNoPath}
	}
	return versions, nil
}
