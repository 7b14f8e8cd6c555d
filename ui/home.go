package ui

import (
	"context"
	"slices"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
	"coffer/assets"
)

// overviewer is the part of Coffer that Home shows.
type overviewer interface {
	Overview(ctx context.Context) (app.Overview, error)
}

// homeState is all that Home shows. It has no fyne in it.
type homeState struct {
	loaded   bool
	overview app.Overview
	job      *jobState    // a backup that runs; else nil
	failed   *app.Failure // the last thing that was asked for did not work
	finished bool         // a backup just ended well
	first    bool         // ... and it was the first
	partly   int64        // ... and it could not read so many files
}

// homeActions is what can be done from Home.
type homeActions struct {
	backUp, pause, resume, stop func()
	anyway                      func() // back up, although the network costs
	getBack                     func()
	attend                      func(app.Attention)
	unlock                      func()
}

// home is the screen that people see most: one sentence, and what follows from it.
type home struct {
	*desk
	act   homeActions
	state homeState

	sign               *widget.Icon
	signGround         *panel
	sentence, detail   *words
	backUp, getBack    *button
	pause, stop        *button
	progress           *progressBox
	news               *notice // the end of a backup, or its failure
	anyway             *fyne.Container
	tryIt              *panel
	try                *button
	attention          *fyne.Container
	last, stored, back *statCard
	strip              *dayStrip
	stripNote          *words
	object             fyne.CanvasObject
}

// newHome builds the screen; apply fills it.
func (d *desk) newHome(act homeActions) *home {
	h := &home{desk: d, act: act}
	h.sign = icon("clock", colorMuted)
	h.signGround = newPanel(colorRail, "", 28, pad(13, 13, h.sign))
	h.sentence, h.detail = title(""), muted("")
	head := rowFill(gap4, 1, sized(56, 56, h.signGround), stack(gap1, h.sentence, h.detail))

	h.backUp = action(say("home.back-up"), "backup", act.backUp)
	h.getBack = push(say("home.get-back"), "restore", act.getBack)
	h.pause = push(say("home.pause"), "pause", h.togglePause)
	h.stop = quiet(say("button.cancel"), "", act.stop)
	h.progress = newProgressBox(h.pause, h.stop)
	h.news = newNotice(toneGood, "", "", nil)
	h.anyway = row(0, push(say("home.anyway"), "backup", act.anyway))
	h.try = push(say("home.first.button"), "restore", act.getBack)
	h.tryIt = newPanel(colorAccentSoft, "", 12, pad(gap4, gap4, withButton(gap4, picture("done", 84, 60),
		stack(gap1, heading(say("home.first.title")), plain(say("home.first.body"))),
		h.try)))
	h.attention = stack(gap2)
	h.last, h.stored, h.back = newStatCard("clock", say("home.card.last")),
		newStatCard("where", say("home.card.stored")), newStatCard("key", say("home.card.back"))
	h.strip, h.stripNote = newDayStrip(), muted("")

	content := stack(gap6,
		stack(gap4, head, buttonRow(h.backUp, h.getBack)),
		h.tryIt, h.progress.box, h.news.box, h.anyway, h.attention,
		flow(gap4, 196, h.last.box, h.stored.box, h.back.box),
		card(stack(gap3, heading(say("home.days")), h.strip, h.stripNote)),
	)
	h.object = scrolling(pad(gap8, gap6, column(880, content)))
	h.apply(homeState{})
	return h
}

func (h *home) togglePause() {
	if h.state.job != nil && h.state.job.paused {
		h.act.resume()
		return
	}
	h.act.pause()
}

// apply shows a state.
func (h *home) apply(s homeState) {
	h.state = s
	h.applySentence()
	h.applyJob()
	h.applyNews()
	h.applyAttention()
	h.applyCards()
	h.strip.set(daysOf(s.overview.Runs, h.now()))
	h.stripNote.set(stripText(s.overview.Runs, h.now()))
	h.object.Refresh()
}

// homeTone is the tone and the icon of each state of the sentence.
func homeTone(state string) (tone, string) {
	switch state {
	case app.StateSafe:
		return toneGood, "safe"
	case app.StateWorking:
		return tonePlain, "working"
	case app.StateWaiting:
		return toneCareful, "clock"
	case app.StateLate:
		return toneCareful, "warn"
	case app.StateDanger:
		return toneBad, "danger"
	case app.StatePaused:
		return toneBusy, "pause"
	}
	return toneBusy, "clock"
}

func (h *home) applySentence() {
	state := h.state.overview.State
	switch {
	case h.state.job != nil && h.state.job.paused:
		state = app.StatePaused
	case h.state.job != nil:
		state = app.StateWorking
	case state == "":
		state = app.StateNever
	}
	t, sign := homeTone(state)
	failed := state == app.StateSafe && lastFailed(h.state.overview) != ""
	if failed {
		t = toneCareful
	}
	h.sign.SetResource(assets.IconIn(sign, t.color()))
	h.signGround.recolor(t.ground(), "")
	if !h.state.loaded && h.state.job == nil {
		h.sentence.set(say("home.loading"))
		h.detail.set("")
		return
	}
	when := ""
	if !h.state.overview.LastBackup.IsZero() {
		when = moment(h.state.overview.LastBackup, h.now())
	}
	days := int64(h.now().Sub(h.state.overview.LastBackup) / (24 * time.Hour))
	h.sentence.set(sayN("home."+state+".title", days, "when", when, "place", h.placeName(h.state.overview.Place)))
	if state == app.StateDanger && days < 14 {
		state = "unproven"
	}
	if kind, _ := splitDest(h.state.overview.Place); state == app.StateWaiting && kind != kindFolder {
		state = "offline"
	}
	if failed {
		state = "safe-until-then"
	}
	h.detail.set(sayN("home."+state+".body", days, "when", when, "place", h.placeName(h.state.overview.Place)))
}

func (h *home) applyJob() {
	working := h.state.job != nil
	setVisible(h.progress.box, working)
	h.backUp.enable(!working && h.state.loaded && !h.state.overview.Locked)
	if !working {
		return
	}
	h.progress.set(*h.state.job)
	text, sign := say("home.pause"), "pause"
	if h.state.job.paused {
		text, sign = say("home.resume"), "play"
	}
	h.pause.label(text, sign)
	h.pause.enable(!h.state.job.stopping)
	h.stop.enable(!h.state.job.stopping)
}

// applyNews says how the last backup of this window ended.
func (h *home) applyNews() {
	h.tryIt.Hide()
	h.news.hide()
	setVisible(h.anyway, h.state.job == nil && h.state.failed != nil && h.state.failed.Code == app.CodeMetered)
	switch {
	case h.state.job != nil:
	case h.state.failed != nil && h.state.failed.Code == app.CodeCanceled:
		h.news.set(tonePlain, say("home.stopped.title"), say("home.stopped.body"))
	case h.state.failed != nil:
		head, body := trouble(*h.state.failed, h.now())
		t := toneBad
		if h.state.failed.Code == app.CodeMetered { // it waits, and nothing failed
			t = toneCareful
		}
		h.news.set(t, head, body)
	case h.state.finished && h.state.partly > 0:
		h.news.set(toneCareful, sayN("home.partly.title", h.state.partly), say("home.partly.body"))
	}
	if h.state.finished && h.state.first && h.state.job == nil {
		h.tryIt.Show()
		if canvas := h.window.Canvas(); canvas.Focused() == nil {
			canvas.Focus(h.try)
		}
	}
}

// attentionShown is the most lines that Home shows: a longer list is not read.
const attentionShown = 3

// attentionOf leaves out what the sentence says already.
func attentionOf(o app.Overview) []app.Attention {
	var lines []app.Attention
	for _, a := range o.Attention {
		if a.Code != app.AttentionLate && a.Code != app.AttentionDanger {
			lines = append(lines, a)
		}
	}
	return lines[:min(len(lines), attentionShown)]
}

func (h *home) applyAttention() {
	h.attention.RemoveAll()
	if h.state.overview.Locked {
		n := newNotice(toneCareful, say("home.locked.title"), say("home.locked.body"), push(say("home.locked.button"), "key", h.act.unlock))
		h.attention.Add(n.box)
	}
	for _, a := range attentionOf(h.state.overview) {
		head, body := h.attentionText(a)
		b := push(attentionButton(a), "", func() { h.act.attend(a) })
		t := toneCareful
		if a.Code == app.AttentionLastFailed && vaultAlarm(app.Code(a.Args["code"])) {
			t = toneBad
		}
		h.attention.Add(newNotice(t, head, body, b).box)
	}
	setVisible(h.attention, len(h.attention.Objects) > 0)
}

// lastFailed is why the last backup did not end well; "" when it did.
func lastFailed(o app.Overview) app.Code {
	for _, a := range o.Attention {
		if a.Code == app.AttentionLastFailed {
			return app.Code(a.Args["code"])
		}
	}
	return ""
}

// attentionKey is the part of the key of a line that needs attention. A line of a newer
// package app is shown in general words.
func attentionKey(code app.AttentionCode) string {
	switch code {
	case app.AttentionSheet, app.AttentionPractice, app.AttentionLastFailed, app.AttentionUnreadable,
		app.AttentionNoSources, app.AttentionKeyInFile, app.AttentionPasswordHalf,
		app.AttentionPlaceLate, app.AttentionPlaceTrouble, app.AttentionSpace, app.AttentionVault:
		return string(code)
	}
	return "other"
}

// attentionButton names what helps: trying again does not, where a vault raised an alarm.
func attentionButton(a app.Attention) string {
	if a.Code == app.AttentionLastFailed && vaultAlarm(app.Code(a.Args["code"])) {
		return say("attention.vault.button")
	}
	return say("attention." + attentionKey(a.Code) + ".button")
}

func (h *home) attentionText(a app.Attention) (head, body string) {
	if a.Code == app.AttentionVault {
		w := app.VaultWarning{Code: app.VaultWarningCode(a.Args["warning"]), Args: a.Args}
		return say("attention.vault.title"), h.warningText(w)
	}
	if a.Code == app.AttentionLastFailed {
		return trouble(app.Failure{Code: app.Code(a.Args["code"]), Args: a.Args}, h.now())
	}
	key := "attention." + attentionKey(a.Code)
	place := h.placeName(a.Args["place"])
	if a.Code == app.AttentionPlaceTrouble {
		head, body := trouble(app.Failure{Code: app.Code(a.Args["code"]), Args: a.Args}, h.now())
		return say("attention.place-trouble.title", "place", place), head + " " + body
	}
	args := []any{"days", a.Args["days"], "count", a.Args["count"], "path", h.short(a.Args["path"]), "place", place}
	return say(key+".title", args...), say(key+".body", args...)
}

func (h *home) applyCards() {
	o := h.state.overview
	if o.LastBackup.IsZero() {
		h.last.set(say("home.card.none"), say("home.card.none-yet"))
	} else {
		h.last.set(sentenceCase(moment(o.LastBackup, h.now())), sayN("home.card.files", o.LastSummary.Files, "size", size(o.LastSummary.NewBytes)))
	}
	free := say("home.card.free-unknown", "place", h.placeName(o.Place))
	if o.PlaceFree >= 0 {
		free = say("home.card.free", "free", size(o.PlaceFree), "place", h.placeName(o.Place))
	}
	h.stored.set(size(o.StoredBytes), free)
	head, body := canGetBack(o)
	h.back.set(head, body)
}

// canGetBack answers the question of the third card.
func canGetBack(o app.Overview) (head, body string) {
	for _, a := range o.Attention {
		if a.Code == app.AttentionSheet {
			return say("home.card.back.half"), say("home.card.back.half-body")
		}
	}
	names := ""
	// Nobody types a password into something that may not be its vault.
	gone := vaultAlarm(lastFailed(o)) || slices.ContainsFunc(o.Attention, func(a app.Attention) bool {
		return a.Code == app.AttentionVault && a.Args["warning"] == string(app.VaultWarnDestroyed)
	})
	for _, w := range o.WaysIn {
		if w.Kind != app.LockKey && !(gone && w.Kind == app.LockPassword) {
			names = lockName(w.Kind)
		}
	}
	if names == "" {
		return say("home.card.back.yes"), say("home.card.back.sheet")
	}
	return say("home.card.back.yes"), say("home.card.back.both", "lock", names)
}

// statCard is a card with one figure.
type statCard struct {
	box          *panel
	figure, note *words
}

func newStatCard(iconName, name string) *statCard {
	c := &statCard{figure: figure(""), note: small("")}
	head := rowFill(gap2, 1, icon(iconName, theme.ColorNamePrimary), newWords(name, wordStyle{size: sizeSmall, color: colorMuted, bold: true}))
	c.box = card(stack(gap2, head, c.figure, c.note))
	return c
}

func (c *statCard) set(value, note string) {
	c.figure.set(value)
	c.note.set(note)
}

// homePage is Home as the window shows it.
func (d *desk) homePage(act homeActions) (*home, *page) {
	h := d.newHome(act)
	return h, &page{name: "home", object: h.object, focus: h.backUp, scope: d.tasks.scope()}
}
