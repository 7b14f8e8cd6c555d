package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	bbolt "go.etcd.io/bbolt"

	"coffer/vault/server/store"
)

// bucketNotes -> name -> value. Made by the first note; a store without one is as it was.
var bucketNotes = []byte("notes")

// A Tx is a look at the whole store, or one write of several rows and notes. It is good
// until the function that it was given to returns, for one goroutine.
//
// A note is a value beside the rows, with a name of the caller's: what must change in one
// piece with rows, and is none.
type Tx struct{ tx *bbolt.Tx }

// View calls fn with the store as it is at one moment. Errors as in [store.Store], or fn's.
func (s *DB) View(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("view store: %w", err)
	}
	s.quiet.RLock()
	defer s.quiet.RUnlock()
	return done("view store", nil, s.db.View(func(tx *bbolt.Tx) error { return fn(&Tx{tx}) }))
}

// Update calls fn, and what it has put is durable, all of it, when Update returns nil.
// When fn returns an error nothing was written, and Update returns that error, wrapped in
// [ErrNothing]; any other error of Update but [store.ErrClosed] leaves the outcome unknown.
func (s *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("update store: %w: %w", ErrNothing, err)
	}
	var refused error
	err := s.db.Update(func(tx *bbolt.Tx) error {
		refused = fn(&Tx{tx})
		return refused
	})
	if refused != nil {
		return fmt.Errorf("update store: %w: %w", ErrNothing, refused)
	}
	return done("update store", nil, err)
}

// ErrNothing says that an [DB.Update] was given up: nothing was written.
var ErrNothing = errors.New("bolt: nothing was written")

// Overwrite overwrites with zeros all that the file does not use, as [DB.Erase] does.
func (s *DB) Overwrite(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("overwrite free pages: %w", err)
	}
	return s.scrub()
}

// Fetch returns a row and its revision; the slice is the caller's. [store.ErrNotFound].
func (t *Tx) Fetch(id store.ID) (row []byte, revision store.Revision, err error) {
	value := t.tx.Bucket(bucketRows).Get(id[:])
	if value == nil {
		return nil, 0, store.ErrNotFound
	}
	if len(value) <= revisionSize {
		return nil, 0, ErrDamaged
	}
	return bytes.Clone(value[revisionSize:]), store.Revision(binary.BigEndian.Uint64(value)), nil
}

// Put keeps a row, new or in the place of another, and returns its revision.
// [store.ErrRow].
func (t *Tx) Put(id store.ID, row []byte) (store.Revision, error) {
	if len(row) == 0 || len(row) > store.MaxRow {
		return 0, store.ErrRow
	}
	rows := t.tx.Bucket(bucketRows)
	if err := put(rows, id, row); err != nil {
		return 0, err
	}
	return store.Revision(rows.Sequence()), nil
}

// Each calls fn with each row; the slice is good until fn returns. It stops at the first
// error and returns it. [ErrDamaged].
func (t *Tx) Each(fn func(id store.ID, revision store.Revision, row []byte) error) error {
	return t.tx.Bucket(bucketRows).ForEach(func(k, v []byte) error {
		if len(k) != len(store.ID{}) || len(v) <= revisionSize {
			return ErrDamaged
		}
		return fn(store.ID(k), store.Revision(binary.BigEndian.Uint64(v)), v[revisionSize:])
	})
}

// MarkErase says that the free pages are to be overwritten once the update is written: by
// [DB.Overwrite], or else by the next Open.
func (t *Tx) MarkErase() error { return t.tx.Bucket(bucketMeta).Put(keyDirty, []byte{1}) }

// Note returns a note, nil when there is none; the slice is the caller's.
func (t *Tx) Note(name string) []byte {
	notes := t.tx.Bucket(bucketNotes)
	if notes == nil {
		return nil
	}
	return bytes.Clone(notes.Get([]byte(name)))
}

// SetNote keeps a note, new or in the place of another.
func (t *Tx) SetNote(name string, value []byte) error {
	notes, err := t.tx.CreateBucketIfNotExists(bucketNotes)
	if err != nil {
		return err
	}
	return notes.Put([]byte(name), value)
}

// DeleteNote deletes a note, if there is one.
func (t *Tx) DeleteNote(name string) error {
	notes := t.tx.Bucket(bucketNotes)
	if notes == nil {
		return nil
	}
	return notes.Delete([]byte(name))
}

// EachNote calls fn with each note whose name begins with prefix, in the order of their names; the
// slice is good until fn returns, and fn changes no note. It stops at the first error and
// returns it.
func (t *Tx) EachNote(prefix string, fn func(name string, value []byte) error) error {
	notes := t.tx.Bucket(bucketNotes)
	if notes == nil {
		return nil
	}
	cursor := notes.Cursor()
	for k, v := cursor.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = cursor.Next() {
		if err := fn(string(k), v); err != nil {
			return err
		}
	}
	return nil
}
