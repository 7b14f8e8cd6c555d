package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"coffer/vault/server/seal"
	"coffer/vault/server/store"
	"coffer/vault/server/store/bolt"
)

// patience is how long an epoch may take once it was begun: whoever began it may go away,
// but others wait for it too.
const patience = 30 * time.Second

// A change is what one writer wants of the next epoch.
type change struct {
	apply func(*batch) error // an error refuses this change alone
	erase bool               // overwrite what the file does not use any more
	err   error              // of whoever makes the epoch; good when done is closed
	done  chan struct{}
}

// submit makes a change durable, alone or in company, and returns when it is counted. While
// the chip is busy with one epoch, writers gather for the next. Whoever has the turn makes
// the epoch for all of them: no goroutine does.
func (e *Epochs) submit(ctx context.Context, c *change) error {
	if err := errors.Join(ctx.Err(), e.usable()); err != nil {
		return err
	}
	c.done = make(chan struct{})
	e.queueMu.Lock()
	e.queue = append(e.queue, c)
	e.queueMu.Unlock()
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		if e.withdraw(c) {
			return fmt.Errorf("nothing was written: %w", ctx.Err())
		}
		// It is on its way: who does not wait does not know.
		return fmt.Errorf("unknown outcome: %w", ctx.Err())
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
		e.serve(ctx)
		<-c.done
		return c.err
	}
}

// withdraw takes back a change that no epoch has taken yet.
func (e *Epochs) withdraw(c *change) bool {
	e.queueMu.Lock()
	defer e.queueMu.Unlock()
	for i, waiting := range e.queue {
		if waiting == c {
			e.queue = append(e.queue[:i], e.queue[i+1:]...)
			return true
		}
	}
	return false
}

// serve makes one epoch of all changes that wait. The caller has the turn.
func (e *Epochs) serve(ctx context.Context) {
	e.queueMu.Lock()
	changes := e.queue
	e.queue = nil
	e.queueMu.Unlock()
	if len(changes) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := e.usable()
	if err == nil {
		err = e.epoch(ctx, changes, 1)
	}
	for _, c := range changes {
		if err != nil {
			c.err = err
		}
		close(c.done)
	}
}

// errNobody says that every change was refused: there is nothing to write.
var errNobody = errors.New("tpm: nothing to write")

// epoch makes the next epoch, which is steps further, with these changes. Changes that are
// refused have their error in them. An error of epoch is one of all changes; the store has
// closed itself when nobody can know whether they were written. The caller has the turn.
func (e *Epochs) epoch(ctx context.Context, changes []*change, steps uint64) error {
	b := e.newBatch(steps)
	defer b.forget()
	key, h, err := e.newEpochKey(ctx, b.next)
	if err != nil {
		return err
	}
	defer clear(key)
	erase := false
	err = e.db.Update(ctx, func(tx *bolt.Tx) error {
		b.begin(tx)
		applied := len(changes) == 0
		for _, c := range changes {
			c.err = c.apply(b) // who refuses a change has changed nothing
			applied = applied || c.err == nil
			erase = erase || c.err == nil && c.erase
		}
		if !applied {
			return errNobody
		}
		if err := b.rotate(); err != nil {
			return err
		}
		if erase {
			if err := tx.MarkErase(); err != nil {
				return err
			}
		}
		return tx.SetNote(stateNote, sealState(h, b.next, key))
	})
	switch {
	case errors.Is(err, errNobody):
		return nil
	case errors.Is(err, bolt.ErrNothing):
		return fmt.Errorf("write epoch: %w", err)
	case err != nil:
		return e.lost(fmt.Errorf("write epoch: %w", err))
	}
	// The file is one epoch ahead of the counter now. Commit point: the counter.
	err = e.chip.do(ctx, "count epoch", func(k *call) error { return k.count(b.next.counter, b.next.epoch) })
	if err != nil {
		return e.lost(err)
	}
	e.take(b)
	if erase {
		// Written and counted it is. What is left of the erased is another matter, and the
		// next Open overwrites it.
		if err := e.db.Overwrite(ctx); err != nil {
			return e.lost(err)
		}
	}
	return nil
}

// lost closes the store: what was written may count, or not. Opening it again tells.
func (e *Epochs) lost(err error) error {
	e.end(fmt.Errorf("an epoch has an unknown outcome: %w", store.ErrClosed))
	return fmt.Errorf("unknown outcome: %w", err)
}

// take makes an epoch the present one.
func (e *Epochs) take(b *batch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.state
	e.state = b.next
	b.next = nil
	old.wipe()
	maps.Copy(e.digests, b.digests)
	e.dropped = e.dropped[b.dropped:]
}

// Create keeps a new row. Errors as in [store.Store].
func (e *Epochs) Create(ctx context.Context, id store.ID, row []byte) error {
	return e.write(ctx, "create row", row, false, func(b *batch, row []byte) error {
		if _, ok := b.digest(id); ok {
			return store.ErrExists
		}
		return b.put(id, row)
	})
}

// Replace puts row in the place of a revision. Errors as in [store.Store].
func (e *Epochs) Replace(ctx context.Context, id store.ID, revision store.Revision, row []byte) error {
	return e.write(ctx, "replace row", row, false, func(b *batch, row []byte) error {
		if _, err := b.match(id, revision); err != nil {
			return err
		}
		return b.put(id, row)
	})
}

// Erase is Replace, and, unless the new row has the same handle, that of the former row opens
// nothing any more: its record key is destroyed in the same epoch. Errors as in [store.Store].
func (e *Epochs) Erase(ctx context.Context, id store.ID, revision store.Revision, row []byte) error {
	return e.write(ctx, "erase row", row, true, func(b *batch, row []byte) error {
		old, err := b.match(id, revision)
		if err != nil {
			return err
		}
		if err := b.put(id, row); err != nil {
			return err
		}
		handle, ok := handleOf(old)
		if next, _ := handleOf(row); !ok || bytes.Equal(handle, next) {
			return nil
		}
		return b.destroy(id, handle)
	})
}

func (e *Epochs) write(ctx context.Context, verb string, row []byte, erase bool, apply func(*batch, []byte) error) error {
	if len(row) == 0 || len(row) > store.MaxRow {
		return fmt.Errorf("%s: %w", verb, store.ErrRow)
	}
	row = append([]byte(nil), row...)
	err := e.submit(ctx, &change{erase: erase, apply: func(b *batch) error { return apply(b, row) }})
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// Fetch returns a row, if it is the one that this store has written last. Errors as in
// [store.Store], and [ErrTampered].
func (e *Epochs) Fetch(ctx context.Context, id store.ID) ([]byte, store.Revision, error) {
	row, revision, err := e.fetch(ctx, id)
	if !errors.Is(err, ErrTampered) {
		return row, revision, err
	}
	// Perhaps an epoch is being made, and the file is ahead of us: what is not counted yet
	// is not answered with.
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("fetch row: %w", ctx.Err())
	}
	defer func() { <-e.turn }()
	return e.fetch(ctx, id)
}

func (e *Epochs) fetch(ctx context.Context, id store.ID) ([]byte, store.Revision, error) {
	if err := e.usable(); err != nil {
		return nil, 0, fmt.Errorf("fetch row: %w", err)
	}
	row, revision, err := e.db.Fetch(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, 0, err
	}
	absent := err != nil
	e.mu.RLock()
	defer e.mu.RUnlock()
	want, known := e.digests[id]
	switch {
	case e.why != nil:
		return nil, 0, fmt.Errorf("fetch row: %w", e.why)
	case absent && !known:
		return nil, 0, fmt.Errorf("fetch row: %w", store.ErrNotFound)
	case absent != !known, e.state.digestOf(id, revision, row) != want:
		return nil, 0, fmt.Errorf("fetch row %x: %w", id, ErrTampered)
	}
	return row, revision, nil
}

// List names all rows.
func (e *Epochs) List(ctx context.Context, fn func(store.ID) error) error {
	if err := errors.Join(ctx.Err(), e.usable()); err != nil {
		return fmt.Errorf("list rows: %w", err)
	}
	e.mu.RLock()
	ids := make([]store.ID, 0, len(e.digests))
	for id := range e.digests {
		ids = append(ids, id)
	}
	e.mu.RUnlock()
	for _, id := range ids {
		if err := errors.Join(ctx.Err(), fn(id)); err != nil {
			return err
		}
	}
	return nil
}

// Class returns [seal.ClassTPMEpochs].
func (*Epochs) Class() string { return seal.ClassTPMEpochs }
