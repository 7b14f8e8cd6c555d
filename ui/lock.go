package ui

import (
	"fyne.io/fyne/v2"

	"coffer/app"
)

// lockPage asks how to get back in.
func (d *desk) lockPage(sc *scope, r rail, state *setupState, back, next func()) *page {
	if state.lock == "" {
		state.lock = app.LockPassword
	}
	meaning := newNotice(tonePlain, "", "", nil)
	change := func(id string) {
		if app.LockKind(id) != state.lock {
			state.secret, state.proven = "", false
		}
		state.lock = app.LockKind(id)
		meaning.set(tonePlain, say("lock.meaning."+id+".title", "computer", orUnknown(d.computer)), say("lock.meaning."+id+".body"))
	}
	choices := []answer{
		{string(app.LockPassword), "lock", say("lock.password.title"), say("lock.password.body")},
		{string(app.LockKey), "digits", say("lock.key.title"), say("lock.key.body")},
	}
	passphrase := answer{string(app.LockPassphrase), "words", say("lock.passphrase.title"), say("lock.passphrase.body")}
	group := newAnswers(string(state.lock), change, choices...)
	holder := stack(gap2, group.box)
	more := quiet(say("lock.more"), "plus", nil)
	var accept func()
	open := func() {
		full := newAnswers(string(state.lock), change, append(choices, passphrase)...)
		full.accept = accept
		holder.Objects = []fyne.CanvasObject{full.box}
		more.Hide()
		escapable(full.box, back)
		holder.Refresh()
	}
	more.OnTapped = open
	w := d.ask(sc, r, question{
		name:  "setup/lock",
		title: say("lock.title"),
		lead:  say("lock.lead"),
		body:  []fyne.CanvasObject{holder, row(0, more), meaning.box},
		next:  say("button.next"), onNext: next, back: back, focus: group.tiles[0],
	})
	group.accept, accept = w.accept, w.accept
	if state.lock == app.LockPassphrase {
		open()
	}
	change(string(state.lock))
	return &w.page
}
