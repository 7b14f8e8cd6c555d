package trust

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// A server is a TLS listener on this computer that counts what reaches it inside of TLS.
type server struct {
	net.Listener
	address string
	heard   atomic.Int64 // bytes of clients
}

// Accept returns a connection that counts.
func (s *server) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	return &connection{c, s}, err
}

type connection struct {
	net.Conn
	server *server
}

// Read counts what TLS has let through.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.server.heard.Add(int64(n))
	return n, err
}

// serve answers each request with its own path. It ends with the test.
func serve(t *testing.T, cfg *tls.Config) *server {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: tls.NewListener(plain, cfg), address: plain.Addr().String()}
	httpd := &http.Server{
		ReadTimeout: 10 * time.Second,
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = httpd.Serve(s)
	}()
	t.Cleanup(func() {
		if err := httpd.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return s
}

// dial makes one connection, says something, and returns its state.
func (s *server) dial(t *testing.T, cfg *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: cfg}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.address+"/bundle", bytes.NewReader([]byte("hello")))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "/bundle" {
		t.Fatalf("%q, %v", body, err)
	}
	return *resp.TLS, nil
}

func mustSelfSigned(t *testing.T, key crypto.Signer) (tls.Certificate, [32]byte) {
	t.Helper()
	cert, pin, err := SelfSigned(key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pin
}

func TestPinnedConnection(t *testing.T) {
	cert, pin := mustSelfSigned(t, NewTLSKey())
	s := serve(t, ServerTLS(cert))
	b := Bundle{TLSPins: [][32]byte{{1}, pin}} // two: the next key is announced before it is used
	state, err := s.dial(t, ClientTLS(b, "whoever.example"))
	if err != nil {
		t.Fatal(err)
	}
	if state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 {
		t.Errorf("version %#x, key exchange %v", state.Version, state.CurveID)
	}
	if s.heard.Load() == 0 {
		t.Error("the server does not count: the tests below test nothing")
	}
	if _, err := state.ExportKeyingMaterial("EXPORTER-test", nil, 32); err != nil {
		t.Errorf("nothing can be bound to the channel: %v", err)
	}
}

// Promise 8 on this level: with a wrong pin not a byte reaches the server.
func TestWrongPin(t *testing.T) {
	cert, pin := mustSelfSigned(t, NewTLSKey())
	_, otherPin := mustSelfSigned(t, NewTLSKey())
	s := serve(t, ServerTLS(cert))
	almost := pin
	almost[31] ^= 1
	for name, pins := range map[string][][32]byte{
		"another key's": {otherPin}, "almost": {almost}, "zero": {{}}, "two others": {otherPin, almost},
		"the certificate's hash": {sha256.Sum256(cert.Certificate[0])},
	} {
		if _, err := s.dial(t, ClientTLS(Bundle{TLSPins: pins}, "127.0.0.1")); !errors.Is(err, ErrPin) {
			t.Errorf("%s: %v, want ErrPin", name, err)
		}
	}
	if n := s.heard.Load(); n != 0 {
		t.Errorf("%d bytes reached the server", n)
	}
}

// Who shows the vault's certificate without having its key does not get through.
func TestStolenCertificate(t *testing.T) {
	cert, pin := mustSelfSigned(t, NewTLSKey())
	cert.PrivateKey = NewTLSKey()
	s := serve(t, ServerTLS(cert))
	if _, err := s.dial(t, ClientTLS(Bundle{TLSPins: [][32]byte{pin}}, "127.0.0.1")); err == nil {
		t.Error("connected")
	}
	if n := s.heard.Load(); n != 0 {
		t.Errorf("%d bytes reached the server", n)
	}
}

// The first certificate counts. A vault's own certificate that stands behind somebody
// else's says nothing of who holds the other end.
func TestPinOfTheLeafAlone(t *testing.T) {
	cert, pin := mustSelfSigned(t, NewTLSKey())
	thief, _ := mustSelfSigned(t, NewTLSKey())
	thief.Certificate = append(thief.Certificate, cert.Certificate[0])
	s := serve(t, ServerTLS(thief))
	if _, err := s.dial(t, ClientTLS(Bundle{TLSPins: [][32]byte{pin}}, "127.0.0.1")); !errors.Is(err, ErrPin) {
		t.Errorf("%v, want ErrPin", err)
	}
	if err := (Bundle{TLSPins: [][32]byte{{}}}).checkPin(nil); !errors.Is(err, ErrPin) {
		t.Errorf("no certificate: %v", err)
	}
}

// An older TLS is refused by both sides.
func TestOldTLS(t *testing.T) {
	cert, pin := mustSelfSigned(t, NewTLSKey())
	old := ServerTLS(cert)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	pinned := Bundle{TLSPins: [][32]byte{pin}}
	if _, err := serve(t, old).dial(t, ClientTLS(pinned, "127.0.0.1")); err == nil {
		t.Error("the client takes TLS 1.2")
	}
	var probe Probe
	if _, err := serve(t, old).dial(t, probe.TLS("127.0.0.1")); err == nil {
		t.Error("the probe takes TLS 1.2")
	}
	client := ClientTLS(pinned, "127.0.0.1")
	client.MinVersion, client.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, err := serve(t, ServerTLS(cert)).dial(t, client); err == nil {
		t.Error("the server takes TLS 1.2")
	}
}

// A client that keeps sessions gets none: each connection is a whole handshake.
func TestNoResumption(t *testing.T) {
	cert, pin := mustSelfSigned(t, NewTLSKey())
	s := serve(t, ServerTLS(cert))
	cfg := ClientTLS(Bundle{TLSPins: [][32]byte{pin}}, "127.0.0.1")
	cfg.SessionTicketsDisabled = false
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	for range 3 {
		state, err := s.dial(t, cfg)
		if err != nil || state.DidResume {
			t.Fatalf("resumed %v: %v", state.DidResume, err)
		}
	}
}

// An authority, and a certificate of it for 127.0.0.1, as a front on the web has one.
func newAuthority(t *testing.T, notAfter time.Time) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	authority := mustCertificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	middle := mustCertificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "in between"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, &authority)
	leaf := mustCertificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(3), NotAfter: notAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"vault.example.org"},
	}, &middle)
	leaf.Certificate = append(leaf.Certificate, middle.Certificate[0])
	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	return pool, leaf
}

func mustCertificate(t *testing.T, template *x509.Certificate, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	key := NewTLSKey()
	by, signer := template, any(key)
	if parent != nil {
		by, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// A bundle without pins trusts whom a browser would, and nobody else.
func TestFrontOfTheWeb(t *testing.T) {
	roots, cert := newAuthority(t, time.Now().Add(time.Hour))
	_, expired := newAuthority(t, time.Now().Add(-time.Minute))
	self, _ := mustSelfSigned(t, NewTLSKey())
	for _, c := range []struct {
		name       string
		cert       tls.Certificate
		roots      *x509.CertPool
		serverName string
		ok         bool
	}{
		{"good", cert, roots, "127.0.0.1", true},
		{"good by its name", cert, roots, "vault.example.org", true},
		{"another name", cert, roots, "other.example.org", false},
		{"an authority that nobody knows", cert, nil, "127.0.0.1", false},
		{"expired", expired, roots, "127.0.0.1", false},
		{"self-signed", self, roots, "127.0.0.1", false},
	} {
		s := serve(t, ServerTLS(c.cert))
		cfg := ClientTLS(Bundle{}, c.serverName)
		cfg.RootCAs = c.roots
		_, err := s.dial(t, cfg)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := s.heard.Load(); !c.ok && n != 0 {
			t.Errorf("%s: %d bytes reached the server", c.name, n)
		}
		// The probe, afterwards, says the same.
		probe := Probe{roots: c.roots}
		if _, err := s.dial(t, probe.TLS(c.serverName)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := probe.Check(Bundle{}); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrPin) {
			t.Errorf("%s, probed: %v", c.name, err)
		}
	}
}

func TestProbe(t *testing.T) {
	cert, pin := mustSelfSigned(t, NewTLSKey())
	thief, thiefPin := mustSelfSigned(t, NewTLSKey())
	named, other := Bundle{TLSPins: [][32]byte{{1}, pin}}, Bundle{TLSPins: [][32]byte{{1}, thiefPin}}
	var probe Probe
	for name, b := range map[string]Bundle{"pins": named, "no pins": {}} {
		if err := probe.Check(b); !errors.Is(err, ErrPin) {
			t.Errorf("nothing was probed, %s: %v", name, err)
		}
	}
	s := serve(t, ServerTLS(cert))
	for range 2 {
		if _, err := s.dial(t, probe.TLS("127.0.0.1")); err != nil {
			t.Fatal(err)
		}
	}
	if err := probe.Check(named); err != nil {
		t.Error(err)
	}
	for name, b := range map[string]Bundle{"another's pin": other, "no pins, and a certificate of its own": {}} {
		if err := probe.Check(b); !errors.Is(err, ErrPin) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The bundle must not come through a connection that nobody looks at.
	between := serve(t, ServerTLS(thief))
	if _, err := between.dial(t, probe.TLS("127.0.0.1")); !errors.Is(err, ErrPin) || between.heard.Load() != 0 {
		t.Errorf("a second certificate: %v, %d bytes", err, between.heard.Load())
	}
	// Who stands in between passes on the true bundle, and is seen all the same.
	var caught Probe
	if _, err := between.dial(t, caught.TLS("127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if err := caught.Check(named); !errors.Is(err, ErrPin) {
		t.Errorf("in between: %v", err)
	}
}

func TestSelfSigned(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"P-256": NewTLSKey(), "Ed25519": ed} {
		cert, pin := mustSelfSigned(t, key)
		again, samePin := mustSelfSigned(t, key)
		if pin != samePin || !bytes.Equal(cert.Certificate[0], again.Certificate[0]) {
			t.Errorf("%s: one key, two certificates", name)
		}
		spki, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Pin(cert); err != nil || got != pin || pin != sha256.Sum256(spki) || PinOf(cert.Leaf) != pin {
			t.Errorf("%s: pin %x, %v", name, got, err)
		}
		if cert.Leaf.SerialNumber.Sign() <= 0 || cert.Leaf.SerialNumber.BitLen() > 159 || cert.Leaf.IsCA || cert.Leaf.NotAfter.Year() != 9999 {
			t.Errorf("%s: not as RFC 5280 wants it: serial number %x", name, cert.Leaf.SerialNumber)
		}
		if err := cert.Leaf.CheckSignature(cert.Leaf.SignatureAlgorithm, cert.Leaf.RawTBSCertificate, cert.Leaf.Signature); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s := serve(t, ServerTLS(cert))
		if _, err := s.dial(t, ClientTLS(Bundle{TLSPins: [][32]byte{pin}}, "127.0.0.1")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, other := mustSelfSigned(t, NewTLSKey()); other == ([32]byte{}) {
		t.Error("no pin")
	}
	for name, public := range map[string]crypto.PublicKey{"no public key": "none", "cannot sign": ed.Public()} {
		if _, _, err := SelfSigned(brokenKey{public}); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A brokenKey is in a token that is gone.
type brokenKey struct{ public crypto.PublicKey }

func (k brokenKey) Public() crypto.PublicKey { return k.public }

func (brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the token is gone")
}

func TestPinOfNothing(t *testing.T) {
	for name, cert := range map[string]tls.Certificate{"none": {}, "rubbish": {Certificate: [][]byte{{1, 2, 3}}}} {
		if _, err := Pin(cert); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
