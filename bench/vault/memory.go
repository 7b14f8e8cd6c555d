package main

import (
	"bytes"
	"context"
	"sync"

	"coffer/vault/server/store"
)

// A memoryStore keeps rows in memory: what is measured on it is everything but a store.
type memoryStore struct {
	mu   sync.Mutex
	last store.Revision
	rows map[store.ID]memoryRow
}

type memoryRow struct {
	data     []byte
	revision store.Revision
}

var _ store.Store = (*memoryStore)(nil)

func newMemoryStore() *memoryStore { return &memoryStore{rows: map[store.ID]memoryRow{}} }

func (s *memoryStore) Create(ctx context.Context, id store.ID, row []byte) error {
	if err := may(ctx, row); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.rows[id]; ok {
		return store.ErrExists
	}
	s.put(id, row)
	return nil
}

func (s *memoryStore) Fetch(ctx context.Context, id store.ID) ([]byte, store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[id]
	if !ok {
		return nil, 0, store.ErrNotFound
	}
	return bytes.Clone(row.data), row.revision, nil
}

func (s *memoryStore) Replace(ctx context.Context, id store.ID, revision store.Revision, row []byte) error {
	if err := may(ctx, row); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.rows[id]
	if !ok {
		return store.ErrNotFound
	}
	if old.revision != revision {
		return store.ErrChanged
	}
	s.put(id, row)
	return nil
}

// may says whether a row may be written.
func may(ctx context.Context, row []byte) error {
	if len(row) == 0 || len(row) > store.MaxRow {
		return store.ErrRow
	}
	return ctx.Err()
}

func (s *memoryStore) put(id store.ID, row []byte) {
	s.last++
	s.rows[id] = memoryRow{bytes.Clone(row), s.last}
}
