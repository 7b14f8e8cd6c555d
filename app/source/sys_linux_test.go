package source

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const linux = true

func accessTime(t *testing.T, path string) time.Time {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return time.Unix(int64(st.Atim.Sec), int64(st.Atim.Nsec))
}

func mustRun(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(err)
	}
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

func TestXattrsAndACL(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/plain", "x")
	mustWrite(t, dir+"/f", "x")
	must(t, os.Mkdir(dir+"/d", 0o700))
	must(t, os.Symlink("f", dir+"/l"))
	mustRun(t, "setfattr", "-n", "user.zebra", "-v", "stripes", dir+"/f")
	mustRun(t, "setfattr", "-n", "user.empty", dir+"/f")
	big := strings.Repeat("0123456789", 300)
	mustRun(t, "setfattr", "-n", "user.big", "-v", big, dir+"/f")
	mustRun(t, "setfacl", "-m", "u:1234:rw", dir+"/f")
	mustRun(t, "setfacl", "-d", "-m", "g:4321:rx", dir+"/d")
	d := mustOpenDir(t, dir)
	for name, want := range map[string][]string{
		"plain": nil,
		"f":     {"system.posix_acl_access", "user.big", "user.empty", "user.zebra"},
		"d":     {"system.posix_acl_default"},
		"l":     nil,
	} {
		e, err := d.Extra(mustLstat(t, d, name))
		if err != nil || e.XattrErr != nil {
			t.Fatalf("%s: %v, %v", name, err, e.XattrErr)
		}
		var got []string
		for _, x := range e.Xattrs {
			got = append(got, x.Name)
			if x.Name == "user.zebra" && string(x.Value) != "stripes" || x.Name == "user.empty" && len(x.Value) != 0 ||
				x.Name == "user.big" && string(x.Value) != big {
				t.Errorf("%s = %d bytes", x.Name, len(x.Value))
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if os.Geteuid() == 0 && (e.User != "root" || e.Group != "root") {
			t.Errorf("%s: owner %q %q", name, e.User, e.Group)
		}
	}
	f, err := d.OpenFile("f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if e, err := f.Extra(); err != nil || len(e.Xattrs) != 4 {
		t.Errorf("of the open file: %+v, %v", e, err)
	}
	if xs, err := d.openXattrs("f"); err != nil || len(xs) != 4 {
		t.Errorf("without /proc: %+v, %v", xs, err)
	}
	if _, err := d.Extra(Info{Name: "gone", Type: TypeSymlink}); !errors.Is(err, ErrVanished) {
		t.Errorf("gone: %v", err)
	}
}

// TestRealReadError reads /proc/self/mem, a regular file by its mode, whose
// first page is not mapped: the kernel answers EIO as it does for a bad sector.
func TestRealReadError(t *testing.T) {
	f, err := mustOpenDir(t, "/proc/self").OpenFile("mem")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	_, err = f.ReadAt(make([]byte, 100), 0)
	var e *Error
	if !errors.Is(err, ErrRead) || !errors.As(err, &e) || e.Off != 0 || e.Len != 100 || Reason(err) != "input/output error" {
		t.Fatalf("%#v", err)
	}
	n, bad, err := ReadTolerant(f, 0, make([]byte, 10000))
	if n != 10000 || err != nil || len(bad) != 1 || bad[0] != (Extent{0, 10000}) {
		t.Errorf("%d, %v, %v", n, bad, err)
	}
}

func TestExtents(t *testing.T) {
	const giga = 1 << 30
	for name, c := range map[string]struct {
		size  int64
		write []Extent
		want  []Extent
	}{
		"empty":           {0, nil, nil},
		"hole only":       {100 * giga, nil, nil},
		"hole at the end": {100 * giga, []Extent{{0, 4096}}, []Extent{{0, 4096}}},
		"holes":           {giga, []Extent{{1 << 20, 4096}, {1<<20 + 4096, 4096}, {500 << 20, 8192}, {giga - 4096, 4096}}, []Extent{{1 << 20, 8192}, {500 << 20, 8192}, {giga - 4096, 4096}}},
		"odd end":         {1<<20 + 17, []Extent{{1 << 20, 17}}, []Extent{{1 << 20, 17}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := os.Create(dir + "/f")
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			for _, e := range c.write {
				if _, err := w.WriteAt([]byte(strings.Repeat("x", int(e.Len))), e.Off); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(w.Truncate(c.size), w.Sync()); err != nil {
				t.Fatal(err)
			}
			d := mustOpenDir(t, dir)
			f, err := d.OpenFile("f")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := f.Extents()
			if err != nil || len(got) != len(c.want) {
				t.Fatalf("%v, %v; want %v", got, err, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("%v, want %v", got, c.want)
				}
			}
			if f.Info().Sparse() != (c.size > 1<<20) && name != "odd end" {
				t.Errorf("Sparse: %v, %d blocks", f.Info().Sparse(), f.Info().Blocks)
			}
		})
	}
}

func TestPseudoFS(t *testing.T) {
	for path, want := range map[string]bool{"/proc": true, "/proc/self/": true, "/sys": true, "/dev": true, "/run": true, "/": false, t.TempDir(): false, "/nowhere": false} {
		if got := PseudoFS(path); got != want {
			t.Errorf("PseudoFS(%s) = %v", path, got)
		}
	}
	root := mustOpenDir(t, "/")
	if proc, err := root.OpenDir("proc"); err != nil || !SkipMount(proc, root.Info()) {
		t.Errorf("/proc would be entered: %v", err)
	}
	if etc, err := root.OpenDir("etc"); err != nil || SkipMount(etc, root.Info()) {
		t.Errorf("/etc would not be entered: %v", err)
	}
}

// TestBindLoop mounts a folder inside itself, in a mount namespace of its own.
func TestBindLoop(t *testing.T) {
	const marker = "COFFER_TEST_LOOP_DIR"
	if dir := os.Getenv(marker); dir != "" {
		bindLoop(t, dir)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBindLoop$", "-test.v")
	cmd.Env = []string{marker + "=" + t.TempDir()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "--- SKIP") || errors.Is(err, syscall.EPERM) {
		t.Skipf("no mounts here: %s", out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestBindLoop") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func bindLoop(t *testing.T, dir string) {
	must(t, os.MkdirAll(dir+"/a/b", 0o700))
	mustWrite(t, dir+"/a/f", "123")
	if err := unix.Mount(dir, dir+"/a/b", "", unix.MS_BIND, ""); err != nil {
		t.Skip(err)
	}
	defer func() { must(t, unix.Unmount(dir+"/a/b", unix.MNT_DETACH)) }()
	a, err := mustOpenDir(t, dir).OpenDir("a")
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.OpenDir("b")
	if !errors.Is(err, ErrLoop) || Reason(err) != "the folder contains itself" {
		t.Errorf("%v", err)
	}
	files, bytes, err := Measure(t.Context(), dir, Rules{}, nil)
	if files != 1 || bytes != 3 || err != nil {
		t.Errorf("%d files, %d bytes, %v", files, bytes, err)
	}
}

// TestOldKernel: the path without statx gives the same, but for the birth.
func TestOldKernel(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/f", "hello")
	d := mustOpenDir(t, dir)
	want := mustLstat(t, d, "f")
	got, err := oldStatAt(d.Fd(), "f", unix.AT_SYMLINK_NOFOLLOW)
	want.BirthTime = Time{}
	if err != nil || got != want {
		t.Errorf("%+v\nwant %+v, %v", got, want, err)
	}
}

var _ io.ReaderAt = (*File)(nil)
