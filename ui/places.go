package ui

import (
	"context"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"coffer/app"
)

// placeKeeper is the part of Coffer that holds the profile's places.
type placeKeeper interface {
	overviewer
	connector
	placeChanger
	placeTester
	placeCopier
	Places() ([]app.Place, error)
	AddPlace(ctx context.Context, dest string, create bool) (app.Place, []app.Notice, error)
	RemovePlace(ctx context.Context, id string) error
	RestoreFolder(ctx context.Context, id string) (int, error)
	Disconnect(ctx context.Context, id string) error
}

// placeDeed is what can be done with a place.
type placeDeed string

// The deeds. Each has a text for its button.
const (
	deedTest    placeDeed = "test"
	deedSignIn  placeDeed = "sign-in"
	deedLook    placeDeed = "look" // at a server that changed
	deedChange  placeDeed = "change"
	deedCopy    placeDeed = "copy"
	deedUntrash placeDeed = "untrash"
	deedRemove  placeDeed = "remove"
	deedAgain   placeDeed = "again" // back up
)

func (p placeDeed) icon() string {
	switch p {
	case deedTest:
		return "test"
	case deedSignIn:
		return "person"
	case deedLook:
		return "search"
	case deedChange:
		return "edit"
	case deedCopy:
		return "copy"
	case deedUntrash:
		return "trash"
	case deedRemove:
		return "remove"
	}
	return "backup"
}

// remedy is the one deed that helps with a trouble of a place; "" when none does.
func remedy(p app.Place, signsIn bool) placeDeed {
	switch p.Trouble.Code {
	case "":
		return ""
	case app.CodePlaceSignIn, app.CodePlaceAccount, app.CodePlacePermission, app.CodePlaceClient, app.CodeSignInRefused, app.CodeSignInTimeout:
		if signsIn {
			return deedSignIn
		}
		return deedChange
	case app.CodePlaceSecret, app.CodePlaceKeyPassphrase, app.CodePlaceAddress, app.CodePlaceNoRemote, app.CodePlacePlain, app.CodePlaceNoLock:
		return deedChange
	case app.CodePlaceHostKey, app.CodePlaceNewHost, app.CodePlaceCertificate:
		return deedLook
	case app.CodePlaceTrashed:
		return deedUntrash
	}
	return deedAgain
}

// healthOf is what a card says of a place, and how it is meant.
func healthOf(p app.Place, now time.Time) (t tone, text string) {
	when := ""
	if !p.LastBackup.IsZero() {
		when = moment(p.LastBackup, now)
	}
	switch p.State {
	case app.PlaceSafe:
		return toneGood, say("places.state.safe", "when", when)
	case app.PlaceWaiting:
		return toneCareful, say("places.state.waiting")
	case app.PlaceLate:
		return toneCareful, sayN("places.state.late", int64(now.Sub(p.LastBackup)/day24))
	case app.PlaceTrouble:
		head, body := trouble(p.Trouble, now)
		return toneBad, head + " " + body
	}
	return toneBusy, say("places.state.never")
}

// placesActions leads from the screen Where to its tasks.
type placesActions struct {
	do      func(placeDeed, app.Place)
	add     func()
	copying *copyState   // a copy that runs; else nil
	notices []app.Notice // of a place that was just added
	toCopy  func()
}

// places is the screen Where: every place as a card.
type places struct {
	*desk
	sc     *scope
	coffer placeKeeper
	act    placesActions
	status *hint
	busy   *busy
	cards  *fyne.Container
}

// placesPage is the screen Where.
func (d *desk) placesPage(coffer placeKeeper, act placesActions) *page {
	p := &places{desk: d, sc: d.tasks.scope(), coffer: coffer, act: act, status: newHint(), busy: newBusy(), cards: stack(gap4)}
	add := action(say("places.add"), "plus", act.add)
	parts := []fyne.CanvasObject{
		stack(gap2, title(say("places.title")), muted(say("places.lead"))),
		row(0, add), p.status.box, p.busy.box,
	}
	if act.copying != nil {
		parts = append(parts, newNotice(tonePlain, say("copy.running.title"), act.copying.figure, push(say("copy.running.button"), "", act.toCopy)).box)
	}
	parts = append(parts, p.cards)
	if said := noticesText(act.notices); said != "" {
		p.status.set(toneGood, said)
	}
	p.load()
	return &page{name: "where", object: scrolling(pad(gap8, gap6, column(820, stack(gap6, parts...)))), focus: add, scope: p.sc}
}

// noticesText says what is worth knowing of a place that was added. What a newer package
// app has to say is left out.
func noticesText(list []app.Notice) string {
	var parts []string
	for _, n := range list {
		switch n.Code {
		case app.NoticePlaceJoined, app.NoticeNoReadme, app.NoticeForeignFiles:
			parts = append(parts, say("notice."+string(n.Code)))
		}
	}
	return strings.Join(parts, " ")
}

type placeList struct {
	places []app.Place
	kinds  []app.PlaceKind
}

func loadPlaces(coffer placeKeeper) (l placeList, err error) {
	l.kinds = coffer.PlaceKinds()
	l.places, err = coffer.Places()
	return l, err
}

// need is what one more place would have to hold: as much as the fullest, growing as fast.
func (l placeList) need() (n spaceNeed) {
	for _, p := range l.places {
		n.first, n.aDay = max(n.first, p.Stored), max(n.aDay, p.Grows)
	}
	return n
}

// load asks for the places and shows them.
func (p *places) load() {
	p.busy.start(say("places.loading"))
	run(p.sc, func(context.Context) (placeList, error) { return loadPlaces(p.coffer) }, func(l placeList, err error) {
		p.busy.stop()
		if err != nil {
			p.problem(p.status, err)
		}
		p.cards.RemoveAll()
		for _, place := range l.places {
			k := kindOf(l.kinds, place.Kind)
			p.cards.Add(p.card(place, k.SignIn, len(l.places)))
		}
		if len(l.places) == 1 {
			p.cards.Add(newNotice(tonePlain, say("places.one.title"), say("places.one.body"), nil).box)
		}
		p.cards.Refresh()
		p.log.Debug("places shown", "count", len(l.places))
	})
}

func kindOf(kinds []app.PlaceKind, scheme string) app.PlaceKind {
	i := slices.IndexFunc(kinds, func(k app.PlaceKind) bool { return k.Scheme == scheme })
	if i < 0 {
		return app.PlaceKind{Scheme: scheme}
	}
	return kinds[i]
}

// card is one place: what it is, how it is, how much room it has, what can be done.
func (p *places) card(place app.Place, signsIn bool, of int) fyne.CanvasObject {
	t, text := healthOf(place, p.now())
	name := stack(gap1, heading(p.placeName(place.Dest)), small(p.under(place)))
	head := rowTop(gap3, 1, bigIcon(kindIcon(place.Kind), t, 44), name)
	health := newHint()
	health.set(t, text)
	parts := []fyne.CanvasObject{head, health.box}
	if place.Free >= 0 && place.Total > 0 {
		bar := newMeter()
		used := 1 - float64(place.Free)/float64(place.Total)
		bar.set(used, spaceColor(used))
		parts = append(parts, bar)
	}
	parts = append(parts, small(p.room(place)))
	parts = append(parts, p.buttons(place, signsIn, of))
	return card(stack(gap3, parts...))
}

// under is the line below the name: the kind where the name does not say it, the account.
func (p *places) under(place app.Place) string {
	var parts []string
	if kind := kindName(place.Kind); !strings.HasPrefix(p.placeName(place.Dest), kind) {
		parts = append(parts, kind)
	}
	if place.Account != "" {
		parts = append(parts, place.Account)
	}
	if !place.LastBackup.IsZero() && place.State != app.PlaceSafe {
		parts = append(parts, say("places.last", "when", moment(place.LastBackup, p.now())))
	}
	return strings.Join(parts, " · ")
}

// room is what is stored, what is free, and until when that is enough.
func (p *places) room(place app.Place) string {
	var text string
	switch {
	case place.Free >= 0 && place.Total > 0:
		text = say("places.free-of", "free", size(place.Free), "total", size(place.Total))
	case place.Free >= 0:
		text = say("places.free", "free", size(place.Free))
	default:
		text = say("places.free-unknown")
	}
	if place.Stored >= 0 {
		text = say("places.stored", "size", size(place.Stored)) + " · " + text
	}
	if !place.Enough.IsZero() {
		text += " · " + say("places.enough", "month", monthOf(place.Enough.In(p.now().Location())))
	}
	return text
}

func spaceColor(used float64) fyne.ThemeColorName {
	if used > 0.9 {
		return theme.ColorNameWarning
	}
	return theme.ColorNamePrimary
}

// buttons are what can be done with a place: first what helps, if something is wrong.
func (p *places) buttons(place app.Place, signsIn bool, of int) fyne.CanvasObject {
	var list []*button
	helps := remedy(place, signsIn)
	if helps != "" {
		list = append(list, push(say("places.do."+string(helps)), helps.icon(), func() { p.do(helps, place) }))
	}
	deeds := []placeDeed{deedTest, deedCopy}
	if signsIn {
		deeds = append(deeds, deedSignIn)
	}
	if place.Kind != kindDrive {
		deeds = append(deeds, deedChange)
	}
	if of > 1 {
		deeds = append(deeds, deedRemove)
	}
	for _, deed := range deeds {
		if deed != helps {
			list = append(list, quiet(say("places.do."+string(deed)), deed.icon(), func() { p.do(deed, place) }))
		}
	}
	return buttonRow(list...)
}

// do does a deed: those that are a task lead to their page.
func (p *places) do(deed placeDeed, place app.Place) {
	if deed != deedUntrash {
		p.act.do(deed, place)
		return
	}
	p.busy.start(say("places.untrashing"))
	run(p.sc, func(ctx context.Context) (int, error) { return p.coffer.RestoreFolder(ctx, place.ID) }, func(n int, err error) {
		p.busy.stop()
		switch {
		case err != nil:
			p.problem(p.status, err)
		case n == 0:
			p.status.set(toneCareful, say("places.untrashed.none"))
		default:
			p.status.set(toneGood, say("places.untrashed.done"))
			p.load()
		}
	})
}

// removePage says what removing a place means, before it is done.
func (d *desk) removePage(coffer placeKeeper, place app.Place, signsIn bool, back, done func()) *page {
	sc := d.tasks.scope()
	var w *wizardPage
	name := d.placeName(place.Dest)
	withdraw := newTick(say("remove.withdraw"), true, nil)
	body := []fyne.CanvasObject{
		newNotice(tonePlain, say("remove.stays.title"), say("remove.stays.body", "place", name), nil).box,
		plain(say("remove.forgets")),
	}
	if signsIn {
		body = append(body, stack(gap1, withdraw, small(say("remove.withdraw.note"))))
	}
	remove := func() {
		w.work(say("remove.working"))
		signOut := signsIn && withdraw.Checked
		run(sc, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, removePlace(ctx, coffer, place.ID, signOut)
		},
			func(_ struct{}, err error) {
				w.rest()
				if err != nil {
					d.problem(w.hint, err)
					return
				}
				done()
			})
	}
	w = d.taskPage(sc, asked{
		name: "where/remove", title: say("remove.title", "place", name), lead: say("remove.lead"),
		body: body, button: say("remove.button"), do: remove,
	}, back)
	w.focus = w.back
	return &w.page
}

// removePlace takes a place off the list. That its service could not be reached to withdraw
// the sign-in is told, and then nothing was removed.
func removePlace(ctx context.Context, coffer placeKeeper, id string, signOut bool) error {
	if signOut {
		if err := coffer.Disconnect(ctx, id); err != nil {
			return err
		}
	}
	return coffer.RemovePlace(ctx, id)
}
