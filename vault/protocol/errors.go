package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// The situations that vault and client can talk about (docs/vault-protocol.md, "Errors").
var (
	// ErrWrongPassword says that the try was spent and the password was not right.
	ErrWrongPassword = errors.New("vault: that was not the password")
	// ErrWait says that the next try is not allowed yet. No try was spent.
	ErrWait = errors.New("vault: the next try is not allowed yet")
	// ErrLastTry says that somebody is using the last try at this moment. No try was spent.
	ErrLastTry = errors.New("vault: the last try is being used")
	// ErrDestroyed says that the key was destroyed for ever.
	ErrDestroyed = errors.New("vault: the key was destroyed")
	// ErrFrozen says that the owner has frozen the record. No try was spent.
	ErrFrozen = errors.New("vault: the owner has frozen this record")
	// ErrUnknownRecord says that there is no such record, or that the request was not
	// signed by who may ask: the two cannot be told apart.
	ErrUnknownRecord = errors.New("vault: no such record")
	// ErrAttemptOver says that an attempt was finished, has expired or never was. What it
	// was charged stays charged.
	ErrAttemptOver = errors.New("vault: the attempt is over")
	// ErrStale says that the record has changed since the asker looked: another
	// generation, another sequence.
	ErrStale = errors.New("vault: the record changed meanwhile")
	// ErrCommitted says that this generation is registered already.
	ErrCommitted = errors.New("vault: this generation is registered already")
	// ErrWeakKDF says that the cost of the key derivation is below the floor.
	ErrWeakKDF = errors.New("vault: the key derivation is too weak")
	// ErrIdentity says that this is not the vault that was meant.
	ErrIdentity = errors.New("vault: this is another vault")
	// ErrMalformed says that a message is not one of the protocol. No try was spent.
	ErrMalformed = errors.New("vault: malformed message")
	// ErrTooLarge says that a body is over [MaxBody]. No try was spent.
	ErrTooLarge = errors.New("vault: message too large")
	// ErrSerial says that another try was charged since the asker looked. No try was spent:
	// ask for the status, and again.
	ErrSerial = errors.New("vault: another try was faster")
	// ErrUnarmed says that the vault's hardware answers no try until the owner has armed
	// it. No try was spent.
	ErrUnarmed = errors.New("vault: the owner must arm the hardware first")
	// ErrNotAdmitted says that this vault makes a record only for who was invited, or has
	// signed in, and the ticket is not of such a one.
	ErrNotAdmitted = errors.New("vault: not everybody may register here")
	// ErrInvitation says that an invitation was used, has expired or never was one.
	ErrInvitation = errors.New("vault: the invitation is not good any more")
	// ErrSignIn says that the identity provider's token is not good.
	ErrSignIn = errors.New("vault: the sign-in is not good")
	// ErrFull says that the vault's hardware has no room for another key. Nothing was stored.
	ErrFull = errors.New("vault: the vault has no room for another key")
	// ErrQuota says that this account has as many records as it may.
	ErrQuota = errors.New("vault: this account has no room for another record")
	// ErrBusy says that too many requests came from this address or for this record. No
	// try was spent.
	ErrBusy = errors.New("vault: too many requests")
	// ErrOtherKey says that the vault has another key for envelopes by now: its bundle has
	// changed. No try was spent.
	ErrOtherKey = errors.New("vault: the envelope is for another key")
	// ErrUnknownOutcome says that nobody knows whether it was done. A try may be spent.
	ErrUnknownOutcome = errors.New("vault: the outcome is unknown")
	// ErrInternal says that the vault failed. Nothing was done.
	ErrInternal = errors.New("vault: internal error")
)

type errorRow struct {
	err    error
	code   string
	status int
}

// errorTable is the whole error vocabulary of the protocol. Its text never crosses.
// The last row stands for everything else.
var errorTable = []errorRow{
	{ErrWrongPassword, "wrong-password", http.StatusForbidden},
	{ErrWait, "wait", http.StatusTooManyRequests},
	{ErrLastTry, "last-try", http.StatusConflict},
	{ErrDestroyed, "destroyed", http.StatusGone},
	{ErrFrozen, "frozen", http.StatusLocked},
	{ErrUnknownRecord, "unknown-record", http.StatusNotFound},
	{ErrAttemptOver, "attempt-over", http.StatusConflict},
	{ErrStale, "stale", http.StatusConflict},
	{ErrCommitted, "committed", http.StatusConflict},
	{ErrWeakKDF, "weak-kdf", http.StatusUnprocessableEntity},
	{ErrIdentity, "other-vault", http.StatusMisdirectedRequest},
	{ErrMalformed, "malformed", http.StatusBadRequest},
	{ErrTooLarge, "too-large", http.StatusRequestEntityTooLarge},
	{ErrSerial, "serial", http.StatusConflict},
	{ErrUnarmed, "unarmed", http.StatusConflict},
	{ErrNotAdmitted, "not-admitted", http.StatusForbidden},
	{ErrInvitation, "invitation", http.StatusGone},
	{ErrSignIn, "sign-in", http.StatusUnauthorized},
	{ErrQuota, "quota", http.StatusForbidden},
	{ErrFull, "full", http.StatusInsufficientStorage},
	{ErrBusy, "busy", http.StatusTooManyRequests},
	{ErrOtherKey, "other-key", http.StatusMisdirectedRequest},
	{ErrUnknownOutcome, "unknown-outcome", http.StatusServiceUnavailable},
	{ErrInternal, "internal", http.StatusInternalServerError},
}

// An AttemptError says why a password did not open a record, and what is left.
type AttemptError struct {
	Err   error     // one of the errors above; errors.Is looks through
	Left  int       // tries left after this; -1 when nobody knows
	Until time.Time // when the next try is allowed; zero: at once, or never
}

func (e *AttemptError) Error() string {
	if e.Left < 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v (tries left: %d)", e.Err, e.Left)
}

// Unwrap returns Err.
func (e *AttemptError) Unwrap() error { return e.Err }

// A Refusal is what crosses of an error: its code and, for what concerns tries, numbers.
type Refusal struct {
	Err  error
	Left int           // -1: not told
	Wait time.Duration // until the next try is allowed
}

func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

type errorBody struct {
	Code string `json:"code"`
	Left *int   `json:"left,omitempty"`
	Wait int64  `json:"wait_ms,omitempty"`
}

// maxErrorBody bounds what a client reads of an error, in bytes.
const maxErrorBody = 1 << 10

// Code returns the code of err in the table of errors; what is not in it is "internal".
func Code(err error) string { return rowOf(err).code }

func rowOf(err error) errorRow {
	for _, r := range errorTable {
		if errors.Is(err, r.err) {
			return r
		}
	}
	return errorTable[len(errorTable)-1]
}

// encodeError returns the status and the body of err: its code, and tries left and wait
// when err is a [Refusal]. The text of err stays in the server's log.
func encodeError(err error) (status int, body []byte) {
	row := rowOf(err)
	out := errorBody{Code: row.code}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		out.Wait = refusal.Wait.Milliseconds()
		if refusal.Left >= 0 {
			out.Left = &refusal.Left
		}
	}
	body, err = json.Marshal(out)
	if err != nil {
		panic("protocol: internal error: " + err.Error())
	}
	return row.status, body
}

// decodeError turns the body of an error back into the [Refusal] it came from. status 0
// stands for any: inside of an envelope there is none.
func decodeError(raw []byte, status int) error {
	var body errorBody
	if len(raw) <= maxErrorBody && json.Unmarshal(raw, &body) == nil {
		for _, row := range errorTable {
			if row.code == body.Code && (row.status == status || status == 0) {
				return newRefusal(row.err, body)
			}
		}
	}
	return fmt.Errorf("read error: HTTP status %d: %w", status, ErrUnknownOutcome)
}

// WriteError sends the code of err, and tries left and wait when err is a [Refusal].
func WriteError(w http.ResponseWriter, err error) {
	status, body := encodeError(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone when this fails: nobody to tell
}

// ReadError turns a failed response back into the [Refusal] it came from. A response
// that is not of the protocol (a proxy's, a captive portal's, a vault of the future) is
// [ErrUnknownOutcome]: who knows what stands behind it and what it has done.
func ReadError(resp *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody+1))
	if err != nil {
		return fmt.Errorf("read error: HTTP status %d: %w", resp.StatusCode, ErrUnknownOutcome)
	}
	return decodeError(raw, resp.StatusCode)
}

// Outside reports whether err may come outside of an envelope, where everybody on the way
// can write it: it says nothing of a record, and nothing was done.
func Outside(err error) bool {
	for _, e := range []error{ErrBusy, ErrOtherKey, ErrMalformed, ErrTooLarge} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func newRefusal(err error, body errorBody) *Refusal {
	r := &Refusal{Err: err, Left: -1}
	if body.Left != nil && *body.Left >= 0 && *body.Left <= MaxTries {
		r.Left = *body.Left
	}
	if wait := time.Duration(body.Wait) * time.Millisecond; wait > 0 && body.Wait <= MaxWait.Milliseconds() {
		r.Wait = wait
	}
	return r
}
