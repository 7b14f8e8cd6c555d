package target

import (
	"errors"

	"coffer/app/source"
)

// What can go wrong with a restore's disk. Errors of this package match one of
// them or one of package source, and the system's own error.
var (
	ErrFull       = errors.New("target: no space left")
	ErrReadOnly   = errors.New("target: the disk is read-only")
	ErrPermission = source.ErrPermission
	ErrNotFolder  = errors.New("target: something that is not a folder has the name of a folder")
	ErrOutside    = errors.New("target: the name would lead outside the target")
	ErrName       = errors.New("target: a name that this system does not allow")
	ErrTooLarge   = errors.New("target: too large for this disk")
	ErrNoLinks    = errors.New("target: this disk has no links")
	ErrSize       = errors.New("target: written outside the size of the file")
	ErrTaken      = errors.New("target: no free name was found")
)

// reasons is ordered: the first sentinel that matches names the reason.
var reasons = [...]struct {
	err  error
	word string
}{
	{ErrOutside, "the name would lead outside the target"},
	{ErrFull, "no space left"},
	{ErrReadOnly, "the disk is read-only"},
	{ErrNotFolder, "something that is not a folder is in the way"},
	{ErrName, "a name that this system does not allow"},
	{ErrTooLarge, "too large for this disk"},
	{ErrNoLinks, "this disk has no links"},
	{ErrSize, "contents and size do not agree"},
	{ErrTaken, "no free name was found"},
}

// Reason returns a short English phrase for err, the same for the same cause in
// every release, without the path. Reason(nil) is empty.
func Reason(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return source.Reason(err)
}

// wrap names the verb, the object, and our sentinel for what the system said.
func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &source.Error{Op: op, Name: name, Kind: kindOf(err), Err: err}
}
