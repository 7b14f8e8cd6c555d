package drive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func ownEntry(own time.Time) entry {
	return entry{
		name: "pack-0123456789012345678901234567890123456789", id: "an-id", size: 17, sha256: strings.Repeat("a", 64),
		created: time.Unix(1_700_000_000, 5), own: own,
	}
}

func TestOwnLog(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	o := &ownLog{path: filepath.Join(t.TempDir(), "own")}
	if got := o.load(now); len(got) != 0 {
		t.Fatalf("a log that is not there holds %v", got)
	}
	fresh, gone, old, ahead := ownEntry(now.Add(-time.Minute)), ownEntry(now.Add(-time.Minute)), ownEntry(now.Add(-2*time.Hour)), ownEntry(now.Add(time.Hour))
	gone.id, old.id, ahead.id = "gone", "old", "ahead"
	for _, e := range []entry{fresh, gone, old, ahead} {
		o.add(e, false)
	}
	o.add(gone, true)
	if got := o.load(now); len(got) != 1 || got[0].id != fresh.id || got[0].size != 17 || !got[0].own.Equal(fresh.own) || !got[0].created.Equal(fresh.created) {
		t.Fatalf("the log holds %+v", got)
	}

	// Cut at any byte it still holds what is whole.
	data, err := os.ReadFile(o.path)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.IndexByte(string(data), '\n') + 1
	for n := range data {
		if err := os.WriteFile(o.path, data[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		want := 0
		if n >= first {
			want = 1
		}
		got := o.load(now)
		for _, e := range got {
			if e.id == "gone" {
				want++ // the line that says so is not there yet
			}
		}
		if len(got) != want {
			t.Fatalf("cut to %d bytes the log holds %d entries, want %d", n, len(got), want)
		}
	}
}

// A log that is long is made short, and a place without a state folder has none.
func TestOwnLogIsBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	o := &ownLog{path: filepath.Join(t.TempDir(), "own")}
	line := ownEntry(now.Add(-2 * time.Hour)).line(false)
	if err := os.WriteFile(o.path, []byte(strings.Repeat(line, 2*maxOwn/len(line))), 0o600); err != nil {
		t.Fatal(err)
	}
	o.add(ownEntry(now), false)
	if got := o.load(now); len(got) != 1 {
		t.Fatalf("%d entries", len(got))
	}
	if info, err := os.Stat(o.path); err != nil || info.Size() > 1000 {
		t.Fatalf("the log was not made short: %v, %v", info.Size(), err)
	}
	if got := o.load(now); len(got) != 1 {
		t.Fatalf("%d entries in the short log", len(got))
	}
	none := &ownLog{}
	none.add(ownEntry(now), false)
	if got := none.load(now); got != nil {
		t.Fatal("a log without a file holds something")
	}
}

func FuzzOwnLine(f *testing.F) {
	line := ownEntry(time.Unix(1_800_000_000, 0)).line(false)
	f.Add(strings.TrimSuffix(line, "\n"))
	f.Add("- " + strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "+ "))
	f.Add("+ pack-0 x -1 ? 0 0")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		e, gone, ok := parseOwn(text)
		if !ok {
			return
		}
		again, goneAgain, ok := parseOwn(strings.TrimSuffix(e.line(gone), "\n"))
		if !ok || again != e || gone != goneAgain {
			t.Fatalf("%q became %+v, and that %+v", text, e, again)
		}
	})
}
