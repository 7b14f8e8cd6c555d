package webdav_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dav "golang.org/x/net/webdav"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/webdav"
)

func TestPlace(t *testing.T) {
	s, c := newTricked(t)
	missing := c
	missing.Create = false
	for range 2 {
		_, err := tryNames(t.Context(), mustOpen(t, missing))
		wantIs(t, "no folder, and none wanted", err, cloud.ErrNoPlace)
	}
	deep := c
	deep.Address += "a/b/"
	_, err := tryNames(t.Context(), mustOpen(t, deep))
	wantIs(t, "no folder above", err, cloud.ErrNoPlace)
	if s.count("MKCOL") != 1 {
		t.Fatalf("%d folders were to be made", s.count("MKCOL"))
	}
	d := mustOpen(t, c)
	name := mustPut(t, d, content(1, 10))
	file := c
	file.Address += name + "/"
	_, err = tryNames(t.Context(), mustOpen(t, file))
	wantIs(t, "a file", err, cloud.ErrNoPlace)

	if err := s.fs.RemoveAll(t.Context(), "/backup"); err != nil {
		t.Fatal(err)
	}
	_, err = tryNames(t.Context(), d)
	wantIs(t, "list of what is gone", err, cloud.ErrNoPlace)
	data := content(2, 10)
	wantIs(t, "put into what is gone", d.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data)), cloud.ErrNoPlace)
	if s.count("MKCOL") != 2 {
		t.Fatal("it was made again behind the user's back")
	}
}

// TestFolderOfAnObjectsName is somebody else's, with all that is in it.
func TestFolderOfAnObjectsName(t *testing.T) {
	for server, open := range map[string]func(*testing.T) (webdav.Config, string){
		"InProcess": func(t *testing.T) (webdav.Config, string) {
			dir := t.TempDir()
			h := httptest.NewServer(guarded(handler(dav.Dir(dir))))
			t.Cleanup(h.Close)
			return webdav.Config{Address: h.URL + "/dav/backup/", User: testUser, Password: password, Create: true}, dir
		},
		"Apache": func(t *testing.T) (webdav.Config, string) {
			a := apache(t, "Basic", 300)
			return a.config(), a.folder
		},
	} {
		t.Run(server, func(t *testing.T) {
			c, dir := open(t)
			d := mustOpen(t, c)
			mustPut(t, d, content(1, 10))
			data := content(2, 10)
			name := cloud.Name("pack", data)
			inside := filepath.Join(dir, "backup", name, "letter.txt")
			if err := os.MkdirAll(filepath.Dir(inside), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(inside, []byte("Dear Ann"), 0o600); err != nil {
				t.Fatal(err)
			}
			if found := names(t, d); len(found) != 1 {
				t.Fatalf("listed %v", found)
			}
			_, err := d.Stat(t.Context(), name)
			wantIs(t, "stat", err, cloud.ErrNotFound)
			_, err = read(t.Context(), d, name, 0, -1)
			wantIs(t, "get", err, cloud.ErrNotFound)
			if err := d.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			if err := d.Put(t.Context(), name, cloud.Bytes(data)); err == nil {
				t.Fatal("put into a folder's name")
			}
			if got, err := os.ReadFile(inside); err != nil || string(got) != "Dear Ann" {
				t.Fatalf("what was in it: %q, %v", got, err)
			}
		})
	}
}

// TestMaintain: left-overs are those of the server's yesterday, whatever the time
// is here.
func TestMaintain(t *testing.T) {
	dir := t.TempDir()
	ahead := 100 * time.Hour
	h := guarded(handler(dav.Dir(dir)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ahead != 0 {
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		} else {
			w.Header()["Date"] = nil
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	d := mustOpen(t, webdav.Config{Address: server.URL + "/dav/backup/", User: testUser, Password: password, Create: true})
	object := mustPut(t, d, content(1, 10))
	digits := strings.Repeat("0a", 16)
	now := time.Now().Add(ahead)
	for name, age := range map[string]time.Duration{
		"coffer-upload-" + digits:                    25 * time.Hour,
		"coffer-upload-" + digits[:31] + "b":         23 * time.Hour,
		"coffer-upload-" + digits[:31] + "c":         -time.Hour,
		"coffer-upload-" + digits[:31]:               48 * time.Hour, // foreign
		"coffer-upload-" + digits[:31] + "A":         48 * time.Hour,
		"coffer-upload-" + digits + ".txt":           48 * time.Hour,
		"notes.txt":                                  48 * time.Hour,
		cloud.Name("pack", []byte("of last week")):   48 * time.Hour,
		"coffer-upload-" + digits[:30] + "dd/folder": 48 * time.Hour,
	} {
		file := filepath.Join(dir, "backup", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	ahead = 0
	if n, err := d.Maintain(t.Context()); err != nil || n != 0 {
		t.Fatalf("a server without a clock: %d, %v", n, err)
	}
	ahead = 100 * time.Hour
	for _, want := range []int{1, 0} {
		if n, err := d.Maintain(t.Context()); err != nil || n != want {
			t.Fatalf("tidied %d, %v; want %d", n, err, want)
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "backup"))
	if err != nil || len(left) != 9 || slices.ContainsFunc(left, func(e os.DirEntry) bool { return e.Name() == "coffer-upload-"+digits }) {
		t.Fatalf("left %v, %v", left, err)
	}
	wantData(t, d, object, content(1, 10))
}

func TestCapacityAndDescription(t *testing.T) {
	s, c := newTricked(t)
	d := mustOpen(t, c)
	mustPut(t, d, content(1, 10))
	for quota, want := range map[string]cloud.Capacity{
		"": {Free: -1, Total: -1},
		"<D:quota-available-bytes>1000</D:quota-available-bytes><D:quota-used-bytes>24</D:quota-used-bytes>":               {Free: 1000, Total: 1024},
		"<D:quota-available-bytes> 0 </D:quota-available-bytes><D:quota-used-bytes>24</D:quota-used-bytes>":                {Free: 0, Total: 24},
		"<D:quota-available-bytes>0</D:quota-available-bytes><D:quota-used-bytes>0</D:quota-used-bytes>":                   {Free: 0, Total: -1},
		"<D:quota-available-bytes>1000</D:quota-available-bytes>":                                                          {Free: 1000, Total: -1},
		"<D:quota-available-bytes>-3</D:quota-available-bytes><D:quota-used-bytes>24</D:quota-used-bytes>":                 {Free: -1, Total: -1},
		"<D:quota-available-bytes>9223372036854775807</D:quota-available-bytes><D:quota-used-bytes>1</D:quota-used-bytes>": {Free: 1<<63 - 1, Total: -1},
		"<D:quota-available-bytes>9223372036854775808</D:quota-available-bytes>":                                           {Free: -1, Total: -1},
	} {
		s.set(always("PROPFIND", 207, `<D:multistatus xmlns:D="DAV:"><D:response><D:href>/dav/backup/</D:href><D:propstat><D:prop>`+quota+
			`</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>`, "Content-Type: text/xml"))
		if got, err := d.Capacity(t.Context()); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", quota, got, err, want)
		}
	}
	for header, want := range map[string]string{"Apache/2.4.71 (Debian)": "Apache/2.4.71 (Debian)", "evil\x1b[2J": "", strings.Repeat("x", 1000): ""} {
		s.set(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			res, err := next.RoundTrip(req)
			if err == nil {
				res.Header.Set("Server", header)
			}
			return res, err
		})
		got, err := mustOpen(t, c).Describe(t.Context())
		if err != nil || got != (cloud.Description{Account: testUser, Server: want}) {
			t.Errorf("%q: %+v, %v", header, got, err)
		}
	}
}

// TestServerThatKeepsOther bytes, or fewer, and says that all is well.
func TestServerThatKeepsOther(t *testing.T) {
	data := content(1, 1000)
	name := cloud.Name("pack", data)
	for what, spoil := range map[string]func(req *http.Request) (*http.Response, error){
		"fewer": func(req *http.Request) (*http.Response, error) {
			if req.Method == "PUT" {
				req.Body = io.NopCloser(io.LimitReader(req.Body, 999))
			}
			return nil, nil
		},
		"other": func(req *http.Request) (*http.Response, error) {
			if req.Method == "HEAD" && strings.Contains(req.URL.Path, "upload") {
				return answerHead(req, 1000, "OC-Checksum: SHA256:"+strings.Repeat("0", 64)), nil
			}
			return nil, nil
		},
	} {
		s, c := newTricked(t)
		d := mustOpen(t, c)
		mustPut(t, d, content(0, 10))
		s.set(func(req *http.Request, _ http.RoundTripper) (*http.Response, error) { return spoil(req) })
		wantIs(t, what, d.Put(t.Context(), name, cloud.Bytes(data)), cloud.ErrChecksum)
		if files := s.files(t); len(files) != 1 {
			t.Errorf("%s: left %v", what, files)
		}
		s.set(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if req.Method == "PUT" && req.Header.Get("OC-Checksum") == "" {
				t.Error("the checksum was not sent")
			}
			return nil, nil
		})
		wantData(t, d, mustPut(t, d, data), data)
	}
	s, c := newTricked(t)
	d := mustOpen(t, c)
	mustPut(t, d, content(0, 10))
	s.set(always("HEAD", 404, ""))
	wantIs(t, "lost", d.Put(t.Context(), name, cloud.Bytes(data)), cloud.ErrOffline)
}

func answerHead(req *http.Request, size int64, header ...string) *http.Response {
	res := answer(req, 200, "", header...)
	res.ContentLength = size
	return res
}

// TestServerThatOverwrites does so even where it is asked not to. What is there
// stays there.
func TestServerThatOverwrites(t *testing.T) {
	s, c := newTricked(t)
	s.set(func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		req.Header.Del("Overwrite")
		return nil, nil
	})
	d := mustOpen(t, c)
	name := mustPut(t, d, content(1, 100))
	for _, n := range []int{100, 101} {
		wantIs(t, "other bytes", d.Put(t.Context(), name, cloud.Bytes(content(2, n))), cloud.ErrExists)
	}
	wantData(t, d, name, content(1, 100))
	if d.Caps().PutIfAbsent {
		t.Fatal("it is promised all the same")
	}
}

// TestDevicesOfOneFolder: sixteen start at once, and nothing is lost.
func TestDevicesOfOneFolder(t *testing.T) {
	for server, open := range map[string]func(*testing.T) webdav.Config{
		"InProcess": inProcess,
		"Apache":    func(t *testing.T) webdav.Config { return apache(t, "Digest", 300).config() },
	} {
		t.Run(server, func(t *testing.T) {
			c := open(t)
			shared := content(99, 100_000)
			written := map[string][]byte{cloud.Name("pack", shared): shared}
			var mu sync.Mutex
			var devices sync.WaitGroup
			for i := range 16 {
				store := cloud.New(mustOpen(t, c), cloud.Options{})
				devices.Go(func() {
					for j := range 3 {
						for _, data := range [][]byte{content(100*i+j, 2000), shared} {
							name := cloud.Name("pack", data)
							if err := store.Put(t.Context(), name, data); err != nil {
								t.Errorf("device %d: %v", i, err)
								return
							}
							mu.Lock()
							written[name] = data
							mu.Unlock()
						}
					}
				})
			}
			devices.Wait()
			late := mustOpen(t, c)
			if found := names(t, late); len(found) != len(written) {
				t.Fatalf("%d of %d are listed", len(found), len(written))
			}
			for name, data := range written {
				wantData(t, late, name, data)
			}
		})
	}
}

// TestFullServer: what is there can be read and deleted, and then there is room.
func TestFullServer(t *testing.T) {
	s, c := newTricked(t)
	d := mustOpen(t, c)
	first := mustPut(t, d, content(1, 1000))
	full := true
	s.set(func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		full = full && req.Method != "DELETE"
		if full && req.Method == "PUT" {
			if _, err := io.CopyN(io.Discard, req.Body, 500); err != nil { // in the middle
				return nil, err
			}
			return answer(req, 507, ""), nil
		}
		return nil, nil
	})
	data := content(2, 1000)
	err := d.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data))
	wantIs(t, "put", err, cloud.ErrFull)
	full = true
	wantData(t, d, first, content(1, 1000))
	if err := d.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	wantData(t, d, mustPut(t, d, data), data)
}

// TestSignIn: against Apache, which checks each answer; with nonces that are old
// after a second.
func TestSignIn(t *testing.T) {
	for _, kind := range []string{"Basic", "Digest"} {
		t.Run(kind, func(t *testing.T) {
			c := apache(t, kind, 1).config()
			d := mustOpen(t, c)
			began := time.Now()
			for i := 0; i < 10 || time.Since(began) < 2500*time.Millisecond; i++ {
				name := mustPut(t, d, content(i, 1000))
				wantData(t, d, name, content(i, 1000))
			}
			for what, change := range map[string]func(*webdav.Config){
				"wrong password": func(c *webdav.Config) { c.Password = func() string { return "wrong" } },
				"wrong user":     func(c *webdav.Config) { c.User = "bob" },
				"no user":        func(c *webdav.Config) { c.User = "" },
				"no password":    func(c *webdav.Config) { c.Password = nil },
			} {
				c := c
				change(&c)
				signed := 0
				c.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
					if req.Header.Get("Authorization") != "" {
						signed++
					}
					return http.DefaultTransport.RoundTrip(req)
				})
				_, err := tryNames(t.Context(), mustOpen(t, c))
				wantIs(t, what, err, cloud.ErrAuth)
				if signed > 1 {
					t.Errorf("%s: tried %d times", what, signed)
				}
			}
		})
	}
}

// TestSignInExpires: 401 once is healed, 401 for ever is ErrAuth.
func TestSignInExpires(t *testing.T) {
	s, c := newTricked(t)
	d := mustOpen(t, c)
	name := mustPut(t, d, content(1, 1000))
	refuse := 1
	s.set(func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		if refuse == 0 {
			return nil, nil
		}
		refuse--
		return answer(req, 401, "", `WWW-Authenticate: Basic realm="x"`), nil
	})
	for _, method := range []string{"PUT", "GET", "HEAD", "DELETE", "PROPFIND"} {
		refuse = 1
		if err := tryAll(t.Context(), d, method, name); err != nil {
			t.Errorf("401 once, %s: %v", method, err)
		}
	}
	mustPut(t, d, content(1, 1000))
	for _, method := range []string{"PUT", "GET", "HEAD", "DELETE", "PROPFIND"} {
		refuse = 1 << 30
		wantIs(t, method, tryAll(t.Context(), d, method, name), cloud.ErrAuth)
	}
	refuse = 0
	wantData(t, d, name, content(1, 1000)) // signed in again
	stale := 0
	s.set(func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		stale++
		return answer(req, 401, "", fmt.Sprintf(`WWW-Authenticate: Digest realm="x", qop="auth", nonce="%d", stale=true`, stale)), nil
	})
	_, err := tryNames(t.Context(), d)
	wantIs(t, "nonces that are always old", err, cloud.ErrAuth)
	if stale > 3 {
		t.Errorf("%d requests", stale)
	}
}

// TestPasswordStaysHere: it is not sent where others hear it, nor to others.
func TestPasswordStaysHere(t *testing.T) {
	for _, c := range []struct {
		address, challenge string
		sent               bool
		err                error
	}{
		{"http://nas.example/dav/backup/", `Basic realm="x"`, false, cloud.ErrPlain},
		{"http://nas.example/dav/backup/", `Digest realm="x", nonce="n", qop="auth"`, false, cloud.ErrAuth},
		{"http://nas.example/dav/backup/", `Digest realm="x", nonce="n"`, false, cloud.ErrUnsupported},
		{"http://localhost/dav/backup/", `Basic realm="x"`, true, cloud.ErrAuth},
		{"https://nas.example/dav/backup/", `Basic realm="x"`, true, cloud.ErrAuth},
	} {
		sent := false
		d := mustOpen(t, webdav.Config{
			Address: c.address, User: testUser, Password: password, AllowPlain: true,
			Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
				_, got, ok := req.BasicAuth()
				sent = sent || ok && got == testPassword
				return answer(req, 401, "", "WWW-Authenticate: "+c.challenge), nil
			}),
		})
		_, err := tryNames(t.Context(), d)
		wantIs(t, c.address+" "+c.challenge, err, c.err)
		if sent != c.sent {
			t.Errorf("%s, %s: sent %v", c.address, c.challenge, sent)
		}
	}
}

// TestRealErrors: what net/http says of a server that is not there, or not it.
func TestRealErrors(t *testing.T) {
	c := inProcess(t)
	c.Transport = nil // which does not know the server's certificate
	_, err := tryNames(t.Context(), mustOpen(t, c))
	var identity *cloud.IdentityError
	if !errors.As(err, &identity) || identity.Kind != cloud.Certificate || identity.Reason == "" {
		t.Fatalf("a certificate of nobody: %v", err)
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	_, err = tryNames(t.Context(), mustOpen(t, webdav.Config{Address: closed.URL + "/"}))
	wantIs(t, "nobody there", err, cloud.ErrOffline)
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			fmt.Fprint(conn, "garbage "+testPassword+"\r\n\r\n")
			conn.Close()
		}
	}))
	t.Cleanup(cut.Close)
	_, err = tryNames(t.Context(), mustOpen(t, webdav.Config{Address: cut.URL + "/"}))
	wantIs(t, "not HTTP", err, cloud.ErrOffline)
	if strings.Contains(err.Error(), testPassword) {
		t.Fatalf("the error repeats the server: %v", err)
	}
}

// TestSecretsStayInside: no error, and nothing that is printed of a driver, has
// the password or what is made of it.
func TestSecretsStayInside(t *testing.T) {
	s, c := newTricked(t)
	var signed []string
	remember := func(req *http.Request) string {
		field := req.Header.Get("Authorization")
		if _, token, ok := strings.Cut(field, " "); ok {
			signed = append(signed, token)
		}
		return field
	}
	d := mustOpen(t, c)
	name := mustPut(t, d, content(0, 100))
	var said []string
	for _, status := range []int{0, 200, 207, 302, 400, 401, 403, 404, 405, 409, 412, 416, 423, 429, 500, 503, 507, 511} {
		for _, method := range []string{"PUT", "MOVE", "GET", "HEAD", "DELETE", "PROPFIND"} {
			s.set(func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
				field := remember(req) // a server that repeats what it is sent
				if req.Method != method {
					return nil, nil
				}
				if status == 0 {
					return nil, errors.New("malformed answer: " + field + " " + testPassword)
				}
				return answer(req, status, field+testPassword, "Location: https://evil.example/"+testPassword, "X-Echo: "+field,
					"Content-Range: bytes "+testPassword, "Retry-After: "+testPassword, `WWW-Authenticate: Basic realm="`+testPassword+`"`), nil
			})
			err := tryAll(t.Context(), d, method, name)
			said = append(said, fmt.Sprintf("%v %+v %#v", err, err, err))
		}
	}
	said = append(said, fmt.Sprintf("%v %+v %#v", d, d, d), fmt.Sprintf("%+v %#v", c, c))
	signed = append(signed, testPassword)
	if len(signed) < 100 {
		t.Fatalf("only %d requests were signed", len(signed))
	}
	for _, text := range said {
		for _, secret := range signed {
			if strings.Contains(text, secret) {
				t.Fatalf("said: %.300s", text)
			}
		}
	}
}

// TestRandomFaults: a Store over WebDAV gets every answer right while the server
// and the way to it fail in all their ways, at least 300 times (100 with the race
// detector).
func TestRandomFaults(t *testing.T) {
	faults := 400
	if cloudtest.Race {
		faults = 100
	}
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			s, c := newTricked(t)
			storm := &storm{random: rand.New(rand.NewPCG(seed, 4))}
			t.Logf("seed %d", seed)
			s.set(storm.play)
			store := cloud.New(mustOpen(t, c), cloud.Options{Budget: time.Hour})
			kept := map[string][]byte{}
			for round := 0; storm.count() < faults; round++ {
				if round > 1000 {
					t.Fatalf("only %d faults", storm.count())
				}
				stormRound(t, store, round, kept)
			}
			s.set(nil)
			late := mustOpen(t, c)
			if found := names(t, late); len(found) != len(kept) {
				t.Fatalf("%d objects, want %d", len(found), len(kept))
			}
			for name, data := range kept {
				wantData(t, late, name, data)
			}
			t.Logf("%d faults, %d files for %d objects", storm.count(), len(s.files(t)), len(kept))
		})
	}
}

// A storm lets a quarter of the requests go wrong.
type storm struct {
	mu     sync.Mutex
	random *rand.Rand // guarded by mu
	faults int        // guarded by mu
}

func (s *storm) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

func (s *storm) play(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	s.mu.Lock()
	fault := -1
	if s.random.IntN(4) == 0 {
		fault = s.random.IntN(12)
		s.faults++
	}
	at := s.random.IntN(1000)
	s.mu.Unlock()
	switch fault {
	case 0: // nothing is sent
		return nil, io.ErrUnexpectedEOF
	case 1: // it is done, and nobody hears so
		if res, err := next.RoundTrip(req); err != nil || res.StatusCode == 401 {
			return res, err
		}
		return nil, io.ErrUnexpectedEOF
	case 2:
		<-req.Context().Done()
		return nil, req.Context().Err()
	case 3:
		return answer(req, []int{500, 502, 503, 423, 429, 408}[at%6], ""), nil
	case 4:
		return answer(req, 503, "", "Retry-After: 7"), nil
	case 5:
		return answer(req, 401, "", `WWW-Authenticate: Basic realm="x"`), nil
	case 6: // half an upload is kept
		if req.Method == "PUT" {
			half := req.Clone(req.Context())
			half.Body = io.NopCloser(io.LimitReader(req.Body, req.ContentLength/2))
			if _, err := next.RoundTrip(half); err != nil {
				return nil, err
			}
		}
		return nil, io.ErrUnexpectedEOF
	case 7: // half an upload is kept, and all is said to be well
		if req.Method == "PUT" && req.ContentLength > 1 {
			req.Body = io.NopCloser(io.LimitReader(req.Body, req.ContentLength/2))
		}
		return nil, nil
	case 8: // an answer that is cut
		res, err := next.RoundTrip(req)
		if err == nil && res.ContentLength > 1 && req.Method != "HEAD" {
			res.Body = io.NopCloser(io.LimitReader(res.Body, res.ContentLength/2))
		}
		return res, err
	case 9: // a bit that flips on the way down
		res, err := next.RoundTrip(req)
		if err != nil || req.Method != "GET" {
			return res, err
		}
		data, err := io.ReadAll(res.Body)
		if len(data) > 0 {
			data[at%len(data)] ^= 4
		}
		res.Body = io.NopCloser(bytes.NewReader(data))
		return res, err
	case 10: // a server that has no ranges today
		req.Header.Del("Range")
		return nil, nil
	case 11:
		return answer(req, 200, "<html>", "Content-Type: text/html"), nil
	}
	return nil, nil
}

// patient calls f again when it is told of damage, or of a sign-in that is not
// good: under so many faults that comes more often than a Store forgives.
func patient(f func() error) error {
	err := f()
	for tries := 0; err != nil && tries < 50; tries++ {
		if !errors.Is(err, cloud.ErrChecksum) && !errors.Is(err, cloud.ErrLimit) && !errors.Is(err, cloud.ErrOffline) && !errors.Is(err, cloud.ErrAuth) {
			return err
		}
		time.Sleep(time.Minute)
		err = f()
	}
	return err
}

func stormRound(t *testing.T, s *cloud.Store, round int, kept map[string][]byte) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	data := content(round, []int{0, 1000, 50_000}[round%3])
	name := cloud.Name("pack", data)
	if err := patient(func() error { return s.Put(ctx, name, data) }); err != nil {
		t.Fatalf("round %d, put: %v", round, err)
	}
	kept[name] = data
	for known, want := range kept {
		var got []byte
		err := patient(func() (err error) {
			got, err = s.Get(ctx, known)
			return err
		})
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("round %d, get: %d of %d bytes, %v", round, len(got), len(want), err)
		}
		break
	}
	part := make([]byte, len(data)/2)
	if err := patient(func() error { return s.ReadAt(ctx, name, part, int64(len(data)/3)) }); err != nil {
		t.Fatalf("round %d, read: %v", round, err)
	}
	if round%4 == 3 {
		for gone := range kept {
			if err := patient(func() error { return s.Delete(ctx, gone) }); err != nil {
				t.Fatalf("round %d, delete: %v", round, err)
			}
			delete(kept, gone)
			break
		}
	}
	listed := 0
	err := patient(func() error {
		listed = 0
		for _, err := range s.List(ctx, "") {
			if err != nil {
				return err
			}
			listed++
		}
		return nil
	})
	if err != nil || listed != len(kept) {
		t.Fatalf("round %d, list: %d of %d, %v", round, listed, len(kept), err)
	}
}
