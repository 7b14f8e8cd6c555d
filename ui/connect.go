package ui

import (
	"context"
	"slices"
	"time"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// connector is the part of Coffer that reaches places.
type connector interface {
	placeInspector
	PlaceKinds() []app.PlaceKind
	Connect(ctx context.Context, c app.Connection) (app.PlaceInfo, error)
	SignIn(ctx context.Context, c app.Connection, browser func(address string) error) (app.PlaceInfo, error)
}

// A purpose is what a place is wanted for. It is also a part of the keys of texts.
type purpose string

const (
	toKeep   purpose = "where"  // the first run: a new backup
	toFind   purpose = "find"   // a backup is there
	toAdd    purpose = "add"    // one more place for the profile's backup
	toChange purpose = "change" // a place of the profile is reached in another way
)

// connecting leads to a place: which kind, how it is reached, signing in, whom to trust,
// what is there. It controls when which of these screens is shown; none of them knows
// another. The first run, the restore wizard and the screen Where use it.
type connecting struct {
	*desk
	coffer  connector
	purpose purpose
	at      string // beginning of the pages' names: "setup", "restore", "where/add"
	rail    rail
	show    func(*page)
	leave   func()                                     // Back on the first page
	done    func(app.PlaceInfo)                        // a place was found that fits, and people want it
	need    spaceNeed                                  // of a new backup
	sources []string                                   // that must not hold the place
	join    func(app.PlaceInfo)                        // of the first run: a backup is there, go on with it; else nil
	rescue  func(app.PlaceInfo)                        // ... or get files back from it
	add     func(context.Context, app.PlaceInfo) error // of toAdd: makes it a place of the profile
	place   app.Place                                  // of toChange

	// What was learnt so far.
	kinds []app.PlaceKind
	draft *placeDraft
	info  app.PlaceInfo
	own   bool // with the user's own Google client
}

// kind finds a kind of place by its scheme.
func (c *connecting) kind(scheme string) (app.PlaceKind, bool) {
	for _, k := range c.kinds {
		if k.Scheme == scheme {
			return k, true
		}
	}
	return app.PlaceKind{}, false
}

// choose begins a draft of a kind, or goes on with the one that there is.
func (c *connecting) choose(scheme string) {
	if k, ok := c.kind(scheme); ok && (c.draft == nil || c.draft.kind.Scheme != scheme) {
		c.draft, c.info = newDraft(k), app.PlaceInfo{}
	}
}

// load asks for the kinds of places, which may look for programs and folders, and then
// shows a page.
func (c *connecting) load(sc *scope, then func()) {
	run(sc, func(context.Context) ([]app.PlaceKind, error) { return c.coffer.PlaceKinds(), nil },
		func(kinds []app.PlaceKind, _ error) {
			c.kinds = kinds
			if c.draft != nil { // a program may have been installed since
				if k, ok := c.kind(c.draft.kind.Scheme); ok {
					c.draft.kind = k
				}
			}
			then()
		})
}

// begin shows the first page.
func (c *connecting) begin() { c.kindsPage() }

// openForm shows the page of a kind, for people who know it, and for tests.
func (c *connecting) openForm(scheme string) {
	sc := c.tasks.scope()
	c.load(sc, func() {
		c.choose(scheme)
		c.formPage()
	})
}

// firstKinds are offered at once, in this order; the others behind a button.
func firstKinds() []string { return []string{kindDrive, kindICloud, kindFolder} }

// sortKinds parts the kinds into those that are offered at once and the others.
func sortKinds(kinds []app.PlaceKind) (first, others []app.PlaceKind) {
	for _, scheme := range firstKinds() {
		for _, k := range kinds {
			if k.Scheme == scheme {
				first = append(first, k)
			}
		}
	}
	for _, k := range kinds {
		if !slices.Contains(firstKinds(), k.Scheme) {
			others = append(others, k)
		}
	}
	return first, others
}

// likely is the kind that is chosen before anybody chose: the first that works without
// further steps.
func likely(kinds []app.PlaceKind) string {
	first, _ := sortKinds(kinds)
	for _, k := range first {
		if k.Missing == "" {
			return k.Scheme
		}
	}
	return kindFolder
}

// kindAnswer is a kind as a tile: what it is, or in one line why it cannot be used here.
func kindAnswer(k app.PlaceKind) answer {
	a := answer{id: k.Scheme, icon: kindIcon(k.Scheme), title: kindName(k.Scheme)}
	switch {
	case !usable(k):
		a.body = say("kind.missing." + missingKey(k.Missing) + ".title")
	case knownKind(k.Scheme):
		a.body = say("kind." + k.Scheme + ".body")
	}
	return a
}

func kindAnswers(kinds []app.PlaceKind) []answer {
	list := make([]answer, len(kinds))
	for i, k := range kinds {
		list[i] = kindAnswer(k)
	}
	return list
}

// kindsPage asks which kind of place.
func (c *connecting) kindsPage() {
	sc := c.tasks.scope()
	holder, spinner := stack(gap2), newBusy()
	w := c.ask(sc, c.rail, question{
		name:  c.at + "/where",
		title: say("wanted." + string(c.purpose) + ".title"),
		lead:  say("wanted." + string(c.purpose) + ".lead"),
		body:  append([]fyne.CanvasObject{spinner.box, holder}, c.advice()...),
		next:  say("button.next"), onNext: c.formPage, back: c.leave, drop: c.dropped,
	})
	w.allow(false)
	spinner.start(say("kinds.looking"))
	c.load(sc, func() {
		spinner.stop()
		if c.draft == nil {
			c.choose(likely(c.kinds))
		}
		c.showKinds(w, holder, false)
		c.log.Debug("kinds shown", "count", len(c.kinds))
	})
	c.show(&w.page)
}

// dropped takes a folder that was dropped onto the window as the place.
func (c *connecting) dropped(path string) {
	if c.choose(kindFolder); c.draft == nil || c.draft.kind.Scheme != kindFolder {
		return
	}
	c.info = app.PlaceInfo{}
	c.draft.values["address"] = path
	c.formPage()
}

// showKinds fills the page in.
func (c *connecting) showKinds(w *wizardPage, holder *fyne.Container, all bool) {
	first, others := sortKinds(c.kinds)
	chosen := c.draft.kind.Scheme
	all = all || slices.ContainsFunc(others, func(k app.PlaceKind) bool { return k.Scheme == chosen })
	list := kindAnswers(first)
	if all {
		list = append(list, kindAnswers(others)...)
	}
	group := newAnswers(chosen, func(id string) { c.choose(id) }, list...)
	group.accept = w.accept
	holder.RemoveAll()
	holder.Add(group.box)
	if !all && len(others) > 0 {
		holder.Add(row(0, quiet(say("kinds.more"), "plus", func() { c.showKinds(w, holder, true) })))
	}
	escapable(holder, c.leave)
	holder.Refresh()
	for i, a := range list {
		if a.id == chosen {
			c.window.Canvas().Focus(group.tiles[i])
		}
	}
	w.allow(true)
}

// advice is what stands below the kinds.
func (c *connecting) advice() []fyne.CanvasObject {
	switch c.purpose {
	case toKeep:
		return []fyne.CanvasObject{newNotice(tonePlain, say("where.advice.title"), say("where.advice.body"), nil).box}
	case toFind:
		return []fyne.CanvasObject{newNotice(tonePlain, say("find.sheet.title"), say("find.sheet.body"), nil).box}
	}
	return nil
}

// formPage asks how a place of the chosen kind is reached.
func (c *connecting) formPage() {
	back := c.begin
	if c.purpose == toChange {
		back = c.leave
	}
	switch k := c.draft.kind; {
	case !usable(k):
		c.missingPage(back)
	case k.Scheme == kindFolder && c.purpose != toChange:
		c.folderPage(back)
	case k.SignIn && c.purpose == toChange:
		c.signInPage(nil)
	case k.SignIn:
		c.drivePage(back)
	default:
		c.fieldsPage(back, nil)
	}
}

// instead begins a draft of another kind.
func (c *connecting) instead(scheme string) {
	c.choose(scheme)
	c.formPage()
}

// missingPage says why a kind cannot be used on this computer, and what can be done.
func (c *connecting) missingPage(back func()) {
	sc := c.tasks.scope()
	why := missingKey(c.draft.kind.Missing)
	var buttons []*button
	switch why {
	case missingICloud:
		buttons = append(buttons, push(say("kind.missing.folder"), "disk", func() { c.instead(kindFolder) }))
		if k, ok := c.kind(kindRclone); ok && usable(k) {
			buttons = append(buttons, push(say("kind.missing.rclone"), "many", func() { c.instead(kindRclone) }))
		}
	case missingRclone:
		buttons = append(buttons, push(say("kind.missing.install"), "globe", func() { c.browse(rcloneAddress) }),
			push(say("kind.missing.again"), "restore", c.begin))
	}
	body := []fyne.CanvasObject{
		newNotice(tonePlain, "", say("kind.missing."+why+".body"), nil).box,
	}
	if len(buttons) > 0 {
		body = append(body, buttonRow(buttons...))
	}
	w := c.ask(sc, c.rail, question{name: c.at + "/missing", title: say("kind.missing." + why + ".title"), body: body, back: back})
	if len(buttons) > 0 {
		w.focus = buttons[0]
	} else {
		w.focus = w.back
	}
	c.show(&w.page)
}

// rcloneAddress is where rclone is to be had.
const rcloneAddress = "https://rclone.org/install/"

// connect tries the draft and shows what follows. While it runs, cancel ends it.
func (c *connecting) connect(w *wizardPage, sc *scope, failed func(app.Failure)) {
	w.work(say("connect.working", "place", c.name()))
	connection := c.draft.connection()
	if c.purpose == toChange {
		connection = c.draft.changes(c.place)
	}
	var stop context.CancelFunc
	w.offerStop(func() { stop() })
	stop = run(sc, func(ctx context.Context) (app.PlaceInfo, error) { return c.reach(ctx, connection) },
		func(info app.PlaceInfo, err error) {
			w.rest()
			c.answered(info, err, failed)
		})
}

// reach asks package app.
func (c *connecting) reach(ctx context.Context, connection app.Connection) (app.PlaceInfo, error) {
	if c.purpose == toChange {
		return c.changer().ChangePlace(ctx, c.place.ID, connection)
	}
	return c.coffer.Connect(ctx, connection)
}

// placeChanger is the part of Coffer that reaches a place of the profile in another way.
type placeChanger interface {
	ChangePlace(ctx context.Context, id string, c app.Connection) (app.PlaceInfo, error)
}

// changer is there whenever the purpose is to change.
func (c *connecting) changer() placeChanger { return c.coffer.(placeChanger) }

// answered shows what follows from an answer: whom to trust, what is there, or what failed.
func (c *connecting) answered(info app.PlaceInfo, err error, failed func(app.Failure)) {
	c.log.Debug("place connected", "backups", len(info.Backups), "failed", err != nil)
	if err == nil {
		c.info = info
		c.arrived()
		return
	}
	f := c.explain(err)
	if id, ok := c.identityOf(f); ok {
		c.identityPage(id)
		return
	}
	failed(f)
}

// arrived goes on from a place that answered.
func (c *connecting) arrived() {
	switch {
	case c.purpose == toChange:
		c.draft.forget()
		c.done(c.info)
	case c.purpose == toFind && len(c.info.Backups) > 0:
		c.done(c.info)
	default:
		c.foundPage()
	}
}

// tryAgain connects to a place of the profile as it is known, to see what is wrong.
func (c *connecting) tryAgain() {
	sc := c.tasks.scope()
	w := c.ask(sc, c.rail, question{
		name: c.at + "/place", title: c.formTitle(), lead: c.formLead(), body: nil,
		next: c.formButton(), onNext: c.tryAgain, back: c.leave,
	})
	c.show(&w.page)
	c.connect(w, sc, func(f app.Failure) { c.fieldsPage(c.leave, &f) })
}

// name is how the place of the draft is called while it is tried.
func (c *connecting) name() string {
	if kind := c.draft.kind.Scheme; kind == kindDrive || kind == kindICloud {
		return kindName(kind)
	}
	return c.placeName(c.draft.dest())
}

// copyLink puts an address on the clipboard, for a browser elsewhere.
func (d *desk) copyLink(address string) { fyne.CurrentApp().Clipboard().SetContent(address) }

// signInLasts is how long package app waits for somebody in the browser.
const signInLasts = 5 * time.Minute

// resume shows again what was chosen, when somebody comes back from a later step.
func (c *connecting) resume() {
	switch {
	case c.draft == nil || c.info.Dest == "":
		c.begin()
	case c.draft.kind.Scheme == kindFolder:
		c.formPage()
	case c.purpose == toFind:
		c.begin()
	default:
		c.foundPage()
	}
}
