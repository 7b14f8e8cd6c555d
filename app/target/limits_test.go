//go:build linux || darwin

package target

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"coffer/app/source"
)

func TestFullDisk(t *testing.T) {
	const marker = "COFFER_TEST_FULL_DIR"
	if dir := os.Getenv(marker); dir != "" {
		fullDisk(t, dir)
		return
	}
	inNamespace(t, "TestFullDisk", marker)
}

// inNamespace runs one test again where it may mount.
func inNamespace(t *testing.T, name, marker string) {
	t.Helper()
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("mounting needs root")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.v")
	cmd.Env = []string{marker + "=" + t.TempDir()}
	setNamespace(cmd)
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "--- SKIP") || errors.Is(err, syscall.EPERM) {
		t.Skipf("no mounts here: %s", out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+name) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func fullDisk(t *testing.T, dir string) {
	mountTmpfs(t, dir, "size=64k")
	tg := mustOpen(t, dir)
	d := mustDir(t, tg)
	data := bytes.Repeat([]byte("x"), 1<<20)
	for how, write := range writers {
		_, err := write(d, "f", string(data), plain(), KeepBoth)
		if !errors.Is(err, ErrFull) || Reason(err) != "no space left" {
			t.Errorf("%s: %v", how, err)
		}
	}
	if names, err := source.ReadNames(dir); err != nil || len(names) != 0 {
		t.Errorf("left: %q, %v", names, err)
	}
	if n, err := FreeSpace(dir + "/not/yet"); err != nil || n != 64<<10 {
		t.Errorf("FreeSpace: %d, %v", n, err)
	}
	remountReadOnly(t, dir)
	_, err := d.WriteSmall("g", nil, plain(), KeepBoth)
	if !errors.Is(err, ErrReadOnly) || Reason(err) != "the disk is read-only" {
		t.Errorf("%v", err)
	}
}

// TestUnprivileged runs itself as nobody: root may do everything.
func TestUnprivileged(t *testing.T) {
	const marker = "COFFER_TEST_UNPRIVILEGED_DIR"
	if dir := os.Getenv(marker); dir != "" {
		asNobody(t, dir)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	dir, err := os.MkdirTemp("", "target")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(dir+"/self", self, 0o755), os.Mkdir(dir+"/t", 0o700), os.Chown(dir+"/t", 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), dir+"/self", "-test.run=^TestUnprivileged$", "-test.v")
	cmd.Env = []string{marker + "=" + dir}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestUnprivileged") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func asNobody(t *testing.T, dir string) {
	if _, err := Open(dir + "/not ours"); !errors.Is(err, ErrPermission) {
		t.Errorf("Open: %v", err)
	}
	tg := mustOpen(t, dir+"/t")
	d := mustDir(t, tg, "sub")
	m := plain()
	m.UID, m.GID, m.Mode = 0, 0, 0o4755
	out, err := d.WriteSmall("suid", []byte("x"), m, KeepBoth)
	if err != nil || !slices.Equal(out.Lost, []string{"owner: permission denied", LostSetID + ": the owner could not be set"}) {
		t.Errorf("%+v, %v", out, err)
	}
	if info, err := d.Lstat("suid"); err != nil || info.Mode != 0o755 {
		t.Errorf("a set-user-ID file of another owner: %o, %v", info.Mode, err)
	}
	m = plain()
	m.Mode, m.Xattrs = 0, []source.Xattr{{Name: "user.x", Value: []byte("y")}, {Name: "trusted.x", Value: nil}}
	out, err = d.WriteSmall("mode 0", []byte("x"), m, KeepBoth)
	if err != nil || runtime.GOOS == "linux" && !slices.Equal(out.Lost, []string{`extended attribute "trusted.x": permission denied`}) {
		t.Errorf("%+v, %v", out, err)
	}
	// Read-only folders are filled before they become so.
	m.Mode, m.Xattrs = 0o500, nil
	if lost := d.SetOwnMeta(m); len(lost) != 0 {
		t.Errorf("%q", lost)
	}
	if _, err := d.WriteSmall("late", nil, plain(), KeepBoth); !errors.Is(err, ErrPermission) || Reason(err) != "permission denied" {
		t.Errorf("in a read-only folder: %v", err)
	}
	m.Mode = 0o700
	d.SetOwnMeta(m)
	if _, err := tg.CleanTemps(t.Context()); err != nil {
		t.Error(err)
	}
	noTemps(t, tg.Path())
}
