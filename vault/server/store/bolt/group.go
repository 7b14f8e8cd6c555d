package bolt

import (
	"errors"
	"sync"

	bbolt "go.etcd.io/bbolt"
)

// A group is the writers that wait for the next transaction. Whoever has the turn writes
// for all who have come meanwhile, so that they share its two fsyncs; a writer who is alone
// waits for nobody. (bbolt's own Batch lets each group wait for a fixed time, and starts a
// new one while the last waits for the file: groups stay small just when there are many
// writers.)
type group struct {
	turn chan struct{} // holds one token while a transaction is under way

	mu      sync.Mutex
	waiting []*writer // guarded by mu
}

type writer struct {
	change  func(rows *bbolt.Bucket) error
	refused error         // what change has returned: nothing of it is written
	err     error         // of the transaction
	done    chan struct{} // closed when both are known
}

func newGroup() *group { return &group{turn: make(chan struct{}, 1)} }

// commit runs change in a transaction that others may share. A change that returns an error
// must have written nothing: it is the caller's alone, and not the end of the company.
func (g *group) commit(db *bbolt.DB, change func(rows *bbolt.Bucket) error) (refused, err error) {
	w := &writer{change: change, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	g.mu.Unlock()
	select {
	case <-w.done: // by somebody who had the turn
	case g.turn <- struct{}{}:
		g.lead(db)
		// Our own change was in this group, or in the one before.
	}
	<-w.done
	return w.refused, w.err
}

// errGivenUp is what the company hears when a transaction panics: bbolt does so on a file
// that is damaged. Nobody may wait for ever because of it.
var errGivenUp = errors.New("bolt: the transaction was given up")

// lead writes for all who wait, and gives the turn back.
func (g *group) lead(db *bbolt.DB) {
	defer func() { <-g.turn }()
	g.mu.Lock()
	company := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	if len(company) == 0 {
		return
	}
	err := errGivenUp
	defer func() {
		for _, w := range company {
			w.err = err
			close(w.done)
		}
	}()
	err = db.Update(func(tx *bbolt.Tx) error {
		rows := tx.Bucket(bucketRows)
		for _, w := range company {
			w.refused = w.change(rows)
		}
		return nil
	})
}
