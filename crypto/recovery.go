package crypto

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// A recovery key is the root key in 64 hexadecimal digits, written as 8 lines of 2 x 4
// digits. Each line has a check of two decimal digits, which is printed and need not be
// typed:
//
//	check = (line number 1..8 * 16^8 + the line's 32-bit value) mod 97
//
// 97 is a prime above every difference of two digits and of two line numbers, and above
// 15 times the former: so each wrong digit, each swap of neighbours and each line in a
// wrong place changes the check.
const (
	recoveryLines  = 8
	lineDigits     = 8
	checkDigits    = 2
	recoveryDigits = recoveryLines * lineDigits
	checkModulus   = 97
)

// ErrRecoveryKey says that a text is not a recovery key. Errors that match it are of the
// type *[RecoveryError], which says why.
var ErrRecoveryKey = errors.New("crypto: not a recovery key")

// A RecoveryReason says what is wrong with a text that should be a recovery key.
type RecoveryReason int

// The reasons.
const (
	RecoveryTooShort      RecoveryReason = iota + 1 // digits are missing
	RecoveryTooLong                                 // there are more digits than a key has
	RecoveryNotADigit                               // a character is not a hexadecimal digit
	RecoveryCheckMismatch                           // a line does not match its check or its number
)

// String returns the reason in words.
func (r RecoveryReason) String() string {
	switch r {
	case RecoveryTooShort:
		return "too short"
	case RecoveryTooLong:
		return "too long"
	case RecoveryNotADigit:
		return "not a digit"
	case RecoveryCheckMismatch:
		return "check does not match"
	}
	return "unknown reason"
}

// A RecoveryError says where and why a text is not a recovery key. It never holds any
// of the text.
type RecoveryError struct {
	Line     int // 1 to 8; 0 when it is not about one line
	Reason   RecoveryReason
	Position int // of the character that is not a digit, from 1, in its line, or in the text when Line is 0; else 0
}

// Error returns where and why, without any of the text.
func (e *RecoveryError) Error() string {
	msg := ErrRecoveryKey.Error()
	if e.Line > 0 {
		msg += fmt.Sprintf(": line %d", e.Line)
	}
	if e.Position > 0 {
		msg += fmt.Sprintf(": character %d", e.Position)
	}
	return msg + ": " + e.Reason.String()
}

// Is makes errors.Is(err, ErrRecoveryKey) true.
func (e *RecoveryError) Is(target error) bool { return target == ErrRecoveryKey }

// A RecoveryLine is one line of a recovery key, to be shown or printed. It is secret: it
// prints as "[redacted]". Its fields give it away, and so does fmt from an unexported
// field of another struct: keep it no longer than the sheet is on the screen.
type RecoveryLine struct {
	redact
	Digits string // "3f9a 07bc"
	Check  string // "00" to "96"
}

// RecoveryLines returns the root key as the 8 lines of a recovery sheet. Strings cannot
// be wiped: drop them when the sheet is closed. It panics when the key is empty.
func RecoveryLines(root RootKey) (lines [8]RecoveryLine) {
	use(root.secret, func(b []byte) {
		for i := range lines {
			value := binary.BigEndian.Uint32(b[4*i:])
			digits := fmt.Sprintf("%08x", value)
			lines[i] = RecoveryLine{
				Digits: digits[:4] + " " + digits[4:],
				Check:  fmt.Sprintf("%02d", lineCheck(i+1, value)),
			}
		}
	})
	return lines
}

// RecoveryDigits returns the root key as 64 lower-case hexadecimal digits, for a QR code
// or a file. It panics when the key is empty.
func RecoveryDigits(root RootKey) Secret {
	digits := make([]byte, recoveryDigits)
	use(root.secret, func(b []byte) { hex.Encode(digits, b) })
	return NewSecret(digits)
}

// lineCheck returns the check of line n, 0 to 96.
func lineCheck(n int, value uint32) int {
	return int((uint64(n)<<32 + uint64(value)) % checkModulus)
}
