package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"coffer/cloud"
)

// Classify gives an error of a connection its class, and leaves others as they
// are, those of contexts too:
//
//   - A certificate that is refused is a *[cloud.IdentityError].
//   - A proxy that wants another password, or refuses, is [cloud.ErrProxy],
//     final.
//   - What a network does to a connection (no route, no name, refused, reset,
//     timeout, cut) is [cloud.ErrOffline]; a server that does not speak TLS is
//     that too, and final.
//
// What [Line.Dial] and the transports of [Line.HTTP] return is classed already.
func Classify(err error) error {
	switch {
	case err == nil, hasClass(err):
		return err
	case isCertificate(err):
		return handshakeError(err, "")
	case isPlain(err):
		return cloud.Final(fmt.Errorf("%w: the server does not speak TLS: %w", cloud.ErrOffline, err))
	case isNetwork(err):
		return offline(err)
	}
	return err
}

// hasClass reports whether somebody who knows more was here before.
func hasClass(err error) bool {
	for _, class := range []error{
		cloud.ErrOffline, cloud.ErrIdentity, cloud.ErrAddress, cloud.ErrLimit, cloud.ErrAuth, cloud.ErrDenied, cloud.ErrChecksum,
	} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}

// offline is err as [cloud.ErrOffline], unless it has a class or a context ended.
func offline(err error) error {
	if err == nil || hasClass(err) || isContext(err) {
		return err
	}
	return fmt.Errorf("%w: %w", cloud.ErrOffline, err)
}

// isContext reports whether a context ended, and nothing else did: timeouts of
// package net pretend to be context.DeadlineExceeded as well.
func isContext(err error) bool {
	var network *net.OpError
	if errors.As(err, &network) {
		return false
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func isNetwork(err error) bool {
	if isContext(err) {
		return false
	}
	for _, known := range []error{
		io.ErrUnexpectedEOF, io.EOF, os.ErrDeadlineExceeded, net.ErrClosed, http.ErrServerClosed, io.ErrClosedPipe,
		syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT,
		syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	var network net.Error // of sockets, names, timeouts of net/http, alerts of TLS
	var alert tls.AlertError
	return errors.As(err, &network) || errors.As(err, &alert)
}

// isPlain reports whether what came was not TLS.
func isPlain(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record)
}

// isCertificate reports whether a certificate was refused.
func isCertificate(err error) bool {
	var refusal *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	return errors.As(err, &refusal) || errors.As(err, &authority) || errors.As(err, &invalid) || errors.As(err, &name)
}

// handshakeError classes what went wrong in a handshake with host ("": not
// known).
func handshakeError(err error, host string) error {
	switch {
	case err == nil, hasClass(err), isContext(err):
		return err
	case isCertificate(err):
		leaf := leafOf(err)
		who := trust{host: host}
		var name x509.HostnameError
		if host == "" && errors.As(err, &name) {
			who.host = name.Host
		}
		return fmt.Errorf("%w: %w", who.stranger(leaf, reason(err, leaf, time.Now())), err)
	case isPlain(err), isNetwork(err):
		return Classify(err)
	}
	// What is left are two ends that have no version or cipher in common.
	return cloud.Final(fmt.Errorf("%w: no TLS in common: %w", cloud.ErrOffline, err))
}

// leafOf returns the certificate that was refused, or nil.
func leafOf(err error) *x509.Certificate {
	var refusal *tls.CertificateVerificationError
	if errors.As(err, &refusal) && len(refusal.UnverifiedCertificates) > 0 {
		return refusal.UnverifiedCertificates[0]
	}
	var name x509.HostnameError
	if errors.As(err, &name) {
		return name.Certificate
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		return invalid.Cert
	}
	return nil
}

// reason says in one clause why a certificate is refused. leaf may be nil.
func reason(err error, leaf *x509.Certificate, now time.Time) string {
	const day = "2006-01-02"
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &name):
		return "for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if cert := invalid.Cert; cert != nil && (leaf == nil || !cert.Equal(leaf)) {
			return "signed by one that expired on " + cert.NotAfter.UTC().Format(day)
		}
		if leaf != nil && now.Before(leaf.NotBefore) {
			return "not valid before " + leaf.NotBefore.UTC().Format(day)
		}
		if leaf != nil {
			return "expired on " + leaf.NotAfter.UTC().Format(day)
		}
		return "expired"
	case errors.As(err, &authority):
		return "not signed by anybody this computer trusts"
	}
	return "not trusted by this computer"
}
