package cloudtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coffer/cloud"
)

func storeChecks() []check {
	return []check{
		{"RoundTrip", checkStoreRoundTrip},
		{"SecondStore", checkSecondStore},
		{"Stops", checkStoreStops},
		{"Parallel", checkStoreParallel},
		{"Pause", checkStorePause},
	}
}

// RunFaulty checks that a [cloud.Store] keeps its promises over a driver that
// keeps few: each check makes many requests, gets every answer right, and at
// the end all faults must have fired (with the race detector, a dozen rounds are
// enough, whatever fired). Then come the troubles that last: a sign-in
// that ended, no room, no writing, a server that hangs. It runs in a bubble of package synctest,
// where waiting costs nothing; so open must start nothing outside.
func RunFaulty(t *testing.T, open func(t *testing.T) *Faulty) {
	rounds := 200
	if Race {
		rounds = 12
	}
	for _, c := range []check{{"RoundTrip", checkStoreRoundTrip}, {"Parallel", checkStoreParallel}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := open(t)
				for round := 0; round < rounds && !f.AllFired(); round++ {
					c.run(t, f)
				}
				if missing := f.Unfired(); !f.AllFired() && !Race {
					t.Fatalf("faults that never happened: %v", missing)
				}
			})
		})
	}
	for _, c := range situations() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := open(t)
				f.Plan()
				c.run(t, f)
			})
		})
	}
}

// again calls f until it is not told of damage. Over a faulty driver, damage
// may well come twice in a row, which a Store rightly reports.
func again(d cloud.Driver, f func() error) error {
	err := f()
	if _, faulty := d.(*Faulty); !faulty {
		return err
	}
	for tries := 0; tries < 20 && errors.Is(err, cloud.ErrChecksum); tries++ {
		err = f()
	}
	return err
}

// readsRight reports whether a part of an object can be taken at its word: a
// flipped bit in a part is for the caller to find, who can open what is sealed.
func readsRight(d cloud.Driver) bool {
	_, faulty := d.(*Faulty)
	return !faulty
}

func checkStoreRoundTrip(t *testing.T, d cloud.Driver) {
	ctx := t.Context()
	s := cloud.New(d, cloud.Options{})
	want := map[string]int64{}
	for i, n := range []int{0, 1, 1000, 300_000} {
		data := content(uint64(i), n)
		name := cloud.Name("pack", data)
		for range 2 {
			if err := again(d, func() error { return s.Put(ctx, name, data) }); err != nil {
				t.Fatal(err)
			}
		}
		want[name] = int64(n)
		storeHolds(t, d, s, name, data)
		storeReads(t, s, name, data, readsRight(d))
	}
	storeLists(t, s, want)
	for name := range want {
		if err := s.Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get(ctx, name)
		wantError(t, "get of a deleted object", err, cloud.ErrNotFound)
		_, err = s.Stat(ctx, name)
		wantError(t, "stat of a deleted object", err, cloud.ErrNotFound)
	}
	storeLists(t, s, map[string]int64{})
}

func storeHolds(t *testing.T, d cloud.Driver, s *cloud.Store, name string, data []byte) {
	t.Helper()
	var got []byte
	err := again(d, func() (err error) {
		got, err = s.Get(t.Context(), name)
		return err
	})
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("get %s: %d of %d bytes, error %v", name, len(got), len(data), err)
	}
	object, err := s.Stat(t.Context(), name)
	if err != nil || object != (cloud.Object{Name: name, Size: int64(len(data))}) {
		t.Fatalf("stat %s: %+v, %v", name, object, err)
	}
}

func storeReads(t *testing.T, s *cloud.Store, name string, data []byte, right bool) {
	t.Helper()
	n := len(data)
	for _, r := range [][2]int{{0, n}, {n / 3, n - n/3}, {n / 2, min(n-n/2, 100)}, {n, 0}} {
		p := make([]byte, r[1])
		if err := s.ReadAt(t.Context(), name, p, int64(r[0])); err != nil {
			t.Fatalf("read %v of %d: %v", r, n, err)
		}
		if right && !bytes.Equal(p, data[r[0]:r[0]+r[1]]) {
			t.Fatalf("read %v of %d: wrong bytes", r, n)
		}
	}
	err := s.ReadAt(t.Context(), name, make([]byte, n+1), 0)
	wantError(t, "read past the end", err, cloud.ErrRange)
}

// storeLists requires the listing to be want, sorted, each name once.
func storeLists(t *testing.T, s *cloud.Store, want map[string]int64) {
	t.Helper()
	last, count := "", 0
	for object, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if size, ok := want[object.Name]; !ok || size != object.Size || object.Name <= last {
			t.Fatalf("list has %+v after %q; want %d, %v", object, last, size, ok)
		}
		last = object.Name
		count++
	}
	if count != len(want) {
		t.Fatalf("list has %d objects, want %d", count, len(want))
	}
}

// checkSecondStore: what one device wrote, another finds.
func checkSecondStore(t *testing.T, d cloud.Driver) {
	first, second := cloud.New(d, cloud.Options{}), cloud.New(d, cloud.Options{})
	want := map[string]int64{}
	for i := range 5 {
		data := content(uint64(i), 100+i)
		name := cloud.Name("snap", data)
		if err := first.Put(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
		want[name] = int64(100 + i)
		storeHolds(t, d, second, name, data)
	}
	storeLists(t, first, want)
	if d.Caps().ListAfterPut {
		storeLists(t, second, want)
	}
}

func checkStoreStops(t *testing.T, d cloud.Driver) {
	s := cloud.New(d, cloud.Options{})
	data := content(1, 100)
	name := cloud.Name("pack", data)
	if err := s.Put(t.Context(), name, data); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Get(t.Context(), name)
	wantError(t, "get after close", err, fs.ErrClosed)
	wantError(t, "put after close", s.Put(t.Context(), name, data), fs.ErrClosed)
}

// checkStoreParallel: eight users of one Store, each with objects of its own
// and one that all share.
func checkStoreParallel(t *testing.T, d cloud.Driver) {
	s := cloud.New(d, cloud.Options{})
	shared := content(99, 50_000)
	errs := race(8, func(i int) error {
		for j := range 4 {
			data := content(uint64(100*i+j), 10_000)
			for _, object := range [][]byte{data, shared} {
				name := cloud.Name("pack", object)
				if err := again(d, func() error { return s.Put(t.Context(), name, object) }); err != nil {
					return err
				}
				var got []byte
				err := again(d, func() (err error) {
					got, err = s.Get(t.Context(), name)
					return err
				})
				if err != nil || !bytes.Equal(got, object) {
					return fmt.Errorf("got %d bytes: %w", len(got), err)
				}
			}
			if err := s.Delete(t.Context(), cloud.Name("pack", data)); err != nil {
				return err
			}
		}
		return nil
	})
	for i, err := range errs {
		if err != nil {
			t.Errorf("user %d: %v", i, err)
		}
	}
	storeLists(t, s, map[string]int64{cloud.Name("pack", shared): 50_000})
}

// checkStorePause: while a Store is paused no request starts, and none is lost.
func checkStorePause(t *testing.T, d cloud.Driver) {
	counted := NewFaulty(d)
	s := cloud.New(counted, cloud.Options{})
	before := content(1, 20_000)
	if err := s.Put(t.Context(), cloud.Name("pack", before), before); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{cloud.Name("pack", before): 20_000}
	s.Pause()
	s.Pause()
	var started, done sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		data := content(uint64(10+i), 5000)
		want[cloud.Name("snap", data)] = 5000
		started.Add(1)
		done.Go(func() {
			started.Done()
			errs[i] = s.Put(t.Context(), cloud.Name("snap", data), data)
		})
	}
	started.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Get(ctx, cloud.Name("pack", before))
	wantError(t, "get while paused", err, context.DeadlineExceeded)
	if n, m := counted.Calls(Put), counted.Calls(Get); n != 1 || m != 0 {
		t.Fatalf("%d puts and %d gets reached the place of a Store that is paused", n, m)
	}
	s.Resume()
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("put after the pause: %v", err)
	}
	storeLists(t, s, want)
}
