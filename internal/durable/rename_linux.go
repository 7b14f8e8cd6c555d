package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameExclusive uses renameat2(2), which ext4, XFS, btrfs, tmpfs, FAT, exFAT
// and SMB know; NFS, 9p and many FUSE mounts answer EINVAL.
func renameExclusive(root *os.Root, temp, name string) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	fd := int(dir.Fd())
	for {
		err = unix.Renameat2(fd, temp, fd, name, unix.RENAME_NOREPLACE)
		if err != unix.EINTR {
			break
		}
	}
	switch err {
	case nil:
		return nil
	case unix.EINVAL, unix.ENOSYS, unix.ENOTSUP:
		return renameByLink(root, temp, name)
	}
	return &os.LinkError{Op: "renameat2", Old: temp, New: name, Err: err}
}
