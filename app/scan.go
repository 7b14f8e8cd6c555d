package app

import (
	"context"
	"errors"
	"iter"
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
	drop  bool  // it vanished
	noted bool  // the journal has it already
	first *item // the hard link whose content this one shares
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

const batchSize = 256

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
	links map[fileID]*item
	skip  []source.Info // folders of our own: never backed up
}

type fileID struct{ device, inode uint64 }

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
	s := &scanner{backup: b, ctx: ctx, batch: newBatch(), links: map[fileID]*item{}}
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

// folder walks an open folder and releases it.
func (s *scanner) folder(dir *sharedDir, path string, p prior, depth int) error {
	defer dir.release()
	names, err := dir.Names()
	if err != nil {
		s.problem(ProblemUnreadable, path, source.Reason(err))
		s.spoil(source.Reason(err))
		return nil
	}
	entries := s.entries(p)
	defer entries.stop()
	for _, name := range names {
		if err := s.options.Gate.Wait(s.ctx); err != nil {
			return err
		}
		info, err := dir.Lstat(name)
		if err != nil {
			if err := s.missed(join(path, name), name, err); err != nil {
				return err
			}
			continue
		}
		if s.rules.Excluded(join(path, name), info.Type == source.TypeDir) {
			continue
		}
		if err := s.entry(dir, path, info, entries.find(name), p, depth); err != nil {
			return err
		}
	}
	return errors.Join(entries.err, s.sendJob())
}

// spoil marks the folder that was entered last as unreadable.
func (s *scanner) spoil(reason string) {
	for i := len(s.batch.items) - 1; i >= 0; i-- {
		if e := &s.batch.items[i]; e.kind == itemEnter {
			e.entry.State, e.entry.Reason = repo.StateUnreadable, reason
			return
		}
	}
}

func join(path, name string) string {
	if path != "" && path[len(path)-1] == filepath.Separator {
		return path + name
	}
	return path + string(filepath.Separator) + name
}

// entry deals with one name in an open folder.
func (s *scanner) entry(dir *sharedDir, path string, info source.Info, old *repo.Entry, p prior, depth int) error {
	here := join(path, info.Name)
	switch info.Type {
	case source.TypeDir:
		return s.subfolder(dir, here, info, old, p, depth)
	case source.TypeSymlink:
		return s.symlink(dir, here, info)
	case source.TypeFile:
		return s.file(dir, path, info, old, p)
	}
	s.problem(ProblemSkipped, here, info.Other)
	return nil
}

// missed names what was in a folder's list and could not be looked at. What is still
// there stands in the snapshot as unreadable, so that its last good version is easy to
// find; of what kind it is, nobody knows.
func (s *scanner) missed(path, name string, err error) error {
	if errors.Is(err, source.ErrVanished) {
		s.problem(ProblemVanished, path, source.Reason(err))
		return nil
	}
	e := repo.Entry{Name: name, Type: repo.TypeFile, State: repo.StateUnreadable, Reason: source.Reason(err)}
	s.tell(&e, path)
	return s.put(item{entry: e})
}

func (s *scanner) symlink(dir *sharedDir, path string, info source.Info) error {
	link, err := dir.ReadLink(info.Name)
	if err != nil {
		return s.missed(path, info.Name, err)
	}
	extra, err := dir.Extra(info)
	if err != nil {
		return s.missed(path, info.Name, err)
	}
	e := s.newEntry(info, extra, path)
	e.Link = link
	return s.put(item{entry: e})
}

func (s *scanner) subfolder(dir *sharedDir, path string, info source.Info, old *repo.Entry, p prior, depth int) error {
	if depth >= repo.MaxFolders-64 {
		s.problem(ProblemUnreadable, path, "nested too deep")
		return nil
	}
	extra, err := dir.Extra(info)
	if err != nil {
		return s.missed(path, info.Name, err)
	}
	e := s.newEntry(info, extra, path)
	d, err := dir.OpenDir(info.Name)
	if errors.Is(err, source.ErrVanished) {
		return s.missed(path, info.Name, err)
	}
	if err != nil {
		e.State, e.Reason = repo.StateUnreadable, source.Reason(err)
		s.tell(&e, path)
		return errors.Join(s.put(item{kind: itemEnter, entry: e, path: path}), s.put(item{kind: itemLeave}))
	}
	if s.own(d.Info()) || source.SkipMount(d, dir.Info()) {
		_ = d.Close()
		return nil
	}
	return s.enter(d, path, e, old, p, depth+1)
}

// enter walks an open folder as the entry e, and closes it.
func (s *scanner) enter(d *source.Dir, path string, e repo.Entry, old *repo.Entry, p prior, depth int) error {
	// Small files before the folder go to a reader now: jobs are of one folder.
	if err := s.sendJob(); err != nil {
		_ = d.Close()
		return err
	}
	if err := s.put(item{kind: itemEnter, entry: e, path: path}); err != nil {
		_ = d.Close()
		return err
	}
	next := below(p, old)
	if err := s.folder(share(d), path, s.journalPast(path, next), depth); err != nil {
		return err
	}
	return s.put(item{kind: itemLeave})
}

// own reports whether a folder is the destination, the profile or the vault: a
// backup of itself would never end.
func (s *scanner) own(info source.Info) bool {
	return slices.ContainsFunc(s.skip, func(o source.Info) bool { return source.SameFile(o, info) })
}

// below returns the prior of a folder within one.
func below(p prior, old *repo.Entry) prior {
	if old == nil || old.Type != repo.TypeFolder {
		return prior{}
	}
	return prior{content: old.Content, started: p.started}
}

// journalPast puts what an interrupted backup stored of a folder beside what the
// snapshot has.
func (s *scanner) journalPast(path string, p prior) prior {
	p.files, p.since = s.journal.files(path), s.journal.past.started.Sec
	return p
}

// file copies the entry of an unchanged file, or gives the file to a reader.
func (s *scanner) file(dir *sharedDir, path string, info source.Info, old *repo.Entry, p prior) error {
	news := newsChanged
	if old == nil || old.Type != repo.TypeFile {
		news = newsNew
	}
	if done, ok := p.files[info.Name]; ok && s.unchanged(&info, &done, p.since) {
		s.meter.file(info.Size)
		return s.put(item{entry: done, news: news, noted: true})
	}
	if old != nil && s.unchanged(&info, old, p.started) {
		s.meter.file(info.Size)
		return s.put(item{entry: *old})
	}
	id := fileID{info.Device, info.Inode}
	if first := s.links[id]; first != nil && info.Links > 1 {
		return s.link(dir, path, info, item{first: first, news: news})
	}
	if err := s.put(item{entry: repo.Entry{Name: info.Name}, news: news}); err != nil {
		return err
	}
	it := &s.batch.items[len(s.batch.items)-1]
	if info.Links > 1 {
		s.links[id] = it
	}
	return s.hand(dir, path, fileJob{info, it})
}

// link puts another name of a file that is being read already.
func (s *scanner) link(dir *sharedDir, path string, info source.Info, it item) error {
	it.path = join(path, info.Name)
	extra, err := dir.Extra(info)
	if err != nil {
		return s.missed(it.path, info.Name, err)
	}
	it.entry = newEntry(info, extra) // what it could not say was told of the first name
	s.meter.file(info.Size)
	return s.put(it)
}

// unchanged reports whether the entry still says what is in the file. A file
// changed within two seconds of the start of the backup that stored it may have changed
// again without a trace, as times are that coarse on some disks.
func (s *scanner) unchanged(info *source.Info, old *repo.Entry, started int64) bool {
	const coarse = 2
	if !same(info, old) || max(info.ModTime.Sec, info.ChangeTime.Sec) >= started-coarse {
		return false
	}
	known, err := s.session.repo.Known(s.ctx, old.Content)
	return known && err == nil
}

// hand adds a file to the job of its folder, and sends the job when it is worth a hand-over.
func (s *scanner) hand(dir *sharedDir, path string, f fileJob) error {
	if s.job != nil && (s.job.dir != dir || s.job.batch != s.batch) {
		if err := s.sendJob(); err != nil {
			return err
		}
	}
	if s.job == nil {
		dir.users.Add(1)
		s.job = &readJob{dir: dir, path: path, batch: s.batch}
	}
	s.batch.pending.Add(1)
	s.job.files = append(s.job.files, f)
	s.bytes += f.info.Size
	if len(s.job.files) >= 64 || s.bytes >= 1<<20 {
		return s.sendJob()
	}
	return nil
}

func (s *scanner) sendJob() error {
	job := s.job
	if job == nil {
		return nil
	}
	s.job, s.bytes = nil, 0
	select {
	case s.jobs <- job:
		return nil
	case <-s.ctx.Done():
		job.dir.release()
		for range job.files {
			job.batch.pending.Done()
		}
		return context.Cause(s.ctx)
	}
}

// put appends an item, and sends the batch before when that is full.
func (s *scanner) put(it item) error {
	if len(s.batch.items) == batchSize {
		if err := s.send(); err != nil {
			return err
		}
	}
	s.batch.items = append(s.batch.items, it)
	return nil
}

func (s *scanner) send() error {
	if err := s.sendJob(); err != nil {
		return err
	}
	select {
	case s.batches <- s.batch:
		s.batch = newBatch()
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

func (s *scanner) err() error { return context.Cause(s.ctx) }

// oldEntries goes through the entries of a folder of the prior snapshot, in step
// with the names on disk.
type oldEntries struct {
	next func() (repo.Entry, error, bool)
	stop func()
	at   repo.Entry
	more bool
	err  error
}

func (s *scanner) entries(p prior) *oldEntries {
	if len(p.content.IDs) == 0 {
		return &oldEntries{stop: func() {}}
	}
	o := new(oldEntries)
	o.next, o.stop = iter.Pull2(s.session.repo.Folder(s.ctx, p.content))
	o.advance()
	return o
}

func (o *oldEntries) advance() {
	o.at, o.err, o.more = o.next()
	if o.err == nil {
		return
	}
	o.more = false
	if errors.Is(o.err, repo.ErrMissing) || errors.Is(o.err, repo.ErrDamaged) {
		o.err = nil // nothing to compare with: all is read and stored again
	}
}

// find returns the entry of that name, or nil. Names come in ascending order.
func (o *oldEntries) find(name string) *repo.Entry {
	for o.more && o.at.Name < name {
		o.advance()
	}
	if !o.more || o.at.Name != name {
		return nil
	}
	e := o.at
	return &e
}
