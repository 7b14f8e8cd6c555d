package cloud

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// stallAfter is how long a request may move no byte before it is given up.
	// There is no limit on a whole transfer: slow is not broken.
	stallAfter = 60 * time.Second
	// grace is how long a driver may take to notice that its request is over.
	grace = 5 * time.Second

	defaultMaxObject = 64 << 20
	defaultBudget    = 5 * time.Minute

	// maxListed bounds the memory that a hostile listing can take: at 16 MiB a
	// pack it is 160 TB, far more than one Coffer repository holds.
	maxListed = 10_000_000
)

// Mistakes of the caller. Neither is worth a class of its own.
var (
	errInvalid = fs.ErrInvalid
	errClosed  = fs.ErrClosed
	errName    = fmt.Errorf("%w: not an object's name", errInvalid)
)

// Options tune a Store. The zero value is what a backup wants.
type Options struct {
	// Log gets, at debug level, every request that is tried again. Nil: nowhere.
	Log *slog.Logger
	// MaxObject is the largest object in bytes that Get returns and Put takes.
	// Zero: 64 MiB.
	MaxObject int64
	// Budget is how long one call may wait between tries, in sum; three times as long
	// for a place that asks to slow down. Zero: five minutes; negative: no second try.
	Budget time.Duration
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxObject <= 0 {
		o.MaxObject = defaultMaxObject
	}
	if o.Budget == 0 {
		o.Budget = defaultBudget
	}
	return o
}

// A Store is a place that keeps objects, with all that is the same for every
// kind of place: checks, retries, pause, error classes. It is safe for
// concurrent use. Every error names the operation and the object.
type Store struct {
	driver Driver
	opts   Options
	gate   gate
	closed atomic.Bool

	mu      sync.Mutex
	written map[string]int64 // guarded by mu; sizes of what this Store put and did not delete
}

// New returns a Store over d. Close it to close d.
func New(d Driver, o Options) *Store {
	return &Store{driver: d, opts: o.withDefaults(), written: map[string]int64{}}
}

// Put stores data under name, whole or not at all. It is idempotent: that the
// same bytes are there already is success. The hash in the name must be that
// of data, else nothing is sent and the error is ErrChecksum: between naming
// and sending, memory can go bad. Data must not change until Put returns.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	src, err := s.admit(name, data)
	if err != nil {
		return fmt.Errorf("put %q: %w", name, err)
	}
	return s.put(ctx, name, src)
}

func (s *Store) put(ctx context.Context, name string, src Source) error {
	_, err := call(ctx, s, "put", name, func(ctx context.Context, l *lease) (struct{}, error) {
		return struct{}{}, s.driver.Put(ctx, name, l.source(src))
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.written[name] = src.Size()
	s.mu.Unlock()
	return nil
}

// admit checks what Put is asked to send.
func (s *Store) admit(name string, data []byte) (Source, error) {
	if !ValidName(name) {
		return nil, errName
	}
	if int64(len(data)) > s.opts.MaxObject {
		return nil, ErrTooLarge
	}
	src := Bytes(data)
	if !named(name, src.SHA256()) {
		return nil, fmt.Errorf("%w: the bytes are not those of the name", ErrChecksum)
	}
	return src, nil
}

// Get returns the whole object, whose bytes are those that its name promises;
// others are ErrChecksum, after a second look. An object larger than
// Options.MaxObject is refused with ErrTooLarge.
func (s *Store) Get(ctx context.Context, name string) ([]byte, error) {
	return call(ctx, s, "get", name, func(ctx context.Context, l *lease) ([]byte, error) {
		return s.fetch(ctx, name, l)
	})
}

func (s *Store) fetch(ctx context.Context, name string, l *lease) ([]byte, error) {
	r, err := s.driver.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := readUpTo(&leasedReader{r, l}, s.opts.MaxObject, sizeHint(r))
	if err != nil {
		return nil, err
	}
	if !named(name, sha256.Sum256(data)) {
		return nil, fmt.Errorf("%w: %d bytes are not those of the name", ErrChecksum, len(data))
	}
	return data, nil
}

// sizeHint returns how many bytes r says it holds, or 0.
func sizeHint(r io.Reader) int64 {
	if sized, ok := r.(interface{ Size() int64 }); ok {
		return sized.Size()
	}
	return 0
}

// readUpTo reads r to its end, at most limit bytes.
func readUpTo(r io.Reader, limit, hint int64) ([]byte, error) {
	if hint > limit {
		return nil, ErrTooLarge
	}
	// One byte more than hinted, so that the end is seen without growing.
	data := make([]byte, 0, max(hint, 511)+1)
	for {
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > limit:
			return nil, ErrTooLarge
		case err == io.EOF:
			return data, nil
		case err != nil:
			return nil, err
		case len(data) == cap(data):
			data = slices.Grow(data, len(data))
		}
	}
}

// ReadAt fills p with the object's bytes from off: all of p, or an error; a
// range that ends past the object is ErrRange. Bytes of a part cannot be
// checked against the name. After an error p holds anything.
func (s *Store) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	if off < 0 {
		return fmt.Errorf("read %s: %w: offset %d", name, errInvalid, off)
	}
	_, err := call(ctx, s, "read", name, func(ctx context.Context, l *lease) (struct{}, error) {
		return struct{}{}, s.readAt(ctx, name, p, off, l)
	})
	return err
}

func (s *Store) readAt(ctx context.Context, name string, p []byte, off int64, l *lease) error {
	r, err := s.driver.Get(ctx, name, off, int64(len(p)))
	if err != nil {
		return err
	}
	defer r.Close()
	return l.fill(p, r)
}

// List yields the objects whose names begin with prefix: all that the place
// lists and all that this Store put, each name once, sorted by name. Foreign
// files are left out. An error ends it.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		found, err := s.union(ctx, prefix)
		if err != nil {
			yield(Object{}, err)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			if err := ctx.Err(); err != nil {
				yield(Object{}, fmt.Errorf("list %q: %w", prefix, err))
				return
			}
			if !yield(Object{Name: name, Size: found[name]}, nil) {
				return
			}
		}
	}
}

// union returns name -> size of what the driver lists and this Store wrote.
func (s *Store) union(ctx context.Context, prefix string) (map[string]int64, error) {
	if err := s.admits(ctx); err != nil {
		return nil, fmt.Errorf("list %q: %w", prefix, err)
	}
	found, err := retry(ctx, s, "list", prefix, func(ctx context.Context, l *lease) (map[string]int64, error) {
		return s.listed(ctx, prefix, l)
	})
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", prefix, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, size := range s.written {
		if strings.HasPrefix(name, prefix) {
			found[name] = size
		}
	}
	return found, nil
}

// listed takes the listing as a whole: one that breaks half-way starts again,
// and the caller must not see its first half twice.
func (s *Store) listed(ctx context.Context, prefix string, l *lease) (map[string]int64, error) {
	found := map[string]int64{}
	for object, err := range s.driver.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		l.touch()
		if !ValidName(object.Name) || !strings.HasPrefix(object.Name, prefix) {
			continue
		}
		if _, twice := found[object.Name]; !twice {
			found[object.Name] = object.Size
		}
		if len(found) > maxListed {
			return nil, Final(fmt.Errorf("%w: more than %d objects", ErrTooLarge, maxListed))
		}
	}
	return found, ctx.Err()
}

// Stat describes the object, or returns ErrNotFound. It asks the place: what
// this Store remembers may have been deleted by another device.
func (s *Store) Stat(ctx context.Context, name string) (Object, error) {
	return call(ctx, s, "stat", name, func(ctx context.Context, l *lease) (Object, error) {
		if d, ok := s.driver.(Stater); ok {
			return d.Stat(ctx, name)
		}
		return s.measure(ctx, name, l)
	})
}

// measure is Stat for a driver without one. The listing may be late, so that a
// name is not in it proves nothing; then the object itself is counted.
func (s *Store) measure(ctx context.Context, name string, l *lease) (Object, error) {
	found, err := s.listed(ctx, name, l)
	if err != nil {
		return Object{}, err
	}
	if size, ok := found[name]; ok {
		return Object{Name: name, Size: size}, nil
	}
	r, err := s.driver.Get(ctx, name, 0, -1)
	if err != nil {
		return Object{}, err
	}
	defer r.Close()
	size, err := io.Copy(io.Discard, &leasedReader{r, l})
	return Object{Name: name, Size: size}, err
}

// Delete removes the object. That it is absent is no error.
func (s *Store) Delete(ctx context.Context, name string) error {
	_, err := call(ctx, s, "delete", name, func(ctx context.Context, l *lease) (struct{}, error) {
		err := s.driver.Delete(ctx, name)
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return struct{}{}, err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.written, name)
	s.mu.Unlock()
	return nil
}

// Capacity reports the room of the place, or ErrUnsupported.
func (s *Store) Capacity(ctx context.Context) (Capacity, error) {
	d, ok := s.driver.(Capacitor)
	if !ok {
		return Capacity{}, fmt.Errorf("capacity: %w", ErrUnsupported)
	}
	return whole(ctx, s, "capacity", d.Capacity)
}

// Caps reports what the place can do.
func (s *Store) Caps() Caps { return s.driver.Caps() }

// Pause holds back every request that has not started; those under way finish.
// Waiting calls obey their contexts. Pausing twice is pausing.
func (s *Store) Pause() { s.gate.close() }

// Resume lets requests start again.
func (s *Store) Resume() { s.gate.open() }

// Close refuses further calls and closes the driver if it can be closed.
// Requests under way are the caller's to cancel first. Closing again does
// nothing.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if d, ok := s.driver.(io.Closer); ok {
		if err := d.Close(); err != nil {
			return fmt.Errorf("close place: %w", err)
		}
	}
	return nil
}

// admits refuses calls that cannot start.
func (s *Store) admits(ctx context.Context) error {
	if s.closed.Load() {
		return errClosed
	}
	return ctx.Err()
}

// call runs one operation on one object: checks, tries, and an error that says
// what was done to what.
func call[T any](ctx context.Context, s *Store, op, name string, request func(context.Context, *lease) (T, error)) (T, error) {
	var zero T
	if !ValidName(name) {
		return zero, fmt.Errorf("%s %q: %w", op, name, errName)
	}
	if err := s.admits(ctx); err != nil {
		return zero, fmt.Errorf("%s %s: %w", op, name, err)
	}
	result, err := retry(ctx, s, op, name, request)
	if err != nil {
		return zero, fmt.Errorf("%s %s: %w", op, name, err)
	}
	return result, nil
}

// retry makes the request until it succeeds, cannot succeed, or the budget is
// used up.
func retry[T any](ctx context.Context, s *Store, op, name string, request func(context.Context, *lease) (T, error)) (T, error) {
	var zero T
	wait := newBackoff(s.opts.Budget)
	for {
		if err := s.gate.pass(ctx); err != nil {
			return zero, err
		}
		result, err := attempt(ctx, request)
		if err == nil {
			return result, nil
		}
		if ctx.Err() != nil {
			return zero, ctx.Err()
		}
		pause, again := wait.next(err)
		if !again {
			return zero, err
		}
		s.opts.Log.DebugContext(ctx, "request failed, trying again", "op", op, "object", name, "pause", pause, "err", err)
		if err := sleep(ctx, pause); err != nil {
			return zero, err
		}
	}
}

// errStalled is why attempt cancels a request that moves no byte.
var errStalled = fmt.Errorf("%w: no byte for a minute", ErrOffline)

type outcome[T any] struct {
	result T
	err    error
}

// attempt makes one request and watches it: it is cancelled with ctx, or when
// no byte has moved for stallAfter.
func attempt[T any](ctx context.Context, request func(context.Context, *lease) (T, error)) (T, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := newLease()
	done := make(chan outcome[T], 1) // room for the answer that nobody waits for
	go func() {
		result, err := request(ctx, l)
		done <- outcome[T]{result, err}
	}()

	watch := time.NewTimer(stallAfter)
	defer watch.Stop()
	for {
		select {
		case out := <-done:
			return out.result, parting(ctx, out.err) // both may be ready
		case <-ctx.Done():
			return farewell(ctx, l, done)
		case <-watch.C:
			if idle := l.idle(); idle < stallAfter {
				watch.Reset(stallAfter - idle)
			} else {
				cancel(errStalled)
			}
		}
	}
}

// parting is the error of a request that was cancelled: drivers have many words for
// that, and the one that counts is why.
func parting(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !isFinal(err) {
		return context.Cause(ctx)
	}
	return err
}

// farewell waits for a cancelled request to end, but not for ever: a system
// call on a dead network mount obeys no context. Then the request is left to
// itself, without access to the caller's memory.
func farewell[T any](ctx context.Context, l *lease, done <-chan outcome[T]) (T, error) {
	cause := context.Cause(ctx)
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case out := <-done:
		return out.result, parting(ctx, out.err)
	case <-patience.C:
		l.revoke()
		var zero T
		return zero, Final(fmt.Errorf("%w; request abandoned", cause))
	}
}
