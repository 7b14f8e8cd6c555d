package ui

import (
	"context"
	"runtime"
	"slices"
	"time"

	"coffer/app"
)

// restoreState is what the restore wizard has learnt so far. It has no fyne in it.
type restoreState struct {
	place     app.PlaceInfo
	backup    app.BackupInfo     // of the place, the one that was chosen
	snapshots []app.SnapshotInfo // newest first
	snapshot  string             // "" for the newest
	some      bool               // some files, and not everything
	paths     []string           // the files and folders, when some
	to        string             // toFolder, toBeside, toOriginal
	target    string
	conflict  app.Conflict
	plan      app.RestorePlan
	receipt   app.Receipt
}

// Where restored files go.
const (
	toFolder   = "folder"   // a folder of its own
	toBeside   = "beside"   // next to the originals, keeping both
	toOriginal = "original" // back to where they were
)

// canGoBack reports whether files can be put back to where they were. A restore writes the
// full path below its target, so the target is the root of the file system; Windows has
// one for each drive.
func canGoBack() bool { return runtime.GOOS != "windows" }

// options is what the wizard has gathered, for package app.
func (s *restoreState) options() app.RestoreOptions {
	o := app.RestoreOptions{Snapshot: s.snapshot, Target: s.target, Conflict: s.conflict, Verify: true}
	if o.Snapshot == "" {
		o.Snapshot = "latest"
	}
	if s.some {
		o.Paths = s.paths
	}
	switch s.to {
	case toBeside:
		o.Target, o.Conflict = "/", app.ConflictKeepBoth
	case toOriginal:
		o.Target = "/"
	}
	return o
}

// chosen returns the snapshot that will be restored.
func (s *restoreState) chosen() (app.SnapshotInfo, bool) {
	for _, snap := range s.snapshots {
		if s.snapshot == "" || snap.ID == s.snapshot {
			return snap, true
		}
	}
	return app.SnapshotInfo{}, false
}

// opener is the part of Coffer that opens a backup that exists.
type opener interface {
	WaysIn(ctx context.Context, dest, repository string) ([]app.WayIn, error)
	Open(ctx context.Context, o app.OpenOptions) (app.OpenResult, error)
	Unlock(ctx context.Context, o app.UnlockOptions) error
}

// restorer is the part of Coffer that writes files back.
type restorer interface {
	PlanRestore(ctx context.Context, o app.RestoreOptions) (app.RestorePlan, error)
	Restore(ctx context.Context, o app.RestoreOptions) (app.Receipt, error)
}

type restoreCoffer interface {
	connector
	opener
	browser
	restorer
}

// restore leads through getting files back, one question a screen. With a profile it
// begins at What; on a new computer, or for another backup, at the place.
type restore struct {
	*desk
	coffer  restoreCoffer
	state   restoreState
	from    int // the step that it began with: restoreWhere, or restoreWhat with a profile
	sources []string
	place   *connecting
	show    func(*page)
	leave   func() // to where the wizard was opened from
	joined  func() // the profile is set up now
	home    func()
}

// The steps of the wizard, in order.
const (
	restoreWhere = iota
	restoreWhich
	restoreOpen
	restoreWhat
	restoreWhen
	restoreTarget
	restoreBefore
	restoreRunning
	restoreDone
)

var restoreSteps = [...]string{"where", "which", "open", "what", "when", "target", "before", "running", "done"}

func (r *restore) rail(at int) rail {
	line := rail{at: at - r.from}
	for _, s := range restoreSteps[r.from:] {
		line.steps = append(line.steps, say("restore.step."+s))
	}
	return line
}

// goTo shows a step. Each step can be shown with whatever is known so far.
func (r *restore) goTo(step int) {
	sc := r.tasks.scope()
	line := r.rail(step)
	back := func() { r.goTo(step - 1) }
	if step == r.from || step == restoreWhat { // once joined, opening it again means nothing
		back = r.leave
	}
	next := func() { r.goTo(step + 1) }
	switch step {
	case restoreWhere:
		r.connecting(back).begin()
	case restoreWhich:
		r.show(r.whichPage(sc, line, &r.state, back, next))
	case restoreOpen:
		r.show(r.openPage(sc, line, r.unlocking(sc, back)))
	case restoreWhat:
		r.show(r.whatPage(sc, line, r.coffer, &r.state, back, next))
	case restoreWhen:
		r.show(r.whenPage(sc, line, r.coffer, &r.state, back, next))
	case restoreTarget:
		r.show(r.targetPage(sc, line, &r.state, back, next))
	case restoreBefore:
		r.show(r.beforePage(sc, line, r.coffer, &r.state, back, next))
	case restoreRunning:
		r.show(r.runningPage(sc, line, r.coffer, &r.state, func() { r.goTo(restoreBefore) }, next))
	case restoreDone:
		r.show(r.donePage(sc, line, &r.state, r.home))
	}
}

// connecting leads to the place that the backup is in.
func (r *restore) connecting(back func()) *connecting {
	if r.place == nil {
		r.place = &connecting{
			desk: r.desk, coffer: r.coffer, purpose: toFind, at: "restore", rail: r.rail(restoreWhere), show: r.show,
			leave: back,
			done: func(info app.PlaceInfo) {
				r.state.place, r.state.backup = info, app.BackupInfo{}
				r.goTo(restoreWhich)
			},
		}
	}
	return r.place
}

// unlocking is the step that opens the chosen backup and joins it on this computer.
func (r *restore) unlocking(sc *scope, back func()) unlocking {
	open := func(old bool) func(context.Context, app.LockKind, app.Secret, app.RootKey) error {
		return func(ctx context.Context, lock app.LockKind, secret app.Secret, key app.RootKey) error {
			_, err := r.coffer.Open(ctx, app.OpenOptions{
				From: r.state.place.Dest, Repository: r.state.backup.Repository,
				Lock: lock, Secret: secret, Key: key, Sources: r.sources, Old: old,
			})
			return err
		}
	}
	return unlocking{
		name: "restore/open", coffer: r.coffer, back: back,
		dest: r.state.place.Dest, repository: r.state.backup.Repository, ways: r.state.backup.Ways,
		open: open(false), openOld: open(true), done: r.joined,
	}
}

// newestFirst sorts snapshots for people.
func newestFirst(list []app.SnapshotInfo) []app.SnapshotInfo {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b app.SnapshotInfo) int { return b.Time.Compare(a.Time) })
	return list
}

// sameDay reports whether two moments are on one day for the user.
func sameDay(a, b time.Time, in *time.Location) bool {
	y1, m1, d1 := a.In(in).Date()
	y2, m2, d2 := b.In(in).Date()
	return y1 == y2 && m1 == m2 && d1 == d2
}
