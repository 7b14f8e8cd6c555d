package target

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"coffer/app/source"
)

// A Target is a folder that a restore writes below, and never outside.
type Target struct {
	path string
	date string // of restored copies' names
	ids  ids

	mu     sync.Mutex
	root   *Dir
	open   map[string]*list.Element // guarded by mu; *Dir by its names joined by "/"
	recent *list.List               // guarded by mu; *Dir, most recently used first
}

// maxOpen bounds the folders kept open, besides those in use.
const maxOpen = 128

// Open opens the folder at path, and makes it (mode 0700, as every folder that
// is missing above it) when it is absent. Links in path itself are followed, for
// it is the user's own choice.
func Open(path string) (*Target, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, wrap("open target", path, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, wrap("make target", path, err)
	}
	at, err := openFolder(abs)
	if err != nil {
		return nil, wrap("open target", path, err)
	}
	t := &Target{
		path: abs, date: time.Now().Format(time.DateOnly), open: map[string]*list.Element{}, recent: list.New(),
		ids: ids{users: map[string]uint32{}, groups: map[string]uint32{}},
	}
	t.root = &Dir{t: t, at: at, refs: 1}
	return t, nil
}

// SetDate sets the date that the names of restored copies carry, instead of the
// day when the Target was opened. It must come before the first write.
func (t *Target) SetDate(day time.Time) { t.date = day.Format(time.DateOnly) }

func (t *Target) stamp() string { return t.date }

// Path returns the absolute path of the target.
func (t *Target) Path() string { return t.path }

// Close releases the folders that are kept open. Dirs still in use stay open
// until their own Close.
func (t *Target) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for t.recent.Len() > 0 {
		errs = append(errs, t.evict())
	}
	if t.root != nil {
		errs = append(errs, t.root.release())
		t.root = nil
	}
	return errors.Join(errs...)
}

// evict forgets the folder that was not used longest. t.mu is held.
func (t *Target) evict() error {
	d := t.recent.Remove(t.recent.Back()).(*Dir)
	delete(t.open, d.key)
	return d.release()
}

// MkdirAll opens the folder that the names rel lead to from the target, and
// makes those that are missing, with mode 0700 whatever they will have in the
// end: a folder without the right to write could not be filled. No names are the
// target itself. Folders that exist are kept as they are. ErrNotFolder means that
// a link or a file is in the way; links are not followed, not even to a folder.
//
// The caller closes the Dir. The last ones used are kept open, so asking again
// is cheap.
func (t *Target) MkdirAll(rel []string) (*Dir, error) {
	for _, name := range rel {
		if err := checkName(name); err != nil {
			return nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root == nil {
		return nil, fmt.Errorf("make folder: %w", fs.ErrClosed)
	}
	d, have := t.nearest(rel)
	for i := have; i < len(rel); i++ {
		sub, err := d.makeSub(rel[i], strings.Join(rel[:i+1], "/"))
		if err != nil {
			return nil, err
		}
		t.keep(sub)
		d = sub
	}
	d.refs++
	return d, nil
}

// nearest returns the open folder that most of rel lead to, and how many that
// are. t.mu is held.
func (t *Target) nearest(rel []string) (*Dir, int) {
	key := strings.Join(rel, "/")
	for n := len(rel); n > 0; n-- {
		if e, ok := t.open[key]; ok {
			t.recent.MoveToFront(e)
			return e.Value.(*Dir), n
		}
		key = key[:max(0, len(key)-len(rel[n-1])-1)]
	}
	return t.root, 0
}

// keep remembers an open folder and owns its first reference. t.mu is held.
func (t *Target) keep(d *Dir) {
	t.open[d.key] = t.recent.PushFront(d)
	if t.recent.Len() > maxOpen {
		// The one just added is at the front; closing an old one loses nothing
		// that a restore needs.
		_ = t.evict()
	}
}

// FreeSpace returns the bytes that this user may still write where path is or
// will be.
func FreeSpace(path string) (int64, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return 0, wrap("measure", path, err)
	}
	for {
		n, err := freeSpace(abs)
		up := filepath.Dir(abs)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || up == abs {
			return n, wrap("measure", path, err)
		}
		abs = up
	}
}

// Sync asks the system to put all that was written onto the disk and waits for
// it. A receipt is worth nothing before.
func (t *Target) Sync() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root == nil {
		return fmt.Errorf("sync: %w", fs.ErrClosed)
	}
	return wrap("sync", t.path, t.root.at.sync())
}

// CleanTemps removes the temporaries that interrupted restores left anywhere in
// the target, and returns how many. It does not follow links. What cannot be
// read is passed over; the error is the first that kept a temporary in place, or
// that of ctx.
func (t *Target) CleanTemps(ctx context.Context) (int, error) {
	d, err := t.MkdirAll(nil)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	return d.cleanBelow(ctx)
}

func (d *Dir) cleanBelow(ctx context.Context) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	removed, first := d.CleanTemps()
	names, err := d.at.names()
	if err != nil {
		return removed, first
	}
	for _, name := range names {
		info, err := d.Lstat(name)
		if err != nil || info.Type != source.TypeDir {
			continue
		}
		at, err := d.at.sub(name)
		if err != nil {
			continue
		}
		sub := &Dir{t: d.t, at: at}
		n, err := sub.cleanBelow(ctx)
		_ = at.close()
		removed += n
		if first == nil || ctx.Err() != nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return removed, first
}

// tempName makes the name of a temporary. It need not be a secret: temporaries
// are created exclusively.
func tempName() string {
	return fmt.Sprintf("%s%016x%016x", tempPrefix, rand.Uint64(), rand.Uint64())
}
