package wiring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/folder"
)

// openFolder opens a folder of this computer. With create, it is made when its parent
// exists. [app.ErrPlaceNotFolder], [cloud.ErrNoPlace] and those of package folder.
func openFolder(path string, create bool) (cloud.Driver, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return nil, fmt.Errorf("open place: %w", app.ErrPlaceNotFolder)
	case errors.Is(err, fs.ErrNotExist) && create:
		return createFolder(path)
	}
	driver, err := folder.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open place: %w", err)
	}
	return driver, nil
}

// createFolder makes the last folder of path only: a typing error in the middle, or a
// disk that is not plugged in, must not become a new tree on the wrong disk.
func createFolder(path string) (cloud.Driver, error) {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("make place: its parent folder: %w", cloud.ErrNoPlace)
	}
	driver, err := folder.Create(path)
	if err != nil {
		return nil, fmt.Errorf("make place: %w", err)
	}
	return driver, nil
}
