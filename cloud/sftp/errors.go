package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"coffer/cloud"
)

// Situations that only SSH knows, beside those of package cloud.
var (
	// ErrAddress: not an address of the form sftp://USER@HOST[:PORT]/PATH.
	ErrAddress = fmt.Errorf("%w like sftp://USER@HOST[:PORT]/PATH", cloud.ErrAddress)
	// ErrKey: the private key cannot be read, or is of a kind that is not
	// supported.
	ErrKey = fmt.Errorf("sftp: the private key is not usable: %w", cloud.ErrAuth)
)

// A statusError is a refusal of the server. It holds no text of the server: who
// knows what that repeats.
type statusError struct{ code uint32 }

func (e *statusError) Error() string { return "server says " + e.word() }

func (e *statusError) word() string {
	switch e.code {
	case codeEOF:
		return "end of file"
	case codeNoSuchFile:
		return "no such file"
	case codeDenied:
		return "permission denied"
	case codeFailure:
		return "failure, without a reason"
	case codeBadMessage:
		return "bad message"
	case codeUnsupported:
		return "not supported"
	}
	return fmt.Sprintf("code %d", e.code)
}

// isCode reports whether err is a refusal with one of the codes.
func isCode(err error, codes ...uint32) bool {
	var refusal *statusError
	if !errors.As(err, &refusal) {
		return false
	}
	for _, code := range codes {
		if refusal.code == code {
			return true
		}
	}
	return false
}

// isRefusal reports that err is a proper answer: the channel is sound.
func isRefusal(err error) bool {
	var refusal *statusError
	return errors.As(err, &refusal)
}

// classify gives an error of one request its class. Errors that have one keep it.
func classify(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{
		context.Canceled, context.DeadlineExceeded, fs.ErrClosed, cloud.ErrOffline, cloud.ErrChecksum, cloud.ErrExists,
		cloud.ErrNotFound, cloud.ErrRange, cloud.ErrFull, cloud.ErrReadOnly, cloud.ErrNoPlace, cloud.ErrAuth,
		cloud.ErrDenied, cloud.ErrUnsupported, cloud.ErrTooLarge, cloud.ErrIdentity,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	if errors.Is(err, errProtocol) {
		return fmt.Errorf("%w: %w", cloud.ErrOffline, err)
	}
	var refusal *statusError
	if !errors.As(err, &refusal) {
		return err
	}
	switch refusal.code {
	case codeNoSuchFile:
		return fmt.Errorf("%w: %w", cloud.ErrNotFound, err)
	case codeDenied:
		return fmt.Errorf("%w: %w", cloud.ErrDenied, err)
	case codeReadOnly:
		return fmt.Errorf("%w: %w", cloud.ErrReadOnly, err)
	case codeNoSpace, codeQuota:
		return fmt.Errorf("%w: %w", cloud.ErrFull, err)
	}
	return err
}
