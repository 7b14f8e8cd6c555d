package transport

import (
	"net"
	"sync"
	"time"
)

// A conn is a connection that keeps the limits of its line. It pays before bytes
// move: a read that paid afterwards would hold bytes that a deadline in between
// could lose.
type conn struct {
	net.Conn
	line *Line

	closing   sync.Once
	closed    chan struct{}
	readLate  deadline
	writeLate deadline

	reading sync.Mutex // held by a Read
	down    allowance  // guarded by reading
	writing sync.Mutex // held by a Write
	up      allowance  // guarded by writing
}

func newConn(inner net.Conn, line *Line) *conn {
	c := &conn{
		Conn: inner, line: line, closed: make(chan struct{}),
		down: allowance{bucket: line.down}, up: allowance{bucket: line.up},
	}
	c.readLate.reset()
	c.writeLate.reset()
	return c
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	size, err := c.down.next(len(p), halt{c.closed, c.readLate.passed()})
	if err != nil {
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	}
	n, err := c.Conn.Read(p[:size])
	c.down.used(n)
	return n, err
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for done := 0; ; {
		size, err := c.up.next(len(p)-done, halt{c.closed, c.writeLate.passed()})
		if err != nil {
			return done, &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
		}
		n, err := c.Conn.Write(p[done : done+size])
		c.up.used(n)
		done += n
		if err != nil || done >= len(p) {
			return done, err
		}
	}
}

// Close implements [net.Conn]. It ends waits as well.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		close(c.closed)
		c.line.leave(c)
		c.readLate.stop()
		c.writeLate.stop()
		err = c.Conn.Close() // and with it the reads and writes under way
		c.settle(&c.reading, &c.down)
		c.settle(&c.writing, &c.up)
	})
	return err
}

// settle gives back what is left of an allowance, if nobody is using it still.
func (c *conn) settle(mu *sync.Mutex, a *allowance) {
	if !mu.TryLock() {
		return // a read that ends just now: not worth waiting for
	}
	defer mu.Unlock()
	a.bucket.giveBack(a.left)
	a.left = 0
}

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	c.readLate.set(t)
	c.writeLate.set(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error {
	c.readLate.set(t)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writeLate.set(t)
	return c.Conn.SetWriteDeadline(t)
}

// fit gives the connection a receive buffer that suits the limit of downloads.
// What the kernel has received stands before every later answer; with the 6 MB
// that Linux goes up to, a listing would wait two minutes at 50 kB/s.
func (c *conn) fit(limit int64) {
	tcp, ok := c.Conn.(interface{ SetReadBuffer(bytes int) error })
	if !ok || limit <= 0 {
		return
	}
	// Of no consequence if refused. Smaller than 64 KiB is less than one packet
	// of loopback, and stalls.
	_ = tcp.SetReadBuffer(int(min(max(limit, 64<<10), 4<<20)))
}

// A deadline is a moment that can be moved, as of [net.Conn].
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer   // guarded by mu; nil: none runs
	late  chan struct{} // guarded by mu; closed when the moment has passed
	over  bool          // guarded by mu; late is closed
}

// reset makes the zero value usable.
func (d *deadline) reset() { d.late = make(chan struct{}) }

// passed is closed when the moment that is set now has passed.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.late
}

// set moves the moment. Zero: never. Who waits already is told as well.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.over && (t.IsZero() || time.Until(t) > 0) {
		d.late, d.over = make(chan struct{}), false
	}
	if t.IsZero() {
		return
	}
	if left := time.Until(t); left > 0 {
		var own *time.Timer
		own = time.AfterFunc(left, func() { d.expire(&own) })
		d.timer = own
		return
	}
	d.close()
}

// expire is called by a timer, perhaps one that set was too late to stop.
func (d *deadline) expire(own **time.Timer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer == *own {
		d.close()
	}
}

// close marks the moment as passed. The caller holds mu.
func (d *deadline) close() {
	if !d.over {
		close(d.late)
		d.over = true
	}
}

// stop lets a timer go.
func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
