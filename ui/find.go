package ui

import (
	"fyne.io/fyne/v2"

	"coffer/app"
)

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
		lead:  say("which.lead", "place", d.placeName(state.place.Dest)),
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
