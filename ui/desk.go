package ui

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
)

// A desk is what every screen has at hand. It belongs to the UI goroutine.
type desk struct {
	tasks    *tasks
	now      func() time.Time
	log      *slog.Logger
	home     string // the user's own folder
	computer string
	picker   Picker
	explain  func(error) app.Failure
	window   fyne.Window
	openURL  func(address string) error // in the browser
	twoLines func() (first, second int) // of the key, to be typed as a proof: 1 to 8, first < second
}

// A page is a screen as the window shows it.
type page struct {
	name   string // "home", "setup/where": in the log, for tests and support
	object fyne.CanvasObject
	focus  fyne.Focusable    // gets the focus first; may be nil
	back   func()            // Escape; may be nil
	drop   func(path string) // for each file or folder dropped onto the window; may be nil
	scope  *scope            // closed when the page is left
}

// randomLines picks two different lines of a key. That they are hard to foresee is no
// protection: it only keeps people from proving the same two each time.
func randomLines() (first, second int) {
	first, second = rand.IntN(8)+1, rand.IntN(7)+1
	if second >= first {
		second++
	}
	return min(first, second), max(first, second)
}

// copySecret puts text on the clipboard and takes it away after a minute, unless something
// else is there by then.
func (d *desk) copySecret(text string) {
	clipboard := fyne.CurrentApp().Clipboard()
	clipboard.SetContent(text)
	d.tasks.after(time.Minute, func() {
		if clipboard.Content() == text {
			clipboard.SetContent("")
		}
	})
}

// browse shows an address in the browser, and reports whether there is one. The address is
// not logged: that of a sign-in belongs to one person.
func (d *desk) browse(address string) bool {
	err := d.openURL(address)
	if err != nil {
		d.log.Info("browser not opened")
	}
	return err == nil
}

// problem says a failure in a hint.
func (d *desk) problem(h *hint, err error) {
	f := d.explain(err)
	if f.Code == app.CodeCanceled {
		h.clear()
		return
	}
	h.set(toneBad, d.sentence(f))
}

// sentence is a failure in one line.
func (d *desk) sentence(f app.Failure) string {
	head, body := trouble(f, d.now())
	return strings.TrimSpace(head + " " + body)
}

// expand turns what people type into a path: ~ is their own folder.
func (d *desk) expand(path string) string {
	path = strings.TrimSpace(path)
	switch {
	case path == "~":
		return d.home
	case strings.HasPrefix(path, "~/"), strings.HasPrefix(path, `~\`):
		return filepath.Join(d.home, path[2:])
	}
	return path
}

// short writes a path below the user's own folder with ~.
func (d *desk) short(path string) string {
	if d.home != "" && (path == d.home || strings.HasPrefix(path, d.home+string(os.PathSeparator))) {
		return "~" + path[len(d.home):]
	}
	return path
}

// inside reports whether path is one of the folders or lies below one, and in which.
func inside(path string, folders []string) (folder string, is bool) {
	for _, f := range folders {
		rel, err := filepath.Rel(f, path)
		if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(os.PathSeparator)) {
			return f, true
		}
	}
	return "", false
}

// A pathField is a path that can be typed or chosen.
type pathField struct {
	box   *fyne.Container
	entry *field
	pick  *button
}

// newPathField makes a field for a folder. changed is called for each change and each
// choice; with chosen, when the choice is whole: picked, or Enter was pressed.
func (d *desk) newPathField(sc *scope, placeholder, pickTitle string, changed func(path string, chosen bool)) *pathField {
	p := &pathField{entry: newField(placeholder)}
	p.entry.OnChanged = func(s string) { changed(d.expand(s), false) }
	p.entry.OnSubmitted = func(s string) { changed(d.expand(s), true) }
	p.pick = push(say("pick.choose"), "files", func() {
		d.picker.Folder(sc, pickTitle, d.expand(p.entry.Text), func(path string) {
			p.entry.SetText(path)
			changed(path, true)
		})
	})
	p.box = rowFill(gap2, 0, p.entry, p.pick)
	return p
}

func (p *pathField) set(path string) { p.entry.SetText(path) }

// escapable makes Escape go back from every control below root.
func escapable(root fyne.CanvasObject, back func()) {
	if back == nil || root == nil {
		return
	}
	if e, ok := root.(interface{ onEscape(func()) }); ok {
		e.onEscape(back)
	}
	for _, child := range below(root) {
		escapable(child, back)
	}
}

// below returns the objects that a container or a widget of ours holds.
func below(o fyne.CanvasObject) []fyne.CanvasObject {
	switch o := o.(type) {
	case *fyne.Container:
		return o.Objects
	case *container.Scroll:
		return []fyne.CanvasObject{o.Content}
	case *panel:
		if o.content != nil {
			return []fyne.CanvasObject{o.content}
		}
	case *tile:
		return []fyne.CanvasObject{o.content}
	}
	return nil
}

// firstFocusable is the first control inside an object; nil when there is none.
func firstFocusable(o fyne.CanvasObject) fyne.Focusable {
	if f, ok := o.(fyne.Focusable); ok {
		return f
	}
	for _, child := range below(o) {
		if f := firstFocusable(child); f != nil {
			return f
		}
	}
	return nil
}

// busy is a spinner with a verb, for what takes longer than a moment.
type busy struct {
	box     *fyne.Container
	spinner *widget.Activity
	verb    *words
}

func newBusy() *busy {
	b := &busy{spinner: widget.NewActivity(), verb: wholeMuted("")}
	b.box = row(gap2, sized(20, 20, b.spinner), b.verb)
	b.box.Hide()
	return b
}

func (b *busy) start(verb string) {
	b.verb.set(verb)
	b.box.Show()
	b.spinner.Start()
	b.box.Refresh()
}

func (b *busy) stop() {
	b.spinner.Stop()
	b.box.Hide()
}
