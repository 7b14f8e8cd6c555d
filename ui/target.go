package ui

import (
	"path/filepath"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
)

// targetPage asks where the files go, and what happens to files that are there already.
func (d *desk) targetPage(sc *scope, r rail, state *restoreState, back, next func()) *page {
	if state.to == "" {
		state.to, state.conflict = toFolder, app.ConflictKeepBoth
		state.target = filepath.Join(d.home, say("target.folder-name"))
	}
	var w *wizardPage
	hint := newHint()
	look := func() {
		ok := state.to != toFolder || filepath.IsAbs(state.target)
		if ok {
			hint.clear()
		} else {
			hint.set(toneCareful, say("sources.add.relative"))
		}
		if w != nil {
			w.allow(ok)
		}
	}
	field := d.newPathField(sc, "", say("target.pick"), func(path string, _ bool) {
		state.target = path
		look()
	})
	field.set(state.target)
	folder := card(stack(gap3, labelled(say("target.folder"), field.box), hint.box))
	rule := d.conflictChoice(state)
	change := func(id string) {
		state.to = id
		setVisible(folder, id == toFolder)
		setVisible(rule, id != toBeside)
		look()
	}
	list := []answer{{toFolder, "files", say("target.to.folder.title"), say("target.to.folder.body")}}
	if canGoBack() {
		list = append(list,
			answer{toBeside, "copy", say("target.to.beside.title"), say("target.to.beside.body")},
			answer{toOriginal, "home", say("target.to.original.title"), say("target.to.original.body")})
	}
	group := newAnswers(state.to, change, list...)
	w = d.ask(sc, r, question{
		name:  "restore/target",
		title: say("target.title"),
		lead:  say("target.lead"),
		body:  []fyne.CanvasObject{group.box, folder, rule},
		next:  say("button.next"), onNext: next, back: back, focus: group.tiles[0],
		drop: func(path string) { field.set(path) },
	})
	group.accept = w.accept
	field.entry.OnSubmitted = func(string) {
		if !w.next.Disabled() {
			next()
		}
	}
	change(state.to)
	return &w.page
}

// conflictChoice asks what happens to a file that is there already.
func (d *desk) conflictChoice(state *restoreState) *fyne.Container {
	rules := []app.Conflict{app.ConflictKeepBoth, app.ConflictKeepNewer, app.ConflictReplace, app.ConflictSkip}
	names := make([]string, len(rules))
	for i, rule := range rules {
		names[i] = say("conflict." + string(rule))
	}
	choice := widget.NewSelect(names, nil)
	for i, rule := range rules {
		if rule == state.conflict {
			choice.SetSelectedIndex(i)
		}
	}
	choice.OnChanged = func(string) { state.conflict = rules[choice.SelectedIndex()] }
	return labelled(say("conflict.title"), choice)
}
