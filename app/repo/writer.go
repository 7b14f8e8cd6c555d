package repo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"coffer/crypto"
)

// An index is stored after so many packs or so much time: no more than that has
// to be found by footers when a backup is cut off.
const (
	checkpointPacks = 8
	checkpointTime  = 30 * time.Second
)

// errWriterDone ends the uploads of a Writer that was closed, and meets who uses it after.
var errWriterDone = errors.New("repo: the writer is closed")

// errUnflushed says that a Bundle still holds chunks: a mistake of the caller, found
// before it becomes a snapshot that cannot be restored.
var errUnflushed = errors.New("repo: chunks were claimed and not stored")

// A Writer stores chunks: goroutines fill Bundles, bundles become segments of
// two open packs (one for data, one for trees and lists), full packs are
// uploaded, indexes follow. Commit stores the snapshot that makes it all count.
type Writer struct {
	repo    *Repository
	ctx     context.Context // of the uploads; ends when one fails
	cancel  context.CancelCauseFunc
	uploads errgroup.Group
	sent    bool              // full is closed
	full    chan *packBuilder // to upload
	free    chan *packBuilder // memory of packs, and the limit on it
	data    openPack
	tree    openPack
	target  int
	stored  atomic.Int64

	mu       sync.Mutex // guards what follows
	pending  []storedPack
	table    int       // bytes of the tables of pending
	indexed  time.Time // when the last index was stored
	onStored func(bytes int64)
}

// An openPack is a pack that segments are added to.
type openPack struct {
	mu   sync.Mutex // guards pack, and is held while it is sent to upload
	pack *packBuilder
}

// NewWriter starts the uploads of a backup. stored is called, if not nil, for
// each object that has arrived, with its size; not at the same time.
// Close must be called. A Repository has one Writer at a time: what one has
// claimed and not yet stored, another would take for stored.
func (r *Repository) NewWriter(ctx context.Context, stored func(bytes int64)) *Writer {
	uploaders := r.parallel
	w := &Writer{
		repo:     r,
		full:     make(chan *packBuilder),
		free:     make(chan *packBuilder, uploaders+2),
		target:   packTarget,
		indexed:  time.Now(),
		onStored: stored,
	}
	if size := r.store.Caps().PackSize; size > 0 {
		w.target = int(min(max(size, 1<<20), maxPack/2))
	}
	if r.most > 0 {
		w.target = max(min(w.target, r.most), 1<<20)
	}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	for range cap(w.free) {
		w.free <- new(packBuilder)
	}
	for range uploaders {
		w.uploads.Go(func() error { return w.fail(w.upload()) })
	}
	return w
}

// Close ends the uploads of a backup that did not come to Commit. What has been
// stored stays, and the next backup uses it.
func (w *Writer) Close() {
	w.cancel(errWriterDone)
	_ = w.uploads.Wait() // the reason was told to whoever waited for an upload
	w.repo.chunks.drop()
}

// fail ends the uploads because of err, if it is one: after a chunk was lost no snapshot
// may follow.
func (w *Writer) fail(err error) error {
	if err != nil {
		w.cancel(err)
	}
	return err
}

// upload stores full packs until there are no more.
func (w *Writer) upload() error {
	for {
		select {
		case p, more := <-w.full:
			if !more {
				return nil
			}
			if err := w.store(p); err != nil {
				return err
			}
			w.free <- p
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		}
	}
}

func (w *Writer) store(p *packBuilder) error {
	stored := p.finish()
	object := crypto.ObjectName("pack", stored)
	if err := w.put(w.ctx, object, stored); err != nil {
		return err
	}
	name, _ := parseName("pack", object)
	pack := storedPack{name, int64(len(stored)), p.segments}
	w.repo.addPack(pack)
	return w.checkpoint(w.ctx, &pack, p.table)
}

func (w *Writer) put(ctx context.Context, object string, stored []byte) error {
	if err := w.repo.store.Put(ctx, object, stored); err != nil {
		return fmt.Errorf("store %s: %w", object, err)
	}
	w.stored.Add(int64(len(stored)))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.onStored != nil {
		w.onStored(int64(len(stored)))
	}
	return nil
}

// checkpoint notes a stored pack with its table's size, and stores an index when it is
// time. A nil pack stores what is pending.
func (w *Writer) checkpoint(ctx context.Context, p *storedPack, table int) error {
	w.mu.Lock()
	if p != nil {
		w.pending = append(w.pending, *p)
		w.table += table
	}
	due := p == nil || len(w.pending) >= checkpointPacks || w.table >= tableTarget ||
		time.Since(w.indexed) >= checkpointTime
	if !due || len(w.pending) == 0 {
		w.mu.Unlock()
		return nil
	}
	packs := w.pending
	w.pending, w.table, w.indexed = nil, 0, time.Now()
	w.mu.Unlock()
	stored := sealIndex(w.repo.keys, packs)
	return w.put(ctx, crypto.ObjectName("index", stored), stored)
}

// add puts a segment into an open pack, and sends the pack to upload when it is
// full. It waits when all packs are on their way: that is what bounds memory,
// and slows reading down to the speed of the destination.
func (w *Writer) add(o *openPack, plain []byte, raw uint32, method uint8, chunks []chunkEntry) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pack == nil {
		select {
		case o.pack = <-w.free:
			o.pack.start(w.repo.keys, w.target)
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		}
	}
	if err := o.pack.add(plain, raw, method, chunks); err != nil {
		return w.fail(err)
	}
	if o.pack.full(w.target) {
		return w.send(o)
	}
	return nil
}

// send needs o.mu.
func (w *Writer) send(o *openPack) error {
	if o.pack == nil {
		return nil
	}
	select {
	case w.full <- o.pack:
		o.pack = nil
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// finish uploads what is left and the last index. All Bundles are flushed
// before.
func (w *Writer) finish() error {
	if w.sent {
		return errWriterDone
	}
	for _, o := range []*openPack{&w.data, &w.tree} {
		o.mu.Lock()
		err := w.send(o)
		o.mu.Unlock()
		if err != nil {
			return err
		}
	}
	w.sent = true
	close(w.full)
	// Only after this line is it known that every pack has arrived: a "done" before it
	// would be a lie.
	if err := w.uploads.Wait(); err != nil {
		return err
	}
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if n := w.repo.chunks.claims(); n > 0 {
		return fmt.Errorf("finish the backup: %w: %d", errUnflushed, n)
	}
	return nil
}

// Commit uploads what is left and then stores the snapshot, and sets its Name. All
// Bundles must have been flushed. Storing the snapshot is the commit point of a backup:
// before, nothing happened that anybody sees; after, it can be restored. A Writer
// commits once.
func (w *Writer) Commit(ctx context.Context, s *Snapshot) error {
	if err := w.finish(); err != nil {
		return err
	}
	if err := w.checkpoint(ctx, nil, 0); err != nil {
		return err
	}
	stored := sealSnapshot(w.repo.keys, s)
	// What a reader would refuse must not become the only record of a backup.
	if _, err := openSnapshot(w.repo.keys, stored); err != nil {
		return fmt.Errorf("check snapshot before storing it: %w", err)
	}
	object := crypto.ObjectName("snap", stored)
	s.Name, _ = parseName("snap", object)
	return w.put(ctx, object, stored)
}

// Stored returns the bytes that were stored at the destination so far.
func (w *Writer) Stored() int64 { return w.stored.Load() }

// Err returns why the uploads ended early, or nil. It, Stored and Failed may be called
// at any time.
func (w *Writer) Err() error { return context.Cause(w.ctx) }

// Failed is closed when an upload has failed and nothing more will be stored.
func (w *Writer) Failed() <-chan struct{} { return w.ctx.Done() }
