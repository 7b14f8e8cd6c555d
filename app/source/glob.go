package source

import (
	"strings"
	"unicode/utf8"
)

// matchParts matches the elements of a path against the parts of a pattern,
// where the part "**" stands for any number of elements. It goes back only to
// the last "**", which is enough, so that no pattern takes more than
// len(parts)*len(elements) steps.
func matchParts(parts, elems []string) bool {
	p, e := 0, 0
	backP, backE := -1, 0
	for e < len(elems) {
		switch {
		case p < len(parts) && parts[p] == "**":
			backP, backE = p, e
			p++
		case p < len(parts) && matchElem(parts[p], elems[e]):
			p++
			e++
		case backP >= 0:
			backE++
			p, e = backP+1, backE
		default:
			return false
		}
	}
	for p < len(parts) && parts[p] == "**" {
		p++
	}
	return p == len(parts)
}

// matchElem matches one path element: "*" any bytes, "?" one character (or one
// byte that is no UTF-8), "[a-z]" and "[!a-z]" a class, "\" the next byte as it
// is. The pattern was checked by checkGlob. It goes back only to the last "*".
func matchElem(pat, s string) bool {
	p, i := 0, 0
	backP, backI := -1, 0
	for i < len(s) {
		if p < len(pat) && pat[p] == '*' {
			backP, backI = p, i
			p++
			continue
		}
		if dp, di, ok := matchOne(pat[p:], s[i:]); ok {
			p += dp
			i += di
			continue
		}
		if backP < 0 {
			return false
		}
		backI++
		p, i = backP+1, backI
	}
	for p < len(pat) && pat[p] == '*' {
		p++
	}
	return p == len(pat)
}

// matchOne matches the first token of pat, not a star, with the beginning of s
// and returns the lengths of both.
func matchOne(pat, s string) (dp, di int, ok bool) {
	if pat == "" {
		return 0, 0, false
	}
	switch pat[0] {
	case '?':
		_, n := utf8.DecodeRuneInString(s)
		return 1, n, true
	case '[':
		return matchClass(pat, s)
	case '\\':
		return 2, 1, pat[1] == s[0]
	default:
		return 1, 1, pat[0] == s[0]
	}
}

// matchClass matches "[...]" with the first character of s.
func matchClass(pat, s string) (dp, di int, ok bool) {
	c, n := utf8.DecodeRuneInString(s)
	if c == utf8.RuneError && n == 1 {
		// A byte that is no UTF-8 is in no class but a negated one.
		c = -1
	}
	p := 1
	negated := pat[p] == '!' || pat[p] == '^'
	if negated {
		p++
	}
	in := false
	for first := true; first || pat[p] != ']'; first = false {
		lo, k := classRune(pat[p:])
		p += k
		hi := lo
		if pat[p] == '-' && pat[p+1] != ']' {
			hi, k = classRune(pat[p+1:])
			p += 1 + k
		}
		in = in || lo <= c && c <= hi
	}
	return p + 1, n, in != negated
}

// classRune reads one character of a class, and its length.
func classRune(pat string) (rune, int) {
	if pat[0] == '\\' {
		r, n := utf8.DecodeRuneInString(pat[1:])
		return r, n + 1
	}
	return utf8.DecodeRuneInString(pat)
}

// checkGlob says what is wrong with one part of a pattern, or "".
func checkGlob(pat string) string {
	for i := 0; i < len(pat); i++ {
		switch pat[i] {
		case '\\':
			i++
			if i == len(pat) {
				return "ends in a backslash"
			}
		case '[':
			n := classLen(pat[i:])
			if n == 0 {
				return "has a [ without its ]"
			}
			i += n - 1
		}
	}
	return ""
}

// classLen is the length of the class that pat begins with, or 0 if it does not
// end. It walks exactly as matchClass does, so that matching never runs over
// the end.
func classLen(pat string) int {
	p := 1
	if p < len(pat) && (pat[p] == '!' || pat[p] == '^') {
		p++
	}
	for first := true; ; first = false {
		if p >= len(pat) {
			return 0
		}
		if !first && pat[p] == ']' {
			return p + 1
		}
		k := classRuneLen(pat[p:])
		if k == 0 {
			return 0
		}
		p += k
		if p+1 < len(pat) && pat[p] == '-' && pat[p+1] != ']' {
			k := classRuneLen(pat[p+1:])
			if k == 0 {
				return 0
			}
			p += 1 + k
		}
	}
}

func classRuneLen(pat string) int {
	if pat[0] == '\\' && len(pat) == 1 {
		return 0
	}
	_, n := classRune(pat)
	return n
}

// isLiteral reports whether a part has no special bytes.
func isLiteral(part string) bool { return !strings.ContainsAny(part, `*?[\`) }
