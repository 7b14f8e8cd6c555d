package icloud

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"coffer/cloud"
	"coffer/internal/durable"
)

const (
	// DefaultFolder is the name of our folder in the root.
	DefaultFolder = "Coffer Backups"

	// packSize is that of packs that suit: each file costs the sync client a
	// request of its own, and is all that is downloaded to read a part of it.
	packSize = 32 << 20

	// leftOverAge is when a temporary file belongs to nobody any more.
	leftOverAge = 24 * time.Hour
)

// A Config says which folder.
type Config struct {
	Root    string // the synced folder, as Find gives it
	Folder  string // the name of ours in it, one path element; "": DefaultFolder
	Staging string // a folder of this computer outside Root, best on the same file system; made if missing
	Create  bool   // make Folder if it is missing

	system system // nil: this computer's; tests have another
}

// A Driver is a folder of iCloud Drive. It is safe for concurrent use.
type Driver struct {
	root    string
	folder  string // absolute
	staging string
	system  system

	apart      atomic.Bool // staging is on another file system
	lastResort sync.Mutex  // held by a rename that cannot be exclusive by itself

	mu      sync.Mutex
	fetches map[string]*fetch // guarded by mu; downloads under way, by path
}

// New opens the folder. [cloud.ErrNoPlace]: it is missing, and Config.Create is
// not set. [cloud.ErrOffline]: the root is missing, because iCloud Drive is
// switched off. [cloud.ErrAddress]: the configuration names no usable folders.
func New(c Config) (*Driver, error) {
	if c.Folder == "" {
		c.Folder = DefaultFolder
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("open iCloud folder: %w", err)
	}
	d := &Driver{
		root: filepath.Clean(c.Root), folder: filepath.Join(c.Root, c.Folder), staging: filepath.Clean(c.Staging),
		system: c.system, fetches: map[string]*fetch{},
	}
	if d.system == nil {
		d.system = disk{}
	}
	if err := d.open(c.Create); err != nil {
		return nil, fmt.Errorf("open iCloud folder %s: %w", d.folder, err)
	}
	return d, nil
}

// check looks at the paths alone.
func (c Config) check() error {
	switch {
	case !filepath.IsAbs(c.Root):
		return fmt.Errorf("%w: no synced folder", cloud.ErrAddress)
	case !filepath.IsAbs(c.Staging):
		return fmt.Errorf("%w: no folder to prepare objects in", cloud.ErrAddress)
	case !filepath.IsLocal(c.Folder), filepath.Base(c.Folder) != c.Folder, strings.HasPrefix(c.Folder, "."):
		return fmt.Errorf("%w: %q is not the name of a folder", cloud.ErrAddress, c.Folder)
	case within(c.Root, c.Staging):
		return fmt.Errorf("%w: objects would be prepared inside the synced folder", cloud.ErrAddress)
	}
	return nil
}

// within reports whether path is root or lies in it, links resolved as far as
// the path exists.
func within(root, path string) bool {
	rel, err := filepath.Rel(resolved(root), resolved(path))
	return err == nil && filepath.IsLocal(rel)
}

func resolved(path string) string {
	path = filepath.Clean(path)
	if full, err := filepath.EvalSymlinks(path); err == nil {
		return full
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolved(parent), filepath.Base(path))
}

// open makes what is missing and removes what crashes left. It has no context of
// a caller: the worker's patience bounds it.
func (d *Driver) open(create bool) error {
	_, err := attempt(context.Background(), func() (struct{}, error) {
		if err := d.present(d.root); err != nil {
			return struct{}{}, err
		}
		err := d.present(d.folder)
		if errors.Is(err, cloud.ErrOffline) && errors.Is(err, fs.ErrNotExist) {
			if !create {
				return struct{}{}, cloud.Final(fmt.Errorf("%w: %w", cloud.ErrNoPlace, fs.ErrNotExist))
			}
			err = d.system.mkdir(d.folder)
		}
		if err == nil {
			err = d.system.mkdir(d.staging)
		}
		if err == nil {
			_, err = d.tidy()
		}
		return struct{}{}, err
	}, nil)
	return classify(err)
}

// present requires that path is a folder. What is not there is offline: iCloud
// Drive was switched off, or the folder is not yet on this computer.
func (d *Driver) present(path string) error {
	entry, err := d.system.stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cloud.Final(fmt.Errorf("%w: %w", cloud.ErrOffline, err))
	}
	if err != nil {
		return err
	}
	if !entry.dir {
		return cloud.Final(fmt.Errorf("%w: %s is not a folder", cloud.ErrNoPlace, path))
	}
	return nil
}

// Caps implements [cloud.Driver]. A listing shows at once what was put; what
// another computer put comes when the system brings it.
func (d *Driver) Caps() cloud.Caps {
	return cloud.Caps{ListAfterPut: true, RemoteConfirm: d.system.confirms(), PackSize: packSize, Parallel: 2}
}

// Confirm implements [cloud.Confirmer]. [cloud.ErrNotFound]: there is no such
// object.
func (d *Driver) Confirm(ctx context.Context, name string) (cloud.Whereabouts, error) {
	where, err := attempt(ctx, func() (cloud.Whereabouts, error) {
		entry, err := d.find(name)
		if err != nil {
			return cloud.WhereUnknown, err
		}
		if entry.absent { // its bytes are nowhere else
			return cloud.WhereThere, nil
		}
		return d.system.where(entry.path, d.root)
	}, nil)
	if err != nil {
		return cloud.WhereUnknown, classify(err)
	}
	return where, nil
}

// Maintain implements [cloud.Maintainer]: it removes what crashes left in the
// staging and, where that is on another file system, in the folder, more than a
// day ago. Conflicted copies stay: they may be all that is left of something.
func (d *Driver) Maintain(ctx context.Context) (int, error) {
	n, err := attempt(ctx, d.tidy, nil)
	return n, classify(err)
}

func (d *Driver) tidy() (int, error) {
	before := time.Now().Add(-leftOverAge)
	tidied := 0
	for _, dir := range []string{d.staging, d.folder} {
		var old []string
		err := d.system.list(dir, func(e entry) bool {
			if durable.IsTemp(e.name) && e.regular && e.modified.Before(before) {
				old = append(old, e.path)
			}
			return true
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return tidied, err
		}
		for _, path := range old {
			if err := d.system.remove(path); err == nil {
				tidied++
			} else if !errors.Is(err, fs.ErrNotExist) {
				return tidied, err
			}
		}
	}
	return tidied, nil
}

// classify gives an error its class, and says whether waiting can help.
func classify(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{
		context.Canceled, context.DeadlineExceeded, cloud.ErrOffline, cloud.ErrChecksum, cloud.ErrNoPlace,
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
