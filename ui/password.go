package ui

import (
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"coffer/app"
)

// newSecret is a password or passphrase that is being chosen: twice, with what can be said
// of it while it is typed. The first run and the change of a password share it.
type newSecret struct {
	kind          app.LockKind
	inputs        []string // words that are easily guessed for this user
	first, second *field
	show          *tick
	bar           *meter
	score         *words
	hint          *hint
	box           *fyne.Container
	changed       func(ok bool)
}

func newSecretChooser(kind app.LockKind, inputs []string, value string, changed func(ok bool)) *newSecret {
	n := &newSecret{kind: kind, inputs: inputs, changed: changed, bar: newMeter(), score: whole(""), hint: newHint()}
	n.first = newSecretField(say("secret." + string(kind)))
	n.second = newSecretField(say("secret.again"))
	n.first.SetText(value)
	n.second.SetText(value)
	n.first.OnChanged = func(string) { n.judge() }
	n.second.OnChanged = func(string) { n.judge() }
	n.show = newTick(say("secret.show"), false, n.reveal)
	suggest := push(say("secret.suggest"), "", n.suggest)
	n.box = stack(gap3,
		labelled(say("secret."+string(kind)), n.first),
		rowFill(gap3, 0, n.bar, n.score),
		labelled(say("secret.again"), n.second),
		wrapRow(gap4, n.show, suggest),
		n.hint.box,
	)
	n.judge()
	return n
}

// labelled puts a name above a control.
func labelled(name string, o fyne.CanvasObject) *fyne.Container {
	return stack(gap1+2, newWords(name, wordStyle{size: sizeSmall, color: colorMuted, bold: true}), o)
}

func (n *newSecret) value() string { return n.first.Text }

func (n *newSecret) reveal(on bool) {
	for _, f := range []*field{n.first, n.second} {
		f.Password = !on
		f.Refresh()
	}
}

// suggest fills in random words, and shows them: they are to be written down or learnt.
func (n *newSecret) suggest() {
	count := 5
	if n.kind == app.LockPassphrase {
		count = 6
	}
	app.SuggestWords(count).Expose(func(b []byte) {
		n.first.SetText(string(b))
		n.second.SetText(string(b))
	})
	n.show.SetChecked(true)
	n.reveal(true)
	n.judge()
}

// judge says what is the case while it is typed.
func (n *newSecret) judge() {
	advice := n.advise(n.first.Text)
	n.bar.set(float64(advice.Score+1)/5, scoreColor(advice))
	if n.first.Text == "" {
		n.bar.set(0, colorTrack)
	}
	n.score.set(scoreWord(n.first.Text, advice))
	t, text := n.say(advice)
	n.hint.set(t, text)
	n.changed(n.ok(advice))
}

func (n *newSecret) ok(advice app.PasswordAdvice) bool {
	return advice.OK && n.first.Text == n.second.Text
}

func (n *newSecret) advise(text string) app.PasswordAdvice {
	secret := secretOf(text)
	defer secret.Wipe()
	if n.kind == app.LockPassphrase {
		return app.AdvisePassphrase(secret, n.inputs)
	}
	return app.AdvisePassword(secret, n.inputs)
}

// say is the one line below the fields: the first thing to mend, else what is unusual,
// else that all is well.
func (n *newSecret) say(advice app.PasswordAdvice) (tone, string) {
	first, second := n.first.Text, n.second.Text
	switch {
	case first == "":
		return tonePlain, say("secret.rule." + string(n.kind))
	case advice.Problem != app.PasswordFine:
		return toneCareful, say("secret.problem." + string(advice.Problem))
	case second != "" && !hasPrefix(first, second):
		return toneBad, say("secret.problem.differs")
	case len(advice.Warnings) > 0:
		return toneCareful, say("secret.warning." + advice.Warnings[0])
	case shouted(first):
		return toneCareful, say("secret.warning.caps")
	case first == second:
		return toneGood, say("secret.fine")
	}
	return tonePlain, say("secret.type-again")
}

// hasPrefix keeps the second field quiet while it is still being typed.
func hasPrefix(whole, start string) bool {
	return len(start) <= len(whole) && whole[:len(start)] == start
}

// shouted reports whether Caps Lock is likely on: no letter is small. The state of the key
// itself is not to be had on every system.
func shouted(s string) bool {
	letters := 0
	for _, r := range s {
		if unicode.IsLower(r) {
			return false
		}
		if unicode.IsUpper(r) {
			letters++
		}
	}
	return letters >= 3
}

func scoreColor(advice app.PasswordAdvice) fyne.ThemeColorName {
	switch {
	case !advice.OK:
		return theme.ColorNameWarning
	case advice.Score < 4:
		return theme.ColorNamePrimary
	}
	return theme.ColorNameSuccess
}

func scoreWord(text string, advice app.PasswordAdvice) string {
	if text == "" {
		return ""
	}
	return say("secret.score." + itoa(min(max(advice.Score, 0), 4)))
}

// passwordPage asks for the password, or the passphrase, twice.
func (d *desk) passwordPage(sc *scope, r rail, state *setupState, back, next func()) *page {
	kind := string(state.lock)
	var w *wizardPage
	chooser := newSecretChooser(state.lock, []string{d.computer, d.home}, state.secret, func(ok bool) {
		if w != nil {
			w.allow(ok)
		}
	})
	forward := func() {
		state.secret = chooser.value()
		next()
	}
	w = d.ask(sc, r, question{
		name:  "setup/" + kind,
		title: say("secret.title." + kind),
		lead:  say("secret.lead." + kind),
		body: []fyne.CanvasObject{
			card(chooser.box),
			newNotice(toneCareful, say("secret.reset.title"), say("secret.reset.body"), nil).box,
		},
		next: say("button.next"), onNext: forward, back: back, focus: chooser.first,
	})
	w.allow(chooser.ok(chooser.advise(chooser.value())))
	chooser.first.OnSubmitted = func(string) { d.window.Canvas().Focus(chooser.second) }
	chooser.second.OnSubmitted = func(string) {
		if !w.next.Disabled() {
			forward()
		}
	}
	return &w.page
}
