package app

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"coffer/app/repo"
	"coffer/app/target"
	"coffer/crypto"
)

// A round is what is read and written together.
type round struct {
	files   []*restoreFile
	open    int   // files that are being written in pieces
	bytes   int64 // of data
	folders int
	later   []*restoreFile // more names of files before them
}

// The limits of a round bound memory and open files.
const (
	roundFiles   = 4096
	roundOpen    = 128
	roundBytes   = 256 << 20
	roundFolders = 128
)

// abandon lets go of files that will not be restored.
func (r *round) abandon() {
	for _, f := range slices.Concat(r.files, r.later) {
		f.end()
	}
}

// A restoreFile is a file on its way.
type restoreFile struct {
	folder *outFolder // held until the file is over
	entry  repo.Entry
	name   string // at the target
	path   string // in the backup
	wants  []wantedChunk
	layout *layout
	out    *target.File // of files in pieces
	closed bool         // all its chunks have been wanted
	over   bool

	mu      sync.Mutex // guards what follows
	failed  error
	outcome target.Outcome
	written bool // outcome counts
}

type wantedChunk struct {
	id    crypto.ChunkID
	place repo.Place
	at    layout
}

// end removes what was not committed, and releases the folder.
func (f *restoreFile) end() {
	if f.over {
		return
	}
	f.over = true
	if f.out != nil {
		_ = f.out.Abort()
		f.out = nil
	}
	f.folder.release()
}

func (f *restoreFile) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = err
	}
}

// inOnePiece reports whether the file is written by one call.
func (f *restoreFile) inOnePiece() bool {
	return f.closed && f.out == nil && len(f.wants) <= 1 && len(f.entry.Holes) == 0
}

// A linkID tells files with several names. The system's numbers alone would not do: a
// snapshot has entries of several years, and a disk's number is another after a restart.
type linkID struct {
	device, inode uint64
	size          int64
	content       string
}

func linkOf(e *repo.Entry) linkID {
	if e.Device == 0 {
		return linkID{}
	}
	return linkID{e.Device, e.Inode, e.Size, contentKey(e.Content)}
}

// placed says where a file with several names went.
type placed struct {
	parts []string
	name  string
}

// file puts a file into the round, or deals with it at once.
func (r *restore) file(ctx context.Context, f *restoreFile) error {
	r.meter.at(f.path)
	if id := linkOf(&f.entry); id.device != 0 {
		if _, ok := r.links[id]; ok {
			r.round.later = append(r.round.later, f)
			return nil
		}
		r.links[id] = nil
	}
	return r.fileData(ctx, f)
}

func (r *restore) fileData(ctx context.Context, f *restoreFile) error {
	r.round.files = append(r.round.files, f)
	if there, err := f.folder.Lstat(f.name); err == nil {
		outcome, settled, err := r.settled(ctx, f, there)
		if err != nil {
			return err
		}
		if settled {
			f.outcome, f.written, f.closed = outcome, true, true
			return r.roundFull(ctx)
		}
	}
	if err := r.wantChunks(ctx, f); err != nil {
		return err
	}
	f.closed = true
	if !f.inOnePiece() {
		r.round.open++
	}
	return r.roundFull(ctx)
}

// wantChunks lists the chunks of a file; of a large one it ends rounds meanwhile.
func (r *restore) wantChunks(ctx context.Context, f *restoreFile) error {
	f.layout = newLayout(&f.entry)
	size := f.entry.HoleBytes()
	for id, err := range r.session.repo.IDs(ctx, f.entry.Content) {
		var place repo.Place
		if err == nil {
			place, err = r.session.repo.Locate(id)
		}
		if isLost(ctx, err) {
			f.fail(err)
			return nil
		}
		if err != nil {
			return err
		}
		size += int64(place.Length)
		f.wants = append(f.wants, wantedChunk{id, place, f.layout.skip(int64(place.Length))})
		r.round.bytes += int64(place.Length)
		if r.round.bytes >= roundBytes {
			if err := r.endRound(ctx); err != nil {
				return err
			}
			r.round.files = append(r.round.files, f)
		}
	}
	if size != f.entry.Size {
		f.fail(fmt.Errorf("%w: %d bytes of data in a file of %d", repo.ErrDamaged, size, f.entry.Size))
	}
	return nil
}

// roundFull ends the round when it is.
func (r *restore) roundFull(ctx context.Context) error {
	if len(r.round.files) >= roundFiles || r.round.open >= roundOpen || r.round.folders >= roundFolders {
		return r.endRound(ctx)
	}
	return nil
}

// endRound reads what the files of the round want and finishes those that have
// all of it.
func (r *restore) endRound(ctx context.Context) (err error) {
	now := r.round
	r.round = round{}
	defer func() {
		if err != nil {
			now.abandon()
		}
	}()
	if err := r.prepareFiles(now.files); err != nil {
		return err
	}
	if err := r.readPacks(ctx, now.files); err != nil {
		return err
	}
	for _, f := range now.files {
		if err := r.endFile(ctx, f); err != nil {
			return err
		}
	}
	for _, f := range now.later {
		if err := r.link(ctx, f); err != nil {
			return err
		}
	}
	if len(r.round.files) > 0 { // links that had to become files
		return r.endRound(ctx)
	}
	return nil
}

// prepareFiles opens what is written in pieces.
func (r *restore) prepareFiles(files []*restoreFile) error {
	for _, f := range files {
		if f.failed != nil || f.written || f.out != nil || f.inOnePiece() {
			continue
		}
		var err error
		if f.out, err = f.folder.Create(f.name, f.entry.Size); err != nil {
			if fatal(err) {
				return targetError(r.options.Target, err)
			}
			f.fail(err)
		}
	}
	return nil
}

// readPacks reads each pack that the files want once, some at a time.
func (r *restore) readPacks(ctx context.Context, files []*restoreFile) error {
	packs := map[uint32]map[uint32][]want{}
	for _, f := range files {
		if f.failed != nil {
			continue
		}
		for _, w := range f.wants {
			if packs[w.place.Pack] == nil {
				packs[w.place.Pack] = map[uint32][]want{}
			}
			packs[w.place.Pack][w.place.Segment] = append(packs[w.place.Pack][w.place.Segment], want{f, w})
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	for pack, segments := range packs {
		group.Go(func() error { return r.readPack(ctx, pack, segments) })
	}
	return group.Wait()
}

type want struct {
	file *restoreFile
	wantedChunk
}

func (r *restore) readPack(ctx context.Context, pack uint32, wanted map[uint32][]want) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var segments []uint32
	for s := range wanted {
		segments = append(segments, s)
	}
	slices.Sort(segments)
	err := r.session.repo.ReadSegments(ctx, pack, segments, func(segment uint32, raw []byte) error {
		if err := r.options.Gate.Wait(ctx); err != nil {
			return err
		}
		return r.write(wanted[segment], raw)
	})
	if !isLost(ctx, err) {
		return err
	}
	if len(segments) > 1 { // one bad segment does not take the others with it
		for _, s := range segments {
			if err := r.readPack(ctx, pack, map[uint32][]want{s: wanted[s]}); err != nil {
				return err
			}
		}
		return nil
	}
	return r.otherCopies(ctx, wanted[segments[0]])
}

// otherCopies asks for chunks of a segment that is lost one by one: each may lie in
// another pack as well.
func (r *restore) otherCopies(ctx context.Context, wanted []want) error {
	for _, w := range wanted {
		chunk, err := r.session.repo.Chunk(ctx, w.id)
		if err == nil {
			err = r.give(w, chunk)
			if err != nil {
				return err
			}
			continue
		}
		if !isLost(ctx, err) {
			return err
		}
		w.file.fail(err)
	}
	return nil
}

// write gives the chunks of one segment to the files that want them.
func (r *restore) write(wanted []want, raw []byte) error {
	for _, w := range wanted {
		chunk, err := r.session.repo.Slice(raw, w.place, w.id)
		if err != nil {
			w.file.fail(err)
			continue
		}
		if err := r.give(w, chunk); err != nil {
			return err
		}
	}
	return nil
}

// give writes one chunk into its file. Only trouble with the whole target is an error.
func (r *restore) give(w want, chunk []byte) error {
	if err := w.file.put(w.wantedChunk, chunk, r.policy); err != nil {
		if fatal(err) {
			return targetError(r.options.Target, err)
		}
		w.file.fail(err)
	}
	r.meter.bytes.Add(int64(len(chunk)))
	return nil
}

// put writes one chunk. Writing it twice, when a segment had to be read again,
// does no harm.
func (f *restoreFile) put(w wantedChunk, chunk []byte, policy target.Policy) error {
	if f.out == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.written || f.failed != nil {
			return nil
		}
		var err error
		f.outcome, err = f.folder.WriteSmall(f.name, chunk, metaOf(&f.entry), policy)
		f.written = err == nil
		return err
	}
	l := w.at
	for off, piece := range l.place(chunk) {
		if _, err := f.out.WriteAt(piece, off); err != nil {
			return err
		}
	}
	return nil
}

// endFile publishes a file that has all its data, and counts it.
func (r *restore) endFile(ctx context.Context, f *restoreFile) error {
	f.wants = nil
	if !f.closed && f.failed == nil || f.over {
		return nil // its other chunks come in the next round
	}
	err := f.failed
	switch {
	case err != nil || f.written:
	case f.out != nil:
		f.outcome, err = f.out.Commit(metaOf(&f.entry), r.policy)
		f.out = nil
	default: // an empty file
		f.outcome, err = f.folder.WriteSmall(f.name, nil, metaOf(&f.entry), r.policy)
	}
	if err == nil {
		r.placeLink(f)
		err = r.verify(ctx, f)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err = r.done(f, f.outcome.Result != target.Skipped, f.outcome, err)
	f.end()
	return err
}

var errReadBack = errors.New("what was read back from the disk is not what was written")

// verify reads a file back, where that was asked for and was not just done.
func (r *restore) verify(ctx context.Context, f *restoreFile) error {
	if !r.options.Verify || f.outcome.Result == target.Skipped || f.outcome.Result == target.Identical {
		return nil
	}
	if r.options.beforeVerify != nil {
		r.options.beforeVerify(f.path)
	}
	if !r.sameAs(ctx, f, f.outcome.Name) {
		return errReadBack
	}
	return nil
}

func (r *restore) placeLink(f *restoreFile) {
	if id := linkOf(&f.entry); id.device != 0 && f.outcome.Result != target.Skipped {
		r.links[id] = &placed{f.folder.parts, f.outcome.Name}
	}
}

// link makes another name of a file that was restored before; where there is
// none, the file itself.
func (r *restore) link(ctx context.Context, f *restoreFile) error {
	first := r.links[linkOf(&f.entry)]
	if first == nil {
		return r.fileData(ctx, f)
	}
	from, err := r.target.MkdirAll(first.parts)
	if err != nil {
		f.end()
		return r.folderFailed(f.path, err)
	}
	defer from.Close()
	outcome, err := f.folder.Link(f.name, from, first.name, r.policy)
	if errors.Is(err, target.ErrNoLinks) {
		return r.fileData(ctx, f)
	}
	r.meter.bytes.Add(dataBytes(&f.entry))
	err = r.done(f, err == nil && outcome.Result != target.Skipped, outcome, err)
	f.end()
	return err
}
