package cloud

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// errRevoked is what a driver that outlived its request gets.
var errRevoked = errors.New("cloud: the request was given up")

// A lease is one request's right to the caller's memory, and its sign of life.
//
// A driver may be stuck where no context reaches, in a read of a network mount
// that is gone. The Store then gives the request up and returns; the caller
// reuses its buffers. Without revoking the lease, the stuck request would wake
// up later and send, or overwrite, the bytes of something else.
type lease struct {
	start time.Time
	moved atomic.Int64 // when the last byte moved, as time since start

	mu      sync.RWMutex // held for reading while the caller's memory is in use
	revoked bool         // guarded by mu
}

func newLease() *lease { return &lease{start: time.Now()} }

// touch says that a byte moved.
func (l *lease) touch() { l.moved.Store(int64(time.Since(l.start))) }

// idle returns for how long no byte has moved.
func (l *lease) idle() time.Duration {
	return time.Since(l.start) - time.Duration(l.moved.Load())
}

// revoke returns when the request can no longer touch the caller's memory.
func (l *lease) revoke() {
	l.mu.Lock()
	l.revoked = true
	l.mu.Unlock()
}

// use runs f, which touches the caller's memory, unless the lease is revoked.
func (l *lease) use(f func()) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.revoked {
		return errRevoked
	}
	f()
	l.touch()
	return nil
}

// source returns src under the lease.
func (l *lease) source(src Source) Source { return &leasedSource{src, l} }

type leasedSource struct {
	Source
	lease *lease
}

func (s *leasedSource) ReadAt(p []byte, off int64) (n int, err error) {
	if lost := s.lease.use(func() { n, err = s.Source.ReadAt(p, off) }); lost != nil {
		return 0, lost
	}
	return n, err
}

// scratch are the buffers between a driver's reader and the caller's memory.
// A read into the caller's own slice could not be revoked while it waits.
const scratchSize = 128 << 10

// fill reads exactly len(p) bytes from r into p.
func (l *lease) fill(p []byte, r io.Reader) error {
	scratch := make([]byte, min(len(p), scratchSize))
	for done := 0; done < len(p); {
		n, err := r.Read(scratch[:min(len(scratch), len(p)-done)])
		if lost := l.use(func() { copy(p[done:], scratch[:n]) }); lost != nil {
			return lost
		}
		done += n
		if err != nil && done < len(p) {
			return cut(err)
		}
	}
	return nil
}

// leasedReader tells the lease about every byte that passes.
type leasedReader struct {
	r     io.Reader
	lease *lease
}

func (r *leasedReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if n > 0 {
		r.lease.touch()
	}
	return n, err
}

// cut classes the error of a reader that ended before its range did.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrOffline, io.ErrUnexpectedEOF)
	}
	return err
}
