// Package drivetest is a Google Drive for tests: the part of the API, version 3,
// that a backup uses, with its habits and its failures.
//
// The words: a [Fake] is one Drive with its accounts; an [Op] is a kind of
// request; a [Fault] is a way in which one goes wrong; the lag is how many
// listings a change takes to show up in them (there is no other clock in it).
//
// What is faithful, because programs have lost data over it: names are not
// unique; ids must have been issued, are never used twice (409), and stay used
// when the file is gone; listings are late, paged and show only what this client
// made; get by id is not late; sessions keep multiples of 256 KiB, answer 308 with
// and without a Range, and go on after a broken connection; a full account says
// so at the start of an upload or at its end; what is in a trashed folder is in
// the trash; deleting a folder deletes what is in it.
//
// Every request and every answer is held against Google's own description of the
// API, which lies in the module google.golang.org/api; a difference fails the
// test. No client can be right against a fake that made up its own API.
package drivetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// An Op is a kind of request.
type Op string

// The requests.
const (
	About   Op = "about"
	IDs     Op = "generateIds"
	List    Op = "list"
	Get     Op = "get"
	Media   Op = "media"   // a download
	Create  Op = "create"  // without bytes: a folder
	Small   Op = "small"   // an upload in one request
	Session Op = "session" // the start of a resumable one
	Chunk   Op = "chunk"   // bytes for a session
	Status  Op = "status"  // the question what a session has
	Patch   Op = "patch"
	Delete  Op = "delete"
	Token   Op = "token"
	Revoke  Op = "revoke"
)

// units is what a request costs of Google's quota.
func units(op Op) int {
	switch op {
	case List:
		return 100
	case Media:
		return 200
	case Create, Small, Session, Patch, Delete:
		return 50
	case About, Get, IDs:
		return 5
	}
	return 0
}

// ClientID and ClientSecret are the one desktop client that the fake knows.
// They, and all tokens and sessions, contain [Mark], so that a test can look for
// secrets in what a program says.
const (
	Mark         = "S3CR3T"
	ClientID     = "1234-fake.apps.googleusercontent.com"
	ClientSecret = "client-" + Mark
	memoryBase   = "http://127.0.0.1:1"
)

const root = "root-of-my-drive"

// A file is one of the Drive's.
type file struct {
	id, name, mime string
	parent         string
	props          map[string]string
	data           []byte
	wrongSum       bool      // says another hash than it has
	hashes         [2]string // SHA-256 and MD5 in hex, when they were asked for
	created        time.Time
	owner          string // account id
	trashed        bool   // explicitly
	deleted        bool
	shows          int // the listing that shows it for the first time
	hides          int // the listing that shows it no more; 0: not deleted
}

// A File is what a test sees of one.
type File struct {
	ID, Name, Parent string
	Size             int64
	Trashed, Folder  bool
}

// A Fake is one Google Drive. Set the fields before the first request. It is
// safe for concurrent use.
type Fake struct {
	Lag      int                // listings until a change shows
	Limit    int64              // bytes of room; 0: no limit
	LateFull bool               // a full account says so only at the end of an upload
	PageSize int                // files a page, whatever is asked for; 0: as asked
	NoSHA    bool               // gives no sha256Checksum
	NoMD5    bool               // gives no md5Checksum
	Scope    string             // what is granted; "": what is asked for
	Before   func(op Op, n int) // called before the n-th request of a kind, from 1

	t      testing.TB
	api    *discovery
	random *dice

	mu        sync.Mutex
	files     map[string]*file // guarded by mu, as all below
	serial    int
	issued    map[string]bool
	sessions  map[string]*session
	pages     map[string][]*file
	listings  int
	counts    map[Op]int
	faults    []*Fault
	fired     int
	received  int64 // bytes of chunks that came
	resent    int64 // of these, bytes that were here before
	refresh   map[string]Account
	access    map[string]grant
	codes     map[string]pendingCode
	grantedAt string // account that signs in next
}

// An Account is a user of the Drive.
type Account struct{ ID, Email string }

// Alice is whose Drive it is, unless a test says otherwise.
func Alice() Account { return Account{ID: "0001", Email: "alice@example.org"} }

// Bob is somebody else.
func Bob() Account { return Account{ID: "0002", Email: "bob@example.org"} }

// New returns an empty Drive that Alice can sign in to.
func New(t testing.TB) *Fake {
	t.Helper()
	f := &Fake{
		t: t, api: loadDiscovery(t),
		files: map[string]*file{}, issued: map[string]bool{}, sessions: map[string]*session{}, pages: map[string][]*file{},
		counts: map[Op]int{}, refresh: map[string]Account{}, access: map[string]grant{}, codes: map[string]pendingCode{},
	}
	return f
}

// Endpoint is the API's address for a program that uses [Fake.Transport].
func (f *Fake) Endpoint() string { return memoryBase + "/drive/v3/" }

// ClientJSON is the file that Google's console gives for the client, with the
// addresses of the server at base ("" for [Fake.Transport]).
func (f *Fake) ClientJSON(base string) []byte {
	if base == "" {
		base = memoryBase
	}
	data, err := json.Marshal(map[string]any{"installed": map[string]any{
		"client_id": ClientID, "project_id": "fake", "auth_uri": base + "/o/oauth2/auth", "token_uri": base + "/token",
		"auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs", "client_secret": ClientSecret,
		"redirect_uris": []string{"http://localhost"},
	}})
	if err != nil {
		f.t.Fatal(err)
	}
	return data
}

// Serve starts a server on a port of this computer, until the test ends, and
// returns its address without a path.
func (f *Fake) Serve() string {
	server := httptest.NewServer(f)
	f.t.Cleanup(server.Close)
	return server.URL
}

// SignedIn returns a refresh token of the account.
func (f *Fake) SignedIn(a Account) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	token := f.name("refresh-" + Mark)
	f.refresh[token] = a
	return token
}

// NextSignIn says who sits before the browser. Alice, if nobody does.
func (f *Fake) NextSignIn(a Account) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grantedAt = a.ID
}

// RevokeAll ends all sign-ins, as when the user changes the password.
func (f *Fake) RevokeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh, f.access = map[string]Account{}, map[string]grant{}
}

// ExpireAll makes all access tokens bad before their time.
func (f *Fake) ExpireAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.access = map[string]grant{}
}

// name makes a name that was never used. The caller holds mu.
func (f *Fake) name(kind string) string {
	f.serial++
	return fmt.Sprintf("%s-%06d", kind, f.serial)
}

// Files returns all files and folders, those in the trash too, by id.
func (f *Fake) Files() []File {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []File
	for _, id := range slices.Sorted(maps.Keys(f.files)) {
		x := f.files[id]
		if x.deleted {
			continue
		}
		all = append(all, File{ID: id, Name: x.name, Parent: x.parent, Size: int64(len(x.data)), Trashed: f.isTrashed(x), Folder: x.isFolder()})
	}
	return all
}

// Named returns the files of one name that are not in the trash.
func (f *Fake) Named(name string) []File {
	return slices.DeleteFunc(f.Files(), func(x File) bool { return x.Name != name || x.Trashed })
}

// Data returns the bytes of a file.
func (f *Fake) Data(id string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.files[id]; x != nil {
		return bytes.Clone(x.data)
	}
	return nil
}

// Add puts a file there, as another device of Alice would, and returns its id.
// age is how long ago that was. It shows in listings at once.
func (f *Fake) Add(parent, name string, data []byte, age time.Duration) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := &file{id: f.name("added"), name: name, parent: parent, data: bytes.Clone(data), owner: Alice().ID, mime: "application/octet-stream", created: time.Now().Add(-age)}
	f.files[x.id] = x
	return x.id
}

// Trash puts a file or folder into the trash, or takes it out.
func (f *Fake) Trash(id string, trashed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[id].trashed = trashed
}

// Remove deletes a file, as another device would.
func (f *Fake) Remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remove(id)
}

// Counts returns how many requests of each kind came.
func (f *Fake) Counts() map[Op]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.counts)
}

// Units returns what all requests cost of Google's quota.
func (f *Fake) Units() int {
	total := 0
	for op, n := range f.Counts() {
		total += n * units(op)
	}
	return total
}

// Resent returns how many bytes of chunks came, and how many of them the
// session had already.
func (f *Fake) Resent() (received, resent int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.received, f.resent
}

func (x *file) isFolder() bool { return x.mime == folderType }

const folderType = "application/vnd.google-apps.folder"

// isTrashed reports whether the file or a folder above it is in the trash. The
// caller holds mu.
func (f *Fake) isTrashed(x *file) bool {
	for x != nil {
		if x.trashed {
			return true
		}
		x = f.files[x.parent]
	}
	return false
}

// remove deletes a file and what is in it. The caller holds mu.
func (f *Fake) remove(id string) {
	x := f.files[id]
	if x == nil || x.deleted {
		return
	}
	x.deleted, x.hides, x.data = true, f.listings+1+f.Lag, nil
	for _, child := range f.files {
		if child.parent == id {
			f.remove(child.id)
		}
	}
}

// used returns the bytes that an account has. The caller holds mu.
func (f *Fake) used(owner string) int64 {
	var n int64
	for _, x := range f.files {
		if x.owner == owner && !x.deleted {
			n += int64(len(x.data))
		}
	}
	return n
}

// complain fails the test: the request or the answer is not of this API.
func (f *Fake) complain(r *http.Request, what string) {
	f.t.Errorf("drivetest: %s %s: %s", r.Method, strings.ReplaceAll(r.URL.Path, Mark, "***"), what)
}
