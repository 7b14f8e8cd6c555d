package ui

import (
	"context"
	"slices"

	"coffer/app"
)

// settingsKeeper is the part of Coffer that keeps what people set.
type settingsKeeper interface {
	Settings() app.Settings
	SaveSettings(s app.Settings) error
}

// keepPage is the screen What: the sources, and what is left out.
func (d *desk) keepPage(coffer interface {
	sourceFinder
	settingsKeeper
}, settings app.Settings, saved func(),
) *page {
	sc := d.tasks.scope()
	var sources []source
	for _, path := range settings.Sources {
		sources = append(sources, source{path: path, on: true})
	}
	status := newHint()
	var save *button
	before := settings.Sources
	list := d.newSourceList(sc, coffer, &sources, func() {
		if save != nil {
			save.enable(!slices.Equal(before, onPaths(sources)))
		}
	})
	save = action(say("keep.save"), "check", func() {
		settings.Sources = onPaths(sources)
		settings := settings
		run(sc, func(context.Context) (struct{}, error) { return struct{}{}, coffer.SaveSettings(settings) },
			func(_ struct{}, err error) {
				if err != nil {
					d.problem(status, err)
					return
				}
				before = settings.Sources
				save.enable(false)
				status.set(toneGood, say("keep.saved"))
				saved()
			})
	})
	save.enable(false)
	list.load(false)
	content := stack(gap6,
		stack(gap2, title(say("keep.title")), muted(say("keep.lead"))),
		card(list.box), stack(gap3, row(0, save), status.box),
		leftOut(excludesOf(settings.Exclude)),
	)
	return &page{
		name: "what", object: scrolling(pad(gap8, gap6, column(760, content))),
		focus: list.add.entry, drop: list.addPath, scope: sc,
	}
}

func onPaths(sources []source) []string {
	state := setupState{sources: sources}
	return state.chosen()
}
