package app

import (
	"errors"
	"iter"
	"path/filepath"
	"slices"

	"coffer/app/repo"
	"coffer/app/source"
)

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

// oldEntries goes through the entries of a folder of the prior snapshot, in step
// with the names on disk.
type oldEntries struct {
	next func() (repo.Entry, error, bool)
	stop func()
	at   repo.Entry
	more bool
	err  error

	forget func() // of what is damaged
}

func (s *scanner) entries(p prior) *oldEntries {
	if len(p.content.IDs) == 0 {
		return &oldEntries{stop: func() {}}
	}
	o := &oldEntries{forget: func() { s.session.repo.Forget(s.ctx, p.content) }}
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
	if isDamage(o.err) {
		o.forget()
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
