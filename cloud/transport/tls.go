package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"coffer/cloud"
)

// TLS is whom to take for the server that is meant. The zero value trusts what
// the system and [Settings].CAs trust.
type TLS struct {
	// Pins are keys of which the server must show one, as [Pin] writes them. One
	// of a certificate authority is as good: some key of the verified chain must
	// match. The key of a certificate that signed itself, as on many a network
	// disk, is enough alone: then name and dates do not matter, for nobody
	// vouches for them.
	Pins []string
}

const pinPrefix = "sha256/"

// Pin returns "sha256/" and the base64 of the SHA-256 of the certificate's
// SubjectPublicKeyInfo (RFC 7469, section 2.4). The certificate may be renewed;
// the pin stays as long as the key.
func Pin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return pinPrefix + base64.StdEncoding.EncodeToString(sum[:])
}

// Check returns [ErrBadPin] if a pin is not of the form of [Pin].
func (t TLS) Check() error {
	for _, pin := range t.Pins {
		digits, ok := strings.CutPrefix(pin, pinPrefix)
		sum, err := base64.StdEncoding.Strict().DecodeString(digits)
		if !ok || err != nil || len(sum) != sha256.Size || strings.ContainsAny(digits, "\r\n") {
			return fmt.Errorf("%w: %q", ErrBadPin, pin)
		}
	}
	return nil
}

// trust is who must be at the other end of one connection.
type trust struct {
	host  string
	roots *x509.CertPool // nil: the system's
	pins  []string
}

// secure makes TLS of c, within 15 seconds, or closes it. ALPN offers protocols.
func secure(ctx context.Context, c net.Conn, who trust, protocols []string) (*tls.Conn, error) {
	config := &tls.Config{ServerName: who.host, RootCAs: who.roots, MinVersion: tls.VersionTLS12, NextProtos: protocols}
	if len(who.pins) > 0 {
		// Package tls cannot be told that a pin is enough, so it checks nothing
		// here, and verify checks all that it would have.
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error { return who.verify(state.PeerCertificates, time.Now()) }
	}
	sealed := tls.Client(c, config)
	err := within(ctx, handshakeTimeout, "TLS handshake", func(ctx context.Context) error {
		return handshakeError(sealed.HandshakeContext(ctx), who.host)
	})
	if err != nil {
		c.Close()
		return nil, err
	}
	return sealed, nil
}

// verify is the whole check of a server that has pins.
func (w trust) verify(certs []*x509.Certificate, now time.Time) error {
	if len(certs) == 0 {
		return w.stranger(nil, "there is none")
	}
	leaf := certs[0]
	if signedItself(leaf) {
		if w.pinned(leaf) {
			return nil
		}
		return w.stranger(leaf, "another key than the one that is known")
	}
	middle := x509.NewCertPool()
	for _, cert := range certs[1:] {
		middle.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{DNSName: w.host, Roots: w.roots, Intermediates: middle, CurrentTime: now})
	if err != nil {
		return w.stranger(leaf, reason(err, leaf, now))
	}
	// Only verified chains count: anybody can send anybody's certificate along.
	for _, chain := range chains {
		if slices.ContainsFunc(chain, w.pinned) {
			return nil
		}
	}
	return w.stranger(leaf, "another key than the one that is known")
}

func (w trust) pinned(cert *x509.Certificate) bool { return slices.Contains(w.pins, Pin(cert)) }

// stranger is the refusal of a certificate.
func (w trust) stranger(leaf *x509.Certificate, why string) error {
	err := &cloud.IdentityError{Kind: cloud.Certificate, Host: w.host, Known: strings.Join(w.pins, " "), Reason: why}
	if leaf != nil {
		err.Offered = Pin(leaf)
	}
	return err
}

// signedItself reports whether the certificate is its own authority, really:
// names alone can be copied.
func signedItself(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, cert.RawSubject) &&
		cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}
