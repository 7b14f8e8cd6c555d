// Package line is Google Drive at the end of a line that is modelled, for measuring: so
// many bytes a second each way, over all connections together, and a time for each file
// that is made. scripts/bench_places.sh builds it as a test, because the stand-in for
// Drive is one, and starts it as a process of its own, so that what is measured does not
// share its runtime.
//
//	COFFER_LINE=DIR line.test -test.run Serve -test.timeout 0
//
// writes DIR/client.json, DIR/token and, when it listens, DIR/url. GET URL/line/counts
// tells what was asked for since GET URL/line/reset.
package line

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"coffer/cloud/drive/drivetest"
)

const (
	rate   = 5 << 20 // bytes a second, each way
	piece  = 16 << 10
	making = 450 * time.Millisecond // for each file that is made
)

// A bucket lets bytes through at the rate, over all connections.
type bucket struct {
	mu   sync.Mutex
	free time.Time // guarded by mu; when the line is free again
}

// pass returns when n bytes have passed.
func (b *bucket) pass(n int) {
	b.mu.Lock()
	now := time.Now()
	if b.free.Before(now) {
		b.free = now
	}
	b.free = b.free.Add(time.Duration(n) * time.Second / rate)
	wait := b.free.Sub(now)
	b.mu.Unlock()
	<-time.After(wait)
}

// A slowConn is a connection of the line.
type slowConn struct {
	net.Conn
	up, down *bucket
}

func (c slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), piece)])
	if n > 0 {
		c.up.pass(n)
	}
	return n, err
}

func (c slowConn) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		part := p[sent:min(len(p), sent+piece)]
		c.down.pass(len(part))
		n, err := c.Conn.Write(part)
		if sent += n; err != nil {
			return sent, err
		}
	}
	return sent, nil
}

type slowListener struct {
	net.Listener
	up, down *bucket
}

func (l slowListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return slowConn{conn, l.up, l.down}, nil
}

// Counts are what was asked of the Drive.
type counts struct {
	Calls    int   `json:"calls"`
	Lists    int   `json:"lists"`
	Units    int   `json:"units"`    // of Google's quota
	Received int64 `json:"received"` // bytes of chunks
	Stored   int64 `json:"stored"`   // bytes of the files that were sent in chunks
}

func count(f *drivetest.Fake) counts {
	c := counts{Units: f.Units()}
	for op, n := range f.Counts() {
		c.Calls += n
		if op == drivetest.List {
			c.Lists += n
		}
	}
	c.Received, _ = f.Resent()
	for _, x := range f.Files() {
		if x.Size > 256<<10 {
			c.Stored += x.Size
		}
	}
	return c
}

func (c counts) since(o counts) counts {
	return counts{c.Calls - o.Calls, c.Lists - o.Lists, c.Units - o.Units, c.Received - o.Received, c.Stored - o.Stored}
}

func TestServe(t *testing.T) {
	dir := os.Getenv("COFFER_LINE")
	if dir == "" {
		t.Skip("COFFER_LINE is not set: scripts/bench_places.sh starts it")
	}
	f := drivetest.New(t)
	f.Before = func(op drivetest.Op, _ int) {
		switch op {
		case drivetest.Create, drivetest.Small, drivetest.Session:
			<-time.After(making)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + l.Addr().String()
	// The file with the address is last: it says that the others are there.
	for _, file := range []struct{ name, text string }{
		{"client.json", string(f.ClientJSON(base))}, {"token", f.SignedIn(drivetest.Alice())}, {"url", base},
	} {
		temporary := filepath.Join(dir, file.name+".new")
		if err := os.WriteFile(temporary, []byte(file.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, filepath.Join(dir, file.name)); err != nil {
			t.Fatal(err)
		}
	}
	var zero counts // changed by one request at a time
	mux := http.NewServeMux()
	mux.Handle("/", f)
	mux.HandleFunc("/line/reset", func(http.ResponseWriter, *http.Request) { zero = count(f) })
	mux.HandleFunc("/line/counts", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(count(f).since(zero)) })
	t.Fatal(http.Serve(slowListener{l, &bucket{}, &bucket{}}, mux)) // no timeouts: a server of one bench, on loopback
}
