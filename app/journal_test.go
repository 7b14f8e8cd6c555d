package app

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"coffer/app/repo"
)

// writeJournal makes the journal of a backup that stored three files in each of some
// folders, in turns, and was cut off.
func writeJournal(t testing.TB, dir string, folders, turns int) *journal {
	t.Helper()
	j, err := openJournal(t.Context(), dir, repo.Time{Sec: 1000}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for turn := range turns {
		for f := range folders {
			for n := range 3 {
				j.add(fmt.Sprint("/folder", f), &repo.Entry{Name: fmt.Sprintf("file%d-%d", turn, n), Size: int64(f)})
			}
		}
	}
	j.close()
	return j
}

func reopen(t testing.TB, dir string, started int64) *journal {
	t.Helper()
	j, err := openJournal(t.Context(), dir, repo.Time{Sec: started}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestJournalGoesOn(t *testing.T) {
	dir := t.TempDir()
	writeJournal(t, dir, 4, 2)
	j := reopen(t, dir, 2000)
	if j.past.started.Sec != 1000 {
		t.Errorf("the first backup began at %d", j.past.started.Sec)
	}
	// What is added now is of a folder whose name was said before the interruption.
	j.add("/folder3", &repo.Entry{Name: "late", Size: 3})
	j.add("", &repo.Entry{Name: "in the root"})
	j.close()
	j = reopen(t, dir, 3000)
	for f := range 4 {
		files := j.files(fmt.Sprint("/folder", f))
		want := 6
		if f == 3 {
			want++
		}
		if len(files) != want || files["file1-2"].Size != int64(f) {
			t.Errorf("folder %d has %v", f, files)
		}
	}
	if len(j.files("")) != 1 || j.files("/nowhere") != nil {
		t.Errorf("the root has %v", j.files(""))
	}
	j.remove()
	if _, err := os.Stat(filepath.Join(dir, journalName)); err == nil {
		t.Error("a journal that is done with is still there")
	}
	if j = reopen(t, dir, 4000); j.past.started.Sec != 4000 {
		t.Errorf("a new journal begins at %d", j.past.started.Sec)
	}
	j.close()
}

// A journal that is cut anywhere, or has a wrong byte anywhere, says less and never
// anything else; and what is added to it afterwards is found again.
func TestJournalThatIsCutOrDamaged(t *testing.T) {
	dir := t.TempDir()
	writeJournal(t, dir, 2, 2)
	path := filepath.Join(dir, journalName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]map[string]repo.Entry{}
	j := reopen(t, dir, 0)
	for _, f := range []string{"/folder0", "/folder1"} {
		good[f] = j.files(f)
	}
	j.close()
	tried := 0
	try := func(what string, at int, data []byte) {
		tried++
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		j := reopen(t, dir, 2000)
		for f, entries := range good {
			for name, e := range j.files(f) {
				if !reflect.DeepEqual(e, entries[name]) {
					t.Errorf("%s at %d: %s in %s is %+v", what, at, name, f, e)
				}
			}
		}
		for f := range j.past.files {
			if good[f] == nil {
				t.Errorf("%s at %d: folder %q", what, at, f)
			}
		}
		j.add("/new", &repo.Entry{Name: "new"})
		j.close()
		j = reopen(t, dir, 3000)
		if len(j.files("/new")) != 1 {
			t.Errorf("%s at %d: what was added is lost", what, at)
		}
		j.close()
	}
	for at := range whole {
		try("cut", at, whole[:at])
		changed := bytes.Clone(whole)
		changed[at] ^= 0x20
		if at >= len(journalMagic) && at < len(journalMagic)+8 {
			continue // the time: any is one
		}
		try("change", at, changed)
	}
	if tried < 500 {
		t.Errorf("tried %d", tried)
	}
}

// A disk without room costs the journal, not the backup.
func TestJournalThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	j := reopen(t, dir, 1000)
	if err := j.file.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		j.add("/folder", &repo.Entry{Name: "a file with a long name, so that the buffer overflows"})
	}
	j.flush()
	if !j.broken {
		t.Error("it does not notice")
	}
	j.remove()
}

func FuzzReadJournal(f *testing.F) {
	dir := f.TempDir()
	writeJournal(f, dir, 2, 1)
	seed, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(binary.BigEndian.AppendUint64([]byte(journalMagic), 7))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, end, err := readJournal(t.Context(), bytes.NewReader(data))
		if err != nil || end > int64(len(data)) {
			t.Fatalf("end %d of %d, %v", end, len(data), err)
		}
		for _, at := range p.files {
			for _, off := range at {
				if kind, _, size := readRecord(io.NewSectionReader(bytes.NewReader(data), off, maxRecord+8)); kind != recordFile || size == 0 || off+size > end {
					t.Fatalf("a file at %d is none", off)
				}
			}
		}
	})
}
