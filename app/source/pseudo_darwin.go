package source

import "golang.org/x/sys/unix"

// PseudoFS reports whether the folder is the system's view of itself (/dev,
// automounts), whose files have no contents to keep.
func (d *Dir) PseudoFS() bool {
	var st unix.Statfs_t
	return unix.Fstatfs(d.fd, &st) == nil && pseudoType(unix.ByteSliceToString(st.Fstypename[:]))
}

// PseudoFS reports the same for a path.
func PseudoFS(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && pseudoType(unix.ByteSliceToString(st.Fstypename[:]))
}

func pseudoType(name string) bool {
	switch name {
	case "devfs", "autofs", "fdesc", "nullfs":
		return true
	}
	return false
}
