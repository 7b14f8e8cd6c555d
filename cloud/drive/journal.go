package drive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"coffer/cloud"
	"coffer/internal/durable"
)

const (
	maxJournal = 16 << 10
	// sessionLife is how long Drive keeps a session.
	sessionLife = 7 * 24 * time.Hour

	journalPrefix = "drive-upload-"
	placeFile     = "drive-place-"
	journalMode   = 0o600
)

// A ticket is one upload under way: what must be on the disk before the first
// byte is sent.
type ticket struct {
	Name   string
	Folder string // the id of the folder that it goes to
	ID     string // the id that the file has, or will have
	URI    string // of the session, or "": none yet. A secret
	Size   int64
	SHA256 string
}

// fits reports whether the ticket is for these bytes.
func (t ticket) fits(name, folder string, src cloud.Source) bool {
	return t.Name == name && t.Folder == folder && t.Size == src.Size() && t.SHA256 == sumOf(src)
}

func sumOf(src cloud.Source) string {
	sum := src.SHA256()
	return hex.EncodeToString(sum[:])
}

// String keeps the session out of what is printed.
func (t ticket) String() string { return "upload of " + t.Name }

// GoString does the same for %#v.
func (t ticket) GoString() string { return t.String() }

// A knownPlace is where the place was last time.
type knownPlace struct {
	Folder  string // id
	Name    string
	Account string // id
}

// folder returns the id if it is the folder of that name.
func (k knownPlace) folder(name string) string {
	if k.Name != name {
		return ""
	}
	return k.Folder
}

// A journal keeps tickets: in memory, and in a folder of this computer if it has
// one. What cannot be read is as if it were not there: then the object is sent
// from its start, and a second file of equal bytes harms nobody.
type journal struct {
	dir        string
	place      string // distinguishes places that share dir
	seal, open func([]byte) ([]byte, error)

	mu     sync.Mutex
	memory map[string]ticket // guarded by mu; by name
	swept  bool              // guarded by mu
}

func newJournal(c Config) *journal {
	plain := func(b []byte) ([]byte, error) { return b, nil }
	j := &journal{dir: c.State, seal: c.Seal, open: c.Open, place: c.Endpoint + "\x00" + c.Client.ID + "\x00" + c.Folder, memory: map[string]ticket{}}
	if j.seal == nil {
		j.seal, j.open = plain, plain
	}
	return j
}

// path is the file of a ticket; its name says nothing of the object's.
func (j *journal) path(prefix, name string) string {
	sum := sha256.Sum256([]byte(j.place + "\x00" + name))
	return filepath.Join(j.dir, prefix+hex.EncodeToString(sum[:16]))
}

// load returns the ticket for these bytes, or the zero ticket.
func (j *journal) load(name, folder string, src cloud.Source) ticket {
	j.mu.Lock()
	t, ok := j.memory[name]
	j.mu.Unlock()
	if !ok && j.dir != "" {
		t, ok = j.read(name)
	}
	if !ok || !t.fits(name, folder, src) {
		return ticket{}
	}
	return t
}

func (j *journal) read(name string) (ticket, bool) {
	data, err := j.readFile(j.path(journalPrefix, name))
	if err != nil {
		return ticket{}, false
	}
	t, err := parseTicket(data)
	return t, err == nil
}

// readFile reads and opens a small file.
func (j *journal) readFile(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxJournal {
		return nil, fmt.Errorf("read journal: %w", fs.ErrInvalid)
	}
	sealed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return j.open(sealed)
}

// save returns when the ticket is on the disk.
func (j *journal) save(t ticket) error {
	j.mu.Lock()
	j.memory[t.Name] = t
	j.mu.Unlock()
	if j.dir == "" {
		return nil
	}
	j.sweep()
	return j.write(j.path(journalPrefix, t.Name), map[string]string{
		"name": t.Name, "folder": t.Folder, "id": t.ID, "uri": t.URI,
		"size": fmt.Sprint(t.Size), "sha256": t.SHA256,
	})
}

func (j *journal) write(path string, fields map[string]string) error {
	data, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	sealed, err := j.seal(data)
	if err != nil {
		return fmt.Errorf("seal journal: %w", err)
	}
	if err := durable.WriteFile(path, sealed, journalMode); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// remove forgets an upload. A file that stays is swept later.
func (j *journal) remove(name string) {
	j.mu.Lock()
	delete(j.memory, name)
	j.mu.Unlock()
	if j.dir != "" {
		_ = os.Remove(j.path(outboxPrefix, name)) // absent, or swept later
		_ = os.Remove(j.path(journalPrefix, name))
	}
}

// sweep removes, once, the tickets, and the bytes beside them, whose sessions are over by now: uploads that
// nobody went on with.
func (j *journal) sweep() {
	j.mu.Lock()
	swept := j.swept
	j.swept = true
	j.mu.Unlock()
	if swept {
		return
	}
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return // writing will say so
	}
	for _, e := range entries {
		info, err := e.Info()
		ours := strings.HasPrefix(e.Name(), journalPrefix) || strings.HasPrefix(e.Name(), outboxPrefix)
		if err == nil && info.Mode().IsRegular() && ours && time.Since(info.ModTime()) > sessionLife {
			_ = os.Remove(filepath.Join(j.dir, e.Name())) // tried again by the next run
		}
	}
}

// parseTicket reads a ticket, strictly: what is in it goes into requests.
func parseTicket(data []byte) (ticket, error) {
	values, err := texts(data, "name", "folder", "id", "uri", "size", "sha256")
	if err != nil {
		return ticket{}, err
	}
	t := ticket{Name: values["name"], Folder: values["folder"], ID: values["id"], URI: values["uri"], SHA256: values["sha256"]}
	size, ok := parseSize(values["size"])
	t.Size = size
	sum, err := hex.DecodeString(t.SHA256)
	if !ok || err != nil || len(sum) != sha256.Size || strings.ToLower(t.SHA256) != t.SHA256 ||
		!cloud.ValidName(t.Name) || !validID(t.Folder) || !validID(t.ID) {
		return ticket{}, fmt.Errorf("%w: not a journal", errSyntax)
	}
	if t.URI != "" {
		if _, err := parseAddress(t.URI); err != nil {
			return ticket{}, err
		}
	}
	return t, nil
}

// texts reads an object that has exactly these strings.
func texts(data []byte, names ...string) (map[string]string, error) {
	if len(data) > maxJournal {
		return nil, fmt.Errorf("%w: too long", errSyntax)
	}
	fields, err := object(data)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, name := range names {
		if values[name], err = text(fields, name); err != nil {
			return nil, err
		}
		if _, ok := fields[name]; !ok {
			return nil, fmt.Errorf("%w: no %s", errSyntax, name)
		}
	}
	if len(fields) != len(names) {
		return nil, fmt.Errorf("%w: more than was written", errSyntax)
	}
	return values, nil
}

// loadPlace returns what savePlace kept, or the zero value.
func (j *journal) loadPlace() knownPlace {
	if j.dir == "" {
		return knownPlace{}
	}
	data, err := j.readFile(j.path(placeFile, ""))
	if err != nil {
		return knownPlace{}
	}
	values, err := texts(data, "folder", "name", "account")
	if err != nil || !validID(values["folder"]) {
		return knownPlace{}
	}
	return knownPlace{Folder: values["folder"], Name: values["name"], Account: values["account"]}
}

func (j *journal) savePlace(k knownPlace) error {
	if j.dir == "" || j.loadPlace() == k {
		return nil
	}
	err := j.write(j.path(placeFile, ""), map[string]string{"folder": k.Folder, "name": k.Name, "account": k.Account})
	if errors.Is(err, fs.ErrPermission) {
		return nil // who may not write here can still restore
	}
	return err
}
