package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"coffer/app/repo"
	"coffer/app/source"
	"coffer/app/target"
	"coffer/cloud"
)

const goos = runtime.GOOS

// restore is one run. The tree is walked in order; files are collected until they
// are worth a round, as backups store neighbours together: a round reads each
// pack once, opens each segment once, and writes from several goroutines.
type restore struct {
	app       *App
	options   RestoreOptions
	session   *session
	snapshot  *repo.Snapshot
	selection *waypoint
	policy    target.Policy
	target    *target.Target
	meter     *meter
	round     round
	links     map[linkID]*placed // files with several names
	made      *madeFolders
	folders   []doneFolder // whose attributes are set at the end
	lost      lostAttributes

	mu      sync.Mutex // guards receipt
	receipt Receipt
}

// An outFolder is an open folder of the target.
type outFolder struct {
	*target.Dir
	path  string // in the backup
	parts []string
	users atomic.Int32
}

func (f *outFolder) release() {
	if f.users.Add(-1) == 0 {
		_ = f.Close()
	}
}

// doneFolder is a folder that gets its attributes when all in it is written.
type doneFolder struct {
	parts []string
	path  string
	meta  target.Meta
}

func (r *restore) run(ctx context.Context) (err error) {
	if r.insideSource() {
		return &PathError{r.options.Target, ErrTargetInSource}
	}
	if err := r.room(ctx); err != nil {
		return err
	}
	if r.target, err = target.Open(r.options.Target); err != nil {
		return targetError(r.options.Target, err)
	}
	defer r.target.Close()
	if r.made, err = openMadeFolders(r.app.stateDir(), r.session.keys.Repository(), r.options.Target); err != nil {
		return err
	}
	defer r.made.close()
	r.links = map[linkID]*placed{}
	defer func() { r.round.abandon() }() // of a walk that was cut off
	r.meter = newMeter(ctx, r.options.Progress, r.options.Gate, PhaseRestoring)
	defer r.meter.end()
	if err := r.total(ctx); err != nil {
		return err
	}
	if err := r.folder(ctx, r.snapshot.Root, r.selection, nil, ""); err != nil {
		return err
	}
	if err := r.endRound(ctx); err != nil {
		return err
	}
	if err := r.finishFolders(ctx); err != nil {
		return err
	}
	r.receipt.Lost = r.lost.list()
	if err := r.target.Sync(); err != nil {
		return targetError(r.options.Target, err)
	}
	r.made.remove()
	return nil
}

// A SpaceError is target.ErrFull before anything was written.
type SpaceError struct {
	Path    string
	Missing int64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%v: %d bytes are missing", target.ErrFull, e.Missing)
}

// Is makes errors.Is(err, target.ErrFull) true.
func (e *SpaceError) Is(err error) bool { return err == target.ErrFull }

// room refuses to begin what cannot end: a disk with less than half the room for the
// data of the files. It is no more exact, for runs of zeros and compression may make
// files smaller on the disk than in the backup; the system says when it is full.
func (r *restore) room(ctx context.Context) error {
	free, err := target.FreeSpace(r.options.Target)
	if err != nil || free >= r.snapshot.Bytes || notEmpty(r.options.Target) {
		return nil //nolint:nilerr // it may be there already, and a system that does not say is believed
	}
	var need int64
	seen := map[linkID]bool{}
	err = r.each(ctx, func(e planned) {
		if id := linkOf(e.Entry); e.Device == 0 || !seen[id] {
			seen[id] = e.Device != 0
			need += dataBytes(e.Entry)
		}
	})
	if err == nil && free < need/2 {
		return &PathError{r.options.Target, &SpaceError{r.options.Target, need - free}}
	}
	return err
}

func targetError(path string, err error) error {
	switch {
	case errors.Is(err, target.ErrNotFolder), errors.Is(err, target.ErrFull), errors.Is(err, target.ErrReadOnly):
		return &PathError{path, err}
	case errors.Is(err, target.ErrPermission):
		return &PathError{path, errors.Join(ErrTargetDenied, err)}
	}
	return err
}

// total says how much there is to do, holes included.
func (r *restore) total(ctx context.Context) error {
	if r.options.Progress == nil {
		return nil
	}
	files, bytes := r.snapshot.Files, r.snapshot.Bytes
	if r.selection != nil {
		files, bytes = 0, 0
		err := r.each(ctx, func(e planned) {
			if e.Type == repo.TypeFile {
				files, bytes = files+1, bytes+e.Size
			}
		})
		if err != nil {
			return err
		}
	}
	r.meter.totalFiles.Store(files)
	r.meter.totalBytes.Store(bytes)
	r.meter.scanned.Store(true)
	return nil
}

// folder restores what is in a folder of the backup.
func (r *restore) folder(ctx context.Context, content repo.Content, sel *waypoint, parts []string, path string) error {
	dir, err := r.target.MkdirAll(parts)
	if err != nil {
		return r.folderFailed(path, err)
	}
	out := &outFolder{Dir: dir, path: path, parts: slices.Clone(parts)}
	out.users.Store(1)
	defer out.release()
	// Of a restore that was interrupted. One that stays costs room and no file.
	_, _ = dir.CleanTemps()
	r.round.folders++
	for e, err := range r.session.repo.Folder(ctx, content) {
		if err == nil {
			err = r.options.Gate.Wait(ctx)
		}
		if isLost(ctx, err) {
			r.fail(cmp.Or(path, "/"), ProblemUnreadable, "part of the folder's list is damaged or missing")
			return nil
		}
		if err != nil {
			return err
		}
		below, wanted := wants(sel, e.Name)
		if !wanted {
			continue
		}
		if err := r.entry(ctx, out, e, below); err != nil {
			return err
		}
	}
	return nil
}

// folderFailed notes a folder that could not be made. Trouble with the whole
// target ends the restore.
func (r *restore) folderFailed(path string, err error) error {
	if fatal(err) {
		return targetError(r.options.Target, err)
	}
	r.fail(path, ProblemUnreadable, target.Reason(err))
	return nil
}

// fatal reports whether err, of writing one file, would meet the others too.
func fatal(err error) bool {
	for _, kind := range []error{target.ErrFull, target.ErrReadOnly, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func isDamage(err error) bool {
	return errors.Is(err, repo.ErrDamaged) || errors.Is(err, repo.ErrMissing)
}

// isLost reports whether err, of reading from the place, costs only the files that need
// what was read: damage, but also a bad spot of the place's disk. Trouble with the place
// itself, with the target, and the end of ctx are more than that.
func isLost(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	if isDamage(err) {
		return true
	}
	var atTarget *PathError
	if errors.As(err, &atTarget) || fatal(err) {
		return false
	}
	for _, place := range []error{cloud.ErrOffline, cloud.ErrNoPlace, cloud.ErrAuth, cloud.ErrDenied, cloud.ErrLimit} {
		if errors.Is(err, place) {
			return false
		}
	}
	return true
}

func (r *restore) entry(ctx context.Context, out *outFolder, e repo.Entry, sel *waypoint) error {
	name, renamed := target.SafeName(e.Name, goos)
	path := out.path + "/" + e.Name
	if renamed {
		r.rename(path, out.at(name))
	}
	switch {
	case e.Type == repo.TypeFolder:
		return r.subfolder(ctx, out, e, sel, name, path)
	case e.Type == repo.TypeSymlink:
		outcome, err := out.Symlink(name, e.Link, metaOf(&e), r.policy)
		return r.done(&restoreFile{folder: out, entry: e, path: path}, false, outcome, err)
	case e.State == repo.StateUnreadable:
		r.fail(path, ProblemUnreadable, "could not be read when it was backed up: "+e.Reason)
		return nil
	}
	f := &restoreFile{folder: out, entry: e, name: name, path: path}
	out.users.Add(1) // until f is over
	return r.file(ctx, f)
}

// at returns the path of a name in the folder, from the target on.
func (f *outFolder) at(name string) string {
	return strings.Join(append(slices.Clone(f.parts), name), "/")
}

// subfolder gives attributes to a folder that this restore made, or one before it that
// was interrupted, and not to one that was there.
func (r *restore) subfolder(ctx context.Context, out *outFolder, e repo.Entry, sel *waypoint, name, path string) error {
	parts := append(slices.Clone(out.parts), name)
	_, err := out.Lstat(name)
	if r.made.is(path, errors.Is(err, source.ErrVanished)) || r.policy == target.Replace {
		r.folders = append(r.folders, doneFolder{parts, path, metaOf(&e)})
	}
	if e.State == repo.StateUnreadable {
		r.fail(path, ProblemUnreadable, "could not be read when it was backed up: "+e.Reason)
	}
	return r.folder(ctx, e.Content, sel, parts, path)
}

// finishFolders sets the attributes of folders, the deepest first: writing into
// one changes its time, and its final mode may forbid it.
func (r *restore) finishFolders(ctx context.Context) error {
	for _, f := range slices.Backward(r.folders) {
		if err := r.options.Gate.Wait(ctx); err != nil {
			return err
		}
		dir, err := r.target.MkdirAll(f.parts)
		if err != nil {
			continue // it was named when it could not be made
		}
		r.lost.add(f.path, dir.SetOwnMeta(f.meta))
		_ = dir.Close()
	}
	return nil
}

func notEmpty(path string) bool {
	entries, err := os.ReadDir(path)
	return err == nil && len(entries) > 0
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
