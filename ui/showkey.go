package ui

import (
	"strings"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// showKeyPage shows a new key, to be written down, copied, or saved as a sheet next.
func (d *desk) showKeyPage(sc *scope, r rail, key app.RootKey, back, next func()) *page {
	copied := newHint()
	copyButton := push(say("showkey.copy"), "copy", func() {
		lines := keyLines(key)
		d.copySecret(strings.Join(lines[:], "\n"))
		copied.set(toneGood, say("showkey.copied"))
	})
	w := d.ask(sc, r, question{
		name:  "setup/key",
		title: say("showkey.title"),
		lead:  say("showkey.lead"),
		body: []fyne.CanvasObject{
			digitsCard(app.RecoveryLinesOf(key)),
			small(say("showkey.check")),
			stack(gap2, row(gap3, copyButton), copied.box),
			newNotice(toneCareful, say("secret.reset.title"), say("showkey.reset"), nil).box,
		},
		next: say("button.next"), onNext: next, back: back,
	})
	return &w.page
}
