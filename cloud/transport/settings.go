package transport

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// What can be wrong with what a user gave. The text after it says what, and
// never repeats what was given: there may be a password in it.
var (
	// ErrBadLimit: not a speed that a line can be held to.
	ErrBadLimit = errors.New("transport: unusable speed limit")
	// ErrBadProxy: not the address of a proxy.
	ErrBadProxy = errors.New("transport: not a proxy")
	// ErrBadCAs: not a list of certificates.
	ErrBadCAs = errors.New("transport: not certificates")
	// ErrBadPin: not "sha256/" and the base64 of 32 bytes.
	ErrBadPin = errors.New("transport: not a pin")
)

// Settings are what the user says about this computer's line. The zero value has
// no limit and does what the environment says. They may hold a password; printed
// and logged they do not show it.
type Settings struct {
	// Up and Down are bytes a second over all places together. Zero: no limit;
	// otherwise at least 4096, or nothing would work.
	Up, Down int64
	// Proxy is "" for what the environment says, "direct" for none, or an address:
	// "http://HOST:PORT", "https://HOST:PORT" or "socks5://HOST:PORT", with
	// "USER:PASSWORD@" before the host if the proxy wants it, percent-encoded.
	Proxy string
	// CAs are certificates in PEM that are trusted beside the system's.
	CAs []byte
}

const (
	direct = "direct"

	maxCAs = 1 << 20 // bytes; the list of all the web's authorities has 200 kB
)

// Check returns what is wrong with s: [ErrBadLimit], [ErrBadProxy] or
// [ErrBadCAs].
func (s Settings) Check() error {
	if err := errors.Join(checkLimit("up", s.Up), checkLimit("down", s.Down)); err != nil {
		return err
	}
	if s.Proxy != "" && s.Proxy != direct {
		if _, err := parseProxy(s.Proxy); err != nil {
			return err
		}
	}
	_, err := parseCAs(s.CAs)
	return err
}

func checkLimit(way string, limit int64) error {
	switch {
	case limit < 0:
		return fmt.Errorf("%w: %s: below zero", ErrBadLimit, way)
	case limit > 0 && limit < minLimit:
		return fmt.Errorf("%w: %s: fewer than %d bytes a second", ErrBadLimit, way, minLimit)
	}
	return nil
}

// parseCAs reads certificates in PEM, and nothing else: what is skipped quietly
// is missed a year later.
func parseCAs(text []byte) ([]*x509.Certificate, error) {
	if len(text) > maxCAs {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrBadCAs, maxCAs)
	}
	var found []*x509.Certificate
	rest := bytes.TrimSpace(text)
	for len(rest) > 0 {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return nil, fmt.Errorf("%w: there is something else than PEM", ErrBadCAs)
		}
		rest = bytes.TrimSpace(rest)
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, fmt.Errorf("%w: a private key does not belong here", ErrBadCAs)
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%w: there is something else than certificates", ErrBadCAs)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadCAs, err)
		}
		found = append(found, cert)
	}
	if len(text) > 0 && len(found) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrBadCAs)
	}
	return found, nil
}

// trusted returns the system's authorities and the extra ones; nil: the system's
// alone.
func trusted(extra []*x509.Certificate) *x509.CertPool {
	if len(extra) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // a computer without any: then the extra ones are all
		pool = x509.NewCertPool()
	}
	for _, cert := range extra {
		pool.AddCert(cert)
	}
	return pool
}

// String shows s without the proxy's password.
func (s Settings) String() string {
	proxy := s.Proxy
	if proxy != "" && proxy != direct {
		proxy = "not a proxy"
		if p, err := parseProxy(s.Proxy); err == nil {
			proxy = p.String()
		}
	}
	return fmt.Sprintf("up %d, down %d, proxy %q, %d bytes of CAs", s.Up, s.Down, proxy, len(s.CAs))
}

// GoString is String: %#v would show all.
func (s Settings) GoString() string { return s.String() }

// LogValue is String.
func (s Settings) LogValue() slog.Value { return slog.StringValue(s.String()) }
