package transport

import (
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// minLimit is the slowest line that still works: at a quarter of it, beside
	// three uploads, a TLS handshake fits its 15 seconds.
	minLimit = 4 << 10

	maxPiece  = 16 << 10 // a TLS record
	freePiece = 64 << 10 // of a line without a limit, so that a new one holds soon
	perSecond = 10       // pieces of a slow line
)

// A bucket is the limit of one direction. Its users queue, and only the first
// of the queue waits for the limit: rate.Limiter alone does not wake those who
// sleep when the limit changes, and would serve them by size, not by turn.
type bucket struct {
	// turn is held by the first of the queue. Senders that wait on a channel are
	// served in their order.
	turn chan struct{}

	mu      sync.Mutex
	limiter *rate.Limiter // guarded by mu
	size    int           // guarded by mu; of a piece; 0: no limit
	spare   int           // guarded by mu; bytes that were given back
	changed chan struct{} // guarded by mu; closed when the limit changes
}

func newBucket(limit int64) *bucket {
	b := &bucket{
		turn:    make(chan struct{}, 1),
		limiter: rate.NewLimiter(rate.Inf, maxPiece),
		changed: make(chan struct{}),
	}
	b.set(limit)
	return b
}

// set changes the limit (bytes a second; 0: none) and wakes who waits for the
// old one.
func (b *bucket) set(limit int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if limit <= 0 {
		b.size = 0
		b.limiter.SetLimit(rate.Inf)
	} else {
		b.size = int(min(max(limit/perSecond, 1), maxPiece))
		// A timer that fires late must not cost speed: what was missed may be
		// caught up on, for a tenth of a second.
		b.limiter.SetBurst(int(min(max(limit/perSecond, maxPiece/16), 1<<30)))
		b.limiter.SetLimit(rate.Limit(limit))
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

// piece returns how many bytes one turn moves; 0: there is no limit.
func (b *bucket) piece() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size
}

// A halt is what ends a wait: the connection closes, or its deadline passes.
type halt struct {
	closed <-chan struct{}
	late   <-chan struct{}
}

// err reports whether the wait is over already.
func (h halt) err() error {
	select {
	case <-h.closed:
		return net.ErrClosed
	case <-h.late:
		return os.ErrDeadlineExceeded
	default:
		return nil
	}
}

// take waits for a turn and for the limit, and returns how many bytes may move
// for it: a whole piece; 0: there is no limit.
func (b *bucket) take(h halt) (int, error) {
	if b.piece() == 0 {
		return 0, nil
	}
	if err := h.err(); err != nil {
		return 0, err
	}
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-h.closed:
		return 0, net.ErrClosed
	case <-h.late:
		return 0, os.ErrDeadlineExceeded
	}
	for {
		got, r, changed := b.reserve()
		if r == nil {
			return got, nil
		}
		again, err := wait(r.Delay(), h, changed)
		if err == nil && !again {
			return got, nil
		}
		r.Cancel() // exact, because nobody but the first of the queue has one
		if err != nil {
			return 0, err
		}
	}
}

// reserve takes a piece from the bucket. A nil reservation needs no wait.
func (b *bucket) reserve() (int, *rate.Reservation, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spare >= b.size { // or no limit: 0
		b.spare -= b.size
		return b.size, nil, nil
	}
	return b.size, b.limiter.ReserveN(time.Now(), b.size), b.changed
}

// giveBack returns what a connection paid for and did not use.
func (b *bucket) giveBack(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare = min(b.spare+n, maxPiece)
}

// wait sleeps for d. It reports whether the limit changed meanwhile.
func wait(d time.Duration, h halt, changed <-chan struct{}) (again bool, err error) {
	if d <= 0 {
		return false, nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false, nil
	case <-changed:
		return true, nil
	case <-h.closed:
		return false, net.ErrClosed
	case <-h.late:
		return false, os.ErrDeadlineExceeded
	}
}

// An allowance is what one connection has paid for in one direction. It pays
// for whole pieces: those who move few bytes at a time get as much as those who
// move many.
type allowance struct {
	bucket *bucket
	left   int // bytes
}

// next returns how many bytes, at most want, may move now. It waits until there
// are any.
func (a *allowance) next(want int, h halt) (int, error) {
	if a.left <= 0 {
		paid, err := a.bucket.take(h)
		if err != nil {
			return 0, err
		}
		if paid == 0 {
			return min(want, freePiece), nil
		}
		a.left = paid
	}
	return min(want, a.left), nil
}

// used tells that n bytes have moved.
func (a *allowance) used(n int) { a.left = max(0, a.left-n) }
