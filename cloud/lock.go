package cloud

import (
	"context"
	"sync"
)

// What more than one driver needs to keep its promises.

// A Mutex is a lock that obeys a context: who waits for it can be stopped. Its zero value
// is not usable; see [NewMutex].
type Mutex chan struct{}

// NewMutex returns a lock that nobody holds.
func NewMutex() Mutex { return make(Mutex, 1) }

// Lock waits for the lock, or until ctx is done, which is then the error.
func (m Mutex) Lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case m <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unlock gives the lock to whoever waits for it.
func (m Mutex) Unlock() { <-m }

// NameLocks let one goroutine at a time change a name. The zero value is ready.
type NameLocks struct {
	mu   sync.Mutex
	held map[string]*nameLock // guarded by mu
}

type nameLock struct {
	Mutex
	users int // guarded by NameLocks.mu
}

// Lock returns the function that unlocks the name, or the error of ctx.
func (n *NameLocks) Lock(ctx context.Context, name string) (unlock func(), err error) {
	l := n.join(name)
	if err := l.Lock(ctx); err != nil {
		n.leave(name, l)
		return nil, err
	}
	return func() { l.Unlock(); n.leave(name, l) }, nil
}

func (n *NameLocks) join(name string) *nameLock {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.held[name]
	if l == nil {
		l = &nameLock{Mutex: NewMutex()}
		if n.held == nil {
			n.held = map[string]*nameLock{}
		}
		n.held[name] = l
	}
	l.users++
	return l
}

func (n *NameLocks) leave(name string, l *nameLock) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(n.held, name)
	}
}
