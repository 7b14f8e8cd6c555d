package source

import (
	"fmt"
	"runtime"
	"strings"
)

// Rules say which names are left out. The zero Rules leave nothing out. They are
// never changed after ParseRules, so they may be shared.
//
// A rule is a line in the manner of gitignore:
//
//   - "*.tmp" without a slash matches the last element at any depth;
//   - "node_modules/" with a slash at the end matches folders alone;
//   - "/home/ann/old" with a slash at the beginning is a path of this computer
//     from its root ("/C:/Users/..." or "C:/Users/..." on Windows);
//   - "Code/Cache" with a slash inside matches at any depth, as "**/Code/Cache";
//   - "*" and "?" never match a slash, "**" as a whole element matches any
//     number of elements, "[a-z]" and "[!a-z]" are classes, "\" takes the next
//     byte as it is (on Windows it is a slash);
//   - "!keep" takes back what an earlier line left out: the last line that
//     matches decides;
//   - empty lines and lines that begin with "#" are nothing.
//
// A folder that is left out is not entered, so nothing below it can be taken
// back. Upper and lower case (of ASCII) are the same on Windows and macOS.
type Rules struct {
	fold     bool
	windows  bool
	base     map[string][]int // last element, literal -> rules, ascending
	suffixes []int            // rules "*suffix", descending
	general  []int            // all others, descending
	rules    []rule
}

type rule struct {
	parts    []string // elements; a leading "**" unless absolute
	single   bool     // matches the last element at any depth: parts is "**" and one more
	suffix   string   // of rules "*suffix"
	end      string   // every path that matches ends so; of rules whose last part is literal
	keep     bool     // the line began with "!"
	dirsOnly bool
}

const (
	maxRules   = 10_000
	maxPattern = 4096
)

// ParseRules reads patterns, one a line. The error names the line, counted from
// 1, and matches ErrPattern.
func ParseRules(lines []string) (Rules, error) {
	return parseRules(lines, runtime.GOOS)
}

func parseRules(lines []string, goos string) (Rules, error) {
	if len(lines) > maxRules {
		return Rules{}, fmt.Errorf("%w: more than %d lines", ErrPattern, maxRules)
	}
	r := Rules{fold: goos == "windows" || goos == "darwin", windows: goos == "windows", base: map[string][]int{}}
	for i, line := range lines {
		line = trimRule(line)
		if line == "" || line[0] == '#' {
			continue
		}
		rule, wrong := r.parse(line)
		if wrong != "" {
			return Rules{}, fmt.Errorf("%w: line %d %s", ErrPattern, i+1, wrong)
		}
		r.add(rule)
	}
	return r, nil
}

// trimRule cuts the end of the line and the spaces before it, except one that
// is escaped.
func trimRule(line string) string {
	line = strings.TrimRight(line, "\r\n")
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = line[:len(line)-1]
	}
	return line
}

// parse reads one line that is not empty; wrong says what is wrong with it.
func (r *Rules) parse(line string) (rule rule, wrong string) {
	if len(line) > maxPattern {
		return rule, "is too long"
	}
	if strings.IndexByte(line, 0) >= 0 {
		return rule, "has a NUL"
	}
	if line[0] == '!' {
		rule.keep = true
		line = line[1:]
	}
	line = r.normal(line)
	if strings.HasSuffix(line, "/") {
		rule.dirsOnly = true
		line = strings.TrimRight(line, "/")
	}
	absolute := strings.HasPrefix(line, "/") || r.windows && hasDrive(line)
	line = strings.TrimLeft(line, "/")
	if line == "" {
		return rule, "names nothing"
	}
	if !absolute {
		rule.parts = append(rule.parts, "**")
	}
	for part := range strings.SplitSeq(line, "/") {
		if part == "" || part == "." || part == ".." {
			return rule, "has an element that names nothing"
		}
		if wrong := checkGlob(part); wrong != "" {
			return rule, wrong
		}
		if part == "**" && len(rule.parts) > 0 && rule.parts[len(rule.parts)-1] == "**" {
			continue
		}
		rule.parts = append(rule.parts, part)
	}
	if rule.parts[len(rule.parts)-1] == "**" {
		rule.parts = append(rule.parts, "*") // "a/**": what is in it, not itself
	}
	return rule, ""
}

// normal brings paths and patterns into one form.
func (r *Rules) normal(s string) string {
	if r.windows && strings.IndexByte(s, '\\') >= 0 {
		s = strings.ReplaceAll(s, `\`, "/")
	}
	if r.fold {
		s = lowerASCII(s)
	}
	return s
}

// lowerASCII leaves bytes that are no UTF-8 as they are, unlike strings.ToLower.
func lowerASCII(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

func hasDrive(s string) bool {
	return len(s) >= 2 && s[1] == ':' && ('a' <= s[0]|0x20 && s[0]|0x20 <= 'z')
}

// add files the rule where Excluded finds it fast.
func (r *Rules) add(rule rule) {
	at := len(r.rules)
	last := rule.parts[len(rule.parts)-1]
	if isLiteral(last) {
		rule.end = last
	}
	rule.single = len(rule.parts) == 2 && rule.parts[0] == "**"
	switch {
	case rule.single && rule.end != "":
		r.base[rule.parts[1]] = append(r.base[rule.parts[1]], at)
	case rule.single && last[0] == '*' && isLiteral(last[1:]):
		rule.suffix = last[1:]
		r.suffixes = append([]int{at}, r.suffixes...)
	default:
		r.general = append([]int{at}, r.general...)
	}
	r.rules = append(r.rules, rule)
}

// Excluded reports whether the file or folder at path is left out. path is
// absolute, raw bytes, with slashes (on Windows backslashes as well). It looks at
// path alone, not at the folders above it: a walk does not enter those that are
// left out, and a folder that the user chose is walked wherever it is.
func (r Rules) Excluded(path string, isDir bool) bool {
	if len(r.rules) == 0 {
		return false
	}
	path = strings.Trim(r.normal(path), "/")
	name := path[strings.LastIndexByte(path, '/')+1:]
	best := -1
	for _, at := range r.base[name] {
		if isDir || !r.rules[at].dirsOnly {
			best = max(best, at)
		}
	}
	for _, at := range r.suffixes {
		if at < best {
			break
		}
		if (isDir || !r.rules[at].dirsOnly) && strings.HasSuffix(name, r.rules[at].suffix) {
			best = at
			break
		}
	}
	best = r.bestGeneral(path, name, isDir, best)
	return best >= 0 && !r.rules[best].keep
}

// bestGeneral returns the last matching rule of those without a short cut, or
// best if that is later. It takes the path apart only for a rule that needs it.
func (r Rules) bestGeneral(path, name string, isDir bool, best int) int {
	var elems []string
	var space [32]string
	for _, at := range r.general {
		if at < best {
			break
		}
		rule := &r.rules[at]
		if rule.dirsOnly && !isDir || !strings.HasSuffix(path, rule.end) {
			continue
		}
		if rule.single {
			if matchElem(rule.parts[1], name) {
				return at
			}
			continue
		}
		if elems == nil {
			elems = space[:0]
			for e := range strings.SplitSeq(path, "/") {
				elems = append(elems, e)
			}
		}
		if matchParts(rule.parts, elems) {
			return at
		}
	}
	return best
}
