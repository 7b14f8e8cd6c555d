package app

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"coffer/app/repo"
	"coffer/app/target"
)

// A Conflict says what happens when the name of a restored file is taken.
type Conflict string

// The policies of a restore.
const (
	ConflictKeepBoth  Conflict = "keep-both" // the default
	ConflictKeepNewer Conflict = "keep-newer"
	ConflictReplace   Conflict = "replace"
	ConflictSkip      Conflict = "skip"
)

func (c Conflict) policy() target.Policy {
	switch c {
	case ConflictKeepNewer:
		return target.KeepNewer
	case ConflictReplace:
		return target.Replace
	case ConflictSkip:
		return target.Skip
	}
	return target.KeepBoth
}

// RestoreOptions say what to restore, and where.
type RestoreOptions struct {
	Snapshot string   // id, its first digits, or "latest"
	Paths    []string // in the snapshot; empty: everything
	Target   string   // folder; the full path of each file goes below it
	Conflict Conflict
	Verify   bool // read everything back from the disk
	Gate     *Gate
	Progress ProgressFunc
	Problem  func(Problem) // one at a time

	beforeVerify func(path string) // of tests
}

// A Rename is a file that got another name than it had.
type Rename struct{ From, To string }

// A RestorePlan is what a restore would do.
type RestorePlan struct {
	Files, Dirs        int64
	Bytes              int64
	Free               int64    // at the target
	Sample             string   // the full path of one file there
	Renames            []Rename // names that this system does not take; the first 1000
	Existing           int64    // files whose name is taken at the target
	TargetNotEmpty     bool
	TargetInsideSource bool
}

// PlanRestore looks through what would be restored and at the target. It writes
// nothing.
func (a *App) PlanRestore(ctx context.Context, o RestoreOptions) (RestorePlan, error) {
	r, err := a.newRestore(ctx, o)
	if err != nil {
		return RestorePlan{}, err
	}
	defer r.session.close()
	return r.plan(ctx)
}

// Restore writes files of a snapshot below the target. Each chunk is checked by its
// id before it is written. Files that could not be restored are in the receipt and no
// error. A restore that was interrupted is started again: what is there
// already is compared and left alone.
func (a *App) Restore(ctx context.Context, o RestoreOptions) (Receipt, error) {
	started := time.Now()
	r, err := a.newRestore(ctx, o)
	if err != nil {
		return Receipt{}, err
	}
	defer r.session.close()
	r.receipt = Receipt{Snapshot: r.snapshot.Name.String(), Target: o.Target, StartedAt: started}
	err = r.run(ctx)
	r.receipt.Seconds = time.Since(started).Seconds()
	a.recordRestore(r.session.store.entry.ID, started, r.receipt, err)
	return r.receipt, err
}

// newRestore opens the snapshot and refuses an impossible target.
func (a *App) newRestore(ctx context.Context, o RestoreOptions) (*restore, error) {
	if o.Target == "" {
		return nil, &PathError{o.Target, ErrTargetDenied}
	}
	path, err := filepath.Abs(o.Target)
	if err != nil {
		return nil, &PathError{o.Target, ErrTargetDenied}
	}
	o.Target = path
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return nil, &PathError{path, target.ErrNotFolder}
	}
	if err := a.outsidePlaces(path); err != nil {
		return nil, err
	}
	s, snapshot, err := a.openSnapshot(ctx, o.Snapshot)
	if err != nil {
		return nil, err
	}
	r := &restore{app: a, options: o, session: s, snapshot: snapshot, policy: o.Conflict.policy()}
	if r.selection, err = r.selected(ctx); err != nil {
		s.close()
		return nil, err
	}
	return r, nil
}

// outsidePlaces refuses a target inside a place: files there are not Coffer's, so other
// people's software, and the user who tidies up, would take them for what they are.
func (a *App) outsidePlaces(path string) error {
	p, err := a.profile()
	if err != nil {
		return err
	}
	for _, e := range p.Places {
		if e.Dir != "" && isInside(path, e.Dir) {
			return &PathError{path, ErrTargetInPlace}
		}
	}
	return nil
}

// insideSource reports whether what is restored would be backed up again.
func (r *restore) insideSource() bool {
	return slices.ContainsFunc(r.session.profile.Sources, func(s string) bool {
		return isInside(r.options.Target, s)
	})
}

// selected returns the wanted paths as waypoints; nil is everything.
func (r *restore) selected(ctx context.Context) (*waypoint, error) {
	if len(r.options.Paths) == 0 {
		return nil, nil
	}
	top := new(waypoint)
	for _, path := range r.options.Paths {
		parts := splitPath(filepath.ToSlash(path))
		if len(parts) == 0 {
			return nil, nil
		}
		if _, err := r.session.lookup(ctx, r.snapshot.Root, parts); err != nil {
			return nil, err
		}
		top.add(parts, cleanPath(path))
	}
	return top, nil
}

// wants reports whether an entry is selected, and the selection below it (nil:
// everything).
func wants(selection *waypoint, name string) (below *waypoint, wanted bool) {
	if selection == nil {
		return nil, true
	}
	below = selection.below[name]
	if below == nil {
		return nil, false
	}
	if below.path != "" {
		return nil, true
	}
	return below, true
}

// plan counts.
func (r *restore) plan(ctx context.Context) (RestorePlan, error) {
	p := RestorePlan{TargetInsideSource: r.insideSource()}
	var err error
	if p.Free, err = target.FreeSpace(r.options.Target); err != nil {
		return p, &PathError{r.options.Target, errors.Join(ErrTargetDenied, err)}
	}
	p.TargetNotEmpty = notEmpty(r.options.Target)
	err = r.each(ctx, p.count)
	return p, err
}

// A planned entry is one that would be restored.
type planned struct {
	*repo.Entry
	from, to string // its path in the backup, and at the target
	renamed  bool
	exists   bool // the folder at the target that it goes to
}

func (p *RestorePlan) count(e planned) {
	if e.renamed && len(p.Renames) < maxProblems {
		p.Renames = append(p.Renames, Rename{e.from, e.to})
	}
	if e.Type == repo.TypeFolder {
		p.Dirs++
		return
	}
	p.Files++
	p.Bytes += dataBytes(e.Entry)
	p.Sample = cmp.Or(p.Sample, e.to)
	if e.exists && isThere(e.to) {
		p.Existing++
	}
}

// dataBytes returns how many bytes of a file are in the backup.
func dataBytes(e *repo.Entry) int64 {
	if e.State == repo.StateUnreadable {
		return 0
	}
	return e.Size - e.HoleBytes()
}

// each calls fn for everything that is selected. Damaged parts are passed over: the
// restore itself names them.
func (r *restore) each(ctx context.Context, fn func(planned)) error {
	return r.eachIn(ctx, r.snapshot.Root, r.selection, "", r.options.Target, notEmpty(r.options.Target), fn)
}

func (r *restore) eachIn(ctx context.Context, content repo.Content, sel *waypoint, from, to string, exists bool, fn func(planned)) error {
	for e, err := range r.session.repo.Folder(ctx, content) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if isLost(ctx, err) {
			return nil
		}
		if err != nil {
			return err
		}
		below, wanted := wants(sel, e.Name)
		if !wanted {
			continue
		}
		name, renamed := target.SafeName(e.Name, goos)
		p := planned{&e, from + "/" + e.Name, filepath.Join(to, name), renamed, exists}
		fn(p)
		if e.Type != repo.TypeFolder {
			continue
		}
		if err := r.eachIn(ctx, e.Content, below, p.from, p.to, exists && isThere(p.to), fn); err != nil {
			return err
		}
	}
	return nil
}

// A Receipt is what a restore did.
type Receipt struct {
	Snapshot  string    `json:"snapshot"`
	Target    string    `json:"target"`
	Restored  int64     `json:"restored"` // files and links that are there now
	Verified  int64     `json:"verified"` // of them, files whose every byte was checked
	Bytes     int64     `json:"bytes"`
	Renamed   int64     `json:"renamed"`
	Skipped   int64     `json:"skipped"`
	Failed    int64     `json:"failed"` // files, links and folders that are missing or not whole
	Seconds   float64   `json:"seconds"`
	Identical int64     `json:"-"` // of the restored ones, those that were there already
	Problems  []Problem `json:"-"` // the first 1000
	Renames   []Rename  `json:"-"` // the first 1000
	Lost      []Problem `json:"-"` // attributes that this system could not take; many of one kind are one
	StartedAt time.Time `json:"-"`
}

// Text returns the receipt for people, in English.
func (r Receipt) Text() string {
	var b strings.Builder
	writeReceipt(&b, r)
	return b.String()
}

func (a *App) recordRestore(place string, started time.Time, receipt Receipt, err error) {
	unlock, lockErr := a.lockProfile()
	if lockErr != nil {
		return
	}
	defer unlock()
	failure := Explain(err)
	a.recordRun(Run{Kind: RunRestore, Place: place, Started: started, Seconds: receipt.Seconds, Code: failure.Code, Args: failure.Args})
}
