package ui

import "fyne.io/fyne/v2"

// promisePage says what Coffer does for people, and what nobody can do for them. The hard
// fact stands alone.
func (d *desk) promisePage(sc *scope, r rail, back, next func()) *page {
	fact := func(iconName, head, body string) fyne.CanvasObject {
		return rowTop(gap4, 1, bigIcon(iconName, tonePlain, 44), stack(gap1, heading(head), muted(body)))
	}
	w := d.ask(sc, r, question{
		name:  "setup/promise",
		title: say("promise.title"),
		lead:  say("promise.lead"),
		body: []fyne.CanvasObject{
			picture("alone", 220, 140),
			fact("lock", say("promise.sealed.title"), say("promise.sealed.body")),
			newNotice(toneCareful, say("promise.reset.title"), say("promise.reset.body"), nil).box,
		},
		next:   say("promise.next"),
		onNext: next,
		back:   back,
	})
	return &w.page
}
