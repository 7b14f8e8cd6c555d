package cloudtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"

	"coffer/cloud"
)

// An Op is a kind of request.
type Op string

// The requests of a driver.
const (
	Put    Op = "put"
	Get    Op = "get"
	List   Op = "list"
	Delete Op = "delete"
	Stat   Op = "stat"
)

// A Fault is one way in which a request goes wrong.
type Fault string

// The faults, and the requests they apply to.
const (
	Fail     Fault = "fail"      // any: nothing happens, an error comes back
	FailDone Fault = "fail-done" // put, delete: it happens, and an error comes back
	Hang     Fault = "hang"      // any: nothing happens until the context is done
	HangDone Fault = "hang-done" // put, delete: it happens, then hangs
	Flip     Fault = "flip"      // put, get: one bit of the bytes arrives wrong
	Truncate Fault = "truncate"  // get: the bytes end early, without an error
	Break    Fault = "break"     // get, list: an error in the middle
	Dribble  Fault = "dribble"   // get: one byte at a time, which is allowed
	Omit     Fault = "omit"      // list: the object that was put last is not in it
	Repeat   Fault = "repeat"    // list: everything comes twice
)

// faultsOf returns what can go wrong with op.
func faultsOf(op Op) []Fault {
	switch op {
	case Put:
		return []Fault{Fail, FailDone, Hang, HangDone, Flip}
	case Get:
		return []Fault{Fail, Hang, Flip, Truncate, Break, Dribble}
	case List:
		return []Fault{Fail, Hang, Break, Omit, Repeat}
	case Delete:
		return []Fault{Fail, FailDone, Hang, HangDone}
	default:
		return []Fault{Fail, Hang}
	}
}

// A Shot is one planned fault.
type Shot struct {
	Op    Op
	At    int // which request of that kind, from 1; 0: every one
	Fault Fault
	Err   error // what Fail, FailDone and Break return; nil: ErrOffline
}

// A Faulty is a driver that fails on purpose. It is safe for concurrent use.
type Faulty struct {
	driver cloud.Driver

	mu     sync.Mutex
	calls  map[Op]int    // guarded by mu; requests so far
	plan   []Shot        // guarded by mu; nil when faults are random
	fired  map[Shot]bool // guarded by mu; for random ones with At 0
	random *rand.Rand    // guarded by mu; nil when faults are planned
	rate   float64       // of random faults, for each request
	newest string        // guarded by mu; the object put last
	calm   bool          // guarded by mu
}

// NewFaulty returns d with the faults of the plan.
func NewFaulty(d cloud.Driver, plan ...Shot) *Faulty {
	return &Faulty{driver: d, calls: map[Op]int{}, plan: plan, fired: map[Shot]bool{}}
}

// NewRandom returns d with random faults in the given share of the requests.
// The seed is logged: the same seed and order of requests give the same faults.
func NewRandom(t testing.TB, d cloud.Driver, seed uint64, rate float64) *Faulty {
	t.Helper()
	t.Logf("faults: seed %d, rate %v", seed, rate)
	return &Faulty{
		driver: d, calls: map[Op]int{}, fired: map[Shot]bool{},
		random: rand.New(rand.NewPCG(seed, seed)), rate: rate,
	}
}

// Plan replaces all faults, random ones too, by these. Requests are counted from
// here on.
func (f *Faulty) Plan(plan ...Shot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.plan, f.fired = map[Op]int{}, plan, map[Shot]bool{}
	f.random, f.calm = nil, false
}

// Calm stops all faults from now on.
func (f *Faulty) Calm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calm = true
}

// Unfired returns what has not happened yet: of a plan its shots; of random
// faults, those that are possible for the kinds of request that were made.
func (f *Faulty) Unfired() []Shot {
	f.mu.Lock()
	defer f.mu.Unlock()
	possible := f.plan
	if f.random != nil {
		for _, op := range []Op{Put, Get, List, Delete, Stat} {
			if f.calls[op] == 0 {
				continue
			}
			for _, fault := range faultsOf(op) {
				possible = append(possible, Shot{Op: op, Fault: fault})
			}
		}
	}
	var missing []Shot
	for _, shot := range possible {
		if !f.fired[shot] {
			missing = append(missing, shot)
		}
	}
	return missing
}

// AllFired reports whether all faults have happened, and at least one.
func (f *Faulty) AllFired() bool {
	missing := f.Unfired()
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(missing) == 0 && len(f.fired) > 0
}

// Calls returns how many requests of that kind were made.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// next returns the fault for a request that begins now; zero: none.
func (f *Faulty) next(op Op) (shot Shot, injected error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	if f.calm {
		return Shot{}, nil
	}
	shot = f.choose(op)
	if shot.Fault == "" {
		return Shot{}, nil
	}
	f.fired[shot] = true
	if shot.Err != nil {
		return shot, fmt.Errorf("injected: %w", shot.Err)
	}
	return shot, fmt.Errorf("injected %s: %w", shot.Fault, cloud.ErrOffline)
}

// choose picks the fault. The caller holds mu.
func (f *Faulty) choose(op Op) Shot {
	if f.random != nil {
		faults := faultsOf(op)
		if f.random.Float64() >= f.rate {
			return Shot{}
		}
		return Shot{Op: op, Fault: faults[f.random.IntN(len(faults))]}
	}
	for _, shot := range f.plan {
		if shot.Op == op && (shot.At == 0 || shot.At == f.calls[op]) {
			return shot
		}
	}
	return Shot{}
}

// Put implements [cloud.Driver].
func (f *Faulty) Put(ctx context.Context, name string, src cloud.Source) error {
	shot, injected := f.next(Put)
	return f.write(ctx, shot, injected, func() error {
		if shot.Fault == Flip && src.Size() > 0 {
			src = flippedSource{src}
		}
		if err := f.driver.Put(ctx, name, src); err != nil {
			return err
		}
		f.mu.Lock()
		f.newest = name
		f.mu.Unlock()
		return nil
	})
}

// Delete implements [cloud.Driver].
func (f *Faulty) Delete(ctx context.Context, name string) error {
	shot, injected := f.next(Delete)
	return f.write(ctx, shot, injected, func() error { return f.driver.Delete(ctx, name) })
}

// write does something that changes the place, in one of the outcomes.
func (f *Faulty) write(ctx context.Context, shot Shot, injected error, do func() error) error {
	switch shot.Fault {
	case Fail:
		return injected
	case Hang:
		<-ctx.Done()
		return ctx.Err()
	}
	if err := do(); err != nil {
		return err
	}
	switch shot.Fault {
	case FailDone:
		return injected
	case HangDone:
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// flippedSource is a source whose first bit changes on its way.
type flippedSource struct{ cloud.Source }

func (s flippedSource) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.Source.ReadAt(p, off)
	if off == 0 && n > 0 {
		p[0] ^= 1
	}
	return n, err
}

// Get implements [cloud.Driver].
func (f *Faulty) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	shot, injected := f.next(Get)
	switch shot.Fault {
	case Fail:
		return nil, injected
	case Hang:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r, err := f.driver.Get(ctx, name, off, n)
	if err != nil || shot.Fault == "" {
		return r, err
	}
	return spoil(r, shot.Fault, injected)
}

// spoil reads r to its end and returns a worse reader.
func spoil(r io.ReadCloser, fault Fault, injected error) (io.ReadCloser, error) {
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	bad := &badReader{data: data, piece: len(data), end: io.EOF}
	switch fault {
	case Flip:
		if len(data) > 0 {
			data[len(data)/2] ^= 0x10
		}
	case Truncate:
		bad.data = data[:len(data)/2]
	case Break:
		bad.data, bad.end = data[:len(data)/2], injected
	case Dribble:
		bad.piece = 1
	}
	return bad, nil
}

// A badReader gives data in pieces of some size, then the error end. It has no
// Size: a lying place does not know.
type badReader struct {
	data  []byte
	piece int
	end   error
}

func (r *badReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, r.end
	}
	n := copy(p[:min(len(p), r.piece)], r.data)
	r.data = r.data[n:]
	return n, nil
}

func (r *badReader) Close() error { return nil }

// List implements [cloud.Driver].
func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		shot, injected := f.next(List)
		switch shot.Fault {
		case Fail:
			yield(cloud.Object{}, injected)
			return
		case Hang:
			<-ctx.Done()
			yield(cloud.Object{}, ctx.Err())
			return
		}
		if f.relay(ctx, prefix, shot.Fault, yield) && shot.Fault == Break {
			yield(cloud.Object{}, injected)
		}
	}
}

// relay passes the listing on and reports whether the caller wants more.
func (f *Faulty) relay(ctx context.Context, prefix string, fault Fault, yield func(cloud.Object, error) bool) bool {
	f.mu.Lock()
	newest := f.newest
	f.mu.Unlock()
	for object, err := range f.driver.List(ctx, prefix) {
		if fault == Omit && object.Name == newest {
			continue
		}
		if !yield(object, err) {
			return false
		}
		switch {
		case err != nil || fault == Break: // after the first object
			return err == nil
		case fault == Repeat && !yield(object, nil):
			return false
		}
	}
	return true
}

// Stat implements [cloud.Stater], with the driver's own or without.
func (f *Faulty) Stat(ctx context.Context, name string) (cloud.Object, error) {
	shot, injected := f.next(Stat)
	switch shot.Fault {
	case Fail:
		return cloud.Object{}, injected
	case Hang:
		<-ctx.Done()
		return cloud.Object{}, ctx.Err()
	}
	if d, ok := f.driver.(cloud.Stater); ok {
		return d.Stat(ctx, name)
	}
	return cloud.New(f.driver, cloud.Options{Budget: -1}).Stat(ctx, name)
}

// Capacity implements [cloud.Capacitor] if the driver does.
func (f *Faulty) Capacity(ctx context.Context) (cloud.Capacity, error) {
	if d, ok := f.driver.(cloud.Capacitor); ok {
		return d.Capacity(ctx)
	}
	return cloud.Capacity{}, cloud.ErrUnsupported
}

// Caps implements [cloud.Driver]: a listing that omits is not one after put.
func (f *Faulty) Caps() cloud.Caps {
	caps := f.driver.Caps()
	caps.ListAfterPut = false
	return caps
}
