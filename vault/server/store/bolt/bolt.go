// Package bolt keeps a vault's records in one file (go.etcd.io/bbolt): the store of the
// embedded vault and of a vault on one computer.
//
// Writes that come at the same time share one fsync (group commit). One process has the
// file at a time.
//
// bbolt never overwrites a page in use: a changed row goes to another page, and the old
// value stays in a free page until that is needed again. Erase therefore overwrites
// every free page with zeros, in place. What the file system or the disk keeps of the
// overwritten blocks (snapshots, a journal, flash that is levelled) is out of reach:
// docs/vault-protocol.md says so.
package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	bbolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"coffer/vault/server/store"
)

// ErrBusy says that another process has the file.
var ErrBusy = errors.New("bolt: another process has the store")

// ErrDamaged says that the file is not a store, or holds what no store has written.
var ErrDamaged = errors.New("bolt: the store is damaged")

var (
	bucketRows = []byte("rows") // record id -> revision (8 bytes, big-endian), row
	bucketMeta = []byte("meta")
	keyFormat  = []byte("format") // -> formatNow
	keyDirty   = []byte("dirty")  // there while free pages may hold what was erased
	formatNow  = []byte("coffer-vault-store/1")
)

// DB is a store in one file. It is safe for concurrent use.
type DB struct {
	path string
	db   *bbolt.DB

	// quiet is held for reading by each read and for writing by an erasure: pages that
	// a reader still looks at must not be overwritten under it.
	quiet sync.RWMutex

	group *group // of writers
}

// Open opens the store, and makes it (mode 0600) where there is none. It waits for
// another process up to patience, then returns [ErrBusy]. An erasure that a crash has
// interrupted is finished first. [ErrDamaged].
func Open(path string, patience time.Duration) (*DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: max(patience, time.Millisecond), FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("open store: %w", ErrBusy)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, fmt.Errorf("open store: %w: %w", ErrDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &DB{path: path, db: db, group: newGroup()}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *DB) prepare() error {
	dirty := false
	err := s.db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil {
			return nil
		}
		if !bytes.Equal(meta.Get(keyFormat), formatNow) {
			return fmt.Errorf("open store: another format: %w", ErrDamaged)
		}
		dirty = meta.Get(keyDirty) != nil
		return nil
	})
	if err != nil {
		return err
	}
	if dirty {
		return s.scrub()
	}
	return s.create()
}

func (s *DB) create() error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketMeta) != nil {
			return nil
		}
		meta, err := tx.CreateBucket(bucketMeta)
		if err != nil {
			return fmt.Errorf("make store: %w", err)
		}
		if _, err := tx.CreateBucket(bucketRows); err != nil {
			return fmt.Errorf("make store: %w", err)
		}
		return meta.Put(keyFormat, formatNow)
	})
}

// Close closes the file.
func (s *DB) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Create keeps a new row. Errors as in [store.Store].
func (s *DB) Create(ctx context.Context, id store.ID, row []byte) error {
	return s.write(ctx, "create row", row, func(rows *bbolt.Bucket) error {
		if rows.Get(id[:]) != nil {
			return store.ErrExists
		}
		return put(rows, id, row)
	})
}

// Replace puts row in the place of a revision. Errors as in [store.Store].
func (s *DB) Replace(ctx context.Context, id store.ID, revision store.Revision, row []byte) error {
	return s.write(ctx, "replace row", row, func(rows *bbolt.Bucket) error {
		if err := match(rows, id, revision); err != nil {
			return err
		}
		return put(rows, id, row)
	})
}

// write runs change in a transaction that it may share with others.
func (s *DB) write(ctx context.Context, verb string, row []byte, change func(rows *bbolt.Bucket) error) error {
	if len(row) == 0 || len(row) > store.MaxRow {
		return fmt.Errorf("%s: %w", verb, store.ErrRow)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	refused, err := s.group.commit(s.db, change)
	return done(verb, refused, err)
}

func isRefusal(err error) bool {
	return errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrChanged)
}

func done(verb string, refused, err error) error {
	switch {
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return fmt.Errorf("%s: %w", verb, store.ErrClosed)
	case err != nil:
		return fmt.Errorf("%s: %w", verb, err)
	case refused != nil:
		return fmt.Errorf("%s: %w", verb, refused)
	}
	return nil
}

const revisionSize = 8

func put(rows *bbolt.Bucket, id store.ID, row []byte) error {
	// The bucket's sequence never goes back, so no revision ever comes twice.
	n, err := rows.NextSequence()
	if err != nil {
		return err
	}
	return rows.Put(id[:], append(binary.BigEndian.AppendUint64(make([]byte, 0, revisionSize+len(row)), n), row...))
}

func match(rows *bbolt.Bucket, id store.ID, revision store.Revision) error {
	value := rows.Get(id[:])
	if value == nil {
		return store.ErrNotFound
	}
	if len(value) <= revisionSize {
		return ErrDamaged
	}
	if store.Revision(binary.BigEndian.Uint64(value)) != revision {
		return store.ErrChanged
	}
	return nil
}

// Fetch returns a row. Errors as in [store.Store]; [ErrDamaged].
func (s *DB) Fetch(ctx context.Context, id store.ID) (row []byte, revision store.Revision, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, fmt.Errorf("fetch row: %w", err)
	}
	s.quiet.RLock()
	defer s.quiet.RUnlock()
	err = s.db.View(func(tx *bbolt.Tx) error {
		value := tx.Bucket(bucketRows).Get(id[:])
		if value == nil {
			return store.ErrNotFound
		}
		if len(value) <= revisionSize {
			return ErrDamaged
		}
		revision = store.Revision(binary.BigEndian.Uint64(value))
		row = bytes.Clone(value[revisionSize:])
		return nil
	})
	return row, revision, done("fetch row", nil, err)
}

// List names all rows.
func (s *DB) List(ctx context.Context, fn func(store.ID) error) error {
	var ids []store.ID
	s.quiet.RLock()
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketRows).ForEach(func(k, _ []byte) error {
			if len(k) != len(store.ID{}) {
				return ErrDamaged
			}
			ids = append(ids, store.ID(k))
			return ctx.Err()
		})
	})
	s.quiet.RUnlock()
	if err != nil {
		return done("list rows", nil, err)
	}
	for _, id := range ids {
		if err := fn(id); err != nil {
			return err
		}
	}
	return nil
}

// Erase replaces a row and overwrites what was. Errors as in [store.Store].
func (s *DB) Erase(ctx context.Context, id store.ID, revision store.Revision, row []byte) error {
	if len(row) == 0 || len(row) > store.MaxRow {
		return fmt.Errorf("erase row: %w", store.ErrRow)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("erase row: %w", err)
	}
	var refused error
	err := s.db.Update(func(tx *bbolt.Tx) error {
		if refused = match(tx.Bucket(bucketRows), id, revision); refused != nil {
			return refused
		}
		if err := put(tx.Bucket(bucketRows), id, row); err != nil {
			return err
		}
		// Commit point: from here on the row is new, and the next Open scrubs.
		return tx.Bucket(bucketMeta).Put(keyDirty, []byte{1})
	})
	if isRefusal(refused) {
		return fmt.Errorf("erase row: %w", refused)
	}
	if err != nil {
		return done("erase row", nil, err)
	}
	if err := s.scrub(); err != nil {
		return fmt.Errorf("erase row: %w", err)
	}
	return nil
}

// scrub overwrites all that is not in use, and says so in the file.
func (s *DB) scrub() error {
	s.quiet.Lock()
	defer s.quiet.Unlock()
	if err := s.overwriteFree(); err != nil {
		return fmt.Errorf("overwrite free pages: %w", err)
	}
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyDirty) })
	if err != nil {
		return fmt.Errorf("overwrite free pages: %w", err)
	}
	return nil
}

// overwriteFree writes zeros over every free page and over the end of the file. It does so
// inside a writing transaction, which nobody else can have meanwhile, and which is rolled
// back: what is free stays free, so a crash anywhere in here harms nothing. The caller
// holds quiet, so no reader needs a page that was freed a moment ago.
func (s *DB) overwriteFree() (err error) {
	file, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	size := int64(s.db.Info().PageSize)
	zeros := make([]byte, size)
	page := 0
	for {
		info, err := tx.Page(page)
		if err != nil {
			return err
		}
		if info == nil {
			break
		}
		if info.Type != "free" {
			page += 1 + info.OverflowCount
			continue
		}
		if _, err := file.WriteAt(zeros, int64(page)*size); err != nil {
			return err
		}
		page++
	}
	return zeroTail(file, int64(page)*size, zeros)
}

// zeroTail overwrites what lies after the last page in use: a transaction that a crash cut
// short has left its pages there.
func zeroTail(file *os.File, from int64, zeros []byte) error {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	for at := from; at < end; at += int64(len(zeros)) {
		if _, err := file.WriteAt(zeros[:min(int64(len(zeros)), end-at)], at); err != nil {
			return err
		}
	}
	return file.Sync()
}
