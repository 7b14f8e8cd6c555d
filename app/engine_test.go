package app_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
)

// newEngine returns a world with one computer that is set up with a key, so that no guess
// has to be made costly, and whose source is its Docs folder.
func newEngine(t *testing.T) (*apptest.World, *apptest.Computer) {
	t.Helper()
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	setup(t, w, c, func(o *app.SetupOptions) { o.Lock, o.Secret = app.LockKey, app.Secret{} })
	return w, c
}

func mustBackup(t *testing.T, c *apptest.Computer) app.BackupSummary {
	t.Helper()
	s, err := c.App.Backup(t.Context(), app.BackupOptions{})
	if err != nil {
		t.Fatalf("backup: %v", err)
	}
	return s
}

// mustRestore restores everything into a new folder, and returns what is there of dir.
func mustRestore(t *testing.T, c *apptest.Computer, o app.RestoreOptions) (receipt app.Receipt, target string) {
	t.Helper()
	if o.Target == "" {
		o.Target = filepath.Join(t.TempDir(), "restored")
	}
	if o.Snapshot == "" {
		o.Snapshot = "latest"
	}
	receipt, err := c.App.Restore(t.Context(), o)
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return receipt, o.Target
}

func mustCheck(t *testing.T, c *apptest.Computer) app.CheckReport {
	t.Helper()
	report, err := c.App.Check(t.Context(), app.CheckOptions{ReadData: true})
	if err != nil {
		t.Fatalf("check: %v, %+v", err, report.Damaged)
	}
	return report
}

// treeOf describes everything below dir, by path: kind, attributes and a hash of contents.
// It goes through open folders, so that no path is too long.
func treeOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	tree := map[string]string{}
	describeFolder(t, root, "", tree, map[fileKey]string{})
	return tree
}

// A fileKey tells files with several names.
type fileKey struct{ device, inode uint64 }

func describeFolder(t *testing.T, dir *os.Root, path string, tree map[string]string, links map[fileKey]string) {
	t.Helper()
	for _, name := range namesIn(t, dir) {
		info, err := dir.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		here := path + "/" + name
		tree[here] = describe(t, dir, here, info, links)
		if !info.IsDir() {
			continue
		}
		sub, err := dir.OpenRoot(name)
		if err != nil {
			t.Fatal(err)
		}
		describeFolder(t, sub, here, tree, links)
		if err := sub.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func namesIn(t *testing.T, dir *os.Root) []string {
	t.Helper()
	d, err := dir.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func describe(t *testing.T, dir *os.Root, path string, info fs.FileInfo, links map[fileKey]string) string {
	t.Helper()
	name := info.Name()
	text := fmt.Sprintf("%v %v", info.Mode(), info.ModTime().UTC().Format(time.RFC3339Nano))
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := dir.Readlink(name)
		if err != nil {
			t.Fatal(err)
		}
		return text + " -> " + to
	case info.Mode().IsRegular():
		text += fmt.Sprintf(" %d %s", info.Size(), contentsOf(t, dir, name, info.Size()))
	}
	return text + systemAttributes(t, dir, path, info, links)
}

// contentsOf hashes a file; of one of holes that would take hours, the size says it all.
func contentsOf(t *testing.T, dir *os.Root, name string, size int64) string {
	t.Helper()
	if size > 1<<32 {
		return "huge"
	}
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrPermission) {
		return "closed"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// sameTrees compares what is below two folders.
func sameTrees(t *testing.T, want, got map[string]string) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("nothing to compare")
	}
	faults := 0
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got[path] != want[path] {
			t.Errorf("%.200q\n was %s\n  is %s", path, want[path], got[path])
			faults++
		}
		if faults > 10 {
			t.Fatal("and more")
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%.200q was not there: %s", path, got[path])
		}
	}
}

// problemLog collects problems, and fails a test to which two come at once.
type problemLog struct {
	t    *testing.T
	busy sync.Mutex
	all  []app.Problem
}

func (l *problemLog) add(p app.Problem) {
	if !l.busy.TryLock() {
		l.t.Error("two problems were told at the same time")
		return
	}
	defer l.busy.Unlock()
	l.all = append(l.all, p)
}

func (l *problemLog) find(path string) (app.Problem, bool) {
	for _, p := range l.all {
		if p.Path == path {
			return p, true
		}
	}
	return app.Problem{}, false
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// noise returns n bytes that do not compress, the same for the same seed.
func noise(seed string, n int) []byte {
	out := make([]byte, 0, n+32)
	block := sha256.Sum256([]byte(seed))
	for len(out) < n {
		out = append(out, block[:]...)
		block = sha256.Sum256(block[:])
	}
	return out[:n]
}

// under returns a source's place below a target.
func under(target, source string) string {
	return filepath.Join(target, strings.TrimPrefix(source, filepath.VolumeName(source)))
}

// endsAfter returns a context that is cancelled when it has been asked n times: at a moment
// of the work and not of the clock.
func endsAfter(t *testing.T, n int) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	c := &counted{Context: ctx, cancel: cancel}
	c.left.Store(int64(n))
	return c
}

type counted struct {
	context.Context
	left   atomic.Int64
	cancel func()
}

func (c *counted) count() {
	if c.left.Add(-1) == 0 {
		c.cancel()
	}
}

func (c *counted) Err() error            { c.count(); return c.Context.Err() }
func (c *counted) Done() <-chan struct{} { c.count(); return c.Context.Done() }
func (c *counted) Value(key any) any     { c.count(); return c.Context.Value(key) }

var zeroTime time.Time // the clock as it is

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
