package app

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coffer/app/repo"
)

func testAnchor(n int) anchor {
	var a anchor
	for i := range n {
		a = a.with(anchorEntry{
			place: placeTag{byte(i % 3)}, device: repo.DeviceID{byte(i), byte(i >> 8)}, snapshot: repo.Name{byte(i), 7},
			sequence: uint64(i + 1), head: 2, at: int64(1_700_000_000 + i), computer: fmt.Sprint("computer ", i),
		})
	}
	return a
}

func TestAnchorsComeBackAsTheyWere(t *testing.T) {
	for _, n := range []int{0, 1, 2, 30} {
		a := testAnchor(n)
		back, err := parseAnchor(a.encode())
		if err != nil || len(back) != n || !bytes.Equal(back.encode(), a.encode()) {
			t.Errorf("%d entries: %d, %v", n, len(back), err)
		}
		if len(a.encode())%anchorPad != 0 {
			t.Errorf("%d bytes say how many devices there are", len(a.encode()))
		}
	}
	if a, err := parseAnchor(nil); a != nil || err != nil {
		t.Errorf("no anchor: %v, %v", a, err)
	}
}

// TestAnchorsAreBounded: of too many devices the oldest drop out.
func TestAnchorsAreBounded(t *testing.T) {
	a := testAnchor(500)
	data := a.encode()
	back, err := parseAnchor(data)
	if err != nil || len(data) > maxAnchor || len(back) < 30 || len(back) >= 500 {
		t.Fatalf("%d bytes, %d entries, %v", len(data), len(back), err)
	}
	if back[0].at != 1_700_000_499 || !back.newest().Equal(unixTime(1_700_000_499)) {
		t.Errorf("the newest is of %d", back[0].at)
	}
}

// TestMangledAnchors: each prefix, cut, added byte and changed byte is refused, or is
// another anchor in its one form.
func TestMangledAnchors(t *testing.T) {
	good := testAnchor(2).encode()
	look := func(b []byte) {
		if a, err := parseAnchor(b); err == nil && len(b) > 0 && !bytes.Equal(a.encode(), b) {
			t.Errorf("%x is taken, and not what would be written", b)
		}
	}
	for i := range good {
		if _, err := parseAnchor(good[:i]); err == nil && i > 0 {
			t.Errorf("a prefix of %d bytes is taken", i)
		}
		look(slices.Delete(slices.Clone(good), i, i+1))
		for _, change := range []byte{1, 0x80, 0xff} {
			b := slices.Clone(good)
			b[i] ^= change
			look(b)
		}
	}
	twice := append(testAnchor(1), testAnchor(1)...)
	if _, err := parseAnchor(twice.encode()); err == nil {
		t.Error("one device of one place stands there twice")
	}
	tricky := testAnchor(1)
	tricky[0].computer = "line\nbreak"
	if _, err := parseAnchor(tricky.encode()); err == nil {
		t.Error("a name that cannot be shown is taken")
	}
}

func TestOlderEntriesReplaceNothing(t *testing.T) {
	a := testAnchor(1)
	older := a[0]
	older.sequence, older.computer = 0, "older"
	newer := a[0]
	newer.sequence, newer.head, newer.computer = 9, 1, "newer"
	if got := a.with(older); got[0] != a[0] || len(got) != 1 {
		t.Errorf("%+v", got)
	}
	if got := a.with(newer); len(got) != 1 || got[0].sequence != 9 || got[0].head != 2 {
		t.Errorf("%+v", got)
	}
}

func TestWhatAPlaceMustShow(t *testing.T) {
	ann, bob := repo.DeviceID{1}, repo.DeviceID{2}
	here, there := placeEntry{Kind: "s3", Dest: "s3:here"}, placeEntry{Kind: "s3", Dest: "s3:there"}
	entry := func(p placeEntry, d repo.DeviceID, sequence uint64) anchorEntry {
		return anchorEntry{place: tagOf(p), device: d, sequence: sequence, head: 3, at: int64(sequence), computer: "x"}
	}
	known := anchor{entry(here, ann, 5), entry(here, bob, 2), entry(there, repo.DeviceID{3}, 4)}
	shows := func(p placeEntry, head uint64, of map[repo.DeviceID]uint64) shown {
		return shown{tag: tagOf(p), sequence: of, head: head}
	}
	mounted := placeEntry{Kind: "folder", Dest: "/mnt/disk"}
	for name, tt := range map[string]struct {
		shows shown
		lost  int
	}{
		"all":                   {shows(here, 3, map[repo.DeviceID]uint64{ann: 5, bob: 2}), 0},
		"more":                  {shows(here, 4, map[repo.DeviceID]uint64{ann: 6, bob: 9, {9}: 1}), 0},
		"an old one of one":     {shows(here, 3, map[repo.DeviceID]uint64{ann: 4, bob: 2}), 1},
		"one is gone":           {shows(here, 3, map[repo.DeviceID]uint64{ann: 5}), 1},
		"nothing":               {shows(here, 3, nil), 2},
		"an old head":           {shows(here, 2, map[repo.DeviceID]uint64{ann: 5, bob: 2}), 2},
		"heads not compared":    {shows(here, 0, map[repo.DeviceID]uint64{ann: 5, bob: 2}), 0},
		"the other place":       {shows(there, 3, map[repo.DeviceID]uint64{{3}: 4}), 0},
		"the other, old":        {shows(there, 3, map[repo.DeviceID]uint64{{3}: 3}), 1},
		"another name":          {shows(mounted, 1, map[repo.DeviceID]uint64{ann: 5, bob: 2}), 0},
		"another name, old":     {shows(mounted, 1, map[repo.DeviceID]uint64{ann: 3, bob: 2}), 1},
		"another name, gone":    {shows(mounted, 1, map[repo.DeviceID]uint64{bob: 2}), 1},
		"a new place":           {shows(mounted, 1, map[repo.DeviceID]uint64{{9}: 1}), 0},
		"a copy that goes on":   {shows(mounted, 1, map[repo.DeviceID]uint64{ann: 2, bob: 1, {3}: 4}), 0},
		"an empty place":        {shows(mounted, 1, nil), 0},
		"old, of both of them ": {shows(mounted, 1, map[repo.DeviceID]uint64{ann: 2, {3}: 1}), 1},
	} {
		if lost := known.missing(tt.shows); len(lost) != tt.lost {
			t.Errorf("%s: %d are missing, want %d: %+v", name, len(lost), tt.lost, lost)
		}
	}
	if e := rollback(known); e.At.Unix() != 5 || len(e.Snapshots) != 3 || e.Computer != "x" {
		t.Errorf("%+v", e)
	}
}

func FuzzAnchor(f *testing.F) {
	f.Add(testAnchor(0).encode())
	f.Add(testAnchor(3).encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := parseAnchor(data); err == nil && len(data) > 0 && !bytes.Equal(a.encode(), data) {
			t.Errorf("%x is taken, and not what would be written", data)
		}
	})
}

func TestVaultFilesAreReadStrictly(t *testing.T) {
	seen := `{"version":1,"name":"Ann","address":"h:1","sealer":"software","records":[{"record":"AAAAAAAAAAAAAAAAAAAAAA==","serial":1,"sequence":0,"generation":1,"anchor":0,"incarnation":0}]}`
	if _, err := parseSeen([]byte(seen)); err != nil {
		t.Errorf("a good one: %v", err)
	}
	for i := range seen {
		if _, err := parseSeen([]byte(seen[:i])); err == nil {
			t.Errorf("%q is taken", seen[:i])
		}
	}
	for _, bad := range []string{
		strings.Replace(seen, `"version":1`, `"version":2`, 1), strings.Replace(seen, "AAAA==", "==", 1), strings.Replace(seen, `"name"`, `"nome"`, 1),
	} {
		if _, err := parseSeen([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	for _, bad := range []string{"", "{}", `{"version":1,"records":[{}]}`, `{"version":2,"records":[]}`, `{"version":1,"records":[],"x":1}`} {
		if _, err := parseLeft([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if _, err := parseLeft([]byte(`{"version":1,"records":[]}`)); err != nil {
		t.Errorf("an empty one: %v", err)
	}
}

func FuzzSeen(f *testing.F) {
	f.Add([]byte(`{"version":1,"name":"","address":"","sealer":""}`))
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = parseSeen(data) })
}

func FuzzLeft(f *testing.F) {
	f.Add([]byte(`{"version":1,"records":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = parseLeft(data) })
}
