package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	bbolt "go.etcd.io/bbolt"

	"coffer/vault/server/store"
)

// waitFor returns when n writers wait for the next transaction.
func (g *group) waitFor(n int) {
	for there := -1; there < n; {
		g.mu.Lock()
		there = len(g.waiting)
		g.mu.Unlock()
		runtime.Gosched()
	}
}

// commitTogether holds the turn until all changes wait, and returns what each heard.
func commitTogether(t *testing.T, s *DB, changes []func(*bbolt.Bucket) error) (refused, errs []error) {
	t.Helper()
	refused, errs = make([]error, len(changes)), make([]error, len(changes))
	s.group.turn <- struct{}{}
	var wg sync.WaitGroup
	for i, change := range changes {
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil { // of who had the turn: net/http would catch it
					errs[i] = fmt.Errorf("panic: %v", v)
				}
			}()
			refused[i], errs[i] = s.group.commit(s.db, change)
		})
	}
	s.group.waitFor(len(changes))
	<-s.group.turn
	wg.Wait()
	return refused, errs
}

func putUnder(first byte) func(*bbolt.Bucket) error {
	return func(rows *bbolt.Bucket) error { return put(rows, store.ID{first}, []byte("row")) }
}

func TestWritersThatWaitShareOneTransaction(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "vault.db"))
	var changes []func(*bbolt.Bucket) error
	for i := range 64 {
		changes = append(changes, putUnder(byte(i)))
	}
	var first, last int
	if err := s.db.View(func(tx *bbolt.Tx) error { first = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	_, errs := commitTogether(t, s, changes)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if err := s.db.View(func(tx *bbolt.Tx) error { last = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	if last-first != 1 {
		t.Fatalf("64 writers took %d transactions", last-first)
	}
	for i := range 64 {
		if _, _, err := s.Fetch(t.Context(), store.ID{byte(i)}); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
	}
}

func TestARefusalIsTheWritersAlone(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "vault.db"))
	refused, errs := commitTogether(t, s, []func(*bbolt.Bucket) error{
		putUnder(1), func(*bbolt.Bucket) error { return ErrDamaged }, putUnder(2),
		func(rows *bbolt.Bucket) error { return match(rows, store.ID{9}, 1) },
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if refused[0] != nil || !errors.Is(refused[1], ErrDamaged) || refused[2] != nil || !errors.Is(refused[3], store.ErrNotFound) {
		t.Fatalf("refused: %v", refused)
	}
	for _, i := range []byte{1, 2} {
		if _, _, err := s.Fetch(t.Context(), store.ID{i}); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
	}
}

func TestAPanicLeavesNobodyWaiting(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "vault.db"))
	_, errs := commitTogether(t, s, []func(*bbolt.Bucket) error{
		putUnder(1), func(*bbolt.Bucket) error { panic("page 7 is not what it says") }, putUnder(2),
	})
	for i, err := range errs {
		if err == nil {
			t.Errorf("writer %d heard that its row is written", i)
		}
	}
	if _, err := s.group.commit(s.db, putUnder(3)); err != nil {
		t.Fatalf("after a panic: %v", err)
	}
	if _, _, err := s.Fetch(t.Context(), store.ID{1}); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("a row of a transaction that was given up: %v", err)
	}
}

func BenchmarkReplace(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			s, err := Open(filepath.Join(b.TempDir(), "vault.db"), 0)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			row := make([]byte, 2000) // about a sealed record
			var wg sync.WaitGroup
			b.ResetTimer()
			for n := range writers {
				wg.Go(func() {
					for range b.N/writers + 1 {
						if _, err := s.group.commit(s.db, func(rows *bbolt.Bucket) error { return put(rows, store.ID{byte(n)}, row) }); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}
