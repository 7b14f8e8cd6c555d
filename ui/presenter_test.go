package ui

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPresenterThins: ten states a second at most, and the newest always arrives.
func TestPresenterThins(t *testing.T) {
	var now time.Time
	var queue []func()
	var got []int
	p := newPresenter(func(fn func()) { queue = append(queue, fn) }, func() time.Time { return now }, func(n int) { got = append(got, n) })
	drain := func() {
		for _, fn := range queue {
			fn()
		}
		queue = nil
	}
	for n := range 1000 {
		now = now.Add(time.Millisecond)
		p.event(n)
		if n%7 == 0 {
			drain()
		}
	}
	drain()
	if len(got) > 11 || len(got) < 9 {
		t.Errorf("%d states in a second", len(got))
	}
	p.flush()
	drain()
	if got[len(got)-1] != 999 {
		t.Errorf("the last state is %d", got[len(got)-1])
	}
	before := len(got)
	p.flush()
	drain()
	if len(got) != before {
		t.Error("flush repeated a state")
	}
}

// TestPresenterNeverQueuesTwo: a UI goroutine that is busy finds one state waiting, the newest.
func TestPresenterNeverQueuesTwo(t *testing.T) {
	var now time.Time
	var queue []func()
	var got []int
	p := newPresenter(func(fn func()) { queue = append(queue, fn) }, func() time.Time { return now }, func(n int) { got = append(got, n) })
	for n := range 50 {
		now = now.Add(time.Second)
		p.event(n)
	}
	if len(queue) != 1 {
		t.Fatalf("%d calls wait", len(queue))
	}
	queue[0]()
	if len(got) != 1 || got[0] != 49 {
		t.Errorf("applied %v", got)
	}
}

func TestPresenterFromManyGoroutines(t *testing.T) {
	var mu sync.Mutex
	var queue []func()
	last := 0
	p := newPresenter(func(fn func()) {
		mu.Lock()
		defer mu.Unlock()
		queue = append(queue, fn)
	}, time.Now, func(n int) { last = n })
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			for range 1000 {
				p.event(7)
			}
		})
	}
	done.Wait()
	p.flush()
	for _, fn := range queue {
		fn()
	}
	if last != 7 {
		t.Errorf("applied %d", last)
	}
}

func TestTaskAnswersOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan func(), 10)
		sc := tasksOn(func(fn func()) { answers <- fn }).scope()
		var got int
		var failed error
		run(sc, func(context.Context) (int, error) { return 5, errors.ErrUnsupported }, func(n int, err error) { got, failed = n, err })
		(<-answers)()
		if got != 5 || !errors.Is(failed, errors.ErrUnsupported) {
			t.Errorf("answer %d, %v", got, failed)
		}
	})
}

// TestClosedScopeHearsNothing: leaving a screen cancels its work, and no late answer comes.
func TestClosedScopeHearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan func(), 10)
		sc := tasksOn(func(fn func()) { answers <- fn }).scope()
		ended := make(chan error, 1)
		run(sc, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return 0, ctx.Err()
		}, func(int, error) { t.Error("an answer after the end") })
		sc.later(time.Minute, func() { t.Error("a timer after the end") })
		sc.onUI(func() { t.Error("a call after the end") })
		sc.close()
		if !errors.Is(<-ended, context.Canceled) {
			t.Error("the work was not cancelled")
		}
		(<-answers)() // onUI
		(<-answers)() // run
		(<-answers)() // later: synctest's clock moves when all wait
	})
}

func TestLaterCanBeStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan func(), 10)
		sc := tasksOn(func(fn func()) { answers <- fn }).scope()
		stop := sc.later(time.Minute, func() { t.Error("fired") })
		fired := false
		sc.later(2*time.Minute, func() { fired = true })
		stop()
		(<-answers)()
		if !fired {
			t.Error("the other timer did not fire")
		}
		sc.close()
	})
}
