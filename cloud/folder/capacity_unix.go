//go:build !windows

package folder

import (
	"math"
	"os"

	"golang.org/x/sys/unix"

	"coffer/cloud"
)

func capacity(root *os.Root) (cloud.Capacity, error) {
	dir, err := root.Open(".")
	if err != nil {
		return cloud.Capacity{}, err
	}
	defer dir.Close()
	var st unix.Statfs_t
	for {
		err = unix.Fstatfs(int(dir.Fd()), &st)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return cloud.Capacity{}, err
	}
	if st.Blocks == 0 { // mounts without an idea of their size
		return cloud.Capacity{Free: -1, Total: -1}, nil
	}
	unit := blockSize(&st)
	return cloud.Capacity{Free: room(uint64(st.Bavail), unit), Total: room(uint64(st.Blocks), unit)}, nil
}

// room returns blocks in bytes. Network mounts invent numbers: a negative count
// (reserved blocks in use, seen as unsigned) is nothing, too many are the most.
func room(blocks, unit uint64) int64 {
	if blocks > math.MaxInt64 {
		return 0
	}
	if unit > 0 && blocks > math.MaxInt64/unit {
		return math.MaxInt64
	}
	return int64(blocks * unit)
}
