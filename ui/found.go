package ui

import (
	"context"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"coffer/app"
)

// foundPage shows a place that answered: whose it is, how much room there is, what it
// promises, and what lies there already.
func (c *connecting) foundPage() {
	if c.purpose == toFind {
		c.emptyPage()
		return
	}
	sc := c.tasks.scope()
	var w *wizardPage
	t, text, fits := c.judgeRoom(c.info)
	judged := newHint()
	if t != toneGood { // the facts say it already
		judged.set(t, text)
	}
	body := []fyne.CanvasObject{card(stack(gap4, c.placeFacts()...)), judged.box}
	if c.taken(c.info) {
		body = append(body, c.takenNotice(c.info))
	}
	if len(c.info.Promises) > 0 {
		body = append(body, card(promises(c.info.Promises)))
	}
	next, forward := say("button.next"), func() { c.accept() }
	if c.purpose == toAdd {
		next, forward = say("add.button"), func() { c.addPlace(w, sc) }
	}
	back := c.formPage
	if c.draft.kind.SignIn {
		back = c.begin
	}
	w = c.ask(sc, c.rail, question{
		name:  c.at + "/found",
		title: say("found.title", "place", c.kindOfInfo()),
		lead:  c.foundLead(),
		body:  body,
		next:  next, onNext: forward, back: back,
	})
	w.allowQuietly(fits)
	if !fits {
		w.focus = w.back
	}
	c.show(&w.page)
}

func (c *connecting) foundLead() string {
	if len(c.info.Backups) > 0 {
		return say("found.lead-taken")
	}
	return say("found.lead")
}

// kindOfInfo names the kind of the place that answered.
func (c *connecting) kindOfInfo() string {
	if c.info.Kind == "" {
		return kindName(c.draft.kind.Scheme)
	}
	return kindName(c.info.Kind)
}

// accept goes on with the place.
func (c *connecting) accept() {
	c.draft.forget()
	c.done(c.info)
}

// addPlace makes the place one of the profile's.
func (c *connecting) addPlace(w *wizardPage, sc *scope) {
	w.work(say("add.working"))
	info := c.info
	run(sc, func(ctx context.Context) (struct{}, error) { return struct{}{}, c.add(ctx, info) },
		func(_ struct{}, err error) {
			w.rest()
			if err != nil {
				c.problem(w.hint, err)
				return
			}
			c.accept()
		})
}

// placeFacts are the lines of the card.
func (c *connecting) placeFacts() []fyne.CanvasObject {
	var facts []fyne.CanvasObject
	if c.info.Account != "" {
		facts = append(facts, fact("person", say("found.account"), c.info.Account))
	}
	facts = append(facts, fact(kindIcon(c.draft.kind.Scheme), say("found.place"), c.placeName(c.info.Dest)))
	if c.info.Server != "" {
		facts = append(facts, fact("server", say("found.server"), c.info.Server))
	}
	facts = append(facts, fact("files", say("found.space"), freeText(c.info, c.need)))
	if c.info.Foreign > 0 {
		facts = append(facts, fact("document", say("found.foreign"), sayN("found.foreign-value", int64(c.info.Foreign))))
	}
	return facts
}

// promiseKey is the part of a text's key for a promise; "" for one of a newer package app.
func promiseKey(name string) string {
	switch name {
	case app.PromiseListed, app.PromiseFirst, app.PromiseResumes, app.PromiseVersions, app.PromiseLocked, app.PromiseChecksum, app.PromiseRemote:
		return name
	}
	return ""
}

// promises says what a place can keep, and what it cannot: each with a sign and in words.
func promises(list []app.Promise) fyne.CanvasObject {
	rows := []fyne.CanvasObject{heading(say("promises.title"))}
	for _, p := range list {
		key := promiseKey(p.Name)
		if key == "" {
			continue
		}
		sign, color, kept := "info", fyne.ThemeColorName(colorMuted), "unknown"
		switch p.Kept {
		case app.PromiseKept:
			sign, color, kept = "ok", theme.ColorNameSuccess, "yes"
		case app.PromiseNot:
			sign, color, kept = "remove", colorMuted, "no"
		}
		rows = append(rows, rowTop(gap3, 1, icon(sign, color), plain(say("promise."+key+"."+kept))))
	}
	return stack(gap3, rows...)
}

// emptyPage says that the place holds no backup: which account was looked into, how to
// switch, where else to look.
func (c *connecting) emptyPage() {
	sc := c.tasks.scope()
	var buttons []*button
	if c.draft.kind.SignIn {
		buttons = append(buttons, push(say("empty.switch"), "person", func() { c.signInPage(nil) }))
	}
	elsewhere := push(say("empty.elsewhere"), "search", c.begin)
	buttons = append(buttons, elsewhere)
	lead := say("empty.lead", "place", c.placeName(c.info.Dest))
	if c.info.Account != "" {
		lead = say("empty.lead-account", "place", kindName(c.draft.kind.Scheme), "account", c.info.Account)
	}
	body := []fyne.CanvasObject{picture("empty", 160, 110), buttonRow(buttons...)}
	if c.draft.kind.SignIn {
		body = append(body, c.driveNote()...)
	}
	w := c.ask(sc, c.rail, question{name: c.at + "/empty", title: say("empty.title"), lead: lead, body: body, back: c.formPage})
	w.focus = buttons[0]
	c.show(&w.page)
}
