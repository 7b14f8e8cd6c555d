package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"coffer/cloud"
)

func mustLogin() *url.Userinfo { return url.UserPassword(user, password) }

// serve1 is serve without HTTP/2, as proxies are.
func serve1(t *testing.T, l net.Listener, h http.Handler, cert tls.Certificate) {
	t.Helper()
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h, ErrorLog: quiet()}}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
}

// wantFinal requires that a Store does not try again.
func wantFinal(t *testing.T, err error) {
	t.Helper()
	d := &failing{err: err}
	s := cloud.New(d, cloud.Options{Budget: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.again = cancel
	if _, got := s.Get(ctx, "README.txt"); !errors.Is(got, cloud.ErrOffline) && !errors.Is(got, cloud.ErrIdentity) || d.calls != 1 {
		t.Errorf("%d requests, %v", d.calls, got)
	}
}

// failing is a driver that only fails.
type failing struct {
	cloud.Driver
	err   error
	calls int
	again func()
}

func (f *failing) Get(context.Context, string, int64, int64) (io.ReadCloser, error) {
	if f.calls++; f.calls > 1 {
		f.again()
	}
	return nil, f.err
}

func TestCertificates(t *testing.T) {
	w, ca := newWorld(), newAuthority(t)
	now := time.Now()
	certs := map[string]tls.Certificate{
		"good":    ca.good(t, "good.test"),
		"expired": ca.issue(t, "expired.test", now.Add(-50*time.Minute), now.Add(-10*time.Minute)),
		"early":   ca.issue(t, "early.test", now.Add(30*time.Hour), now.Add(40*time.Hour)),
		"name":    ca.good(t, "another.test"),
		"unknown": newAuthority(t).good(t, "unknown.test"),
		"self":    (*authority)(nil).issue(t, "self.test", now.Add(-time.Hour), now.Add(time.Hour)),
		"old":     (*authority)(nil).issue(t, "else.test", now.Add(-2*time.Hour), now.Add(-time.Hour)), // a NAS that nobody cares for
	}
	for name, cert := range certs {
		serve(t, w.listen(t, name+".test:443"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "in") }), cert)
	}
	pin := func(name string) string { return Pin(certs[name].Leaf) }
	stranger := Pin(newAuthority(t).cert)
	date := func(name string) string { return certs[name].Leaf.NotAfter.UTC().Format("2006-01-02") }
	for _, c := range []struct {
		name   string
		pins   []string
		reason string // "": it is let in
	}{
		{"good", nil, ""},
		{"expired", nil, "expired on " + date("expired")},
		{"early", nil, "not valid before " + certs["early"].Leaf.NotBefore.UTC().Format("2006-01-02")},
		{"name", nil, "for another name"},
		{"unknown", nil, "not signed by anybody this computer trusts"},
		{"self", nil, "not signed by anybody this computer trusts"},
		{"old", nil, "expired on " + date("old")},

		{"good", []string{pin("good")}, ""},
		{"good", []string{stranger, pin("good")}, ""},
		{"good", []string{Pin(ca.cert)}, ""},
		{"good", []string{stranger}, "another key than the one that is known"},
		{"self", []string{pin("self")}, ""},
		{"old", []string{pin("old")}, ""},
		{"self", []string{stranger}, "another key than the one that is known"},
		// A pin comes on top of what else is asked of a certificate that somebody signed.
		{"expired", []string{pin("expired")}, "expired on " + date("expired")},
		{"name", []string{pin("name")}, "for another name"},
		{"unknown", []string{pin("unknown")}, "not signed by anybody this computer trusts"},
	} {
		l := w.line(t, Settings{CAs: ca.pem()}, nil)
		rt := l.HTTP(TLS{Pins: c.pins})
		_, body, err := get(t, rt, "https://"+c.name+".test/")
		rt.(*roundTripper).CloseIdleConnections()
		if c.reason == "" {
			if err != nil || string(body) != "in" {
				t.Errorf("%s: %q, %v", c.name, body, err)
			}
			continue
		}
		wantIs(t, c.name, err, cloud.ErrIdentity)
		wantFinal(t, err)
		var who *cloud.IdentityError
		if !errors.As(err, &who) || who.Kind != cloud.Certificate || who.Host != c.name+".test" ||
			who.Offered != pin(c.name) || who.Reason != c.reason || who.Known != strings.Join(c.pins, " ") {
			t.Errorf("%s with %v: %#v", c.name, c.pins, who)
		}
	}
}

// TestForeignChain: a server may send any certificate along; only the chain that
// was verified counts.
func TestForeignChain(t *testing.T) {
	w, ca, other := newWorld(), newAuthority(t), newAuthority(t)
	cert := ca.good(t, "good.test")
	cert.Certificate = append(cert.Certificate, other.cert.Raw)
	serve(t, w.listen(t, "good.test:443"), http.NotFoundHandler(), cert)
	l := w.line(t, Settings{CAs: ca.pem()}, nil)
	_, _, err := get(t, l.HTTP(TLS{Pins: []string{Pin(other.cert)}}), "https://good.test/")
	wantIs(t, "a pin of somebody else's certificate", err, cloud.ErrIdentity)
}

// TestPinsAreNotTheProxys: the pins of a server are not asked of the proxy.
func TestPinsAreNotTheProxys(t *testing.T) {
	w := newTown(t)
	cert := w.ca.good(t, "pinned.test")
	serve(t, w.listen(t, "pinned.test:443"), http.NotFoundHandler(), cert)
	l := w.line(t, Settings{Proxy: "https://" + login + "tlsproxy.test", CAs: w.ca.pem()}, nil)
	rt := l.HTTP(TLS{Pins: []string{Pin(cert.Leaf)}})
	for _, url := range []string{"https://pinned.test/", "http://plain.test/"} {
		if _, _, err := get(t, rt, url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	_, _, err := get(t, rt, "https://sealed.test/")
	wantIs(t, "another server with these pins", err, cloud.ErrIdentity)
	rt.(*roundTripper).CloseIdleConnections()
}

func TestCertificatesChangeUnderWay(t *testing.T) {
	w, ca := newWorld(), newAuthority(t)
	serve(t, w.listen(t, "good.test:443"), http.NotFoundHandler(), ca.good(t, "good.test"))
	l := w.line(t, Settings{}, nil)
	rt := l.HTTP(TLS{})
	for _, known := range []bool{false, true, false} {
		s := Settings{}
		if known {
			s.CAs = ca.pem()
		}
		if err := l.Set(s); err != nil {
			t.Fatal(err)
		}
		_, _, err := get(t, rt, "https://good.test/")
		if errors.Is(err, cloud.ErrIdentity) == known || err == nil != known {
			t.Errorf("known %v: %v", known, err)
		}
		rt.(*roundTripper).CloseIdleConnections()
	}
}

// TestRealLine goes without a world: real sockets, the server of package
// httptest, HTTP/2.
func TestRealLine(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	defer s.Close()
	l, err := New(Settings{Up: 1 << 20, Down: 1 << 20, Proxy: "http://127.0.0.1:1"}, nil) // a proxy that loopback does not need
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = get(t, l.HTTP(TLS{}), s.URL)
	wantIs(t, "a server that nobody vouches for", err, cloud.ErrIdentity)
	rt := l.HTTP(TLS{Pins: []string{Pin(s.Certificate())}}) // which signed itself
	if _, body, err := get(t, rt, s.URL); err != nil || string(body) != "HTTP/2.0" {
		t.Errorf("with its pin: %q, %v", body, err)
	}
	rt.(*roundTripper).CloseIdleConnections()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := l.Set(Settings{CAs: authority}); err != nil {
		t.Fatal(err)
	}
	rt = l.HTTP(TLS{})
	if _, body, err := get(t, rt, s.URL); err != nil || string(body) != "HTTP/2.0" {
		t.Errorf("as an authority: %q, %v", body, err)
	}
	rt.(*roundTripper).CloseIdleConnections()
}

func TestHungHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		sink(w.pipe(t, "hung.test:443"), &drain{}, &drain{})
		l := w.line(t, Settings{}, nil)
		rt := l.HTTP(TLS{})
		began := time.Now()
		_, _, err := get(t, rt, "https://hung.test/")
		wantIs(t, "hung handshake", err, cloud.ErrOffline)
		if took := time.Since(began); took != handshakeTimeout {
			t.Errorf("given up after %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://hung.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = rt.RoundTrip(req)
		wantIs(t, "handshake whose request is over", err, context.DeadlineExceeded)
		time.Sleep(time.Minute) // net/http goes on for the next request
	})
}

func TestHungDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set("hung.test:443", func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		l := w.line(t, Settings{}, nil)
		began := time.Now()
		_, _, err := get(t, l.HTTP(TLS{}), "https://hung.test/")
		wantIs(t, "hung dial", err, cloud.ErrOffline)
		if took := time.Since(began); took != dialTimeout {
			t.Errorf("given up after %v", took)
		}
	})
}

// TestTroubleHasAClass: what goes wrong once there is a connection.
func TestTroubleHasAClass(t *testing.T) {
	w, ca := newWorld(), newAuthority(t)
	abrupt := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(make([]byte, 10))
			w.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	})
	serve(t, w.listen(t, "one.test:80"), abrupt)
	serve(t, w.listen(t, "two.test:443"), abrupt, ca.good(t, "two.test"))
	plain := w.listen(t, "plain.test:443")
	serve(t, plain, http.NotFoundHandler())
	odd := w.listen(t, "odd.test:80")
	go func() {
		for {
			c, err := odd.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "SSH-2.0-x\r\n")
			c.Close()
		}
	}()
	old := w.listen(t, "old.test:443")
	s := &httptest.Server{Listener: old, Config: &http.Server{Handler: http.NotFoundHandler(), ErrorLog: quiet()}}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.good(t, "old.test")}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	s.StartTLS()
	t.Cleanup(s.Close)
	w.set("shut.test:80", func(context.Context) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	})
	l := w.line(t, Settings{CAs: ca.pem()}, nil)
	for _, url := range []string{
		"http://one.test/", "https://two.test/", "http://one.test/body", "https://two.test/body", "https://plain.test/", "http://odd.test/",
		"http://shut.test/", "http://nowhere.test/", "https://old.test/",
	} {
		_, _, err := get(t, l.HTTP(TLS{}), url)
		wantIs(t, url, err, cloud.ErrOffline)
		if strings.HasPrefix(url, "https://plain") {
			wantFinal(t, err)
		}
	}
}

// TestCallersErrorsStay: what the caller's context or source says is not turned
// into a network's trouble.
func TestCallersErrorsStay(t *testing.T) {
	w := newWorld()
	serve(t, w.listen(t, "one.test:80"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = w.Write(make([]byte, 100))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	l := w.line(t, Settings{}, nil)
	rt := l.HTTP(TLS{})
	broken := errors.New("broken source")
	body := io.MultiReader(strings.NewReader(strings.Repeat("x", 1000)), errorReader{broken})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://one.test/", body)
	if err != nil {
		t.Fatal(err)
	}
	_, err = rt.RoundTrip(req)
	wantIs(t, "broken source", err, broken)
	if errors.Is(err, cloud.ErrOffline) {
		t.Errorf("%v: the network is not to blame", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err = http.NewRequestWithContext(ctx, http.MethodGet, "http://one.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.Request != req {
		t.Error("the answer is another request's")
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = io.ReadAll(res.Body)
	wantIs(t, "cancelled body", err, context.Canceled)
	res.Body.Close()
	_, err = res.Body.Read(make([]byte, 1))
	if errors.Is(err, cloud.ErrOffline) {
		t.Errorf("read of a closed body: %v", err)
	}
	_, err = rt.RoundTrip(req)
	wantIs(t, "cancelled request", err, context.Canceled)
	bad := l.HTTP(TLS{Pins: []string{"sha256/x"}})
	_, _, err = get(t, bad, "http://one.test/")
	wantIs(t, "pins that are none", err, ErrBadPin)
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// TestRewind: a connection that died in the pool costs no request: net/http sends
// it again, body and all.
func TestRewind(t *testing.T) {
	w := newWorld()
	var got []string
	serve(t, w.listen(t, "one.test:80"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, string(body))
	}))
	l := w.line(t, Settings{}, nil)
	rt := l.HTTP(TLS{})
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://one.test/", strings.NewReader("all of it"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		l.mu.Lock()
		for c := range l.conns { // the server goes, too
			_ = c.Conn.(*net.TCPConn).CloseWrite()
		}
		l.mu.Unlock()
	}
	if len(got) != 2 || got[1] != "all of it" {
		t.Errorf("arrived: %q", got)
	}
}

func TestClassify(t *testing.T) {
	for _, err := range []error{
		io.ErrUnexpectedEOF, os.ErrDeadlineExceeded, net.ErrClosed, syscall.ECONNRESET, &net.DNSError{Err: "x"},
		&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, fmt.Errorf("wrapped: %w", syscall.EPIPE), tls.AlertError(40),
	} {
		wantIs(t, err.Error(), Classify(err), cloud.ErrOffline, err)
	}
	for _, err := range []error{nil, context.Canceled, context.DeadlineExceeded, errors.New("something"), cloud.ErrNotFound, cloud.ErrOffline} {
		if got := Classify(err); !errors.Is(got, err) || errors.Is(got, cloud.ErrOffline) != errors.Is(err, cloud.ErrOffline) {
			t.Errorf("%v became %v", err, got)
		}
	}
	ca := newAuthority(t)
	leaf := ca.good(t, "a.test").Leaf
	_, err := leaf.Verify(x509.VerifyOptions{Roots: x509.NewCertPool()})
	wantIs(t, "foreign refusal", Classify(err), cloud.ErrIdentity)
	var who *cloud.IdentityError
	err = Classify(leaf.VerifyHostname("b.test"))
	if !errors.As(err, &who) || who.Host != "b.test" || who.Reason != "for another name" || who.Offered != Pin(leaf) {
		t.Errorf("%#v", who)
	}
}

func TestCheck(t *testing.T) {
	ca := newAuthority(t)
	for _, s := range []Settings{{}, {Up: minLimit, Down: 1 << 40}, {Proxy: direct}, {Proxy: "socks5://h"}, {CAs: ca.pem()}, {CAs: append(ca.pem(), ca.pem()...)}} {
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("Gh3im")})
	for _, c := range []struct {
		settings Settings
		want     error
	}{
		{Settings{Up: -1}, ErrBadLimit},
		{Settings{Down: minLimit - 1}, ErrBadLimit},
		{Settings{Proxy: "http://u:Gh3im@"}, ErrBadProxy},
		{Settings{CAs: []byte(" \n")}, ErrBadCAs},
		{Settings{CAs: []byte("x")}, ErrBadCAs},
		{Settings{CAs: append(ca.pem(), "x"...)}, ErrBadCAs},
		{Settings{CAs: key}, ErrBadCAs},
		{Settings{CAs: append(ca.pem(), key...)}, ErrBadCAs},
		{Settings{CAs: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: ca.cert.Raw})}, ErrBadCAs},
		{Settings{CAs: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw[1:]})}, ErrBadCAs},
		{Settings{CAs: make([]byte, maxCAs+1)}, ErrBadCAs},
	} {
		wantIs(t, "check", c.settings.Check(), c.want)
		noSecret(t, c.settings.Check())
		_, err := New(c.settings, nil)
		wantIs(t, "new", err, c.want)
	}
	good := Pin(ca.cert)
	for _, pin := range []string{"", good[1:], good[:len(good)-1], good + "=", strings.ToUpper(good), "sha256/" + "AAAA", good + "\n", "sha1/" + good[7:]} {
		wantIs(t, "pin "+pin, TLS{Pins: []string{pin}}.Check(), ErrBadPin)
	}
	if err := (TLS{Pins: []string{good, good}}).Check(); err != nil {
		t.Error(err)
	}
}

// TestPasswordsDoNotPrint: nor do they through what holds them.
func TestPasswordsDoNotPrint(t *testing.T) {
	s := Settings{Proxy: "http://ann:Gh3im@proxy.test:1"}
	l, err := New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{s, &s, l.now.Load(), *l.now.Load(), l.now.Load().raw, *l.now.Load().raw, l.now.Load().routes} {
		noSecret(t, v)
	}
	noSecret(t, Settings{Proxy: "http://ann:Gh3im@bad host"})
	var text strings.Builder
	slog.New(slog.NewJSONHandler(&text, nil)).Info("settings", "line", s, "routes", l.now.Load().routes)
	noSecret(t, text.String())
	if !strings.Contains(fmt.Sprint(s), "proxy.test:1") {
		t.Errorf("%v does not say which proxy", s)
	}
}
