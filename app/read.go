package app

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"coffer/app/repo"
	"coffer/app/source"
	"coffer/crypto"
)

// A reader reads files. Small ones it stores itself, as handing them over would cost more
// than to name and bundle them; large ones it cuts, and sealers do the rest.
type reader struct {
	*backup
	ctx    context.Context
	bundle *repo.Bundle
	buf    []byte
}

// readBuffer holds two of the largest chunks: one to cut, one to read on.
const readBuffer = 8 << 20

// read is a stage: it does jobs until there are no more. After a failure it only
// ends them, so that nobody waits for them.
func (b *backup) read(ctx context.Context) error {
	r := &reader{backup: b, ctx: ctx, bundle: b.writer.NewBundle(), buf: make([]byte, readBuffer)}
	var failed error
	var told int64
	for job := range b.jobs {
		for i := range job.files {
			if failed == nil && ctx.Err() == nil {
				failed = r.file(job, &job.files[i])
			}
			job.batch.pending.Done()
		}
		job.dir.release()
		b.addNew(r.bundle, &told)
	}
	if failed != nil || ctx.Err() != nil {
		return failed
	}
	return r.bundle.Flush()
}

// addNew counts what a bundle was given since told that the place did not have.
func (b *backup) addNew(bundle *repo.Bundle, told *int64) {
	b.meter.newBytes.Add(bundle.NewBytes - *told)
	*told = bundle.NewBytes
}

// aboutToRead is where tests change a file behind the reader's back.
func (b *backup) aboutToRead(path string) {
	if b.options.hooks.read != nil {
		b.options.hooks.read(path)
	}
}

// file reads one file into its item. Only trouble with storing is an error.
func (r *reader) file(job *readJob, f *fileJob) error {
	if err := r.options.Gate.Wait(r.ctx); err != nil {
		return err
	}
	path := join(job.path, f.info.Name)
	r.meter.at(path)
	var err error
	if f.info.Size < repo.SmallChunk {
		err = r.small(job.dir.Dir, f, path)
	} else {
		err = r.large(job.dir.Dir, f, path)
	}
	var trouble *source.Error
	switch e := &f.item.entry; {
	case errors.Is(err, source.ErrVanished):
		f.item.drop = true
		r.problem(ProblemVanished, path, source.Reason(err))
	case errors.As(err, &trouble) || isSourceError(err):
		*e = newEntry(f.info, source.Extra{})
		e.Name = f.item.entry.Name
		e.State, e.Reason = repo.StateUnreadable, source.Reason(err)
		r.tell(e, path)
	case err != nil:
		return err
	default:
		r.tell(e, path)
	}
	return nil
}

// tell names what is not as it should be of a file that is stored.
func (b *backup) tell(e *repo.Entry, path string) {
	switch e.State {
	case repo.StateChanged:
		b.problem(ProblemChanged, path, "changed while it was read")
	case repo.StatePartly:
		b.problem(ProblemPartly, path, e.Reason)
	case repo.StateUnreadable:
		b.problem(ProblemUnreadable, path, e.Reason)
	}
}

func isSourceError(err error) bool {
	for _, kind := range []error{
		source.ErrPermission, source.ErrReplaced, source.ErrRead, source.ErrBusy,
		source.ErrTooMany, source.ErrName, source.ErrXattrSize, source.ErrLoop,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// small reads a file that is one chunk. One that changes meanwhile is read once
// more, and then kept as it is and marked.
func (r *reader) small(dir *source.Dir, f *fileJob, path string) error {
	before := f.info
	for again := false; ; again = true {
		if before.Size >= repo.SmallChunk {
			return r.large(dir, f, path)
		}
		r.aboutToRead(path)
		n, after, err := source.ReadSmall(dir, before.Name, before, r.buf[:before.Size+1])
		if err != nil {
			return err
		}
		changed := source.Changed(before, after) || int64(n) != before.Size
		if changed && !again {
			before = after
			before.Name = f.info.Name
			continue
		}
		extra, err := dir.Extra(after)
		if err != nil {
			return err
		}
		e := r.newEntry(after, extra, path)
		e.Name, e.Size = f.item.entry.Name, int64(n)
		if changed {
			e.State = repo.StateChanged
		}
		if n > 0 {
			id, err := r.bundle.Put(r.buf[:n])
			if err != nil {
				return err
			}
			e.Content.IDs = []crypto.ChunkID{id}
		}
		f.item.entry = e
		r.meter.file(e.Size)
		return nil
	}
}

// large reads a file of several chunks, or with holes.
func (r *reader) large(dir *source.Dir, f *fileJob, path string) error {
	for again := false; ; again = true {
		e, changed, err := r.largeOnce(dir, f, path)
		if err != nil {
			return err
		}
		if changed && !again {
			r.meter.bytes.Add(-e.Size)
			continue
		}
		if changed && e.State == repo.StateOK {
			e.State = repo.StateChanged
		}
		f.item.entry = e
		r.meter.files.Add(1)
		return nil
	}
}

func (r *reader) largeOnce(dir *source.Dir, f *fileJob, path string) (e repo.Entry, changed bool, err error) {
	file, err := dir.OpenFile(f.info.Name)
	if err != nil {
		return e, false, err
	}
	defer file.Close()
	info := file.Info()
	extra, err := file.Extra()
	if err != nil {
		return e, false, err
	}
	e = r.newEntry(info, extra, path)
	e.Name = f.item.entry.Name
	r.aboutToRead(path)
	s := &stream{reader: r, file: file, entry: &e}
	if err := s.run(); err != nil {
		return e, false, err
	}
	after, err := file.Stat()
	if err != nil {
		return e, false, err
	}
	return e, source.Changed(info, after) || e.Size != info.Size, nil
}

// A stream cuts the data of one file into chunks.
type stream struct {
	*reader
	file       *source.File
	entry      *repo.Entry
	start, end int  // of what is in the reader's buffer
	begun      bool // the first bytes have been looked at
	database   bool
	parts      []*chunkJob
	work       sync.WaitGroup
}

// run fills in content, holes, size and state of the entry.
func (s *stream) run() error {
	err := s.readAll()
	if err == nil {
		err = s.cut(true)
	}
	s.work.Wait()
	if err != nil {
		return err
	}
	for _, p := range s.parts {
		s.entry.Content.IDs = append(s.entry.Content.IDs, p.ids...)
	}
	return context.Cause(s.ctx)
}

func (s *stream) readAll() error {
	holes, err := s.holes()
	if err != nil {
		return err
	}
	size := s.entry.Size
	s.entry.Holes = nil
	at := int64(0)
	for _, hole := range append(holes, repo.Range{Offset: size}) {
		end, err := s.readRange(at, hole.Offset)
		if err != nil {
			return err
		}
		if end < hole.Offset { // the file has become shorter
			s.entry.Size = end
			return nil
		}
		if hole.Length > 0 {
			s.addHole(hole)
			s.meter.bytes.Add(hole.Length)
		}
		at = hole.Offset + hole.Length
	}
	return nil
}

// mostHoles leaves room in the format's 1,024 for ranges that cannot be read.
const mostHoles = 900

// holes returns where the file has none of its bytes. Of very many, the small ones
// are read as zeros.
func (s *stream) holes() ([]repo.Range, error) {
	if !s.file.Info().Sparse() {
		return nil, nil
	}
	data, err := s.file.Extents()
	if err != nil {
		return nil, err
	}
	var holes []repo.Range
	at := int64(0)
	for _, x := range append(data, source.Extent{Off: s.entry.Size}) {
		if x.Off > at && at < s.entry.Size {
			holes = append(holes, repo.Range{Offset: at, Length: min(x.Off, s.entry.Size) - at})
		}
		at = x.Off + x.Len
	}
	if len(holes) > mostHoles {
		slices.SortFunc(holes, func(a, b repo.Range) int { return int(min(1, max(-1, b.Length-a.Length))) })
		holes = holes[:mostHoles]
		slices.SortFunc(holes, func(a, b repo.Range) int { return int(min(1, max(-1, a.Offset-b.Offset))) })
	}
	return holes, nil
}

// addHole appends a hole; neighbours are one.
func (s *stream) addHole(h repo.Range) { s.entry.Holes = appendRange(s.entry.Holes, h) }

func appendRange(rs []repo.Range, r repo.Range) []repo.Range {
	if n := len(rs); n > 0 && rs[n-1].Offset+rs[n-1].Length >= r.Offset {
		rs[n-1].Length = r.Offset + r.Length - rs[n-1].Offset
		return rs
	}
	return append(rs, r)
}

// readRange reads from at to end and returns how far it came: less only at the
// end of the file.
func (s *stream) readRange(at, end int64) (int64, error) {
	for at < end {
		if err := s.options.Gate.Wait(s.ctx); err != nil {
			return at, err
		}
		space := s.space()
		want := int(min(int64(len(space)), end-at))
		n, bad, err := source.ReadTolerant(s.file, at, space[:want])
		if err != nil && !errors.Is(err, io.EOF) {
			return at, err
		}
		kept, lost := s.leaveOut(space[:n], at, bad)
		s.end += kept
		s.meter.bytes.Add(int64(n))
		at += int64(n)
		if lost != nil {
			return at, lost
		}
		if err := s.cut(false); err != nil {
			return at, err
		}
		if n < want {
			break
		}
	}
	return at, nil
}

// leaveOut takes unreadable ranges out of what was read at off, and notes them.
// With too many of them the file counts as unreadable.
func (s *stream) leaveOut(read []byte, off int64, bad []source.Extent) (kept int, err error) {
	at := 0
	for _, b := range bad {
		from := int(b.Off - off)
		kept += copy(read[kept:], read[at:from])
		at = from + int(b.Len)
		r := repo.Range{Offset: b.Off, Length: b.Len}
		s.addHole(r)
		s.entry.Unreadable = appendRange(s.entry.Unreadable, r)
		s.entry.State, s.entry.Reason = repo.StatePartly, source.Reason(source.ErrRead)
	}
	if len(s.entry.Holes) > 1000 {
		return 0, source.ErrRead
	}
	return kept + copy(read[kept:], read[at:]), nil
}

// space returns free memory behind what is in the buffer.
func (s *stream) space() []byte {
	if s.start > 0 {
		copy(s.buf, s.buf[s.start:s.end])
		s.start, s.end = 0, s.end-s.start
	}
	return s.buf[s.end:]
}

// cut sends chunks to the sealers while the buffer holds enough to know where
// one ends; at the end of the data, all.
func (s *stream) cut(final bool) error {
	if !s.begun && (final || s.end-s.start >= 16) {
		s.begun = true
		s.database = string(s.buf[s.start:min(s.end, s.start+len(databaseMagic))]) == databaseMagic
	}
	const most = 4 << 20
	for s.end-s.start >= most || final && s.end > s.start {
		data := s.buf[s.start:s.end]
		var n, block int
		if s.database {
			n, block = min(len(data), databaseRun), repo.DatabaseBlock
		} else {
			n = s.chunker.Cut(data)
		}
		if err := s.send(data[:n], block); err != nil {
			return err
		}
		s.start += n
	}
	return nil
}

const (
	databaseMagic = "SQLite format 3\x00"
	databaseRun   = 512 << 10 // blocks that are handed over at once
)

func (s *stream) send(data []byte, block int) error {
	var buf []byte
	select {
	case buf = <-s.buffers:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	job := &chunkJob{buf: append(buf[:0], data...), block: block, work: &s.work}
	s.work.Add(1)
	select {
	case s.chunks <- job:
		s.parts = append(s.parts, job)
		return nil
	case <-s.ctx.Done():
		s.work.Done()
		return context.Cause(s.ctx)
	}
}

// A chunkJob is a piece of a file to be named and stored: one chunk, or several
// of block bytes.
type chunkJob struct {
	buf   []byte
	block int
	ids   []crypto.ChunkID
	work  *sync.WaitGroup
}

// seal is a stage: it names, compresses and seals chunks of large files.
func (b *backup) seal(ctx context.Context) error {
	bundle := b.writer.NewBundle()
	var failed error
	var told int64
	for job := range b.chunks {
		if failed == nil && ctx.Err() == nil {
			if failed = job.put(bundle); failed != nil {
				b.fail(failed)
			}
		}
		b.buffers <- job.buf
		job.buf = nil
		b.addNew(bundle, &told)
		job.work.Done()
	}
	if failed != nil || ctx.Err() != nil {
		return failed
	}
	return bundle.Flush()
}

func (j *chunkJob) put(bundle *repo.Bundle) error {
	for rest := j.buf; len(rest) > 0; {
		n := len(rest)
		if j.block > 0 {
			n = min(n, j.block)
		}
		id, err := bundle.Put(rest[:n])
		if err != nil {
			return err
		}
		j.ids = append(j.ids, id)
		rest = rest[n:]
	}
	return nil
}
