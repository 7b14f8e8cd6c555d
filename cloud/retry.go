package cloud

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

const (
	firstPause = 500 * time.Millisecond // ceiling of the first wait
	lastPause  = 64 * time.Second       // ceiling of any wait
	maxTries   = 12                     // requests for one call, whatever the budget

	// A place that asks to slow down is there and answers, so it is worth more patience
	// than one that is silent; and only after about ten minutes of nothing else does a
	// driver know that the limit is the day's, and until when.
	limitPatience = 3  // times the budget
	maxLimits     = 60 // requests for one call that were asked to slow down
)

// A backoff decides whether and when to try again. Full jitter: a random part
// of a ceiling that doubles. With anything less, the uploads that one outage
// broke come back together, and break together.
type backoff struct {
	left   time.Duration // waiting that may still be spent
	calm   time.Duration // waiting that may still be spent because the place asked for it
	tries  int           // failures so far
	limits int           // requests to slow down so far
	reread bool          // a wrong checksum was forgiven already
}

func newBackoff(budget time.Duration) backoff {
	return backoff{left: budget, calm: limitPatience * budget}
}

// next reports how long to wait after err, and whether to try again at all.
func (b *backoff) next(err error) (time.Duration, bool) {
	if isFinal(err) {
		return 0, false
	}
	if errors.Is(err, ErrLimit) {
		return b.slowDown(err)
	}
	b.tries++
	if b.tries >= maxTries {
		return 0, false
	}
	if errors.Is(err, ErrChecksum) {
		if b.reread { // once is a bad cable, twice is a bad object
			return 0, false
		}
		b.reread = true
	}
	return spend(&b.left, rand.N(ceiling(b.tries)))
}

// slowDown is next for a place that asked for it. It may say until when.
func (b *backoff) slowDown(err error) (time.Duration, bool) {
	b.limits++
	if b.limits >= maxLimits {
		return 0, false
	}
	pause := rand.N(ceiling(b.limits))
	var limit *LimitError
	if errors.As(err, &limit) {
		pause += max(0, time.Until(limit.Until))
	}
	return spend(&b.calm, pause)
}

// spend takes a pause out of what is left, if there is enough.
func spend(left *time.Duration, pause time.Duration) (time.Duration, bool) {
	if pause > *left {
		return 0, false
	}
	*left -= pause
	return pause, true
}

// ceiling returns the longest wait after the given number of failures (>= 1).
func ceiling(failures int) time.Duration {
	return min(firstPause<<min(failures-1, 10), lastPause)
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// A gate lets requests through, or holds them back while it is shut.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // guarded by mu; nil: open; closed when the gate opens
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// pass returns when the gate is open, or with ctx's error.
func (g *gate) pass(ctx context.Context) error {
	for {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut == nil {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-shut:
		}
	}
}

// RetryAfter reads the header of that name: seconds, or a date (RFC 9110, section 10.2.3).
// More than a day is cut to a day: a stranger must not stop backups for a century. ok is
// false where it is neither.
func RetryAfter(text string, now time.Time) (wait time.Duration, ok bool) {
	const most = 24 * time.Hour
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, most), true
	}
	for _, form := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if at, err := time.Parse(form, text); err == nil {
			return min(max(0, at.Sub(now)), most), true
		}
	}
	return 0, false
}
