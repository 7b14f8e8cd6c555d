package folder_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/folder"
)

// mount mounts a file system for the test, or skips it.
func mount(t *testing.T, source, fstype string, flags uintptr, options string) (path string) {
	t.Helper()
	path = t.TempDir()
	if err := unix.Mount(source, path, fstype, flags, options); err != nil {
		t.Skipf("mounting %s is refused here (it needs root): %v", fstype, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			t.Errorf("unmount %s: %v", path, err)
		}
	})
	return path
}

// fill puts objects until there is no room and returns their names.
func fill(t *testing.T, d *folder.Driver, size int) []string {
	t.Helper()
	var stored []string
	for i := range 10_000 {
		name, err := put(t.Context(), d, "pack", size+i)
		if errors.Is(err, cloud.ErrFull) {
			return stored
		}
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, name)
	}
	t.Fatal("the disk does not get full")
	return nil
}

// full fills the disk with objects of that size and requires what must hold
// then, and that deleting helps.
func full(t *testing.T, path string, size int) {
	t.Helper()
	d := mustOpen(t, path)
	stored := fill(t, d, size)
	if len(stored) < 2 {
		t.Fatalf("only %d objects fit", len(stored))
	}
	left := slices.DeleteFunc(names(t, path), func(name string) bool { return name == "lost+found" })
	if len(left) != len(stored) {
		t.Errorf("%d files for %d objects: %v", len(left), len(stored), left)
	}
	finalFor(t, d, make([]byte, 2*size), cloud.ErrFull)
	for _, name := range stored {
		data, err := readAll(t.Context(), d, name)
		if err != nil || cloud.Name("pack", data) != name {
			t.Errorf("%s is not what was put: %v", name, err)
		}
	}
	room, err := d.Capacity(t.Context())
	if err != nil || room.Free >= 2*int64(size) || room.Total < 1<<20 {
		t.Errorf("capacity of a full disk: %+v, %v", room, err)
	}
	for _, name := range stored[:2] {
		if err := d.Delete(t.Context(), name); err != nil {
			t.Fatalf("delete on a full disk: %v", err)
		}
	}
	mustPut(t, d, "pack", size-1)
}

func TestFullTmpfs(t *testing.T) {
	full(t, mount(t, "tmpfs", "tmpfs", 0, "size=2m"), 100_000)
}

func TestReadOnlyMount(t *testing.T) {
	path := mount(t, "tmpfs", "tmpfs", 0, "size=2m")
	name := mustPut(t, mustOpen(t, path), "pack", 1000)
	if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	d := mustOpen(t, path) // restoring must work
	if data, err := readAll(t.Context(), d, name); err != nil || len(data) != 1000 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	final(t, d, cloud.ErrReadOnly)
	wantError(t, "delete", d.Delete(t.Context(), name), cloud.ErrReadOnly)
	_, err := folder.Create(filepath.Join(path, "new"))
	wantError(t, "create", err, cloud.ErrReadOnly)
}

// The trap that enter is for: after an unmount the mount point is an empty
// folder on the disk below.
func TestUnpluggedDisk(t *testing.T) {
	for _, known := range []bool{false, true} {
		path := mount(t, "tmpfs", "tmpfs", 0, "size=2m")
		d := mustOpen(t, path)
		name := cloud.Name("pack", nil)
		if known {
			name = mustPut(t, d, "pack", 1000)
		}
		if err := unix.Unmount(path, 0); err != nil {
			t.Fatalf("the driver keeps the disk from being ejected: %v", err)
		}
		everything(t, d, name, cloud.ErrOffline)
		final(t, d, cloud.ErrOffline)
		if got := names(t, path); len(got) != 0 {
			t.Fatalf("written to the disk below: %v", got)
		}
	}
}

func TestForbiddenFolder(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t, "TestForbiddenFolder")
		return
	}
	dir := t.TempDir()
	d := mustOpen(t, dir)
	name := mustPut(t, d, "pack", 1000)
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	final(t, d, cloud.ErrDenied)
	wantError(t, "delete", d.Delete(t.Context(), name), cloud.ErrDenied)
	if _, err := readAll(t.Context(), d, name); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
		t.Fatal(err)
	}
	_, err := readAll(t.Context(), d, name)
	wantError(t, "get", err, cloud.ErrDenied)
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	_, err = folder.Open(dir)
	wantError(t, "open", err, cloud.ErrDenied)
}

// asNobody runs one test again as a user whom permissions bind: root may write
// where it likes.
func asNobody(t *testing.T, test string) {
	t.Helper()
	const nobody = 65534
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "coffer-nobody-") // t.TempDir is below a folder of root alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	copied := filepath.Join(dir, "test")
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, "-test.run=^"+test+"$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+test) {
		t.Fatalf("as nobody: %v\n%s", err, out)
	}
}

// image makes a disk image of 64 MiB with the given program, or skips.
func image(t *testing.T, mkfs string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("disk images are slow")
	}
	path := filepath.Join(t.TempDir(), "image")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 64<<20)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), mkfs, path).CombinedOutput(); err != nil {
		t.Skipf("%s does not run here: %v %s", mkfs, err, out)
	}
	return path
}

// loop makes the image a device.
func loop(t *testing.T, image string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", image).Output()
	if err != nil {
		t.Skipf("no loop device can be had here: %v", err)
	}
	device := string(bytes.TrimSpace(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup: %v %s", err, out)
		}
	})
	return device
}

// conformOn runs the suite in folders on the mounted disk, then fills it.
func conformOn(t *testing.T, path string) {
	places := 0
	cloudtest.Run(t, func(t *testing.T) cloud.Driver {
		places++
		dir := filepath.Join(path, strings.Repeat("x", places))
		d, err := folder.Create(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		return d
	})
	full(t, path, 4<<20)
}

// TestFAT is about memory sticks.
func TestFAT(t *testing.T) {
	conformOn(t, mount(t, loop(t, image(t, "mkfs.vfat")), "vfat", 0, ""))
}

// TestExFAT is about large memory sticks, through FUSE, which knows neither
// renaming without replacing nor hard links: the last resort of publish.
func TestExFAT(t *testing.T) {
	device, path := loop(t, image(t, "mkfs.exfat")), t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount.exfat-fuse", device, path).CombinedOutput(); err != nil {
		t.Skipf("exFAT cannot be mounted through FUSE here: %v %s", err, out)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, 0); err != nil {
			t.Errorf("unmount %s: %v", path, err)
		}
	})
	conformOn(t, path)
	d := mustOpen(t, path)
	mustPut(t, d, "head", 10)
	if d.Caps().PutIfAbsent {
		t.Error("this was to test the last resort, which was not used")
	}
}

// TestExt2 is about a disk without a journal.
func TestExt2(t *testing.T) {
	conformOn(t, mount(t, loop(t, image(t, "mkfs.ext2")), "ext2", 0, ""))
}
