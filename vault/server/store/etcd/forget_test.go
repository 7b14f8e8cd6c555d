package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"coffer/vault/server/store"
	"coffer/vault/server/store/etcd/etcdtest"
)

// needle is what must not be found: long enough not to be there by chance.
func needle(n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "needle-%06d.", n), 200) }

// occurrences counts pieces of needles in the files below a folder whose names end so.
func occurrences(t *testing.T, dir, suffix string) (n int) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		n += bytes.Count(raw, []byte("needle-"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatalf("no file below %s ends in %q", dir, suffix)
	}
	return n
}

var dataFile = filepath.Join("snap", "db")

// fill keeps a row and replaces it several times, and returns its revision.
func fill(t *testing.T, s *DB, id store.ID) store.Revision {
	t.Helper()
	if err := s.Create(t.Context(), id, needle(0)); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		_, revision, err := s.Fetch(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Replace(t.Context(), id, revision, needle(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	_, revision, err := s.Fetch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// The log of the cluster keeps what was, so nobody may be told that nothing does.
func TestThereIsNoPromiseToErase(t *testing.T) {
	if _, ok := any(&DB{}).(store.Eraser); ok {
		t.Fatal("this store says that it erases, and it cannot")
	}
}

func TestForgetLeavesNothingInTheDataFiles(t *testing.T) {
	t.Parallel()
	c := etcdtest.StartCluster(t, 3)
	s := mustOpen(t, clusterOptions(c))
	revision := fill(t, s, store.ID{1})
	for i := range c.Len() {
		awaitNeedles(t, filepath.Join(c.Dir(i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Forget(ctx, store.ID{1}, revision, []byte("tombstone")); err != nil {
		t.Fatal(err)
	}
	for i := range c.Len() {
		if n := occurrences(t, c.Dir(i), dataFile); n != 0 {
			t.Errorf("member %d: %d pieces of former values are in the data file", i, n)
		}
		// What the package says about the log is true: it is not to be believed gone.
		if occurrences(t, c.Dir(i), ".wal") == 0 {
			t.Errorf("member %d: the write-ahead log has no former values: the package comment says otherwise", i)
		}
	}
	row, _, err := s.Fetch(ctx, store.ID{1})
	if err != nil || string(row) != "tombstone" {
		t.Fatalf("row %q, %v", row, err)
	}
	if err := s.Forget(ctx, store.ID{1}, revision, []byte("again")); !errors.Is(err, store.ErrChanged) {
		t.Fatalf("forget with an old revision: %v", err)
	}
}

// awaitNeedles waits until the scan sees the old values that are there: otherwise it could
// not fail. etcd writes to its data file every 100 ms.
func awaitNeedles(t *testing.T, dir string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for occurrences(t, dir, dataFile) <= 200 {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("the scan does not see the old values that are there: it could not fail")
		}
	}
}

func TestForgetSaysWhenAMemberIsAway(t *testing.T) {
	t.Parallel()
	c := etcdtest.StartCluster(t, 3)
	s := mustOpen(t, Options{Endpoints: c.Endpoints(), RequestTimeout: 3 * time.Second})
	revision := fill(t, s, store.ID{1})
	awaitNeedles(t, c.Dir(2))
	c.Kill(2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := s.Forget(ctx, store.ID{1}, revision, []byte("tombstone"))
	if !errors.Is(err, ErrRemains) {
		t.Fatalf("a member was away: error %v, want %v", err, ErrRemains)
	}
	if row, _, err := s.Fetch(ctx, store.ID{1}); err != nil || string(row) != "tombstone" {
		t.Fatalf("row %q, %v", row, err)
	}
	c.Restart(2)
	c.WaitHealthy(ctx)
	if err := s.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range c.Len() {
		if n := occurrences(t, c.Dir(i), dataFile); n != 0 {
			t.Errorf("member %d: %d pieces of former values are in the data file", i, n)
		}
	}
}

func TestManyForgetAtATime(t *testing.T) {
	c := etcdtest.StartCluster(t, 1)
	stores := []*DB{mustOpen(t, clusterOptions(c)), mustOpen(t, clusterOptions(c))}
	var wg sync.WaitGroup
	for n := range byte(8) {
		s := stores[n%2]
		wg.Go(func() {
			id := store.ID{n}
			if err := s.Create(t.Context(), id, needle(int(n))); err != nil {
				t.Error(err)
				return
			}
			_, revision, err := s.Fetch(t.Context(), id)
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Forget(t.Context(), id, revision, []byte("tombstone")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := occurrences(t, c.Dir(0), dataFile); n != 0 {
		t.Errorf("%d pieces of former values are in the data file", n)
	}
}

func TestForgetObeysItsContext(t *testing.T) {
	t.Parallel()
	c := etcdtest.StartCluster(t, 1)
	s := mustOpen(t, clusterOptions(c))
	if err := s.Create(t.Context(), store.ID{1}, []byte("one")); err != nil {
		t.Fatal(err)
	}
	_, revision, err := s.Fetch(t.Context(), store.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	<-s.purging // somebody else purges, for ever
	defer func() { s.purging <- 0 }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = s.Forget(ctx, store.ID{1}, revision, []byte("two"))
	if !errors.Is(err, ErrRemains) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want %v and a deadline", err, ErrRemains)
	}
}
