package node

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"
)

// A mistake is an [ErrConfig] that can point at its place.
type mistake struct {
	key  string // of vault.toml: "tls.key"; empty: the file
	line int    // 0: not known
	says string
}

func (m *mistake) Error() string {
	place := ""
	if m.line > 0 {
		place = fmt.Sprintf("line %d: ", m.line)
	}
	if m.key != "" {
		place += m.key + ": "
	}
	return place + m.says
}

func (m *mistake) Unwrap() error { return ErrConfig }

// wrong returns a mistake about a setting. Values in it are quoted: a file may be hostile.
func wrong(key, says string, args ...any) error {
	return &mistake{key: key, says: fmt.Sprintf(says, args...)}
}

// mistakeAt adds the line in which the setting stands.
func mistakeAt(text []byte, key, says string) error {
	return &mistake{key: key, line: lineOf(text, key), says: says}
}

// decodeMistake turns what the decoder says into a mistake. The decoder repeats parts of
// the file, which is shown to who wrote it, and quotes them.
func decodeMistake(err error) error {
	var parse toml.ParseError
	if errors.As(err, &parse) {
		return &mistake{key: parse.LastKey, line: parse.Position.Line, says: quoteControls(parse.Message)}
	}
	return &mistake{says: quoteControls(strings.TrimPrefix(err.Error(), "toml: "))}
}

// quoteControls keeps escape codes of a file off the screen.
func quoteControls(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRune(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

// lineOf finds the line in which a setting, or else its table, stands; 0 when it stands
// nowhere. It reads what the decoder has taken already: tables and keys, a line each. A key
// in an inline table is found by the line of that table.
func lineOf(text []byte, key string) int {
	for ; key != ""; key = parent(key) {
		table := ""
		for i, line := range strings.Split(string(text), "\n") {
			line = strings.TrimSpace(line)
			if name, ok := strings.CutPrefix(line, "["); ok {
				name, _, _ = strings.Cut(strings.TrimLeft(name, "["), "]")
				table = strings.TrimSpace(name)
				if table == key {
					return i + 1
				}
				continue
			}
			name, _, ok := strings.Cut(line, "=")
			if !ok || strings.HasPrefix(line, "#") {
				continue
			}
			name = strings.Trim(strings.TrimSpace(name), `"'`)
			if table != "" {
				name = table + "." + name
			}
			if name == key {
				return i + 1
			}
		}
	}
	return 0
}

func parent(key string) string {
	i := strings.LastIndexByte(key, '.')
	if i < 0 {
		return ""
	}
	return key[:i]
}
