package trust

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
)

// Limits of a link, in bytes.
const (
	MaxLink   = 1024 // as it is pasted, with what mail programs have put into it
	MaxInvite = 128
	maxHost   = 253 // RFC 1035, section 2.3.4
	maxLabel  = 63
)

const (
	scheme     = "coffer-vault://"
	inviteMark = "?invite="
)

// A Link is what a user gets to reach a vault. The zero Link is none.
type Link struct {
	Address string   // host:port
	Root    [32]byte // Ed25519 public key of the offline root
	Second  [32]byte // of the second signer; zero: there is none
	Invite  string   // a secret, good once: who has it may register; empty: there is none
}

// HasSecond reports whether the link wants the second signature too.
func (l Link) HasSecond() bool { return l.Second != [32]byte{} }

// ParseLink reads a link:
//
//	coffer-vault://HOST:PORT[?invite=TOKEN]#ROOT[.SECOND]
//
// HOST is a DNS name in lower case, an IPv4 address, or an IPv6 address in brackets; PORT
// is 1 to 65535; TOKEN is 1 to 128 of the characters A-Z, a-z, 0-9, "-" and "_"; ROOT and
// SECOND are Ed25519 public keys in base64url without padding (RFC 4648, section 5), 43
// characters each. There is one spelling of a link, but for the spaces and line breaks
// that mail programs put into long lines: they are taken out, wherever they are. [ErrLink].
func ParseLink(s string) (Link, error) {
	if len(s) > MaxLink {
		return Link{}, fmt.Errorf("read link: longer than %d bytes: %w", MaxLink, ErrLink)
	}
	rest, ok := strings.CutPrefix(unwrap(s), scheme)
	if !ok {
		return Link{}, fmt.Errorf("read link: it does not begin with %s: %w", scheme, ErrLink)
	}
	place, keys, ok := strings.Cut(rest, "#")
	if !ok {
		return Link{}, fmt.Errorf("read link: the key after # is missing: %w", ErrLink)
	}
	var l Link
	var invited bool
	l.Address, l.Invite, invited = strings.Cut(place, inviteMark)
	if err := CheckAddress(l.Address); err != nil {
		return Link{}, fmt.Errorf("read link: %w", err)
	}
	if invited && !isToken(l.Invite) {
		return Link{}, fmt.Errorf("read link: the invitation is malformed: %w", ErrLink)
	}
	root, second, two := strings.Cut(keys, ".")
	if !readKey(&l.Root, root) {
		return Link{}, fmt.Errorf("read link: the key after # is incomplete or mistyped: %w", ErrLink)
	}
	if two && (!readKey(&l.Second, second) || l.Second == l.Root) {
		return Link{}, fmt.Errorf("read link: the second key is incomplete or mistyped: %w", ErrLink)
	}
	return l, nil
}

// String returns the one spelling of the link, also good for a QR code. It contains the
// invitation: see [Link.WithoutInvite].
func (l Link) String() string {
	s := scheme + l.Address
	if l.Invite != "" {
		s += inviteMark + l.Invite
	}
	s += "#" + base64.RawURLEncoding.EncodeToString(l.Root[:])
	if l.HasSecond() {
		s += "." + base64.RawURLEncoding.EncodeToString(l.Second[:])
	}
	return s
}

// fingerprintLabel separates this hash from others over keys.
const fingerprintLabel = "coffer-vault/1/fingerprint"

// Fingerprint is the first 80 bits of a hash of the link's keys, which nobody can meet with
// other keys, in five groups of four hexadecimal digits that can be read over the telephone.
func (l Link) Fingerprint() string {
	h := sha256.New()
	h.Write([]byte(fingerprintLabel + "\x00"))
	h.Write(l.Root[:])
	h.Write(l.Second[:])
	digits := hex.EncodeToString(h.Sum(nil)[:10])
	groups := make([]string, 0, 5)
	for ; digits != ""; digits = digits[4:] {
		groups = append(groups, digits[:4])
	}
	return strings.Join(groups, " ")
}

// WithoutInvite returns the link as it may be kept, shown and logged: an invitation is
// good for whoever reads it first.
func (l Link) WithoutInvite() Link {
	l.Invite = ""
	return l
}

// LogValue returns the link without its invitation: a log is read by many.
func (l Link) LogValue() slog.Value { return slog.StringValue(l.WithoutInvite().String()) }

// unwrap takes out what pasting leaves in a link: blanks, tabs, line breaks, and the
// non-breaking space that HTML mail likes.
func unwrap(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\r', '\n', '\u00a0':
			return -1
		}
		return r
	}, s)
}

// readKey reads a key that is not zero: zero stands for "no key" in a [Link], and is none
// of Ed25519 that anybody could have made (a point of small order).
func readKey(dst *[32]byte, s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	// The decoder skips line breaks; the length does not.
	return err == nil && len(s) == 43 && copy(dst[:], b) == 32 && *dst != [32]byte{}
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		if !isLetter(c) && !isDigit(c) && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= MaxInvite
}

// CheckAddress says whether s is host:port as links and bundles spell it: see [ParseLink].
// Addresses that name no computer (0.0.0.0, multicast) are refused. [ErrLink].
func CheckAddress(s string) error {
	host, port, err := SplitAddress(s)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("the port is not a number from 1 to 65535: %w", ErrLink)
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		if !isName(host) {
			return fmt.Errorf("the host is no name in lower case and no IP address: %w", ErrLink)
		}
		return nil
	}
	if addr.String() != host || addr.Zone() != "" || addr.Is4In6() {
		return fmt.Errorf("the IP address is not written in its usual form: %w", ErrLink)
	}
	if addr.IsUnspecified() || addr.IsMulticast() {
		return fmt.Errorf("the IP address names no computer: %w", ErrLink)
	}
	return nil
}

// SplitAddress returns the parts of host:port, an IPv6 address without its brackets. It
// checks the form only: [CheckAddress]. [ErrLink].
func SplitAddress(s string) (host, port string, err error) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return "", "", fmt.Errorf("the port is missing: %w", ErrLink)
	}
	host, port = s[:colon], s[colon+1:]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); !ok || !strings.Contains(inner, ":") {
			return "", "", fmt.Errorf("the brackets hold no IPv6 address: %w", ErrLink)
		}
		return inner, port, nil
	}
	if strings.ContainsAny(host, ":[]") {
		return "", "", fmt.Errorf("an IPv6 address needs brackets, and a port: %w", ErrLink)
	}
	return host, port, nil
}

// isName reports whether s is a DNS name (RFC 1123, section 2.1) in lower case. The last
// label must not be a number: resolvers take "127.1" and "127.0x1" for addresses.
func isName(s string) bool {
	if len(s) > maxHost {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !isLetter(c) && !isDigit(c) && c != '-' {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	hex, isHex := strings.CutPrefix(last, "0x")
	return strings.Trim(last, "0123456789") != "" && !(isHex && strings.Trim(hex, "0123456789abcdef") == "")
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
