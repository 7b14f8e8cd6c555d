package webdav

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"coffer/cloud"
)

// maxAddress is how long an address may be in bytes: servers take 8 KiB for a
// whole request line, and an object's name is still to come.
const maxAddress = 2048

// ParseAddress reads what a person typed, https://[USER@]HOST[:PORT][/PATH], and
// returns its one canonical form, without the user, and the user or "". In the
// canonical form scheme and host are in lower case, a port that goes without
// saying is left out, and the path ends in "/". A canonical address is returned
// as it is.
//
// Anything else is [cloud.ErrAddress]: other schemes, a query, "." and ".." in the
// path, an encoded slash. A password in the address is refused as well: it would
// be kept and shown with it. No error holds any of the text.
func ParseAddress(text string) (address, user string, err error) {
	bad := func(why string) (string, string, error) {
		return "", "", fmt.Errorf("webdav address: %w: %s", cloud.ErrAddress, why)
	}
	if len(text) > maxAddress || strings.ContainsFunc(text, isControl) {
		return bad("too long, or not text")
	}
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return bad("it cannot be read") // the error of net/url quotes the text
	}
	if scheme := u.Scheme; scheme != "https" && scheme != "http" {
		return bad("it must begin with https://")
	}
	if _, has := u.User.Password(); has {
		return bad("it must not hold a password")
	}
	if u.Opaque != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(text, "#") {
		return bad("it must end with the folder's path")
	}
	host, ok := canonicalHost(u)
	if !ok {
		return bad("the host cannot be read")
	}
	path, ok := canonicalPath(u)
	if !ok {
		return bad("the path cannot be read")
	}
	if user = u.User.Username(); strings.ContainsFunc(user, isControl) {
		return bad("the user cannot be read")
	}
	return (&url.URL{Scheme: u.Scheme, Host: host, Path: path}).String(), user, nil
}

// canonicalHost returns the host in lower case, with the port if it is not the
// usual one.
func canonicalHost(u *url.URL) (string, bool) {
	host := strings.ToLower(u.Hostname())
	if host == "" || strings.ContainsAny(host, `%/\@ "<>`) {
		return "", false
	}
	if strings.Contains(host, ":") { // IPv6
		ip, err := netip.ParseAddr(host)
		if err != nil {
			return "", false
		}
		host = "[" + ip.String() + "]"
	}
	port := u.Port()
	if port == "" {
		return host, !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", false
	}
	if u.Scheme == "https" && n == 443 || u.Scheme == "http" && n == 80 {
		return host, true
	}
	return host + ":" + port, true
}

// canonicalPath returns the decoded path, with "/" at both ends. An encoded slash
// is refused: servers do not agree what it means.
func canonicalPath(u *url.URL) (string, bool) {
	if strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") || strings.ContainsFunc(u.Path, isControl) {
		return "", false
	}
	path := strings.TrimSuffix(u.Path, "/") + "/"
	if path == "/" {
		return path, true
	}
	for _, part := range strings.Split(path[1:len(path)-1], "/") {
		if part == "" || part == "." || part == ".." {
			return "", false
		}
	}
	return path, path[0] == '/'
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }

// isLoopback reports whether the host is this computer, which nobody else hears.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
