package ui

import (
	"context"
	"sync/atomic"
	"time"

	"fyne.io/fyne/v2"
)

// tasks starts work off the UI goroutine and brings its answers back to it. It is the one
// door between the threads.
type tasks struct {
	do    func(func())                              // runs a function on the UI goroutine, later
	after func(time.Duration, func()) (stop func()) // calls a function on the UI goroutine, after a while

	running atomic.Int64 // work whose answer has not arrived; for tests that wait for it
}

// newTasks returns tasks that answer on fyne's own goroutine.
func newTasks() *tasks { return tasksOn(fyne.Do) }

// tasksOn returns tasks that answer through do.
func tasksOn(do func(func())) *tasks {
	after := func(d time.Duration, fn func()) func() {
		timer := time.AfterFunc(d, func() { do(fn) })
		return func() { timer.Stop() }
	}
	return &tasks{do: do, after: after}
}

// A scope owns the tasks of one screen, so that leaving the screen ends them. It belongs
// to the UI goroutine.
type scope struct {
	tasks *tasks
	ctx   context.Context
	end   context.CancelFunc
	ended bool
}

func (t *tasks) scope() *scope {
	ctx, cancel := context.WithCancel(context.Background())
	return &scope{tasks: t, ctx: ctx, end: cancel}
}

// close cancels what runs. No answer of it arrives afterwards.
func (s *scope) close() {
	s.ended = true
	s.end()
}

// run does work on a goroutine of its own and then calls done on the UI goroutine, unless
// the scope was closed meanwhile. The returned function cancels this work alone; done is
// still called then, with what work made of it.
func run[T any](s *scope, work func(context.Context) (T, error), done func(T, error)) context.CancelFunc {
	ctx, cancel := context.WithCancel(s.ctx)
	s.tasks.running.Add(1)
	go func() {
		value, err := work(ctx)
		s.tasks.do(func() {
			defer s.tasks.running.Add(-1)
			cancel()
			if !s.ended {
				done(value, err)
			}
		})
	}()
	return cancel
}

// later calls fn on the UI goroutine after d, unless the scope was closed or stop called.
func (s *scope) later(d time.Duration, fn func()) (stop func()) {
	return s.tasks.after(d, func() {
		if !s.ended {
			fn()
		}
	})
}

// onUI calls fn on the UI goroutine, unless the scope is closed by then. Work calls it.
func (s *scope) onUI(fn func()) {
	s.tasks.do(func() {
		if !s.ended {
			fn()
		}
	})
}
