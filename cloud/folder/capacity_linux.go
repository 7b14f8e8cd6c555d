package folder

import "golang.org/x/sys/unix"

// blockSize is the unit of the counts in st: the fragment size, where the
// kernel gives one; Bsize is only what it likes to transfer (NFS: 1 MiB).
func blockSize(st *unix.Statfs_t) uint64 {
	if st.Frsize > 0 {
		return uint64(st.Frsize)
	}
	return uint64(st.Bsize)
}
