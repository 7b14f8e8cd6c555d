package wiring

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
)

// smallTree makes files of all sizes that matter, with old dates.
func smallTree(t *testing.T, dir string) {
	t.Helper()
	old := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	for name, data := range map[string][]byte{
		"empty": nil, "one": {7}, "deep/er/text": bytes.Repeat([]byte("the same line\n"), 20_000),
		"ünïcode/файл": []byte("names"), "some spaces": []byte("in it"), "large": large(3 << 20),
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		writeFile(t, path, string(data))
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
}

// large returns bytes that do not compress.
func large(n int) []byte {
	data, state := make([]byte, n), uint64(1)
	for i := range data {
		state = state*6364136223846793005 + 1442695040888963407
		data[i] = byte(state >> 56)
	}
	return data
}

// treeOf describes all files below dir: path, type, mode, time, bytes.
func treeOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path) // it is below
		found[rel] = fmt.Sprintf("%v %v %x", info.Mode(), info.ModTime().UTC(), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// computer is one that reaches places as the programs do.
func (s *stand) computer(t *testing.T, w *apptest.World, name string) *apptest.Computer {
	t.Helper()
	c := w.Computer(name)
	c.Config.Places = s.connector(t)
	c.Restart()
	if s.cas != nil {
		file := filepath.Join(c.Home, "ca.pem")
		writeFile(t, file, string(s.cas))
		settings := c.App.Settings()
		settings.CAFile = file
		if err := c.App.SaveSettings(settings); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// connect gives the App what it needs to reach the stand.
func (s *stand) connect(t *testing.T, c *apptest.Computer) app.PlaceInfo {
	t.Helper()
	given := app.Connection{Dest: s.dest, Options: s.options, Secrets: map[string]app.Secret{}}
	for name, text := range s.secrets.kept {
		given.Secrets[name] = app.NewSecret([]byte(text))
	}
	info, err := c.App.Connect(t.Context(), given)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	if info.Dest != s.canonical || info.Kind != s.kind {
		t.Errorf("connected to %q, %q", info.Kind, info.Dest)
	}
	return info
}

// TestBackupAndRestoreInEveryKindOfPlace: one computer sets up and backs up, in two runs
// and as two processes; another one opens the backup and gets the same bytes. And no file
// of either profile has a secret in it that can be read.
func TestBackupAndRestoreInEveryKindOfPlace(t *testing.T) {
	for _, s := range stands(t) {
		t.Run(s.kind, func(t *testing.T) {
			w := apptest.New(t)
			ann := s.computer(t, w, "desk")
			smallTree(t, ann.Docs)
			if info := s.connect(t, ann); info.Exists && len(info.Backups) != 0 {
				t.Errorf("there are backups already: %+v", info)
			}
			made, err := ann.App.Setup(t.Context(), app.SetupOptions{
				To: s.canonical, Create: true, Sources: []string{ann.Docs}, Lock: app.LockKey, KeepKey: app.KeepFile,
			})
			if err != nil {
				t.Fatalf("setup: %v", err)
			}
			if _, err := ann.App.Backup(t.Context(), app.BackupOptions{}); err != nil {
				t.Fatalf("backup: %v", err)
			}
			ann.Restart() // from here on only the profile knows how to get there
			writeFile(t, filepath.Join(ann.Docs, "later"), "second backup")
			summary, err := ann.App.Backup(t.Context(), app.BackupOptions{})
			if err != nil || summary.NewFiles != 1 {
				t.Fatalf("second backup: %+v, %v", summary, err)
			}
			places, err := ann.App.Places()
			if err != nil || len(places) != 1 || places[0].Kind != s.kind || places[0].Dest != s.canonical {
				t.Errorf("places %+v, %v", places, err)
			}
			s.isKept(t, places[0])

			bob := s.computer(t, w, "laptop")
			s.connect(t, bob)
			if _, err := bob.App.Open(t.Context(), app.OpenOptions{From: s.canonical, Lock: app.LockKey, Key: made.Key, KeepKey: app.KeepFile}); err != nil {
				t.Fatalf("open: %v", err)
			}
			bob.Restart()
			target := t.TempDir()
			receipt, err := bob.App.Restore(t.Context(), app.RestoreOptions{Snapshot: "latest", Target: target, Verify: true})
			if err != nil || receipt.Failed != 0 {
				t.Fatalf("restore: %v, %s", err, receipt.Text())
			}
			want, got := treeOf(t, ann.Docs), treeOf(t, filepath.Join(target, ann.Docs))
			for name, text := range want {
				if got[name] != text {
					t.Errorf("%s is %.80q, want %.80q", name, got[name], text)
				}
			}
			if len(want) < 7 || len(got) != len(want) {
				t.Errorf("%d files came back of %d", len(got), len(want))
			}
			for _, c := range []*apptest.Computer{ann, bob} {
				noSecretBelow(t, c.Home)
			}
		})
	}
}

// isKept: what was learned is part of the profile.
func (s *stand) isKept(t *testing.T, p app.Place) {
	t.Helper()
	if s.kind == kindDrive && p.Account == "" {
		t.Error("the account was not kept")
	}
	if s.kind == kindSFTP && p.Options["host-key"] == "" {
		t.Error("the host key was not kept")
	}
	if s.kind == kindWebDAV && !strings.Contains(p.Dest, "ann%40home@") {
		t.Errorf("the user is not in %q", p.Dest)
	}
}

// noSecretBelow looks for the mark of secrets in all files.
func noSecretBelow(t *testing.T, dir string) {
	t.Helper()
	looked := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		looked++
		if bytes.Contains(data, []byte(secretMark)) {
			t.Errorf("%s has a secret in it", path)
		}
		return err
	})
	if err != nil || looked == 0 {
		t.Errorf("looked into %d files, %v", looked, err)
	}
}
