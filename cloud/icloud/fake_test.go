package icloud

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"coffer/cloud"
)

// A fake is this computer's file system with an iCloud that misbehaves.
type fake struct {
	disk

	mu          sync.Mutex
	absent      map[string]chan struct{}   // guarded by mu; reading waits until it is closed
	lost        map[string]error           // guarded by mu; what reading an absent file says after the wait
	otherDevice bool                       // guarded by mu; staging is on another file system
	noExclusive bool                       // guarded by mu; rename cannot tell
	trouble     func(op, path string) fate // guarded by mu; nil: none
	uploaded    map[string]bool            // guarded by mu; by path
	reads       int                        // guarded by mu; of absent files
}

// A fate is what becomes of one operation.
type fate struct {
	err  error
	done bool // it happens, and err is returned nevertheless
	wait time.Duration
}

func newFake() *fake {
	return &fake{absent: map[string]chan struct{}{}, lost: map[string]error{}, uploaded: map[string]bool{}}
}

// evict takes the bytes of a file off this computer.
func (f *fake) evict(path string) (bring func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gate := make(chan struct{})
	f.absent[path] = gate
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.absent[path] == gate {
			delete(f.absent, path)
		}
		close(gate)
	}
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// meets says what becomes of an operation.
func (f *fake) meets(op, path string) fate {
	f.mu.Lock()
	trouble := f.trouble
	f.mu.Unlock()
	if trouble == nil {
		return fate{}
	}
	due := trouble(op, path)
	if due.wait > 0 {
		<-time.After(due.wait)
	}
	return due
}

// try does something that changes the disk.
func (f *fake) try(op, path string, do func() error) error {
	due := f.meets(op, path)
	if due.err != nil && !due.done {
		return due.err
	}
	if err := do(); err != nil {
		return err
	}
	return due.err
}

func (f *fake) stat(path string) (entry, error) {
	if due := f.meets("stat", path); due.err != nil {
		return entry{}, due.err
	}
	e, err := f.disk.stat(path)
	f.mu.Lock()
	defer f.mu.Unlock()
	_, e.absent = f.absent[path]
	return e, err
}

func (f *fake) list(dir string, found func(entry) bool) error {
	if due := f.meets("list", dir); due.err != nil {
		return due.err
	}
	return f.disk.list(dir, found)
}

func (f *fake) open(path string) (file, error) {
	if due := f.meets("open", path); due.err != nil {
		return nil, due.err
	}
	inner, err := f.disk.open(path)
	if err != nil {
		return nil, err
	}
	return &fakeFile{inner, f, path}, nil
}

func (f *fake) create(dir string) (string, file, error) {
	if due := f.meets("create", dir); due.err != nil {
		return "", nil, due.err
	}
	path, inner, err := f.disk.create(dir)
	if err != nil {
		return "", nil, err
	}
	return path, &fakeFile{inner, f, path}, nil
}

func (f *fake) rename(from, to string) error {
	f.mu.Lock()
	apart, loose := f.otherDevice && filepath.Dir(from) != filepath.Dir(to), f.noExclusive
	f.mu.Unlock()
	switch {
	case apart:
		return errOtherDevice
	case loose:
		return errors.ErrUnsupported
	}
	return f.try("rename", to, func() error { return f.disk.rename(from, to) })
}

func (f *fake) replace(from, to string) error {
	return f.try("replace", to, func() error { return f.disk.replace(from, to) })
}

func (f *fake) flush(dir string) error {
	return f.try("flush", dir, func() error { return f.disk.flush(dir) })
}

func (f *fake) remove(path string) error {
	return f.try("remove", path, func() error { return f.disk.remove(path) })
}

func (f *fake) where(path, _ string) (cloud.Whereabouts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.uploaded[path] {
		return cloud.WhereThere, nil
	}
	return cloud.WhereHere, nil
}

func (f *fake) confirms() bool { return true }

type fakeFile struct {
	file
	fake *fake
	path string
}

func (f *fakeFile) ReadAt(p []byte, off int64) (int, error) {
	if due := f.fake.meets("read", f.path); due.err != nil {
		return 0, due.err
	}
	f.fake.mu.Lock()
	gate := f.fake.absent[f.path]
	if gate != nil {
		f.fake.reads++
	}
	f.fake.mu.Unlock()
	if gate != nil {
		<-gate
		f.fake.mu.Lock()
		err := f.fake.lost[f.path]
		f.fake.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
	return f.file.ReadAt(p, off)
}

func (f *fakeFile) Write(p []byte) (int, error) {
	if due := f.fake.meets("write", f.path); due.err != nil {
		n, _ := f.file.Write(p[:len(p)/2])
		return n, due.err
	}
	return f.file.Write(p)
}

func (f *fakeFile) Sync() error { return f.fake.try("sync", f.path, f.file.Sync) }

// A place is a driver and where it keeps things.
type place struct {
	*Driver
	fake                  *fake
	root, folder, staging string
	config                Config
}

// newPlace makes a synced folder with ours in it.
func newPlace(t *testing.T, f *fake) *place {
	t.Helper()
	base := t.TempDir()
	p := &place{fake: f, root: filepath.Join(base, "CloudDocs"), staging: filepath.Join(base, "staging")}
	p.folder = filepath.Join(p.root, DefaultFolder)
	if err := os.Mkdir(p.root, 0o700); err != nil {
		t.Fatal(err)
	}
	p.config = Config{Root: p.root, Staging: p.staging, Create: true}
	if f != nil {
		p.config.system = f
	}
	p.reopen(t)
	return p
}

func (p *place) reopen(t *testing.T) {
	t.Helper()
	d, err := New(p.config)
	if err != nil {
		t.Fatal(err)
	}
	p.Driver = d
}

func (p *place) path(name string) string { return filepath.Join(p.folder, name) }

// files are the names in both folders.
func (p *place) files(t *testing.T) (folder, staging []string) {
	t.Helper()
	return names(t, p.folder), names(t, p.staging)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func content(seed, n int) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], uint64(seed))
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails, by contract
	return data
}

func mustPut(t *testing.T, d cloud.Driver, data []byte) string {
	t.Helper()
	name := cloud.Name("pack", data)
	if err := d.Put(t.Context(), name, cloud.Bytes(data)); err != nil {
		t.Fatalf("put: %v", err)
	}
	return name
}

func read(ctx context.Context, d cloud.Driver, name string) ([]byte, error) {
	r, err := d.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

func wantData(t *testing.T, d cloud.Driver, name string, want []byte) {
	t.Helper()
	got, err := read(t.Context(), d, name)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("get: %d of %d bytes, %v", len(got), len(want), err)
	}
}

func wantIs(t *testing.T, what string, err error, classes ...error) {
	t.Helper()
	for _, class := range classes {
		if !errors.Is(err, class) {
			t.Fatalf("%s: error %v, want %v", what, err, class)
		}
	}
}

func listed(t *testing.T, d cloud.Driver) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for o, err := range d.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		found[o.Name] = o.Size
	}
	return found
}

// makeStub is what macOS leaves in the place of a file.
func makeStub(name string, size int64) []byte {
	ascii := func(s string) []byte {
		if len(s) < countFollows {
			return append([]byte{kindASCII<<4 | byte(len(s))}, s...)
		}
		return append([]byte{kindASCII<<4 | countFollows, kindInteger << 4, byte(len(s))}, s...)
	}
	objects := [][]byte{
		{kindDict<<4 | 3, 1, 2, 3, 4, 5, 6},
		ascii("NSURLFileResourceTypeKey"), ascii(keySize), ascii(keyName),
		ascii("NSURLFileResourceTypeRegular"),
		binary.BigEndian.AppendUint64([]byte{kindInteger<<4 | 3}, uint64(size)),
		ascii(name),
	}
	data := []byte(plistMagic)
	var table []byte
	for _, o := range objects {
		table = binary.BigEndian.AppendUint16(table, uint16(len(data)))
		data = append(data, o...)
	}
	trailer := make([]byte, trailerSize)
	trailer[6], trailer[7] = 2, 1
	binary.BigEndian.PutUint64(trailer[8:], uint64(len(objects)))
	binary.BigEndian.PutUint64(trailer[24:], uint64(len(data)))
	return append(append(data, table...), trailer...)
}

func mustWrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustMove(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// errno is an error of the system, wrapped as package os does.
func errno(e syscall.Errno) error { return &os.PathError{Op: "test", Path: "x", Err: e} }
