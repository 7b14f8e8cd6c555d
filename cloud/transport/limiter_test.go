package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// drain takes what comes on the connections of l, and notes when.
type drain struct {
	mu   sync.Mutex
	got  int64         // guarded by mu
	last time.Time     // guarded by mu
	gap  time.Duration // guarded by mu; the longest silence
}

func (d *drain) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.last.IsZero() {
		d.gap = max(d.gap, time.Since(d.last))
	}
	d.last = time.Now()
	d.got += int64(len(p))
	return len(p), nil
}

func (d *drain) total() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.got
}

func (d *drain) longest() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gap
}

// sink accepts connections and drains them, each into its own.
func sink(l net.Listener, drains ...*drain) {
	go func() {
		for _, d := range drains {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(d, c) }()
		}
	}()
}

// flood accepts connections and fills them.
func flood(l net.Listener) {
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, zeros{}) }()
		}
	}()
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func mustDial(t *testing.T, l *Line, address string) net.Conn {
	t.Helper()
	c, err := l.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// near requires got to be within a tenth of want.
func near(t *testing.T, what string, got, want int64) {
	t.Helper()
	if got < want*9/10 || got > want*11/10 {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

func TestUpIsLimitedAndSmooth(t *testing.T) {
	for _, limit := range []int64{minLimit, 10_000, 50_000, 1_000_000, 20_000_000} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			server, d := w.pipe(t, "a.test:22"), &drain{}
			sink(server, d)
			l := w.line(t, Settings{Up: limit}, nil)
			c := mustDial(t, l, "a.test:22")
			go func() { _, _ = io.Copy(c, zeros{}) }()
			time.Sleep(10 * time.Second)
			near(t, "bytes in ten seconds", d.total(), 10*limit)
			if d.longest() > 200*time.Millisecond {
				t.Errorf("at %d bytes a second, silent for %v", limit, d.longest())
			}
			c.Close()
			synctest.Wait()
		})
	}
}

func TestDownIsLimitedAndSmooth(t *testing.T) {
	for _, limit := range []int64{minLimit, 50_000, 1_000_000, 20_000_000} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			server, d := w.pipe(t, "a.test:22"), &drain{}
			flood(server)
			l := w.line(t, Settings{Down: limit}, nil)
			c := mustDial(t, l, "a.test:22")
			go func() { _, _ = io.Copy(d, c) }()
			time.Sleep(10 * time.Second)
			near(t, "bytes in ten seconds", d.total(), 10*limit)
			if d.longest() > 200*time.Millisecond {
				t.Errorf("at %d bytes a second, silent for %v", limit, d.longest())
			}
			c.Close()
			synctest.Wait()
		})
	}
}

func TestConnectionsShareAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		server := w.pipe(t, "a.test:22")
		drains := []*drain{{}, {}, {}}
		sink(server, drains...)
		l := w.line(t, Settings{Up: 90_000}, nil)
		for _, size := range []int{1 << 20, 64 << 10, 20_000} { // who asks for more gets no more
			c := mustDial(t, l, "a.test:22")
			defer c.Close()
			go func() {
				for err := error(nil); err == nil; {
					_, err = c.Write(make([]byte, size))
				}
			}()
		}
		time.Sleep(20 * time.Second)
		for _, d := range drains {
			near(t, "share of a third", d.total(), 20*30_000)
		}
	})
}

// TestSmallBesideLarge: a request does not wait for the end of an upload.
func TestSmallBesideLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		server := w.pipe(t, "a.test:22")
		sink(server, &drain{}, &drain{})
		l := w.line(t, Settings{Up: 50_000}, nil)
		large, small := mustDial(t, l, "a.test:22"), mustDial(t, l, "a.test:22")
		defer large.Close()
		defer small.Close()
		go func() { _, _ = large.Write(make([]byte, 16<<20)) }()
		time.Sleep(5 * time.Second)
		began := time.Now()
		if _, err := small.Write(make([]byte, 300)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 250*time.Millisecond {
			t.Errorf("300 bytes took %v", took)
		}
	})
}

func TestLimitChangesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		server := w.pipe(t, "a.test:22")
		d := &drain{}
		sink(server, d)
		l := w.line(t, Settings{Up: minLimit}, nil)
		c := mustDial(t, l, "a.test:22")
		defer c.Close()
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			_, _ = c.Write(make([]byte, 10<<20))
		}()
		for _, limit := range []int64{500_000, minLimit, 50_000, 1_000_000} {
			if err := l.Set(Settings{Up: limit}); err != nil {
				t.Fatal(err)
			}
			before := d.total()
			time.Sleep(3 * time.Second)
			near(t, "bytes after a change", d.total()-before, 3*limit)
		}
		began := time.Now()
		if err := l.Set(Settings{}); err != nil {
			t.Fatal(err)
		}
		<-stop
		synctest.Wait()
		if took := time.Since(began); took != 0 || d.total() != 10<<20 {
			t.Errorf("without a limit the rest took %v, %d bytes", took, d.total())
		}
	})
}

// TestChangeWakesSleepers: many wait for a line that is nearly shut.
func TestChangeWakesSleepers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		server := w.pipe(t, "a.test:22")
		flood(server)
		l := w.line(t, Settings{Down: minLimit}, nil)
		var done sync.WaitGroup
		for range 20 {
			c := mustDial(t, l, "a.test:22")
			done.Go(func() {
				defer c.Close()
				if _, err := io.CopyN(io.Discard, c, 200_000); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		began := time.Now()
		if err := l.Set(Settings{Down: 40_000_000}); err != nil {
			t.Fatal(err)
		}
		done.Wait()
		if took := time.Since(began); took > 150*time.Millisecond {
			t.Errorf("4 MB at 40 MB a second took %v", took)
		}
	})
}

func TestDeadlinesEndTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		server := w.pipe(t, "a.test:22")
		echo(t, server)
		l := w.line(t, Settings{Up: minLimit, Down: minLimit}, nil)
		c := mustDial(t, l, "a.test:22")
		defer c.Close()
		began := time.Now()
		if err := c.SetWriteDeadline(began.Add(2 * time.Second)); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, c) }()
		n, err := c.Write(make([]byte, 1<<20))
		wantIs(t, "write past its deadline", err, os.ErrDeadlineExceeded)
		var network net.Error
		if !errors.As(err, &network) || !network.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
		if took := time.Since(began); took != 2*time.Second || n == 0 || n > 3*minLimit {
			t.Errorf("%d bytes in %v", n, took)
		}
		// A deadline that is moved is another one, for those who wait as well.
		if err := c.SetWriteDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { _ = c.SetDeadline(time.Now().Add(-time.Second)) })
		began = time.Now()
		_, err = c.Write(make([]byte, 1<<20))
		wantIs(t, "write whose deadline is moved into the past", err, os.ErrDeadlineExceeded)
		if took := time.Since(began); took != time.Second {
			t.Errorf("noticed after %v", took)
		}
	})
}

// TestNothingIsLostByADeadline: bytes that have come are there after it.
func TestNothingIsLostByADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		server := w.pipe(t, "a.test:22")
		want := make([]byte, 30_000)
		for i := range want {
			want[i] = byte(i * i / 251)
		}
		go func() {
			c, err := server.Accept()
			if err == nil {
				_, _ = c.Write(want)
				c.Close()
			}
		}()
		l := w.line(t, Settings{Down: minLimit}, nil)
		c := mustDial(t, l, "a.test:22")
		defer c.Close()
		var got []byte
		late := 0
		for p := make([]byte, 10_000); ; {
			_ = c.SetReadDeadline(time.Now().Add(30 * time.Millisecond)) // a pipe that ended refuses, with bytes to come
			n, err := c.Read(p)
			got = append(got, p[:n]...)
			if errors.Is(err, io.EOF) {
				break
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				late++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) || late < 10 {
			t.Errorf("%d of %d bytes, right %v, after %d deadlines", len(got), len(want), bytes.Equal(got, want), late)
		}
	})
}

func TestCloseEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		server := w.pipe(t, "a.test:22")
		flood(server)
		sinkless := w.pipe(t, "b.test:22")
		sink(sinkless, &drain{})
		l := w.line(t, Settings{Up: minLimit, Down: minLimit}, nil)
		up, down := mustDial(t, l, "b.test:22"), mustDial(t, l, "a.test:22")
		results := make(chan error, 2)
		go func() {
			_, err := up.Write(make([]byte, 1<<20))
			results <- err
		}()
		go func() {
			_, err := io.Copy(io.Discard, down)
			results <- err
		}()
		time.Sleep(time.Second)
		began := time.Now()
		for _, c := range []net.Conn{up, down} {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			wantIs(t, "use of a closed connection", <-results, net.ErrClosed)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("noticed after %v", took)
		}
		wantIs(t, "close again", up.Close(), net.ErrClosed)
		if len(l.conns) != 0 {
			t.Errorf("%d connections are remembered", len(l.conns))
		}
	})
}

// TestShortConnectionsAreFair: who reads a little and closes pays for that, and for
// no more.
func TestShortConnectionsAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		server := w.pipe(t, "a.test:22")
		flood(server)
		l := w.line(t, Settings{Down: 50_000}, nil)
		began, got := time.Now(), int64(0)
		for time.Since(began) < 10*time.Second {
			c := mustDial(t, l, "a.test:22")
			for range 2 {
				n, err := c.Read(make([]byte, 4000))
				if err != nil {
					t.Fatal(err)
				}
				got += int64(n)
			}
			c.Close()
		}
		near(t, "bytes of many connections", got, 500_000)
	})
}

// TestOneLimitForAllProtocols: HTTP/1, HTTP/2 and a raw connection together get
// what one limit gives, and about a third each. In real time: HTTP/2 holds locks
// while it writes, and a bubble's clock stands still while somebody waits for a
// lock. A busy computer is slower than the limit; faster it must never be.
func TestOneLimitForAllProtocols(t *testing.T) {
	const limit, each = 400_000, 200_000
	w, ca := newWorld(), newAuthority(t)
	var one, two, raw drain
	take := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		d := &one
		if r.ProtoMajor == 2 {
			d = &two
		}
		_, _ = io.Copy(d, r.Body)
	})
	serve(t, w.listen(t, "one.test:80"), take)
	serve(t, w.listen(t, "two.test:443"), take, ca.good(t, "two.test"))
	sink(w.listen(t, "raw.test:22"), &raw)
	l := w.line(t, Settings{Up: limit, CAs: ca.pem()}, nil)
	c := mustDial(t, l, "raw.test:22")
	defer c.Close()

	began := time.Now()
	finished := make(chan error, 3)
	for _, url := range []string{"http://one.test/", "https://two.test/"} {
		rt := l.HTTP(TLS{})
		defer rt.(*roundTripper).CloseIdleConnections()
		go func() { finished <- putZeros(t, rt, url, each, nil) }()
	}
	go func() {
		_, err := c.Write(make([]byte, each))
		finished <- err
	}()
	for i := range 3 {
		if err := <-finished; err != nil {
			t.Fatal(err)
		}
		if i == 0 && min(one.total(), two.total(), raw.total()) < each/2 {
			t.Errorf("one had sent all when the others had sent %d, %d, %d", one.total(), two.total(), raw.total())
		}
	}
	if took := time.Since(began); took < 3*each*time.Second/limit*9/10 {
		t.Errorf("%d bytes took %v", 3*each, took)
	}
	if one.total() != each || two.total() != each {
		t.Errorf("%d and %d bytes arrived: was it HTTP/2?", one.total(), two.total())
	}
}

// TestDownOfHTTP is the same for answers.
func TestDownOfHTTP(t *testing.T) {
	const limit, each = 400_000, 200_000
	w, ca := newWorld(), newAuthority(t)
	give := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.CopyN(w, zeros{}, each) })
	serve(t, w.listen(t, "one.test:80"), give)
	serve(t, w.listen(t, "two.test:443"), give, ca.good(t, "two.test"))
	l := w.line(t, Settings{Down: limit, CAs: ca.pem()}, nil)
	began := time.Now()
	finished := make(chan int, 2)
	for _, url := range []string{"http://one.test/", "https://two.test/"} {
		rt := l.HTTP(TLS{})
		defer rt.(*roundTripper).CloseIdleConnections()
		go func() {
			_, body, err := get(t, rt, url)
			if err != nil {
				t.Error(err)
			}
			finished <- len(body)
		}()
	}
	if a, b := <-finished, <-finished; a != each || b != each {
		t.Errorf("%d and %d bytes", a, b)
	}
	if took := time.Since(began); took < 2*each*time.Second/limit*9/10 {
		t.Errorf("%d bytes took %v", 2*each, took)
	}
}

// start serves plain HTTP on pipes, within a bubble.
func start(t *testing.T, l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ErrorLog: quiet()}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
}

// TestSlowIsNotStalled: the Store counts a request as dead when no byte of its
// source moved for a minute. Three uploads over the slowest line.
func TestSlowIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		start(t, w.pipe(t, "one.test:80"), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		}))
		l := w.line(t, Settings{Up: minLimit}, nil)
		rt := l.HTTP(TLS{})
		defer rt.(*roundTripper).CloseIdleConnections()
		began := time.Now()
		var done sync.WaitGroup
		for range 3 {
			done.Go(func() {
				body := &drain{}
				if err := putZeros(t, rt, "http://one.test/", 1<<20, body); err != nil {
					t.Error(err)
				}
				_, _ = body.Write(nil) // from the last byte read to the answer
				if body.longest() > 30*time.Second {
					t.Errorf("the source was not read for %v", body.longest())
				}
			})
		}
		done.Wait()
		near(t, "seconds", int64(time.Since(began)/time.Second), 3*(1<<20)/minLimit)
	})
}

// TestBodiesAreReadInPieces is what keeps HTTP/2 from the same: it would take
// half a megabyte at once.
func TestBodiesAreReadInPieces(t *testing.T) {
	w, ca := newWorld(), newAuthority(t)
	serve(t, w.listen(t, "two.test:443"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Got", r.Proto)
		if n != 2<<20 {
			w.WriteHeader(http.StatusBadRequest)
		}
	}), ca.good(t, "two.test"))
	l := w.line(t, Settings{CAs: ca.pem()}, nil)
	rt := l.HTTP(TLS{})
	defer rt.(*roundTripper).CloseIdleConnections()
	for _, c := range []struct {
		limit   int64
		largest int
	}{{0, freePiece}, {400 << 20, maxPiece}, {20 << 20, maxPiece}} {
		if err := l.Set(Settings{Up: c.limit, CAs: ca.pem()}); err != nil {
			t.Fatal(err)
		}
		var sizes sizes
		if err := putZeros(t, rt, "https://two.test/", 2<<20, &sizes); err != nil {
			t.Fatal(err)
		}
		if got := slices.Max(sizes); got > c.largest {
			t.Errorf("limit %d: %d bytes were read at once", c.limit, got)
		}
	}
}

// sizes of what is written.
type sizes []int

func (s *sizes) Write(p []byte) (int, error) {
	*s = append(*s, len(p))
	return len(p), nil
}

// putZeros sends n bytes, and writes to watch what is read of them.
func putZeros(t *testing.T, rt http.RoundTripper, url string, n int64, watch io.Writer) error {
	body := io.LimitReader(zeros{}, n)
	if watch != nil {
		body = io.TeeReader(body, watch)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, io.NopCloser(body))
	if err != nil {
		return err
	}
	req.ContentLength = n
	res, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		return errors.Join(err, errors.New(res.Status))
	}
	return nil
}
