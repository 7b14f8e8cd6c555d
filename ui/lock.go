package ui

import (
	"fyne.io/fyne/v2"

	"coffer/app"
)

// lockActions leads from the lock to the screens about vaults.
type lockActions struct {
	other, about func() // another vault; who the chosen one is
}

// lockPage asks how to get back in.
func (d *desk) lockPage(sc *scope, r rail, state *setupState, back, next func(), act lockActions) *page {
	if state.lock == "" {
		state.lock = app.LockPassword
	}
	meaning := newNotice(tonePlain, "", "", nil)
	vault := stack(gap2)
	change := func(id string) {
		if app.LockKind(id) != state.lock {
			state.secret, state.proven = "", false
		}
		state.lock = app.LockKind(id)
		setVisible(vault, state.lock == app.LockPassword)
		setVisible(meaning.box, state.lock != app.LockPassword)
		if state.lock != app.LockPassword {
			meaning.set(tonePlain, say("lock.meaning."+id+".title"), say("lock.meaning."+id+".body"))
		}
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
		body:  []fyne.CanvasObject{holder, row(0, more), meaning.box, vault},
		next:  say("button.next"), onNext: next, back: back, focus: group.tiles[0],
	})
	group.accept, accept = w.accept, w.accept
	d.fillLockVault(vault, state, act)
	escapable(vault, back)
	if state.lock == app.LockPassphrase {
		open()
	}
	change(string(state.lock))
	return &w.page
}

// fillLockVault says in one line which vault would keep the password, with the details and
// the other vaults behind it.
func (d *desk) fillLockVault(box *fyne.Container, state *setupState, act lockActions) {
	g := state.vault.guard(d.computer)
	body := say("lock.vault.here")
	buttons := []fyne.CanvasObject{quiet(say("lock.vault.other"), "safe", act.other)}
	if state.vault.remote() {
		body = g.meaning()
		here := func() {
			state.vault = vaultChoice{}
			d.fillLockVault(box, state, act)
			if b, ok := firstFocusable(box).(*button); ok {
				d.window.Canvas().Focus(b)
			}
		}
		buttons = append([]fyne.CanvasObject{quiet(say("lock.vault.about"), "info", act.about)}, append(buttons,
			quiet(say("lock.vault.back"), "computer", here))...)
	}
	box.Objects = []fyne.CanvasObject{newNotice(tonePlain, g.line(), body, nil).box, wrapRow(gap2, buttons...)}
	box.Refresh()
}
