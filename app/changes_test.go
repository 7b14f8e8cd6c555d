package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
)

// aReader notes which files a backup reads.
type aReader struct {
	mu    sync.Mutex
	paths []string
}

func (r *aReader) read(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths = append(r.paths, path)
}

// backupAt makes a backup at a time from now, and returns what it read.
func backupAt(t *testing.T, c *apptest.Computer, from time.Duration) (app.BackupSummary, []string) {
	t.Helper()
	var r aReader
	s, err := c.App.Backup(t.Context(), app.BackupAt(app.BackupOptions{}, time.Now().Add(from), r.read))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(r.paths)
	return s, r.paths
}

func TestUnchangedRunReadsNothingAndStoresOneSmallObject(t *testing.T) {
	w, c := newEngine(t)
	for i := range 300 {
		writeFile(t, filepath.Join(c.Docs, fmt.Sprint("d", i%7), fmt.Sprint("f", i)), strings.Repeat("x", i))
	}
	must(t, os.Link(filepath.Join(c.Docs, "d1", "f1"), filepath.Join(c.Docs, "link")))
	first, read := backupAt(t, c, time.Minute)
	if int64(len(read)) != first.Files-1 { // one has two names
		t.Fatalf("the first backup read %d of %d files", len(read), first.Files)
	}
	before := w.Objects("")
	second, read := backupAt(t, c, 2*time.Minute)
	if len(read) > 0 {
		t.Errorf("read again: %q", read)
	}
	if second.UnchangedFiles != first.Files || second.NewFiles+second.ChangedFiles != 0 || second.NewBytes != 0 {
		t.Errorf("summary: %+v", second)
	}
	if n := len(w.Objects("")) - len(before); n != 1 || second.StoredBytes > 4<<10 {
		t.Errorf("%d objects and %d bytes were stored", n, second.StoredBytes)
	}
}

func TestSmallChangeStoresLittle(t *testing.T) {
	_, c := newEngine(t)
	big := noise("big", 12<<20)
	must(t, os.WriteFile(filepath.Join(c.Docs, "big"), big, 0o600))
	for i := range 1000 {
		writeFile(t, filepath.Join(c.Docs, "many", fmt.Sprint(i)), string(noise(fmt.Sprint(i), 3000)))
	}
	backupAt(t, c, time.Minute)
	for i := range 10 {
		writeFile(t, filepath.Join(c.Docs, "many", fmt.Sprint(i*90)), "changed")
	}
	copy(big[5<<20:], "a few bytes in the middle")
	must(t, os.WriteFile(filepath.Join(c.Docs, "big"), big, 0o600))
	s, read := backupAt(t, c, 2*time.Minute)
	if len(read) != 11 || s.ChangedFiles != 11 || s.NewFiles != 0 {
		t.Errorf("read %d files; %+v", len(read), s)
	}
	if s.NewBytes > 4<<20+70 || s.StoredBytes > s.NewBytes+700_000 {
		t.Errorf("%d bytes were new, %d were stored", s.NewBytes, s.StoredBytes)
	}
}

// Neither size nor time of modification tells that these changed.
func TestHiddenChangesAreSaved(t *testing.T) {
	_, c := newEngine(t)
	file := filepath.Join(c.Docs, "letter.txt")
	backupAt(t, c, time.Minute)
	info, err := os.Stat(file)
	must(t, err)
	for i, how := range []string{"written", "renamed"} {
		text := fmt.Sprintf("Dear Bo%d,\n", i)
		if how == "written" {
			must(t, os.WriteFile(file, []byte(text), 0o600))
		} else {
			writeFile(t, file+".new", text)
			must(t, os.Chtimes(file+".new", info.ModTime(), info.ModTime()))
			must(t, os.Chmod(file+".new", 0o600))
			must(t, os.Rename(file+".new", file))
		}
		must(t, os.Chtimes(file, info.ModTime(), info.ModTime()))
		s, read := backupAt(t, c, time.Duration(i+2)*time.Minute)
		if s.ChangedFiles != 1 || len(read) != 1 {
			t.Errorf("%s: %+v, read %q", how, s, read)
		}
		var b strings.Builder
		if err := c.App.Cat(t.Context(), "latest", file, &b); err != nil || b.String() != text {
			t.Errorf("%s: %q is stored, %v", how, b.String(), err)
		}
	}
}

func TestClockThatGoesBack(t *testing.T) {
	_, c := newEngine(t)
	file := filepath.Join(c.Docs, "letter.txt")
	var ids []string
	for i, at := range []time.Duration{48 * time.Hour, 0, -48 * time.Hour, time.Hour} {
		text := fmt.Sprint("version ", i)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		when := time.Now().Add(at)
		must(t, os.Chtimes(file, when, when))
		s, _ := backupAt(t, c, at)
		ids = append(ids, s.Snapshot)
		var b strings.Builder
		if err := c.App.Cat(t.Context(), "latest", file, &b); err != nil || b.String() != text {
			t.Errorf("after a backup at %v the latest holds %q, %v", at, b.String(), err)
		}
	}
	all, err := c.App.Snapshots(t.Context())
	must(t, err)
	var got []string
	for _, s := range all {
		got = append(got, s.ID)
	}
	if !slices.Equal(got, ids) {
		t.Errorf("snapshots stand in the order %v and were made in the order %v", got, ids)
	}
	mustCheck(t, c)
}

func TestSources(t *testing.T) {
	_, c := newEngine(t)
	other := filepath.Join(filepath.Dir(c.Docs), "Music")
	writeFile(t, filepath.Join(other, "song"), "la la")
	must(t, os.Symlink(other, filepath.Join(filepath.Dir(c.Docs), "link")))
	missing := filepath.Join(filepath.Dir(c.Docs), "missing")
	file := filepath.Join(c.Docs, "letter.txt")
	for name, tt := range map[string]struct {
		sources    []string
		files      int64
		unreadable int64
		fails      app.Code
	}{
		"twice":                {[]string{other, other}, 1, 0, ""},
		"two, not sorted":      {[]string{other, c.Docs}, 4, 0, ""},
		"nested":               {[]string{filepath.Dir(file), file}, 3, 0, ""},
		"one file":             {[]string{file}, 1, 0, ""},
		"link":                 {[]string{filepath.Join(filepath.Dir(other), "link")}, 1, 0, ""},
		"one of two missing":   {[]string{missing, other}, 1, 1, ""},
		"the only one missing": {[]string{missing}, 0, 0, app.CodeSourceMissing},
		"both missing":         {[]string{missing, missing + "2"}, 0, 0, app.CodeSourceMissing},
		"with all of its own":  {[]string{filepath.Dir(filepath.Dir(c.Docs))}, 4, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			log := problemLog{t: t}
			s, err := c.App.Backup(t.Context(), app.BackupOptions{Sources: tt.sources, Problem: log.add})
			if tt.fails != "" {
				mustExplain(t, err, tt.fails)
				return
			}
			if err != nil || s.Files != tt.files || s.Unreadable != tt.unreadable {
				t.Fatalf("%v, %+v", err, s)
			}
			if _, told := log.find(missing); told != (tt.unreadable > 0) {
				t.Errorf("problems: %+v", log.all)
			}
			info, err := c.App.Snapshot(t.Context(), s.Snapshot)
			if err != nil || info.Files != tt.files {
				t.Errorf("the snapshot is %+v, %v", info, err)
			}
		})
	}
}
