package embedded

import (
	"context"
	"net"
	"sync"
)

// A pipe is a listener whose connections never leave the process: each dial makes a
// net.Pipe and hands one end to Accept.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	tap    func(net.Conn) net.Conn // may be nil
}

func newPipe(tap func(net.Conn) net.Conn) *pipe {
	return &pipe{conns: make(chan net.Conn), closed: make(chan struct{}), tap: tap}
}

// dial returns the client's end. Its errors are those of a dial, so that the client of a
// closed vault knows that nothing was sent.
func (p *pipe) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	if p.tap != nil {
		ours = p.tap(ours)
	}
	var err error
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		err = net.ErrClosed
	case <-ctx.Done():
		err = ctx.Err()
	}
	ours.Close()
	theirs.Close()
	return nil, &net.OpError{Op: "dial", Net: "pipe", Addr: address{}, Err: err}
}

// Accept returns the server's end of the next connection.
func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and dial.
func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr returns the one address of all pipes.
func (p *pipe) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "pipe" }
func (address) String() string  { return "embedded vault" }
