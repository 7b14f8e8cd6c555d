package node

import (
	"fmt"
	"os"
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

func (l *lock) release() { _ = l.f.Close() } // drops the lock; nothing was written
