package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// base is what all connections have in common: TLS 1.3 alone (RFC 8446), a key exchange
// that also holds against a quantum computer first, and no session tickets: a connection
// that is taken up again would rest on a key that a stolen server could still have.
func base() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256},
		SessionTicketsDisabled: true,
	}
}

// ServerTLS returns the configuration of a vault's listener.
func ServerTLS(cert tls.Certificate) *tls.Config {
	c := base()
	c.Certificates = []tls.Certificate{cert}
	return c
}

// ClientTLS returns the configuration for talking to the vault of a verified bundle.
// serverName is the host of the address that is dialled ([SplitAddress]).
//
// With pins in the bundle, the certificate must be one of them, and nothing else about it
// counts: no name, no issuer and no date, so that neither a false clock nor a certificate
// authority comes between a user and the vault. Without pins, it is verified as a web
// page's would be. A handshake that fails for the pin is [ErrPin].
func ClientTLS(b Bundle, serverName string) *tls.Config {
	c := base()
	c.ServerName = serverName
	if len(b.TLSPins) == 0 {
		return c
	}
	// VerifyConnection takes the place of the verification that this switches off. The
	// handshake still proves that the other end has the certificate's key.
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(state tls.ConnectionState) error { return b.checkPin(state.PeerCertificates) }
	return c
}

// checkPin compares the leaf with the bundle's pins. [ErrPin].
func (b Bundle) checkPin(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return fmt.Errorf("check certificate: there is none: %w", ErrPin)
	}
	pin, found := PinOf(chain[0]), 0
	for _, p := range b.TLSPins {
		found |= subtle.ConstantTimeCompare(p[:], pin[:])
	}
	if found != 1 {
		return fmt.Errorf("check certificate: %w", ErrPin)
	}
	return nil
}

// PinOf returns the pin of a certificate.
func PinOf(cert *x509.Certificate) [32]byte { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

// Pin returns the pin of the certificate that a vault will show. [ErrKey] when there is
// none in cert, or not one that can be read.
func Pin(cert tls.Certificate) ([32]byte, error) {
	if len(cert.Certificate) == 0 {
		return [32]byte{}, fmt.Errorf("read certificate: there is none: %w", ErrKey)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return [32]byte{}, fmt.Errorf("read certificate: %w", ErrKey)
	}
	return PinOf(leaf), nil
}

// A Probe connects to a vault before anything is known of it but the link, to fetch the
// signed bundle. It takes whatever certificate it meets, and remembers it. Nothing but the
// request for the bundle may be sent through it: until [Probe.Check] has passed, somebody
// may stand in between. It is safe for concurrent use; the zero Probe is ready.
type Probe struct {
	mu         sync.Mutex
	chain      []*x509.Certificate // of the first connection; guarded by mu
	serverName string              // guarded by mu
	roots      *x509.CertPool      // nil: the system's; tests have their own
}

// TLS returns the configuration of the probing connections. When the certificate of a
// second one differs from that of the first, its handshake is [ErrPin]: the one that
// [Probe.Check] looks at must be the one that the bundle came through.
func (p *Probe) TLS(serverName string) *tls.Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serverName = serverName
	c := base()
	c.ServerName = serverName
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(state tls.ConnectionState) error { return p.remember(state.PeerCertificates) }
	return c
}

func (p *Probe) remember(chain []*x509.Certificate) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(chain) == 0 || p.chain != nil && PinOf(p.chain[0]) != PinOf(chain[0]) {
		return fmt.Errorf("probe: another certificate than before: %w", ErrPin)
	}
	if p.chain == nil {
		p.chain = chain
	}
	return nil
}

// Check says whether the probed certificate is the vault's own, now that the bundle is
// verified: one of its pins, or, when it has none, one that this computer trusts for the
// name that was dialled. [ErrPin], also when nothing was probed.
func (p *Probe) Check(verified Bundle) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.chain) == 0 || len(verified.TLSPins) > 0 {
		return verified.checkPin(p.chain)
	}
	between := x509.NewCertPool()
	for _, cert := range p.chain[1:] {
		between.AddCert(cert)
	}
	_, err := p.chain[0].Verify(x509.VerifyOptions{DNSName: p.serverName, Intermediates: between, Roots: p.roots})
	if err != nil {
		// The certificate's own words are the other end's, who is nobody yet.
		return fmt.Errorf("check certificate: this computer does not trust it for %q: %w", p.serverName, ErrPin)
	}
	return nil
}

// NewTLSKey makes a key for a vault's own certificate: ECDSA on P-256, which every
// monitor and every load balancer can talk to.
func NewTLSKey() *ecdsa.PrivateKey {
	for {
		// Random bytes that are no scalar are drawn again (FIPS 186-5, A.2.2): about one in
		// four thousand million.
		seed := freshSeed()
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed)
		clear(seed)
		if err == nil {
			return key
		}
	}
}

// SelfSigned returns a certificate of the vault's own, and its pin. Clients know it by the
// pin, so it names nobody and never expires, and one key gives one certificate, whenever
// and wherever it is made: only the key has to be kept, and the members of a cluster that
// share it show the same. ECDSA and Ed25519. [ErrKey] for a key that cannot sign.
func SelfSigned(key crypto.Signer) (cert tls.Certificate, pin [32]byte, err error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return tls.Certificate{}, pin, fmt.Errorf("make certificate: %w", ErrKey)
	}
	pin = sha256.Sum256(spki)
	template := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(append([]byte{1}, pin[:15]...)),
		Subject:               pkix.Name{CommonName: "Coffer vault"},
		NotBefore:             time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // "no expiry": RFC 5280, section 4.1.2.5
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	// Without randomness ECDSA signs as RFC 6979 says: the same bytes each time.
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, pin, fmt.Errorf("make certificate: %w", ErrKey)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, pin, fmt.Errorf("make certificate: %w", ErrKey)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pin, nil
}
