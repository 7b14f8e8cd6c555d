//go:build linux || darwin

package main

import "syscall"

// diskFree returns how many bytes the vault could still write to the disk of dir; -1: not
// known.
func diskFree(dir string) int64 {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return -1
	}
	return int64(s.Bavail) * int64(s.Bsize)
}
