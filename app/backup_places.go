package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"coffer/app/repo"
	"coffer/app/source"
	"coffer/cloud"
)

// Backup makes one snapshot in each place of the profile, in turn, or in the one that the
// options name. Files that cannot be read are in the summary and no error. In each place
// the commit point is writer.Commit: before it nobody sees anything of this backup, and
// the next one goes on from what was stored.
//
// A place that cannot be reached is waiting: no failure, as long as another place took the
// backup. Trouble of another kind in one place (full, signed out) keeps no other from its
// backup, and is the error at the end.
func (a *App) Backup(ctx context.Context, o BackupOptions) (BackupSummary, error) {
	unlock, err := a.lockProfile()
	if err != nil {
		return BackupSummary{}, err
	}
	defer unlock()
	all := backups{app: a, options: o}
	if err := all.prepare(ctx); err != nil {
		if !errors.Is(err, ErrNotSetUp) {
			all.fails(err)
		}
		return BackupSummary{}, err
	}
	for _, e := range all.places {
		all.backup(ctx, e)
		if ctx.Err() != nil {
			break
		}
	}
	all.settleVaults(ctx)
	return all.result()
}

// backups is one call of Backup: a run for each place.
type backups struct {
	app     *App
	options BackupOptions
	profile Profile
	places  []placeEntry
	sources []string
	rules   source.Rules

	done  []PlaceSummary
	best  *BackupSummary // of the first place that took the backup
	first *BackupSummary // of the first place

	vaultDown bool       // it did not answer; not asked again in this run
	head      *repo.Head // the newest true one of the places that took the backup
	errs      []error    // as many as done; nil where it was taken
}

// prepare finds out what no place has to be asked for.
func (all *backups) prepare(ctx context.Context) (err error) {
	if all.profile, err = all.app.profile(); err != nil {
		return err
	}
	if all.places, err = all.profile.placesFor(all.options.Place); err != nil {
		return err
	}
	root, err := all.app.rootKey(ctx)
	if err != nil {
		return err
	}
	root.Wipe() // it is there; each session derives its own
	all.sources, all.rules, err = all.options.whatToRead(all.profile)
	return err
}

// fails records a backup that did not come as far as a place.
func (all *backups) fails(err error) {
	started := time.Now()
	for _, e := range all.places {
		b := &backup{app: all.app, place: e, started: started}
		all.app.recordRun(b.record(err))
	}
}

// backup makes the backup in one place.
func (all *backups) backup(ctx context.Context, e placeEntry) {
	started := time.Now()
	b := &backup{app: all.app, place: e, options: all.options, sources: all.sources, rules: all.rules, started: started, vaultDown: &all.vaultDown}
	if b.options.hooks.now != nil {
		b.started = b.options.hooks.now()
	}
	if tell := b.options.Progress; tell != nil {
		b.options.Progress = func(p Progress) { p.Place = e.Dest; tell(p) }
	}
	if all.best != nil {
		b.options.Problem = nil // the same files, which were named already
	}
	err := all.app.mayUse(ctx, all.profile, e, all.options)
	if err == nil {
		err = b.run(ctx)
	}
	b.summary.Place, b.summary.Seconds = e.Dest, time.Since(started).Seconds()
	if b.head != nil && (all.head == nil || b.head.Generation > all.head.Generation) {
		all.head = b.head
	}
	run := b.record(err)
	all.app.recordRun(run)
	b.forecast()
	all.note(e, &b.summary, err)
}

// settleVaults has records destroyed that this backup has left behind, now that the places
// have shown what is in use.
func (all *backups) settleVaults(ctx context.Context) {
	if all.head == nil || ctx.Err() != nil {
		return
	}
	root, err := all.app.rootKey(ctx)
	if err != nil {
		return // a backup has just used it: asked for, or locked meanwhile
	}
	defer root.Wipe()
	all.app.settleVaults(ctx, root, all.head)
}

// note adds what came of one place.
func (all *backups) note(e placeEntry, s *BackupSummary, err error) {
	state := PlaceSafe
	switch {
	case err == nil:
	case isWaiting(err):
		state = PlaceWaiting
	default:
		state = PlaceTrouble
	}
	all.done = append(all.done, PlaceSummary{
		ID: e.ID, Place: e.Dest, State: state, Code: Explain(err).Code, Snapshot: s.Snapshot,
		StoredBytes: s.StoredBytes, Seconds: s.Seconds, Free: s.Free, EnoughUntil: s.EnoughUntil,
	})
	all.errs = append(all.errs, err)
	if all.first == nil {
		all.first = s
	}
	if all.best == nil && s.Snapshot != "" {
		all.best = s
	}
}

// isWaiting reports that nobody failed: the place is not there now, takes nothing more
// today, or needs a network that is paid by the byte.
func isWaiting(err error) bool {
	if errors.Is(err, ErrRollback) {
		return false // an alarm, whatever else is the case
	}
	return errors.Is(err, cloud.ErrOffline) || errors.Is(err, cloud.ErrLimit) || errors.Is(err, ErrMetered)
}

// result is the summary of the first place that took the backup, and the error that the
// user has to know of: an alarm or trouble anywhere, or that all places wait.
func (all *backups) result() (BackupSummary, error) {
	summary := *all.first
	if all.best != nil {
		summary = *all.best
	}
	if len(all.profile.Places) > 1 {
		summary.Places = all.done
	}
	summary.Vault = all.app.vaultNews(all.profile, time.Now())
	trouble := slices.IndexFunc(all.errs, func(err error) bool { return err != nil && !isWaiting(err) })
	switch {
	case trouble >= 0:
		return summary, all.errs[trouble]
	case all.best == nil:
		return summary, all.errs[0]
	}
	return summary, nil
}

// mayUse holds back what would cost money unasked.
func (a *App) mayUse(ctx context.Context, p Profile, e placeEntry, o BackupOptions) error {
	if o.Anyway || p.Metered == MeteredGoOn || e.Kind == "folder" {
		return nil
	}
	if metered, known := a.cfg.Places.Metered(ctx); known && metered {
		return atPlace(e.Dest, ErrMetered)
	}
	return nil
}

// look asks the place for its free space, at the end of a backup.
func (b *backup) look(ctx context.Context) {
	if room, err := b.session.store.Capacity(ctx); err == nil && room.Free > 0 {
		b.summary.Free, b.total = room.Free, max(0, room.Total)
	}
	where, err := b.session.store.Confirm(ctx, "snap-"+b.summary.Snapshot)
	if err == nil && where != cloud.WhereThere {
		b.summary.Whereabouts = string(where)
	}
}

// forecast says how long the free space will do.
func (b *backup) forecast() {
	runs, err := b.app.readRuns()
	if err != nil || b.summary.Free <= 0 {
		return
	}
	now := time.Now()
	b.summary.EnoughUntil = dateText(enoughUntil(now, b.summary.Free, growth(runsAt(runs, b.place.ID, false), now)))
}

const (
	tidiedFile = "tidied" // its time is when the place was tidied last
	tidyEvery  = day
)

// tidy lets the place tidy up after interrupted uploads and the like, once a day. The
// backup is done: trouble here is for the log.
func (b *backup) tidy(ctx context.Context) {
	path := filepath.Join(b.app.placeDir(b.place.ID), tidiedFile)
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) < tidyEvery {
		return
	}
	count, err := b.session.store.Maintain(ctx)
	if err == nil {
		err = os.WriteFile(path, nil, 0o600)
	}
	if err != nil {
		b.app.cfg.Log.WarnContext(ctx, "could not tidy the place", "err", err)
		return
	}
	b.app.cfg.Log.DebugContext(ctx, "tidied the place", "count", count)
}
