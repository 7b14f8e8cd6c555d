package sftp

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// defaultPort is SSH's (RFC 4251, section 9.3.8).
const defaultPort = 22

// An Address is where a folder is, without any secret.
type Address struct {
	User string
	Host string // a name in lower case, or an IP address, IPv6 without brackets
	Port int    // 1 to 65535
	Path string // absolute, or relative to the home; "" is the home itself
}

// ParseAddress reads sftp://USER@HOST[:PORT]/PATH. A PATH that begins with "~/"
// is relative to the home of USER, "~" alone is the home; "%" and two hex digits
// stand for any byte. A password in it is refused, and so is anything that could
// mean two things. [ErrAddress] for all of it; the text is not repeated in the
// error, for it may hold a password.
func ParseAddress(text string) (Address, error) {
	refused := func(why string) (Address, error) {
		return Address{}, fmt.Errorf("%w (%s)", ErrAddress, why)
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found || !strings.EqualFold(scheme, "sftp") {
		return refused("it does not begin with sftp://")
	}
	if strings.ContainsAny(rest, "?#") {
		return refused("? and # are written %3F and %23")
	}
	authority, rawPath, _ := strings.Cut(rest, "/")
	rawUser, rawHost, found := strings.Cut(authority, "@")
	if !found {
		return refused("the user is missing")
	}
	if strings.Contains(rawUser, ":") || strings.Contains(rawHost, "@") {
		return refused("a password does not belong in an address")
	}
	user, err := url.PathUnescape(rawUser)
	if err != nil || !validUser(user) {
		return refused("the user is not one")
	}
	host, port, ok := parseHost(rawHost)
	if !ok {
		return refused("the host or port is not one")
	}
	path, ok := parsePath(rawPath)
	if !ok {
		return refused("the path is not one")
	}
	return Address{User: user, Host: host, Port: port, Path: path}, nil
}

// String returns the canonical form, which ParseAddress reads back.
func (a Address) String() string {
	host := a.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if a.Port != defaultPort && a.Port != 0 {
		host += ":" + strconv.Itoa(a.Port)
	}
	path, absolute := strings.CutPrefix(a.Path, "/")
	switch {
	case absolute:
		path = "/" + escape(path, "/")
	case a.Path == "":
		path = "/~"
	default:
		path = "/~/" + escape(path, "/")
	}
	return "sftp://" + escape(a.User, "") + "@" + host + path
}

// escape writes every byte that is not unreserved (RFC 3986, section 2.3) as %XX.
// The tilde, which is unreserved there, means the home here.
func escape(s, keep string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._"+keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func validUser(user string) bool {
	return user != "" && strings.IndexFunc(user, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' }) < 0
}

// parseHost takes HOST, HOST:PORT, IPv4, or IPv6 in brackets.
func parseHost(text string) (host string, port int, ok bool) {
	host, rest := text, ""
	if inner, bracketed := strings.CutPrefix(text, "["); bracketed {
		if host, rest, ok = strings.Cut(inner, "]"); !ok || !strings.Contains(host, ":") {
			return "", 0, false
		}
		if rest != "" && rest[0] != ':' {
			return "", 0, false
		}
		rest = strings.TrimPrefix(rest, ":")
	} else if name, number, found := strings.Cut(text, ":"); found {
		host, rest = name, number
		if number == "" {
			return "", 0, false
		}
	}
	if text != "" && text[len(text)-1] == ':' {
		return "", 0, false
	}
	if port, ok = parsePort(rest); !ok {
		return "", 0, false
	}
	host, ok = canonicalHost(host)
	return host, port, ok
}

func parsePort(text string) (int, bool) {
	if text == "" {
		return defaultPort, true
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || strconv.FormatUint(port, 10) != text {
		return 0, false
	}
	return int(port), true
}

// canonicalHost returns the host in lower case, or an IP address in its one
// form. Names are letters, digits, dots, dashes and underscores: others are
// written in their ASCII form ("xn--").
func canonicalHost(host string) (string, bool) {
	plain := strings.Replace(host, "%25", "%", 1) // the zone of an IPv6 address (RFC 6874)
	if ip, err := netip.ParseAddr(plain); err == nil {
		return ip.String(), ip.Zone() == "" || strings.Trim(ip.Zone(), hostLetters) == ""
	}
	host = strings.ToLower(host)
	if host == "" || len(host) > 253 || strings.Trim(host, hostLetters) != "" || host[0] == '-' || host[0] == '.' {
		return "", false
	}
	return host, true
}

const hostLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

// parsePath takes what follows the slash after the host.
func parsePath(raw string) (string, bool) {
	first, rest, more := strings.Cut(raw, "/")
	home := first == "~" // as it is written: %7E is a folder of that name
	if home {
		raw = rest
	}
	if home && !more {
		return "", true
	}
	path, err := url.PathUnescape(raw)
	if err != nil {
		return "", false
	}
	path, ok := tidyPath(path)
	if !ok {
		return "", false
	}
	if home {
		// A folder named "~" in the home would read as the home itself elsewhere.
		return path, path != "~" && !strings.HasPrefix(path, "~/")
	}
	return "/" + path, true
}

// tidyPath removes empty and "." parts and slashes at both ends. A ".." is
// refused: what it means is for the server to say, where there are links.
func tidyPath(path string) (string, bool) {
	if strings.IndexByte(path, 0) >= 0 {
		return "", false
	}
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", ".":
			continue
		case "..":
			return "", false
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "/"), true
}

// endpoint is what is dialled.
func endpoint(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
