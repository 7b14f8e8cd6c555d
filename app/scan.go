package app

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"coffer/app/repo"
	"coffer/app/source"
)

// What an item tells the assembler.
const (
	itemEntry = iota // a file or link in the current folder
	itemEnter        // a folder begins
	itemLeave        // it ends
)

// An item is one step of the scan. A reader may still be filling in its entry
// when the batch that it is in is sent.
type item struct {
	kind  int
	entry repo.Entry
	path  string // of an itemEnter, the folder's, for the journal; of a hard link, its own
	news  news
	drop  bool        // it vanished
	noted bool        // the journal has it already
	first *item       // the hard link whose content this one shares
	old   *repo.Entry // of a file that is read again, to see whether it changed
}

// news says how a file compares with the backup before.
type news uint8

const (
	newsNone news = iota // unchanged
	newsNew
	newsChanged
)

// A batch is some items in order. The assembler waits until no reader works on
// one of them.
type batch struct {
	items   []item
	pending sync.WaitGroup
}

const batchSize = 64

// A readJob is files of one folder that must be read.
type readJob struct {
	dir   *sharedDir
	path  string // of the folder
	batch *batch
	files []fileJob
}

type fileJob struct {
	info source.Info
	item *item
}

// A sharedDir is an open folder that is closed by its last user.
type sharedDir struct {
	*source.Dir
	users atomic.Int32
}

func (d *sharedDir) release() {
	if d.users.Add(-1) == 0 {
		_ = d.Close()
	}
}

// A scanner walks the sources in order of names and compares with the prior
// snapshot, folder by folder: no map of all paths is ever held.
type scanner struct {
	*backup
	ctx   context.Context
	batch *batch
	job   *readJob // small files of the current folder, not sent yet
	bytes int64    // of them
	links map[fileID]*linked
	skip  []source.Info // folders of our own: never backed up
}

type fileID struct{ device, inode uint64 }

// A linked file has more names than its first, which is read.
type linked struct {
	first *item
	left  uint32 // names that have not been met
}

// prior is where a folder's entries of the backup before come from.
type prior struct {
	content repo.Content
	started int64                 // when that backup began, seconds
	files   map[string]repo.Entry // that an interrupted backup stored
	since   int64                 // when that one began
}

// countAhead measures the sources, so that a first backup can say how far it is.
// Later ones know from the one before, nearly. stop ends it.
func (b *backup) countAhead(ctx context.Context) (stop func()) {
	if b.options.Progress == nil {
		return func() {}
	}
	if b.prior != nil {
		b.meter.totalFiles.Store(b.prior.Files)
		b.meter.totalBytes.Store(b.prior.Bytes)
		b.meter.scanned.Store(true)
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var counting sync.WaitGroup
	counting.Go(func() { b.count(ctx) })
	return func() {
		cancel()
		counting.Wait()
	}
}

func (b *backup) count(ctx context.Context) {
	var files, bytes int64
	tell := func(f, n int64) {
		b.meter.totalFiles.Store(files + f)
		b.meter.totalBytes.Store(bytes + n)
	}
	for _, path := range b.sources {
		f, n, err := source.Measure(ctx, path, b.rules, tell)
		if err != nil && ctx.Err() != nil {
			return
		}
		files, bytes = files+f, bytes+n
		tell(0, 0)
	}
	b.meter.scanned.Store(true)
}

// scan sends batches and jobs until all sources have been walked.
func (b *backup) scan(ctx context.Context) error {
	s := &scanner{backup: b, ctx: ctx, batch: newBatch(), links: map[fileID]*linked{}}
	for _, own := range b.app.ownFolders(b.session.profile) {
		if d, err := source.OpenDir(own); err == nil {
			s.skip = append(s.skip, d.Info())
			_ = d.Close()
		}
	}
	top := new(waypoint)
	for _, path := range b.sources {
		top.add(pathParts(path), path)
	}
	p := prior{}
	if b.prior != nil {
		p = prior{content: b.prior.Root, started: b.prior.Started.Sec}
	}
	if err := s.waypoint(top, "", p); err != nil {
		return err
	}
	return s.send()
}

func newBatch() *batch { return &batch{items: make([]item, 0, batchSize)} }

// A waypoint is an element of the sources' paths: a folder on the way, or a
// source itself.
type waypoint struct {
	path  string // of a source; empty on the way
	names []string
	below map[string]*waypoint
}

func (w *waypoint) add(parts []string, path string) {
	if len(parts) == 0 {
		w.path = path
		return
	}
	if w.below == nil {
		w.below = map[string]*waypoint{}
	}
	next := w.below[parts[0]]
	if next == nil {
		next = new(waypoint)
		w.below[parts[0]] = next
		w.names = append(w.names, parts[0])
		slices.Sort(w.names)
	}
	next.add(parts[1:], path)
}

// waypoint walks what lies below w, at path.
func (s *scanner) waypoint(w *waypoint, path string, p prior) error {
	if w.path != "" && path == "" {
		return s.sourceRoot(w.path, p)
	}
	entries := s.entries(p)
	defer entries.stop()
	for _, name := range w.names {
		next := w.below[name]
		here := path + string(filepath.Separator) + name
		old := entries.find(name)
		if s.err() != nil {
			return s.err()
		}
		if next.path != "" {
			if err := s.source(next.path, name, old, p); err != nil {
				return err
			}
			continue
		}
		if err := s.passing(next, here, name, old, p); err != nil {
			return err
		}
	}
	return entries.err
}

// passing enters a folder on the way to a source.
func (s *scanner) passing(w *waypoint, path, name string, old *repo.Entry, p prior) error {
	e := repo.Entry{Name: name, Type: repo.TypeFolder, Mode: 0o700}
	if info, extra, err := lstat(s.realPath(w), path); err == nil {
		e = newEntry(info, extra)
		e.Name, e.Type = name, repo.TypeFolder // a link on the way is passed as the folder that it leads to
	}
	if err := s.put(item{kind: itemEnter, entry: e, path: path}); err != nil {
		return err
	}
	if err := s.waypoint(w, path, below(p, old)); err != nil {
		return err
	}
	return s.put(item{kind: itemLeave})
}

// realPath returns a source below w: on Windows a path of waypoints is not one
// that the system knows.
func (s *scanner) realPath(w *waypoint) string {
	for w.path == "" {
		w = w.below[w.names[0]]
	}
	return w.path
}

// lstat describes the folder above sourcePath that has the elements of path.
func lstat(sourcePath, path string) (source.Info, source.Extra, error) {
	up := len(pathParts(sourcePath)) - len(splitPath(filepath.ToSlash(path)))
	for range up {
		sourcePath = filepath.Dir(sourcePath)
	}
	d, err := source.OpenDir(sourcePath)
	if err != nil {
		return source.Info{}, source.Extra{}, err
	}
	defer d.Close()
	extra, err := d.OwnExtra()
	return d.Info(), extra, err
}

// sourceRoot walks a source that is the root of the file system.
func (s *scanner) sourceRoot(path string, p prior) error {
	d, err := source.OpenDir(path)
	if err != nil {
		s.problem(ProblemUnreadable, path, source.Reason(err))
		return nil
	}
	return s.folder(share(d), path, s.journalPast(path, p), 0)
}

// source walks one source: a folder, a file or a link.
func (s *scanner) source(path, name string, old *repo.Entry, p prior) error {
	parent, err := source.OpenDir(filepath.Dir(path))
	if err != nil {
		s.problem(ProblemUnreadable, path, source.Reason(err))
		return nil
	}
	dir := share(parent)
	defer dir.release()
	info, err := dir.Lstat(filepath.Base(path))
	if err != nil {
		reason := source.Reason(err)
		if errors.Is(err, source.ErrVanished) {
			reason = "is not there"
		}
		s.problem(ProblemUnreadable, path, reason)
		return nil
	}
	if info.Type == source.TypeSymlink {
		if d, err := source.OpenDir(path); err == nil {
			return s.linkedSource(d, path, name, old, p)
		}
	}
	info.Name = name
	err = s.entry(dir, filepath.Dir(path), info, old, p, 0)
	return errors.Join(err, s.sendJob())
}

// linkedSource walks the folder that a source leads to as a link. The user chose
// what is in it: a backup of the link alone would be an empty one.
func (s *scanner) linkedSource(d *source.Dir, path, name string, old *repo.Entry, p prior) error {
	extra, err := d.OwnExtra()
	if err != nil {
		_ = d.Close()
		s.problem(ProblemUnreadable, path, source.Reason(err))
		return nil
	}
	e := s.newEntry(d.Info(), extra, path)
	e.Name = name
	return s.enter(d, path, e, old, p, 0)
}

func share(d *source.Dir) *sharedDir {
	shared := &sharedDir{Dir: d}
	shared.users.Store(1)
	return shared
}

func (s *scanner) err() error { return context.Cause(s.ctx) }
