package drive

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/api/googleapi"

	"coffer/cloud"
)

// An answer is a refusal of Drive. It holds no text of the server: that may
// repeat what we sent, and what we sent may be secret.
type answer struct {
	status int
	reason string // Google's word for it, letters only; may be empty
}

func (a *answer) Error() string {
	if a.reason == "" {
		return fmt.Sprintf("drive answered %d", a.status)
	}
	return fmt.Sprintf("drive answered %d, %s", a.status, a.reason)
}

// classify gives err one of cloud's classes, and takes out what may be secret:
// an error of net/http carries the whole address of the request, and that of a
// session is as good as a password.
func classify(err error) error {
	var addressed *url.Error
	host := ""
	for errors.As(err, &addressed) {
		if u, bad := url.Parse(addressed.URL); bad == nil {
			host = u.Host
		}
		err = addressed.Err
	}
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var known *classed
	if errors.As(err, &known) {
		return known
	}
	var refusal *googleapi.Error
	if errors.As(err, &refusal) {
		return refused(refusal)
	}
	if untrusted(err) {
		return &classed{&cloud.IdentityError{Kind: cloud.Certificate, Host: host}}
	}
	if errors.Is(err, cloud.ErrOffline) || errors.Is(err, cloud.ErrIdentity) {
		return &classed{err} // by the transport, which knows more
	}
	return &classed{fmt.Errorf("%w: %w", cloud.ErrOffline, err)}
}

// A classed error went through classify, or was made with its class.
type classed struct{ err error }

func (c *classed) Error() string { return c.err.Error() }
func (c *classed) Unwrap() error { return c.err }

// untrusted reports that the other side is not who it should be, by the word of a
// plain transport. Waiting does not make a wrong certificate right.
func untrusted(err error) bool {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

// refused classes a refusal by its status and Google's reason.
func refused(g *googleapi.Error) error {
	a := &answer{status: g.Code, reason: reasonOf(g)}
	wrap := func(class error) error { return &classed{fmt.Errorf("%w: %w", class, a)} }
	switch {
	case g.Code == http.StatusUnauthorized:
		return wrap(cloud.ErrAuth)
	case g.Code == http.StatusForbidden:
		return wrap(forbidden(a.reason, g.Header))
	case g.Code == http.StatusNotFound, g.Code == http.StatusGone:
		return wrap(cloud.ErrNotFound)
	case g.Code == http.StatusTooManyRequests:
		return wrap(limited(g.Header))
	case g.Code == http.StatusRequestedRangeNotSatisfiable:
		return wrap(cloud.ErrRange)
	case g.Code == http.StatusConflict:
		return wrap(errTaken)
	case g.Code == http.StatusRequestTimeout, g.Code >= 500:
		if g.Header.Get("Retry-After") != "" {
			return wrap(limited(g.Header))
		}
		return wrap(cloud.ErrOffline)
	}
	return &classed{cloud.Final(fmt.Errorf("unexpected answer: %w", a))}
}

// forbidden: a 403 of Drive is six things.
func forbidden(reason string, h http.Header) error {
	switch reason {
	case "rateLimitExceeded", "userRateLimitExceeded":
		return limited(h)
	case "dailyLimitExceeded":
		return &cloud.LimitError{Until: quotaDay(time.Now())}
	case "storageQuotaExceeded", "activeItemCreationLimitExceeded",
		"numChildrenInNonRootLimitExceeded", "teamDriveFileLimitExceeded":
		return cloud.ErrFull
	}
	return cloud.ErrDenied
}

// quotaDay returns when Google's day of quota is over: midnight in California,
// which is 8:00 UTC at the latest.
func quotaDay(now time.Time) time.Time {
	day := now.UTC().Truncate(24 * time.Hour).Add(8 * time.Hour)
	if !day.After(now) {
		day = day.Add(24 * time.Hour)
	}
	return day
}

// limited is ErrLimit, with a time if the answer names one.
func limited(h http.Header) error {
	if wait, ok := cloud.RetryAfter(h.Get("Retry-After"), time.Now()); ok {
		return &cloud.LimitError{Until: time.Now().Add(wait)}
	}
	return cloud.ErrLimit
}

// reasonOf returns Google's word for a refusal, or "" if it is not a word.
func reasonOf(g *googleapi.Error) string {
	if len(g.Errors) == 0 {
		return ""
	}
	return word(g.Errors[0].Reason)
}

// word returns s if it is made of letters and underscores alone and short: what
// may be shown and logged of a stranger's text.
func word(s string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	if len(s) > 64 || strings.Trim(s, letters) != "" {
		return ""
	}
	return s
}
