package webdav

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"coffer/cloud"
)

// What an answer is about decides what its status means.
type target int

const (
	placeTarget  target = iota // the folder itself
	listTarget                 // what is in it
	objectTarget               // one object, or upload
	uploadTarget               // bytes that are sent
	moveTarget                 // an upload that gets its name
)

// Situations of this kind of place.
var (
	// errPortal: a sign-in page of the network, most likely.
	errPortal = fmt.Errorf("%w: a web page answered in its place", cloud.ErrOffline)
	// errNotWebDAV: a web server, but not one for files.
	errNotWebDAV = fmt.Errorf("%w: the server does not speak WebDAV here", cloud.ErrUnsupported)
	// errNoMove: an upload could never get its name, and one that had it from the
	// start would be half there after every cut.
	errNoMove = fmt.Errorf("%w: the server cannot rename", cloud.ErrUnsupported)
	// errTooMany: RFC 4918 knows no pages.
	errTooMany = fmt.Errorf("%w: the server does not list so many files", cloud.ErrUnsupported)
	// errListing: an answer that is no listing, or not of this folder.
	errListing = fmt.Errorf("%w: the listing cannot be read", cloud.ErrOffline)
	// errEncoded: compressed, though we said not to.
	errEncoded = fmt.Errorf("%w: the server changes the bytes on their way", cloud.ErrUnsupported)
	// errSubfolder: a folder has the object's name.
	errSubfolder = fmt.Errorf("%w: a folder has the name", cloud.ErrNotFound)
)

// refused makes an error of a status. It holds no text of the server, which may
// repeat what we sent.
func refused(t target, status int, h http.Header) error {
	class := classOf(t, status, h)
	if class == nil {
		return cloud.Final(fmt.Errorf("unexpected answer: webdav status %d", status))
	}
	return fmt.Errorf("%w: webdav status %d", class, status)
}

// classOf returns what a status means, or nil.
func classOf(t target, status int, h http.Header) error {
	switch status {
	case http.StatusUnauthorized:
		return cloud.ErrAuth
	case http.StatusForbidden:
		return cloud.ErrDenied
	case http.StatusNotFound, http.StatusGone, http.StatusConflict:
		return missing(t, status)
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return unable(t)
	case http.StatusProxyAuthRequired:
		return cloud.ErrProxy
	case http.StatusRequestEntityTooLarge:
		return cloud.ErrTooLarge
	case http.StatusRequestedRangeNotSatisfiable:
		return cloud.ErrRange
	case http.StatusLocked, http.StatusFailedDependency, http.StatusRequestTimeout, http.StatusTooEarly:
		return cloud.ErrOffline // passing: somebody else's lock, a slow line
	case http.StatusTooManyRequests:
		return limited(h)
	case http.StatusInsufficientStorage:
		if t == listTarget {
			return errTooMany
		}
		return cloud.ErrFull
	case http.StatusNetworkAuthenticationRequired:
		return errPortal
	case http.StatusServiceUnavailable:
		if h.Get("Retry-After") != "" {
			return limited(h)
		}
	}
	switch {
	case status >= 500:
		return cloud.ErrOffline
	case status >= 200 && status < 400:
		return errPortal
	}
	return nil
}

// missing: an upload or a listing needs the folder, which 404 and 409 say is gone.
func missing(t target, status int) error {
	switch {
	case t == objectTarget && status != http.StatusConflict:
		return cloud.ErrNotFound
	case t == objectTarget, t == moveTarget && status != http.StatusConflict:
		return cloud.ErrOffline // the upload was tidied away, or somebody is at it
	}
	return cloud.ErrNoPlace
}

// unable: the server does not know the method.
func unable(t target) error {
	switch t {
	case moveTarget:
		return errNoMove
	case objectTarget:
		return cloud.ErrUnsupported
	}
	return errNotWebDAV
}

// limited is ErrLimit, with a time if the answer names one.
func limited(h http.Header) error {
	if wait, ok := cloud.RetryAfter(h.Get("Retry-After"), time.Now()); ok {
		return &cloud.LimitError{Until: time.Now().Add(wait)}
	}
	return cloud.ErrLimit
}

// classify gives an error of the way its class. An error of net/http holds the
// address, which may be as good as a password (public shares), and the line that
// could not be read, which may repeat what we sent: only what is known to be
// harmless goes into its text.
func (d *Driver) classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var addressed *url.Error
	for errors.As(err, &addressed) {
		err = addressed.Err
	}
	if classed(err) {
		return err
	}
	if reason, bad := untrusted(err); bad {
		return &cloud.IdentityError{Kind: cloud.Certificate, Host: d.base.Host, Reason: reason}
	}
	return &broken{err}
}

// classed reports that err has a class already.
func classed(err error) bool {
	for _, class := range []error{
		cloud.ErrNotFound, cloud.ErrExists, cloud.ErrRange, cloud.ErrTooLarge, cloud.ErrFull, cloud.ErrAuth,
		cloud.ErrDenied, cloud.ErrReadOnly, cloud.ErrOffline, cloud.ErrNoPlace, cloud.ErrIdentity, cloud.ErrLimit,
		cloud.ErrChecksum, cloud.ErrUnsupported,
	} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}

// untrusted reports that the other side is not who it should be, and why.
func untrusted(err error) (reason string, bad bool) {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority):
		return "nobody known vouches for it", true
	case errors.As(err, &host):
		return "it is for another host", true
	case errors.As(err, &invalid):
		return "it is not valid", true
	}
	return "", false
}

// broken is a connection that failed: an ErrOffline.
type broken struct{ err error }

func (b *broken) Error() string {
	return cloud.ErrOffline.Error() + ": " + b.why()
}

func (b *broken) Unwrap() []error { return []error{cloud.ErrOffline, b.err} }

func (b *broken) why() string {
	var dns *net.DNSError
	var op *net.OpError
	var slow interface{ Timeout() bool }
	switch {
	case errors.As(b.err, &dns):
		return "the host is not known"
	case errors.As(b.err, &op):
		return op.Error()
	case errors.As(b.err, &slow) && slow.Timeout():
		return "it took too long"
	case errors.Is(b.err, io.ErrUnexpectedEOF), errors.Is(b.err, io.EOF):
		return "the connection was cut"
	}
	return "the connection failed"
}
