package vault_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/vaulttest"
)

// isOver reports whether err is how a vault says that there are no more tries.
func isOver(err error) bool {
	return errors.Is(err, protocol.ErrLastTry) || errors.Is(err, protocol.ErrDestroyed) || errors.Is(err, protocol.ErrUnarmed)
}

// crowd guesses with n guessers at once, until the vault says no more, and returns how many
// answers they got, and how many questions were lost on their way: on a busy computer a
// connection may be given up that somebody writes to. They help each other: all know which
// number the next try has. Of the doors each takes one. They begin together, each with his
// guess prepared. None ever tells the vault that he was wrong.
func crowd(t testing.TB, g *vaulttest.Guesser, n int, doors ...vaulttest.Door) (answers, lost int) {
	t.Helper()
	s, err := g.Status(t.Context())
	must(t, err)
	var next atomic.Uint64
	next.Store(s.Serial + 1)
	var got, gone atomic.Int64
	var wg, ready sync.WaitGroup
	ready.Add(n)
	for i := range n {
		one := *g
		if len(doors) > 0 {
			one.Door = doors[i%len(doors)]
		}
		wg.Go(func() {
			first, err := one.Prepare("wrong")
			ready.Done()
			ready.Wait()
			if err == nil {
				err = guessOn(t.Context(), &one, first, &next, &got, &gone)
			}
			if err != nil {
				t.Errorf("guesser %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	return int(got.Load()), int(gone.Load())
}

// guessOn guesses until it is over.
func guessOn(ctx context.Context, g *vaulttest.Guesser, q *vaulttest.Question, next *atomic.Uint64, got, gone *atomic.Int64) error {
	for mine := 0; ; {
		number := next.Load()
		_, err := q.Ask(ctx, number)
		switch {
		case err == nil:
			got.Add(1)
			next.CompareAndSwap(number, number+1)
			if q, err = g.Prepare("wrong"); err != nil {
				return err
			}
		case errors.Is(err, protocol.ErrSerial):
			next.CompareAndSwap(number, number+1) // it is used, and its answer is on the way
		case errors.Is(err, protocol.ErrBusy):
			if err := rest(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		case isOver(err):
			return nil
		case errors.Is(err, protocol.ErrUnknownOutcome) && mine < 3:
			mine++
			gone.Add(1)
		default:
			return err
		}
	}
}

// rest waits.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
