package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	"coffer/vault/server/store"
	"coffer/vault/server/store/storetest"
)

func mustOpen(t *testing.T, path string) *DB {
	t.Helper()
	s, err := Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustCheck(t, s) })
	return s
}

// mustCheck verifies the whole file after every test that wrote one.
func mustCheck(t *testing.T, s *DB) {
	t.Helper()
	err := s.db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("check: %v", err)
		}
		return nil
	})
	if err != nil && !errors.Is(err, bbolt.ErrDatabaseNotOpen) {
		t.Errorf("check: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (store.Store, func() store.Store) {
		path := filepath.Join(t.TempDir(), "vault.db")
		s := mustOpen(t, path)
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, path)
			return s
		}
	})
}

// needle is what must not be found: long enough not to be there by chance.
func needle(n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "needle-%06d.", n), 200) }

func occurrences(t *testing.T, path string) int {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(raw, []byte("needle-"))
}

func TestEraseLeavesNothingInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	s := mustOpen(t, path)
	ctx, id := t.Context(), store.ID{1}
	if err := s.Create(ctx, id, needle(0)); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		_, r, err := s.Fetch(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Replace(ctx, id, r, needle(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if occurrences(t, path) <= 200 {
		t.Fatal("the scan does not see the old values that are there: it could not fail")
	}
	_, r, err := s.Fetch(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Erase(ctx, id, r, []byte("tombstone")); err != nil {
		t.Fatal(err)
	}
	if n := occurrences(t, path); n != 0 {
		t.Fatalf("%d pieces of former values are in the file", n)
	}
}

func TestAnInterruptedEraseIsFinishedAtOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	s := mustOpen(t, path)
	if err := s.Create(t.Context(), store.ID{1}, needle(0)); err != nil {
		t.Fatal(err)
	}
	// What Erase does up to its commit point, and then the power goes.
	err := s.db.Update(func(tx *bbolt.Tx) error {
		if err := put(tx.Bucket(bucketRows), store.ID{1}, []byte("tombstone")); err != nil {
			return err
		}
		return tx.Bucket(bucketMeta).Put(keyDirty, []byte{1})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if occurrences(t, path) == 0 {
		t.Fatal("nothing to erase: the test could not fail")
	}
	s = mustOpen(t, path)
	if n := occurrences(t, path); n != 0 {
		t.Fatalf("%d pieces are left after Open", n)
	}
	if row, _, err := s.Fetch(t.Context(), store.ID{1}); err != nil || string(row) != "tombstone" {
		t.Fatalf("row %q, %v", row, err)
	}
}

func TestReadersAndErasuresDoNotDisturbEachOther(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "vault.db"))
	ctx := t.Context()
	for n := range byte(8) {
		if err := s.Create(ctx, store.ID{n}, needle(int(n))); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for n := range byte(8) {
		wg.Go(func() {
			for i := range 20 {
				row, r, err := s.Fetch(ctx, store.ID{n})
				if err != nil || len(row) != len(needle(0)) {
					t.Errorf("fetch: %d bytes, %v", len(row), err)
					return
				}
				if n%2 == 0 {
					err = s.Erase(ctx, store.ID{n}, r, needle(i))
				} else {
					err = s.Replace(ctx, store.ID{n}, r, needle(i))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	mustOpen(t, path)
	if _, err := Open(path, 50*time.Millisecond); !errors.Is(err, ErrBusy) {
		t.Fatalf("second open: %v, want busy", err)
	}
}

func TestAForeignFileIsNotAStore(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("no store "), 4000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(garbage, time.Second); !errors.Is(err, ErrDamaged) {
		t.Fatalf("open garbage: %v, want damaged", err)
	}
	other := filepath.Join(dir, "other")
	s := mustOpen(t, other)
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyFormat, []byte("coffer-vault-store/9")) })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(other, time.Second); !errors.Is(err, ErrDamaged) {
		t.Fatalf("open another format: %v, want damaged", err)
	}
}

func TestAClosedStoreWritesNothing(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "vault.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), store.ID{1}, []byte("x")); !errors.Is(err, store.ErrClosed) {
		t.Fatalf("create on a closed store: %v", err)
	}
}
