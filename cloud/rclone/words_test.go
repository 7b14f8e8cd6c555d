package rclone

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"coffer/cloud"
)

func mustRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestClassOfWords(t *testing.T) {
	for text, class := range map[string]error{
		`2026/01/02 03:04:05 Failed to create file system for "x:": didn't find section in config file`:           cloud.ErrNoRemote,
		"Failed to lsjson: directory not found":                                                                   cloud.ErrNoPlace,
		"ERROR : pack-1: Failed to copy: googleapi: Error 403: quota, rateLimitExceeded":                          cloud.ErrLimit,
		"ERROR : upload: Rcat failed: HTTP error 507 (507 Insufficient Storage) returned body: \"\"":              cloud.ErrFull,
		"ERROR : write /mnt/x: no space left on device":                                                           cloud.ErrFull,
		"couldn't fetch token - maybe it has expired? - refresh with \"rclone config reconnect x:\"":              cloud.ErrAuth,
		"Failed to load config file: unable to decrypt configuration and not allowed to ask for password":         cloud.ErrAuth,
		"ERROR: AccessDenied: Access Denied status code: 403":                                                     cloud.ErrDenied,
		"open /x: read-only file system":                                                                          cloud.ErrReadOnly,
		`Propfind "https://x/": dial tcp: lookup x: no such host`:                                                 cloud.ErrOffline,
		`Get "https://x": tls: failed to verify certificate: x509: certificate signed by unknown authority`:       cloud.ErrIdentity,
		"2026/11/21 22:43:48 NOTICE: Local file system at /tmp/x: WebDav Server started on http://127.0.0.1:401/": nil,
		"NOTICE: 403 files, 12507 bytes":                                                                          nil,
	} {
		w := newWords("x:")
		fmt.Fprintln(w, text)
		if got := classOf(w.since(0)); !errors.Is(got, class) || class == nil && got != nil {
			t.Errorf("%s: %v, want %v", text, got, class)
		}
	}
}

// TestRemoteSaysNothing: a folder may be called anything.
func TestRemoteSaysNothing(t *testing.T) {
	w := newWords("box:/Quota/Unauthorized")
	fmt.Fprintln(w, "NOTICE: local at box:/quota/unauthorized: all is well")
	if got := classOf(w.since(0)); got != nil {
		t.Fatal(got)
	}
}

func TestWordsAreBounded(t *testing.T) {
	w := newWords("")
	for range 1000 {
		fmt.Fprint(w, strings.Repeat("x", 100_000))
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, strings.Repeat("y", 100_000))
	lines := w.since(0)
	if len(lines) != maxLines+1 || len(lines[0]) != maxLine || len(w.part) != maxLine {
		t.Fatalf("%d lines of %d bytes", len(lines), len(lines[0]))
	}
	mark := w.mark()
	fmt.Fprintln(w)
	fmt.Fprintln(w, "z")
	if got := w.since(mark); len(got) != 2 || got[1] != "z" {
		t.Fatalf("%d lines since", len(got))
	}
}

func TestStartedLine(t *testing.T) {
	for line, want := range map[string]string{
		"2022/12/01 NOTICE: Local file system at /x: WebDav Server started on http://127.0.0.1:40129/":   "http://127.0.0.1:40129/",
		"2025/12/01 NOTICE: Local file system at /x: WebDav Server started on [http://127.0.0.1:40129/]": "http://127.0.0.1:40129/",
		"NOTICE: WebDav Server started on http://127.0.0.1:40129/ for http://evil.example/":              "",
		"NOTICE: WebDav Server started on http://evil.example:80/":                                       "",
		"NOTICE: go to http://127.0.0.1:53682/ to sign in":                                               "",
	} {
		w := newWords("")
		fmt.Fprintln(w, line)
		got := ""
		select {
		case got = <-w.address:
		default:
		}
		if got != want {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// FuzzWords: whatever a child says is bounded, and its marks are right.
func FuzzWords(f *testing.F) {
	f.Add([]byte("a\nb\nc"), 2)
	f.Add([]byte("WebDav Server started on http://127.0.0.1:1/\n"), 10)
	f.Fuzz(func(t *testing.T, said []byte, cut int) {
		whole, parts := newWords("q"), newWords("q")
		fmt.Fprintf(whole, "%s", said)
		cut = min(max(cut, 0), len(said))
		fmt.Fprintf(parts, "%s", said[:cut])
		mark := parts.mark()
		fmt.Fprintf(parts, "%s", said[cut:])
		if strings.Join(whole.since(0), "\n") != strings.Join(parts.since(0), "\n") {
			t.Fatal("it matters where a write is cut")
		}
		for _, w := range []*words{whole, parts} {
			if len(w.since(0)) > maxLines+1 || len(w.since(mark)) > len(w.since(0)) {
				t.Fatal("too many lines")
			}
		}
	})
}

// FuzzRemotes: every name that is taken could be a remote's, and comes back.
func FuzzRemotes(f *testing.F) {
	f.Add([]byte("box: local\nmy gd:  drive\nx:\n"))
	f.Add([]byte("--config: x\n:local: y\na,b=c: s3\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		var text strings.Builder
		all := parseRemotes(out)
		for _, r := range all {
			if name, err := remoteName(r.name + ":path"); err != nil || name != r.name {
				t.Fatalf("%q: %v", r.name, err)
			}
			fmt.Fprintf(&text, "%s: %s\n", r.name, r.kind)
		}
		if again := parseRemotes([]byte(text.String())); fmt.Sprint(again) != fmt.Sprint(all) {
			t.Fatalf("%q, then %q", all, again)
		}
	})
}
