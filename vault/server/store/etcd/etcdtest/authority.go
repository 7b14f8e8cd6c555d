package etcdtest

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates for one test.
type Authority struct {
	t      testing.TB
	dir    string
	cert   *x509.Certificate
	key    ed25519.PrivateKey
	issued int64
}

// NewAuthority makes an authority. It is not safe for concurrent use.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, dir: t.TempDir()}
	template := a.template("etcdtest")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	a.cert, a.key = a.sign(template, nil, nil)
	a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

// Files gives the paths of the authority's certificate, and of a new certificate for these
// hosts (IP addresses) with its key. It serves servers and clients.
func (a *Authority) Files(hosts ...string) (ca, certificate, key string) {
	a.t.Helper()
	cert, private := a.issue("member", hosts...)
	name := fmt.Sprintf("member-%d", a.issued)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return filepath.Join(a.dir, "ca.pem"), a.write(name+".pem", "CERTIFICATE", cert.Raw), a.write(name+".key", "PRIVATE KEY", encoded)
}

// Client gives what a client with a certificate of its own needs.
func (a *Authority) Client() *tls.Config {
	a.t.Helper()
	cert, key := a.issue("client")
	trusted := x509.NewCertPool()
	trusted.AddCert(a.cert)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		RootCAs:      trusted,
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
	}
}

func (a *Authority) issue(name string, hosts ...string) (*x509.Certificate, ed25519.PrivateKey) {
	a.t.Helper()
	template := a.template(name)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, h := range hosts {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(h))
	}
	return a.sign(template, a.cert, a.key)
}

func (a *Authority) template(name string) *x509.Certificate {
	a.issued++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.issued),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

// sign makes a key and its certificate, signed by itself where there is no parent.
func (a *Authority) sign(template, parent *x509.Certificate, by ed25519.PrivateKey) (*x509.Certificate, ed25519.PrivateKey) {
	a.t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	if parent == nil {
		parent, by = template, private
	}
	der, err := x509.CreateCertificate(nil, template, parent, public, by)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, private
}

func (a *Authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}
