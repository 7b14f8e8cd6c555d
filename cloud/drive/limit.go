package drive

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"coffer/cloud"
)

const (
	// dailyAfter is how long Drive may ask to slow down, and take nothing, until
	// we believe that it means the day. An account may upload 750 GB in 24 hours;
	// past that it answers userRateLimitExceeded, like any passing crowd.
	dailyAfter = 10 * time.Minute
	// forgetAfter is when two refusals are not of the same trouble any more.
	forgetAfter = 15 * time.Minute
)

// limits tells a passing limit from that of the day.
type limits struct {
	mu    sync.Mutex
	since time.Time // guarded by mu; the first refusal since anything was taken; zero: none
	last  time.Time // guarded by mu; the latest refusal
	until time.Time // guarded by mu; when the day is over; zero: not believed
}

// taken notes that Drive took bytes.
func (l *limits) taken() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since, l.last, l.until = time.Time{}, time.Time{}, time.Time{}
}

// judge passes on the error of an upload, and makes of ErrLimit one that says
// when it goes on, once it is sure that waiting minutes does not help.
func (l *limits) judge(err error) error {
	if !errors.Is(err, cloud.ErrLimit) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.until) {
		return l.over(err)
	}
	if now.Sub(l.last) > forgetAfter {
		l.since = now
	}
	l.last = now
	if now.Sub(l.since) < dailyAfter {
		return err
	}
	l.until = l.since.Add(24 * time.Hour)
	return l.over(err)
}

// over is the error of a day that is used up. The caller holds mu.
func (l *limits) over(err error) error {
	return &classed{fmt.Errorf("%w: %w", &cloud.LimitError{Until: l.until}, err)}
}
