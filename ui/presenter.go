package ui

import (
	"sync"
	"time"
)

// presentEvery is the shortest time between two states of a screen: faster is not read,
// and each state costs a frame.
const presentEvery = 100 * time.Millisecond

// A presenter thins what a task reports: at most one state each presentEvery reaches the
// screen, and the newest always does, at the latest with flush. The task calls event and
// flush from its own goroutine; apply runs on the UI goroutine.
type presenter[S any] struct {
	do    func(func())
	now   func() time.Time
	apply func(S)

	mu      sync.Mutex
	newest  S
	fresh   bool // newest was not applied yet
	waiting bool // an apply is on its way
	last    time.Time
}

func newPresenter[S any](do func(func()), now func() time.Time, apply func(S)) *presenter[S] {
	return &presenter[S]{do: do, now: now, apply: apply}
}

// event tells of a new state.
func (p *presenter[S]) event(state S) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newest, p.fresh = state, true
	if !p.waiting && p.now().Sub(p.last) >= presentEvery {
		p.send()
	}
}

// flush sends the newest state however early it is.
func (p *presenter[S]) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fresh && !p.waiting {
		p.send()
	}
}

// send is called with mu held.
func (p *presenter[S]) send() {
	p.waiting, p.last = true, p.now()
	p.do(func() {
		p.mu.Lock()
		state := p.newest
		p.fresh, p.waiting = false, false
		p.mu.Unlock()
		p.apply(state)
	})
}
