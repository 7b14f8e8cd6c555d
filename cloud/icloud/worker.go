package icloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"coffer/cloud"
)

const (
	// patience is how long anything may take before its worker is left behind.
	// The Store would give up after a minute, and call it a stall.
	patience = 45 * time.Second

	// maxFetches bounds the workers that wait for downloads. Each holds a thread.
	maxFetches = 16
)

// errWaiting: a download takes its time.
var errWaiting = fmt.Errorf("%w: iCloud has not brought it yet", cloud.ErrWaiting)

// attempt runs f in a worker and returns what it returns; or, when ctx is done
// or patience ends, an error, while f runs on. Then what it returns is given to
// late (nil: nobody), and what f touches must be its own.
func attempt[T any](ctx context.Context, f func() (T, error), late func(T)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	type outcome struct {
		result T
		err    error
	}
	done := make(chan outcome)  // taken, or
	left := make(chan struct{}) // closed: never both
	go func() {
		result, err := f()
		select {
		case done <- outcome{result, err}:
		case <-left:
			if err == nil && late != nil {
				late(result)
			}
		}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case out := <-done:
		return out.result, out.err
	case <-ctx.Done():
		close(left)
		return zero, ctx.Err()
	case <-timer.C:
		close(left)
		return zero, errWaiting
	}
}

// A fetch is a download under way, waited for by all who want the file.
type fetch struct {
	done chan struct{} // closed when it has ended
	err  error         // why it failed; read after done
}

// bring waits until the bytes of an absent file are here. All who want the same
// file wait for one worker, for each holds a thread as long as the download
// takes, and the Store tries again and again.
func (d *Driver) bring(ctx context.Context, path string) error {
	f := d.fetching(path)
	if f == nil {
		return fmt.Errorf("%w: %d others come first", errWaiting, maxFetches)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return errWaiting
	}
}

// fetching returns the download of path, which it starts if there is none; nil:
// there are too many.
func (d *Driver) fetching(path string) *fetch {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.fetches[path]; f != nil {
		return f
	}
	if len(d.fetches) >= maxFetches {
		return nil
	}
	f := &fetch{done: make(chan struct{})}
	d.fetches[path] = f
	go func() {
		f.err = d.touch(path)
		d.mu.Lock()
		delete(d.fetches, path)
		d.mu.Unlock()
		close(f.done)
	}()
	return f
}

// touch reads a byte, which makes the system bring them all.
func (d *Driver) touch(path string) error {
	f, err := d.system.open(path)
	if err == nil {
		_, err = f.ReadAt(make([]byte, 1), 0)
		if errors.Is(err, io.EOF) { // an empty file
			err = nil
		}
		f.Close()
	}
	if err != nil {
		// Whatever it is, of a file that is not here it means: not now. A stub has
		// nothing to open under its name.
		if errors.Is(err, fs.ErrNotExist) {
			return errWaiting
		}
		return fmt.Errorf("%w: %w", errWaiting, err)
	}
	return nil
}
