package folder

import (
	"os"

	"golang.org/x/sys/windows"

	"coffer/cloud"
)

func capacity(root *os.Root) (cloud.Capacity, error) {
	path, err := windows.UTF16PtrFromString(root.Name())
	if err != nil {
		return cloud.Capacity{}, err
	}
	var free, total uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, &total, nil); err != nil {
		return cloud.Capacity{}, err
	}
	return cloud.Capacity{Free: int64(free), Total: int64(total)}, nil
}
