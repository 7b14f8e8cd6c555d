package drivetest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A witness is a test that may fail without anybody minding.
type witness struct {
	testing.TB
	complaints []string
}

func (w *witness) Errorf(format string, args ...any) {
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
}

// client is a signed-in program without a mind of its own.
type client struct {
	t     *testing.T
	f     *Fake
	token string
}

func newClient(t *testing.T) (*client, *witness) {
	w := &witness{TB: t}
	f := New(w)
	f.mu.Lock()
	defer f.mu.Unlock()
	token, good := f.newAccess(Alice())["access_token"].(string)
	if !good {
		t.Fatal("no token")
	}
	return &client{t, f, token}, w
}

// do makes a request and returns the status, the header and the body.
func (c *client) do(method, path, body string, header ...string) (int, http.Header, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, memoryBase+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.f.Transport().RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(data)
}

// TestNonsenseIsFoundOut: a check that never complains proves nothing.
func TestNonsenseIsFoundOut(t *testing.T) {
	for _, c := range [][3]string{
		{"GET", "/drive/v3/file", ""},
		{"PUT", "/drive/v3/files", ""},
		{"GET", "/drive/v3/about", ""},
		{"GET", "/drive/v3/about?fields=user(password)", ""},
		{"GET", "/drive/v3/about?fields=user(", ""},
		{"GET", "/drive/v3/files?pagesize=10", ""},
		{"GET", "/drive/v3/files?pageSize=5000", ""},
		{"GET", "/drive/v3/files?pageSize=ten", ""},
		{"GET", "/drive/v3/files?q=name", ""},
		{"GET", "/drive/v3/files?q=size+%3E+3", ""},
		{"GET", "/drive/v3/files?q=trashed+%3D+maybe", ""},
		{"GET", "/drive/v3/files?spaces=drive&spaces=drive", ""},
		{"GET", "/drive/v3/files?supportsAllDrives=yes", ""},
		{"GET", "/drive/v3/files?fields=files(id,sha1checksum)", ""},
		{"GET", "/drive/v3/files/generateIds?type=folders&count=5000", ""},
		{"POST", "/drive/v3/files", `{"nam": "x"}`},
		{"POST", "/drive/v3/files", `{"name": 7}`},
		{"POST", "/drive/v3/files", `{"sha256Checksum": "00"}`},
		{"POST", "/drive/v3/files", `{"createdTime": "yesterday"}`},
		{"POST", "/drive/v3/files", `{"parents": "x"}`},
		{"POST", "/drive/v3/files", `name`},
		{"POST", "/upload/drive/v3/files?uploadType=multipart", "no parts"},
		{"POST", "/upload/drive/v3/files?uploadType=resumable", `{}`},
	} {
		client, w := newClient(t)
		if status, _, _ := client.do(c[0], c[1], c[2]); status < 400 || len(w.complaints) != 1 {
			t.Errorf("%v: %d, complaints %q", c, status, w.complaints)
		}
	}
}

// TestHabits of Drive that programs must live with.
func TestHabits(t *testing.T) {
	c, w := newClient(t)
	want := func(wanted int, method, path, body string, header ...string) (http.Header, string) {
		t.Helper()
		status, h, text := c.do(method, path, body, header...)
		if status != wanted {
			t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, status, text, wanted)
		}
		return h, text
	}
	want(400, "POST", "/drive/v3/files", `{"id": "of-my-own", "name": "a"}`)
	_, text := want(200, "GET", "/drive/v3/files/generateIds?count=1&fields=ids", "")
	id := strings.Split(text, `"`)[3]
	want(200, "POST", "/drive/v3/files", `{"id": "`+id+`", "name": "a"}`)
	want(409, "POST", "/drive/v3/files", `{"id": "`+id+`", "name": "b"}`)
	want(204, "DELETE", "/drive/v3/files/"+id, "")
	want(404, "GET", "/drive/v3/files/"+id, "")
	want(409, "POST", "/drive/v3/files", `{"id": "`+id+`", "name": "b"}`)
	want(404, "POST", "/drive/v3/files", `{"name": "b", "parents": ["nowhere"]}`)

	h, _ := want(200, "POST", "/upload/drive/v3/files?uploadType=resumable&fields=id,size", `{"name": "big"}`,
		"X-Upload-Content-Length", "600000", "X-Upload-Content-Type", "a/b")
	session := strings.TrimPrefix(h.Get("Location"), memoryBase)
	h, _ = want(308, "PUT", session, "", "Content-Range", "bytes */600000")
	if h.Get("Range") != "" {
		t.Errorf("range %q of nothing", h.Get("Range"))
	}
	h, _ = want(308, "PUT", session, strings.Repeat("x", quantum), "Content-Range", "bytes 0-262143/600000")
	if h.Get("Range") != "bytes=0-262143" {
		t.Errorf("range %q", h.Get("Range"))
	}
	if len(w.complaints) != 0 {
		t.Fatalf("complaints %q", w.complaints)
	}
	want(400, "PUT", session, strings.Repeat("x", 1000), "Content-Range", "bytes 262144-263143/600000")
	want(400, "PUT", session, "x", "Content-Range", "bytes 599999-599999/600000")
	if len(w.complaints) != 2 {
		t.Fatalf("complaints %q", w.complaints)
	}
	_, text = want(200, "PUT", session, strings.Repeat("x", 600000-quantum), "Content-Range", "bytes 262144-599999/600000")
	if !strings.Contains(text, `"size":"600000"`) {
		t.Errorf("answer %s", text)
	}
	want(200, "PUT", session, "", "Content-Range", "bytes */600000")
	c.f.ExpireAll()
	want(401, "GET", "/drive/v3/files", "")
}

func FuzzParseQuery(f *testing.F) {
	f.Add("('a' in parents or 'b' in parents) and name = 'it\\'s' and not trashed = true")
	f.Add("appProperties has { key='a' and value='b' }")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := parseQuery(text); err == nil {
			c(&Fake{files: map[string]*file{}}, &file{})
		}
	})
}
