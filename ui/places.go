package ui

import (
	"context"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"coffer/app"
)

// placesPage is the screen Where: the place, and how it is.
func (d *desk) placesPage(coffer interface {
	overviewer
	placeInspector
},
) *page {
	sc := d.tasks.scope()
	status, spinner, facts := newHint(), newBusy(), stack(gap4)
	place := card(facts)
	place.Hide()
	spinner.start(say("where.looking"))
	run(sc, func(ctx context.Context) (placeState, error) { return loadPlace(ctx, coffer) }, func(s placeState, err error) {
		spinner.stop()
		if s.overview.Place != "" {
			d.showPlace(facts, s)
			place.Show()
		}
		if err != nil {
			d.problem(status, err)
		}
	})
	content := stack(gap6,
		stack(gap2, title(say("places.title")), muted(say("places.lead"))),
		spinner.box, status.box, place,
		newNotice(tonePlain, say("places.one.title"), say("places.one.body"), nil).box,
	)
	return &page{name: "where", object: scrolling(pad(gap8, gap6, column(760, content))), scope: sc}
}

type placeState struct {
	overview app.Overview
	info     app.PlaceInfo
}

func loadPlace(ctx context.Context, coffer interface {
	overviewer
	placeInspector
},
) (s placeState, err error) {
	if s.overview, err = coffer.Overview(ctx); err != nil {
		return s, err
	}
	s.info, err = coffer.InspectPlace(ctx, s.overview.Place)
	return s, err
}

func (d *desk) showPlace(box *fyne.Container, s placeState) {
	box.Add(fact("where", say("places.folder"), d.short(s.overview.Place)))
	box.Add(fact("backup", say("places.stored"), size(s.overview.StoredBytes)))
	if s.info.Free >= 0 && s.info.Total > 0 {
		box.Add(fact("files", say("places.free"), say("places.free-of", "free", size(s.info.Free), "total", size(s.info.Total))))
		bar := newMeter()
		used := 1 - float64(s.info.Free)/float64(s.info.Total)
		bar.set(used, spaceColor(used))
		box.Add(bar)
	}
	box.Refresh()
}

func spaceColor(used float64) fyne.ThemeColorName {
	if used > 0.9 {
		return theme.ColorNameWarning
	}
	return theme.ColorNamePrimary
}
