package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"coffer/app/repo"
	"coffer/app/source"
	"coffer/app/target"
	"coffer/crypto"
)

const goos = runtime.GOOS

// restore is one run. The tree is walked in order; files are collected until they
// are worth a round, as backups store neighbours together: a round reads each
// pack once, opens each segment once, and writes from several goroutines.
type restore struct {
	app       *App
	options   RestoreOptions
	session   *session
	snapshot  *repo.Snapshot
	selection *waypoint
	policy    target.Policy
	target    *target.Target
	meter     *meter
	round     round
	links     map[fileID]*placed // files with several names, by their identity in the backup
	folders   []doneFolder       // whose attributes are set at the end

	mu      sync.Mutex // guards receipt
	receipt Receipt
}

// A round is what is read and written together.
type round struct {
	files   []*restoreFile
	open    int   // files that are being written in pieces
	bytes   int64 // of data
	folders int
	later   []laterLink
}

// The limits of a round bound memory and open files.
const (
	roundFiles   = 4096
	roundOpen    = 128
	roundBytes   = 256 << 20
	roundFolders = 128
)

// An outFolder is an open folder of the target.
type outFolder struct {
	*target.Dir
	path  string // in the backup
	parts []string
	users atomic.Int32
}

func (f *outFolder) release() {
	if f.users.Add(-1) == 0 {
		_ = f.Close()
	}
}

// doneFolder is a folder that gets its attributes when all in it is written.
type doneFolder struct {
	parts []string
	path  string
	meta  target.Meta
}

// A restoreFile is a file on its way.
type restoreFile struct {
	folder *outFolder
	entry  repo.Entry
	name   string // at the target
	path   string // in the backup
	wants  []wantedChunk
	layout *layout
	out    *target.File // of files in pieces
	closed bool         // all its chunks have been wanted

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

// placed says where a file with several names went.
type placed struct {
	parts []string
	name  string
}

type laterLink struct {
	file *restoreFile
	id   fileID
}

func (r *restore) run(ctx context.Context) (err error) {
	if r.insideSource() {
		return &PathError{r.options.Target, ErrTargetInSource}
	}
	if err := r.room(); err != nil {
		return err
	}
	if r.target, err = target.Open(r.options.Target); err != nil {
		return targetError(r.options.Target, err)
	}
	defer r.target.Close()
	if _, err := r.target.CleanTemps(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	r.links = map[fileID]*placed{}
	r.meter = newMeter(ctx, r.options.Progress, r.options.Gate, PhaseRestoring)
	defer r.meter.end()
	if err := r.total(ctx); err != nil {
		return err
	}
	if err := r.folder(ctx, r.snapshot.Root, r.selection, nil, ""); err != nil {
		return err
	}
	if err := r.endRound(ctx); err != nil {
		return err
	}
	r.finishFolders()
	if err := r.target.Sync(); err != nil {
		return targetError(r.options.Target, err)
	}
	return nil
}

// room refuses to begin what cannot end.
func (r *restore) room() error {
	free, err := target.FreeSpace(r.options.Target)
	if err != nil || r.selection != nil || r.policy != target.KeepBoth || notEmpty(r.options.Target) {
		return nil // the system will say when it is full
	}
	if need := r.snapshot.Bytes; free < need/2 && free < r.leastBytes() {
		return &PathError{r.options.Target, fmt.Errorf("%w: %d bytes are missing", target.ErrFull, need-free)}
	}
	return nil
}

// leastBytes is what the files take on a disk that keeps holes.
func (r *restore) leastBytes() int64 { return r.snapshot.Bytes }

func targetError(path string, err error) error {
	switch {
	case errors.Is(err, target.ErrNotFolder), errors.Is(err, target.ErrFull), errors.Is(err, target.ErrReadOnly):
		return &PathError{path, err}
	case errors.Is(err, target.ErrPermission):
		return &PathError{path, errors.Join(ErrTargetDenied, err)}
	}
	return err
}

// total says how much there is to do.
func (r *restore) total(ctx context.Context) error {
	if r.options.Progress == nil {
		return nil
	}
	files, bytes := r.snapshot.Files, r.snapshot.Bytes
	if r.selection != nil {
		p := RestorePlan{}
		if err := r.planFolder(ctx, r.snapshot.Root, r.selection, "", r.options.Target, false, &p); err != nil {
			return err
		}
		files, bytes = p.Files, p.Bytes
	}
	r.meter.totalFiles.Store(files)
	r.meter.totalBytes.Store(bytes)
	r.meter.scanned.Store(true)
	return nil
}

// folder restores what is in a folder of the backup.
func (r *restore) folder(ctx context.Context, content repo.Content, sel *waypoint, parts []string, path string) error {
	dir, err := r.target.MkdirAll(parts)
	if err != nil {
		return r.folderFailed(path, err)
	}
	out := &outFolder{Dir: dir, path: path, parts: slices.Clone(parts)}
	out.users.Store(1)
	defer out.release()
	r.round.folders++
	for e, err := range r.session.repo.Folder(ctx, content) {
		if err == nil {
			err = r.options.Gate.Wait(ctx)
		}
		if isDamage(err) {
			r.fail(path, ProblemUnreadable, "part of the folder's list is damaged or missing")
			return nil
		}
		if err != nil {
			return err
		}
		below, wanted := wants(sel, e.Name)
		if !wanted {
			continue
		}
		if err := r.entry(ctx, out, e, below); err != nil {
			return err
		}
	}
	return nil
}

// folderFailed notes a folder that could not be made. Trouble with the whole
// target ends the restore.
func (r *restore) folderFailed(path string, err error) error {
	if fatal(err) {
		return targetError(r.options.Target, err)
	}
	r.fail(path, ProblemUnreadable, target.Reason(err))
	return nil
}

func fatal(err error) bool {
	for _, kind := range []error{target.ErrFull, target.ErrReadOnly, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func isDamage(err error) bool {
	return errors.Is(err, repo.ErrDamaged) || errors.Is(err, repo.ErrMissing)
}

func (r *restore) entry(ctx context.Context, out *outFolder, e repo.Entry, sel *waypoint) error {
	name, renamed := target.SafeName(e.Name, goos)
	path := out.path + "/" + e.Name
	if renamed {
		r.rename(path, strings.Join(append(slices.Clone(out.parts), name), "/"))
	}
	switch e.Type {
	case repo.TypeFolder:
		return r.subfolder(ctx, out, e, sel, name, path)
	case repo.TypeSymlink:
		outcome, err := out.Symlink(name, e.Link, metaOf(&e), r.policy)
		return r.done(path, 0, false, outcome, err)
	}
	if e.State == repo.StateUnreadable {
		r.fail(path, ProblemUnreadable, "could not be read when it was backed up: "+e.Reason)
		return nil
	}
	return r.file(ctx, &restoreFile{folder: out, entry: e, name: name, path: path})
}

func (r *restore) subfolder(ctx context.Context, out *outFolder, e repo.Entry, sel *waypoint, name, path string) error {
	parts := append(slices.Clone(out.parts), name)
	_, err := out.Lstat(name)
	if made := errors.Is(err, source.ErrVanished); made || r.policy == target.Replace {
		r.folders = append(r.folders, doneFolder{parts, path, metaOf(&e)})
	}
	if e.State == repo.StateUnreadable {
		r.fail(path, ProblemUnreadable, "could not be read when it was backed up: "+e.Reason)
	}
	return r.folder(ctx, e.Content, sel, parts, path)
}

// file puts a file into the round, or deals with it at once.
func (r *restore) file(ctx context.Context, f *restoreFile) error {
	r.meter.at(f.path)
	if id := (fileID{f.entry.Device, f.entry.Inode}); f.entry.Device != 0 {
		if _, ok := r.links[id]; ok {
			f.folder.users.Add(1)
			r.round.later = append(r.round.later, laterLink{f, id})
			return nil
		}
		r.links[id] = nil
	}
	return r.fileData(ctx, f)
}

func (r *restore) fileData(ctx context.Context, f *restoreFile) error {
	if there, err := f.folder.Lstat(f.name); err == nil {
		if outcome, settled := r.settled(ctx, f, there); settled {
			r.placeLink(f, outcome)
			return r.done(f.path, f.entry.Size, outcome.Result == target.Identical, outcome, nil)
		}
	}
	f.layout = newLayout(&f.entry)
	f.folder.users.Add(1)
	r.round.files = append(r.round.files, f)
	for id, err := range r.session.repo.IDs(ctx, f.entry.Content) {
		var place repo.Place
		if err == nil {
			place, err = r.session.repo.Locate(id)
		}
		if isDamage(err) {
			f.failed = err
			break
		}
		if err != nil {
			return err
		}
		f.wants = append(f.wants, wantedChunk{id, place, f.layout.skip(int64(place.Length))})
		r.round.bytes += int64(place.Length)
		if r.round.bytes >= roundBytes {
			if err := r.endRound(ctx); err != nil {
				return err
			}
			f.folder.users.Add(1)
			r.round.files = append(r.round.files, f)
		}
	}
	f.closed = true
	if !f.inOnePiece() {
		r.round.open++
	}
	if len(r.round.files) >= roundFiles || r.round.open >= roundOpen || r.round.folders >= roundFolders {
		return r.endRound(ctx)
	}
	return nil
}

// inOnePiece reports whether the file is written by one call.
func (f *restoreFile) inOnePiece() bool {
	return f.closed && f.out == nil && len(f.wants) <= 1 && len(f.entry.Holes) == 0
}

// settled decides about a name that is taken, where that needs no data: the same
// file is there already, or the policy keeps what is there.
func (r *restore) settled(ctx context.Context, f *restoreFile, there source.Info) (target.Outcome, bool) {
	keep := target.Outcome{Result: target.Skipped, Name: f.name}
	switch {
	case r.policy == target.Skip:
		return keep, true
	case r.policy == target.KeepNewer && there.Type == source.TypeFile && !before(there.ModTime, source.Time(f.entry.ModTime)) && !r.same(ctx, f):
		return keep, true
	case there.Type == source.TypeFile && there.Size == f.entry.Size && r.same(ctx, f):
		if r.policy == target.Replace {
			_, _ = f.folder.SetMeta(f.name, metaOf(&f.entry))
		}
		return target.Outcome{Result: target.Identical, Name: f.name}, true
	}
	return target.Outcome{}, false
}

func before(a, b source.Time) bool {
	return cmp.Or(cmp.Compare(a.Sec, b.Sec), cmp.Compare(a.Nsec, b.Nsec)) < 0
}

// same reads a file at the target and compares each chunk by its id.
func (r *restore) same(ctx context.Context, f *restoreFile) bool { return r.sameAs(ctx, f, f.name) }

func (r *restore) sameAs(ctx context.Context, f *restoreFile, name string) bool {
	there, err := f.folder.OpenExisting(name)
	if err != nil {
		return false
	}
	defer there.Close()
	if there.Info().Size != f.entry.Size {
		return false
	}
	hasher := r.session.keys.NewChunkHasher()
	l := newLayout(&f.entry)
	buf := make([]byte, 0, 64<<10)
	for id, err := range r.session.repo.IDs(ctx, f.entry.Content) {
		place, err2 := r.session.repo.Locate(id)
		if err != nil || err2 != nil || ctx.Err() != nil {
			return false
		}
		buf = slices.Grow(buf[:0], int(place.Length))[:place.Length]
		for off, piece := range l.place(buf) {
			if _, err := there.ReadAt(piece, off); err != nil {
				return false
			}
		}
		if hasher.Sum(buf) != id {
			return false
		}
	}
	return zerosIn(there, f.entry.Holes)
}

// zerosIn reports whether the holes of a file read as zeros.
func zerosIn(f target.Existing, holes []repo.Range) bool {
	buf := make([]byte, 64<<10)
	for _, h := range holes {
		if h.Length > 1<<30 {
			continue // a file of holes a disk long would take hours; the data was compared
		}
		for at := h.Offset; at < h.Offset+h.Length; {
			part := buf[:min(int64(len(buf)), h.Offset+h.Length-at)]
			if _, err := f.ReadAt(part, at); err != nil {
				return false
			}
			for _, c := range part {
				if c != 0 {
					return false
				}
			}
			at += int64(len(part))
		}
	}
	return true
}

// endRound reads what the files of the round want and finishes those that have
// all of it.
func (r *restore) endRound(ctx context.Context) error {
	now := r.round
	r.round = round{}
	if err := r.prepareFiles(now.files); err != nil {
		return err
	}
	if err := r.readPacks(ctx, now.files); err != nil {
		r.abort(now.files)
		return err
	}
	for _, f := range now.files {
		if err := r.endFile(ctx, f); err != nil {
			r.abort(now.files)
			return err
		}
		f.folder.release()
	}
	for _, l := range now.later {
		if err := r.link(ctx, l); err != nil {
			return err
		}
		l.file.folder.release()
	}
	if len(r.round.files) > 0 { // links that had to become files
		return r.endRound(ctx)
	}
	return nil
}

// prepareFiles opens what is written in pieces, and writes what is empty.
func (r *restore) prepareFiles(files []*restoreFile) error {
	for _, f := range files {
		if f.failed != nil || f.out != nil || f.inOnePiece() {
			continue
		}
		var err error
		if f.out, err = f.folder.Create(f.name, f.entry.Size); err != nil {
			if fatal(err) {
				return targetError(r.options.Target, err)
			}
			f.failed = err
		}
	}
	return nil
}

func (r *restore) abort(files []*restoreFile) {
	for _, f := range files {
		if f.out != nil {
			_ = f.out.Abort()
		}
	}
}

// readPacks reads each pack that the files want once, some at a time.
func (r *restore) readPacks(ctx context.Context, files []*restoreFile) error {
	packs := map[uint32]map[uint32][]want{}
	for _, f := range files {
		if f.failed == nil {
			for _, w := range f.wants {
				if packs[w.place.Pack] == nil {
					packs[w.place.Pack] = map[uint32][]want{}
				}
				packs[w.place.Pack][w.place.Segment] = append(packs[w.place.Pack][w.place.Segment], want{f, w})
			}
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
	if !isDamage(err) {
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
	for _, w := range wanted[segments[0]] {
		w.file.fail(err)
	}
	return nil
}

func (f *restoreFile) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = err
	}
}

// write gives the chunks of one segment to the files that want them.
func (r *restore) write(wanted []want, raw []byte) error {
	for _, w := range wanted {
		chunk, err := r.session.repo.Slice(raw, w.place, w.id)
		if err != nil {
			w.file.fail(err)
			continue
		}
		if err := w.file.put(w.wantedChunk, chunk, r.policy); err != nil {
			if fatal(err) {
				return targetError(r.options.Target, err)
			}
			w.file.fail(err)
		}
		r.meter.bytes.Add(int64(len(chunk)))
	}
	return nil
}

// put writes one chunk. Writing it twice, when a segment had to be read again,
// does no harm.
func (f *restoreFile) put(w wantedChunk, chunk []byte, policy target.Policy) error {
	if f.out == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.written {
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

// endFile publishes a file that has all its data.
func (r *restore) endFile(ctx context.Context, f *restoreFile) error {
	f.wants = nil
	if !f.closed && f.failed == nil {
		return nil // its other chunks come in the next round
	}
	err := f.failed
	switch {
	case err != nil && f.out != nil:
		_ = f.out.Abort()
	case err == nil && f.out != nil:
		f.outcome, err = f.out.Commit(metaOf(&f.entry), r.policy)
	case err == nil && !f.written: // an empty file
		f.outcome, err = f.folder.WriteSmall(f.name, nil, metaOf(&f.entry), r.policy)
	}
	f.out = nil
	if err == nil {
		r.placeLink(f, f.outcome)
	}
	verified := err == nil
	if verified && r.options.Verify && f.outcome.Result != target.Skipped && !r.sameAs(ctx, f, f.outcome.Name) {
		err = errReadBack
	}
	return r.done(f.path, f.entry.Size, verified, f.outcome, err)
}

var errReadBack = errors.New("what was read back from the disk is not what was written")

func (r *restore) placeLink(f *restoreFile, outcome target.Outcome) {
	if f.entry.Device != 0 && outcome.Result != target.Skipped {
		r.links[fileID{f.entry.Device, f.entry.Inode}] = &placed{f.folder.parts, outcome.Name}
	}
}

// link makes another name of a file that was restored before; where there is
// none, the file itself.
func (r *restore) link(ctx context.Context, l laterLink) error {
	first := r.links[l.id]
	if first == nil {
		return r.fileData(ctx, l.file)
	}
	from, err := r.target.MkdirAll(first.parts)
	if err != nil {
		return r.folderFailed(l.file.path, err)
	}
	defer from.Close()
	outcome, err := l.file.folder.Link(l.file.name, from, first.name, r.policy)
	if errors.Is(err, target.ErrNoLinks) {
		return r.fileData(ctx, l.file)
	}
	return r.done(l.file.path, l.file.entry.Size, err == nil, outcome, err)
}

// done counts one file or link.
func (r *restore) done(path string, size int64, verified bool, outcome target.Outcome, err error) error {
	if err != nil {
		if fatal(err) {
			return targetError(r.options.Target, err)
		}
		r.fail(path, ProblemUnreadable, restoreReason(err))
		return nil
	}
	r.meter.files.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, lost := range outcome.Lost {
		if len(r.receipt.Lost) < maxProblems {
			r.receipt.Lost = append(r.receipt.Lost, Problem{Path: path, Reason: lost})
		}
	}
	switch outcome.Result {
	case target.Skipped:
		r.receipt.Skipped++
		return nil
	case target.Identical:
		r.receipt.Identical++
	case target.Renamed:
		r.receipt.Renamed++
		if len(r.receipt.Renames) < maxProblems {
			r.receipt.Renames = append(r.receipt.Renames, Rename{path, outcome.Name})
		}
	}
	r.receipt.Restored++
	r.receipt.Bytes += size
	if verified {
		r.receipt.Verified++
	}
	return nil
}

func restoreReason(err error) string {
	switch {
	case errors.Is(err, errReadBack):
		return errReadBack.Error()
	case errors.Is(err, repo.ErrMissing):
		return "part of it is missing from the backup"
	case errors.Is(err, repo.ErrDamaged):
		return "part of it is damaged in the backup"
	}
	return target.Reason(err)
}

func (r *restore) rename(from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receipt.Renamed++
	if len(r.receipt.Renames) < maxProblems {
		r.receipt.Renames = append(r.receipt.Renames, Rename{from, to})
	}
}

func (r *restore) fail(path, kind, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Problem{Path: path, Reason: reason, Kind: kind}
	r.receipt.Failed++
	if len(r.receipt.Problems) < maxProblems {
		r.receipt.Problems = append(r.receipt.Problems, p)
	}
	r.meter.problems.Add(1)
	if r.options.Problem != nil {
		r.options.Problem(p)
	}
}

// finishFolders sets the attributes of folders, the deepest first: writing into
// one changes its time, and its final mode may forbid it.
func (r *restore) finishFolders() {
	for _, f := range slices.Backward(r.folders) {
		dir, err := r.target.MkdirAll(f.parts)
		if err != nil {
			continue // it was named when it could not be made
		}
		for _, lost := range dir.SetOwnMeta(f.meta) {
			if len(r.receipt.Lost) < maxProblems {
				r.receipt.Lost = append(r.receipt.Lost, Problem{Path: f.path, Reason: lost})
			}
		}
		_ = dir.Close()
	}
}

func notEmpty(path string) bool {
	entries, err := os.ReadDir(path)
	return err == nil && len(entries) > 0
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
