package app

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrNotSheet: the file is not a recovery sheet that Coffer wrote.
var ErrNotSheet = errors.New("app: not a recovery sheet of Coffer's")

const (
	// Our sheets are about 60 KB. A PDF of the user's choosing may be anything.
	maxSheet   = 4 << 20
	maxContent = 1 << 20 // of one inflated stream
	maxStreams = 64
	sheetLines = 8
)

// ReadSheetPDF reads the key out of a recovery sheet that [App.WriteSheet] wrote, so that
// the user can prove the saved file by dropping it on the window. It looks for the eight
// lines of digits in the text that the page draws, and takes nothing but exactly eight:
// what it finds is what is seen. Not for sheets that were printed and scanned, or rewritten
// by another program. [ErrNotSheet]; those of [ParseRecoveryKey].
func (a *App) ReadSheetPDF(ctx context.Context, r io.Reader) (RootKey, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSheet+1))
	if err != nil {
		return RootKey{}, fmt.Errorf("read recovery sheet: %w", err)
	}
	defer clear(data)
	if err := ctx.Err(); err != nil {
		return RootKey{}, context.Cause(ctx)
	}
	return readSheet(data)
}

func readSheet(data []byte) (RootKey, error) {
	if len(data) > maxSheet || !bytes.HasPrefix(data, []byte("%PDF-")) {
		return RootKey{}, ErrNotSheet
	}
	var found [][]byte
	for range maxStreams {
		content, rest, more := nextStream(data)
		if !more {
			break
		}
		data = rest
		found = append(found, keyLinesIn(content)...)
		clear(content)
	}
	defer func() {
		for _, line := range found {
			clear(line)
		}
	}()
	if len(found) != sheetLines {
		return RootKey{}, ErrNotSheet
	}
	text := bytes.Join(found, []byte{'\n'})
	defer clear(text)
	return ParseRecoveryKey(text)
}

// nextStream inflates the next stream of a PDF (ISO 32000-1, 7.3.8); of one that does not
// inflate, a picture or a font perhaps, content is empty.
func nextStream(data []byte) (content, rest []byte, more bool) {
	_, body, ok := bytes.Cut(data, []byte("stream\n"))
	if !ok {
		return nil, nil, false
	}
	body, rest, ok = bytes.Cut(body, []byte("\nendstream"))
	if !ok {
		return nil, nil, false
	}
	z, err := zlib.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, rest, true
	}
	content, err = io.ReadAll(io.LimitReader(z, maxContent))
	if err != nil {
		clear(content)
		return nil, rest, true
	}
	return content, rest, true
}

// keyLinesIn returns the strings of a content stream that look like a line of the key.
func keyLinesIn(content []byte) [][]byte {
	var lines [][]byte
	for i := 0; i < len(content); i++ {
		if content[i] != '(' {
			continue
		}
		raw, n := literal(content[i:])
		i += n
		if line := decodeUTF16(raw); isKeyLine(line) {
			lines = append(lines, line)
		} else {
			clear(line)
		}
		clear(raw)
	}
	return lines
}

// literal reads a literal string (ISO 32000-1, 7.3.4.2), with the escapes that our writer
// makes: it has no nested parentheses without a backslash. n is how far it got.
func literal(b []byte) (text []byte, n int) {
	for n = 1; n < len(b); n++ {
		switch b[n] {
		case ')':
			return text, n
		case '\\':
			n++
			if n == len(b) {
				return nil, n
			}
			c := b[n]
			if c == 'r' {
				c = '\r'
			}
			text = append(text, c)
		default:
			text = append(text, b[n])
		}
	}
	return nil, n
}

// decodeUTF16 decodes big-endian UTF-16, in which our writer draws text.
func decodeUTF16(raw []byte) []byte {
	if len(raw)%2 != 0 {
		return nil
	}
	var out []byte
	for i := 0; i < len(raw); i += 2 {
		r := rune(raw[i])<<8 | rune(raw[i+1])
		if utf16.IsSurrogate(r) {
			return nil
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// isKeyLine reports whether line has the form "3f9a 07bc".
func isKeyLine(line []byte) bool {
	return len(line) == 9 && line[4] == ' ' && isHex(string(line[:4]), 4) && isHex(string(line[5:]), 4)
}
