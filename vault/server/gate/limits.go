package gate

import (
	"container/heap"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits bound what strangers may take. The zero value is the table of
// docs/vault-protocol.md, "Limits"; each field that is zero is as there.
type Limits struct {
	AddressBurst int     // requests of one address at once; 0: 20
	AddressRate  float64 // then so many a second; 0: 2
	RecordBurst  int     // requests about one record at once; 0: 30
	RecordRate   float64 // then so many a second; 0: 1
	Table        int     // addresses, and records, that are remembered; 0: 65,536

	Requests           int // being opened and answered at once, of all; 0: 256
	Connections        int // of all; 0: 2,048
	AddressConnections int // of one address that is not a front; 0: 32

	Header time.Duration // from the first byte to the end of the header, and for TLS; 0: 5 s
	Read   time.Duration // to the end of the body; 0: 10 s
	Write  time.Duration // from the end of the header to that of the answer; 0: 20 s
	Idle   time.Duration // between two requests; 0: 60 s
	Stop   time.Duration // for what runs when the gate is told to stop; 0: 15 s
}

func (l Limits) withDefaults() (Limits, error) {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&l.AddressBurst, 20},
		{&l.RecordBurst, 30},
		{&l.Table, 1 << 16},
		{&l.Requests, 256},
		{&l.Connections, 2048},
		{&l.AddressConnections, 32},
	} {
		if *f.field < 0 {
			return l, fmt.Errorf("a limit is below zero: %w", ErrConfig)
		}
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&l.Header, 5 * time.Second},
		{&l.Read, 10 * time.Second},
		{&l.Write, 20 * time.Second},
		{&l.Idle, 60 * time.Second},
		{&l.Stop, 15 * time.Second},
	} {
		if *f.field < 0 {
			return l, fmt.Errorf("a time limit is below zero: %w", ErrConfig)
		}
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	for _, f := range []struct {
		field *float64
		value float64
	}{{&l.AddressRate, 2}, {&l.RecordRate, 1}} {
		if !(*f.field >= 0 && *f.field <= 1e6) { // not a number is neither
			return l, fmt.Errorf("a rate is out of bounds: %w", ErrConfig)
		}
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return l, nil
}

// A limiter gives each key a bucket of tokens: burst of them at most, and a new one every
// 1/rate seconds. It is safe for concurrent use.
//
// It remembers no more than size keys. A bucket that is full again is as good as none, and
// goes first. When there is none, the one goes that is full soonest. So nobody gets his own
// empty bucket forgotten cheaply: he would have to empty all the others first, which takes
// size times as many requests, from size addresses, as he wins.
type limiter[K comparable] struct {
	rate  rate.Limit
	burst int
	size  int

	mu      sync.Mutex
	buckets map[K]*bucket[K] // guarded by mu
	order   byFull[K]        // guarded by mu: the same buckets, the one that is full first at the root
}

type bucket[K comparable] struct {
	key    K
	tokens *rate.Limiter
	full   time.Time // when it is full again, unless somebody takes
	at     int       // its place in order
}

func newLimiter[K comparable](burst int, perSecond float64, size int) *limiter[K] {
	return &limiter[K]{rate: rate.Limit(perSecond), burst: burst, size: size, buckets: map[K]*bucket[K]{}}
}

// take takes n tokens of key, at most a full bucket. It returns 0, or how long to wait for
// them: then none was taken.
func (l *limiter[K]) take(key K, n int, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		l.makeRoom(now)
		b = &bucket[K]{key: key, tokens: rate.NewLimiter(l.rate, l.burst), full: now}
		l.buckets[key] = b
		heap.Push(&l.order, b)
	}
	r := b.tokens.ReserveN(now, min(n, l.burst))
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now) // who is refused does not wait longer for having asked
	}
	missing := float64(l.burst) - b.tokens.TokensAt(now)
	b.full = now.Add(time.Duration(missing / float64(l.rate) * float64(time.Second)))
	heap.Fix(&l.order, b.at)
	return wait
}

// makeRoom forgets a few buckets that are full, and whichever is next when there is no
// room.
func (l *limiter[K]) makeRoom(now time.Time) {
	for few := 4; len(l.order) > 0; few-- {
		first := l.order[0]
		isFull := !first.full.After(now)
		if len(l.order) < l.size && (!isFull || few <= 0) {
			return
		}
		heap.Pop(&l.order)
		delete(l.buckets, first.key)
	}
}

// byFull is a heap (container/heap) of buckets.
type byFull[K comparable] []*bucket[K]

func (h byFull[K]) Len() int           { return len(h) }
func (h byFull[K]) Less(i, j int) bool { return h[i].full.Before(h[j].full) }
func (h byFull[K]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push is heap.Interface's.
func (h *byFull[K]) Push(x any) {
	b := x.(*bucket[K])
	b.at = len(*h)
	*h = append(*h, b)
}

// Pop is heap.Interface's.
func (h *byFull[K]) Pop() any {
	last := len(*h) - 1
	b := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return b
}
