package rclone

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"coffer/cloud"
)

const (
	maxLines = 60  // that are remembered
	maxLine  = 600 // bytes of each
)

// words is what the child says on its standard error: the last lines of it. They
// decide the class of a failure and are shown to nobody, since they may hold
// addresses with keys in them.
type words struct {
	address chan string // gets the child's address, once
	hide    string      // text that says nothing: the remote, of whatever name

	mu    sync.Mutex
	part  []byte   // guarded by mu; a line that has no end yet
	lines []string // guarded by mu; in lower case
	count int      // guarded by mu; lines so far
	told  bool     // guarded by mu; the address was sent
}

func newWords(remote string) *words {
	return &words{address: make(chan string, 1), hide: strings.ToLower(remote)}
}

// started is what "rclone serve" says when it listens. Newer ones put the address
// in brackets.
var started = regexp.MustCompile(`(?i)server started on \[?(http://127\.0\.0\.1:[0-9]{1,5}/)\]?\s*$`)

// Write implements [io.Writer] for the child. It never fails.
func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		w.part = append(w.part, line[:min(len(line), maxLine-len(w.part))]...)
		if whole {
			w.line(string(w.part))
			w.part = w.part[:0]
		}
		rest = after
	}
	return len(p), nil
}

// line takes one line. The caller holds mu.
func (w *words) line(text string) {
	if at := started.FindStringSubmatch(text); at != nil && !w.told {
		w.told = true
		w.address <- at[1]
	}
	text = strings.ToLower(text)
	if w.hide != "" {
		text = strings.ReplaceAll(text, w.hide, "")
	}
	w.count++
	w.lines = append(w.lines, text)
	if len(w.lines) > maxLines {
		w.lines = append([]string(nil), w.lines[1:]...)
	}
}

// mark returns a place in what is said.
func (w *words) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// since returns what was said after mark, as far as it is remembered.
func (w *words) since(mark int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	fresh := append([]string(nil), w.lines[max(0, len(w.lines)-(w.count-mark)):]...)
	if len(w.part) > 0 {
		fresh = append(fresh, strings.ToLower(string(w.part)))
	}
	return fresh
}

// A sign is a text of rclone, or of a service that it passes on, and its class.
type sign struct {
	class error
	texts []string
}

// signs are looked for in this order: a rate is called a quota as well, and what
// cannot be signed in to is often also denied.
func signs() []sign {
	return []sign{
		{cloud.ErrNoRemote, []string{"didn't find section in config file", "couldn't find configuration"}},
		{cloud.ErrUnsupported, []string{"can't rename files", "can't move"}},
		{cloud.ErrIdentity, []string{"x509:", "host key mismatch", "knownhosts: key"}},
		{cloud.ErrLimit, []string{"too many requests", "rate limit", "ratelimit", "rate_limit", "slow down", "slowdown", "error 429", "code: 429", "code 429", "status 429"}},
		{cloud.ErrFull, []string{
			"no space left", "quota", "insufficient storage", "insufficientstorage", "insufficient space", "insufficient_space", "storage limit",
			"disk full", "disk is full", "not enough space", "storage is full", "storage full", "error 507", "code: 507",
		}},
		{cloud.ErrAuth, []string{
			"unauthorized", "unauthenticated", "invalid_grant", "token expired", "expired token", "expiredtoken", "expired_access_token",
			"invalid_access_token", "failed to refresh token", "couldn't fetch token", "empty token found", "invalidaccesskeyid",
			"signaturedoesnotmatch", "authentication failed", "unable to authenticate", "login failed", "login incorrect", "error 401", "code: 401", "code 401", "status 401",
			"decrypt configuration", "config_pass",
		}},
		{cloud.ErrReadOnly, []string{"read-only file system", "read only file system"}},
		{cloud.ErrDenied, []string{"access denied", "accessdenied", "permission denied", "permissiondenied", "forbidden", "error 403", "code: 403", "code 403", "status 403"}},
		{cloud.ErrOffline, []string{
			"no such host", "connection refused", "network is unreachable", "i/o timeout", "timed out", "timeout", "no route to host", "connection reset",
			"broken pipe", "error 500", "error 502", "error 503", "error 504", "code: 500", "code: 502", "code: 503", "code: 504",
			"internal server error", "bad gateway", "service unavailable", "temporary failure in name resolution", "unexpected eof", "dial tcp",
		}},
		{cloud.ErrNoPlace, []string{"directory not found", "is a file not a directory", "not a directory", "nosuchbucket", "bucket does not exist"}},
	}
}

// classOf returns the class of what was said, or nil.
func classOf(lines []string) error {
	for _, s := range signs() {
		for _, text := range s.texts {
			for _, line := range lines {
				if strings.Contains(line, text) {
					return s.class
				}
			}
		}
	}
	return nil
}

// refine gives the error of a request the class of what the child said during it.
// An answer that says all stays as it is; that several requests run at once makes
// the rest a guess, but one about the same service.
func refine(err error, lines []string) error {
	for _, sure := range []error{
		cloud.ErrNotFound, cloud.ErrExists, cloud.ErrRange, cloud.ErrTooLarge, cloud.ErrChecksum, cloud.ErrNoPlace, cloud.ErrLimit,
	} {
		if errors.Is(err, sure) {
			return err
		}
	}
	class := classOf(lines)
	switch {
	case class != nil && !errors.Is(err, class):
		return fmt.Errorf("%w: rclone says so", class)
	case class == nil && (errors.Is(err, cloud.ErrDenied) || errors.Is(err, cloud.ErrUnsupported) && wentWrong(lines)):
		// To the child every write that fails is "method not allowed", and every
		// other change "forbidden".
		return errUnknown
	}
	return err
}

// wentWrong reports whether the child spoke of an error.
func wentWrong(lines []string) bool {
	for _, line := range lines {
		if strings.Contains(line, "error") {
			return true
		}
	}
	return false
}
