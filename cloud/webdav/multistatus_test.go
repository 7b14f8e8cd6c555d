package webdav

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"coffer/cloud"
)

const listingText = `<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:x="urn:other">
<x:noise><x:more/>text</x:noise>
<D:response xmlns:lp1="DAV:"><D:href>/dav/</D:href><D:propstat><D:prop><lp1:resourcetype><D:collection/></lp1:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
<D:propstat><D:prop><lp1:getcontentlength/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>
<D:response><D:href>https://h/dav/%61%20b</D:href><D:propstat><D:prop><D:resourcetype/><D:getcontentlength>12</D:getcontentlength><x:getcontentlength>13</x:getcontentlength></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
<D:response><D:href>/dav/gone</D:href><D:href>/dav/too</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>
<D:sync-token>x</D:sync-token>
</D:multistatus>`

func itemsOf(text string, b bounds) (string, error) {
	var all []string
	err := readItems(strings.NewReader(text), b, func(i item) (bool, error) {
		all = append(all, fmt.Sprintf("%s %d %v %d", i.path, i.status, i.folder, i.size))
		return true, nil
	})
	return strings.Join(all, "; "), err
}

func TestReadItems(t *testing.T) {
	got, err := itemsOf(listingText, defaultBounds())
	const want = "/dav/ 200 true -1; /dav/a b 200 false 12; /dav/gone 404 false -1; /dav/too 404 false -1"
	if err != nil || got != want {
		t.Fatalf("%s, %v", got, err)
	}
	if _, err := itemsOf("\ufeff"+listingText, defaultBounds()); err != nil {
		t.Fatalf("with a byte order mark: %v", err)
	}
	for cut := range len(listingText) {
		if _, err := itemsOf(listingText[:cut], defaultBounds()); !errors.Is(err, errListing) {
			t.Fatalf("the first %d bytes are taken for all: %v", cut, err)
		}
	}
}

func TestHostileListings(t *testing.T) {
	const head, tail = `<D:multistatus xmlns:D="DAV:">`, `</D:multistatus>`
	response := func(inside string) string { return head + "<D:response>" + inside + "</D:response>" + tail }
	for name, text := range map[string]string{
		"nothing":          "",
		"html":             "<html><body>Sign in</body></html>",
		"another root":     `<D:propfind xmlns:D="DAV:"/>`,
		"no namespace":     `<multistatus></multistatus>`,
		"entities":         `<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>` + response("<D:href>/&b;</D:href><D:status>HTTP/1.1 200 OK</D:status>"),
		"external entity":  `<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + response("<D:href>/&x;</D:href>"),
		"unknown entity":   response("<D:href>/&b;</D:href><D:status>HTTP/1.1 200 OK</D:status>"),
		"late type":        head + `<!DOCTYPE m>` + tail,
		"wrong end":        head + "</D:response>",
		"no status":        response("<D:href>/x</D:href>"),
		"status of words":  response("<D:href>/x</D:href><D:status>HTTP/1.1 OK</D:status>"),
		"status of minus":  response("<D:href>/x</D:href><D:status>HTTP/1.1 -20 OK</D:status>"),
		"short status":     response("<D:href>/x</D:href><D:status>200 OK</D:status>"),
		"status too small": response("<D:href>/x</D:href><D:status>HTTP/1.1 099 OK</D:status>"),
		"other charset":    `<?xml version="1.0" encoding="utf-16"?>` + head + tail,
		"bad utf-8":        response("<D:href>/\xff</D:href>"),
		"two roots' start": head + head,
		"deep":             head + strings.Repeat("<D:x>", 1_000_000),
		"long":             response("<D:href>" + strings.Repeat("x", 10<<20) + "</D:href>"),
		"long attribute":   head + `<D:response x="` + strings.Repeat("x", 10<<20) + `"/>` + tail,
		"long comment":     "<!--" + strings.Repeat("x", 10<<20) + "-->" + head + tail,
	} {
		got, err := itemsOf(text, defaultBounds())
		if !errors.Is(err, errListing) || got != "" {
			t.Errorf("%s: %.100s, %v", name, got, err)
		} else if len(err.Error()) > 200 || strings.Contains(err.Error(), "passwd") {
			t.Errorf("%s: the error repeats the server: %.300v", name, err)
		}
	}
}

// endless is a listing without an end.
type endless struct {
	item string
	rest string
	sent int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		e.rest = e.item
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	e.sent += int64(n)
	return n, nil
}

func TestEndlessListings(t *testing.T) {
	const head = `<D:multistatus xmlns:D="DAV:">`
	const one = `<D:response><D:href>/x</D:href><D:status>HTTP/1.1 200 OK</D:status></D:response>`
	few := bounds{items: 1000, bytes: 1 << 20, item: 1 << 16}
	for name, c := range map[string]struct {
		item  string
		class error
	}{
		"items":   {one, errTooMany},
		"noise":   {"<D:x/>", errListing},
		"blanks":  {" ", errListing},
		"an item": {"<D:response>", errListing},
	} {
		e := &endless{item: c.item, rest: head}
		err := readItems(e, few, func(item) (bool, error) { return true, nil })
		if !errors.Is(err, c.class) || e.sent > 2<<20 {
			t.Errorf("%s: %v after %d bytes", name, err, e.sent)
		}
	}
	e := &endless{item: one, rest: head}
	if err := readItems(e, bounds{items: 1 << 30, bytes: 1 << 20, item: 1 << 16}, func(item) (bool, error) { return true, nil }); !errors.Is(err, errTooMany) {
		t.Errorf("by bytes: %v", err)
	}
	stop := errors.New("stop")
	if err := readItems(&endless{item: one, rest: head}, defaultBounds(), func(item) (bool, error) { return false, stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the reader: %v", err)
	}
	if err := readItems(&endless{item: one, rest: head}, defaultBounds(), func(item) (bool, error) { return false, nil }); err != nil {
		t.Errorf("a reader that has enough: %v", err)
	}
	broken := io.MultiReader(strings.NewReader(head), errReader{stop})
	if err := readItems(broken, defaultBounds(), func(item) (bool, error) { return true, nil }); !errors.Is(err, stop) {
		t.Errorf("a connection that breaks: %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestWantRange(t *testing.T) {
	for _, c := range []struct {
		field  string
		off, n int64
		length int64
		err    error
	}{
		{"bytes 0-9/10", 0, 10, 10, nil},
		{"bytes 5-9/10", 5, -1, 5, nil},
		{"bytes 5-6/*", 5, 2, 2, nil},
		{"bytes 5-9/10", 5, 6, 0, cloud.ErrRange},
		{"bytes 5-8/10", 5, 6, 0, errOtherRange},
		{"bytes 5-8/10", 5, -1, 0, errOtherRange},
		{"bytes 5-9/*", 5, -1, 0, errOtherRange},
		{"bytes 4-9/10", 5, 5, 0, errOtherRange},
		{"bytes 5-9/9", 5, 5, 0, errOtherRange},
		{"bytes 5-4/10", 5, 5, 0, errOtherRange},
		{"bytes 5-10/11", 5, 5, 0, errOtherRange},
		{"bytes */10", 5, 5, 0, errOtherRange},
		{"bytes 5-9", 5, 5, 0, errOtherRange},
		{"items 5-9/10", 5, 5, 0, errOtherRange},
		{"bytes +5-9/10", 5, 5, 0, errOtherRange},
		{"bytes 5-9/99999999999999999999", 5, 5, 0, errOtherRange},
		{"", 5, 5, 0, errOtherRange},
	} {
		length, err := wantRange(c.field, c.off, c.n)
		if length != c.length || !errors.Is(err, c.err) || err != nil && c.err == nil {
			t.Errorf("%q for %d from %d: %d, %v; want %d, %v", c.field, c.n, c.off, length, err, c.length, c.err)
		}
	}
}

func TestServerSum(t *testing.T) {
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	const base = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	for _, c := range []struct {
		name, value string
		ok          bool
	}{
		{"OC-Checksum", "SHA256:" + empty, true},
		{"OC-Checksum", "MD5:x sha256:" + strings.ToUpper(empty), true},
		{"Repr-Digest", "md5=:AA==:, sha-256=:" + base + ":", true},
		{"Digest", "SHA-256=" + base, true},
		{"OC-Checksum", "SHA256:" + empty[:62], false},
		{"OC-Checksum", "SHA1:" + empty, false},
		{"Digest", "sha-256=x", false},
		{"ETag", empty, false},
	} {
		h := http.Header{}
		h.Set(c.name, c.value)
		sum, ok := serverSum(h)
		if ok != c.ok || ok && sum != cloud.Bytes(nil).SHA256() {
			t.Errorf("%s: %s: %v", c.name, c.value, ok)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"0": 0, "90": 90 * time.Second, "4000000000": 24 * time.Hour,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0, "Fri, 02 Jan 2099 03:00:00 GMT": 24 * time.Hour,
		"": -1, "-1": -1, "1.5": -1, "soon": -1, "99999999999999999999": -1,
	} {
		got, ok := retryAfter(text, now)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}

// FuzzListing: what is read is bounded, whole, and never panics.
func FuzzListing(f *testing.F) {
	f.Add(listingText)
	f.Add(`<multistatus xmlns="DAV:"><response><href>/a</href><status>HTTP/1.1 200 OK</status></response></multistatus>`)
	f.Fuzz(func(t *testing.T, text string) {
		b := bounds{items: 10, bytes: 1 << 16, item: 1 << 12}
		count := 0
		err := readItems(strings.NewReader(text), b, func(i item) (bool, error) {
			if count++; i.path == "" || i.status < 100 || i.status > 999 || i.size < -1 {
				t.Fatalf("%+v", i)
			}
			return true, nil
		})
		if count > b.items {
			t.Fatal("too many")
		}
		if err == nil && !strings.Contains(text, "multistatus") {
			t.Fatal("it has no end")
		}
	})
}
