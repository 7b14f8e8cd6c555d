package target

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// tempPrefix begins the names of temporaries; 32 hexadecimal digits follow.
const tempPrefix = ".coffer-restore-"

const tempDigits = 32

// maxName is the length of a name: bytes on Linux, UTF-16 units elsewhere.
const maxName = 255

// isTemp reports whether name is one that only this package makes.
func isTemp(name string) bool {
	digits, ok := strings.CutPrefix(name, tempPrefix)
	return ok && len(digits) == tempDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// SafeName returns the name under which raw, one path element out of a backup,
// is restored on the system goos (a value of runtime.GOOS), and whether that is
// another one. A name that the system allows stays as it is, byte for byte. In
// one that it does not allow, the bytes that are not allowed and every "%"
// become "%" and two upper-case hexadecimal digits, so that [RawName] returns
// raw; if that is too long, the middle becomes "~", 16 digits that stand for raw,
// and "~", and what was cut is known to the report alone.
//
// Not allowed are: everywhere the empty name, "/" and NUL, "." and "..", names
// of our temporaries, more than 255 bytes (UTF-16 units on Windows and macOS);
// on macOS and Windows bytes that are not UTF-8; on Windows the bytes
// 0x01-0x1F <>:"\|?*, a space or dot at the end, and the names of devices (CON,
// aux.txt, COM1, ...).
//
// The name of a file that was escaped may be another file's own: that is a
// conflict, and decided by the Policy.
func SafeName(raw, goos string) (name string, changed bool) {
	if raw == "" {
		return "%", true
	}
	bad := badBytes(raw, goos)
	if len(bad) == 0 {
		if nameLen(raw, goos) <= maxName {
			return raw, false
		}
		return shorten(raw, raw, goos), true
	}
	var b strings.Builder
	for i := range len(raw) {
		if raw[i] == '%' || len(bad) > 0 && bad[0] == i {
			fmt.Fprintf(&b, "%%%02X", raw[i])
		} else {
			b.WriteByte(raw[i])
		}
		if len(bad) > 0 && bad[0] == i {
			bad = bad[1:]
		}
	}
	name = b.String()
	if nameLen(name, goos) > maxName {
		name = shorten(name, raw, goos)
	}
	return name, true
}

// RawName undoes the escapes of a name that SafeName has changed and not
// shortened.
func RawName(name string) (string, error) {
	if name == "%" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b.WriteByte(name[i])
			continue
		}
		if i+2 >= len(name) || !isUpperHex(name[i+1]) || !isUpperHex(name[i+2]) {
			return "", errors.New("target: not an escaped name")
		}
		b.WriteByte(unHex(name[i+1])<<4 | unHex(name[i+2]))
		i += 2
	}
	return b.String(), nil
}

func isUpperHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

func unHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'A' + 10
}

// badBytes returns the positions in raw of the bytes that must be escaped,
// ascending.
func badBytes(raw, goos string) []int {
	var bad []int
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRuneInString(raw[i:])
		if badByte(raw[i], goos) || goos != "linux" && r == utf8.RuneError && n == 1 {
			bad = append(bad, i)
			n = 1
		}
		i += n
	}
	if goos == "windows" {
		bad = windowsBad(raw, bad)
	}
	if raw == "." || raw == ".." || isTemp(raw) || isTempFolded(raw, goos) {
		bad = append([]int{0}, drop(bad, 0)...)
	}
	return bad
}

// isTempFolded: where case does not matter, ours in capitals is ours.
func isTempFolded(raw, goos string) bool { return goos != "linux" && isTemp(strings.ToLower(raw)) }

func badByte(c byte, goos string) bool {
	if c == '/' || c == 0 {
		return true
	}
	return goos == "windows" && (c < 0x20 || strings.IndexByte(`<>:"\|?*`, c) >= 0)
}

// windowsBad adds the end of the name, and the beginning of a device's.
func windowsBad(raw string, bad []int) []int {
	if last := len(raw) - 1; raw[last] == ' ' || raw[last] == '.' {
		bad = append(drop(bad, last), last)
	}
	if isDevice(raw) {
		bad = append([]int{0}, drop(bad, 0)...)
	}
	return bad
}

func drop(list []int, x int) []int {
	var kept []int
	for _, v := range list {
		if v != x {
			kept = append(kept, v)
		}
	}
	return kept
}

// isDevice knows the names that Windows gives to devices, in any folder and with
// any extension (learn.microsoft.com, "Naming Files, Paths, and Namespaces").
func isDevice(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	stem, _, _ = strings.Cut(stem, ":")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if !strings.HasPrefix(stem, "COM") && !strings.HasPrefix(stem, "LPT") {
		return false
	}
	switch rest := stem[3:]; rest {
	case "¹", "²", "³":
		return true
	default:
		return len(rest) == 1 && '0' <= rest[0] && rest[0] <= '9'
	}
}

// nameLen counts what the system bounds.
func nameLen(name, goos string) int {
	if goos == "linux" {
		return len(name)
	}
	n := 0
	for _, r := range name {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// shorten cuts name, which raw became, to what fits, keeping its beginning and
// its extension. The digits keep two names that differ only where they were cut
// apart; they are no proof of anything.
func shorten(name, raw, goos string) string {
	h := fnv.New64a()
	h.Write([]byte(raw))
	mark := fmt.Sprintf("~%016x~", h.Sum64())
	_, ext := splitExt(name)
	return cutTo(strings.TrimSuffix(name, ext), maxName-len(mark)-nameLen(ext, goos), goos) + mark + ext
}

// cutTo returns the longest beginning of s of at most n, cutting neither a
// character nor an escape in two.
func cutTo(s string, n int, goos string) string {
	end, used := 0, 0
	for i := 0; i < len(s); {
		_, k := utf8.DecodeRuneInString(s[i:])
		if s[i] == '%' && i+3 <= len(s) {
			k = 3
		}
		used += nameLen(s[i:i+k], goos)
		if used > n {
			break
		}
		i += k
		end = i
	}
	return s[:end]
}

// maxExt is how long an extension can be and still be one.
const maxExt = 16

// splitExt splits "name.ext" before the last dot. A dot at the beginning or at
// the end begins no extension.
func splitExt(name string) (stem, ext string) {
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || dot == len(name)-1 || len(name)-dot > maxExt || strings.IndexByte(name[dot:], ' ') >= 0 {
		return name, ""
	}
	return name[:dot], name[dot:]
}

// copyName is the name beside name of a file that was restored on date: "name
// (restored 2026-11-21).ext", and with a number from the second on.
func copyName(name, date string, n int, goos string) string {
	stem, ext := splitExt(name)
	mark := " (restored " + date
	if n > 1 {
		mark += fmt.Sprintf(" %d", n)
	}
	mark += ")"
	return cutTo(stem, maxName-len(mark)-nameLen(ext, goos), goos) + mark + ext
}
