package pkcs11

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Bounds of a URI. Those of the attributes are the fields of CK_TOKEN_INFO.
const (
	maxURI  = 4 << 10
	maxPath = 1 << 10
)

// ParseURI reads a URI of RFC 7512 that names a token, and the file of its PIN, if it
// says so ("" if not):
//
//	pkcs11:token=coffer;serial=0123?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/coffer/pin
//
// Path attributes are token, serial, manufacturer, model (each without blanks at its end) and
// slot-id; query attributes are module-path (needed, absolute) and pin-source (a file: with
// an absolute path). All others are refused, by their name, and so are a second time
// and an empty value. pin-value is refused because the arguments of a program are seen by
// everybody on its computer. [ErrOptions].
func ParseURI(uri string) (o Options, pinFile string, err error) {
	if len(uri) > maxURI {
		return Options{}, "", fmt.Errorf("%w: the URI is too long", ErrOptions)
	}
	rest, ok := strings.CutPrefix(uri, "pkcs11:")
	if !ok {
		return Options{}, "", fmt.Errorf("%w: the URI does not start with \"pkcs11:\"", ErrOptions)
	}
	path, query, hasQuery := strings.Cut(rest, "?")
	if !hasQuery {
		return Options{}, "", fmt.Errorf("%w: the URI names no module-path", ErrOptions)
	}
	// RFC 7512, section 2.3: pk11-path-res-avail and pk11-query-res-avail.
	err = eachAttribute(path, ";", "&", o.setPath)
	if err != nil {
		return Options{}, "", err
	}
	err = eachAttribute(query, "&", "/?|", func(name, value string) error {
		return setQuery(&o, &pinFile, name, value)
	})
	if err != nil {
		return Options{}, "", err
	}
	if o.Module == "" {
		return Options{}, "", fmt.Errorf("%w: the URI names no module-path", ErrOptions)
	}
	if o.TokenLabel == "" && o.Serial == "" && o.Slot == nil {
		return Options{}, "", fmt.Errorf("%w: the URI has none of token, serial and slot-id", ErrOptions)
	}
	return o, pinFile, nil
}

// eachAttribute splits "name=value;name=value" and decodes the values.
func eachAttribute(s, separator, extra string, set func(name, value string) error) error {
	seen := map[string]bool{}
	for part := range strings.SplitSeq(s, separator) {
		name, encoded, ok := strings.Cut(part, "=")
		if !ok || !isName(name) {
			return fmt.Errorf("%w: the URI has something that is not name=value", ErrOptions)
		}
		if seen[name] {
			return fmt.Errorf("%w: %s stands twice in the URI", ErrOptions, name)
		}
		seen[name] = true
		value, ok := decodeValue(encoded, extra)
		if !ok {
			return fmt.Errorf("%w: the value of %s in the URI is empty or not well encoded", ErrOptions, name)
		}
		if err := set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) setPath(name, value string) error {
	fields := map[string]struct {
		to  *string
		max int
	}{
		"token": {&o.TokenLabel, 32}, "serial": {&o.Serial, 16}, "manufacturer": {&o.Manufacturer, 32}, "model": {&o.Model, 16},
	}
	if field, ok := fields[name]; ok {
		if len(value) > field.max || strings.HasSuffix(value, " ") {
			return fmt.Errorf("%w: the value of %s in the URI is too long or ends with a blank", ErrOptions, name)
		}
		*field.to = value
		return nil
	}
	if name != "slot-id" {
		return fmt.Errorf("%w: %s cannot stand in the path of the URI of a vault's token", ErrOptions, name)
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != value {
		return fmt.Errorf("%w: slot-id in the URI is not a number", ErrOptions)
	}
	slot := uint(n)
	o.Slot = &slot
	return nil
}

func setQuery(o *Options, pinFile *string, name, value string) error {
	switch name {
	case "module-path":
		if !isModulePath(value) {
			return fmt.Errorf("%w: module-path in the URI is not an absolute path", ErrOptions)
		}
		o.Module = value
		return nil
	case "pin-source":
		file, ok := strings.CutPrefix(value, "file:")
		if after, hasHost := strings.CutPrefix(file, "//"); hasHost {
			file = after // file:///path, RFC 8089: an empty host
		}
		if !ok || !isModulePath(file) {
			return fmt.Errorf("%w: pin-source in the URI is not file: with an absolute path", ErrOptions)
		}
		*pinFile = file
		return nil
	case "pin-value":
		return fmt.Errorf("%w: pin-value would show the PIN to everybody on this computer; write it to a file and use pin-source=file:/path", ErrOptions)
	}
	return fmt.Errorf("%w: %s cannot stand in the query of the URI of a vault's token", ErrOptions, name)
}

func isModulePath(path string) bool {
	return len(path) <= maxPath && filepath.IsAbs(path) && !strings.ContainsRune(path, 0)
}

// isName bounds what is repeated in errors: an attribute's name.
func isName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// decodeValue decodes percent-encoding. Unencoded are only the letters, digits and marks
// that RFC 7512, section 2.3, allows (pk11-res-avail, and extra); no NUL in any way,
// which ends a string in C.
func decodeValue(s, extra string) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			n, err := strconv.ParseUint(s[i+1:min(i+3, len(s))], 16, 8)
			if err != nil || i+2 >= len(s) || n == 0 {
				return "", false
			}
			out.WriteByte(byte(n))
			i += 2
		case isUnreserved(c) || strings.IndexByte(":[]@!$'()*+,="+extra, c) >= 0:
			out.WriteByte(c)
		default:
			return "", false
		}
	}
	return out.String(), out.Len() > 0
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
