package webdav

import (
	"errors"
	"strings"
	"testing"

	"coffer/cloud"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"https://example.org":                           "https://example.org/ ",
		" https://example.org/ ":                        "https://example.org/ ",
		"HTTPS://Example.ORG:443/Backup":                "https://example.org/Backup/ ",
		"https://ann@example.org/a b/":                  "https://example.org/a%20b/ ann",
		"https://ann@example.com@example.org/x":         "https://example.org/x/ ann@example.com",
		"https://example.org:8443/remote.php/dav/f/ann": "https://example.org:8443/remote.php/dav/f/ann/ ",
		"https://example.org/%C3%A9%41/":                "https://example.org/%C3%A9A/ ",
		"https://example.org/é":                         "https://example.org/%C3%A9/ ",
		"http://127.0.0.1:8080/x":                       "http://127.0.0.1:8080/x/ ",
		"http://[::1]:80/x":                             "http://[::1]/x/ ",
		"https://[2001:DB8:0::1]/":                      "https://[2001:db8::1]/ ",
		"https://a%20b@example.org/":                    "https://example.org/ a b",
	} {
		address, user, err := ParseAddress(text)
		if err != nil || address+" "+user != want {
			t.Errorf("%q: %q %q, %v; want %q", text, address, user, err, want)
			continue
		}
		if again, user, err := ParseAddress(address); again != address || user != "" || err != nil {
			t.Errorf("%q is not canonical: %q, %q, %v", address, again, user, err)
		}
		if _, err := New(Config{Address: address, AllowPlain: true}); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
	const secret = "hunter2"
	for _, text := range []string{
		"", "x", "example.org", "//example.org/", "ftp://example.org/", "file:///x", "https:example.org", "https:///x", "https://:443/",
		"https://ann:" + secret + "@example.org/", "https://:" + secret + "@example.org/", "https://ann:" + secret + "@example.org:x/",
		"https://example.org/?" + secret, "https://example.org/?", "https://example.org/#" + secret, "https://example.org/#",
		"https://example.org/a/../b", "https://example.org/a/%2e%2e/b", "https://example.org/./b", "https://example.org//b", "https://example.org/b//",
		"https://example.org/a%2Fb", "https://example.org/a%2fb", "https://example.org/a%00b", "https://example.org/\n", "https://example.org/%zz",
		"https://example.org:0/", "https://example.org:65536/", "https://example.org:/", "https://example.org:08/", "https://example.org:+8/",
		"https://exam ple.org/", "https://[::1%25eth0]/", "https://[::g]/", "https://a%0ab@example.org/", "https://example.org/" + strings.Repeat("x", maxAddress),
	} {
		address, user, err := ParseAddress(text)
		if !errors.Is(err, cloud.ErrAddress) || address != "" || user != "" {
			t.Errorf("%.60q is taken: %q, %q, %v", text, address, user, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

func TestNew(t *testing.T) {
	for address, class := range map[string]error{
		"https://ann@example.org/": cloud.ErrAddress,
		"https://example.org":      cloud.ErrAddress,
		"https://Example.org/":     cloud.ErrAddress,
		"":                         cloud.ErrAddress,
		"http://example.org/":      cloud.ErrPlain,
		"http://10.0.0.1/":         cloud.ErrPlain,
		"http://localhost.evil/":   cloud.ErrPlain,
		"http://localhost/":        nil,
		"http://127.3.2.1:8080/":   nil,
		"http://[::1]/":            nil,
	} {
		if _, err := New(Config{Address: address}); !errors.Is(err, class) || err != nil && class == nil {
			t.Errorf("%q: %v, want %v", address, err, class)
		}
	}
}

// FuzzParseAddress: an address that is taken is canonical, and holds no user.
func FuzzParseAddress(f *testing.F) {
	f.Add("https://ann@example.org:443/a b/%C3%A9")
	f.Add("http://[::1]:8080/x")
	f.Fuzz(func(t *testing.T, text string) {
		address, _, err := ParseAddress(text)
		if err != nil {
			return
		}
		again, user, err := ParseAddress(address)
		if err != nil || again != address || user != "" || !strings.HasSuffix(address, "/") {
			t.Fatalf("%q, then %q, %q, %v", address, again, user, err)
		}
	})
}
