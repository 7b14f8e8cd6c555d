package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A world is a network with names, on loopback, or within a bubble on pipes.
type world struct {
	mu    sync.Mutex
	hosts map[string]func(context.Context) (net.Conn, error) // guarded by mu; by host:port
	met   []string                                           // guarded by mu; what was connected to
}

func newWorld() *world { return &world{hosts: map[string]func(context.Context) (net.Conn, error){}} }

// listen puts a listener of this computer behind a name.
func (w *world) listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w.set(address, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	})
	return l
}

// pipe puts a listener in memory behind a name.
func (w *world) pipe(t *testing.T, address string) *pipeListener {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	t.Cleanup(func() { l.Close() })
	w.set(address, func(ctx context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case l.conns <- far:
			return near, nil
		case <-l.closed:
			return nil, syscall.ECONNREFUSED
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	return l
}

func (w *world) set(address string, dial func(context.Context) (net.Conn, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[address] = dial
}

// dial is the reach of a line, and of the proxies.
func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	dial := w.hosts[address]
	w.met = append(w.met, address)
	w.mu.Unlock()
	if dial == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}}
	}
	return dial(ctx)
}

// connected returns what was connected to, and forgets it.
func (w *world) connected() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	met := w.met
	w.met = nil
	return met
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// line is one of the world.
func (w *world) line(t *testing.T, s Settings, env map[string]string) *Line {
	t.Helper()
	l, err := New(s, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	l.reach = w.dial
	return l
}

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// pem is what a user would paste.
func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue makes a certificate for host that is valid until then. A nil authority
// lets it sign itself.
func (a *authority) issue(t *testing.T, host string, from, until time.Time) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// good is a certificate that nothing is wrong with.
func (a *authority) good(t *testing.T, host string) tls.Certificate {
	t.Helper()
	return a.issue(t, host, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

// serve answers HTTP on the listener, with TLS and HTTP/2 if there are
// certificates.
func serve(t *testing.T, l net.Listener, h http.Handler, certs ...tls.Certificate) {
	t.Helper()
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h, ErrorLog: quiet()}, EnableHTTP2: true}
	if len(certs) == 0 {
		s.Start()
	} else {
		s.TLS = &tls.Config{Certificates: certs, MinVersion: tls.VersionTLS12}
		s.StartTLS()
	}
	t.Cleanup(s.Close)
}

// echo sends back what comes.
func echo(t *testing.T, l net.Listener) {
	t.Helper()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
}

func get(t *testing.T, rt http.RoundTripper, url string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(res.Body)
	return res, body, errors.Join(err, res.Body.Close())
}

func wantIs(t *testing.T, what string, err error, classes ...error) {
	t.Helper()
	for _, class := range classes {
		if !errors.Is(err, class) {
			t.Fatalf("%s: error %v, want %v", what, err, class)
		}
	}
}
