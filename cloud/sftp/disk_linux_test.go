package sftp

import (
	"os"
	"syscall"
	"testing"

	"coffer/cloud"
)

// TestFullDisk: OpenSSH has one word for every failure; the driver finds the
// right one. And on a disk that takes no writes.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root may mount a small disk")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=20m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	s := startSSHD(t)
	d := mustOpen(t, s.config(disk))
	t.Cleanup(func() {
		_ = d.Close()
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	room, err := d.Capacity(t.Context())
	if err != nil || room.Total != 20<<20 || room.Free > room.Total || room.Free < 19<<20 {
		t.Fatalf("%+v, %v", room, err)
	}
	first := content(1, 12<<20)
	name := mustPut(t, d, first)
	second := content(2, 12<<20)
	for range 2 {
		err := d.Put(t.Context(), cloud.Name("pack", second), cloud.Bytes(second))
		wantIs(t, "put on a full disk", err, cloud.ErrFull)
		if left := files(t, disk); len(left) != 1 {
			t.Fatalf("left: %q", left)
		}
	}
	wantData(t, d, name, first)
	if err := d.Delete(t.Context(), name); err != nil {
		t.Fatalf("delete on a full disk: %v", err)
	}
	name = mustPut(t, d, second)

	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	err = d.Put(t.Context(), cloud.Name("pack", first), cloud.Bytes(first))
	wantIs(t, "put on a disk that takes no writes", err, cloud.ErrReadOnly)
	wantIs(t, "delete on a disk that takes no writes", d.Delete(t.Context(), name), cloud.ErrReadOnly)
	wantData(t, d, name, second)
}

// TestOneWay: a server that lets this user read only.
func TestOneWay(t *testing.T) {
	t.Parallel()
	s := startSSHD(t, "Subsystem sftp internal-sftp -R")
	d := mustOpen(t, s.config(t.TempDir()))
	data := content(1, 10)
	wantIs(t, "put", d.Put(t.Context(), cloud.Name("pack", data), cloud.Bytes(data)), cloud.ErrDenied)
	if found, err := names(t.Context(), d); err != nil || len(found) != 0 {
		t.Fatalf("%v, %v", found, err)
	}
}

// TestPipesAreNotOpened: who opens one waits for its other end, for ever.
func TestPipesAreNotOpened(t *testing.T) {
	t.Parallel()
	s := startSSHD(t)
	folder := t.TempDir()
	d := mustOpen(t, s.config(folder))
	name := cloud.Name("pack", []byte("pipe"))
	if err := syscall.Mkfifo(folder+"/"+name, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := d.Get(t.Context(), name, 0, -1)
	wantIs(t, "get of a pipe", err, cloud.ErrNotFound)
	wantIs(t, "put over a pipe", d.Put(t.Context(), name, cloud.Bytes([]byte("pipe"))), cloud.ErrExists)
	if found, err := names(t.Context(), d); err != nil || len(found) != 0 {
		t.Fatalf("%v, %v", found, err)
	}
}
