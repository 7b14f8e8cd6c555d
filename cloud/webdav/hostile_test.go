package webdav_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
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

// A trick answers a request instead of the server, or changes its answer; nil
// leaves it to the server.
type trick func(req *http.Request, next http.RoundTripper) (*http.Response, error)

// tricked is a place in memory whose requests go through a trick, which may be
// changed, and are counted.
type tricked struct {
	fs   dav.FileSystem
	next http.RoundTripper

	mu    sync.Mutex
	trick trick          // guarded by mu
	seen  map[string]int // guarded by mu; method -> requests
}

func (s *tricked) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	play := s.trick
	s.seen[req.Method]++
	s.mu.Unlock()
	if play != nil {
		res, err := play(req, s.next)
		if res != nil || err != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			return res, err
		}
	}
	return s.next.RoundTrip(req)
}

func (s *tricked) set(play trick) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trick, s.seen = play, map[string]int{}
}

func (s *tricked) count(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[method]
}

func newTricked(t *testing.T) (*tricked, webdav.Config) {
	t.Helper()
	fs := dav.NewMemFS()
	s := &tricked{fs: fs, next: local{guarded(handler(fs))}, seen: map[string]int{}}
	c := inBubble(fs)
	c.Transport = s
	return s, c
}

// files are what is in the folder, with nothing hidden.
func (s *tricked) files(t *testing.T) []string {
	t.Helper()
	f, err := s.fs.OpenFile(t.Context(), "/backup", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := f.Readdir(-1)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, info := range all {
		found = append(found, info.Name())
	}
	return found
}

// answer is an answer of a status, a header ("Name: value"), and a text.
func answer(req *http.Request, status int, text string, header ...string) *http.Response {
	res := &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: req,
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)),
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		res.Header.Add(name, value)
	}
	return res
}

// always answers the requests of one method.
func always(method string, status int, text string, header ...string) trick {
	return func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		if req.Method != method {
			return nil, nil
		}
		return answer(req, status, text, header...), nil
	}
}

func TestStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newTricked(t)
		d := mustOpen(t, c)
		name := mustPut(t, d, content(0, 1000))
		for _, c := range []struct {
			method string
			status int
			class  error
			final  bool
		}{
			{"PUT", 400, nil, true},
			{"PUT", 403, cloud.ErrDenied, true},
			{"PUT", 404, cloud.ErrNoPlace, true},
			{"PUT", 409, cloud.ErrNoPlace, true},
			{"PUT", 405, cloud.ErrOffline, false}, // it could a moment ago
			{"PUT", 407, cloud.ErrProxy, false},
			{"PUT", 413, cloud.ErrTooLarge, true},
			{"PUT", 423, cloud.ErrOffline, false},
			{"PUT", 429, cloud.ErrLimit, false},
			{"PUT", 500, cloud.ErrOffline, false},
			{"PUT", 503, cloud.ErrOffline, false},
			{"PUT", 507, cloud.ErrFull, true},
			{"PUT", 511, cloud.ErrOffline, false},
			{"PUT", 302, cloud.ErrOffline, false},
			{"MOVE", 403, cloud.ErrDenied, true},
			{"MOVE", 404, cloud.ErrOffline, false},
			{"MOVE", 405, cloud.ErrUnsupported, true},
			{"MOVE", 501, cloud.ErrUnsupported, true},
			{"MOVE", 409, cloud.ErrNoPlace, true},
			{"MOVE", 412, cloud.ErrOffline, false}, // taken, and nobody there
			{"MOVE", 502, cloud.ErrOffline, false},
			{"MOVE", 507, cloud.ErrFull, true},
			{"GET", 403, cloud.ErrDenied, true},
			{"GET", 404, cloud.ErrNotFound, true},
			{"GET", 410, cloud.ErrNotFound, true},
			{"GET", 416, cloud.ErrOffline, false}, // of all of it
			{"GET", 429, cloud.ErrLimit, false},
			{"GET", 500, cloud.ErrOffline, false},
			{"HEAD", 403, cloud.ErrDenied, true},
			{"HEAD", 404, cloud.ErrNotFound, true},
			{"HEAD", 500, cloud.ErrOffline, false},
			{"DELETE", 403, cloud.ErrDenied, true},
			{"DELETE", 423, cloud.ErrOffline, false},
			{"DELETE", 405, cloud.ErrUnsupported, true},
			{"PROPFIND", 403, cloud.ErrDenied, true},
			{"PROPFIND", 404, cloud.ErrNoPlace, true},
			{"PROPFIND", 405, cloud.ErrUnsupported, true},
			{"PROPFIND", 200, cloud.ErrUnsupported, true},
			{"PROPFIND", 507, cloud.ErrUnsupported, true},
			{"PROPFIND", 503, cloud.ErrOffline, false},
		} {
			s.set(always(c.method, c.status, "<D:error/>"))
			err := tryAll(t.Context(), d, c.method, name)
			if c.class != nil && !errors.Is(err, c.class) || err == nil {
				t.Errorf("%s %d: %v, want %v", c.method, c.status, err, c.class)
			}
			before := s.count(c.method)
			_ = tryAll(t.Context(), cloudStore(d), c.method, name)
			if again := s.count(c.method) > before+before; again == c.final {
				t.Errorf("%s %d: final %v; %v", c.method, c.status, c.final, err)
			}
		}
		s.set(nil)
		wantData(t, d, name, content(0, 1000))
		for _, file := range s.files(t) {
			if file != name && !strings.HasPrefix(file, "coffer-upload-") {
				t.Errorf("%s is there", file)
			}
		}
	})
}

// storeDriver makes the calls of a driver through a Store.
type storeDriver struct {
	cloud.Driver
	s *cloud.Store
}

func cloudStore(d cloud.Driver) cloud.Driver {
	return storeDriver{d, cloud.New(d, cloud.Options{Budget: time.Minute})}
}

func (d storeDriver) Put(ctx context.Context, name string, src cloud.Source) error {
	data, err := io.ReadAll(io.NewSectionReader(src, 0, src.Size()))
	if err != nil {
		return err
	}
	return d.s.Put(ctx, name, data)
}

func (d storeDriver) Get(ctx context.Context, name string, _, _ int64) (io.ReadCloser, error) {
	data, err := d.s.Get(ctx, name)
	return io.NopCloser(bytes.NewReader(data)), err
}

func (d storeDriver) Delete(ctx context.Context, name string) error { return d.s.Delete(ctx, name) }

// tryAll makes the request that needs the method.
func tryAll(ctx context.Context, d cloud.Driver, method, name string) error {
	switch method {
	case "PUT", "MOVE":
		data := content(1, 5000)
		return d.Put(ctx, cloud.Name("pack", data), cloud.Bytes(data))
	case "GET", "HEAD":
		_, err := read(ctx, d, name, 0, -1)
		if method == "HEAD" {
			if stater, ok := d.(cloud.Stater); ok {
				_, err = stater.Stat(ctx, name)
			} else {
				_, err = d.(storeDriver).s.Stat(ctx, name)
			}
		}
		return err
	case "DELETE":
		return d.Delete(ctx, name)
	}
	if s, ok := d.(storeDriver); ok {
		for _, err := range s.s.List(ctx, "") {
			return err
		}
		return nil
	}
	_, err := tryNames(ctx, d)
	return err
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newTricked(t)
		d := mustOpen(t, c)
		mustPut(t, d, content(0, 10))
		began := time.Now()
		s.set(func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			if req.Method == "PUT" && time.Since(began) < 90*time.Second {
				return answer(req, 503, "", "Retry-After: 90"), nil
			}
			return nil, nil
		})
		data := content(1, 100)
		if err := cloud.New(d, cloud.Options{}).Put(t.Context(), cloud.Name("pack", data), data); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 90*time.Second || waited > 100*time.Second {
			t.Fatalf("waited %v", waited)
		}
	})
}

// TestPortal: a hotel's page is neither an empty folder nor an object.
func TestPortal(t *testing.T) {
	const page = "<html><body>Welcome! Please sign in.</body></html>"
	for name, play := range map[string]trick{
		"page": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			return answer(req, 200, page, "Content-Type: text/html; charset=utf-8"), nil
		},
		"page of 207": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			return answer(req, 207, page, "Content-Type: text/html"), nil
		},
		"elsewhere": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			if req.URL.Host != "cloud.example.org" {
				t.Errorf("a request went to %s", req.URL)
			}
			return answer(req, 302, page, "Location: https://login.hotel.example/", "Content-Type: text/html"), nil
		},
		"without TLS": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			return answer(req, 307, "", "Location: http://cloud.example.org/dav/backup/"), nil
		},
		"other port": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			return answer(req, 308, "", "Location: https://cloud.example.org:444/dav/backup/"), nil
		},
		"with a user": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			return answer(req, 308, "", "Location: https://x@cloud.example.org/dav/backup/"), nil
		},
		"nowhere": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			return answer(req, 302, ""), nil
		},
		"in a circle": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			return answer(req, 302, "", "Location: "+req.URL.Path+"x"), nil
		},
		"511": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			return answer(req, 511, page), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := newTricked(t)
			known := mustOpen(t, c)
			object := mustPut(t, known, content(0, len(page)))
			s.set(play)
			for _, d := range []*webdav.Driver{known, mustOpen(t, c)} {
				for _, method := range []string{"PUT", "GET", "HEAD", "DELETE", "PROPFIND"} {
					wantIs(t, method, tryAll(t.Context(), d, method, object), cloud.ErrOffline)
				}
				_, err := read(t.Context(), d, object, 5, 10)
				wantIs(t, "range", err, cloud.ErrOffline)
			}
			s.set(nil)
			wantData(t, known, object, content(0, len(page)))
		})
	}
}

// TestRedirectOnTheSameServer is followed, with everything.
func TestRedirectOnTheSameServer(t *testing.T) {
	s, c := newTricked(t)
	c.Address = "https://cloud.example.org/old/backup/"
	s.set(func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		if rest, ok := strings.CutPrefix(req.URL.Path, "/old/"); ok {
			return answer(req, 301, "", "Location: https://CLOUD.example.org:443/dav/"+rest), nil
		}
		if to := req.Header.Get("Destination"); to != "" { // such a server knows its own old name
			req.Header.Set("Destination", strings.Replace(to, "/old/", "/dav/", 1))
		}
		return nil, nil
	})
	d := mustOpen(t, c)
	name := mustPut(t, d, content(1, 1000))
	wantData(t, d, name, content(1, 1000))
	if found := names(t, d); len(found) != 1 {
		t.Fatalf("listed %v", found)
	}
}

// TestWrongBytes: ranges, lengths and codings that are not what was asked for.
func TestWrongBytes(t *testing.T) {
	s, c := newTricked(t)
	d := mustOpen(t, c)
	data := content(1, 1000)
	name := mustPut(t, d, data)
	text := string(data)
	for what, play := range map[string]trick{
		"other range":    always("GET", 206, text[11:21], "Content-Range: bytes 11-20/1000"),
		"too much":       always("GET", 206, text[10:30], "Content-Range: bytes 10-29/1000"),
		"no range":       always("GET", 206, text[10:20]),
		"length differs": always("GET", 206, text[10:19], "Content-Range: bytes 10-19/1000"),
		"several":        always("GET", 206, text[10:20], "Content-Type: multipart/byteranges; boundary=x"),
		"compressed":     always("GET", 206, text[10:20], "Content-Range: bytes 10-19/1000", "Content-Encoding: gzip"),
		"page":           always("GET", 200, text, "Content-Type: text/html"),
		"cut range": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			res := answer(req, 206, text[10:15], "Content-Range: bytes 10-19/1000")
			res.ContentLength = 10
			return res, nil
		},
		"cut whole": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			res := answer(req, 200, text[:15])
			res.ContentLength = 1000
			return res, nil
		},
		"cut before the range": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			res := answer(req, 200, text[:5])
			res.ContentLength = 1000
			return res, nil
		},
		"no length": func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
			res := answer(req, 200, text[:500])
			res.ContentLength = -1
			return res, nil
		},
	} {
		s.set(play)
		got, err := read(t.Context(), d, name, 10, 10)
		if err == nil || !errors.Is(err, cloud.ErrOffline) && !errors.Is(err, cloud.ErrUnsupported) {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
	}
	s.set(always("GET", 206, text[990:], "Content-Range: bytes 990-999/1000"))
	_, err := read(t.Context(), d, name, 990, 20)
	wantIs(t, "a range that ends outside", err, cloud.ErrRange)
}

// TestLostAnswer: the upload got its name, and nobody heard so.
func TestLostAnswer(t *testing.T) {
	for _, method := range []string{"PUT", "MOVE", "MKCOL", "DELETE"} {
		synctest.Test(t, func(t *testing.T) {
			s, c := newTricked(t)
			lost := 0
			s.set(func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
				if req.Method != method || lost == 2 {
					return nil, nil
				}
				if res, err := next.RoundTrip(req); err != nil || res.StatusCode == http.StatusUnauthorized {
					return res, err
				}
				lost++
				return nil, io.ErrUnexpectedEOF
			})
			store := cloud.New(mustOpen(t, c), cloud.Options{})
			data := content(1, 1000)
			name := cloud.Name("pack", data)
			if err := store.Put(t.Context(), name, data); err != nil {
				t.Fatal(err)
			}
			if got, err := store.Get(t.Context(), name); err != nil || !bytes.Equal(got, data) {
				t.Fatal(err)
			}
			if err := store.Delete(t.Context(), name); err != nil || lost == 0 {
				t.Fatalf("%d lost, %v", lost, err)
			}
			if files := s.files(t); method != "DELETE" && len(files) > 0 {
				t.Fatalf("left %v", files)
			}
		})
	}
}

// TestHang: a server that says nothing is given up, and holds up nothing else.
func TestHang(t *testing.T) {
	for _, method := range []string{"PROPFIND", "HEAD", "PUT", "MOVE", "GET", "DELETE"} {
		synctest.Test(t, func(t *testing.T) {
			s, c := newTricked(t)
			d := mustOpen(t, c)
			name := mustPut(t, d, content(0, 1000))
			s.set(func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
				if req.Method == method {
					<-req.Context().Done()
					return nil, req.Context().Err()
				}
				return nil, nil
			})
			began := time.Now()
			err := tryAll(t.Context(), storeDriver{d, cloud.New(d, cloud.Options{Budget: -1})}, method, name)
			wantIs(t, method, err, cloud.ErrOffline)
			if waited := time.Since(began); waited > 70*time.Second {
				t.Fatalf("%s: %v", method, waited)
			}
			s.set(nil)
			wantData(t, d, name, content(0, 1000))
		})
	}
}

// TestHrefsElsewhere: a listing says what it likes; only what is in our folder is
// in it, and a listing of another folder is not an empty one.
func TestHrefsElsewhere(t *testing.T) {
	s, c := newTricked(t)
	d := mustOpen(t, c)
	mine := mustPut(t, d, content(1, 10))
	other := cloud.Name("pack", []byte("other"))
	entry := func(href, kind string) string {
		return "<D:response><D:href>" + href + "</D:href><D:propstat><D:prop><D:resourcetype>" + kind + "</D:resourcetype><D:getcontentlength>7</D:getcontentlength></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
	}
	const folder = "<D:collection/>"
	list := func(entries ...string) trick {
		text := `<D:multistatus xmlns:D="DAV:">` + strings.Join(entries, "") + `</D:multistatus>`
		return always("PROPFIND", 207, text, "Content-Type: application/xml")
	}
	self := entry("/dav/backup/", folder)
	s.set(list(
		self, entry("/dav/backup/"+mine, ""), entry("/dav/backup/"+mine, ""),
		entry("/dav/other/"+other, ""), entry("/dav/"+other, ""), entry("/"+other, ""), entry("/dav/backup/x/"+other, ""), entry("/dav/backup/../other/"+other, ""),
		entry("/dav/backup/"+other+"/", ""), entry("/dav/backup/"+other, folder), entry("/dav/backupx"+other, ""),
		entry("/dav/backup/notes.txt", ""), entry("/dav/backup/coffer-upload-0123456789abcdef0123456789abcdef", ""), entry("%zz", ""), entry("", ""),
	))
	if found := names(t, d); len(found) != 1 || found[mine] != 7 {
		t.Fatalf("listed %v", found)
	}
	s.set(list(entry("/elsewhere/", folder), entry("/elsewhere/"+other, "")))
	_, err := tryNames(t.Context(), d)
	wantIs(t, "a listing of another folder", err, cloud.ErrOffline)
	s.set(list())
	_, err = tryNames(t.Context(), d)
	wantIs(t, "a listing of nothing", err, cloud.ErrOffline)
	s.set(list(self, "<D:response><D:href>/dav/backup/</D:href><D:status>HTTP/1.1 507 Insufficient Storage</D:status></D:response>"))
	_, err = tryNames(t.Context(), d)
	wantIs(t, "a listing that was cut short", err, cloud.ErrUnsupported)
	s.set(list(self, "<D:response><D:href>/dav/backup/"+other+"</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>"))
	if found := names(t, d); len(found) != 0 {
		t.Fatalf("listed %v", found)
	}
	s.set(list(self, "<D:response><D:href>/dav/backup/"+other+"</D:href><D:status>HTTP/1.1 403 Forbidden</D:status></D:response>"))
	_, err = tryNames(t.Context(), d)
	wantIs(t, "an object that is not shown", err, cloud.ErrDenied)
}

// TestLargeFolder: a hundred thousand objects, in memory that does not grow; ten
// thousand with the race detector.
func TestLargeFolder(t *testing.T) {
	count, step := 100_000, 20_000
	if cloudtest.Race { // half a minute for what only shows without: memory
		count, step = 10_000, 2000
	}
	s, c := newTricked(t)
	d := mustOpen(t, c)
	mustPut(t, d, content(1, 10))
	s.set(func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		r, pipe := io.Pipe()
		w := bufio.NewWriterSize(pipe, 64<<10)
		go func() {
			fmt.Fprint(w, `<D:multistatus xmlns:D="DAV:"><D:response><D:href>/dav/backup/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`)
			for i := range count {
				_, err := fmt.Fprintf(w, "<D:response><D:href>/dav/backup/pack-%040x</D:href><D:propstat><D:prop><D:resourcetype/><D:getcontentlength>%d</D:getcontentlength></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>", i, i)
				if err != nil {
					return
				}
			}
			fmt.Fprint(w, `</D:multistatus>`)
			pipe.CloseWithError(w.Flush())
		}()
		res := answer(req, 207, "", "Content-Type: application/xml")
		res.Body, res.ContentLength = r, -1
		return res, nil
	})
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	found, most := 0, uint64(0)
	for o, err := range d.List(t.Context(), "") {
		if err != nil || o.Size != int64(found) {
			t.Fatalf("%+v, %v", o, err)
		}
		if found++; found%step == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
	}
	if found != count || most > before.HeapAlloc+4<<20 {
		t.Fatalf("%d objects, %d KiB more", found, (most-before.HeapAlloc)>>10)
	}
	for range d.List(t.Context(), "") {
		break // and the rest is not read
	}
}
