//go:build linux || darwin

package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/app/source"

	"golang.org/x/sys/unix"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var day = time.Date(2026, 11, 21, 23, 0, 0, 0, time.UTC)

func mustOpen(t testing.TB, path string) *Target {
	t.Helper()
	tg, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	tg.SetDate(day)
	t.Cleanup(func() { tg.Close() })
	return tg
}

func mustDir(t testing.TB, tg *Target, rel ...string) *Dir {
	t.Helper()
	d, err := tg.MkdirAll(rel)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// plain is a Meta that this user can set completely.
func plain() Meta {
	return Meta{Mode: 0o640, ModTime: source.Time{Sec: 1_500_000_000, Nsec: 123_456_789}, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
}

func mustRead(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func noTemps(t testing.TB, root string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		seen++
		if strings.HasPrefix(e.Name(), tempPrefix) {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil || seen == 0 {
		t.Errorf("looked at %d names: %v", seen, err)
	}
}

// writers are the two ways to write a file.
var writers = map[string]func(d *Dir, name, data string, m Meta, p Policy) (Outcome, error){
	"small": func(d *Dir, name, data string, m Meta, p Policy) (Outcome, error) {
		return d.WriteSmall(name, []byte(data), m, p)
	},
	"large": func(d *Dir, name, data string, m Meta, p Policy) (Outcome, error) {
		f, err := d.Create(name, int64(len(data)))
		if err != nil {
			return Outcome{}, err
		}
		if _, err := f.WriteAt([]byte(data), 0); err != nil {
			return Outcome{}, errors.Join(err, f.Abort())
		}
		return f.Commit(m, p)
	},
}

func TestPolicies(t *testing.T) {
	older, newer := plain(), plain()
	older.ModTime.Nsec--
	newer.ModTime.Nsec++
	const copy1, copy2 = "a (restored 2026-11-21).tar", "a (restored 2026-11-21 2).tar"
	for how, write := range writers {
		for name, c := range map[string]struct {
			policy Policy
			meta   Meta
			want   Outcome
			first  string // contents of a.tar afterwards
		}{
			"keep both":   {KeepBoth, newer, Outcome{Result: Renamed, Name: copy1}, "old"},
			"replace":     {Replace, older, Outcome{Result: Written, Name: "a.tar"}, "restored"},
			"skip":        {Skip, newer, Outcome{Result: Skipped, Name: "a.tar"}, "old"},
			"newer wins":  {KeepNewer, newer, Outcome{Result: Written, Name: "a.tar"}, "restored"},
			"older loses": {KeepNewer, older, Outcome{Result: Skipped, Name: "a.tar"}, "old"},
			"equal time":  {KeepNewer, plain(), Outcome{Result: Skipped, Name: "a.tar"}, "old"},
		} {
			t.Run(how+" "+name, func(t *testing.T) {
				tg := mustOpen(t, t.TempDir())
				d := mustDir(t, tg)
				if out, err := write(d, "a.tar", "old", plain(), c.policy); err != nil || out.Result != Written || len(out.Lost) != 0 {
					t.Fatalf("first: %+v, %v", out, err)
				}
				out, err := write(d, "a.tar", "restored", c.meta, c.policy)
				if err != nil || fmt.Sprint(out) != fmt.Sprint(c.want) {
					t.Fatalf("%+v, %v", out, err)
				}
				if got := mustRead(t, tg.Path()+"/a.tar"); got != c.first {
					t.Errorf("a.tar is %q", got)
				}
				if out.Result != Skipped && mustRead(t, tg.Path()+"/"+out.Name) != "restored" {
					t.Error("the restored contents are not there")
				}
				if c.policy == KeepBoth {
					if out, err := write(d, "a.tar", "again", c.meta, c.policy); err != nil || out.Name != copy2 {
						t.Errorf("second copy: %+v, %v", out, err)
					}
				}
				noTemps(t, tg.Path())
			})
		}
	}
}

func TestFolderIsNeverReplaced(t *testing.T) {
	for _, policy := range []Policy{KeepBoth, KeepNewer, Replace} {
		for how, write := range writers {
			tg := mustOpen(t, t.TempDir())
			mustDir(t, tg, "taken", "inside")
			out, err := write(mustDir(t, tg), "taken", "x", plain(), policy)
			if err != nil || out.Result != Renamed || out.Name != "taken (restored 2026-11-21)" {
				t.Errorf("%s, policy %d: %+v, %v", how, policy, out, err)
			}
			if _, err := os.Stat(tg.Path() + "/taken/inside"); err != nil {
				t.Errorf("%s, policy %d: %v", how, policy, err)
			}
		}
	}
}

// TestReplaceDoesNotFollow: the name is a link to a file outside.
func TestReplaceDoesNotFollow(t *testing.T) {
	outside := t.TempDir() + "/victim"
	if err := os.WriteFile(outside, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	for how, write := range writers {
		for _, policy := range []Policy{KeepBoth, KeepNewer, Replace, Skip} {
			tg := mustOpen(t, t.TempDir())
			if err := os.Symlink(outside, tg.Path()+"/f"); err != nil {
				t.Fatal(err)
			}
			if _, err := write(mustDir(t, tg), "f", "evil", plain(), policy); err != nil {
				t.Errorf("%s, policy %d: %v", how, policy, err)
			}
			if got := mustRead(t, outside); got != "keep me" {
				t.Fatalf("%s, policy %d: wrote through the link", how, policy)
			}
			if fi, err := os.Lstat(outside); err != nil || fi.Mode() != 0o600 {
				t.Fatalf("%s, policy %d: %v, %v", how, policy, fi.Mode(), err)
			}
		}
	}
}

func TestNothingLeadsOutside(t *testing.T) {
	base := t.TempDir()
	outside := base + "/outside"
	if err := os.MkdirAll(outside+"/sub", 0o700); err != nil {
		t.Fatal(err)
	}
	tg := mustOpen(t, base+"/target")
	d := mustDir(t, tg)
	for name, to := range map[string]string{"abs": outside, "rel": "../outside", "self": ".", "deep": "../outside/sub"} {
		if out, err := d.Symlink(name, to, plain(), KeepBoth); err != nil || out.Result != Written {
			t.Fatalf("%+v, %v", out, err)
		}
		for _, rel := range [][]string{{name}, {name, "x"}} {
			if _, err := tg.MkdirAll(rel); !errors.Is(err, ErrNotFolder) || Reason(err) != "something that is not a folder is in the way" {
				t.Errorf("MkdirAll(%q): %v", rel, err)
			}
		}
	}
	if _, err := d.WriteSmall("file", nil, plain(), KeepBoth); err != nil {
		t.Fatal(err)
	}
	if _, err := tg.MkdirAll([]string{"file", "x"}); !errors.Is(err, ErrNotFolder) {
		t.Errorf("below a file: %v", err)
	}
	for _, name := range []string{"", ".", "..", "../x", "/etc/x", "a/b", "a\x00", "/"} {
		_, e1 := tg.MkdirAll([]string{"ok", name})
		_, e2 := d.Create(name, 0)
		_, e3 := d.WriteSmall(name, nil, plain(), Replace)
		_, e4 := d.Symlink(name, "x", plain(), Replace)
		_, e5 := d.Link(name, d, "file", Replace)
		_, e6 := d.Link("x", d, name, Replace)
		_, e7 := d.SetMeta(name, plain())
		_, e8 := d.OpenExisting(name)
		_, e9 := d.Lstat(name)
		for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8, e9} {
			if !errors.Is(err, ErrOutside) {
				t.Errorf("call %d with %q: %v", i+1, name, err)
			}
		}
	}
	if _, err := d.OpenExisting("abs"); err == nil {
		t.Error("opened a link")
	}
	names, err := source.ReadNames(outside)
	if err != nil || !slices.Equal(names, []string{"sub"}) {
		t.Errorf("outside: %q, %v", names, err)
	}
}

// TestSwappedFolder swaps a folder for a link to another after it was opened.
func TestSwappedFolder(t *testing.T) {
	base := t.TempDir()
	must(t, os.Mkdir(base+"/outside", 0o700))
	tg := mustOpen(t, base+"/target")
	d := mustDir(t, tg, "a", "b")
	f, err := d.Create("large", 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(base+"/target/a/b", base+"/target/moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(base+"/outside", base+"/target/a/b"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Commit(plain(), Replace); err != nil {
		t.Fatal(err)
	}
	again := mustDir(t, tg, "a", "b") // out of the cache: the folder that it was
	if _, err := again.WriteSmall("small", []byte("x"), plain(), Replace); err != nil {
		t.Fatal(err)
	}
	if _, err := tg.MkdirAll([]string{"a", "b", "c"}); err != nil {
		t.Fatal(err)
	}
	if names, err := source.ReadNames(base + "/outside"); err != nil || len(names) != 0 {
		t.Errorf("outside: %q, %v", names, err)
	}
	if names, err := source.ReadNames(base + "/target/moved"); err != nil || !slices.Equal(names, []string{"c", "large", "small"}) {
		t.Errorf("moved: %q, %v", names, err)
	}
	if _, err := mustOpen(t, base+"/target").MkdirAll([]string{"a", "b"}); !errors.Is(err, ErrNotFolder) {
		t.Errorf("opened anew: %v", err)
	}
}

func TestIdenticalAndResume(t *testing.T) {
	tg := mustOpen(t, t.TempDir())
	d := mustDir(t, tg)
	if _, err := d.WriteSmall("f", []byte("same"), plain(), KeepBoth); err != nil {
		t.Fatal(err)
	}
	for _, policy := range []Policy{KeepBoth, KeepNewer, Replace} {
		m := plain()
		m.Mode = 0o600
		out, err := d.WriteSmall("f", []byte("same"), m, policy)
		if err != nil || out.Result != Identical {
			t.Errorf("policy %d: %+v, %v", policy, out, err)
		}
		info, err := d.Lstat("f")
		if err != nil || (info.Mode == 0o600) != (policy == Replace) {
			t.Errorf("policy %d: mode %o, %v", policy, info.Mode, err)
		}
	}
	have, err := d.OpenExisting("f")
	if err != nil {
		t.Fatal(err)
	}
	defer have.Close()
	data, err := io.ReadAll(io.NewSectionReader(have, 0, have.Info().Size))
	if err != nil || string(data) != "same" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := d.OpenExisting("gone"); !errors.Is(err, source.ErrVanished) {
		t.Errorf("%v", err)
	}
	for _, want := range []Result{Written, Identical} {
		if out, err := d.Symlink("l", "to", plain(), KeepBoth); err != nil || out.Result != want {
			t.Errorf("%+v, %v", out, err)
		}
	}
	if out, err := d.Symlink("l", "elsewhere", plain(), KeepBoth); err != nil || out.Result != Renamed {
		t.Errorf("%+v, %v", out, err)
	}
	for _, want := range []Result{Written, Identical} {
		if out, err := d.Link("h", d, "f", KeepBoth); err != nil || out.Result != want {
			t.Errorf("%+v, %v", out, err)
		}
	}
	noTemps(t, tg.Path())
}

func TestHardLinksAcrossFolders(t *testing.T) {
	tg := mustOpen(t, t.TempDir())
	a, b := mustDir(t, tg, "a"), mustDir(t, tg, "b")
	_, errA := a.WriteSmall("f", []byte("one"), plain(), KeepBoth)
	_, errB := b.WriteSmall("taken", []byte("two"), plain(), KeepBoth)
	must(t, errors.Join(errA, errB))
	for name, c := range map[string]struct {
		policy Policy
		want   Result
	}{"new": {KeepBoth, Written}, "taken": {Replace, Written}} {
		out, err := b.Link(name, a, "f", c.policy)
		first, e1 := a.Lstat("f")
		second, e2 := b.Lstat(out.Name)
		if err = errors.Join(err, e1, e2); err != nil || out.Result != c.want || !source.SameFile(first, second) {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	if _, err := b.Link("x", a, "gone", KeepBoth); !errors.Is(err, source.ErrVanished) {
		t.Errorf("%v", err)
	}
	mustDir(t, tg, "a", "folder")
	if _, err := b.Link("x", a, "folder", KeepBoth); !errors.Is(err, ErrNoLinks) {
		t.Errorf("%v", err)
	}
	noTemps(t, tg.Path())
}

func TestWriteAtAnyOrder(t *testing.T) {
	const size = 300_001
	want := make([]byte, size)
	for i := range want {
		if i/10_000%2 == 0 {
			want[i] = byte(i%255) + 1
		}
	}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}} {
		tg := mustOpen(t, t.TempDir())
		d := mustDir(t, tg)
		f, err := d.Create("f", size)
		if err != nil {
			t.Fatal(err)
		}
		// What lies there already must not shine through the zeros that follow.
		if _, err := f.WriteAt(bytes.Repeat([]byte{0xEE}, 120_000), 50_000); err != nil {
			t.Fatal(err)
		}
		for _, k := range order {
			lo, hi := k*75_000, min(size, (k+1)*75_000+1)
			if n, err := f.WriteAt(want[lo:hi], int64(lo)); err != nil || n != hi-lo {
				t.Fatal(n, err)
			}
		}
		got := make([]byte, 75_000)
		if _, err := f.ReadAt(got, 75_000); err != nil || !bytes.Equal(got, want[75_000:150_000]) {
			t.Errorf("read back before Commit: %v", err)
		}
		if _, err := f.Commit(plain(), KeepBoth); err != nil {
			t.Fatal(err)
		}
		if mustRead(t, tg.Path()+"/f") != string(want) {
			t.Errorf("order %v: contents differ", order)
		}
		if err := f.Abort(); err != nil {
			t.Errorf("Abort after Commit: %v", err)
		}
	}
}

func TestWriteAtBounds(t *testing.T) {
	tg := mustOpen(t, t.TempDir())
	d := mustDir(t, tg)
	f, err := d.Create("f", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{-1, 6, 10, 1 << 62} {
		if n, err := f.WriteAt([]byte("12345"), off); n != 0 || !errors.Is(err, ErrSize) {
			t.Errorf("at %d: %d, %v", off, n, err)
		}
	}
	if err := f.Abort(); err != nil {
		t.Error(err)
	}
	if _, err := d.Create("f", -1); !errors.Is(err, ErrSize) {
		t.Error(err)
	}
	names, err := source.ReadNames(tg.Path())
	if err != nil || len(names) != 0 {
		t.Errorf("after Abort: %q, %v", names, err)
	}
}

func TestHoles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("APFS makes holes of its own accord, or not")
	}
	const giga = 1 << 30
	tg := mustOpen(t, t.TempDir())
	d := mustDir(t, tg)
	for name, size := range map[string]int64{"only a hole": 100 * giga, "hole at the end": 100 * giga, "zeros written": 8 << 20} {
		f, err := d.Create(name, size)
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case "hole at the end":
			_, err = f.WriteAt([]byte("data"), 1<<20)
		case "zeros written":
			_, err = f.WriteAt(make([]byte, size), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Commit(plain(), KeepBoth); err != nil {
			t.Fatal(err)
		}
		info, err := d.Lstat(name)
		if err != nil || info.Size != size || info.Blocks*512 > 64<<10 {
			t.Errorf("%s: %d bytes in %d blocks, %v", name, info.Size, info.Blocks, err)
		}
	}
	small := make([]byte, 40_000)
	small[20_000] = 1
	if _, err := d.WriteSmall("small", small, plain(), KeepBoth); err != nil {
		t.Fatal(err)
	}
	info, err := d.Lstat("small")
	if err != nil || info.Blocks > 16 || mustRead(t, tg.Path()+"/small") != string(small) {
		t.Errorf("small: %d blocks, %v", info.Blocks, err)
	}
}

func TestCleanTemps(t *testing.T) {
	tg := mustOpen(t, t.TempDir())
	d := mustDir(t, tg, "a", "b")
	kept := []string{".coffer-restore-", ".coffer-restore-mine", "x" + tempName(), tempName() + "0", strings.ToUpper(tempName())}
	for _, name := range kept {
		must(t, os.WriteFile(tg.Path()+"/a/b/"+name, nil, 0o600))
	}
	gone := []string{tempName(), tempName()}
	must(t, os.WriteFile(tg.Path()+"/a/b/"+gone[0], nil, 0))
	must(t, os.Symlink("/etc/passwd", tg.Path()+"/a/"+gone[1]))
	must(t, os.Symlink(t.TempDir(), tg.Path()+"/a/link"))
	busy, err := d.Create("busy", 1) // another restore at work
	if err != nil {
		t.Fatal(err)
	}
	n, err := tg.CleanTemps(t.Context())
	if err != nil || n != len(gone) {
		t.Errorf("%d removed, %v", n, err)
	}
	if names, err := source.ReadNames(tg.Path() + "/a/b"); err != nil || len(names) != len(kept)+1 {
		t.Errorf("%q, %v", names, err)
	}
	if _, err := busy.Commit(plain(), KeepBoth); err != nil {
		t.Errorf("the other restore: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tg.CleanTemps(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestManyFoldersOpen(t *testing.T) {
	tg := mustOpen(t, t.TempDir())
	first := mustDir(t, tg, "d0") // stays usable when the cache has forgotten it
	for round := range 2 {
		for i := range 2 * maxOpen {
			d, err := tg.MkdirAll([]string{fmt.Sprintf("d%d", i), "sub"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.WriteSmall(fmt.Sprintf("f%d", round), []byte("x"), plain(), KeepBoth); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := first.WriteSmall("f", []byte("x"), plain(), KeepBoth); err != nil {
		t.Error(err)
	}
	if len(tg.open) > maxOpen || tg.recent.Len() != len(tg.open) {
		t.Errorf("%d, %d open", len(tg.open), tg.recent.Len())
	}
	if err := tg.Sync(); err != nil {
		t.Error(err)
	}
	if err := tg.Close(); err != nil {
		t.Error(err)
	}
	if _, err := tg.MkdirAll([]string{"x"}); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
	for i := range 2 * maxOpen {
		if mustRead(t, fmt.Sprintf("%s/d%d/sub/f1", tg.Path(), i)) != "x" {
			t.Error(i)
		}
	}
}

func TestDeepTarget(t *testing.T) {
	tg := mustOpen(t, t.TempDir())
	var rel []string
	for range 40 {
		rel = append(rel, strings.Repeat("d", 200))
	}
	d := mustDir(t, tg, rel...)
	if out, err := d.WriteSmall(strings.Repeat("n", 255), []byte("deep"), plain(), KeepBoth); err != nil || out.Result != Written {
		t.Fatalf("%+v, %v", out, err)
	}
	out, err := d.WriteSmall(strings.Repeat("n", 255), []byte("deep too"), plain(), KeepBoth)
	if err != nil || out.Result != Renamed || len(out.Name) != 255 {
		t.Fatalf("%+v, %v", out, err)
	}
}

func TestFarTimes(t *testing.T) {
	tg := mustOpen(t, t.TempDir())
	d := mustDir(t, tg)
	for _, want := range []source.Time{{Sec: 0, Nsec: 1}, {Sec: -1, Nsec: 999_999_999}, {Sec: -2_000_000_000, Nsec: 5}, {Sec: 10_413_792_000, Nsec: 987_654_321}, {Sec: 1 << 50}, {Sec: -1 << 50}} {
		m := plain()
		m.ModTime = want
		out, err := d.WriteSmall("f", []byte(fmt.Sprint(want)), m, Replace)
		if err != nil {
			t.Fatal(err)
		}
		info, err := d.Lstat("f")
		if err != nil || (info.ModTime == want) != (len(out.Lost) == 0) {
			t.Errorf("%v became %v, lost %q, %v", want, info.ModTime, out.Lost, err)
		}
		if want.Sec < 1<<40 && want.Sec > -1<<40 && runtime.GOOS == "linux" && len(out.Lost) != 0 {
			t.Errorf("%v: %q", want, out.Lost)
		}
	}
}

func TestTempIsPrivate(t *testing.T) {
	tg := mustOpen(t, t.TempDir()+"/made/for/us")
	old := unix.Umask(0)
	defer unix.Umask(old)
	d := mustDir(t, tg, "sub")
	f, err := d.Create("f", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, f.Abort()) }()
	for name, want := range map[string]fs.FileMode{"": 0o700, "/sub": 0o700, "/sub/" + f.temp: 0o600} {
		if fi, err := os.Lstat(tg.Path() + name); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", name, fi, err)
		}
	}
}
