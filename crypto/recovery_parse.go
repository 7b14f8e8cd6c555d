package crypto

import (
	"unicode"
	"unicode/utf8"
)

// maxRecoveryText bounds what is read as a recovery key, in bytes. The longest sensible
// text, every digit spaced, is far below.
const maxRecoveryText = 4096

// A LineState says how far a line of a recovery key is, while it is typed.
type LineState int

// The states.
const (
	LineEmpty   LineState = iota // nothing typed
	LinePartial                  // right so far, not whole
	LineRight                    // 8 digits; a check, if any, that matches
	LineWrong                    // cannot become right by typing on
)

// ParseRecoveryKey reads a recovery key as people type, paste and scan it: in one line,
// in the eight of a sheet or in any others; any case, spacing and hyphens, full-width
// digits; with or without line numbers ("1.", "1:", "1)", "1 ") and checks. In eight
// lines each may have them or not; in other forms all or none. The letters o and O are
// taken for 0, l and I for 1. A check or number that is there must match.
//
// text stays the caller's to wipe. The error is a *[RecoveryError], which matches
// [ErrRecoveryKey].
func ParseRecoveryKey(text []byte) (RootKey, error) {
	if len(text) > maxRecoveryText {
		return RootKey{}, &RecoveryError{Reason: RecoveryTooLong}
	}
	lines := splitLines(text)
	var key [KeySize]byte
	defer clear(key[:])
	var err error
	if len(lines) == recoveryLines {
		err = parseSheet(&key, lines)
	} else {
		err = parseRun(&key, text, len(lines))
	}
	if err != nil {
		return RootKey{}, err
	}
	return RootKeyFrom(key[:])
}

// CheckRecoveryLine says how far the text of line n, 1 to 8, is. A line is right exactly
// when [ParseRecoveryKey] would take it as line n of eight.
func CheckRecoveryLine(n int, text string) LineState {
	s := scanDigits([]byte(text))
	defer s.wipe()
	switch {
	case s.bad > 0 || n < 1 || n > recoveryLines || len(text) > maxRecoveryText:
		return LineWrong
	case len(s.digits) == 0:
		return LineEmpty
	}
	if _, reason := s.line(n); reason == 0 {
		return LineRight
	}
	plain := lineProgress(n, s.digits)
	numbered := LineWrong
	if s.numbered(n) {
		numbered = lineProgress(n, s.digits[1:])
	}
	if s.punctuated {
		plain = LineWrong
		if len(s.digits) == 1 && s.digits[0] == byte(n) {
			return LinePartial
		}
	}
	if plain == LinePartial || numbered == LinePartial {
		return LinePartial
	}
	return LineWrong
}

// lineProgress says whether the digits of a line, without number, can become right.
func lineProgress(n int, digits []byte) LineState {
	if len(digits) < lineDigits {
		return LinePartial
	}
	check := lineCheck(n, lineValue(digits))
	if len(digits) == lineDigits+1 && int(digits[lineDigits]) == check/10 {
		return LinePartial
	}
	return LineWrong
}

// parseSheet reads eight lines, each with its own number and check or without.
func parseSheet(key *[KeySize]byte, lines [][]byte) error {
	for i, text := range lines {
		s := scanDigits(text)
		digits, reason := s.line(i + 1)
		if reason == 0 {
			pack(key[4*i:4*i+4], digits)
		}
		s.wipe()
		if reason != 0 {
			return &RecoveryError{Line: i + 1, Reason: reason, Position: s.bad}
		}
	}
	return nil
}

// parseRun reads a key that is not in eight lines. Numbers and checks are there for all
// lines or for none: the count of digits then says which, and one digit too many never
// passes as a number or a check.
func parseRun(key *[KeySize]byte, text []byte, lines int) error {
	s := scanDigits(text)
	defer s.wipe()
	if s.bad > 0 {
		return &RecoveryError{Reason: RecoveryNotADigit, Position: s.bad}
	}
	number, check := 0, 0
	switch len(s.digits) {
	case recoveryDigits:
	case recoveryDigits + recoveryLines:
		number = 1
	case recoveryDigits + recoveryLines*checkDigits:
		check = checkDigits
	case recoveryDigits + recoveryLines*(1+checkDigits):
		number, check = 1, checkDigits
	default:
		// Seven lines of a sheet have more digits than a key, and are still too few.
		partOfSheet := lines < recoveryLines && len(s.digits) <= lines*(1+lineDigits+checkDigits)
		if len(s.digits) < recoveryDigits || partOfSheet {
			return &RecoveryError{Reason: RecoveryTooShort}
		}
		return &RecoveryError{Reason: RecoveryTooLong}
	}
	// Numbers are marked as such, but there is no room for them: digits are missing.
	if s.punctuated && number == 0 {
		return &RecoveryError{Reason: RecoveryTooShort}
	}
	size := number + lineDigits + check
	for i := range recoveryLines {
		part := s.digits[i*size : (i+1)*size]
		if number == 1 && (part[0] != byte(i+1) || !s.alone(i*size)) {
			if check == 0 {
				return &RecoveryError{Reason: RecoveryTooLong}
			}
			return &RecoveryError{Line: i + 1, Reason: RecoveryCheckMismatch}
		}
		if check > 0 && !checkMatches(i+1, part[number:]) {
			return &RecoveryError{Line: i + 1, Reason: RecoveryCheckMismatch}
		}
		pack(key[4*i:4*i+4], part[number:])
	}
	return nil
}

// scanned is a text reduced to the values 0 to 15 of its digits.
type scanned struct {
	digits     []byte
	starts     []bool // whether a separator, or the beginning, is before the digit
	bad        int    // position of the first rune that is neither digit nor separator, from 1; or 0
	punctuated bool   // the first digit stands alone and is followed by one of . : )
}

func (s *scanned) wipe() { clear(s.digits[:cap(s.digits)]) }

// scanDigits never grows its buffer, so that no copy of the digits is left behind.
func scanDigits(text []byte) *scanned {
	s := &scanned{digits: make([]byte, 0, len(text)), starts: make([]bool, 0, len(text))}
	start := true
	for at, position := 0, 1; at < len(text); position++ {
		r, size := utf8.DecodeRune(text[at:])
		at += size
		r = narrow(r)
		value, isDigit := digitValue(r)
		switch {
		case isDigit:
			s.digits = append(s.digits, value)
			s.starts = append(s.starts, start)
			start = false
		case r == '.' || r == ':' || r == ')':
			s.punctuated = s.punctuated || len(s.digits) == 1
			start = true
		case isSeparator(r):
			start = true
		default:
			s.bad = position
			return s
		}
	}
	return s
}

// alone reports whether the digit at i stands between separators.
func (s *scanned) alone(i int) bool {
	return s.starts[i] && (i+1 == len(s.starts) || s.starts[i+1])
}

// numbered reports whether the text begins with the number of line n, standing alone.
func (s *scanned) numbered(n int) bool {
	return len(s.digits) > 0 && s.digits[0] == byte(n) && s.alone(0)
}

// line returns the 8 digits of line n. The count of digits says whether a number and a
// check are there. A number must stand alone, unless a check vouches for the line: else
// a digit typed twice could pass as a number.
func (s *scanned) line(n int) ([]byte, RecoveryReason) {
	digits := s.digits
	switch {
	case s.bad > 0:
		return nil, RecoveryNotADigit
	case s.punctuated && !s.numbered(n):
		return nil, RecoveryCheckMismatch
	case s.punctuated, len(digits) == 1+lineDigits && s.numbered(n),
		len(digits) == 1+lineDigits+checkDigits && digits[0] == byte(n):
		digits = digits[1:]
	}
	switch len(digits) {
	case lineDigits:
	case lineDigits + checkDigits:
		if !checkMatches(n, digits) {
			return nil, RecoveryCheckMismatch
		}
	default:
		if len(digits) < lineDigits {
			return nil, RecoveryTooShort
		}
		return nil, RecoveryTooLong
	}
	return digits[:lineDigits], 0
}

// checkMatches compares the two digits after the eight with the check of line n.
func checkMatches(n int, digits []byte) bool {
	check := lineCheck(n, lineValue(digits))
	return int(digits[lineDigits]) == check/10 && int(digits[lineDigits+1]) == check%10
}

func lineValue(digits []byte) (value uint32) {
	for _, d := range digits[:lineDigits] {
		value = value<<4 | uint32(d)
	}
	return value
}

func pack(dst, digits []byte) {
	for i := range dst {
		dst[i] = digits[2*i]<<4 | digits[2*i+1]
	}
}

// narrow turns full-width forms, as Asian keyboards type them, into ASCII.
func narrow(r rune) rune {
	if r >= '！' && r <= '～' {
		return r - '！' + '!'
	}
	return r
}

func digitValue(r rune) (byte, bool) {
	switch {
	case r >= '0' && r <= '9':
		return byte(r - '0'), true
	case r >= 'a' && r <= 'f':
		return byte(r-'a') + 10, true
	case r >= 'A' && r <= 'F':
		return byte(r-'A') + 10, true
	case r == 'o' || r == 'O':
		return 0, true
	case r == 'l' || r == 'I':
		return 1, true
	}
	return 0, false
}

// isSeparator takes what word processors, mail and PDF viewers put between groups.
func isSeparator(r rune) bool {
	if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) {
		return true
	}
	switch r {
	case '\u00ad', '\u200b', '\u2060', '\ufeff', // soft hyphen, zero-width spaces, byte order mark
		'\u200e', '\u200f', // direction marks
		'\u2212': // minus sign
		return true
	}
	return false
}

// splitLines returns the lines that have more than separators, without copying.
func splitLines(text []byte) [][]byte {
	var lines [][]byte
	blank, begin := true, 0
	end := func(at int) {
		if !blank {
			lines = append(lines, text[begin:at])
		}
		blank = true
	}
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRune(text[at:])
		switch {
		case isLineBreak(r):
			end(at)
			begin = at + size
		case !isSeparator(r):
			blank = false
		}
		at += size
	}
	end(len(text))
	return lines
}

func isLineBreak(r rune) bool {
	switch r {
	case '\n', '\v', '\f', '\r', '\u0085', '\u2028', '\u2029':
		return true
	}
	return false
}
