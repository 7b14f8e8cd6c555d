//go:build linux

package target

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"coffer/app/source"

	"golang.org/x/sys/unix"
)

// makeNasty makes a tree that has broken other programs.
func makeNasty(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{" ", "-rf", "a\nb", "bad-\xff\xfe.txt", strings.Repeat("n", 255), "con", "end.", "%3A", "caf\u00e9", "cafe\u0301"} {
		must(os.WriteFile(root+"/"+name, []byte(strings.Repeat(name, 100)), 0o600))
		must(unix.Chmod(root+"/"+name, []uint32{0o600, 0o4755, 0o2711, 0o0, 0o1777, 0o444, 0o6777, 0o640, 0o400, 0o200}[i]))
	}
	must(os.WriteFile(root+"/xattrs", []byte("x"), 0o644))
	must(unix.Setxattr(root+"/xattrs", "user.one", []byte("1\x00\xff"), 0))
	must(unix.Setxattr(root+"/xattrs", "user.none", nil, 0))
	for _, acl := range [][]string{{"-m", "u:1234:rw,g:99:r", "xattrs"}, {"-d", "-m", "u:1234:rwx", "."}} {
		cmd := exec.CommandContext(t.Context(), "setfacl", acl...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("no ACLs here: %v: %s", err, out)
		}
	}
	must(os.WriteFile(root+"/inherits an ACL", nil, 0o600))
	must(os.Link(root+"/xattrs", root+"/hard link"))
	must(os.MkdirAll(root+"/empty/old", 0o755))
	must(os.MkdirAll(root+"/read-only/below", 0o755))
	must(os.WriteFile(root+"/read-only/below/f", []byte("f"), 0o444))
	for name, to := range map[string]string{"dangling": "no\nwhere\xff", "absolute": "/etc/passwd", "loop": "loop", "up": "../.."} {
		must(os.Symlink(to, root+"/"+name))
	}
	f, err := os.Create(root + "/sparse")
	must(err)
	_, err = f.WriteAt([]byte("in the middle"), 5<<20)
	must(err)
	must(f.Truncate(1 << 30))
	must(f.Close())
	if os.Geteuid() == 0 {
		must(os.Lchown(root+"/con", 1234, 4321))
		must(os.Lchown(root+"/dangling", 1234, 4321))
		must(os.Lchown(root+"/empty", 1234, 4321))
		must(unix.Chmod(root+"/con", 0o6755))
		must(unix.Setxattr(root+"/-rf", "security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	}
	for i, name := range []string{" ", "dangling", "empty/old", "sparse", "read-only/below", "read-only", "empty"} {
		ts := unix.Timespec{Sec: []int64{-5, 123456789, 1, 4_000_000_000, 0, 86400, 7}[i], Nsec: int64(i*100_000_007) + 1}
		must(unix.UtimesNanoAt(unix.AT_FDCWD, root+"/"+name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
	}
	must(os.Chmod(root+"/read-only/below", 0o500))
	must(os.Chmod(root+"/read-only", 0o555|os.ModeSetgid))
	t.Cleanup(func() {
		must(os.Chmod(root+"/read-only", 0o700))
		must(os.Chmod(root+"/read-only/below", 0o700))
	})
	return root
}

// A copier carries a tree from source to target as a backup and a restore would.
type copier struct {
	t     *testing.T
	tg    *Target
	links map[uint64][]string // inode -> where it is
	lost  map[string]bool
}

func (c *copier) folder(d *source.Dir, rel []string) {
	c.t.Helper()
	to, err := c.tg.MkdirAll(rel)
	if err != nil {
		c.t.Fatal(err)
	}
	defer to.Close()
	names, err := d.Names()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, name := range names {
		info, err := d.Lstat(name)
		if err != nil {
			c.t.Fatal(err)
		}
		path := append(slices.Clone(rel), name)
		if info.Type == source.TypeDir {
			sub, err := d.OpenDir(name)
			if err != nil {
				c.t.Fatal(err)
			}
			c.folder(sub, path)
			sub.Close()
			continue
		}
		out, err := c.entry(d, to, info, path)
		if err != nil || out.Result != Written {
			c.t.Errorf("%q: %+v, %v", name, out, err)
		}
		c.note(out.Lost)
	}
	extra, err := d.OwnExtra()
	if err != nil || extra.XattrErr != nil {
		c.t.Fatal(err, extra.XattrErr)
	}
	c.note(to.SetOwnMeta(MetaOf(d.Info(), extra)))
}

func (c *copier) note(lost []string) {
	for _, l := range lost {
		c.lost[l] = true
	}
}

func (c *copier) entry(d *source.Dir, to *Dir, info source.Info, path []string) (Outcome, error) {
	extra, err := d.Extra(info)
	if err != nil {
		return Outcome{}, err
	}
	meta := MetaOf(info, extra)
	if info.Type == source.TypeSymlink {
		target, err := d.ReadLink(info.Name)
		if err != nil {
			return Outcome{}, err
		}
		return to.Symlink(info.Name, target, meta, KeepBoth)
	}
	if first, ok := c.links[info.Inode]; ok {
		from, err := c.tg.MkdirAll(first[:len(first)-1])
		if err != nil {
			return Outcome{}, err
		}
		defer from.Close()
		return to.Link(info.Name, from, first[len(first)-1], KeepBoth)
	}
	if info.Links > 1 {
		c.links[info.Inode] = path
	}
	if info.Size < 64<<10 {
		buf := make([]byte, info.Size+1)
		n, after, err := source.ReadSmall(d, info.Name, info, buf)
		if err != nil || source.Changed(info, after) {
			return Outcome{}, fmt.Errorf("changed, or %w", err)
		}
		return to.WriteSmall(info.Name, buf[:n], meta, KeepBoth)
	}
	return c.large(d, to, info, meta)
}

func (c *copier) large(d *source.Dir, to *Dir, info source.Info, meta Meta) (Outcome, error) {
	f, err := d.OpenFile(info.Name)
	if err != nil {
		return Outcome{}, err
	}
	defer f.Close()
	extents, err := f.Extents()
	if err != nil {
		return Outcome{}, err
	}
	w, err := to.Create(info.Name, info.Size)
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = w.Abort() }() // refused when it was finished
	for _, e := range extents {
		buf := make([]byte, e.Len)
		if _, err := f.ReadAt(buf, e.Off); err != nil && !errors.Is(err, io.EOF) {
			return Outcome{}, err
		}
		if _, err := w.WriteAt(buf, e.Off); err != nil {
			return Outcome{}, err
		}
	}
	return w.Commit(meta, KeepBoth)
}

// describe lists everything about a tree that a restore must bring back.
func describe(t *testing.T, d *source.Dir, path string, inodes map[uint64]string) (lines []string) {
	t.Helper()
	extra, err := d.OwnExtra()
	if err != nil {
		t.Fatal(err)
	}
	i := d.Info()
	lines = append(lines, fmt.Sprintf("%q %v %o %v %d:%d %s:%s %q", path, i.Type, i.Mode, i.ModTime, i.UID, i.GID, extra.User, extra.Group, extra.Xattrs))
	names, err := d.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		i, err := d.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if i.Type == source.TypeDir {
			sub, err := d.OpenDir(name)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, describe(t, sub, path+"/"+name, inodes)...)
			sub.Close()
			continue
		}
		extra, err := d.Extra(i)
		if err != nil {
			t.Fatal(err)
		}
		if inodes[i.Inode] == "" {
			inodes[i.Inode] = path + "/" + name
		}
		content := ""
		if i.Type == source.TypeSymlink {
			content, _ = d.ReadLink(name)
		} else if i.Size < 1<<20 {
			buf := make([]byte, i.Size+1)
			n, _, err := source.ReadSmall(d, name, i, buf)
			if err != nil {
				t.Fatal(err)
			}
			content = string(buf[:n])
		} else if f, err := d.OpenFile(name); err == nil {
			holes, _ := f.Extents()
			buf := make([]byte, 13)
			if _, err := f.ReadAt(buf, 5<<20); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			content = fmt.Sprint(string(buf), holes, i.Blocks)
			f.Close()
		}
		lines = append(lines, fmt.Sprintf("%q %v %o %v %d %d:%d %q first=%q links=%d %q", path+"/"+name, i.Type, i.Mode, i.ModTime, i.Size, i.UID, i.GID,
			extra.Xattrs, inodes[i.Inode], i.Links, content))
	}
	return lines
}

func TestRoundTrip(t *testing.T) {
	from := makeNasty(t)
	tg := mustOpen(t, t.TempDir())
	d, err := source.OpenDir(from)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	c := &copier{t: t, tg: tg, links: map[uint64][]string{}, lost: map[string]bool{}}
	c.folder(d, nil)
	if len(c.lost) != 1 || !c.lost[LostBirthTime+": this system cannot set it"] {
		t.Errorf("lost: %v", c.lost)
	}
	to, err := source.OpenDir(tg.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	want, got := describe(t, d, "", map[uint64]string{}), describe(t, to, "", map[uint64]string{})
	if len(want) < 20 || len(want) != len(got) {
		t.Fatalf("%d entries became %d", len(want), len(got))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("\n got %.400s\nwant %.400s", got[i], want[i])
		}
	}
	noTemps(t, tg.Path())
	must(t, os.Chmod(tg.Path()+"/read-only", 0o700))
	must(t, os.Chmod(tg.Path()+"/read-only/below", 0o700))
}

// BenchmarkWriteSmall writes 20,000 files of 2,800 bytes into 200 new folders.
func BenchmarkWriteSmall(b *testing.B) {
	data := []byte(strings.Repeat("restored", 350))
	for b.Loop() {
		tg := mustOpen(b, b.TempDir())
		for i := range 200 {
			d, err := tg.MkdirAll([]string{fmt.Sprint("d", i)})
			if err != nil {
				b.Fatal(err)
			}
			for k := range 100 {
				if _, err := d.WriteSmall(fmt.Sprint("f", k), data, plain(), KeepBoth); err != nil {
					b.Fatal(err)
				}
			}
			d.Close()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/20_000, "µs/file")
}

// BenchmarkPlainLoop does it as most programs do: temporary, chmod, chtimes,
// rename by path.
func BenchmarkPlainLoop(b *testing.B) {
	data := []byte(strings.Repeat("restored", 350))
	for b.Loop() {
		root := b.TempDir()
		for i := range 200 {
			dir := fmt.Sprint(root, "/d", i)
			if err := os.Mkdir(dir, 0o700); err != nil {
				b.Fatal(err)
			}
			for k := range 100 {
				temp := fmt.Sprint(dir, "/.tmp", k)
				mod := plain().ModTime.Time()
				if err := os.WriteFile(temp, data, 0o600); err != nil {
					b.Fatal(err)
				}
				must(b, os.Chmod(temp, 0o640))
				must(b, os.Chtimes(temp, mod, mod))
				if err := os.Rename(temp, fmt.Sprint(dir, "/f", k)); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/20_000, "µs/file")
}
