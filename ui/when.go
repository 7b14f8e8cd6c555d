package ui

import (
	"context"
	"time"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// whenShown is how many days the screen offers at first; older ones open with a button.
const whenShown = 14

// whenPage asks from when. For one file that was chosen, these are its versions.
func (d *desk) whenPage(sc *scope, r rail, coffer browser, state *restoreState, back, next func()) *page {
	holder := stack(gap2)
	status, spinner := newHint(), newBusy()
	var w *wizardPage
	choose := func(id string) {
		state.snapshot = id
		if w != nil {
			w.allow(true)
		}
	}
	show := func(list []answer) {
		holder.RemoveAll()
		group := newAnswers(state.snapshot, choose, list[:min(len(list), whenShown)]...)
		group.accept = w.accept
		holder.Add(group.box)
		if len(list) > whenShown {
			holder.Add(row(0, quiet(sayN("when.more", int64(len(list)-whenShown)), "plus", func() {
				holder.Objects = []fyne.CanvasObject{newAnswers(state.snapshot, choose, list...).box}
				escapable(holder, back)
				holder.Refresh()
			})))
		}
		escapable(holder, back)
		holder.Refresh()
	}
	w = d.ask(sc, r, question{
		name:  "restore/when",
		title: say("when.title"),
		lead:  say("when.lead"),
		body:  []fyne.CanvasObject{spinner.box, status.box, holder},
		next:  say("button.next"), onNext: next, back: back,
	})
	w.allow(false)
	spinner.start(say("browse.loading"))
	run(sc, func(ctx context.Context) (moments, error) { return loadMoments(ctx, coffer, state) }, func(m moments, err error) {
		spinner.stop()
		state.snapshots = m.snapshots
		list := d.momentAnswers(m)
		switch {
		case err != nil:
			d.problem(status, err)
		case len(list) == 0:
			status.set(toneCareful, say("when.none"))
		default:
			if _, there := state.chosen(); !there {
				state.snapshot = ""
			}
			show(list)
			w.allow(true)
			d.log.Debug("moments shown", "count", len(list))
		}
	})
	return &w.page
}

// moments is what can be chosen on the screen: backups, or the versions of one file.
type moments struct {
	snapshots []app.SnapshotInfo
	versions  []app.Version // newest first; for one file only
}

func loadMoments(ctx context.Context, coffer browser, state *restoreState) (moments, error) {
	list, err := coffer.Snapshots(ctx)
	if err != nil {
		return moments{}, err
	}
	m := moments{snapshots: newestFirst(list)}
	if !state.some || len(state.paths) != 1 {
		return m, nil
	}
	versions, err := coffer.Versions(ctx, state.paths[0])
	if err != nil {
		return m, err
	}
	for i := len(versions) - 1; i >= 0; i-- {
		m.versions = append(m.versions, versions[i])
	}
	return m, nil
}

// momentAnswers offers the newest first, then one for each day, the last of it.
func (d *desk) momentAnswers(m moments) []answer {
	var list []answer
	if len(m.versions) > 0 {
		for i, v := range m.versions {
			id := v.Snapshot.ID
			if i == 0 {
				id = ""
			}
			list = append(list, answer{
				id: id, title: sentenceCase(moment(v.Snapshot.Time, d.now())),
				body: say("when.version", "size", size(v.Entry.Size), "when", moment(v.Entry.ModTime, d.now())),
			})
		}
		return list
	}
	var last time.Time
	for i, s := range m.snapshots {
		if i > 0 && sameDay(s.Time, last, d.now().Location()) {
			continue
		}
		last = s.Time
		a := answer{id: s.ID, title: sentenceCase(moment(s.Time, d.now())), body: sayN("when.files", s.Files, "size", size(s.Bytes), "computer", orUnknown(s.Computer))}
		if i == 0 {
			a.id, a.title = "", say("when.latest", "when", moment(s.Time, d.now()))
		}
		list = append(list, a)
	}
	return list
}
