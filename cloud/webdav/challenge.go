package webdav

import (
	"errors"
	"strings"
)

const (
	maxChallenge  = 8 << 10 // bytes of all challenges of an answer
	maxChallenges = 16
	maxParams     = 32 // of one challenge
)

// errChallenge: a header that is not made as RFC 9110, section 11, says.
var errChallenge = errors.New("webdav: challenge cannot be read")

// A challenge is one way that a server offers to sign in.
type challenge struct {
	scheme string            // in lower case
	params map[string]string // names in lower case
}

// parseChallenges reads the fields WWW-Authenticate of an answer. One field may
// hold several challenges, and commas part both them and their parameters: what
// comes after a comma is a parameter if it has a "=" after its first word.
func parseChallenges(fields []string) ([]challenge, error) {
	var all []challenge
	total := 0
	for _, field := range fields {
		if total += len(field); total > maxChallenge {
			return nil, errChallenge
		}
		s := &scanner{text: field}
		for s.skipCommas(); !s.done(); s.skipCommas() {
			word := s.token()
			if word == "" {
				return nil, errChallenge
			}
			if s.skipSpace(); s.peek() == '=' && len(all) > 0 {
				if err := s.param(all[len(all)-1].params, word); err != nil {
					return nil, err
				}
				continue
			}
			s.token68() // of schemes that we do not speak
			all = append(all, challenge{strings.ToLower(word), map[string]string{}})
			if len(all) > maxChallenges {
				return nil, errChallenge
			}
			if err := s.firstParam(all[len(all)-1].params); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// parseParams reads a list of parameters alone: the field Authentication-Info.
func parseParams(field string) (map[string]string, error) {
	if len(field) > maxChallenge {
		return nil, errChallenge
	}
	params := map[string]string{}
	s := &scanner{text: field}
	for s.skipCommas(); !s.done(); s.skipCommas() {
		word := s.token()
		if s.skipSpace(); word == "" || s.peek() != '=' {
			return nil, errChallenge
		}
		if err := s.param(params, word); err != nil {
			return nil, err
		}
	}
	return params, nil
}

// A scanner walks over the text of a header field.
type scanner struct {
	text string
	at   int
}

func (s *scanner) done() bool { return s.at >= len(s.text) }

// peek returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	if s.done() {
		return 0
	}
	return s.text[s.at]
}

func (s *scanner) skip(set string) {
	for !s.done() && strings.IndexByte(set, s.text[s.at]) >= 0 {
		s.at++
	}
}

func (s *scanner) skipSpace()  { s.skip(" \t") }
func (s *scanner) skipCommas() { s.skip(" \t,") }

// while returns the bytes from here that are ok.
func (s *scanner) while(ok func(byte) bool) string {
	from := s.at
	for !s.done() && ok(s.text[s.at]) {
		s.at++
	}
	return s.text[from:s.at]
}

func (s *scanner) token() string { return s.while(isTokenByte) }

// token68 skips one, if all up to the next comma is one.
func (s *scanner) token68() {
	from := s.at
	word := s.while(func(c byte) bool { return isAlnum(c) || strings.IndexByte("-._~+/", c) >= 0 })
	s.skip("=")
	s.skipSpace()
	if word == "" || !s.done() && s.peek() != ',' {
		s.at = from
	}
}

// firstParam reads the parameter that follows a scheme without a comma.
func (s *scanner) firstParam(into map[string]string) error {
	if s.done() || s.peek() == ',' {
		return nil
	}
	word := s.token()
	if s.skipSpace(); word == "" || s.peek() != '=' {
		return errChallenge
	}
	return s.param(into, word)
}

// param reads "=" and a value. A name that comes twice is refused: two readers
// would take different ones.
func (s *scanner) param(into map[string]string, name string) error {
	s.at++ // the "="
	s.skipSpace()
	value, ok := s.value()
	name = strings.ToLower(name)
	if _, twice := into[name]; !ok || twice || len(into) >= maxParams {
		return errChallenge
	}
	s.skipSpace()
	if !s.done() && s.peek() != ',' {
		return errChallenge
	}
	into[name] = value
	return nil
}

// value reads a token or a quoted string.
func (s *scanner) value() (string, bool) {
	if s.peek() != '"' {
		word := s.token()
		return word, word != ""
	}
	s.at++
	var b strings.Builder
	for !s.done() {
		c := s.text[s.at]
		s.at++
		switch {
		case c == '"':
			return b.String(), true
		case c == '\\' && !s.done():
			c = s.text[s.at]
			s.at++
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", false
		}
		b.WriteByte(c)
	}
	return "", false // no end
}

// quoted returns the text as a quoted string.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isTokenByte(c byte) bool { return isAlnum(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 }
