//go:build linux || darwin

package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func mustOpenDir(t testing.TB, path string) *Dir {
	t.Helper()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func mustWrite(t testing.TB, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustLstat(t testing.TB, d *Dir, name string) Info {
	t.Helper()
	info, err := d.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// nastyNames are names that a Linux disk takes; macOS wants UTF-8.
func nastyNames(t testing.TB) []string {
	names := []string{
		" ", "...", "-rf", "a\nb", "a\tb", "a\\b", "%3A", "con", "trailing.", "trailing ", "\x01\x7f", "*?[",
		strings.Repeat("n", 255), "caf\u00e9", "cafe\u0301",
	}
	if linux {
		names = append(names, "bad-\xff\xfe.txt", strings.Repeat("\xff", 255))
	}
	slices.Sort(names)
	return names
}

func TestNamesAreRaw(t *testing.T) {
	dir := t.TempDir()
	want := nastyNames(t)
	for _, name := range want {
		mustWrite(t, filepath.Join(dir, name), name)
	}
	d := mustOpenDir(t, dir)
	for range 2 { // a second reading begins anew
		got, err := d.Names()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %q\nwant %q", got, want)
		}
	}
	buf := make([]byte, 1024)
	for _, name := range want {
		info := mustLstat(t, d, name)
		if info.Name != name || info.Type != TypeFile || info.Size != int64(len(name)) {
			t.Errorf("Lstat(%q) = %+v", name, info)
		}
		n, after, err := ReadSmall(d, name, info, buf)
		if err != nil || string(buf[:n]) != name || Changed(info, after) {
			t.Errorf("ReadSmall(%q) = %q, %v", name, buf[:n], err)
		}
	}
	if names, err := ReadNames(dir); err != nil || len(names) != len(want) {
		t.Errorf("ReadNames: %d names, %v", len(names), err)
	}
	if info, err := Lstat(dir, want[0]); err != nil || info.Name != want[0] {
		t.Errorf("Lstat: %+v, %v", info, err)
	}
}

func TestNamesOfManyFiles(t *testing.T) {
	dir := t.TempDir()
	var want []string
	for i := range 3000 { // several buffers of the kernel
		name := fmt.Sprintf("%s-%05d", strings.Repeat("x", i%80), i)
		want = append(want, name)
		if err := os.Symlink("", filepath.Join(dir, name)); err != nil {
			mustWrite(t, filepath.Join(dir, name), "")
		}
	}
	slices.Sort(want)
	got, err := mustOpenDir(t, dir).Names()
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%d names of %d, %v", len(got), len(want), err)
	}
}

func TestImpossibleNames(t *testing.T) {
	d := mustOpenDir(t, t.TempDir())
	for _, name := range []string{"", ".", "..", "a/b", "/", "a\x00b"} {
		_, e1 := d.Lstat(name)
		_, e2 := d.OpenDir(name)
		_, e3 := d.OpenFile(name)
		_, e4 := d.ReadLink(name)
		_, _, e5 := ReadSmall(d, name, Info{}, make([]byte, 1))
		_, e6 := d.Extra(Info{Name: name})
		for i, err := range []error{e1, e2, e3, e4, e5, e6} {
			if !errors.Is(err, ErrName) {
				t.Errorf("call %d with %q: %v", i+1, name, err)
			}
		}
	}
}

func TestDeepPath(t *testing.T) {
	path := t.TempDir()
	d := mustOpenDir(t, path)
	name := strings.Repeat("d", 200)
	for range 40 { // 8,000 bytes
		if err := unix.Mkdirat(d.Fd(), name, 0o700); err != nil {
			t.Fatal(err)
		}
		sub, err := d.OpenDir(name)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		d, path = sub, path+"/"+name
	}
	fd, err := unix.Openat(d.Fd(), "f", unix.O_CREAT|unix.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, []byte("deep")); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	names, err := ReadNames(path)
	if err != nil || !slices.Equal(names, []string{"f"}) {
		t.Fatalf("%q, %v", names, err)
	}
	files, bytes, err := Measure(t.Context(), filepath.Dir(path[:300]), Rules{}, nil)
	if err != nil || files != 1 || bytes != 4 {
		t.Fatalf("Measure: %d files, %d bytes, %v", files, bytes, err)
	}
}

func TestTypes(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/file", "x")
	must(t, os.Mkdir(dir+"/dir", 0o700))
	for name, target := range map[string]string{"dangling": "nowhere", "loop": "loop", "absolute": "/etc/passwd", "todir": "dir", "raw": "x\n\xffy"} {
		if err := os.Symlink(target, dir+"/"+name); err != nil {
			if linux {
				t.Fatal(err)
			}
		}
	}
	if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	t.Chdir(dir) // sun_path is short
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "socket"}); err != nil {
		t.Fatal(err)
	}
	d := mustOpenDir(t, dir)
	for name, want := range map[string]struct {
		Type
		other string
	}{
		"file": {TypeFile, ""}, "dir": {TypeDir, ""}, "dangling": {TypeSymlink, ""}, "loop": {TypeSymlink, ""},
		"absolute": {TypeSymlink, ""}, "todir": {TypeSymlink, ""}, "fifo": {TypeOther, "FIFO"}, "socket": {TypeOther, "socket"},
	} {
		info := mustLstat(t, d, name)
		if info.Type != want.Type || info.Other != want.other {
			t.Errorf("%s: %v %q", name, info.Type, info.Other)
		}
		if want.Type != TypeFile {
			// Neither hangs nor follows.
			if _, err := d.OpenFile(name); !errors.Is(err, ErrReplaced) {
				t.Errorf("OpenFile(%s): %v", name, err)
			}
		}
		if want.Type != TypeDir {
			if _, err := d.OpenDir(name); !errors.Is(err, ErrReplaced) {
				t.Errorf("OpenDir(%s): %v", name, err)
			}
		}
		if want.Type != TypeSymlink {
			if _, err := d.ReadLink(name); !errors.Is(err, ErrReplaced) {
				t.Errorf("ReadLink(%s): %v", name, err)
			}
		}
		if _, err := d.Extra(info); err != nil {
			t.Errorf("Extra(%s): %v", name, err)
		}
	}
	for name, want := range map[string]string{"dangling": "nowhere", "loop": "loop", "absolute": "/etc/passwd"} {
		if got, err := d.ReadLink(name); err != nil || got != want {
			t.Errorf("ReadLink(%s) = %q, %v", name, got, err)
		}
	}
	if linux {
		if got, err := d.ReadLink("raw"); err != nil || got != "x\n\xffy" {
			t.Errorf("raw link: %q, %v", got, err)
		}
	}
	long := strings.Repeat("l", 1000)
	must(t, os.Symlink(long, dir+"/long"))
	if got, err := d.ReadLink("long"); err != nil || got != long {
		t.Errorf("long link: %d bytes, %v", len(got), err)
	}
}

// TestFileChangesMeanwhile does between lstat and read what another program may
// do.
func TestFileChangesMeanwhile(t *testing.T) {
	type outcome struct {
		n       int
		changed bool
		err     error
	}
	for name, c := range map[string]struct {
		change func(path string) error
		want   outcome
	}{
		"nothing": {func(string) error { return nil }, outcome{5, false, nil}},
		"grows":   {func(p string) error { return appendTo(p, "more") }, outcome{6, true, nil}},
		"shrinks": {func(p string) error { return os.Truncate(p, 2) }, outcome{2, true, nil}},
		"same size, time put back": {func(p string) error {
			fi, _ := os.Lstat(p)
			if err := os.WriteFile(p, []byte("HELLO"), 0o600); err != nil {
				return err
			}
			return os.Chtimes(p, time.Time{}, fi.ModTime())
		}, outcome{5, true, nil}},
		"another file, same size and time": {func(p string) error {
			fi, _ := os.Lstat(p)
			if err := os.WriteFile(p+"2", []byte("HELLO"), 0o600); err != nil {
				return err
			}
			if err := os.Chtimes(p+"2", time.Time{}, fi.ModTime()); err != nil {
				return err
			}
			return os.Rename(p+"2", p)
		}, outcome{5, true, nil}},
		"vanishes": {os.Remove, outcome{err: ErrVanished}},
		"FIFO":     {func(p string) error { return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o600)) }, outcome{err: ErrReplaced}},
		"link":     {func(p string) error { return errors.Join(os.Remove(p), os.Symlink("/etc/passwd", p)) }, outcome{err: ErrReplaced}},
		"folder":   {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, outcome{err: ErrReplaced}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			mustWrite(t, dir+"/f", "hello")
			d := mustOpenDir(t, dir)
			before := mustLstat(t, d, "f")
			waitForClock(t, dir)
			if err := c.change(dir + "/f"); err != nil {
				t.Fatal(err)
			}
			n, after, err := ReadSmall(d, "f", before, make([]byte, 100))
			if !errors.Is(err, c.want.err) || err == nil && (n != c.want.n || Changed(before, after) != c.want.changed) {
				t.Errorf("%d bytes, changed %v, %v; want %+v", n, Changed(before, after), err, c.want)
			}
			f, err := d.OpenFile("f")
			if !errors.Is(err, c.want.err) {
				t.Errorf("OpenFile: %v", err)
			}
			if err == nil {
				defer f.Close()
				if Changed(before, f.Info()) != c.want.changed {
					t.Errorf("OpenFile: changed %v", !c.want.changed)
				}
			}
		})
	}
}

// waitForClock returns when the file system's clock has moved on: its steps are
// milliseconds, and a change within one step cannot be seen by anybody.
func waitForClock(t *testing.T, dir string) {
	t.Helper()
	d := mustOpenDir(t, dir)
	mustWrite(t, dir+"/clock", "")
	first := mustLstat(t, d, "clock").ModTime
	for mustLstat(t, d, "clock").ModTime == first {
		mustWrite(t, dir+"/clock", "")
		now := time.Now()
		must(t, os.Chtimes(dir+"/clock", time.Time{}, time.Time{}))
		f, err := os.OpenFile(dir+"/clock", os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(now.String()); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	os.Remove(dir + "/clock")
}

func appendTo(path, data string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(data)
	return errors.Join(err, f.Close())
}

func TestChangesWhileOpen(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/f", "hello")
	d := mustOpenDir(t, dir)
	f, err := d.OpenFile("f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	waitForClock(t, dir)
	if err := appendTo(dir+"/f", " world"); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(f)
	if err != nil || string(all) != "hello world" {
		t.Fatalf("%q, %v", all, err)
	}
	after, err := f.Stat()
	if err != nil || !Changed(f.Info(), after) || after.Name != "f" {
		t.Errorf("%+v, %v", after, err)
	}
	if n, err := f.ReadAt(make([]byte, 5), 100); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
}

func TestReadSmallNeedsRoom(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/f", "hello")
	d := mustOpenDir(t, dir)
	_, _, err := ReadSmall(d, "f", mustLstat(t, d, "f"), make([]byte, 5))
	if !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("%v: a buffer without the byte that shows growth", err)
	}
}

func TestTimes(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/f", "x")
	d := mustOpenDir(t, dir)
	for _, want := range []Time{{0, 1}, {-1, 999_999_999}, {-1_000_000_000, 123_456_789}, {10_413_792_000, 987_654_321}} {
		// Not os.Chtimes, whose int64 of nanoseconds ends in 2262.
		ts := unix.Timespec{Sec: want.Sec, Nsec: int64(want.Nsec)}
		if err := unix.UtimesNanoAt(d.Fd(), "f", []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
		if got := mustLstat(t, d, "f").ModTime; got != want {
			t.Errorf("%v became %v", want, got)
		}
		if TimeOf(want.Time()) != want {
			t.Errorf("%v through time.Time is %v", want, TimeOf(want.Time()))
		}
	}
	info := mustLstat(t, d, "f")
	if info.ChangeTime.IsZero() || info.Inode == 0 || info.Device == 0 || info.Links != 1 {
		t.Errorf("%+v", info)
	}
}

func TestAccessTimeIsLeftAlone(t *testing.T) {
	if !linux {
		t.Skip("macOS has no O_NOATIME")
	}
	dir := t.TempDir()
	mustWrite(t, dir+"/f", "x")
	old := time.Unix(1_000_000_000, 0) // relatime would renew it
	if err := os.Chtimes(dir+"/f", old, time.Now()); err != nil {
		t.Fatal(err)
	}
	d := mustOpenDir(t, dir)
	if _, _, err := ReadSmall(d, "f", mustLstat(t, d, "f"), make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if atime := accessTime(t, dir+"/f"); !atime.Equal(old) {
		t.Errorf("access time %v", atime)
	}
}

func TestHardLinksAndModes(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/a", "x")
	if err := os.Link(dir+"/a", dir+"/b"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chmod(dir+"/a", 0o6751); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, dir+"/c", "x")
	d := mustOpenDir(t, dir)
	a, b, c := mustLstat(t, d, "a"), mustLstat(t, d, "b"), mustLstat(t, d, "c")
	if !SameFile(a, b) || SameFile(a, c) || a.Links != 2 {
		t.Errorf("a %+v\nb %+v", a, b)
	}
	if a.Mode != 0o6751 {
		t.Errorf("mode %o", a.Mode)
	}
}

// TestUnprivileged runs itself as nobody, for root is refused nothing.
func TestUnprivileged(t *testing.T) {
	const marker = "COFFER_TEST_UNPRIVILEGED_DIR"
	if dir := os.Getenv(marker); dir != "" {
		asNobody(t, dir)
		return
	}
	if os.Geteuid() != 0 {
		asNobody(t, makeForbidden(t))
		return
	}
	exe := filepath.Join(sharedDir(t), "self")
	mustCopy(t, os.Args[0], exe)
	dir := makeForbidden(t)
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestUnprivileged$", "-test.v")
	cmd.Env = []string{marker + "=" + dir}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestUnprivileged") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// sharedDir is a folder that everybody may enter; t.TempDir is not.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "source")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustCopy(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

func makeForbidden(t *testing.T) string {
	dir := sharedDir(t)
	mustWrite(t, dir+"/file", "x")
	must(t, os.Chmod(dir+"/file", 0))
	mustWrite(t, dir+"/theirs", "readable")
	must(t, os.Chmod(dir+"/theirs", 0o644))
	must(t, os.Mkdir(dir+"/dir", 0o700))
	must(t, os.Chmod(dir+"/dir", 0))
	t.Cleanup(func() { must(t, os.Chmod(dir+"/dir", 0o700)) })
	return dir
}

func asNobody(t *testing.T, dir string) {
	d := mustOpenDir(t, dir)
	info := mustLstat(t, d, "file")
	_, _, err := ReadSmall(d, "file", info, make([]byte, 10))
	_, ferr := d.OpenFile("file")
	_, derr := d.OpenDir("dir")
	_, nerr := ReadNames(dir + "/dir")
	for i, err := range []error{err, ferr, derr, nerr} {
		if !errors.Is(err, ErrPermission) || Reason(err) != "permission denied" {
			t.Errorf("call %d: %v", i, err)
		}
	}
	// Somebody else's file, where O_NOATIME is refused, is read all the same.
	buf := make([]byte, 10)
	n, _, err := ReadSmall(d, "theirs", mustLstat(t, d, "theirs"), buf)
	if err != nil || string(buf[:n]) != "readable" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	files, _, err := Measure(t.Context(), dir, Rules{}, nil)
	if err != nil || files != 2 {
		t.Errorf("Measure: %d files, %v", files, err)
	}
}
