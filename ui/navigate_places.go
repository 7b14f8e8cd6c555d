package ui

import (
	"context"
	"slices"
	"strings"

	"coffer/app"
)

// This file is the navigation of the screen Where.

// openPlaces shows the screen Where, or one of its tasks: "add", "test/ID", "copy/ID".
func (w *Window) openPlaces(task string) {
	deed, id, _ := strings.Cut(task, "/")
	switch {
	case deed == "":
		w.showPlaces()
	case deed == "add":
		w.withPlaces(func(l placeList) {
			var notices []app.Notice
			adding := w.adding(l, func(app.PlaceInfo) {
				w.notices = notices
				w.Open("where")
			}, func(ctx context.Context, info app.PlaceInfo) (err error) {
				_, notices, err = w.coffer.AddPlace(ctx, info.Dest, true)
				return err
			})
			if id != "" {
				adding.openForm(id)
				return
			}
			adding.begin()
		})
	case deed == "copying" && w.copy != nil:
		w.showCopy()
	default:
		w.withPlace(id, func(l placeList, p app.Place) { w.doWithPlace(placeDeed(deed), l, p) })
	}
}

func (w *Window) showPlaces() {
	act := placesActions{
		do:     func(deed placeDeed, p app.Place) { w.Open("where/" + string(deed) + "/" + p.ID) },
		add:    func() { w.Open("where/add") },
		toCopy: func() { w.Open("where/copying") }, notices: w.notices,
	}
	w.notices = nil
	if w.copy != nil && !w.copy.ended {
		act.copying = &copyState{figure: w.copy.state().figure}
	}
	w.showNav(w.placesPage(w.coffer, act))
}

// withPlaces asks for the places of the profile. Where that fails, the list says why.
func (w *Window) withPlaces(then func(placeList)) {
	run(w.life, func(context.Context) (placeList, error) { return loadPlaces(w.coffer) }, func(l placeList, err error) {
		if err != nil {
			w.Open("where")
			return
		}
		then(l)
	})
}

// withPlace finds a place of the profile. One that is gone leads back to the list.
func (w *Window) withPlace(id string, then func(placeList, app.Place)) {
	w.withPlaces(func(l placeList) {
		at := slices.IndexFunc(l.places, func(p app.Place) bool { return p.ID == id })
		if at < 0 {
			w.Open("where")
			return
		}
		then(l, l.places[at])
	})
}

func (w *Window) doWithPlace(deed placeDeed, l placeList, p app.Place) {
	toList := func() { w.Open("where") }
	signsIn := kindOf(l.kinds, p.Kind).SignIn
	switch deed {
	case deedTest:
		w.showNav(w.testPage(w.coffer, p, toList))
	case deedSignIn:
		w.changing(l, p).signInPage(nil)
	case deedLook:
		w.changing(l, p).tryAgain()
	case deedChange:
		w.changing(l, p).formPage()
	case deedCopy:
		w.showCopyTo(l, p)
	case deedRemove:
		w.showNav(w.removePage(w.coffer, p, signsIn, toList, toList))
	case deedAgain:
		w.Open("home")
		w.backUp()
	default:
		toList()
	}
}

// changing leads to another way to reach a place of the profile.
func (w *Window) changing(l placeList, p app.Place) *connecting {
	toList := func() { w.Open("where") }
	return &connecting{
		desk: w.desk, coffer: w.coffer, purpose: toChange, at: "where/change", show: w.showNav, leave: toList,
		done: func(app.PlaceInfo) { w.Open("where") }, place: p, kinds: l.kinds, draft: draftOf(kindOf(l.kinds, p.Kind), p),
	}
}

// adding leads to one more place. add does what the last button says, and done follows it.
func (w *Window) adding(l placeList, done func(app.PlaceInfo), add func(context.Context, app.PlaceInfo) error) *connecting {
	return &connecting{
		desk: w.desk, coffer: w.coffer, purpose: toAdd, at: "where/add", show: w.showNav,
		leave: func() { w.Open("where") }, done: done, add: add, need: l.need(), sources: w.settings.Sources,
	}
}

// showCopyTo asks where a copy goes.
func (w *Window) showCopyTo(l placeList, from app.Place) {
	if w.copy != nil && !w.copy.ended {
		w.showCopy()
		return
	}
	var others []app.Place
	for _, p := range l.places {
		if p.ID != from.ID {
			others = append(others, p)
		}
	}
	start := func(to string) { w.startCopy(from, to) }
	// CopyPlace itself makes a new place one of the profile's, when everything is there.
	nothing := func(context.Context, app.PlaceInfo) error { return nil }
	elsewhere := func() { w.adding(l, func(info app.PlaceInfo) { start(info.Dest) }, nothing).begin() }
	w.showNav(w.copyToPage(from, others, func() { w.Open("where") }, start, elsewhere))
}

func (w *Window) startCopy(from app.Place, to string) {
	w.copyAgain = func() { w.startCopy(from, to) }
	w.copy = startCopy(w.desk, w.life, w.coffer, from, to, func() {})
	w.showCopy()
}

// showCopy shows the copy that runs, or how the last one ended.
func (w *Window) showCopy() {
	w.showNav(w.copyingPage(w.copy, func() { w.Open("where") }, w.copyAgain))
}
