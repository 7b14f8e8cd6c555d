// Package storetest says when a vault's store is right: a store is done when it passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"coffer/vault/server/store"
)

// Run tests the stores that open gives: an empty one at the first call, and the same one,
// closed and opened again, at each further call with the same t.
func Run(t *testing.T, open func(t *testing.T) (s store.Store, reopen func() store.Store)) {
	tests := []struct {
		name string
		run  func(t *testing.T, s store.Store, reopen func() store.Store)
	}{
		{"WhatIsCreatedIsThereAfterReopening", created},
		{"CreateFindsAnExistingRow", createTwice},
		{"ReplaceWantsTheNewestRevision", replaceStale},
		{"RevisionsNeverComeTwice", revisions},
		{"AbsentRowsAreNotFound", absent},
		{"RowsAreTheCallersOwn", aliasing},
		{"SizesAreBounded", sizes},
		{"OfManyWritersOneWins", race},
		{"ACancelledContextWritesNothing", cancelled},
		{"EraseIsReplace", erase},
		{"ListNamesAllRows", list},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, reopen := open(t)
			test.run(t, s, reopen)
		})
	}
}

func id(n byte) store.ID { return store.ID{n, 0xfe} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func mustFetch(t *testing.T, s store.Store, n byte, want string) store.Revision {
	t.Helper()
	row, revision, err := s.Fetch(t.Context(), id(n))
	must(t, err)
	if string(row) != want {
		t.Fatalf("row %q, want %q", row, want)
	}
	return revision
}

func created(t *testing.T, s store.Store, reopen func() store.Store) {
	must(t, s.Create(t.Context(), id(1), []byte("one")))
	revision := mustFetch(t, s, 1, "one")
	must(t, s.Replace(t.Context(), id(1), revision, []byte("two")))
	mustFetch(t, reopen(), 1, "two")
}

func createTwice(t *testing.T, s store.Store, _ func() store.Store) {
	must(t, s.Create(t.Context(), id(1), []byte("one")))
	wantErr(t, s.Create(t.Context(), id(1), []byte("other")), store.ErrExists)
	mustFetch(t, s, 1, "one")
}

func replaceStale(t *testing.T, s store.Store, _ func() store.Store) {
	must(t, s.Create(t.Context(), id(1), []byte("one")))
	old := mustFetch(t, s, 1, "one")
	must(t, s.Replace(t.Context(), id(1), old, []byte("two")))
	wantErr(t, s.Replace(t.Context(), id(1), old, []byte("three")), store.ErrChanged)
	mustFetch(t, s, 1, "two")
}

func revisions(t *testing.T, s store.Store, reopen func() store.Store) {
	must(t, s.Create(t.Context(), id(1), []byte("x")))
	seen := map[store.Revision]bool{}
	for i := range 20 {
		if i == 10 {
			s = reopen()
		}
		r := mustFetch(t, s, 1, "x")
		if seen[r] {
			t.Fatalf("revision %d twice", r)
		}
		seen[r] = true
		must(t, s.Replace(t.Context(), id(1), r, []byte("x")))
	}
}

func absent(t *testing.T, s store.Store, _ func() store.Store) {
	_, _, err := s.Fetch(t.Context(), id(1))
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, s.Replace(t.Context(), id(1), 1, []byte("x")), store.ErrNotFound)
	if e, ok := s.(store.Eraser); ok {
		wantErr(t, e.Erase(t.Context(), id(1), 1, []byte("x")), store.ErrNotFound)
	}
}

func aliasing(t *testing.T, s store.Store, _ func() store.Store) {
	row := []byte("one")
	must(t, s.Create(t.Context(), id(1), row))
	clear(row)
	got, _, err := s.Fetch(t.Context(), id(1))
	must(t, err)
	clear(got)
	mustFetch(t, s, 1, "one")
}

func sizes(t *testing.T, s store.Store, _ func() store.Store) {
	wantErr(t, s.Create(t.Context(), id(1), nil), store.ErrRow)
	wantErr(t, s.Create(t.Context(), id(1), make([]byte, store.MaxRow+1)), store.ErrRow)
	must(t, s.Create(t.Context(), id(1), bytes.Repeat([]byte{7}, store.MaxRow)))
	r := mustFetch(t, s, 1, string(bytes.Repeat([]byte{7}, store.MaxRow)))
	wantErr(t, s.Replace(t.Context(), id(1), r, nil), store.ErrRow)
}

func race(t *testing.T, s store.Store, _ func() store.Store) {
	const writers = 16
	must(t, s.Create(t.Context(), id(1), []byte("start")))
	r := mustFetch(t, s, 1, "start")
	won := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { won[i] = s.Replace(t.Context(), id(1), r, fmt.Appendf(nil, "writer %d", i)) })
	}
	wg.Wait()
	winners := 0
	for i, err := range won {
		if err == nil {
			winners++
			mustFetch(t, s, 1, fmt.Sprintf("writer %d", i))
			continue
		}
		wantErr(t, err, store.ErrChanged)
	}
	if winners != 1 {
		t.Fatalf("%d writers won, want 1", winners)
	}
}

func cancelled(t *testing.T, s store.Store, _ func() store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, s.Create(ctx, id(1), []byte("x")), context.Canceled)
	_, _, err := s.Fetch(t.Context(), id(1))
	wantErr(t, err, store.ErrNotFound)
}

func erase(t *testing.T, s store.Store, reopen func() store.Store) {
	e, ok := s.(store.Eraser)
	if !ok {
		t.Skip("this store does not erase")
	}
	must(t, s.Create(t.Context(), id(1), []byte("one")))
	must(t, s.Create(t.Context(), id(2), []byte("neighbour")))
	r := mustFetch(t, s, 1, "one")
	must(t, e.Erase(t.Context(), id(1), r, []byte("tombstone")))
	wantErr(t, e.Erase(t.Context(), id(1), r, []byte("again")), store.ErrChanged)
	s = reopen()
	mustFetch(t, s, 1, "tombstone")
	mustFetch(t, s, 2, "neighbour")
}

func list(t *testing.T, s store.Store, _ func() store.Store) {
	l, ok := s.(store.Lister)
	if !ok {
		t.Skip("this store does not list")
	}
	for n := range byte(5) {
		must(t, s.Create(t.Context(), id(n), []byte("x")))
	}
	seen := map[store.ID]bool{}
	must(t, l.List(t.Context(), func(id store.ID) error { seen[id] = true; return nil }))
	if len(seen) != 5 {
		t.Fatalf("%d rows listed, want 5", len(seen))
	}
	stop := errors.New("stop")
	wantErr(t, l.List(t.Context(), func(store.ID) error { return stop }), stop)
}
