package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// printable makes a name from a disk or a backup safe to show. Whoever can place a file
// can choose its name, and a name with an escape sequence could clear the screen, retitle
// the window or hide the lines around it; one with a newline could forge a line of ours;
// one with a bidirectional override could show "exe.txt" as "txt.exe". Such names are
// shown in double quotes, with what is unsafe written as an escape. A name that begins
// with a quote is quoted too, so that nothing shown has two readings.
func printable(name string) string {
	if name != "" && !needsQuotes(name) {
		return name
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		writeEscaped(&b, r, name[i:i+size])
		i += size
	}
	b.WriteByte('"')
	return b.String()
}

func needsQuotes(name string) bool {
	if name[0] == '"' || name[0] == ' ' || name[len(name)-1] == ' ' {
		return true
	}
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		if !harmless(r, size) {
			return true
		}
		i += size
	}
	return false
}

// writeEscaped writes one rune, whose bytes are raw, the way it stands between quotes.
func writeEscaped(b *strings.Builder, r rune, raw string) {
	switch {
	case r == '"' || r == '\\':
		b.WriteByte('\\')
		b.WriteRune(r)
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\r':
		b.WriteString(`\r`)
	case r == '\t':
		b.WriteString(`\t`)
	case harmless(r, len(raw)):
		b.WriteRune(r)
	case r == utf8.RuneError && len(raw) == 1 || r < 0x80:
		fmt.Fprintf(b, `\x%02x`, raw[0])
	case r > 0xffff:
		fmt.Fprintf(b, `\U%08x`, r)
	default:
		fmt.Fprintf(b, `\u%04x`, r)
	}
}

// harmless reports whether a rune only ever draws itself. The two joiners are format
// characters, but names in Persian and Hindi, and pictures of families, are spelled with
// them, and they move nothing around them.
func harmless(r rune, size int) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	if r == utf8.RuneError && size == 1 {
		return false
	}
	return unicode.IsGraphic(r) || r == nonJoiner || r == joiner
}

// columns counts the cells of a terminal that s takes: two for the wide characters of
// East Asian scripts and for pictures, none for marks that sit on their neighbour.
func columns(s string) (n int) {
	for _, r := range s {
		n += cells(r)
	}
	return n
}

func cells(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// fit returns s in at most limit cells. It cuts at the front, because the end of a path
// is what people know it by.
func fit(s string, limit int) string {
	if columns(s) <= limit {
		return s
	}
	if limit < 1 {
		return ""
	}
	left := limit - 1 // the ellipsis takes one
	cut := len(s)
	for cut > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:cut])
		if left -= cells(r); left < 0 {
			break
		}
		cut -= size
	}
	return "…" + s[cut:]
}

// pad appends spaces until s takes n cells.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-columns(s)))
}
