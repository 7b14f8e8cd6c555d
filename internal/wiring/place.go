package wiring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/folder"
)

// schemes are the kinds of places that Coffer's command line knows; all but the folder
// come with a later version. A path that looks like one of them is written "./drive:x".
var schemes = []string{"folder", "drive", "icloud", "s3", "webdav", "sftp", "rclone"}

// OpenPlace opens a destination as people write it: a path, or folder:PATH. The canonical
// text is the absolute path. With create, the folder is made when its parent exists.
// [app.ErrPlaceUnsupported], [app.ErrPlaceNotFolder], [cloud.ErrNoPlace] and those of
// package folder.
func OpenPlace(ctx context.Context, dest string, create bool) (cloud.Driver, string, error) {
	path, err := parsePlace(dest)
	if err != nil {
		return nil, "", err
	}
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return nil, path, fmt.Errorf("open place: %w", app.ErrPlaceNotFolder)
	case errors.Is(err, fs.ErrNotExist) && create:
		return createPlace(path)
	}
	driver, err := folder.Open(path)
	if err != nil {
		return nil, path, fmt.Errorf("open place: %w", err)
	}
	return driver, path, nil
}

// createPlace makes the last folder of path only: a typing error in the middle, or a disk
// that is not plugged in, must not become a new tree on the wrong disk.
func createPlace(path string) (cloud.Driver, string, error) {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return nil, path, fmt.Errorf("make place: its parent folder: %w", cloud.ErrNoPlace)
	}
	driver, err := folder.Create(path)
	if err != nil {
		return nil, path, fmt.Errorf("make place: %w", err)
	}
	return driver, path, nil
}

// parsePlace returns the absolute path of a folder.
func parsePlace(dest string) (string, error) {
	scheme, rest, found := strings.Cut(dest, ":")
	// One letter is a drive of Windows, not a kind of place.
	if found && len(scheme) > 1 && slices.Contains(schemes, strings.ToLower(scheme)) {
		if !strings.EqualFold(scheme, "folder") {
			return "", &app.UnsupportedPlaceError{Scheme: strings.ToLower(scheme)}
		}
		dest = rest
	}
	if dest == "" || strings.IndexByte(dest, 0) >= 0 {
		return "", fmt.Errorf("parse place: %w: no path", cloud.ErrNoPlace)
	}
	path, err := filepath.Abs(dest)
	if err != nil {
		return "", fmt.Errorf("parse place: %w", err)
	}
	return path, nil
}
