// Package store is the contract of where a vault keeps its records.
//
// Words:
//
//   - row: the bytes of one record, sealed: no store can read them.
//   - revision: names one value of one row. Replace takes it, so that two servers, or
//     two requests, never overwrite what the other has written: compare-and-swap.
//   - to erase: to replace a row and leave nothing of its former value in the storage.
//
// store/bolt keeps rows in one file. Others follow; storetest says when one is right.
package store

import (
	"context"
	"errors"
)

// ID names a record: random bytes, chosen by the client.
type ID = [16]byte

// A Revision names one value of one row. It is the store's: compare it, nothing else.
type Revision uint64

// MaxRow bounds a row, in bytes.
const MaxRow = 64 << 10

var (
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("store: no such row")
	// ErrExists says that Create found a row: nothing was written.
	ErrExists = errors.New("store: the row exists")
	// ErrChanged says that the row has another revision: nothing was written.
	ErrChanged = errors.New("store: the row has changed")
	// ErrRow says that a row is empty or longer than [MaxRow].
	ErrRow = errors.New("store: a row of this size cannot be kept")
	// ErrClosed says that the store was closed: nothing was written.
	ErrClosed = errors.New("store: closed")
)

// A Store keeps rows. It is safe for concurrent use.
//
// When a write returns nil it is durable: a crash of the program, the computer, or a
// minority of the computers does not undo it. When it returns [ErrExists], [ErrChanged],
// [ErrNotFound], [ErrRow] or [ErrClosed], nothing was written. After any other error
// nobody knows, and the caller must take it for written: unknown is spent.
type Store interface {
	// Create keeps a new row. [ErrExists].
	Create(ctx context.Context, id ID, row []byte) error
	// Fetch returns the newest value of a row and its revision. The slice is the
	// caller's. [ErrNotFound].
	Fetch(ctx context.Context, id ID) (row []byte, revision Revision, err error)
	// Replace puts row in the place of the value with this revision. [ErrChanged],
	// [ErrNotFound].
	Replace(ctx context.Context, id ID, revision Revision, row []byte) error
}

// An Eraser is a Store that can overwrite what was. A sealer whose keys are destroyed
// outside of the store does without.
type Eraser interface {
	// Erase is Replace, and when it returns nil nothing of the former values of this row
	// can be read from the storage. A crash in the middle leaves the new row, and the
	// store finishes when it is opened the next time.
	Erase(ctx context.Context, id ID, revision Revision, row []byte) error
}

// A Lister is a Store that can name its rows, so that a starting server finds the
// records whose last try has expired while it was down.
type Lister interface {
	// List calls fn with the name of each row, in no order; it stops at the first error
	// and returns it.
	List(ctx context.Context, fn func(ID) error) error
}
