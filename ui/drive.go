package ui

import (
	"fyne.io/fyne/v2"
)

// drivePage asks with which of Google's clients people sign in. Where this Coffer has none
// of its own, there is nothing to ask: the guide leads to one.
func (c *connecting) drivePage(back func()) {
	if c.draft.kind.Missing == missingClient {
		c.own = true
		c.guidePage(back)
		return
	}
	sc := c.tasks.scope()
	folder := newField(defaultFolder())
	folder.SetText(c.draft.values["folder"])
	folder.OnChanged = func(s string) { c.draft.set("folder", s) }
	forward := func() {
		if c.own {
			c.guidePage(func() { c.drivePage(back) })
			return
		}
		delete(c.draft.values, "client")
		c.signInPage(nil)
	}
	chosen := "coffers"
	if c.own {
		chosen = "own"
	}
	var w *wizardPage
	group := newAnswers(chosen, func(id string) {
		c.own = id == "own"
		w.next.label(c.driveNext(), "")
	},
		answer{"coffers", "link", say("drive.coffers.title"), say("drive.coffers.body")},
		answer{"own", "person", say("drive.own.title"), say("drive.own.body")})
	folder.OnSubmitted = func(string) { forward() }
	w = c.ask(sc, c.rail, question{
		name:  c.at + "/place",
		title: say("drive.title"),
		lead:  say("drive.lead"),
		body:  append([]fyne.CanvasObject{group.box, c.driveFolder(folder)}, c.driveNote()...),
		next:  c.driveNext(), onNext: forward, back: back,
	})
	group.accept = w.accept
	w.focus = group.tiles[0]
	if c.own {
		w.focus = group.tiles[1]
	}
	c.show(&w.page)
}

// driveNext is the way on: with a client of one's own, the guide comes first.
func (c *connecting) driveNext() string {
	if c.own {
		return say("button.next")
	}
	return say("drive.next")
}

// driveFolder is a field for the name of the folder, which few people change.
func (c *connecting) driveFolder(folder *field) fyne.CanvasObject {
	inner := stack(gap1+2, labelled(say("field.folder-drive.label"), folder), small(say("field.folder-drive.hint")))
	if folder.Text != "" {
		return inner
	}
	inner.Hide()
	holder := row(0)
	all := stack(gap3, holder, inner)
	holder.Add(quiet(say("drive.other-folder"), "plus", func() {
		holder.Hide()
		inner.Show()
		all.Refresh()
		c.window.Canvas().Focus(folder)
	}))
	return all
}

// driveNote says, to those who look for a backup, that a client sees its own files alone.
func (c *connecting) driveNote() []fyne.CanvasObject {
	if c.purpose != toFind {
		return nil
	}
	n := newNotice(tonePlain, say("drive.same.title"), say("drive.same.body"), nil)
	open := push(say("drive.same.button"), "disk", func() { c.instead(kindFolder) })
	return []fyne.CanvasObject{n.box, row(0, open)}
}

// What the guide shows, step by step: the pages of Google's console in English, because the
// words on them are quoted.
var guideSteps = [...]struct{ name, address string }{
	{"project", "https://console.cloud.google.com/projectcreate?hl=en"},
	{"drive", "https://console.cloud.google.com/apis/library/drive.googleapis.com?hl=en"},
	{"consent", "https://console.cloud.google.com/auth/overview/create?hl=en"},
	{"publish", "https://console.cloud.google.com/auth/audience?hl=en"},
	{"client", "https://console.cloud.google.com/auth/clients/create?hl=en"},
}

// guidePage leads to a Google client of people's own: what to press on Google's pages, and
// the file that comes out of it.
func (c *connecting) guidePage(back func()) {
	sc := c.tasks.scope()
	var w *wizardPage
	file := c.newClientFile(sc, c.draft.values["client"], func(text string, fine bool) {
		delete(c.draft.values, "client")
		if fine {
			c.draft.values["client"] = text
		}
		if w != nil {
			w.hint.clear()
			w.allow(fine)
		}
	})
	folder := newField(defaultFolder())
	folder.SetText(c.draft.values["folder"])
	folder.OnChanged = func(s string) { c.draft.set("folder", s) }
	cards := append(c.guideCards(), c.guideCard(len(guideSteps)+1, "file", file.box))
	body := append(c.driveNote(), stack(gap3, cards...), c.driveFolder(folder))
	w = c.ask(sc, c.rail, question{
		name:  c.at + "/guide",
		title: say("guide.title"),
		lead:  say("guide.lead"),
		body:  body,
		next:  say("drive.next"), onNext: func() { c.signInPage(nil) }, back: back,
		drop: file.read,
	})
	w.allowQuietly(c.draft.values["client"] != "")
	w.focus = firstFocusable(cards[0])
	c.show(&w.page)
}

func (c *connecting) guideCards() []fyne.CanvasObject {
	cards := make([]fyne.CanvasObject, 0, len(guideSteps)+1)
	for i, s := range guideSteps {
		buttons := buttonRow(push(say("guide.open"), "globe", func() { c.browse(s.address) }),
			quiet(say("guide.copy"), "copy", func() { c.copyLink(s.address) }))
		cards = append(cards, c.guideCard(i+1, s.name, buttons))
	}
	return cards
}

// guideCard is one step: its number, a drawing of the page, what to do, the exact words.
func (c *connecting) guideCard(n int, name string, more ...fyne.CanvasObject) fyne.CanvasObject {
	text := stack(gap3, heading(say("guide."+name+".title")), plain(say("guide."+name+".body")), consoleWords(say("guide."+name+".words")))
	for _, o := range more {
		text.Add(o)
	}
	number := newPanel(colorAccentSoft, "", 14, pad(gap2+2, gap1, newWords(itoa(n), wordStyle{whole: true, bold: true, color: "primary"})))
	return card(rowTop(gap4, 1, stack(gap3, row(0, number)), text, picture("guide-"+name, 120, 92)))
}
