package app

import (
	"path/filepath"
	"runtime"
	"strings"

	"coffer/app/repo"
	"coffer/app/source"
	"coffer/app/target"
)

// newEntry is [newEntry], and names attributes that could not be read.
func (b *backup) newEntry(info source.Info, extra source.Extra, path string) repo.Entry {
	if extra.XattrErr != nil {
		b.problem(ProblemPartly, path, "extended attributes: "+source.Reason(extra.XattrErr))
	}
	return newEntry(info, extra)
}

// newEntry makes a tree entry of what the source says.
func newEntry(info source.Info, extra source.Extra) repo.Entry {
	e := repo.Entry{
		Name:       info.Name,
		Mode:       info.Mode,
		ModTime:    repo.Time(info.ModTime),
		ChangeTime: repo.Time(info.ChangeTime),
		BirthTime:  repo.Time(info.BirthTime),
		Inode:      info.Inode,
		User:       extra.User,
		Group:      extra.Group,
		WinAttrs:   info.WinAttrs,
		Flags:      info.Flags,
		UID:        info.UID,
		GID:        info.GID,
	}
	for _, x := range extra.Xattrs {
		e.Xattrs = append(e.Xattrs, repo.Xattr{Name: x.Name, Value: string(x.Value)})
	}
	switch info.Type {
	case source.TypeDir:
		e.Type = repo.TypeFolder
	case source.TypeSymlink:
		e.Type = repo.TypeSymlink
	default:
		e.Size = info.Size
		if info.Links > 1 {
			e.Device = info.Device
		}
	}
	return e
}

// metaOf is what a restore sets, out of a tree entry.
func metaOf(e *repo.Entry) target.Meta {
	m := target.Meta{
		Mode:      e.Mode,
		ModTime:   source.Time(e.ModTime),
		BirthTime: source.Time(e.BirthTime),
		UID:       e.UID,
		GID:       e.GID,
		User:      e.User,
		Group:     e.Group,
		WinAttrs:  e.WinAttrs,
		Flags:     e.Flags,
	}
	for _, x := range e.Xattrs {
		m.Xattrs = append(m.Xattrs, source.Xattr{Name: x.Name, Value: []byte(x.Value)})
	}
	return m
}

// same reports whether a file is as it was when prior was stored. Equality, not order: no
// clock that goes back can hide a change.
func same(info *source.Info, prior *repo.Entry) bool {
	return prior.Type == repo.TypeFile && prior.State == repo.StateOK &&
		info.Size == prior.Size &&
		repo.Time(info.ModTime) == prior.ModTime &&
		repo.Time(info.ChangeTime) == prior.ChangeTime &&
		info.Inode == prior.Inode &&
		info.Mode == prior.Mode && info.UID == prior.UID && info.GID == prior.GID &&
		(info.Links > 1) == (prior.Device != 0)
}

// pathParts returns the elements of an absolute path as they stand in trees (docs/format.md,
// section 7.4).
func pathParts(path string) []string {
	path = filepath.Clean(path)
	if runtime.GOOS != "windows" {
		return splitPath(path)
	}
	volume := filepath.VolumeName(path)
	rest := splitPath(filepath.ToSlash(path[len(volume):]))
	return append([]string{strings.ReplaceAll(filepath.FromSlash(volume), `\`, "_")}, rest...)
}

// splitPath returns the elements of a slash-separated path; empty ones and "."
// are nothing.
func splitPath(path string) (parts []string) {
	for p := range strings.SplitSeq(path, "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	return parts
}
