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

// connector reaches the places that this version can use: folders.
type connector struct{}

var _ app.Connector = connector{}

// Kinds implements [app.Connector].
func (connector) Kinds() []app.PlaceKind {
	return []app.PlaceKind{{Scheme: "folder", Fields: []app.PlaceField{{Name: "address"}}}}
}

// Open opens a destination as people write it: a path, or folder:PATH. The canonical text
// is the absolute path. With Create, the folder is made when its parent exists.
// [app.ErrPlaceUnsupported], [app.ErrPlaceNotFolder], [cloud.ErrNoPlace] and those of
// package folder.
func (connector) Open(ctx context.Context, r app.PlaceRequest) (app.OpenedPlace, error) {
	path, err := parsePlace(r.Dest)
	if err != nil {
		return app.OpenedPlace{}, err
	}
	opened := app.OpenedPlace{Kind: "folder", Dest: path, Dir: path}
	if err := ctx.Err(); err != nil {
		return opened, err
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return opened, fmt.Errorf("open place: %w", app.ErrPlaceNotFolder)
	case errors.Is(err, fs.ErrNotExist) && r.Create:
		opened.Driver, err = createPlace(path)
		return opened, err
	}
	if opened.Driver, err = folder.Open(path); err != nil {
		return app.OpenedPlace{Kind: "folder", Dest: path, Dir: path}, fmt.Errorf("open place: %w", err)
	}
	return opened, nil
}

// createPlace makes the last folder of path only: a typing error in the middle, or a disk
// that is not plugged in, must not become a new tree on the wrong disk.
func createPlace(path string) (cloud.Driver, error) {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("make place: its parent folder: %w", cloud.ErrNoPlace)
	}
	driver, err := folder.Create(path)
	if err != nil {
		return nil, fmt.Errorf("make place: %w", err)
	}
	return driver, nil
}

// SignIn implements [app.Connector]: no kind of this version has one.
func (connector) SignIn(context.Context, app.PlaceRequest, func(string) error) (app.OpenedPlace, error) {
	return app.OpenedPlace{}, cloud.ErrUnsupported
}

// SignOut implements [app.Connector].
func (connector) SignOut(context.Context, app.PlaceRequest) error { return cloud.ErrUnsupported }

// RestoreFolder implements [app.Connector].
func (connector) RestoreFolder(context.Context, app.PlaceRequest) (int, error) {
	return 0, cloud.ErrUnsupported
}

// Network implements [app.Connector]: a folder needs no network.
func (connector) Network(app.NetworkSettings) error { return nil }

// Metered implements [app.Connector].
func (connector) Metered(context.Context) (metered, known bool) { return false, false }

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
