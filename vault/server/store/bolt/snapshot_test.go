package bolt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"coffer/vault/server/store"
)

// A copy that is made while somebody writes opens, holds what was written before, and
// takes revisions up where the original was.
func TestSnapshotOpens(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "store"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for i := range 300 {
		if err := s.Create(t.Context(), store.ID{byte(i), byte(i >> 8)}, []byte("a row")); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "copy")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		_ = s.Create(context.Background(), store.ID{1, 2, 3}, []byte("meanwhile"))
	}()
	if err := errors.Join(s.Snapshot(t.Context(), f), f.Close()); err != nil {
		t.Fatal(err)
	}
	<-stop
	c, err := Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	for i := range 300 {
		id := store.ID{byte(i), byte(i >> 8)}
		row, have, err := c.Fetch(t.Context(), id)
		_, want, err2 := s.Fetch(t.Context(), id)
		if err != nil || err2 != nil || string(row) != "a row" || have != want {
			t.Fatalf("row %d: %q, revision %d of %d, %v, %v", i, row, have, want, err, err2)
		}
	}
}

func TestSnapshotObeys(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "store"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Snapshot(ctx, writeNothing{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := s.Snapshot(t.Context(), writeNothing{}); !errors.Is(err, errFull) {
		t.Errorf("full disk: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Snapshot(t.Context(), writeNothing{}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

var errFull = errors.New("no space left")

type writeNothing struct{}

func (writeNothing) Write([]byte) (int, error) { return 0, errFull }
