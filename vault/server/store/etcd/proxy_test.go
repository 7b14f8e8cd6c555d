package etcd

import (
	"net"
	"net/url"
	"sync"
	"testing"
)

// A proxy stands between a store and its cluster, and breaks what passes.
type proxy struct {
	t      testing.TB
	listen net.Listener
	target string

	mu   sync.Mutex
	mute bool // answers are thrown away
	hang bool // nothing passes, in neither direction
	// links are the connections that are open now, both ends of each.
	links map[net.Conn]net.Conn
	work  sync.WaitGroup
}

func startProxy(t testing.TB, endpoint string) *proxy {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listen: l, target: u.Host, links: map[net.Conn]net.Conn{}}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.reset()
		p.work.Wait()
	})
	return p
}

func (p *proxy) endpoint() string { return "http://" + p.listen.Addr().String() }

func (p *proxy) accept() {
	for {
		near, err := p.listen.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.links[near] = far
		p.mu.Unlock()
		p.work.Go(func() { p.pass(far, near, func() bool { return p.hang }) })
		p.work.Go(func() { p.pass(near, far, func() bool { return p.mute || p.hang }) })
	}
}

// pass copies until an end is closed; what swallow says, asked under mu, is lost.
func (p *proxy) pass(to, from net.Conn, swallow func() bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		lost := swallow()
		p.mu.Unlock()
		if n > 0 && !lost {
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}

// set says what is lost from now on. A connection that has lost something is of no use
// any more: reset ends it.
func (p *proxy) set(mute, hang bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute, p.hang = mute, hang
}

// reset breaks all connections, the hard way.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for near, far := range p.links {
		for _, c := range []net.Conn{near, far} {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
		delete(p.links, near)
	}
}

// heal lets everything pass again, over new connections.
func (p *proxy) heal() {
	p.set(false, false)
	p.reset()
}
