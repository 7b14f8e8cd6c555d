//go:build !windows && !linux

package folder

import "golang.org/x/sys/unix"

// blockSize is the unit of the counts in st.
func blockSize(st *unix.Statfs_t) uint64 { return uint64(st.Bsize) }
