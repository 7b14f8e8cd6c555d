package app

import (
	"cmp"
	"context"
	"os/user"
	"runtime"
	"slices"
	"sync"
	"time"

	"coffer/app/repo"
	"coffer/app/source"
)

// BackupOptions say what to back up and who is told.
type BackupOptions struct {
	Sources  []string // absolute paths; empty: those of the profile
	Exclude  []string // more patterns than those of the profile
	Gate     *Gate    // nil: cannot be paused
	Progress ProgressFunc
	Problem  func(Problem) // one at a time
	Place    string        // id or text of one place; "": all of the profile's
	Anyway   bool          // also where the network costs by the byte

	hooks backupHooks
}

// backupHooks let a test set the clock, and stand where a file is about to be read. Nil
// in programs.
type backupHooks struct {
	now  func() time.Time
	read func(path string) // once for each attempt
}

// maxProblems is how many problems a summary keeps.
const maxProblems = 1000

// backup is one run, into one place. Data goes one way: the scanner lists folders and compares them with the
// backup before; readers read what is new and cut it; sealers name, compress and
// seal chunks; the writer uploads packs; the assembler, last, puts entries into
// folders, in the order of the scan. Channels between them are bounded, so that
// memory is, and the slowest sets the pace.
type backup struct {
	app      *App
	options  BackupOptions
	place    placeEntry
	session  *session
	sources  []string
	rules    source.Rules
	started  time.Time
	previous *repo.Snapshot // of this device, or nil
	prior    *repo.Snapshot // to compare with, or nil

	snapshots []*repo.Snapshot // that the place shows
	made      *repo.Snapshot   // by this run; nil until it is committed
	head      *repo.Head       // the newest true one of the place; nil until it is open
	vaultDown *bool            // shared by all places: the vault did not answer
	journal   *journal
	writer    *repo.Writer
	chunker   *repo.Chunker
	meter     *meter

	batches chan *batch   // scanner -> assembler, in order
	jobs    chan *readJob // scanner -> readers
	chunks  chan *chunkJob
	buffers chan []byte // of chunkJobs
	fail    context.CancelCauseFunc

	total   int64      // bytes of room that the place has; 0 unknown
	mu      sync.Mutex // guards summary
	summary BackupSummary
}

// run makes the backup in its place.
func (b *backup) run(ctx context.Context) (err error) {
	if b.session, err = b.app.openSessionAt(ctx, b.place); err != nil {
		return err
	}
	defer b.session.close()
	b.head, _ = b.session.store.heads.verified(b.session.keys)
	lost, err := b.findPrior(ctx)
	if err != nil {
		return err
	}
	if b.journal, err = openJournal(ctx, b.app.placeDir(b.place.ID), timeOf(b.started), b.app.cfg.Log); err != nil {
		return err
	}
	defer b.journal.close()
	b.meter = newMeter(ctx, b.options.Progress, b.options.Gate, PhaseReading)
	defer b.meter.end()
	if err := b.store(ctx); err != nil {
		return err
	}
	b.journal.remove()
	b.look(ctx)
	b.tidy(ctx)
	if err := b.prolong(ctx); err != nil {
		return err
	}
	if err := b.anchor(ctx); err != nil {
		return err
	}
	if len(lost) > 0 {
		return &RollbackError{Snapshots: lost} // said loudly, after the data is safe
	}
	return nil
}

// whatToRead works out the sources, and what of them is left out.
func (o BackupOptions) whatToRead(p Profile) (sources []string, rules source.Rules, err error) {
	sources = o.Sources
	if len(sources) == 0 {
		sources = p.Sources
	}
	if sources, err = cleanSources(sources); err != nil {
		return nil, rules, err
	}
	if sources = outermost(sources); len(sources) == 0 {
		return nil, rules, ErrNoSources
	}
	if err := anySource(sources); err != nil {
		return nil, rules, err
	}
	rules, err = source.ParseRules(slices.Concat(p.Exclude, o.Exclude))
	return sources, rules, err
}

// anySource returns the trouble of the first source when no source is any good. Of
// several, the others are backed up, and those in trouble are named.
func anySource(sources []string) (first error) {
	for _, path := range sources {
		err := checkSources([]string{path})
		if err == nil {
			return nil
		}
		first = cmp.Or(first, err)
	}
	return first
}

// outermost sorts paths and drops those that lie within another.
func outermost(paths []string) (out []string) {
	paths = slices.Clone(paths)
	slices.Sort(paths)
	for _, p := range paths {
		if !slices.ContainsFunc(paths, func(other string) bool { return other != p && isBelow(p, other) }) {
			out = append(out, p)
		}
	}
	return slices.Compact(out)
}

// findPrior chooses the snapshot to compare with, and returns known snapshots
// that are gone.
func (b *backup) findPrior(ctx context.Context) (lost []string, err error) {
	snapshots, err := b.session.repo.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	device := &b.session.device
	if lost = device.note(snapshots); len(lost) > 0 {
		if snapshots, lost, err = b.reallyLost(ctx, snapshots, lost); err != nil {
			return nil, err
		}
	}
	b.snapshots = snapshots
	for _, s := range snapshots {
		if s.Device == device.id() && (b.previous == nil || s.Sequence > b.previous.Sequence) {
			b.previous = s
		}
	}
	if b.prior = b.previous; b.prior != nil {
		return lost, nil
	}
	// A new profile on a computer that has been backed up before. Comparing includes
	// inodes and ctimes, so another computer's snapshot does no harm.
	for _, s := range snapshots {
		if s.Computer == b.app.cfg.Computer && (b.prior == nil || s.Started.Sec > b.prior.Started.Sec) {
			b.prior = s
		}
	}
	return lost, nil
}

// reallyLost asks for missing snapshots by name: a listing may lag behind. What it finds
// lost is remembered with the next snapshot and not before: an alarm that was never
// raised, because this backup fails, is raised by the next.
func (b *backup) reallyLost(ctx context.Context, snapshots []*repo.Snapshot, missing []string) (found []*repo.Snapshot, lost []string, err error) {
	device := &b.session.device
	for _, digits := range missing {
		name, _ := repo.ParseName(digits)
		s, err := b.session.repo.Snapshot(ctx, name)
		switch {
		case err == nil:
			device.Lost = slices.DeleteFunc(device.Lost, func(l string) bool { return l == digits })
			device.know(s)
			snapshots = append(snapshots, s)
		case isDamage(err):
			lost = append(lost, digits)
		default:
			return nil, nil, err
		}
	}
	return snapshots, lost, nil
}

// store reads, seals, uploads and commits.
func (b *backup) store(ctx context.Context) error {
	b.writer = b.session.repo.NewWriter(ctx, func(bytes int64) { b.meter.stored.Add(bytes) })
	defer b.writer.Close()
	root, err := b.pipeline(ctx)
	if err != nil {
		return err
	}
	snapshot := b.snapshot(root)
	b.meter.enter(PhaseUploading)
	if err := b.writer.Commit(ctx, snapshot); err != nil {
		return err
	}
	b.made = snapshot
	b.summary.Snapshot = snapshot.Name.String()
	b.summary.NewBytes, b.summary.StoredBytes = b.meter.newBytes.Load(), b.writer.Stored()
	device := &b.session.device
	device.know(snapshot)
	return b.app.storeDevice(b.session.store.entry.ID, *device)
}

// pipeline runs the stages until all have ended and returns the root folder. The
// first that fails ends the others: its error is the cause of their context.
func (b *backup) pipeline(ctx context.Context) (root repo.Content, err error) {
	workers := max(2, runtime.GOMAXPROCS(0))
	b.batches = make(chan *batch, 64)
	b.jobs = make(chan *readJob, 4*workers)
	b.chunks = make(chan *chunkJob, workers)
	b.buffers = make(chan []byte, 2*workers+2)
	for range cap(b.buffers) {
		b.buffers <- nil
	}
	b.chunker = repo.NewChunker(b.session.keys)
	ctx, b.fail = context.WithCancelCause(ctx)
	defer b.fail(nil)
	stopCounting := b.countAhead(ctx)
	defer stopCounting()

	var scan, readers, sealers, assemble sync.WaitGroup
	start := func(stage *sync.WaitGroup, work func(context.Context) error) {
		stage.Go(func() {
			if err := work(ctx); err != nil {
				b.fail(err)
			}
		})
	}
	start(&scan, b.scan)
	for range 2 {
		start(&readers, b.read)
	}
	for range workers {
		start(&sealers, b.seal)
	}
	start(&assemble, func(ctx context.Context) (err error) {
		root, err = b.assemble(ctx)
		return err
	})
	scan.Wait()
	close(b.jobs)
	close(b.batches)
	readers.Wait()
	close(b.chunks)
	sealers.Wait()
	assemble.Wait()
	return root, context.Cause(ctx)
}

func (b *backup) snapshot(root repo.Content) *repo.Snapshot {
	device := &b.session.device
	s := &repo.Snapshot{
		Started:    timeOf(b.started),
		Ended:      timeOf(time.Now()),
		Device:     device.id(),
		Computer:   b.app.cfg.Computer,
		OS:         runtime.GOOS,
		User:       userName(),
		Sources:    b.sources,
		Root:       root,
		Files:      b.summary.Files,
		Folders:    b.summary.Dirs,
		Bytes:      b.summary.Bytes,
		Unreadable: b.summary.Unreadable,
		Sequence:   1,
		Seen:       device.seen(),
		Tool:       "coffer " + b.app.cfg.Version,
		Exclude:    slices.Concat(b.session.profile.Exclude, b.options.Exclude),
	}
	// The chain goes on from the last snapshot that this device made, also when the place
	// has lost it: a sequence that is used again would hide that.
	if last, ok := device.Newest[device.Device]; ok {
		s.Sequence = last.Sequence + 1
		s.Previous, _ = repo.ParseName(last.Name)
	}
	return s
}

// problem names a file that was not stored as it should have been.
func (b *backup) problem(kind, path, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := Problem{Path: path, Reason: reason, Kind: kind}
	switch kind {
	case ProblemUnreadable, ProblemPartly:
		b.summary.Unreadable++
	case ProblemChanged:
		b.summary.Changed++
	case ProblemSkipped:
		b.summary.Skipped++
	}
	if len(b.summary.Problems) < maxProblems {
		b.summary.Problems = append(b.summary.Problems, p)
	}
	b.meter.problems.Add(1)
	if b.options.Problem != nil {
		b.options.Problem(p)
	}
}

func (b *backup) record(err error) Run {
	failure := Explain(err)
	r := Run{Kind: RunBackup, Place: b.place.ID, Started: b.started, Seconds: b.summary.Seconds, Code: failure.Code, Args: failure.Args}
	if b.summary.Snapshot == "" {
		return r
	}
	r.Summary = &b.summary
	r.Stored = b.session.repo.StoredBytes() + b.summary.StoredBytes
	r.Free, r.Total = b.summary.Free, b.total
	return r
}

// userName is for people who look for their backup; it is no secret and no key.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

func timeOf(t time.Time) repo.Time { return repo.Time{Sec: t.Unix(), Nsec: uint32(t.Nanosecond())} }
