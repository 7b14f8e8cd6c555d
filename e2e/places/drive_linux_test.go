package places

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"coffer/cloud/drive/drivetest"
)

func base64Text(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// A front stands before the fake Google Drive, for what the fake does not do: a lag in
// seconds instead of listings, and a word when the work of a request is done and its
// answer is not yet on the way.
type front struct {
	*drivetest.Fake
	url string

	mu       sync.Mutex
	lag      time.Duration         // guarded by mu; how long a new file is in no listing
	answered func(r *http.Request) // guarded by mu
}

// startDrive starts a Google Drive. The test sees to it that no request is one that
// Google would not understand.
func startDrive(t *testing.T) *front {
	t.Helper()
	f := &front{Fake: drivetest.New(t)}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// ServeHTTP implements [http.Handler].
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	lag, answered := f.lag, f.answered
	f.mu.Unlock()
	isList := r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/files")
	if answered == nil && (lag == 0 || !isList) {
		f.Fake.ServeHTTP(w, r)
		return
	}
	rec := httptest.NewRecorder()
	broken := serveBroken(f.Fake, rec, r)
	if answered != nil {
		answered(r)
	}
	if broken {
		panic(http.ErrAbortHandler)
	}
	body := rec.Body.Bytes()
	if isList && lag > 0 && rec.Code == http.StatusOK {
		body = hideYoung(body, lag)
		rec.Header().Del("Content-Length")
	}
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body) // the client may be gone
}

// serveBroken serves, and reports whether the fake broke the connection.
func serveBroken(h http.Handler, w http.ResponseWriter, r *http.Request) (broken bool) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler: // the value itself, as net/http compares it
			broken = true
		default:
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

// hideYoung takes files out of a listing that are younger than the lag.
func hideYoung(body []byte, lag time.Duration) []byte {
	var page map[string]any
	if json.Unmarshal(body, &page) != nil {
		return body
	}
	files, _ := page["files"].([]any)
	kept := []any{}
	for _, file := range files {
		fields, _ := file.(map[string]any)
		text, _ := fields["createdTime"].(string)
		created, err := time.Parse(time.RFC3339, text)
		if err != nil || time.Since(created) >= lag {
			kept = append(kept, file)
		}
	}
	page["files"] = kept
	out, err := json.Marshal(page)
	if err != nil {
		return body
	}
	return out
}

// on calls f when the work of a request is done, before it is answered. nil: no more.
func (f *front) on(answered func(r *http.Request)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answered = answered
}

// setLag says for how long a new file is in no listing.
func (f *front) setLag(lag time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lag = lag
}

// site is a folder of that Drive, for a machine that is signed in as an account.
func (f *front) site(m *machine, as drivetest.Account) site {
	m.Helper()
	token := f.SignedIn(as)
	m.env = append(m.env, "COFFER_DRIVE_ENDPOINT="+f.url+"/drive/v3/")
	return site{
		kind: "drive", dest: "drive:Backups of Ann",
		flags: []string{
			"--drive-client", m.file("client.json", string(f.ClientJSON(f.url))),
			"--drive-token-file", m.file("token", token),
		},
		secrets: []string{token, drivetest.ClientSecret, drivetest.Mark},
	}
}

// download writes all files of the Drive into a folder, as its owner may do.
func (f *front) download(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, x := range f.Files() {
		if !x.Folder {
			must(t, os.WriteFile(filepath.Join(dir, x.Name), f.Data(x.ID), 0o600))
		}
	}
	return dir
}

// folder is the id of the one folder of the backup.
func (f *front) folder(t *testing.T) string {
	t.Helper()
	id := ""
	for _, x := range f.Files() {
		if x.Folder {
			if id != "" {
				t.Fatalf("there are two folders: %s and %s", id, x.ID)
			}
			id = x.ID
		}
	}
	if id == "" {
		t.Fatal("there is no folder")
	}
	return id
}
