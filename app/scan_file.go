package app

import (
	"context"

	"coffer/app/repo"
	"coffer/app/source"
)

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
	if l := s.links[id]; l != nil && info.Links > 1 {
		if l.left--; l.left == 0 {
			delete(s.links, id) // and with it the batch that the item is in
		}
		return s.link(dir, path, info, item{first: l.first, news: news})
	}
	if err := s.put(item{entry: repo.Entry{Name: info.Name}, news: news, old: old}); err != nil {
		return err
	}
	it := &s.batch.items[len(s.batch.items)-1]
	if info.Links > 1 {
		s.links[id] = &linked{it, info.Links - 1}
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
	if !known && err == nil && old.Content.Depth > 0 {
		s.session.repo.Forget(s.ctx, old.Content) // a list that is damaged is stored again too
	}
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
	if s.bytes >= 1<<20 {
		// The batch goes too: what waits for it, the journal, waits for little data.
		return s.send()
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
