package ui

import (
	"context"
	"errors"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// vaultInspector is the part of Coffer that asks a vault who it is.
type vaultInspector interface {
	InspectVault(ctx context.Context, link string) (app.VaultDescription, error)
}

// choosingVault is the row of screens that leads to another vault: its link, who it is, or
// the alarm that it is not. The first run, the change of a password and the move use it.
type choosingVault struct {
	*desk
	coffer vaultInspector
	at     string // beginning of the pages' names: "setup", "key/change", "key/move"
	rail   rail
	show   func(*page)
	leave  func()            // Back on the first page
	done   func(vaultChoice) // people want this one

	link string // what was typed or opened, with its invitation
	told app.VaultDescription
}

// linkPage asks for the link that whoever runs the vault gave out.
func (c *choosingVault) linkPage() {
	sc := c.tasks.scope()
	var w *wizardPage
	entry, said, asking := newMonoField(linkScheme), newHint(), newAsking()
	entry.SetText(c.link)
	look := func() { c.look(sc, w, said, asking) }
	take := func(path string) { c.takeFile(sc, path, entry, said) }
	entry.OnChanged = func(s string) {
		c.link = s
		said.clear()
		asking.cancel()
		w.allowQuietly(linkIn(s) != "")
	}
	entry.OnSubmitted = func(string) { w.accept() }
	file := push(say("vaultlink.file"), "files", func() { c.picker.File(sc, say("vaultlink.pick"), c.home, take) })
	w = c.ask(sc, c.rail, question{
		name:  c.at + "/vault",
		title: say("vaultlink.title"),
		lead:  say("vaultlink.lead"),
		body: []fyne.CanvasObject{
			card(stack(gap3, labelled(say("vaultlink.link"), entry), said.box, asking.box, row(0, file))),
			newNotice(tonePlain, say("vaultlink.first.title"), say("vaultlink.first.body"), nil).box,
		},
		next: say("vaultlink.button"), onNext: look, back: c.leave, focus: entry, drop: take,
	})
	w.allowQuietly(linkIn(c.link) != "")
	c.show(&w.page)
}

// takeFile reads a link out of a file: mails and notes are saved as such.
func (c *choosingVault) takeFile(sc *scope, path string, entry *field, said *hint) {
	run(sc, func(context.Context) (string, error) { return readLink(path) }, func(link string, err error) {
		switch {
		case errors.Is(err, errNoLink):
			said.set(toneCareful, say("vaultlink.no-link"))
		case err != nil:
			said.set(toneBad, say("vaultlink.unreadable", "path", c.short(path)))
		default:
			entry.SetText(link)
			c.window.Canvas().Focus(entry)
		}
	})
}

// look asks the vault who it is. Nothing is sent but the question.
func (c *choosingVault) look(sc *scope, w *wizardPage, said *hint, asking *asking) {
	link := linkIn(c.link)
	said.clear()
	w.next.enable(false)
	asking.stop.OnTapped = run(sc, func(ctx context.Context) (app.VaultDescription, error) { return c.coffer.InspectVault(ctx, link) },
		func(told app.VaultDescription, err error) {
			asking.end()
			w.allow(true)
			if err != nil {
				c.refused(w, said, link, c.explain(err))
				return
			}
			c.link, c.told = link, told
			c.aboutPage()
		})
	asking.begin()
}

// asking shows that a vault is being asked, with Cancel beside it: below the page, the two
// leave no room for the buttons at large text.
type asking struct {
	box     *fyne.Container
	spinner *busy
	stop    *button
}

func newAsking() *asking {
	a := &asking{spinner: newBusy(), stop: push(say("button.cancel"), "", nil)}
	a.box = wrapRow(gap3, a.spinner.box, a.stop)
	a.end()
	return a
}

func (a *asking) begin() {
	a.spinner.start(say("vaultlink.working"))
	a.box.Show()
}

// cancel ends a question about what is not the text any more.
func (a *asking) cancel() {
	if a.box.Visible() {
		a.stop.press()
	}
}

func (a *asking) end() {
	a.spinner.stop()
	a.box.Hide()
}

// newVaultSentence is a failure of a vault that keeps nothing yet: the usual sentences speak
// of one that keeps the password already.
func (d *desk) newVaultSentence(f app.Failure, address string) string {
	switch f.Code {
	case app.CodeVaultLink, app.CodeVaultOffline, app.CodeVaultExpired, app.CodeVaultTrouble:
		return say("vaultlink.failed."+string(f.Code), "address", address)
	}
	return d.sentence(f)
}

// refused says why the vault of a link cannot be chosen.
func (c *choosingVault) refused(w *wizardPage, said *hint, link string, f app.Failure) {
	switch {
	case vaultAlarm(f.Code):
		c.alarmPage(f, linkAddress(link))
		return
	case f.Code == app.CodeCanceled:
		return
	}
	said.set(toneBad, c.newVaultSentence(f, linkAddress(link)))
	if w.focus != nil {
		c.window.Canvas().Focus(w.focus)
	}
}

// alarmPage has no way on.
func (c *choosingVault) alarmPage(f app.Failure, address string) {
	m := firstMeeting
	if f.Code == app.CodeVaultOlder { // only who was met before can be older
		m = knownVault
	}
	w := c.ask(c.tasks.scope(), c.rail, question{
		name: c.at + "/vault/alarm", title: alarmTitle(f.Code, m),
		body: vaultAlarmBody(f.Code, m, address, ""), back: c.linkPage,
	})
	w.focus = w.back
	c.log.Warn("alarm shown", "code", string(f.Code))
	c.show(&w.page)
}

// aboutPage says who the vault is, before anything is put into it.
func (c *choosingVault) aboutPage() {
	sc := c.tasks.scope()
	choice := vaultChoice{link: c.link, told: c.told}
	var body []fyne.CanvasObject
	admitted := c.told.Register != "invite" || c.told.HasInvitation
	if !admitted {
		body = append(body, newNotice(toneCareful, say("vaultabout.invite-needed.title"), say("vaultabout.invite-needed.body"), nil).box)
	}
	g := choice.guard(c.computer)
	body = append(body, newNotice(meaningTone(g), say("vault.class."+g.class()), g.meaning(), nil).box)
	body = append(body, vaultCautions(c.told, c.now())...)
	body = append(body,
		card(stack(gap4, vaultFacts(c.told)...)),
		fingerprint(say("vaultabout.fingerprint"), bareFingerprint(c.told.Fingerprint)),
		small(say("vaultabout.compare")),
	)
	w := c.ask(sc, c.rail, question{
		name:  c.at + "/vault/about",
		title: say("vaultabout.title", "name", c.told.Name),
		lead:  say("vaultabout.lead"),
		body:  body,
		next:  say("vaultabout.button"), onNext: func() { c.done(choice) }, back: c.linkPage,
	})
	w.allowQuietly(admitted)
	if !admitted {
		w.focus = w.back
	}
	c.show(&w.page)
}

// meaningTone is careful where the word of whoever runs the vault is all there is.
func meaningTone(g guard) tone {
	switch g.class() {
	case "tpm":
		return toneGood
	case "software":
		return toneCareful
	}
	return tonePlain
}
