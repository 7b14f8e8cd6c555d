package source

import (
	"context"
	"errors"
	"io"
	"strconv"
)

// What can go wrong with one file or folder. Every error of this package that
// came from the system matches one of them, or is an error of the system that
// has no better word.
var (
	ErrVanished   = errors.New("source: vanished while it was read")
	ErrPermission = errors.New("source: permission denied")
	ErrReplaced   = errors.New("source: replaced by something else while it was read")
	ErrRead       = errors.New("source: input/output error")
	ErrLoop       = errors.New("source: the folder contains itself")
	ErrBusy       = errors.New("source: in use by another program")
	ErrTooMany    = errors.New("source: too many open files")
	ErrName       = errors.New("source: not the name of one file")
	ErrPattern    = errors.New("source: bad exclusion pattern")
	ErrXattrSize  = errors.New("source: extended attributes too large")
)

// An Error is an error of the system about one name. It matches its Kind and
// the system's own error by errors.Is.
type Error struct {
	Op   string // verb: "open", "read", ...
	Name string // last path element, raw
	Off  int64  // of a failed read: where it began, and how much was wanted;
	Len  int64  // both zero for other verbs
	Kind error  // one of the sentinels, or nil
	Err  error  // the system's own
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Op + " " + strconv.Quote(e.Name)
	if e.Len > 0 {
		s += " bytes " + strconv.FormatInt(e.Off, 10) + " to " + strconv.FormatInt(e.Off+e.Len-1, 10)
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns the sentinel and the system's error.
func (e *Error) Unwrap() []error {
	if e.Kind == nil {
		return []error{e.Err}
	}
	return []error{e.Kind, e.Err}
}

// wrap makes an Error of what the system said about name.
func wrap(op, name string, err error) error {
	return &Error{Op: op, Name: name, Kind: kindOf(err), Err: err}
}

// reasons is ordered: the first sentinel that matches names the reason.
var reasons = [...]struct {
	err  error
	word string
}{
	{context.Canceled, "cancelled"},
	{context.DeadlineExceeded, "took too long"},
	{ErrLoop, "the folder contains itself"},
	{ErrReplaced, "replaced by something else while it was read"},
	{ErrVanished, "vanished while it was read"},
	{ErrPermission, "permission denied"},
	{ErrRead, "input/output error"},
	{ErrBusy, "in use by another program"},
	{ErrTooMany, "too many open files"},
	{ErrXattrSize, "extended attributes too large"},
	{ErrName, "impossible name"},
	{ErrPattern, "bad exclusion pattern"},
	{io.ErrUnexpectedEOF, "became shorter while it was read"},
	{io.ErrShortBuffer, "larger than expected"},
}

// Reason returns a short English phrase for err, the same for the same cause in
// every release, without the path: reports group by it. Of an error that this
// package does not know it is the system's own words without ours around them.
// Reason(nil) is empty.
func Reason(err error) string {
	if err == nil {
		return ""
	}
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	if word := systemReason(err); word != "" {
		return word
	}
	return "unknown error"
}
