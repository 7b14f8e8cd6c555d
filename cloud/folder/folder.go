// Package folder keeps objects in a folder: on this disk, an external one, or
// a network mount.
//
// The words: the folder holds one file an object, of the object's name, and
// nothing else of ours but temporary files while a Put runs (package durable).
// All else in it is foreign and left alone: other files, and also links, pipes
// and folders that have an object's name. A disk that is not plugged in is
// [cloud.ErrOffline].
//
// The trap of removable disks: when one is unplugged, its mount point often
// stays, an empty folder on the system disk. A driver that goes by the path
// alone would back up into it and report success. So each request opens the
// folder anew and looks whether it is still the one that was opened first; and
// nothing holds it open in between, which would keep the disk from being ejected.
//
// Nothing here is worth a wait except what errors_*.go calls passing: a disk
// that is full or gone stays so until the user acts.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"coffer/cloud"
	"coffer/internal/durable"
)

const (
	// leftOverAge is when a temporary file belongs to nobody any more. A day
	// covers a 16 MiB pack on any mount that is worth using, and clocks of
	// servers that are hours off.
	leftOverAge = 24 * time.Hour

	dirMode = 0o700
)

// A Driver is a folder. It is safe for concurrent use.
type Driver struct {
	path string // absolute

	mu      sync.Mutex
	self    fs.FileInfo  // guarded by mu; the folder as it was last recognised
	witness cloud.Object // guarded by mu; an object known to be in it, or zero

	lastResort sync.Mutex  // held by a publish that cannot be exclusive by itself
	loose      atomic.Bool // the file system made us use it
}

// Open returns the folder at path, which must exist: [cloud.ErrNoPlace]
// otherwise, or if it is something else. It removes what crashed processes left
// there more than a day ago.
func Open(path string) (*Driver, error) {
	if path == "" {
		return nil, fmt.Errorf("open folder: %w: no path", cloud.ErrNoPlace)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", path, err)
	}
	root, err := openRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", path, placeError(err))
	}
	defer root.Close()
	self, err := root.Stat(".")
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", path, classify(err))
	}
	d := &Driver{path: abs, self: self}
	err = classify(durable.Sweep(root, time.Now().Add(-leftOverAge)))
	if err != nil && !errors.Is(err, cloud.ErrReadOnly) && !errors.Is(err, cloud.ErrDenied) {
		return nil, fmt.Errorf("open folder %s: %w", path, err)
	}
	return d, nil // a folder that cannot be cleaned can still be restored from
}

// Create is Open for a folder that need not exist: what is missing of path is
// made, for this user alone (0700).
func Create(path string) (*Driver, error) {
	if path == "" {
		return nil, fmt.Errorf("create folder: %w: no path", cloud.ErrNoPlace)
	}
	if err := os.MkdirAll(path, dirMode); err != nil {
		return nil, fmt.Errorf("create folder %s: %w", path, placeError(err))
	}
	if parent, err := os.OpenRoot(filepath.Dir(filepath.Clean(path))); err == nil {
		err = durable.SyncDir(parent) // or a power cut takes the folder with all that is in it
		if err := errors.Join(err, parent.Close()); err != nil {
			return nil, fmt.Errorf("create folder %s: %w", path, classify(err))
		}
	}
	return Open(path)
}

// errNotFolder: something else has the path. (Package os has no error for it.)
var errNotFolder = errors.New("not a folder")

// openRoot opens the folder itself.
func openRoot(path string) (*os.Root, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s: %w", path, errNotFolder)
	}
	return os.OpenRoot(path)
}

// isAbsent reports that there is no folder at the path.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotFolder) || isNotFolder(err)
}

// placeError classes an error of opening or making the folder itself.
func placeError(err error) error {
	if isAbsent(err) {
		return cloud.Final(fmt.Errorf("%w: %w", cloud.ErrNoPlace, err))
	}
	return classify(err)
}

// Capacity implements [cloud.Capacitor]: that of the file system, for this
// user. Quotas of a single user or folder show up as ErrFull only.
func (d *Driver) Capacity(ctx context.Context) (cloud.Capacity, error) {
	root, err := d.enter(ctx)
	if err != nil {
		return cloud.Capacity{}, err
	}
	defer root.Close()
	room, err := capacity(root)
	if err != nil {
		return cloud.Capacity{}, classify(fmt.Errorf("ask for free space: %w", err))
	}
	return room, nil
}

// Caps implements [cloud.Driver].
func (d *Driver) Caps() cloud.Caps {
	return cloud.Caps{PutIfAbsent: !d.loose.Load(), ListAfterPut: true, Parallel: 2}
}

// classify gives an error of the operating system its class, and says whether
// waiting can help. Errors that have a class keep it.
func classify(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{
		context.Canceled, context.DeadlineExceeded, cloud.ErrOffline, cloud.ErrChecksum,
		cloud.ErrExists, cloud.ErrNotFound, cloud.ErrRange,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	class, passing := classOf(err)
	if class != nil {
		err = fmt.Errorf("%w: %w", class, err)
	}
	if passing {
		return err
	}
	return cloud.Final(err)
}
