package s3

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"coffer/cloud"
)

// Situations that S3 knows, each a [cloud.ErrDenied] too.
var (
	// ErrClock: the clock of this computer is more than a quarter of an hour off,
	// and the server refuses its signatures. See [ClockError].
	ErrClock = fmt.Errorf("s3: this computer's clock is wrong: %w", cloud.ErrClock)
	// ErrArchived: the object was moved to an archive (Glacier), from which it
	// must be restored at the provider before it can be read.
	ErrArchived = fmt.Errorf("s3: %w", cloud.ErrArchived)
)

// A ClockError is an [ErrClock] with both times.
type ClockError struct {
	Here  time.Time // this computer's
	There time.Time // the server's; zero if it did not say
}

func (e *ClockError) Error() string {
	text := "s3: this computer's clock is wrong: it says " + e.Here.UTC().Format(time.RFC3339)
	if !e.There.IsZero() {
		text += ", the server says " + e.There.UTC().Format(time.RFC3339)
	}
	return text
}

// Unwrap makes errors.Is(err, ErrClock) true, and ErrDenied with it.
func (e *ClockError) Unwrap() error { return ErrClock }

// What only this package wants to know.
var (
	// errTaken: If-None-Match said no.
	errTaken = errors.New("s3: key is taken")
	// errBusy: two conditional requests for one key met.
	errBusy = fmt.Errorf("s3: key is being written: %w", cloud.ErrOffline)
	// errNoMethod: the answer to a question about a delete marker, among others.
	errNoMethod = fmt.Errorf("s3: not possible here: %w", cloud.ErrUnsupported)
	// errNoLock: the bucket, or the object, has no lock.
	errNoLock = fmt.Errorf("s3: %w", cloud.ErrNoLock)
	// errSum: the server found other bytes than were announced.
	errSum = fmt.Errorf("s3: bytes changed on the way: %w", cloud.ErrChecksum)
)

// An answer is a refusal of the server. It holds no text of it: that may repeat
// what we sent, and what we sent may be secret.
type answer struct {
	status int
	code   string // S3's word for it, if it is one that we know
	region string // where the bucket is, if the server says and it may be a region
	marker bool   // a delete marker is what was asked for
	class  error  // of package cloud, or of this one
}

func (a *answer) Error() string {
	if a.code == "" {
		return fmt.Sprintf("%v: server answered %d", a.class, a.status)
	}
	return fmt.Sprintf("%v: server answered %d, %s", a.class, a.status, a.code)
}

func (a *answer) Unwrap() error { return a.class }

// elsewhere reports whether the answer is about a bucket of another region.
func (a *answer) elsewhere() bool {
	switch a.code {
	case "AuthorizationHeaderMalformed", "InvalidRegion", "PermanentRedirect", "TemporaryRedirect", "Redirect", "IllegalLocationConstraintException":
		return true
	}
	return a.status == http.StatusMovedPermanently || a.status == http.StatusTemporaryRedirect || a.status == http.StatusPermanentRedirect
}

// classOf returns the class of S3's word for an error, or nil if it is not
// known here. Words: "Error responses" of the API Reference, and those of MinIO,
// Ceph, versitygw and Backblaze.
func classOf(code string) error {
	switch code {
	case "NoSuchKey", "NoSuchVersion":
		return cloud.ErrNotFound
	case "NoSuchBucket":
		return cloud.ErrNoPlace
	case "AccessDenied", "AllAccessDisabled", "AccountProblem", "NotSignedUp", "OperationNotPermitted", "ObjectLocked",
		"BucketAlreadyExists", "MethodNotAllowedForLock", "UnauthorizedAccess":
		return cloud.ErrDenied
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired",
		"InvalidSecurity", "MissingSecurityHeader", "MissingAuthenticationToken", "InvalidClientTokenId", "XMinioInvalidIAMCredentials", "XAdminUserNotFound", "UserNotFound":
		return cloud.ErrAuth
	case "RequestTimeTooSkewed", "RequestExpired":
		return ErrClock
	case "InvalidObjectState":
		return ErrArchived
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "TooManyRequests", "Throttling", "ThrottlingException", "RequestLimitExceeded",
		"RequestThrottled", "RequestThrottledException", "BandwidthLimitExceeded", "Busy":
		return cloud.ErrLimit
	case "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "XMinioBucketQuotaExceeded", "InsufficientStorage", "StorageFull",
		"StorageQuotaExceeded", "BucketQuotaExceeded", "OverQuota", "CapExceeded", "StorageCapExceeded":
		return cloud.ErrFull
	case "PreconditionFailed":
		return errTaken
	case "ConditionalRequestConflict", "OperationAborted":
		return errBusy
	case "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidDigest", "ContentSHA256Mismatch":
		return errSum
	case "InvalidRange":
		return cloud.ErrRange
	case "EntityTooLarge":
		return cloud.ErrTooLarge
	case "MethodNotAllowed":
		return errNoMethod
	case "NotImplemented", "APINotSupported", "UnsupportedArgument":
		return cloud.ErrUnsupported
	case "ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration", "InvalidBucketObjectLockConfiguration":
		return errNoLock
	case "PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed", "InvalidRegion", "IllegalLocationConstraintException":
		return cloud.Final(fmt.Errorf("s3: the bucket is in another region or at another address: %w", cloud.ErrNoPlace))
	case "InternalError", "RequestTimeout", "ServiceUnavailable", "IncompleteBody":
		return cloud.ErrOffline
	case "BucketAlreadyOwnedByYou":
		return errBusy
	case "InvalidArgument", "InvalidRequest", "MalformedXML", "InvalidBucketName":
		return errRefused
	}
	return nil
}

// errRefused: the server does not take a request as we make it.
var errRefused = cloud.Final(errors.New("s3: request refused"))

// classOfStatus is for answers without a word that we know.
func classOfStatus(status int) error {
	switch {
	case status == http.StatusUnauthorized:
		return cloud.ErrAuth
	case status == http.StatusForbidden:
		return cloud.ErrDenied
	case status == http.StatusNotFound:
		return errNotS3 // whoever says that does not say what; it must not look like an object that is gone
	case status == http.StatusMethodNotAllowed:
		return errNoMethod
	case status == http.StatusConflict:
		return errBusy
	case status == http.StatusPreconditionFailed:
		return errTaken
	case status == http.StatusRequestEntityTooLarge:
		return cloud.ErrTooLarge
	case status == http.StatusRequestedRangeNotSatisfiable:
		return cloud.ErrRange
	case status == http.StatusTooManyRequests:
		return cloud.ErrLimit
	case status == http.StatusNotImplemented:
		return cloud.ErrUnsupported
	case status == http.StatusInsufficientStorage:
		return cloud.ErrFull
	case status >= 300 && status < 400:
		return classOf("Redirect")
	case status == http.StatusRequestTimeout, status >= 500:
		return cloud.ErrOffline
	}
	return errRefused
}

// refusal makes the answer of a response that is not success.
func refusal(status int, code, region string, h http.Header, now time.Time) *answer {
	a := &answer{status: status, class: classOf(code), marker: h.Get("X-Amz-Delete-Marker") == "true"}
	switch {
	case a.class != nil:
		a.code = code
	case a.marker && status == http.StatusNotFound:
		a.class = cloud.ErrNotFound
	default:
		a.class = classOfStatus(status)
	}
	for _, said := range []string{region, h.Get("X-Amz-Bucket-Region")} {
		if validRegion(said) {
			a.region = said
			break
		}
	}
	wait, told := cloud.RetryAfter(h.Get("Retry-After"), now)
	switch {
	case told && (errors.Is(a.class, cloud.ErrLimit) || errors.Is(a.class, cloud.ErrOffline) && status == http.StatusServiceUnavailable):
		a.class = &cloud.LimitError{Until: now.Add(wait)}
	case errors.Is(a.class, ErrClock):
		there, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			there = time.Time{}
		}
		a.class = &ClockError{Here: now, There: there}
	}
	return a
}

// offline classes an error of the connection. What the transport has classed
// keeps its class; the address of the request is taken out of the text, for a
// proxy's can hold a password.
func offline(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var addressed *url.Error
	for errors.As(err, &addressed) {
		err = addressed.Err
	}
	for _, class := range []error{cloud.ErrOffline, cloud.ErrIdentity, cloud.ErrAuth, cloud.ErrDenied, cloud.ErrLimit} {
		if errors.Is(err, class) {
			return err
		}
	}
	if reason := distrust(err); reason != "" {
		return &cloud.IdentityError{Kind: cloud.Certificate, Host: host, Reason: reason}
	}
	return fmt.Errorf("%w: %w", cloud.ErrOffline, err)
}

// distrust says why a certificate is refused, or "" if that is not the trouble.
func distrust(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority):
		return "nobody who is trusted vouches for it"
	case errors.As(err, &name):
		return "it is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "it has expired, or is not valid yet"
	case errors.As(err, &invalid):
		return "it is not valid"
	}
	return ""
}
