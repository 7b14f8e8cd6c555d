package crypto

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// A Secret holds bytes that must never be printed, logged or serialized.
//
// The bytes hide behind a function because fmt ignores our methods when a Secret sits
// in an unexported field, and because functions do not compare: == does not compile.
// Copies of a Secret share the bytes: wiping one wipes all. The zero Secret is empty.
//
// Reading is safe from many goroutines at once; wiping is not safe while another reads.
type Secret struct{ bytes func(wipe bool) []byte }

// NewSecret takes ownership of b: the caller must not read, change or keep it.
func NewSecret(b []byte) Secret {
	return Secret{func(wipe bool) []byte {
		if wipe {
			clear(b)
			b = nil
		}
		return b
	}}
}

// Expose lends the bytes to fn, which must neither keep nor change them. It does not
// call fn when there is nothing to lend: the Secret is empty or has been wiped.
func (s Secret) Expose(fn func([]byte)) {
	if b := s.lend(); len(b) > 0 {
		fn(b)
	}
}

// Len returns the number of bytes: 0 when the Secret is empty or has been wiped.
func (s Secret) Len() int { return len(s.lend()) }

// IsZero reports whether the Secret is empty or has been wiped.
func (s Secret) IsZero() bool { return s.Len() == 0 }

// Equal reports whether both hold the same bytes. How long it takes depends on the
// lengths alone.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare(s.lend(), other.lend()) == 1
}

// Clone returns a Secret with bytes of its own, which survive the wiping of s.
func (s Secret) Clone() Secret { return NewSecret(bytes.Clone(s.lend())) }

// Wipe overwrites the bytes; the Secret and its copies are empty from then on. It is a
// best effort: the run-time of Go and the operating system may have made copies
// (docs/threat-model.md).
func (s Secret) Wipe() {
	if s.bytes != nil {
		s.bytes(true)
	}
}

func (s Secret) lend() []byte {
	if s.bytes == nil {
		return nil
	}
	return s.bytes(false)
}

const redacted = "[redacted]"

var errSerialize = errors.New("crypto: a secret cannot be serialized")

// redact is the one set of methods that keeps a type out of print, logs and files. Each
// type of a secret embeds it, so that none of them forgets a method.
type redact struct{}

// Format prints "[redacted]" for every verb.
func (redact) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String returns "[redacted]".
func (redact) String() string { return redacted }

// LogValue returns "[redacted]".
func (redact) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText fails: JSON and XML refuse a secret.
func (redact) MarshalText() ([]byte, error) { return nil, errSerialize }

// MarshalBinary fails: gob refuses a secret.
func (redact) MarshalBinary() ([]byte, error) { return nil, errSerialize }

// Format prints "[redacted]" for every verb.
func (Secret) Format(f fmt.State, verb rune) { redact{}.Format(f, verb) }

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return redact{}.LogValue() }

// MarshalText fails: JSON and XML refuse a secret.
func (Secret) MarshalText() ([]byte, error) { return nil, errSerialize }

// MarshalBinary fails: gob refuses a secret.
func (Secret) MarshalBinary() ([]byte, error) { return nil, errSerialize }
