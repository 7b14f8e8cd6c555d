package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameExclusive uses renameatx_np(2), which APFS and HFS+ know.
func renameExclusive(root *os.Root, temp, name string) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	fd := int(dir.Fd())
	for {
		err = unix.RenameatxNp(fd, temp, fd, name, unix.RENAME_EXCL)
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
	return &os.LinkError{Op: "renameatx_np", Old: temp, New: name, Err: err}
}
