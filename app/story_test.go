package app_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud/cloudtest"
)

// A world of random changes: every snapshot comes back as the tree was, and what ls, cat
// and diff say agrees with the trees.
func TestRandomTreesOverSnapshots(t *testing.T) {
	snapshots := 5
	if cloudtest.Race { // of this many it takes a minute; without the race detector they are five
		snapshots = 3
	}
	for _, seed := range []uint64{1, uint64(time.Now().UnixNano())} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			_, c := newEngine(t)
			g := gardener{t: t, rng: rand.New(rand.NewPCG(seed, 0)), dir: c.Docs}
			var trees []map[string]string
			var ids []string
			for i := range snapshots {
				for range 40 {
					g.change()
				}
				// Half of the backups go by a clock that is far ahead, so that they trust
				// what they have; the others read what is young.
				s, _ := backupAt(t, c, time.Duration(i%2)*time.Hour)
				trees = append(trees, treeOf(t, c.Docs))
				ids = append(ids, s.Snapshot)
			}
			for i, id := range ids {
				receipt, target := mustRestore(t, c, app.RestoreOptions{Snapshot: id, Verify: true})
				if receipt.Failed > 0 {
					t.Fatal(receipt.Text())
				}
				sameTrees(t, trees[i], treeOf(t, under(target, c.Docs)))
				sameListing(t, c, id, trees[i], under(target, c.Docs))
				if i > 0 {
					sameDiff(t, c, ids[i-1], id, trees[i-1], trees[i])
				}
			}
			mustCheck(t, c)
		})
	}
}

// A gardener changes a tree.
type gardener struct {
	t     *testing.T
	rng   *rand.Rand
	dir   string
	paths []string // that were made once
	n     int
}

func (g *gardener) any() string {
	if len(g.paths) == 0 {
		return g.dir
	}
	return g.paths[g.rng.IntN(len(g.paths))]
}

// change does one random thing. Some are impossible, as in life.
func (g *gardener) change() {
	g.n++
	in := g.any()
	if info, err := os.Lstat(in); err != nil || !info.IsDir() {
		in = g.dir
	}
	path := filepath.Join(in, fmt.Sprint("n", g.n, strings.Repeat("é\n", g.rng.IntN(3))))
	switch g.rng.IntN(11) {
	case 0, 1, 2:
		_ = os.WriteFile(path, noise(path, g.size()), 0o640)
	case 3, 4:
		_ = os.Mkdir(path, 0o750)
	case 5:
		_ = os.Symlink(g.any(), path)
	case 6:
		_ = os.Link(g.any(), path)
	case 7:
		_ = os.Rename(g.any(), path)
	case 8:
		if old := g.any(); old != g.dir { // the source itself stays
			_ = os.RemoveAll(old)
		}
	case 9:
		_ = os.WriteFile(g.any(), noise(fmt.Sprint(g.n), g.size()), 0o600)
	case 10:
		when := time.Unix(g.rng.Int64N(2_000_000_000), g.rng.Int64N(1e9))
		_ = os.Chtimes(g.any(), when, when)
		_ = os.Chmod(g.any(), os.FileMode(0o700|g.rng.IntN(0o100)))
	}
	g.paths = append(g.paths, path)
}

func (g *gardener) size() int {
	return []int{0, 1, 100, 65535, 65536, 200_000, 1_500_000}[min(g.rng.IntN(12), 6)]
}

// sameListing compares Walk and Cat with a tree and its restored copy.
func sameListing(t *testing.T, c *apptest.Computer, id string, tree map[string]string, copied string) {
	t.Helper()
	seen := 0
	err := c.App.Walk(t.Context(), id, c.Docs, func(e app.EntryInfo) error {
		seen++
		rel := strings.TrimPrefix(e.Path, c.Docs)
		if _, ok := tree[rel]; !ok || e.Name != filepath.Base(rel) {
			t.Errorf("%q is listed and was not there", e.Path)
		}
		if e.Type != "file" || seen%4 != 0 && e.State == "" {
			return nil // each Cat opens the place anew: some are enough
		}
		want, err := os.ReadFile(filepath.Join(copied, rel))
		must(t, err)
		var b bytes.Buffer
		if err := c.App.Cat(t.Context(), id, e.Path, &b); err != nil || !bytes.Equal(b.Bytes(), want) || e.Size != int64(b.Len()) {
			t.Errorf("cat of %q: %d of %d bytes, %v", e.Path, b.Len(), len(want), err)
		}
		return nil
	})
	if err != nil || seen != len(tree) {
		t.Errorf("%d entries are listed of %d, %v", seen, len(tree), err)
	}
}

// sameDiff compares Diff with two trees.
func sameDiff(t *testing.T, c *apptest.Computer, from, to string, before, after map[string]string) {
	t.Helper()
	want := map[string]bool{}
	for path := range before {
		want[path] = before[path] != after[path]
	}
	for path := range after {
		want[path] = before[path] != after[path]
	}
	maps.DeleteFunc(want, func(_ string, differs bool) bool { return !differs })
	got := map[string]bool{}
	err := c.App.Diff(t.Context(), from, to, func(change app.Change) error {
		rel, ok := strings.CutPrefix(change.Path, c.Docs+"/")
		if ok {
			got["/"+rel] = true
		}
		if (change.A == nil) != (change.Kind == app.ChangeAdded) || (change.B == nil) != (change.Kind == app.ChangeRemoved) {
			t.Errorf("%+v", change)
		}
		return nil
	})
	must(t, err)
	for path := range want {
		// The first name of a file with several is not in a snapshot: a new link changes
		// what the tree says of its other names.
		if !got[path] && !strings.Contains(before[path]+after[path], "linked to") {
			t.Errorf("%q differs and is not told:\n%s\n%s", path, before[path], after[path])
		}
	}
	for path := range got {
		if !want[path] && !strings.Contains(before[path]+after[path], "linked to") {
			t.Errorf("%q is told and does not differ: %s", path, before[path])
		}
	}
}

// After everything that a profile does, nothing of the source, no password and no form of
// the key is found in the place, in the log, or, but for names, in the profile.
func TestNothingSecretIsLeftAnywhere(t *testing.T) {
	var log lockedBuffer
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	c.Config.Log = newDebugLog(&log)
	c.Restart()
	const name, piece = "unusual-file-name-4711", "a sentence that stands in a file and nowhere else"
	writeFile(t, filepath.Join(c.Docs, "unusual-folder", name), piece)
	must(t, os.WriteFile(filepath.Join(c.Docs, name+".large"), bytes.Repeat([]byte(piece+"\n"), 9000), 0o600))
	must(t, os.Symlink("unusual-link-target", filepath.Join(c.Docs, "link")))
	made := setup(t, w, c, nil)
	mustBackup(t, c)
	must(t, c.App.ChangePassword(t.Context(), password(apptest.Password2)))
	writeFile(t, filepath.Join(c.Docs, name), piece+" again")
	mustBackup(t, c)
	// Without an index the packs are taken over, and the log says so.
	for _, index := range w.Objects("index-") {
		must(t, os.Remove(filepath.Join(w.Place, index)))
	}
	mustRestore(t, c, app.RestoreOptions{})
	mustCheck(t, c)
	must(t, c.App.Find(t.Context(), name, func(app.SnapshotInfo, app.EntryInfo) error { return nil }))
	if _, err := c.App.PracticePassword(t.Context(), password(apptest.Password2)); err != nil {
		t.Fatal(err)
	}

	secrets := [][]byte{[]byte(apptest.Password), []byte(apptest.Password2)}
	secrets = append(secrets, formsOfKey(made.Key)...)
	names := [][]byte{[]byte(name), []byte("unusual-folder"), []byte("unusual-link-target"), []byte(piece), []byte("letter.txt")}
	read := 0
	for _, object := range w.Objects("") {
		data, err := os.ReadFile(filepath.Join(w.Place, object))
		must(t, err)
		mustNotHold(t, object, data, slices.Concat(secrets, names))
		read++
	}
	if read < 6 || log.Len() == 0 {
		t.Errorf("%d objects and a log of %d bytes", read, log.Len())
	}
	mustNotHold(t, "log", log.Bytes(), slices.Concat(secrets, names[:4]))
	must(t, filepath.WalkDir(c.Home, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		mustNotHold(t, path, data, append(secrets, []byte(piece)))
		return err
	}))
}

func mustNotHold(t *testing.T, where string, data []byte, secrets [][]byte) {
	t.Helper()
	for i, s := range secrets {
		if bytes.Contains(data, s) {
			t.Errorf("%s holds secret number %d", where, i)
		}
	}
}
