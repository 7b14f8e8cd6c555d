package drive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// errSyntax: the text is not what it should be. Its words are not repeated: the
// text may be a secret in the wrong file.
var errSyntax = errors.New("drive: malformed JSON")

// object reads one JSON object, and nothing after it. Package json alone would
// take names in any case and the last of two equal ones: two readers of the same
// text could then see two things.
func object(data []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("%w: not an object", errSyntax)
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, errSyntax
		}
		name, ok := key.(string)
		if _, twice := fields[name]; !ok || twice {
			return nil, fmt.Errorf("%w: a name twice", errSyntax)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errSyntax
		}
		fields[name] = value
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, errSyntax
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more after the end", errSyntax)
	}
	return fields, nil
}

// text returns the string of that name; absent is "".
func text(fields map[string]json.RawMessage, name string) (string, error) {
	raw, ok := fields[name]
	if !ok {
		return "", nil
	}
	if len(raw) == 0 || raw[0] != '"' {
		return "", fmt.Errorf("%w: %s is not a string", errSyntax, name)
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fmt.Errorf("%w: %s is not a string", errSyntax, name)
	}
	return s, nil
}

// printable reports whether s is 1 to most characters of ASCII, without spaces.
func printable(s string, most int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= most
}
