package ui

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
)

// sheetWriter is the part of Coffer that makes the recovery sheet.
type sheetWriter interface {
	WriteSheet(ctx context.Context, w io.Writer, key app.RootKey, paper, place string) error
}

// sheetSaver lets people save the recovery sheet as a PDF. The first run and the screen
// Key & recovery share it.
type sheetSaver struct {
	*desk
	sc      *scope
	coffer  sheetWriter
	key     app.RootKey // zero: that of the profile
	place   string
	sources func() []string // to warn when the sheet is saved inside one
	saved   func(path, paper string)

	field   *field
	paper   *widget.Select
	save    *button
	open    *button
	hint    *hint
	busy    *busy
	box     *fyne.Container
	replace bool // the dialog asked already
}

func (d *desk) newSheetSaver(sc *scope, coffer sheetWriter, key app.RootKey, place string, state sheetState, sources func() []string, saved func(path, paper string)) *sheetSaver {
	s := &sheetSaver{desk: d, sc: sc, coffer: coffer, key: key, place: place, sources: sources, saved: saved}
	s.field, s.hint, s.busy = newField(say("sheet.path")), newHint(), newBusy()
	s.field.SetText(state.path)
	if state.path == "" {
		s.field.SetText(filepath.Join(d.home, say("sheet.file")+".pdf"))
	}
	s.field.OnChanged = func(string) { s.replace = false; s.warn() }
	s.field.OnSubmitted = func(string) { s.start() }
	s.paper = widget.NewSelect([]string{"A4", "Letter"}, nil)
	s.paper.SetSelected("A4")
	if state.paper != "" {
		s.paper.SetSelected(state.paper)
	}
	pick := push(say("pick.choose"), "files", func() {
		d.picker.Save(sc, say("sheet.pick"), d.expand(s.field.Text), func(path string) {
			s.field.SetText(path)
			s.replace = true
			s.start()
		})
	})
	s.save = push(say("sheet.save"), "save", s.start)
	s.open = quiet(say("sheet.open"), "document", s.view)
	s.open.Hide()
	s.box = stack(gap3,
		labelled(say("sheet.path"), rowFill(gap2, 0, s.field, pick)),
		wrapRow(gap3, row(gap2, wholeMuted(say("sheet.paper")), s.paper), s.save, s.open),
		s.busy.box, s.hint.box,
	)
	if state.path != "" {
		s.hint.set(toneGood, say("sheet.saved", "path", d.short(state.path)))
		s.open.Show()
	} else {
		s.warn()
	}
	return s
}

// warn says that a sheet inside a folder that is backed up is a key inside its own chest.
func (s *sheetSaver) warn() {
	if folder, is := inside(s.expand(s.field.Text), s.sources()); is {
		s.hint.set(toneCareful, say("sheet.inside", "folder", s.short(folder)))
		return
	}
	s.hint.clear()
}

func (s *sheetSaver) start() {
	path, paper, replace := s.expand(s.field.Text), s.paper.Selected, s.replace
	if !filepath.IsAbs(path) {
		s.hint.set(toneCareful, say("sheet.no-path"))
		return
	}
	s.save.enable(false)
	s.busy.start(say("sheet.saving"))
	run(s.sc, func(ctx context.Context) (string, error) {
		return path, saveFile(path, replace, func(w io.Writer) error {
			return s.coffer.WriteSheet(ctx, w, s.key, paper, s.place)
		})
	}, func(path string, err error) {
		s.save.enable(true)
		s.busy.stop()
		switch {
		case errors.Is(err, fs.ErrExist):
			s.hint.set(toneCareful, say("sheet.exists"))
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			s.hint.set(toneBad, say("sheet.failed", "path", s.short(filepath.Dir(path))))
		case err != nil:
			s.problem(s.hint, err)
		default:
			s.done(path, paper)
		}
	})
}

func (s *sheetSaver) done(path, paper string) {
	s.open.Show()
	s.replace = true // what is there now is ours
	s.hint.set(toneGood, say("sheet.saved", "path", s.short(path)))
	if folder, is := inside(path, s.sources()); is {
		s.hint.set(toneCareful, say("sheet.saved-inside", "folder", s.short(folder)))
	}
	s.box.Refresh()
	s.saved(path, paper)
	s.log.Debug("sheet saved")
}

// view opens the PDF in the program that the system has for it, where it can be printed.
func (s *sheetSaver) view() {
	u := &url.URL{Scheme: "file", Path: filepath.ToSlash(s.expand(s.field.Text))}
	if err := fyne.CurrentApp().OpenURL(u); err != nil {
		s.hint.set(toneCareful, say("sheet.open-failed"))
	}
}

// onSheet is the place as the recovery sheet has it: its text, by which Coffer finds it
// again, and the account in which it is.
func onSheet(dest, account string) string {
	if account == "" {
		return dest
	}
	return say("sheet.place", "place", dest, "account", account)
}

// sheetPage asks to save the recovery sheet.
func (d *desk) sheetPage(sc *scope, r rail, coffer sheetWriter, state *setupState, back, next, later func()) *page {
	var w *wizardPage
	saver := d.newSheetSaver(sc, coffer, state.key, onSheet(state.place.Dest, state.place.Account), state.sheet, state.chosen, func(path, paper string) {
		state.sheet = sheetState{path: path, paper: paper}
		w.allow(true)
		d.window.Canvas().Focus(w.next)
	})
	var aside *button
	switch {
	case state.sheetCanWait():
		aside = quiet(say("sheet.later"), "", later)
	case state.lock == app.LockKey:
		aside = quiet(say("sheet.by-hand"), "", next)
	}
	key := string(state.lock)
	w = d.ask(sc, r, question{
		name:  "setup/sheet",
		title: say("sheet.title"),
		lead:  say("sheet.lead." + key),
		body: []fyne.CanvasObject{
			rowTop(gap6, 1, picture("paper", 150, 105), stack(gap3,
				sheetPoint("digits", say("sheet.holds.key")),
				sheetPoint("where", say("sheet.holds.place")),
				sheetPoint("restore", say("sheet.holds.steps")))),
			card(saver.box),
		},
		next: say("button.next"), onNext: next, back: back, aside: aside, focus: saver.save,
	})
	w.allow(state.sheet.path != "")
	if state.lock == app.LockPassword && !state.sheetCanWait() {
		w.hint.set(tonePlain, say("sheet.must"))
	}
	return &w.page
}

func sheetPoint(iconName, text string) fyne.CanvasObject {
	return rowTop(gap3, 1, icon(iconName, colorMuted), plain(text))
}
