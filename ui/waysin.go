package ui

import (
	"context"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// keyKeeper is the part of Coffer that holds the ways into the profile's backup.
type keyKeeper interface {
	overviewer
	sheetWriter
	sheetReader
	RecoveryLines(ctx context.Context) ([8]app.RecoveryLine, error)
	VerifyRecovery(ctx context.Context, text []byte) error
	MarkSheetProven() error
	SheetProven() bool
	PracticePassword(ctx context.Context, password app.Secret) (bool, error)
	vaultKeeper
}

// waysActions leads from Key & recovery to its tasks.
type waysActions struct {
	change, practice, prove, sheet, show, check func()
	vault                                       vaultActions
}

// waysPage is the screen Key & recovery: who can open the backup, and what can be done
// about it. What this computer knows is there at once; the vault is asked meanwhile.
func (d *desk) waysPage(coffer keyKeeper, act waysActions) *page {
	sc := d.tasks.scope()
	who, status := stack(gap3), newHint()
	change := push(say("ways.change"), "lock", act.change)
	practice := push(say("ways.practice"), "ok", act.practice)
	tasks := buttonRow(change, practice,
		push(say("ways.prove"), "check", act.prove), push(say("ways.sheet"), "save", act.sheet),
		push(say("ways.check"), "sheet", act.check), push(say("ways.show"), "digits", act.show))
	vault := d.newVaultCard(coffer, sc, act.vault)
	run(sc, func(ctx context.Context) (ways, error) { return loadWays(ctx, coffer) }, func(w ways, err error) {
		if err != nil {
			d.problem(status, err)
			return
		}
		who.Add(whoCanOpen(w.overview.WaysIn, w.proven))
		if kept := say("ways.kept." + keptName(w.overview.KeptIn)); kept != "" {
			who.Add(small(kept))
		}
		who.Refresh()
		if _, there := passwordOf(w.overview.WaysIn); !there {
			practice.Hide()
			change.SetText(say("ways.first-password"))
		}
		vault.load()
	})
	content := stack(gap6,
		stack(gap2, title(say("ways.title")), muted(say("ways.lead"))),
		status.box, card(who), tasks, vault.box,
	)
	return &page{name: "key", object: scrolling(pad(gap8, gap6, column(760, content))), focus: change, scope: sc}
}

type ways struct {
	overview app.Overview
	proven   bool
}

func loadWays(ctx context.Context, coffer keyKeeper) (w ways, err error) {
	if w.overview, err = coffer.Overview(ctx); err != nil {
		return w, err
	}
	w.proven = coffer.SheetProven()
	return w, nil
}

// passwordOf is the password among ways in.
func passwordOf(list []app.WayIn) (way app.WayIn, there bool) {
	for _, w := range list {
		if w.Kind == app.LockPassword {
			return w, true
		}
	}
	return app.WayIn{}, false
}

func keptName(k app.KeepKey) string {
	if k == app.KeepAuto {
		return "unknown"
	}
	return string(k)
}

// asked is a screen with one task: a title, what to do, and back to Key & recovery.
type asked struct {
	name, title, lead string
	body              []fyne.CanvasObject
	button            string
	do                func()
	focus             fyne.Focusable
	drop              func(string)
}

// taskPage builds such a screen: like a question, with nothing at the left.
func (d *desk) taskPage(sc *scope, a asked, back func()) *wizardPage {
	return d.ask(sc, rail{}, question{
		name: a.name, title: a.title, lead: a.lead, body: a.body,
		next: a.button, onNext: a.do, back: back, focus: a.focus, drop: a.drop,
	})
}

// practicePage tries the password against what this computer knows. It spends no try.
func (d *desk) practicePage(coffer keyKeeper, back, forgot func()) *page {
	sc := d.tasks.scope()
	var w *wizardPage
	result := newHint()
	secret := newSecretField(say("secret.password"))
	try := func() {
		if secret.Text == "" || w.next.Disabled() {
			return
		}
		typed := secretOf(secret.Text)
		w.work(say("practice.working"))
		run(sc, func(ctx context.Context) (bool, error) { return coffer.PracticePassword(ctx, typed) },
			func(right bool, err error) {
				typed.Wipe()
				w.rest()
				switch {
				case err != nil:
					d.problem(result, err)
				case right:
					secret.SetText("")
					w.finish(say("practice.right.title"), say("practice.right.body"), back)
				default:
					result.set(toneCareful, say("practice.wrong"))
					d.window.Canvas().Focus(secret)
				}
			})
	}
	secret.OnChanged = func(s string) { w.allow(s != "") }
	secret.OnSubmitted = func(string) { try() }
	w = d.taskPage(sc, asked{
		name: "key/practice", title: say("practice.title"), lead: say("practice.lead"),
		body: []fyne.CanvasObject{
			card(stack(gap3, labelled(say("secret.password"), secret), result.box)),
			row(0, quiet(say("practice.forgot"), "", forgot)),
		},
		button: say("practice.button"), do: try, focus: secret,
	}, back)
	w.allow(false)
	return &w.page
}

// provenPage proves the sheet of the profile: two lines of it, or the PDF.
func (d *desk) provenPage(coffer keyKeeper, lines [8]app.RecoveryLine, back func()) *page {
	sc := d.tasks.scope()
	var w *wizardPage
	judge := func(n int, typed string) app.LineState { return lineOfLines(lines, n, typed) }
	p := d.newProof(sc, judge, func() {
		run(sc, func(context.Context) (struct{}, error) { return struct{}{}, coffer.MarkSheetProven() },
			func(_ struct{}, err error) {
				if err != nil {
					d.problem(w.hint, err)
					return
				}
				w.finish(say("prove.finished.title"), say("prove.finished.body"), back)
			})
	})
	choose := push(say("prove.choose"), "sheet", func() {
		d.picker.Open(sc, say("prove.pick"), d.home, func(path string) { p.takeSheet(coffer, path) })
	})
	w = d.taskPage(sc, asked{
		name: "key/prove", title: say("prove.title"), lead: say("prove.lead"),
		body:  []fyne.CanvasObject{card(p.box), rowFill(gap3, 0, muted(say("prove.drop")), choose)},
		focus: p.lines[0].entry, drop: func(path string) { p.takeSheet(coffer, path) },
	}, back)
	return &w.page
}

// lineOfLines judges what was typed as line n of these lines.
func lineOfLines(lines [8]app.RecoveryLine, n int, typed string) app.LineState {
	text := ""
	for _, l := range lines {
		text += l.Digits + "\n"
	}
	key, err := app.ParseRecoveryKey([]byte(text))
	if err != nil {
		return app.LineWrong
	}
	defer key.Wipe()
	return lineOfKey(key, n, typed)
}

// sheetAgainPage saves the sheet of the profile again.
func (d *desk) sheetAgainPage(coffer keyKeeper, settings app.Settings, place string, back, prove func()) *page {
	sc := d.tasks.scope()
	var w *wizardPage
	saver := d.newSheetSaver(sc, coffer, app.RootKey{}, place, sheetState{paper: settings.Paper},
		func() []string { return settings.Sources }, func(string, string) {
			w.allow(true)
			d.window.Canvas().Focus(w.next)
		})
	w = d.taskPage(sc, asked{
		name: "key/sheet", title: say("sheet.title"), lead: say("sheet.again"),
		body:   []fyne.CanvasObject{card(saver.box)},
		button: say("sheet.prove"), do: prove, focus: saver.save,
	}, back)
	w.allow(false)
	return &w.page
}

// checkPage tells whether digits, on paper or pasted, open this backup.
func (d *desk) checkPage(coffer keyKeeper, back func()) *page {
	sc := d.tasks.scope()
	var w *wizardPage
	result := newHint()
	var digits *keyEntry
	digits = newKeyEntry(func() {
		result.clear()
		if n := digits.wrong(); n > 0 {
			result.set(toneBad, say("open.line-wrong", "n", n))
		}
		w.allow(digits.whole())
	})
	check := func() {
		text := []byte(digits.text())
		w.work(say("check.working"))
		run(sc, func(ctx context.Context) (struct{}, error) { return struct{}{}, coffer.VerifyRecovery(ctx, text) },
			func(_ struct{}, err error) {
				clear(text)
				w.rest()
				if err != nil {
					d.problem(result, err)
					return
				}
				w.finish(say("check.right.title"), say("check.right.body"), back)
			})
	}
	w = d.taskPage(sc, asked{
		name: "key/check", title: say("check.title"), lead: say("check.lead"),
		body:   []fyne.CanvasObject{card(stack(gap3, digits.box, result.box))},
		button: say("check.button"), do: check, focus: digits.lines[0].entry,
	}, back)
	w.allow(false)
	return &w.page
}

// shownPage shows the 64 digits of the profile.
func (d *desk) shownPage(lines [8]app.RecoveryLine, back func()) *page {
	sc := d.tasks.scope()
	copied := newHint()
	w := d.taskPage(sc, asked{
		name: "key/show", title: say("showkey.again.title"), lead: say("showkey.again.lead"),
		body: []fyne.CanvasObject{
			digitsCard(lines), small(say("showkey.check")),
			stack(gap2, row(0, push(say("showkey.copy"), "copy", func() {
				text := ""
				for _, l := range lines {
					text += l.Digits + "\n"
				}
				d.copySecret(text)
				copied.set(toneGood, say("showkey.copied"))
			})), copied.box),
		},
	}, back)
	return &w.page
}

// finish ends a task page well: what is the case now, and the way back.
func (w *wizardPage) finish(head, body string, back func()) {
	w.hint.clear()
	w.fail(stack(gap4, row(0, picture("done", 180, 126)), heading(head), plain(body)))
	if w.next != nil {
		w.next.Show()
		w.allow(true)
		w.next.OnTapped = back
		w.next.SetText(say("button.done"))
	}
}
