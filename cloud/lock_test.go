package cloud_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coffer/cloud"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"0": 0, "90": 90 * time.Second, "4000000000": 24 * time.Hour,
		"Sun, 01 Nov 2026 12:01:00 GMT": time.Minute, "Sun, 01 Nov 2020 12:01:00 GMT": 0, "Sun, 01 Nov 2099 12:01:00 GMT": 24 * time.Hour,
		"Sunday, 01-Nov-26 12:01:00 GMT": time.Minute, "Sun Nov  1 12:01:00 2026": time.Minute,
		"": -1, "-1": -1, "soon": -1, "1.5": -1, "99999999999999999999": -1,
	} {
		got, ok := cloud.RetryAfter(text, now)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}

// One at a time changes a name, others do not wait for it, and who waits can be stopped.
func TestNameLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var locks cloud.NameLocks
		unlock, err := locks.Lock(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		other, err := locks.Lock(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		other()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := locks.Lock(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a held name: %v", err)
		}
		var turn sync.WaitGroup
		inside := 0
		for range 20 {
			turn.Go(func() {
				unlock, err := locks.Lock(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				if inside++; inside != 1 {
					t.Error("two at once")
				}
				time.Sleep(time.Millisecond)
				inside--
			})
		}
		synctest.Wait()
		unlock()
		turn.Wait()
	})
}
