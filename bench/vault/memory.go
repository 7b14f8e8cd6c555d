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

func (s *memoryStore) Create(_ context.Context, id store.ID, row []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.rows[id]; ok {
		return store.ErrExists
	}
	s.put(id, row)
	return nil
}

func (s *memoryStore) Fetch(_ context.Context, id store.ID) ([]byte, store.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[id]
	if !ok {
		return nil, 0, store.ErrNotFound
	}
	return bytes.Clone(row.data), row.revision, nil
}

func (s *memoryStore) Replace(_ context.Context, id store.ID, revision store.Revision, row []byte) error {
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

func (s *memoryStore) put(id store.ID, row []byte) {
	s.last++
	s.rows[id] = memoryRow{bytes.Clone(row), s.last}
}
