package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"coffer/app/repo"
)

// SnapshotInfo describes one snapshot.
type SnapshotInfo struct {
	ID         string // 40 hex digits
	Time       time.Time
	Computer   string
	OS         string
	User       string
	Sources    []string
	Files      int64
	Dirs       int64
	Bytes      int64
	Unreadable int64
	Sequence   uint64
}

// EntryInfo describes a file, folder or link in a snapshot. Strings are raw
// bytes.
type EntryInfo struct {
	Path        string // absolute, slash-separated
	Name        string
	Type        string // "file", "dir" or "symlink"
	Mode        uint32
	Size        int64
	ModTime     time.Time
	Link        string
	User, Group string
	State       string // "", "changed", "partly" or "unreadable"
}

// Snapshots returns all snapshots, the oldest first. Damaged ones are left to
// Check.
func (a *App) Snapshots(ctx context.Context) ([]SnapshotInfo, error) {
	s, err := a.openSession(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	snapshots, err := s.snapshots(ctx)
	var all []SnapshotInfo
	for _, snapshot := range snapshots {
		all = append(all, snapshotInfo(snapshot))
	}
	return all, err
}

// Snapshot returns one snapshot: ref is its id, the first digits of it, or
// "latest". ErrNoSnapshot, ErrAmbiguous.
func (a *App) Snapshot(ctx context.Context, ref string) (SnapshotInfo, error) {
	s, snapshot, err := a.openSnapshot(ctx, ref)
	if err != nil {
		return SnapshotInfo{}, err
	}
	defer s.close()
	return snapshotInfo(snapshot), nil
}

func (a *App) openSnapshot(ctx context.Context, ref string) (*session, *repo.Snapshot, error) {
	s, err := a.openSession(ctx)
	if err != nil {
		return nil, nil, err
	}
	snapshot, err := s.find(ctx, ref)
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, snapshot, nil
}

// snapshots returns all snapshots, the oldest first.
func (s *session) snapshots(ctx context.Context) ([]*repo.Snapshot, error) {
	all, err := s.repo.Snapshots(ctx)
	inOrder(all)
	return all, err
}

// inOrder sorts by time, but those of one device by their sequence: a clock that was set
// back must not make an old snapshot the latest. One that was made after another counts
// as no older than that.
func inOrder(all []*repo.Snapshot) {
	slices.SortFunc(all, func(a, b *repo.Snapshot) int {
		return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), bytes.Compare(a.Name[:], b.Name[:]))
	})
	latest := map[repo.DeviceID]repo.Time{}
	when := make(map[*repo.Snapshot]repo.Time, len(all))
	for _, s := range all {
		if later(s.Started, latest[s.Device]) > 0 {
			latest[s.Device] = s.Started
		}
		when[s] = latest[s.Device]
	}
	slices.SortStableFunc(all, func(a, b *repo.Snapshot) int { return later(when[a], when[b]) })
}

func later(a, b repo.Time) int {
	return cmp.Or(cmp.Compare(a.Sec, b.Sec), cmp.Compare(a.Nsec, b.Nsec))
}

func (s *session) find(ctx context.Context, ref string) (*repo.Snapshot, error) {
	all, err := s.snapshots(ctx)
	if err != nil {
		return nil, err
	}
	if ref == "latest" && len(all) > 0 {
		return all[len(all)-1], nil
	}
	ref = strings.ToLower(ref)
	var found *repo.Snapshot
	for _, snapshot := range all {
		if len(ref) < 4 || !strings.HasPrefix(snapshot.Name.String(), ref) {
			continue
		}
		if found != nil {
			return nil, &SnapshotError{ref, ErrAmbiguous}
		}
		found = snapshot
	}
	if found == nil {
		return nil, s.noSnapshot(ref)
	}
	return found, nil
}

// noSnapshot names the damage that may be why there is none.
func (s *session) noSnapshot(ref string) error {
	none := &SnapshotError{ref, ErrNoSnapshot}
	for _, p := range s.repo.Problems() {
		if strings.HasPrefix(p.Object, "snap-") {
			return errors.Join(p, none)
		}
	}
	return none
}

// List calls fn for the entries of one folder; of a file, for itself. ErrNoPath.
func (a *App) List(ctx context.Context, ref, dir string, fn func(EntryInfo) error) error {
	return a.browse(ctx, ref, dir, false, fn)
}

// Walk calls fn for all entries below a folder, each folder before what is in
// it. ErrNoPath.
func (a *App) Walk(ctx context.Context, ref, dir string, fn func(EntryInfo) error) error {
	return a.browse(ctx, ref, dir, true, fn)
}

func (a *App) browse(ctx context.Context, ref, dir string, deep bool, fn func(EntryInfo) error) error {
	s, snapshot, err := a.openSnapshot(ctx, ref)
	if err != nil {
		return err
	}
	defer s.close()
	content := snapshot.Root
	if parts := splitPath(dir); len(parts) > 0 {
		e, err := s.lookup(ctx, content, parts)
		if err != nil {
			return err
		}
		if e.Type != repo.TypeFolder {
			return fn(entryInfo(path.Dir(cleanPath(dir)), &e))
		}
		content = e.Content
	}
	for e, err := range s.walk(ctx, content, cleanPath(dir), deep) {
		if err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

func cleanPath(p string) string { return "/" + strings.Join(splitPath(p), "/") }

// lookup returns the entry that the names lead to.
func (s *session) lookup(ctx context.Context, content repo.Content, names []string) (repo.Entry, error) {
	for i, name := range names {
		e, err := s.child(ctx, content, name)
		if err != nil {
			return e, err
		}
		if e.Name == "" || i < len(names)-1 && e.Type != repo.TypeFolder {
			break
		}
		if i == len(names)-1 {
			return e, nil
		}
		content = e.Content
	}
	return repo.Entry{}, &PathError{"/" + strings.Join(names, "/"), ErrNoPath}
}

// child returns the entry of that name, or one without a name.
func (s *session) child(ctx context.Context, content repo.Content, name string) (repo.Entry, error) {
	for e, err := range s.repo.Folder(ctx, content) {
		if err != nil {
			return repo.Entry{}, err
		}
		if e.Name == name {
			return e, nil
		}
		if e.Name > name {
			break
		}
	}
	return repo.Entry{}, nil
}

// walk yields the entries of a folder, and, deep, all below.
func (s *session) walk(ctx context.Context, content repo.Content, dir string, deep bool) iter.Seq2[EntryInfo, error] {
	return func(yield func(EntryInfo, error) bool) {
		s.walkInto(ctx, content, dir, deep, yield)
	}
}

func (s *session) walkInto(ctx context.Context, content repo.Content, dir string, deep bool, yield func(EntryInfo, error) bool) bool {
	for e, err := range s.repo.Folder(ctx, content) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			yield(EntryInfo{}, err)
			return false
		}
		info := entryInfo(dir, &e)
		if !yield(info, nil) {
			return false
		}
		if deep && e.Type == repo.TypeFolder && !s.walkInto(ctx, e.Content, info.Path, deep, yield) {
			return false
		}
	}
	return true
}

// ErrNotFile says that a path leads to something that has no contents to show.
var ErrNotFile = errors.New("app: not a file")

// Cat writes the contents of one file. What could not be read when it was stored
// are zeros. ErrNoPath, ErrNotFile.
func (a *App) Cat(ctx context.Context, ref, file string, w io.Writer) error {
	s, snapshot, err := a.openSnapshot(ctx, ref)
	if err != nil {
		return err
	}
	defer s.close()
	e, err := s.lookup(ctx, snapshot.Root, splitPath(file))
	if err != nil {
		return err
	}
	if e.Type != repo.TypeFile || e.State == repo.StateUnreadable {
		return &PathError{cleanPath(file), ErrNotFile}
	}
	l := newLayout(&e)
	at := int64(0)
	for id, err := range s.repo.IDs(ctx, e.Content) {
		var chunk []byte
		if err == nil {
			chunk, err = s.repo.Chunk(ctx, id)
		}
		if err != nil {
			return err
		}
		for off, piece := range l.place(chunk) {
			if err := writeZeros(w, off-at); err != nil {
				return err
			}
			if _, err := w.Write(piece); err != nil {
				return err
			}
			at = off + int64(len(piece))
		}
	}
	return writeZeros(w, e.Size-at)
}

func writeZeros(w io.Writer, n int64) error {
	zeros := make([]byte, min(max(n, 0), 1<<20))
	for n > 0 {
		k, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}

func snapshotInfo(s *repo.Snapshot) SnapshotInfo {
	return SnapshotInfo{
		ID:         s.Name.String(),
		Time:       time.Unix(s.Started.Sec, int64(s.Started.Nsec)),
		Computer:   s.Computer,
		OS:         s.OS,
		User:       s.User,
		Sources:    s.Sources,
		Files:      s.Files,
		Dirs:       s.Folders,
		Bytes:      s.Bytes,
		Unreadable: s.Unreadable,
		Sequence:   s.Sequence,
	}
}

var (
	typeWords  = [...]string{repo.TypeFile: "file", repo.TypeFolder: "dir", repo.TypeSymlink: "symlink"}
	stateWords = [...]string{repo.StateOK: "", repo.StateChanged: "changed", repo.StatePartly: "partly", repo.StateUnreadable: "unreadable"}
)

func entryInfo(dir string, e *repo.Entry) EntryInfo {
	if dir != "/" {
		dir += "/"
	}
	return EntryInfo{
		Path:    dir + e.Name,
		Name:    e.Name,
		Type:    typeWords[e.Type],
		Mode:    e.Mode,
		Size:    e.Size,
		ModTime: time.Unix(e.ModTime.Sec, int64(e.ModTime.Nsec)),
		Link:    e.Link,
		User:    e.User,
		Group:   e.Group,
		State:   stateWords[e.State],
	}
}
