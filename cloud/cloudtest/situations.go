package cloudtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"coffer/cloud"
)

// situations are the troubles that last: they come in the middle of the work, stay
// as long as they stay, and go. Whatever they are, what was stored stays stored,
// what is refused is refused at once and by its name, and afterwards all goes on.
func situations() []situation {
	return []situation{
		{"SignInEnds", checkSignInEnds},
		{"FullInTheMiddle", checkFullInTheMiddle},
		{"ReadOnly", checkReadOnly},
		{"Hung", checkHung},
		{"HourOff", checkHourOff},
	}
}

type situation struct {
	name string
	run  func(t *testing.T, f *Faulty)
}

// every is a plan in which all requests of those kinds fail with err.
func every(err error, ops ...Op) []Shot {
	var plan []Shot
	for _, op := range ops {
		plan = append(plan, Shot{Op: op, Fault: Fail, Err: err})
	}
	return plan
}

// stored puts a few objects through s and returns them.
func stored(t *testing.T, s *cloud.Store, seed uint64) map[string][]byte {
	t.Helper()
	objects := map[string][]byte{}
	for i := range 5 {
		data := content(100*seed+uint64(i), 1000+i)
		objects[cloud.Name("pack", data)] = data
		if err := s.Put(t.Context(), cloud.Name("pack", data), data); err != nil {
			t.Fatal(err)
		}
	}
	return objects
}

// wantStored requires a new Store over d to read the objects, and a new one to work.
func wantStored(t *testing.T, d cloud.Driver, objects map[string][]byte) {
	t.Helper()
	s := cloud.New(d, cloud.Options{})
	for name, data := range objects {
		storeHolds(t, d, s, name, data)
	}
	more := stored(t, s, 77)
	for name := range more {
		if objects[name] != nil {
			continue
		}
		if err := s.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

// requests are all kinds of them, on one object that is there and one that is not.
func requests(ctx context.Context, s *cloud.Store, there string) map[Op]func() error {
	fresh := []byte("fresh")
	return map[Op]func() error{
		Put:    func() error { return s.Put(ctx, cloud.Name("pack", fresh), fresh) },
		Get:    func() error { _, err := s.Get(ctx, there); return err },
		Delete: func() error { return s.Delete(ctx, there) },
		Stat:   func() error { _, err := s.Stat(ctx, there); return err },
		List: func() error {
			for _, err := range s.List(ctx, "") {
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// first is one of the objects, always the same.
func first(objects map[string][]byte) string { return slices.Min(slices.Collect(maps.Keys(objects))) }

// refusedAtOnce requires each of the requests to fail with want after one try.
func refusedAtOnce(t *testing.T, f *Faulty, s *cloud.Store, there string, want error, ops ...Op) {
	t.Helper()
	all := requests(t.Context(), s, there)
	for _, op := range ops {
		before, start := f.Calls(op), time.Now()
		wantError(t, string(op), all[op](), want)
		if n := f.Calls(op) - before; n != 1 || time.Since(start) > time.Second {
			t.Fatalf("%s: %d requests in %v for what waiting does not heal", op, n, time.Since(start))
		}
	}
}

// checkSignInEnds: 401 once, then 401 for ever, then signed in again.
func checkSignInEnds(t *testing.T, f *Faulty) {
	s := cloud.New(f, cloud.Options{})
	objects := stored(t, s, 1)
	there := first(objects)
	for _, op := range []Op{Put, Get, List, Delete, Stat} {
		f.Plan(Shot{Op: op, At: 1, Fault: Fail, Err: cloud.ErrAuth})
		refusedAtOnce(t, f, s, there, cloud.ErrAuth, op)
		if op == Delete {
			continue // a second one would remove it
		}
		if err := requests(t.Context(), s, there)[op](); err != nil {
			t.Fatalf("%s, after 401 once: %v", op, err)
		}
	}
	f.Plan(every(cloud.ErrAuth, Put, Get, List, Delete, Stat)...)
	for range 3 {
		refusedAtOnce(t, f, s, there, cloud.ErrAuth, Put, Get, List, Delete, Stat)
	}
	f.Calm()
	wantStored(t, f, objects)
}

// checkFullInTheMiddle: no more room after the third object. Reading and deleting
// go on, and what was deleted makes room.
func checkFullInTheMiddle(t *testing.T, f *Faulty) {
	s := cloud.New(f, cloud.Options{})
	objects := stored(t, s, 1)
	f.Plan(every(cloud.ErrFull, Put)...)
	refusedAtOnce(t, f, s, first(objects), cloud.ErrFull, Put)
	for name, data := range objects {
		storeHolds(t, f, s, name, data)
	}
	gone := first(objects)
	if err := s.Delete(t.Context(), gone); err != nil {
		t.Fatalf("delete in a full place: %v", err)
	}
	delete(objects, gone)
	_, err := s.Get(t.Context(), gone)
	wantError(t, "get of what was deleted to make room", err, cloud.ErrNotFound)
	f.Calm()
	wantStored(t, f, objects)
}

// checkReadOnly: nothing can be written or deleted, all can be read.
func checkReadOnly(t *testing.T, f *Faulty) {
	s := cloud.New(f, cloud.Options{})
	objects := stored(t, s, 1)
	for _, class := range []error{cloud.ErrReadOnly, cloud.ErrDenied} {
		f.Plan(every(class, Put, Delete)...)
		refusedAtOnce(t, f, s, first(objects), class, Put, Delete)
		other := cloud.New(f, cloud.Options{})
		for name, data := range objects {
			storeHolds(t, f, other, name, data)
		}
	}
	f.Calm()
	wantStored(t, f, objects)
}

// patience is the longest that a call may take while nobody answers: as many tries
// as a Store makes, each given up after a minute, and the waiting between them.
const patience = 20 * time.Minute

// checkHung: the server takes requests and never answers. A call ends by itself,
// and at once when its user has had enough.
func checkHung(t *testing.T, f *Faulty) {
	s := cloud.New(f, cloud.Options{})
	objects := stored(t, s, 1)
	there := first(objects)
	hang := func(fault Fault, ops ...Op) (plan []Shot) {
		for _, op := range ops {
			plan = append(plan, Shot{Op: op, Fault: fault})
		}
		return plan
	}
	f.Plan(hang(Hang, Put, Get, List, Delete, Stat)...)
	for op, request := range requests(t.Context(), s, there) {
		start := time.Now()
		wantError(t, string(op)+" of a server that hangs", request(), cloud.ErrOffline)
		if took := time.Since(start); took > patience {
			t.Fatalf("%s ended after %v", op, took)
		}
	}
	for op := range requests(t.Context(), s, there) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		start := time.Now()
		err := requests(ctx, s, there)[op]()
		cancel()
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 16*time.Second {
			t.Fatalf("%s that its user gave up after 10 s: %v after %v", op, err, took)
		}
	}
	f.Plan(hang(HangDone, Put)...) // it arrives, and nobody says so
	wantError(t, "put whose answers are lost", requests(t.Context(), s, there)[Put](), cloud.ErrOffline)
	f.Calm()
	fresh := []byte("fresh")
	storeHolds(t, f, s, cloud.Name("pack", fresh), fresh)
	if err := s.Delete(t.Context(), cloud.Name("pack", fresh)); err != nil {
		t.Fatal(err)
	}
	wantStored(t, f, objects)
}

// checkHourOff: a place whose clock is an hour off says when to come back. Nobody
// waits an hour for it; one that is behind is not waited for at all.
func checkHourOff(t *testing.T, f *Faulty) {
	s := cloud.New(f, cloud.Options{})
	objects := stored(t, s, 1)
	there := first(objects)
	for by, fails := range map[time.Duration]bool{time.Hour: true, -time.Hour: false} {
		f.Plan(Shot{Op: Get, At: 1, Fault: Fail, Err: &cloud.LimitError{Until: time.Now().Add(by)}})
		start := time.Now()
		_, err := s.Get(t.Context(), there)
		if errors.Is(err, cloud.ErrLimit) != fails || (err != nil) != fails {
			t.Fatalf("get, with a limit until %v from now: %v", by, err)
		}
		if took := time.Since(start); took > 5*time.Minute {
			t.Fatalf("get, with a limit until %v from now, took %v", by, took)
		}
	}
	f.Calm()
	wantStored(t, f, objects)
}
