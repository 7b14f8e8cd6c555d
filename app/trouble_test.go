package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coffer/app"
)

// What happens to a file between the moment when it was listed and each attempt to read
// it, and what the backup says and stores of it.
func TestFilesThatChangeWhileTheyAreRead(t *testing.T) {
	write := func(data func() []byte) func(*testing.T, string, int) {
		return func(t *testing.T, path string, _ int) { must(t, os.WriteFile(path, data(), 0o600)) }
	}
	replaceBy := func(remake func(string) error) func(*testing.T, string, int) {
		return func(t *testing.T, path string, _ int) {
			must(t, os.RemoveAll(path))
			must(t, remake(path))
		}
	}
	turn := 0
	for name, tt := range map[string]struct {
		size  int
		do    func(t *testing.T, path string, attempt int)
		kind  string
		state string // of the entry; "none": there is none
	}{
		"vanishes":               {100, func(t *testing.T, path string, _ int) { must(t, os.Remove(path)) }, app.ProblemVanished, "none"},
		"vanishes before a link": {0, nil, app.ProblemUnreadable, "unreadable"},
		"grows once": {100, func(t *testing.T, path string, n int) {
			if n == 1 {
				must(t, os.WriteFile(path, make([]byte, 200), 0o600))
			}
		}, "", ""},
		"grows large":  {100, write(func() []byte { return make([]byte, 100_000) }), app.ProblemChanged, "changed"},
		"grows always": {100, write(func() []byte { turn++; return make([]byte, 200+turn) }), app.ProblemChanged, "changed"},
		"shrinks":      {1000, write(func() []byte { turn++; return make([]byte, 999-turn) }), app.ProblemChanged, "changed"},
		"large, grows": {3 << 20, write(func() []byte { turn++; return make([]byte, 4<<20+turn) }), app.ProblemChanged, "changed"},
		"large, shrinks to nothing": {3 << 20, func(t *testing.T, path string, n int) {
			must(t, os.Truncate(path, int64(1-min(n, 1))))
		}, app.ProblemChanged, "changed"},
		"large, shrinks once": {3 << 20, func(t *testing.T, path string, n int) {
			if n == 1 {
				must(t, os.Truncate(path, 70_000))
			}
		}, "", ""},
		"becomes a folder": {100, replaceBy(func(path string) error { return os.Mkdir(path, 0o700) }), app.ProblemUnreadable, "unreadable"},
		"becomes a link":   {100, replaceBy(func(path string) error { return os.Symlink("/etc/passwd", path) }), app.ProblemUnreadable, "unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := newEngine(t)
			path := filepath.Join(c.Docs, "victim")
			if tt.do == nil {
				path = linkedVictim(t, c.Docs)
				tt.do = func(t *testing.T, _ string, _ int) { must(t, os.Remove(filepath.Join(c.Docs, "first"))) }
			} else {
				must(t, os.WriteFile(path, bytes.Repeat([]byte("v"), tt.size), 0o600))
			}
			attempt := 0
			log := problemLog{t: t}
			o := app.BackupAt(app.BackupOptions{Problem: log.add}, time.Time{}, func(read string) {
				if base := filepath.Base(read); base == "victim" || base == "first" {
					attempt++
					tt.do(t, read, attempt)
				}
			})
			summary, err := c.App.Backup(t.Context(), o)
			if err != nil || attempt == 0 {
				t.Fatalf("%v after %d attempts", err, attempt)
			}
			p, told := log.find(path)
			if told != (tt.kind != "") || p.Kind != tt.kind {
				t.Errorf("told %+v", log.all)
			}
			if want := map[string]int64{app.ProblemUnreadable: 1}[tt.kind]; summary.Unreadable != want {
				t.Errorf("%d files count as unreadable", summary.Unreadable)
			}
			if want := map[string]int64{app.ProblemChanged: 1}[tt.kind]; summary.Changed != want {
				t.Errorf("%d files count as changed", summary.Changed)
			}
			state := "none"
			err = c.App.List(t.Context(), "latest", path, func(e app.EntryInfo) error { state = e.State; return nil })
			if (tt.state == "none") != (err != nil) || state != tt.state {
				t.Errorf("the entry is %q, %v", state, err)
			}
			mustCheck(t, c)
			// The next backup has all of it.
			if err := os.Remove(path); err == nil {
				writeFile(t, path, "at rest")
				again, _ := backupAt(t, c, time.Minute)
				var b strings.Builder
				if err := c.App.Cat(t.Context(), again.Snapshot, path, &b); err != nil || b.String() != "at rest" {
					t.Errorf("the next backup has %q, %v", b.String(), err)
				}
			}
		})
	}
}

// linkedVictim makes a file with two names, of which the first is read.
func linkedVictim(t *testing.T, dir string) string {
	t.Helper()
	writeFile(t, filepath.Join(dir, "first"), "two names")
	must(t, os.Link(filepath.Join(dir, "first"), filepath.Join(dir, "victim")))
	return filepath.Join(dir, "victim")
}
