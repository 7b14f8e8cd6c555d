package ui

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// sourceFinder is the part of Coffer that knows the folders of this computer.
type sourceFinder interface {
	SuggestedSources(ctx context.Context) []app.SourceSuggestion
	MeasureSource(ctx context.Context, path string, progress func(files, bytes int64)) (files, bytes int64, err error)
}

// sourceList shows folders with a tick and what they hold, and lets people add others. The
// first run and the screen What share it.
type sourceList struct {
	*desk
	sc      *scope
	coffer  sourceFinder
	sources *[]source
	changed func()
	back    func() // Escape; may be nil

	box  *fyne.Container // all of it
	rows *fyne.Container
	add  *pathField
	hint *hint
}

func (d *desk) newSourceList(sc *scope, coffer sourceFinder, sources *[]source, changed func()) *sourceList {
	l := &sourceList{desk: d, sc: sc, coffer: coffer, sources: sources, changed: changed, rows: stack(gap2), hint: newHint()}
	l.add = d.newPathField(sc, say("sources.add.placeholder"), say("sources.add.pick"), func(path string, whole bool) {
		l.hint.clear()
		if whole && path != "" {
			l.addPath(path)
		}
	})
	addButton := push(say("sources.add.button"), "plus", func() { l.addPath(d.expand(l.add.entry.Text)) })
	l.box = stack(gap3, l.rows, rowFill(gap2, 0, l.add.box, addButton), l.hint.box, small(say("sources.drop")))
	return l
}

// load asks for the folders that most people want to keep, unless they are known already,
// and counts what is in them.
func (l *sourceList) load(suggest bool) {
	l.show()
	if !suggest {
		l.countAll()
		return
	}
	run(l.sc, func(ctx context.Context) ([]app.SourceSuggestion, error) {
		return l.coffer.SuggestedSources(ctx), nil
	}, func(found []app.SourceSuggestion, _ error) {
		for _, s := range found {
			if l.has(s.Path) {
				continue
			}
			// Downloads can be fetched again; everything else is the user's own.
			*l.sources = append(*l.sources, source{id: s.ID, path: s.Path, on: s.ID != "downloads"})
		}
		l.show()
		l.countAll()
	})
}

func (l *sourceList) has(path string) bool {
	return slices.ContainsFunc(*l.sources, func(s source) bool { return s.path == path })
}

// addPath adds a folder, and says why when it does not.
func (l *sourceList) addPath(path string) {
	path = filepath.Clean(path)
	switch {
	case path == "." || path == "":
		l.hint.set(toneCareful, say("sources.add.none"))
		return
	case !filepath.IsAbs(path):
		l.hint.set(toneCareful, say("sources.add.relative"))
		return
	case l.has(path):
		l.turnOn(path)
		return
	}
	run(l.sc, func(ctx context.Context) (string, error) { return path, folderExists(path) }, func(path string, err error) {
		if err != nil {
			l.hint.set(toneCareful, say("sources.add.missing", "path", path))
			return
		}
		l.hint.clear()
		l.add.set("")
		*l.sources = append(*l.sources, source{path: path, on: true})
		l.show()
		l.count(path)
	})
}

func (l *sourceList) turnOn(path string) {
	l.add.set("")
	l.update(path, func(s *source) { s.on = true })
	l.show()
}

// update changes the source of a path, if it is still there.
func (l *sourceList) update(path string, change func(*source)) {
	for i := range *l.sources {
		if (*l.sources)[i].path == path {
			change(&(*l.sources)[i])
		}
	}
}

func (l *sourceList) countAll() {
	for _, s := range *l.sources {
		if !s.counted {
			l.count(s.path)
		}
	}
}

// count measures a folder in the background and shows the figures as they grow.
func (l *sourceList) count(path string) {
	type counts struct{ files, bytes int64 }
	show := func(c counts) {
		l.update(path, func(s *source) {
			if !s.counted {
				s.files, s.bytes = c.files, c.bytes
			}
		})
		l.show()
	}
	p := newPresenter(l.sc.onUI, l.now, show)
	run(l.sc, func(ctx context.Context) (counts, error) {
		files, bytes, err := l.coffer.MeasureSource(ctx, path, func(files, bytes int64) { p.event(counts{files, bytes}) })
		return counts{files, bytes}, err
	}, func(c counts, err error) {
		l.update(path, func(s *source) {
			s.files, s.bytes, s.counted, s.unreadable = c.files, c.bytes, true, err != nil
		})
		l.show()
		if !slices.ContainsFunc(*l.sources, func(s source) bool { return !s.counted }) {
			l.log.Debug("sources counted", "sources", len(*l.sources))
		}
	})
}

// show brings the rows up to date. Rows that are there already are kept, so that the focus
// stays where it is while figures grow.
func (l *sourceList) show() {
	if len(l.rows.Objects) != len(*l.sources) {
		l.rebuild()
	}
	for i, s := range *l.sources {
		r := l.rows.Objects[i].(*fyne.Container)
		r.Objects[0].(*tick).SetChecked(s.on)
		r.Objects[2].(*words).set(sourceFigure(s))
	}
	l.rows.Refresh()
	if l.changed != nil {
		l.changed()
	}
}

func (l *sourceList) rebuild() {
	l.rows.RemoveAll()
	for _, s := range *l.sources {
		path := s.path
		name := filepath.Base(path)
		if s.id != "" {
			name = say("source." + s.id)
		}
		t := newTick(name, s.on, nil)
		t.OnChanged = func(on bool) {
			l.update(path, func(s *source) { s.on = on })
			l.show()
		}
		where := smallLine(l.short(path))
		l.rows.Add(rowFill(gap3, 1, t, where, whole(sourceFigure(s))))
	}
	escapable(l.rows, l.back)
}

func sourceFigure(s source) string {
	switch {
	case s.unreadable:
		return say("sources.unreadable")
	case !s.counted && s.files == 0:
		return say("sources.counting")
	}
	return size(s.bytes)
}

// sourcesPage asks what to keep safe.
func (d *desk) sourcesPage(sc *scope, r rail, coffer sourceFinder, state *setupState, back, next func()) *page {
	total := strong("")
	var w *wizardPage
	list := d.newSourceList(sc, coffer, &state.sources, func() {
		files, bytes, counted := state.total()
		key := "sources.total"
		if !counted {
			key = "sources.total-counting"
		}
		total.set(sayN(key, files, "size", size(bytes)))
		if w != nil {
			w.allow(len(state.chosen()) > 0)
		}
	})
	list.back = back
	w = d.ask(sc, r, question{
		name:  "setup/sources",
		title: say("sources.title"),
		lead:  say("sources.lead"),
		body: []fyne.CanvasObject{
			card(stack(gap4, list.box)), total, leftOut(app.DefaultExcludes()),
		},
		next: say("button.next"), onNext: next, back: back,
		drop: list.addPath,
	})
	w.allow(len(state.chosen()) > 0)
	list.load(len(state.sources) == 0)
	return &w.page
}

// excludesOf gives the patterns of a profile their reasons. Those that people have added
// are their own choice.
func excludesOf(patterns []string) (excludes []app.Exclude) {
	defaults := app.DefaultExcludes()
	for _, p := range patterns {
		e := app.Exclude{Pattern: p}
		if i := slices.IndexFunc(defaults, func(d app.Exclude) bool { return d.Pattern == p }); i >= 0 {
			e = defaults[i]
		}
		excludes = append(excludes, e)
	}
	return excludes
}

// leftOut says what the backup does not take, and why; the list itself opens with a button.
func leftOut(excludes []app.Exclude) fyne.CanvasObject {
	if len(excludes) == 0 {
		return muted(say("sources.left-out.nothing"))
	}
	var reasons []string
	patterns := map[string][]string{}
	for _, e := range excludes {
		if !slices.Contains(reasons, e.Reason) {
			reasons = append(reasons, e.Reason)
		}
		patterns[e.Reason] = append(patterns[e.Reason], e.Pattern)
	}
	rows := stack(gap3)
	for _, why := range reasons {
		list := newWords(strings.Join(patterns[why], "   "), wordStyle{mono: true, size: sizeSmall, color: colorMuted})
		title := say("sources.left-out.own")
		if why != "" {
			title = reason(why)
		}
		rows.Add(stack(gap1, plain(title), list))
	}
	rows.Hide()
	var toggle *button
	toggle = quiet(say("sources.left-out.show"), "", func() {
		setVisible(rows, rows.Hidden)
		if rows.Hidden {
			toggle.SetText(say("sources.left-out.show"))
		} else {
			toggle.SetText(say("sources.left-out.hide"))
		}
	})
	head := rowFill(gap3, 0, muted(sayN("sources.left-out", int64(len(reasons)))), toggle)
	return stack(gap2, head, rows)
}
