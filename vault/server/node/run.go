package node

import (
	"context"
	"sync"
)

// runAll runs tasks side by side until ctx ends or one of them fails, which ends the
// others. It returns the first error. This is the only place where the package starts
// goroutines.
func runAll(ctx context.Context, tasks []task) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	var once sync.Once
	var first error
	for _, t := range tasks {
		running.Add(1)
		go func() {
			defer running.Done()
			if err := t(ctx); err != nil {
				once.Do(func() { first = err })
				cancel(err)
			}
		}()
	}
	running.Wait()
	return first
}
