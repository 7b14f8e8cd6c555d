package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/app/repo"
	"coffer/cloud"
	"coffer/crypto"
)

// Who has the key can make any snapshot. A restore of it stays in its folder.
func TestHostileSnapshotsStayInTheTarget(t *testing.T) {
	for _, name := range []string{"../pwned", "/etc/pwned", "a/../../pwned", "..", ".", "a\x00b"} {
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			w := apptest.New(t)
			c := w.Computer("ANN-LAPTOP")
			made := setup(t, w, c, func(o *app.SetupOptions) { o.Lock, o.Secret = app.LockKey, app.Secret{} })
			for _, kind := range []repo.Type{repo.TypeFile, repo.TypeFolder, repo.TypeSymlink} {
				storeHostile(t, w, made.Key, name, kind)
			}
			snapshots, err := c.App.Snapshots(t.Context())
			if err != nil || len(snapshots) != 3 {
				t.Fatalf("%d snapshots, %v", len(snapshots), err)
			}
			for _, s := range snapshots {
				base := t.TempDir()
				receipt, _ := mustRestore(t, c, app.RestoreOptions{Snapshot: s.ID, Target: filepath.Join(base, "a", "b")})
				if receipt.Failed != 1 || receipt.Restored != 0 {
					t.Error(receipt.Text())
				}
				if got := treeOf(t, base); len(got) != 2 {
					t.Errorf("made %v", got)
				}
			}
		})
	}
}

// storeHostile stores a snapshot with one entry of a name that no writer takes.
func storeHostile(t *testing.T, w *apptest.World, key app.RootKey, name string, kind repo.Type) {
	t.Helper()
	opened, err := w.Open(t.Context(), app.PlaceRequest{Dest: w.Place})
	must(t, err)
	store := cloud.New(opened.Driver, cloud.Options{})
	defer store.Close()
	keys := key.Derive()
	defer keys.Wipe()
	r, err := repo.Open(t.Context(), store, keys, repo.Options{})
	must(t, err)
	writer := r.NewWriter(t.Context(), nil)
	defer writer.Close()
	bundle := writer.NewTreeBundle()
	good := strings.Repeat("x", len(name))
	entry := repo.Entry{Name: good, Type: kind, Mode: 0o644}
	if kind == repo.TypeSymlink {
		entry.Link = "/etc"
	}
	page := bytes.ReplaceAll(append([]byte{0x81}, entry.AppendCBOR(nil)...), []byte(good), []byte(name))
	id, err := bundle.Put(page)
	must(t, err)
	must(t, bundle.Flush())
	s := &repo.Snapshot{
		Computer: "EVIL", OS: "linux", Device: repo.DeviceID{byte(kind) + 1}, Sequence: 1, Tool: "test",
		Sources: []string{"/x"}, Root: repo.Content{IDs: []crypto.ChunkID{id}},
	}
	must(t, writer.Commit(t.Context(), s))
}

// A link that is in the way, from an earlier snapshot or from somebody else, is not followed.
func TestRestoreDoesNotFollowLinksInTheTarget(t *testing.T) {
	_, c := newEngine(t)
	outside := t.TempDir()
	must(t, os.Symlink(outside, filepath.Join(c.Docs, "d")))
	first := mustBackup(t, c)
	must(t, os.Remove(filepath.Join(c.Docs, "d")))
	writeFile(t, filepath.Join(c.Docs, "d", "through"), "through the link")
	mustBackup(t, c)
	for _, policy := range []app.Conflict{app.ConflictKeepBoth, app.ConflictKeepNewer, app.ConflictReplace, app.ConflictSkip} {
		target := filepath.Join(t.TempDir(), "target")
		mustRestore(t, c, app.RestoreOptions{Snapshot: first.Snapshot, Target: target})
		receipt, _ := mustRestore(t, c, app.RestoreOptions{Target: target, Conflict: policy})
		if receipt.Failed != 1 || len(receipt.Problems) != 1 || receipt.Problems[0].Path != filepath.Join(c.Docs, "d") {
			t.Errorf("%s: %s", policy, receipt.Text())
		}
		if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
			t.Fatalf("%s: written outside: %v, %v", policy, left, err)
		}
	}
}
