package ui

import (
	"fyne.io/fyne/v2"

	"coffer/app"
)

// findPage asks where the backup is.
func (d *desk) findPage(sc *scope, r rail, coffer placeInspector, state *restoreState, back, next func()) *page {
	hint := newHint()
	var w *wizardPage
	chooser := d.newPlaceChooser(sc, coffer, say("find.pick"), func(info app.PlaceInfo, err error) {
		state.place, state.backup = info, app.BackupInfo{}
		switch {
		case err != nil:
			d.problem(hint, err)
		case info.Dest == "":
			hint.clear()
		case len(info.Backups) == 0:
			hint.set(toneCareful, say("find.none"))
		default:
			hint.set(toneGood, sayN("find.found", int64(len(info.Backups))))
		}
		if w != nil {
			w.allow(len(info.Backups) > 0)
		}
	})
	w = d.ask(sc, r, question{
		name:  "restore/where",
		title: say("find.title"),
		lead:  say("find.lead"),
		body: []fyne.CanvasObject{
			card(stack(gap3, strong(say("where.folder")), chooser.field.box, chooser.busy.box, hint.box)),
			newNotice(tonePlain, say("find.sheet.title"), say("find.sheet.body"), nil).box,
		},
		next: say("button.next"), onNext: next, back: back, focus: chooser.field.entry,
		drop: func(path string) { chooser.field.set(path) },
	})
	w.allow(false)
	if state.place.Dest != "" {
		chooser.asked = state.place.Dest
		chooser.field.set(state.place.Dest)
		chooser.found(state.place, nil)
	}
	chooser.field.entry.OnSubmitted = func(s string) {
		if !w.next.Disabled() {
			next()
			return
		}
		chooser.inspect(d.expand(s))
	}
	return &w.page
}

// whichPage asks which of the backups in a place.
func (d *desk) whichPage(sc *scope, r rail, state *restoreState, back, next func()) *page {
	var w *wizardPage
	list := make([]answer, len(state.place.Backups))
	for i, b := range state.place.Backups {
		list[i] = answer{id: b.Repository, icon: "computer", title: orUnknown(b.Computer), body: d.backupText(b)}
	}
	choose := func(id string) {
		for _, b := range state.place.Backups {
			if b.Repository == id {
				state.backup = b
			}
		}
		if w != nil {
			w.allow(true)
		}
	}
	if state.backup.Repository == "" && len(list) > 0 {
		choose(list[0].id)
	}
	group := newAnswers(state.backup.Repository, choose, list...)
	q := question{
		name:  "restore/which",
		title: sayN("which.title", int64(len(list))),
		lead:  say("which.lead", "place", d.short(state.place.Dest)),
		body:  []fyne.CanvasObject{group.box},
		next:  say("button.next"), onNext: next, back: back,
	}
	w = d.ask(sc, r, q)
	group.accept = w.accept
	if len(group.tiles) > 0 {
		w.focus = group.tiles[0]
	}
	w.allow(state.backup.Repository != "")
	return &w.page
}

// backupText is what can be seen of a backup without its key.
func (d *desk) backupText(b app.BackupInfo) string {
	loc := d.now().Location()
	text := size(b.Bytes)
	if !b.MadeAt.IsZero() {
		text += " · " + say("which.made", "date", day(b.MadeAt.In(loc)))
	}
	if b.OS != "" {
		text += " · " + osName(b.OS)
	}
	if !b.Newest.IsZero() {
		text += " · " + say("which.newest", "when", moment(b.Newest, d.now()))
	}
	for _, way := range b.Ways {
		if way.Kind == app.LockKey {
			continue
		}
		text += "\n" + say("which.way", "lock", lockName(way.Kind), "date", day(way.SetAt.In(loc)))
	}
	return text + "\n" + say("which.sheet")
}

// osName is how people call a system.
func osName(goos string) string {
	switch goos {
	case "darwin":
		return "macOS"
	case "linux":
		return "Linux"
	case "windows":
		return "Windows"
	}
	return goos
}
