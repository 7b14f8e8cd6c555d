package cloud

import (
	"errors"
	"time"
)

// The situations a place can put us in. Drivers wrap their own errors around
// one of these; callers decide with [errors.Is].
var (
	// ErrNotFound: there is no object of that name.
	ErrNotFound = errors.New("cloud: no such object")
	// ErrExists: the name is taken by other bytes. The old ones stay.
	ErrExists = errors.New("cloud: name is taken by other bytes")
	// ErrRange: the range is not within the object.
	ErrRange = errors.New("cloud: range outside the object")
	// ErrTooLarge: the object is larger than Options.MaxObject.
	ErrTooLarge = errors.New("cloud: object too large")
	// ErrFull: no room, or a quota is used up. Deleting still works.
	ErrFull = errors.New("cloud: no space left")
	// ErrAuth: the sign-in has expired or was revoked; sign in again.
	ErrAuth = errors.New("cloud: not signed in")
	// ErrDenied: signed in, but this is not allowed.
	ErrDenied = errors.New("cloud: permission denied")
	// ErrReadOnly: the place takes no writes at all.
	ErrReadOnly = errors.New("cloud: place is read-only")
	// ErrOffline: the place cannot be reached now; it was there, or may be.
	ErrOffline = errors.New("cloud: place cannot be reached")
	// ErrNoPlace: the place does not exist, or is not a folder.
	ErrNoPlace = errors.New("cloud: no such place")
	// ErrIdentity: who answers is not the place that is known: another host key, a
	// certificate that nobody vouches for. Nothing secret was sent. See
	// [IdentityError].
	ErrIdentity = errors.New("cloud: not the place that is known")
	// ErrLimit: the place asks us to slow down. See [LimitError].
	ErrLimit = errors.New("cloud: asked to slow down")
	// ErrChecksum: bytes are not those that the name or the source promised.
	ErrChecksum = errors.New("cloud: wrong checksum")
	// ErrUnsupported: this kind of place cannot do that.
	ErrUnsupported = errors.New("cloud: not supported by this place")
)

// A LimitError is an [ErrLimit] of a place that said when to come back.
type LimitError struct {
	Until time.Time // not before this moment
}

func (e *LimitError) Error() string {
	return ErrLimit.Error() + " until " + e.Until.UTC().Format(time.RFC3339)
}

// Is makes errors.Is(err, ErrLimit) true.
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

// What an [IdentityError] is about.
const (
	HostKey     = "host-key"    // of SSH
	Certificate = "certificate" // of TLS
)

// An IdentityError is an [ErrIdentity] that says what was expected and what came.
type IdentityError struct {
	Kind    string // HostKey or Certificate
	Host    string // host, or host:port
	Known   string // what was expected, such as "SHA256:..."; "": this host was never met
	Offered string // what came: a fingerprint to be shown to the user, or "" where there is none
	Reason  string // of a certificate: why it is refused, one clause; or ""
}

func (e *IdentityError) Error() string {
	text := ErrIdentity.Error() + ": " + e.Kind + " of " + e.Host
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Is makes errors.Is(err, ErrIdentity) true.
func (e *IdentityError) Is(target error) bool { return target == ErrIdentity }

// Final marks err as not worth another try, whatever its class. A driver uses
// it where waiting cannot help: a disk that was pulled out is [ErrOffline], but
// a minute of retries only delays the sentence that the user needs to read.
// Final(nil) is nil.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// settled are the classes that another try does not change.
func settled() []error {
	return []error{
		ErrNotFound, ErrExists, ErrRange, ErrTooLarge, ErrFull, ErrAuth, ErrDenied,
		ErrReadOnly, ErrNoPlace, ErrIdentity, ErrUnsupported, errInvalid, errClosed,
	}
}

// isFinal reports whether trying again is pointless. What is not known here is
// worth a try: networks fail in more ways than a list can name.
func isFinal(err error) bool {
	var final *finalError
	if errors.As(err, &final) {
		return true
	}
	for _, class := range settled() {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}
