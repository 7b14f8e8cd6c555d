package repo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/crypto"
)

// testKeys returns the keys of the root key 00 01 ... 1f, that of the vectors.
func testKeys(t testing.TB) *crypto.Keys {
	t.Helper()
	return mustRoot(t, 0).Derive()
}

// mustRoot returns the root key of 32 bytes that count up from first.
func mustRoot(t testing.TB, first byte) crypto.RootKey {
	t.Helper()
	b := make([]byte, crypto.KeySize)
	for i := range b {
		b[i] = first + byte(i)
	}
	root, err := crypto.RootKeyFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// seeded returns n bytes that the seed alone decides, and that do not compress.
func seeded(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

func newStore(t testing.TB, d cloud.Driver) *cloud.Store {
	t.Helper()
	s := cloud.New(d, cloud.Options{Budget: -1})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustOpen(t testing.TB, d cloud.Driver) *Repository {
	t.Helper()
	r, err := Open(t.Context(), newStore(t, d), testKeys(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A node is a file, folder or link of a tree that a test stores.
type node struct {
	Entry
	data     []byte // of files, without holes
	children []*node
}

func file(name string, data []byte) *node {
	return &node{Entry: Entry{Name: name, Type: TypeFile, Mode: 0o644, ModTime: Time{1_700_000_000, 5}, Size: int64(len(data))}, data: data}
}

func folder(name string, children ...*node) *node {
	slices.SortFunc(children, func(a, b *node) int { return strings.Compare(a.Name, b.Name) })
	return &node{Entry: Entry{Name: name, Type: TypeFolder, Mode: 0o755, ModTime: Time{1_700_000_001, 0}}, children: children}
}

// A treeWriter stores nodes the way docs/format.md, section 4, says.
type treeWriter struct {
	w          *Writer
	data, tree *Bundle
	chunker    *Chunker
	stored     map[*byte]Content // of files that share their data, by its first byte
}

func newTreeWriter(w *Writer, keys *crypto.Keys) *treeWriter {
	return &treeWriter{w, w.NewBundle(), w.NewTreeBundle(), NewChunker(keys), map[*byte]Content{}}
}

func (t *treeWriter) flush() error {
	if err := t.data.Flush(); err != nil {
		return err
	}
	return t.tree.Flush()
}

// store fills in the content of n and of all below.
func (t *treeWriter) store(n *node) (err error) {
	switch {
	case n.Type == TypeFolder:
		n.Content, err = t.folder(n.children)
	case n.Type == TypeFile && n.State != StateUnreadable && len(n.data) > 0:
		known, ok := t.stored[&n.data[0]]
		if !ok {
			known, err = t.file(n.data)
			t.stored[&n.data[0]] = known
		}
		n.Content = known
	}
	return err
}

func (t *treeWriter) folder(children []*node) (Content, error) {
	f := t.tree.NewFolder()
	for _, c := range children {
		if err := t.store(c); err != nil {
			return Content{}, err
		}
		if err := f.Add(&c.Entry); err != nil {
			return Content{}, err
		}
	}
	return f.End()
}

func (t *treeWriter) file(data []byte) (Content, error) {
	var ids []crypto.ChunkID
	for rest := data; len(rest) > 0; {
		n := len(rest)
		switch {
		case len(data) < SmallChunk:
		case bytes.HasPrefix(data, []byte("SQLite format 3\x00")):
			n = min(DatabaseBlock, len(rest))
		default:
			n = t.chunker.Cut(rest[:min(len(rest), maxChunk)])
		}
		id, err := t.data.Put(rest[:n])
		if err != nil {
			return Content{}, err
		}
		ids, rest = append(ids, id), rest[n:]
	}
	return t.tree.PutContent(ids)
}

// testSnapshot returns a snapshot that lacks its root.
func testSnapshot(device byte, sequence uint64, previous Name) *Snapshot {
	return &Snapshot{
		Started: Time{1_700_000_100 + int64(sequence), 0}, Ended: Time{1_700_000_200 + int64(sequence), 7},
		Device: DeviceID{device}, Computer: "ann-laptop", OS: "linux", User: "ann",
		Sources: []string{"/home/ann"}, Files: 1, Folders: 2, Bytes: 3,
		Sequence: sequence, Previous: previous, Tool: "test",
	}
}

// backup stores the nodes as the root of s, and s.
func backup(ctx context.Context, r *Repository, s *Snapshot, nodes ...*node) error {
	w := r.NewWriter(ctx, nil)
	defer w.Close()
	t := newTreeWriter(w, r.keys)
	var err error
	if s.Root, err = t.folder(folder("", nodes...).children); err != nil {
		return err
	}
	if err := t.flush(); err != nil {
		return err
	}
	return w.Commit(ctx, s)
}

func mustBackup(t testing.TB, d cloud.Driver, s *Snapshot, nodes ...*node) *Snapshot {
	t.Helper()
	if err := backup(t.Context(), mustOpen(t, d), s, nodes...); err != nil {
		t.Fatal(err)
	}
	return s
}

// A found is an entry as it was read back, with the hash of its bytes.
type found struct {
	Entry
	SHA256 string // of the file with its holes; empty for all else
}

// readTree returns all below a content by path.
func readTree(ctx context.Context, r *Repository, c Content) (map[string]found, error) {
	all := map[string]found{}
	return all, walk(ctx, r, c, "", all)
}

func walk(ctx context.Context, r *Repository, c Content, path string, all map[string]found) error {
	for e, err := range r.Folder(ctx, c) {
		if err != nil {
			return fmt.Errorf("folder %q: %w", path, err)
		}
		f := found{Entry: e}
		if e.Type == TypeFile && e.State != StateUnreadable {
			data, err := readFile(ctx, r, &e)
			if err != nil {
				return fmt.Errorf("file %q: %w", path+"/"+e.Name, err)
			}
			sum := sha256.Sum256(data)
			f.SHA256 = hex.EncodeToString(sum[:])
		}
		all[path+"/"+e.Name] = f
		if e.Type == TypeFolder {
			if err := walk(ctx, r, e.Content, path+"/"+e.Name, all); err != nil {
				return err
			}
		}
	}
	return nil
}

// readFile returns a file with its holes, straight from section 7.3.
func readFile(ctx context.Context, r *Repository, e *Entry) ([]byte, error) {
	var data []byte
	for id, err := range r.IDs(ctx, e.Content) {
		if err != nil {
			return nil, err
		}
		chunk, err := r.Chunk(ctx, id)
		if err != nil {
			return nil, err
		}
		data = append(data, chunk...)
	}
	return spread(data, e)
}

// spread puts the holes of e into data.
func spread(data []byte, e *Entry) ([]byte, error) {
	if int64(len(data))+e.HoleBytes() != e.Size {
		return nil, fmt.Errorf("%d bytes and %d in holes are not %d", len(data), e.HoleBytes(), e.Size)
	}
	whole := make([]byte, 0, e.Size)
	for _, h := range e.Holes {
		n := h.Offset - int64(len(whole))
		whole, data = append(whole, data[:n]...), data[n:]
		whole = append(whole, make([]byte, h.Length)...)
	}
	return append(whole, data...), nil
}

// flatten returns what readTree should find of stored nodes.
func flatten(t testing.TB, nodes []*node) map[string]found {
	t.Helper()
	all := map[string]found{}
	var visit func(path string, nodes []*node)
	visit = func(path string, nodes []*node) {
		for _, n := range nodes {
			f := found{Entry: n.Entry}
			if n.Type == TypeFile && n.State != StateUnreadable {
				data, err := spread(n.data, &n.Entry)
				if err != nil {
					t.Fatal(err)
				}
				sum := sha256.Sum256(data)
				f.SHA256 = hex.EncodeToString(sum[:])
			}
			all[path+"/"+n.Name] = f
			visit(path+"/"+n.Name, n.children)
		}
	}
	visit("", nodes)
	return all
}

// mustMatch fails unless the snapshot holds exactly the nodes.
func mustMatch(t testing.TB, r *Repository, s *Snapshot, nodes ...*node) {
	t.Helper()
	got, err := readTree(t.Context(), r, s.Root)
	if err != nil {
		t.Fatal(err)
	}
	want := flatten(t, nodes)
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	for path, w := range want {
		if g := got[path]; !g.Equal(&w.Entry) || g.SHA256 != w.SHA256 {
			t.Fatalf("%q: got %+v, want %+v", path, g, w)
		}
	}
}

func mustCheck(t testing.TB, d cloud.Driver) *Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a hostile tree must not hold up the tests
	defer cancel()
	report, err := Check(ctx, newStore(t, d), testKeys(t), CheckOptions{Percent: 100})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// mustBeClean checks every byte of the place.
func mustBeClean(t testing.TB, d cloud.Driver) {
	t.Helper()
	for _, damage := range mustCheck(t, d).Damaged {
		t.Errorf("check: %s %s, %d chunks, %q", damage.Object, damage.Reason, damage.Chunks, damage.Paths)
	}
}

// namesOf returns the names of the objects of a kind, and fails when there is none.
func namesOf(t testing.TB, m *cloudtest.Memory, kind string) []string {
	t.Helper()
	names := slices.DeleteFunc(m.Names(), func(n string) bool { return !strings.HasPrefix(n, kind+"-") })
	if len(names) == 0 {
		t.Fatalf("the place has no %s", kind)
	}
	return names
}

// A counter counts from several goroutines.
type counter struct{ n atomic.Int64 }

func (c *counter) next() int  { return int(c.n.Add(1)) }
func (c *counter) value() int { return int(c.n.Load()) }
