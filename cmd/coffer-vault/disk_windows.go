package main

import "golang.org/x/sys/windows"

// diskFree returns how many bytes the vault could still write to the disk of dir; -1: not
// known.
func diskFree(dir string) int64 {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return -1
	}
	var free uint64
	if windows.GetDiskFreeSpaceEx(path, &free, nil, nil) != nil {
		return -1
	}
	return int64(free)
}
