package s3_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/s3"
)

// onKeys calls f for requests about objects, the probe's left out.
func onKeys(f func(w http.ResponseWriter, r *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		key := strings.TrimPrefix(r.URL.Path, "/"+bucket+"/")
		return key != "" && !strings.Contains(key, "probe") && f(w, r)
	}
}

// TestRefusals: each word of a server, and each status without one, is its
// class; and what the server repeats of our secrets is not in the error.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   error
	}{
		{404, "NoSuchKey", cloud.ErrNotFound},
		{404, "NoSuchBucket", cloud.ErrNoPlace},
		{403, "AccessDenied", cloud.ErrDenied},
		{403, "InvalidAccessKeyId", cloud.ErrAuth},
		{403, "SignatureDoesNotMatch", cloud.ErrAuth},
		{400, "ExpiredToken", cloud.ErrAuth},
		{403, "RequestTimeTooSkewed", s3.ErrClock},
		{403, "RequestTimeTooSkewed", cloud.ErrDenied},
		{403, "InvalidObjectState", s3.ErrArchived},
		{403, "InvalidObjectState", cloud.ErrArchived},
		{503, "SlowDown", cloud.ErrLimit},
		{429, "", cloud.ErrLimit},
		{507, "", cloud.ErrFull},
		{507, "XMinioStorageFull", cloud.ErrFull},
		{403, "QuotaExceeded", cloud.ErrFull},
		{500, "InternalError", cloud.ErrOffline},
		{503, "ServiceUnavailable", cloud.ErrOffline},
		{504, "", cloud.ErrOffline},
		{520, "", cloud.ErrOffline},
		{401, "", cloud.ErrAuth},
		{403, secret, cloud.ErrDenied},
		{404, token, cloud.ErrOffline},
		{400, "BadDigest", cloud.ErrChecksum},
		{409, "OperationAborted", cloud.ErrOffline},
		{200, "SlowDown", cloud.ErrLimit},
		{200, "InternalError", cloud.ErrOffline},
	} {
		m := newMini()
		m.before = onKeys(func(w http.ResponseWriter, r *http.Request) bool {
			refuse(w, c.status, c.code)
			return true
		})
		d := m.driver(t)
		data := content(1, 100)
		name := cloud.Name("pack", data)
		what := fmt.Sprintf("%d %s", c.status, c.code)
		_, err := read(t.Context(), d, name, 0, -1)
		wantIs(t, what+", get", err, c.want)
		wantIs(t, what+", put", d.Put(t.Context(), name, cloud.Bytes(data)), c.want)
		if c.want != cloud.ErrNotFound { //nolint:errorlint // the table's own value
			wantIs(t, what+", delete", d.Delete(t.Context(), name), c.want)
		}
		if c.status != 200 { // a HEAD has no body
			_, err = d.Stat(t.Context(), name)
			wantIs(t, what+", stat", err, c.want)
		}
	}
}

// TestClock: both times are told.
func TestClock(t *testing.T) {
	m := newMini()
	there := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
	m.before = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Date", there.UTC().Format(http.TimeFormat))
		refuse(w, 403, "RequestTimeTooSkewed")
		return true
	}
	d := m.driver(t)
	everyFailure(t, d, s3.ErrClock)
	var clock *s3.ClockError
	if err := listError(t, d); !errors.As(err, &clock) || !clock.There.Equal(there) || time.Since(clock.Here) > time.Minute {
		t.Fatalf("clock: %+v", clock)
	}
	if !errors.Is(clock, cloud.ErrClock) || !errors.Is(clock, cloud.ErrDenied) {
		t.Fatalf("%v is of no class", clock)
	}
}

// TestRetryAfter: a time that the server names is obeyed, within reason.
func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"30": 30 * time.Second, "999999999": 24 * time.Hour} {
		m := newMini()
		m.before = onKeys(func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Retry-After", header)
			refuse(w, 503, "SlowDown")
			return true
		})
		_, err := read(t.Context(), m.driver(t), "README.txt", 0, -1)
		var limit *cloud.LimitError
		if !errors.As(err, &limit) || (time.Until(limit.Until)-want).Abs() > 5*time.Second {
			t.Fatalf("%s: %v", header, err)
		}
	}
}

// TestFullThenDelete: a full bucket still deletes.
func TestFullThenDelete(t *testing.T) {
	m := newMini()
	d := m.driver(t)
	name := mustPut(t, d, content(1, 100))
	m.before = onKeys(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		refuse(w, 403, "QuotaExceeded")
		return true
	})
	data := content(2, 100)
	wantIs(t, "put", d.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data)), cloud.ErrFull)
	must(t, "delete", d.Delete(t.Context(), name))
}

// TestWrongAnswers: bytes that are cut, shifted, or fewer than announced never
// look like the object.
func TestWrongAnswers(t *testing.T) {
	data := content(1, 10_000)
	name := cloud.Name("pack", data)
	answer := func(status int, h map[string]string, body []byte) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet {
				return false
			}
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			for k, v := range h {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			_, _ = w.Write(body) // who does not read on is a case too
			return true
		}
	}
	for what, c := range map[string]struct {
		off, n int64
		before func(http.ResponseWriter, *http.Request) bool
	}{
		"cut":                 {0, -1, answer(200, map[string]string{"Content-Length": "10000"}, data[:5000])},
		"cut range":           {10, 100, answer(206, map[string]string{"Content-Length": "100", "Content-Range": "bytes 10-109/10000"}, data[10:60])},
		"another range":       {10, 100, answer(206, map[string]string{"Content-Length": "100", "Content-Range": "bytes 11-110/10000"}, data[11:111])},
		"a shorter range":     {10, 100, answer(206, map[string]string{"Content-Length": "50", "Content-Range": "bytes 10-59/10000"}, data[10:60])},
		"a longer range":      {10, 100, answer(206, map[string]string{"Content-Length": "200", "Content-Range": "bytes 10-209/10000"}, data[10:210])},
		"range without word":  {10, 100, answer(206, map[string]string{"Content-Length": "100"}, data[10:110])},
		"range of any size":   {10, 100, answer(206, map[string]string{"Content-Length": "100", "Content-Range": "bytes 10-109/*"}, data[10:110])},
		"range lies of size":  {10, 100, answer(206, map[string]string{"Content-Length": "50", "Content-Range": "bytes 10-109/10000"}, data[10:60])},
		"tail without tail":   {10, -1, answer(206, map[string]string{"Content-Length": "100", "Content-Range": "bytes 10-109/10000"}, data[10:110])},
		"whole, but cut":      {10, 100, answer(200, map[string]string{"Content-Length": "10000"}, data[:50])},
		"no length":           {0, -1, answer(200, nil, data)},
		"no content":          {0, -1, answer(204, nil, nil)},
		"an error as success": {0, -1, answer(200, map[string]string{"Content-Type": "application/xml", "Content-Length": "44"}, []byte("<Error><Code>InternalError</Code></Error>   "))},
	} {
		m := newMini()
		d := m.driver(t)
		mustPut(t, d, data)
		m.before = onKeys(c.before)
		got, err := read(t.Context(), d, name, c.off, c.n)
		if err == nil {
			t.Errorf("%s: %d bytes, and no error", what, len(got))
		} else {
			wantIs(t, what, err, cloud.ErrOffline)
		}
	}
	m := newMini()
	d := m.driver(t)
	mustPut(t, d, data)
	m.before = onKeys(answer(206, map[string]string{"Content-Length": "10", "Content-Range": "bytes 10-19/20"}, data[10:20]))
	_, err := read(t.Context(), d, name, 10, 100)
	wantIs(t, "a range past the end", err, cloud.ErrRange)
}

// TestWrongListings: a listing that does not end, or is something else, is an error.
func TestWrongListings(t *testing.T) {
	var pages atomic.Int64
	name := cloud.Name("pack", []byte("x"))
	for what, answer := range map[string]func(r *http.Request) string{
		"circle of tokens": func(r *http.Request) string {
			n, _ := strconv.Atoi(r.URL.Query().Get("continuation-token"))
			return fmt.Sprintf("<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken></ListBucketResult>", 1+(n+1)%57)
		},
		"circle of keys, with fresh tokens": func(*http.Request) string {
			n := pages.Add(1)
			return fmt.Sprintf("<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken>"+
				"<Contents><Key>coffer/%d</Key><Size>1</Size></Contents></ListBucketResult>", n, n%31)
		},
		"empty pages without end": func(*http.Request) string {
			return fmt.Sprintf("<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken></ListBucketResult>", pages.Add(1))
		},
		"more, but not where": func(*http.Request) string {
			return "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>coffer/" + name + "</Key></Contents></ListBucketResult>"
		},
		"a page of a hotel":   func(*http.Request) string { return "<html><body>Welcome, please pay</body></html>" },
		"nothing":             func(*http.Request) string { return "" },
		"half a document":     func(*http.Request) string { return "<ListBucketResult><IsTruncated>false</IsTruncated><Contents>" },
		"an error as success": func(*http.Request) string { return "<Error><Code>InternalError</Code></Error>" },
		"another document":    func(*http.Request) string { return "<ListVersionsResult/>" },
		"more than fits": func(*http.Request) string {
			return "<ListBucketResult>" + strings.Repeat(" ", 17<<20) + "</ListBucketResult>"
		},
		"a size that is a letter": func(*http.Request) string {
			return "<ListBucketResult><Contents><Size>x</Size></Contents></ListBucketResult>"
		},
	} {
		m := newMini()
		m.before = func(w http.ResponseWriter, r *http.Request) bool {
			if !r.URL.Query().Has("list-type") {
				return false
			}
			io.WriteString(w, answer(r))
			return true
		}
		err := listError(t, m.driver(t))
		if err == nil {
			t.Errorf("%s: no error", what)
			continue
		}
		wantIs(t, what, err, cloud.ErrOffline)
	}
}

// TestForeignKeys: what is not ours is not listed, not even below a folder that
// has one of our names.
func TestForeignKeys(t *testing.T) {
	m := newMini()
	d := m.driver(t)
	m.pageSize = 2
	ours := mustPut(t, d, content(1, 10))
	name := cloud.Name("pack", []byte("other"))
	for _, key := range []string{
		name, "coffer/sub/" + name, "coffer/" + name + "/x", "coffer/" + name + ".bak", "coffer/notes & things\n.txt", "coffer/%zz", "coffer/",
		"coffers/" + name, "coffer/" + strings.ToUpper(name), "coffer//" + name,
	} {
		m.set(key, []byte("foreign"))
	}
	seen := listed(t, d, "")
	if len(seen) != 1 || seen[ours] != 10 {
		t.Fatalf("listed %v", seen)
	}
	if _, err := d.Maintain(t.Context()); err != nil || len(m.stored()) != 11 {
		t.Fatalf("maintain: %v; left %v", err, m.stored())
	}
}

// TestHung: a server that does not answer holds nobody longer than the context.
func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMini()
		d := m.driver(t)
		data := content(1, 100)
		name := mustPut(t, d, data)
		m.before = func(_ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		}
		for what, op := range map[string]func(context.Context) error{
			"put":    func(ctx context.Context) error { return d.Put(ctx, name, cloud.Bytes(data)) },
			"get":    func(ctx context.Context) error { _, err := read(ctx, d, name, 0, -1); return err },
			"stat":   func(ctx context.Context) error { _, err := d.Stat(ctx, name); return err },
			"delete": func(ctx context.Context) error { return d.Delete(ctx, name) },
			"list": func(ctx context.Context) (last error) {
				for _, err := range d.List(ctx, "") {
					last = err
				}
				return last
			},
			"first request": func(ctx context.Context) error { return m.driver(t).Delete(ctx, name) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			began := time.Now()
			wantIs(t, what, op(ctx), context.DeadlineExceeded)
			if waited := time.Since(began); waited != time.Minute {
				t.Fatalf("%s: waited %v", what, waited)
			}
			cancel()
		}
	})
}

// TestWrongBytesOnTheWay: a byte that changes between here and the disk of the
// server is noticed, by the server or by reading back, and does not stay.
func TestWrongBytesOnTheWay(t *testing.T) {
	for what, set := range map[string]func(*mini){
		"a server that checks":        func(*mini) {},
		"one that takes no checksum":  func(m *mini) { m.refuseSum = true },
		"one that believes all":       func(m *mini) { m.trusting = true },
		"one that knows no condition": func(m *mini) { m.trusting, m.refuseIfAbsent = true, true },
	} {
		m := newMini()
		set(m)
		d := m.driver(t)
		mustPut(t, d, content(1, 10))
		m.before = onKeys(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				body, err := io.ReadAll(r.Body)
				if err == nil {
					body[len(body)/2] ^= 1
				}
				r.Body = io.NopCloser(strings.NewReader(string(body)))
			}
			return false
		})
		data := content(2, 1000)
		name := cloud.Name("pack", data)
		wantIs(t, what, d.Put(t.Context(), name, cloud.Bytes(data)), cloud.ErrChecksum)
		if slices.Contains(m.stored(), "coffer/"+name) {
			t.Errorf("%s: the wrong bytes stay", what)
		}
		m.before = nil
		must(t, "put again", d.Put(t.Context(), name, cloud.Bytes(data)))
		wantData(t, d, name, data)
	}
}

// TestLostAnswers: the work was done and the answer got lost. Again is success.
func TestLostAnswers(t *testing.T) {
	m := newMini()
	d := m.driver(t)
	mustPut(t, d, content(1, 10))
	lose := true
	m.before = onKeys(func(_ http.ResponseWriter, r *http.Request) bool {
		if lose && r.Method != http.MethodGet {
			lose = false
			m.before = nil
			m.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		return false
	})
	before := m.before
	data := content(2, 1000)
	name := cloud.Name("pack", data)
	wantIs(t, "put", d.Put(t.Context(), name, cloud.Bytes(data)), cloud.ErrOffline)
	must(t, "put again", d.Put(t.Context(), name, cloud.Bytes(data)))
	wantData(t, d, name, data)
	lose, m.before = true, before
	wantIs(t, "delete", d.Delete(t.Context(), name), cloud.ErrOffline)
	must(t, "delete again", d.Delete(t.Context(), name))
}

// TestRegions: a bucket elsewhere is found, by its answer or by a redirect, once.
func TestRegions(t *testing.T) {
	regionOf := func(r *http.Request) string {
		_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential="+access+"/")
		parts := strings.Split(scope, "/")
		if len(parts) < 2 {
			return ""
		}
		return parts[1]
	}
	data := content(1, 100)
	for what, refuseWith := range map[string]func(w http.ResponseWriter, region string){
		"header malformed": func(w http.ResponseWriter, region string) {
			w.WriteHeader(400)
			fmt.Fprintf(w, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>%s</Region></Error>", region)
		},
		"redirect": func(w http.ResponseWriter, region string) {
			w.Header().Set("X-Amz-Bucket-Region", region)
			w.Header().Set("Location", "https://thief.example/")
			refuse(w, 301, "PermanentRedirect")
		},
		"redirect without a word": func(w http.ResponseWriter, region string) {
			w.Header().Set("X-Amz-Bucket-Region", region)
			w.WriteHeader(307)
		},
	} {
		for _, configured := range []string{"", "us-west-2"} {
			m := newMini()
			m.region = "eu-central-1"
			m.before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Has("location") && what != "header malformed" || regionOf(r) == m.region {
					return false
				}
				refuseWith(w, m.region)
				return true
			}
			d := mustOpen(t, s3.Config{Address: "https://s3.example/" + bucket, Region: configured, Credentials: keys, Transport: direct{m}})
			wantData(t, d, mustPut(t, d, data), data)
			// The bucket moves once more: nobody follows for ever.
			m.region = "ap-south-1"
			if configured != "" {
				_, err := d.Stat(t.Context(), "README.txt")
				wantIs(t, what, err, cloud.ErrNoPlace)
			}
			for _, r := range m.sent() {
				if r.Host != "s3.example" {
					t.Fatalf("%s: a request went to %s", what, r.Host)
				}
			}
		}
	}
}

// TestStrangeRegions: a region becomes part of a host name; not any text may.
func TestStrangeRegions(t *testing.T) {
	for _, region := range []string{"thief.example/", "a@b", "..", "-x", strings.Repeat("a", 100), "ü"} {
		m := newMini()
		m.region = region
		d := mustOpen(t, s3.Config{Address: "https://s3.amazonaws.com/" + bucket, Credentials: keys, Transport: direct{m}})
		mustPut(t, d, content(1, 10))
		for _, r := range m.sent() {
			if !strings.HasSuffix(r.Host, ".amazonaws.com") {
				t.Fatalf("region %q: a request went to %s", region, r.Host)
			}
		}
	}
}

// TestOnTheWire: over http and https, all that is sent is signed with the hash of
// its bytes, in one piece.
func TestOnTheWire(t *testing.T) {
	for _, plain := range []bool{true, false} {
		var mu sync.Mutex
		puts := 0
		m := newMini()
		m.before = func(_ http.ResponseWriter, r *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			sum := sha256.Sum256(body)
			said := r.Header.Get("X-Amz-Content-Sha256")
			if said != hex.EncodeToString(sum[:]) && !strings.Contains(r.URL.Path, "probe") {
				t.Errorf("%s %s is signed with %q", r.Method, r.URL, said)
			}
			if r.Header.Get("Content-Encoding") != "" || len(r.TransferEncoding) > 0 || r.Header.Get("X-Amz-Trailer") != "" || r.Header.Get("X-Amz-Decoded-Content-Length") != "" {
				t.Errorf("%s %s is sent as %v %v", r.Method, r.URL, r.TransferEncoding, r.Header)
			}
			if r.URL.Query().Has("uploads") || r.URL.Query().Has("uploadId") || r.URL.Query().Has("partNumber") {
				t.Errorf("%s %s: an upload in parts", r.Method, r.URL)
			}
			if auth := r.Header.Get("Authorization"); !strings.HasPrefix(auth, "AWS4-HMAC-SHA256 ") || !strings.Contains(auth, "x-amz-content-sha256") {
				t.Errorf("%s %s is not signed", r.Method, r.URL)
			}
			if !strings.HasPrefix(r.URL.Path, "/"+bucket+"/") || r.Header.Get("X-Amz-Security-Token") != token {
				t.Errorf("%s %s: not path style, or without the token", r.Method, r.URL)
			}
			if r.Method == http.MethodPut && !strings.Contains(r.URL.Path, "probe") {
				puts++
			}
			return false
		}
		server := httptest.NewUnstartedServer(m)
		if plain {
			server.Start()
		} else {
			server.StartTLS()
		}
		d := mustOpen(t, s3.Config{Address: server.URL + "/" + bucket, Credentials: keys, Transport: server.Client().Transport})
		for i, n := range []int{0, 1, 70_000, 5 << 20} {
			data := content(i, n)
			wantData(t, d, mustPut(t, d, data), data)
		}
		if puts != 4 {
			t.Errorf("%d puts of 4 objects", puts)
		}
		must(t, "close", d.Close())
		server.Close()
	}
}

// TestIdentity: a certificate that nobody vouches for is not the place.
func TestIdentity(t *testing.T) {
	c := fake(t, nil)
	c.Transport = &http.Transport{}
	everyFailure(t, mustOpen(t, c), cloud.ErrIdentity)
	var who *cloud.IdentityError
	if err := listError(t, mustOpen(t, c)); !errors.As(err, &who) || who.Kind != cloud.Certificate || who.Reason == "" {
		t.Fatalf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// TestTransportErrors: what the line says keeps its class, also inside of what
// net/http and the library wrap around it.
func TestTransportErrors(t *testing.T) {
	proxy := &url.Error{Op: "proxyconnect", URL: "http://ann:" + secret + "@proxy/", Err: errors.New("refused")}
	for _, c := range []struct{ err, want error }{
		{io.EOF, cloud.ErrOffline},
		{errors.New("dial tcp: connection refused"), cloud.ErrOffline},
		{fmt.Errorf("EOF: %w", cloud.ErrOffline), cloud.ErrOffline},
		{&cloud.IdentityError{Kind: cloud.Certificate, Host: "EOF"}, cloud.ErrIdentity},
		{cloud.Final(cloud.ErrOffline), cloud.ErrOffline},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}, cloud.ErrIdentity},
		{proxy, cloud.ErrOffline},
	} {
		d := mustOpen(t, s3.Config{Address: "https://s3.example/" + bucket, Region: "us-east-1", Credentials: keys, Transport: failing{c.err}})
		everyFailure(t, d, c.want)
	}
	m := newMini()
	d := mustOpen(t, s3.Config{Address: "https://s3.example/" + bucket, Credentials: keys, Transport: direct{m}})
	for _, text := range []string{fmt.Sprintf("%v", d), fmt.Sprintf("%+v", d), fmt.Sprintf("%#v", d)} {
		if strings.Contains(text, secret) {
			t.Fatal("a printed driver shows the secret")
		}
	}
}

// TestBucketGone: a bucket that goes away does not look like an absent object.
func TestBucketGone(t *testing.T) {
	m := newMini()
	d := m.driver(t)
	name := mustPut(t, d, content(1, 10))
	m.missing = true
	everyFailure(t, d, cloud.ErrNoPlace)
	m.missing = false
	wantData(t, d, name, content(1, 10))
}

// A storm makes requests fail in random ways.
type storm struct {
	mu     sync.Mutex
	random *rand.Rand // guarded by mu
	fired  int        // guarded by mu
	calm   bool       // guarded by mu
	inner  *mini
}

func (s *storm) choose() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calm || s.random.Float64() > 0.2 {
		return -1
	}
	s.fired++
	return s.random.IntN(9)
}

func (s *storm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch s.choose() {
	case 0:
		refuse(w, 500, "InternalError")
	case 1:
		w.Header().Set("Retry-After", "1")
		refuse(w, 503, "SlowDown")
	case 2:
		panic(http.ErrAbortHandler)
	case 3: // done, and the answer is lost
		s.inner.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case 4:
		<-r.Context().Done()
	case 5: // half of the answer
		rec := httptest.NewRecorder()
		s.inner.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		if w.Header().Get("Content-Length") == "" {
			w.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()))
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2]) // a recorder takes all
	case 6: // a bit changes, on the way there or back
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if len(body) > 0 {
			body[len(body)/3] ^= 4
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		s.inner.ServeHTTP(w, r)
	case 7:
		refuse(w, 200, "InternalError")
	case 8:
		w.WriteHeader(502)
		io.WriteString(w, "<html>bad gateway</html>")
	default:
		s.inner.ServeHTTP(w, r)
	}
}

// TestRandomFaults: a Store over a bucket gets every answer right while the
// server fails in all its ways, 300 times, and 150 times in its other kinds (with the
// race detector, a third of that).
func TestRandomFaults(t *testing.T) {
	for name, c := range map[string]struct {
		faults int
		set    func(*mini)
	}{
		"Calm":    {300, func(*mini) {}},
		"Lagging": {150, func(m *mini) { m.lag, m.pageSize = 2, 3 }},
		"Simple":  {150, func(m *mini) { m.refuseIfAbsent, m.refuseSum, m.trusting = true, true, true }},
	} {
		if cloudtest.Race {
			c.faults /= 3
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMini()
				c.set(m)
				weather := &storm{random: rand.New(rand.NewPCG(11, 13)), inner: m}
				d := mustOpen(t, s3.Config{Address: "https://s3.example/" + bucket + "/p", Credentials: keys, Transport: direct{weather}})
				s := cloud.New(d, cloud.Options{Budget: time.Hour})
				kept := map[string][]byte{}
				for round := 0; weather.fired < c.faults; round++ {
					if round > 1000 {
						t.Fatalf("only %d faults", weather.fired)
					}
					stormRound(t, s, round, kept)
				}
				weather.calm = true
				fresh := mustOpen(t, s3.Config{Address: "https://s3.example/" + bucket + "/p", Credentials: keys, Transport: direct{m}})
				for name, data := range kept {
					wantData(t, fresh, name, data)
				}
				for range 3 { // a lagging listing shows all after a while
					listed(t, fresh, "")
				}
				if seen := listed(t, fresh, ""); len(seen) != len(kept) {
					t.Fatalf("%d objects, want %d", len(seen), len(kept))
				}
			})
		})
	}
}

// patient calls f again when it is told of trouble that passes: under so many
// faults it comes more often in a row than a Store forgives.
func patient(f func() error) error {
	err := f()
	for tries := 0; err != nil && tries < 30; tries++ {
		// Canceled: by the Store, of a request that moved no byte for a minute.
		if !errors.Is(err, cloud.ErrChecksum) && !errors.Is(err, cloud.ErrLimit) && !errors.Is(err, cloud.ErrOffline) && !errors.Is(err, context.Canceled) {
			return err
		}
		time.Sleep(time.Minute)
		err = f()
	}
	return err
}

func stormRound(t *testing.T, s *cloud.Store, round int, kept map[string][]byte) {
	t.Helper()
	data := content(round, []int{0, 1000, 70_000, 300_000}[round%4])
	name := cloud.Name("pack", data)
	must(t, "put", patient(func() error { return s.Put(t.Context(), name, data) }))
	kept[name] = data
	must(t, "get", patient(func() error {
		got, err := s.Get(t.Context(), name)
		if err == nil && string(got) != string(data) {
			t.Fatalf("round %d: other bytes", round)
		}
		return err
	}))
	if round%5 == 4 {
		for gone := range kept {
			must(t, "delete", patient(func() error { return s.Delete(t.Context(), gone) }))
			delete(kept, gone)
			break
		}
	}
	if round%7 != 6 {
		return
	}
	found := map[string]bool{}
	must(t, "list", patient(func() error {
		for o, err := range s.List(t.Context(), "") {
			if err != nil {
				return err
			}
			found[o.Name] = true
		}
		return nil
	}))
	for name := range kept {
		if !found[name] {
			t.Fatalf("round %d: %s is not listed", round, name)
		}
	}
}
