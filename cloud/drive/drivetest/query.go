package drivetest

import (
	"fmt"
	"strings"
)

// A condition says whether a file is meant by a query.
type condition func(f *Fake, x *file) bool

// parseQuery reads the part of Drive's query language that programs use: and,
// or, not, brackets; name, mimeType and trashed with = and !=; 'id' in parents;
// appProperties has { key='a' and value='b' }. All else is an error.
func parseQuery(text string) (condition, error) {
	p := &queryParser{rest: text}
	p.next()
	c := p.either()
	if p.err == nil && p.token != "" {
		p.fail("the end")
	}
	if p.err != nil {
		return nil, fmt.Errorf("query: %w", p.err)
	}
	return c, nil
}

type queryParser struct {
	rest    string
	token   string // "" at the end; of a string literal, the quote alone
	literal string
	err     error
}

// next takes one token.
func (p *queryParser) next() {
	p.rest = strings.TrimLeft(p.rest, " ")
	p.token, p.literal = "", ""
	switch {
	case p.rest == "":
	case p.rest[0] == '\'':
		p.text()
	case strings.ContainsRune("(){}=", rune(p.rest[0])):
		p.token, p.rest = p.rest[:1], p.rest[1:]
	case strings.HasPrefix(p.rest, "!="):
		p.token, p.rest = "!=", p.rest[2:]
	default:
		end := strings.IndexAny(p.rest, " (){}='!")
		if end < 0 {
			end = len(p.rest)
		}
		if end == 0 {
			p.fail("a word")
			return
		}
		p.token, p.rest = p.rest[:end], p.rest[end:]
	}
}

// text takes a string, with \' and \\ in it.
func (p *queryParser) text() {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '\'':
			p.token, p.literal, p.rest = "'", b.String(), p.rest[i+1:]
			return
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	p.fail("the end of a string")
}

func (p *queryParser) fail(want string) {
	if p.err == nil {
		p.err = fmt.Errorf("want %s before %q", want, p.token+p.rest)
	}
	p.token, p.rest = "", ""
}

// expect takes a token that must be there.
func (p *queryParser) expect(token string) string {
	literal := p.literal
	if p.token != token {
		p.fail(token)
	}
	p.next()
	return literal
}

func (p *queryParser) either() condition {
	c := p.both()
	for p.err == nil && p.token == "or" {
		p.next()
		a, b := c, p.both()
		c = func(f *Fake, x *file) bool { return a(f, x) || b(f, x) }
	}
	return c
}

func (p *queryParser) both() condition {
	c := p.one()
	for p.err == nil && p.token == "and" {
		p.next()
		a, b := c, p.one()
		c = func(f *Fake, x *file) bool { return a(f, x) && b(f, x) }
	}
	return c
}

func (p *queryParser) one() condition {
	switch token := p.token; token {
	case "(":
		p.next()
		c := p.either()
		p.expect(")")
		return c
	case "not":
		p.next()
		c := p.one()
		return func(f *Fake, x *file) bool { return !c(f, x) }
	case "'":
		id := p.expect("'")
		p.expect("in")
		p.expect("parents")
		return func(_ *Fake, x *file) bool { return x.parent == id }
	case "name", "mimeType":
		p.next()
		return p.comparison(token)
	case "trashed":
		p.next()
		p.expect("=")
		want := p.token == "true"
		if p.token != "true" && p.token != "false" {
			p.fail("true or false")
		}
		p.next()
		return func(f *Fake, x *file) bool { return f.isTrashed(x) == want }
	case "appProperties":
		p.next()
		return p.has()
	default:
		p.fail("a condition")
		return nil
	}
}

func (p *queryParser) comparison(field string) condition {
	equal := p.token == "="
	if !equal && p.token != "!=" {
		p.fail("= or !=")
	}
	p.next()
	want := p.expect("'")
	return func(_ *Fake, x *file) bool {
		got := x.mime
		if field == "name" { // Drive compares names without case
			return strings.EqualFold(x.name, want) == equal
		}
		return (got == want) == equal
	}
}

func (p *queryParser) has() condition {
	p.expect("has")
	p.expect("{")
	p.expect("key")
	p.expect("=")
	key := p.expect("'")
	p.expect("and")
	p.expect("value")
	p.expect("=")
	value := p.expect("'")
	p.expect("}")
	return func(_ *Fake, x *file) bool {
		got, ok := x.props[key]
		return ok && got == value
	}
}
