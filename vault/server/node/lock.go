package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// A lock is held by the one process that has a vault. The system drops it when that
// process ends, however it ends; the file stays.
type lock struct{ f *os.File }

// lock takes the lock of the folder. [ErrBusy].
func (d folder) lock() (*lock, error) {
	f, err := os.OpenFile(d.file(lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", lockName, err)
	}
	if err := lockFile(f); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return &lock{f}, nil
}

// lockPatience is how long a vault waits for a command that has the folder at this moment:
// a health check must not keep it from starting.
const (
	lockPatience = 3 * time.Second
	lockPause    = 20 * time.Millisecond
)

// waitLock is lock, with patience. [ErrBusy].
func (d folder) waitLock(ctx context.Context) (*lock, error) {
	for until := time.Now().Add(lockPatience); ; {
		l, err := d.lock()
		if !errors.Is(err, ErrBusy) || time.Now().After(until) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", lockName, ctx.Err())
		case <-time.After(lockPause):
		}
	}
}

func (l *lock) release() { _ = l.f.Close() } // drops the lock; nothing was written
