package s3

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"coffer/cloud"
)

// ErrAddress: this is not the address of a bucket. The error's text says why,
// and repeats nothing of the address: it may hold a password by mistake.
var ErrAddress = fmt.Errorf("s3: %w of a bucket", cloud.ErrAddress)

// ErrPlain: the address begins with http, and its server is not this computer.
// What is sent is sealed, but names, sizes and the session token are not, and
// nobody vouches for the server. See Config.AllowPlain.
var ErrPlain = fmt.Errorf("s3: http to another computer: %w", cloud.ErrPlain)

// Limits of S3: keys have at most 1,024 bytes, of which a name takes 46.
const (
	maxAddress = 2048
	maxPrefix  = 900
)

// An address is a parsed and canonical Config.Address.
type address struct {
	scheme string // "https" or "http"
	host   string // as in a URL: lower case, without the default port
	bucket string
	prefix string // of keys: "" or "a/b/"
}

// String is canonical: parsing it gives the same.
func (a address) String() string {
	text := a.scheme + "://" + a.host + "/" + a.bucket
	if a.prefix != "" {
		text += "/" + strings.TrimSuffix(a.prefix, "/")
	}
	return text
}

// url is the address of the bucket itself.
func (a address) url() url.URL {
	return url.URL{Scheme: a.scheme, Host: a.host, Path: "/" + a.bucket + "/"}
}

// isLocal reports whether the server is on this computer.
func (a address) isLocal() bool {
	name := hostOnly(a.host)
	if name == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback()
}

// ParseAddress checks https://HOST[:PORT]/BUCKET[/PREFIX] and returns the one
// way to write it: host in lower case, no default port, no slash at the end. The
// bucket is in the path, not in the host. A user, a password, a query or a
// fragment is refused, as is a bucket name that Amazon would not allow, and a
// prefix with other characters than those that are safe in a key everywhere
// (letters, digits and !-_.*'()). The error wraps [ErrAddress].
func ParseAddress(text string) (canonical string, err error) {
	a, err := parseAddress(text)
	if err != nil {
		return "", err
	}
	return a.String(), nil
}

func parseAddress(text string) (address, error) {
	if len(text) > maxAddress {
		return address{}, bad("it is too long")
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '%' {
			return address{}, bad("it has a character that is not allowed")
		}
	}
	if strings.ContainsAny(text, "?#") {
		return address{}, bad("it has a query or a fragment")
	}
	u, err := url.Parse(text)
	if err != nil {
		return address{}, bad("it is not a URL") // the cause repeats the text
	}
	if u.User != nil || strings.Contains(text, "@") {
		return address{}, bad("it has a user or a password in it; they belong elsewhere")
	}
	a := address{scheme: u.Scheme}
	if a.scheme != "https" && a.scheme != "http" || u.Opaque != "" {
		return address{}, bad("it does not begin with https://")
	}
	if a.host, err = canonicalHost(a.scheme, u); err != nil {
		return address{}, err
	}
	bucket, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if !validBucket(bucket) {
		return address{}, bad("the name of the bucket, the first word after the host, is missing or not allowed")
	}
	if prefix != "" {
		prefix += "/"
	}
	if !validPrefix(prefix) {
		return address{}, bad("the prefix after the bucket has an empty part, or characters that are not allowed")
	}
	a.bucket, a.prefix = bucket, prefix
	return a, nil
}

func bad(why string) error { return fmt.Errorf("%w: %s", ErrAddress, why) }

// canonicalHost returns host[:port] as it stands in a URL.
func canonicalHost(scheme string, u *url.URL) (string, error) {
	name := strings.ToLower(u.Hostname())
	port := u.Port()
	switch ip, err := netip.ParseAddr(name); {
	case err == nil && ip.Zone() != "":
		return "", bad("the server's address has a zone")
	case err == nil && ip.Is6():
		name = "[" + ip.String() + "]"
	case err == nil:
	case !validHost(name):
		return "", bad("the name of the server is missing or not allowed")
	}
	if strings.HasSuffix(u.Host, ":") {
		return "", bad("the port is missing")
	}
	if port == "" {
		return name, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", bad("the port is not a number from 1 to 65535")
	}
	if scheme == "https" && n == 443 || scheme == "http" && n == 80 {
		return name, nil
	}
	return name + ":" + port, nil
}

// hostOnly takes the port and the brackets off a host of a URL.
func hostOnly(host string) string {
	u := url.URL{Host: host}
	return u.Hostname()
}

// validHost: labels of letters, digits and dashes (RFC 1123, section 2.1), and
// underscores, which some private networks use. A name of digits alone would be
// read as an IPv4 address by some resolvers.
func validHost(name string) bool {
	if name == "" || len(name) > 253 || strings.Trim(name, "0123456789.") == "" {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// validBucket follows "Bucket naming rules" of the S3 User Guide for general
// purpose buckets. Those of other kinds have reserved endings.
func validBucket(name string) bool {
	if len(name) < 3 || len(name) > 63 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		return false
	}
	if strings.Trim(name[:1]+name[len(name)-1:], ".-") != name[:1]+name[len(name)-1:] || strings.Contains(name, "..") {
		return false
	}
	for _, start := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, start) {
			return false
		}
	}
	for _, end := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, end) {
			return false
		}
	}
	_, err := netip.ParseAddr(name)
	return err != nil
}

// validPrefix: "" or "a/b/", of the characters that the User Guide calls safe.
func validPrefix(prefix string) bool {
	if prefix == "" {
		return true
	}
	if len(prefix) > maxPrefix {
		return false
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(prefix, "/"), "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
		for _, c := range []byte(part) {
			letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
			if !letter && !strings.ContainsRune("!-_.*'()", rune(c)) {
				return false
			}
		}
	}
	return true
}
