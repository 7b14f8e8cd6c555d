package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"coffer/cloud"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"https://s3.eu-central-1.amazonaws.com/ann-backup": "https://s3.eu-central-1.amazonaws.com/ann-backup",
		"https://S3.Example.ORG:443/ann-backup/":           "https://s3.example.org/ann-backup",
		"http://localhost:80/abc/a/B":                      "http://localhost/abc/a/B",
		"https://10.0.0.1:9000/abc/coffer/Ann.s/x_y-z/":    "https://10.0.0.1:9000/abc/coffer/Ann.s/x_y-z",
		"https://[::1]:9000/abc":                           "https://[::1]:9000/abc",
		"https://[0:0:0:0:0:0:0:1]/abc":                    "https://[::1]/abc",
		"https://nas_1/a.b.c":                              "https://nas_1/a.b.c",
	} {
		got, err := ParseAddress(text)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
		if again, err := ParseAddress(got); err != nil || again != got {
			t.Errorf("%s is not canonical: %s, %v", got, again, err)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	long := strings.Repeat("a", 64)
	bad := []string{
		"", "https", "https://", "https:///", "https:///abc", "https://host", "https://host/", "https://host//", "https:host/abc", "s3://host/abc", "ftp://host/abc",
		"//host/abc", "host/abc", "HTTPS//host/abc", " https://host/abc", "https://host/abc ", "https://ho st/abc", "https://host/abc\n", "https://höst/abc",
		"https://ann:hunter2@host/abc", "https://ann@host/abc", "https://host/abc@x", "https://host/abc?", "https://host/abc?x=1", "https://host/abc#", "https://host/abc#x",
		"https://host:/abc", "https://host:0/abc", "https://host:65536/abc", "https://host:09/abc", "https://host:x/abc", "https://host:-1/abc", "https://host:1:2/abc",
		"https://-host/abc", "https://host-/abc", "https://a..b/abc", "https://.host/abc", "https://host./abc", "https://1.2.3/abc", "https://1.2.3.4.5/abc", "https://999.1.1.1/abc",
		"https://" + long + "/abc", "https://[::1/abc", "https://[fe80::1%25eth0]/abc", "https://[::1]x/abc",
		"https://host/ab", "https://host/" + long, "https://host/ABC", "https://host/a_b", "https://host/-abc", "https://host/abc-", "https://host/.abc", "https://host/abc.",
		"https://host/a..b", "https://host/10.0.0.1", "https://host/xn--abc", "https://host/abc-s3alias", "https://host/abc--x-s3",
		"https://host/abc//x", "https://host/abc/x//y", "https://host/abc/./x", "https://host/abc/../x", "https://host/abc/%2e%2e", "https://host/abc/a%20b", "https://host/abc/a b",
		"https://host/abc/a\\b", "https://host/abc/a&b", "https://host/abc/a:b", "https://host/abc/ü", "https://host/abc/" + strings.Repeat("x/", 500), "https://host/" + strings.Repeat("x", 3000),
	}
	for _, text := range bad {
		got, err := ParseAddress(text)
		if !errors.Is(err, ErrAddress) || got != "" {
			t.Errorf("%q is taken as %q, %v", text, got, err)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "höst")) {
			t.Errorf("%q is repeated: %v", text, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for address, plain := range map[string]bool{
		"http://127.0.0.1:9000/abc": true, "http://127.8.0.1/abc": true, "http://localhost/abc": true, "http://[::1]/abc": true, "https://nas/abc": true,
		"http://nas/abc": false, "http://10.0.0.1/abc": false, "http://localhost.thief.example/abc": false,
	} {
		_, err := New(Config{Address: address})
		if (err == nil) != plain || err != nil && !errors.Is(err, ErrPlain) {
			t.Errorf("%s: %v", address, err)
		}
		if _, err := New(Config{Address: address, AllowPlain: true}); err != nil {
			t.Errorf("%s, allowed: %v", address, err)
		}
	}
	for _, c := range []Config{{Region: "a/b"}, {Region: "a.b"}, {LockDays: -1}, {LockDays: 40_000}} {
		c.Address = "https://host/abc"
		if _, err := New(c); !errors.Is(err, ErrAddress) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, text := range []string{"https://s3.eu-central-1.amazonaws.com/ann-backup/x", "http://[::1]:9000/abc", "https://a:b@c/ddd", "https://host:443/abc/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseAddress(text)
		if err != nil {
			return
		}
		if again, err := ParseAddress(got); err != nil || again != got {
			t.Fatalf("%q gives %q, and that %q, %v", text, got, again, err)
		}
		if strings.ContainsAny(got, "@?#% ") {
			t.Fatalf("%q gives %q", text, got)
		}
	})
}

func TestParseRange(t *testing.T) {
	good := "bytes 10-109/10000"
	if from, to, total, ok := parseRange(good); !ok || from != 10 || to != 109 || total != 10_000 {
		t.Fatalf("%s: %d %d %d %v", good, from, to, total, ok)
	}
	for i := range good {
		if cut := good[:i]; i < len("bytes 10-109/110") {
			if _, _, _, ok := parseRange(cut); ok {
				t.Errorf("%q is taken", cut)
			}
		}
		for _, c := range []byte("x -/*+") {
			other := good[:i] + string(c) + good[i+1:]
			if _, _, _, ok := parseRange(other); ok && other != good {
				t.Errorf("%q is taken", other)
			}
		}
	}
	for _, bad := range []string{"bytes 5-4/10", "bytes 0-10/10", "bytes 0-9/9223372036854775808", "bytes -1-9/10", "bytes */10", "bytes 0-9/*"} {
		if _, _, _, ok := parseRange(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes 0-9/10")
	f.Add("bytes */10")
	f.Fuzz(func(t *testing.T, text string) {
		if from, to, total, ok := parseRange(text); ok && (from < 0 || to < from || total <= to) {
			t.Fatalf("%q: %d-%d/%d", text, from, to, total)
		}
	})
}

func TestDecode(t *testing.T) {
	good := "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>false</IsTruncated>" +
		"<Contents><Key>a%20b</Key><Size>3</Size></Contents><EncodingType>url</EncodingType></ListBucketResult>"
	var doc page
	if err := decode([]byte(good), &doc, "ListBucketResult"); err != nil || len(doc.keys()) != 1 || doc.keys()[0].key != "a b" {
		t.Fatalf("%+v, %v", doc, err)
	}
	for i := range good {
		if err := decode([]byte(good[:i]), &page{}, "ListBucketResult"); err == nil {
			t.Errorf("a prefix of %d bytes is taken", i)
		}
	}
	if err := decode([]byte(good), &page{}, "ListVersionsResult"); !errors.Is(err, errNotS3) {
		t.Errorf("another root: %v", err)
	}
}

func FuzzPage(f *testing.F) {
	f.Add([]byte("<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker><Version><Key>a</Key><VersionId>1</VersionId></Version>" +
		"<DeleteMarker><Key>b</Key><IsLatest>true</IsLatest></DeleteMarker></ListVersionsResult>"))
	f.Add([]byte("<Error><Code>SlowDown</Code></Error>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if code, _, is := refusalIn(body); is {
			if err := refusal(200, code, "", http.Header{}, time.Unix(0, 0)); err.class == nil {
				t.Fatal("a refusal of no class")
			}
		}
		var doc page
		if decode(body, &doc, "ListVersionsResult", "ListBucketResult") != nil {
			return
		}
		if xml.Unmarshal(body, new(struct{})) != nil {
			t.Fatal("not XML")
		}
		for _, k := range doc.keys() {
			if k.size < 0 {
				t.Fatalf("%+v", k)
			}
		}
		doc.next()
	})
}

// TestHistoryKeepsTheOldest: a thief who makes many versions does not push out
// the one that was there before.
func TestHistoryKeepsTheOldest(t *testing.T) {
	h := &history{}
	const count = 10*maxVersions + 7
	for i := range count {
		h.add(listed{key: "k", size: int64(i), latest: i == 0})
	}
	if len(h.versions) > 2*maxVersions || !h.dropped || h.versions[len(h.versions)-1].size != count-1 {
		t.Fatalf("%d versions", len(h.versions))
	}
}

// TestNamed: what bytes a name promises.
func TestNamed(t *testing.T) {
	data := []byte("x")
	name := cloud.Name("pack", data)
	sum := "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of "x"
	for _, c := range []struct {
		name, sum string
		want      bool
	}{
		{name, sum, true},
		{name, "", false},
		{name, strings.Repeat("0", 64), false},
		{"README.txt", "", true},
		{"README.txt", sum, true},
	} {
		if got := named(c.name, c.sum); got != c.want {
			t.Errorf("%s, %s: %v", c.name, c.sum, got)
		}
	}
}
