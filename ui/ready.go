package ui

import (
	"context"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"coffer/app"
)

// How fast a first backup goes, in bytes a second: to a slow and to a fast disk. Used only
// until it runs and can be measured.
const (
	slowDisk = 25e6
	fastDisk = 120e6
)

// readyPage sums up, and starts. Nothing was written to the place before.
func (d *desk) readyPage(sc *scope, r rail, coffer setUp, state *setupState, back, done func()) *page {
	var w *wizardPage
	files, bytes, counted := state.total()
	what := sayN("ready.what", files, "size", size(bytes))
	if !counted {
		what = say("ready.what-counting")
	}
	browser := d.newVaultSignIn(sc, state.vault.told.Issuer)
	start := func() {
		w.work(say("ready.working"))
		opts := state.options()
		opts.Browser = browser.ask
		browser.stop = run(sc, func(ctx context.Context) (app.SetupResult, error) { return coffer.Setup(ctx, opts) },
			func(result app.SetupResult, err error) {
				browser.end()
				w.rest()
				if err != nil {
					d.setupFailed(w, err, state.vault)
					return
				}
				result.Key.Wipe()
				done()
			})
	}
	facts := stack(gap4,
		fact("what", say("ready.keep"), what),
		fact("where", say("ready.place"), d.placeName(state.place.Dest)),
		fact("clock", say("ready.when"), say("ready.schedule")+" "+firstTime(bytes, counted)),
	)
	if state.lock == app.LockPassword {
		facts.Add(fact("safe", say("ready.vault"), readyVault(state.vault, d.computer)))
	}
	w = d.ask(sc, r, question{
		name:  "setup/ready",
		title: say("ready.title"),
		lead:  say("ready.lead"),
		body: []fyne.CanvasObject{
			browser.box, card(facts),
			card(whoCanOpen(state.ways(), state.proven)),
		},
		next: say("ready.start"), onNext: start, back: back,
	})
	return &w.page
}

// setupFailed says why nothing was set up: an alarm of the vault takes the page.
func (d *desk) setupFailed(w *wizardPage, err error, vault vaultChoice) {
	f := d.explain(err)
	switch {
	case f.Code == app.CodeCanceled:
		w.hint.clear()
	case vault.remote() && vaultAlarm(f.Code):
		w.alarm(f, firstMeeting, vault.told.Address, bareFingerprint(vault.told.Fingerprint))
	case vault.remote():
		w.hint.set(toneBad, d.newVaultSentence(f, vault.told.Address))
	default:
		w.hint.set(toneBad, d.sentence(f))
	}
}

// readyVault says who will keep the password, and that a browser will open.
func readyVault(choice vaultChoice, computer string) string {
	text := choice.guard(computer).line()
	if choice.signsIn() {
		text += " " + say("vaultsignin.soon", "issuer", choice.told.Issuer)
	}
	return text
}

// options is what the first run has gathered, for package app.
func (s *setupState) options() app.SetupOptions {
	o := app.SetupOptions{
		To: s.place.Dest, Create: true, Sources: s.chosen(), Exclude: app.DefaultPatterns(),
		Lock: s.lock, Key: s.key, SheetProven: s.proven,
	}
	if s.lock != app.LockKey {
		o.Secret = secretOf(s.secret)
	}
	if s.lock == app.LockPassword {
		o.Vault = s.vault.link
	}
	return o
}

// ways returns the ways in that the backup will have.
func (s *setupState) ways() []app.WayIn {
	ways := []app.WayIn{{Kind: app.LockKey}}
	if s.lock != app.LockKey {
		ways = append([]app.WayIn{{Kind: s.lock}}, ways...)
	}
	return ways
}

func firstTime(bytes int64, counted bool) string {
	if !counted || bytes == 0 {
		return ""
	}
	fast := time.Duration(float64(bytes) / fastDisk * float64(time.Second))
	slow := time.Duration(float64(bytes) / slowDisk * float64(time.Second))
	if slow < time.Minute {
		return say("ready.time-short")
	}
	return say("ready.time", "from", span(fast), "to", span(slow))
}

// fact is a line of a summary: an icon, what it is, and how it is.
func fact(iconName, name, value string) fyne.CanvasObject {
	return rowTop(gap3, 1, icon(iconName, theme.ColorNamePrimary), stack(gap1,
		newWords(name, wordStyle{size: sizeSmall, color: colorMuted, bold: true}), plain(value)))
}

// whoCanOpen lists who can open the backup, and ends with nobody else.
func whoCanOpen(ways []app.WayIn, proven bool) fyne.CanvasObject {
	rows := []fyne.CanvasObject{heading(say("who.title")), who("computer", say("who.computer"), "")}
	for _, way := range ways {
		switch way.Kind {
		case app.LockPassword:
			rows = append(rows, who("lock", say("who.password"), ""))
		case app.LockPassphrase:
			rows = append(rows, who("words", say("who.passphrase"), ""))
		}
	}
	state := say("who.sheet.unproven")
	if proven {
		state = ""
	}
	rows = append(rows, who("sheet", say("who.sheet"), state), strong(say("who.nobody")))
	return stack(gap3, rows...)
}

func who(iconName, name, remark string) fyne.CanvasObject {
	parts := []fyne.CanvasObject{icon(iconName, colorMuted), plain(name)}
	if remark != "" {
		parts = append(parts, newWords(remark, wordStyle{whole: true, size: sizeSmall, color: theme.ColorNameWarning}))
	}
	return rowFill(gap3, 1, parts...)
}
