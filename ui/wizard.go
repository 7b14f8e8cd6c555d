package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// readable is the widest that a column of text becomes.
const readable = 640

// A question is one screen of a wizard: one thing to decide, Back, and the way on.
type question struct {
	name  string // of the page
	title string
	lead  string // below the title; may be ""
	body  []fyne.CanvasObject

	next   string // on the main button; "" for none
	onNext func()
	aside  *button // a second way on; may be nil
	back   func()  // nil on the first screen

	focus fyne.Focusable
	drop  func(string)
}

// A wizardPage is a question on screen.
type wizardPage struct {
	page
	window     fyne.Window
	next, back *button
	hint       *hint // why something does not work, above the buttons
	busy       *busy
	title      *words
	lead       *words // below the title; nil without one
	body       *fyne.Container
	aside      *button
	stop       *button // beside the spinner, while what runs can be stopped
}

// rail is the row of steps at the left: done, current, to come.
type rail struct {
	steps []string
	at    int
}

// ask builds the page of a question.
func (d *desk) ask(sc *scope, r rail, q question) *wizardPage {
	w := &wizardPage{window: d.window, hint: newHint(), busy: newBusy()}
	w.page = page{name: q.name, back: q.back, focus: q.focus, drop: q.drop, scope: sc}

	w.title = title(q.title)
	text := stack(gap2, w.title)
	if q.lead != "" {
		w.lead = muted(q.lead)
		text.Add(w.lead)
	}
	w.body, w.aside = stack(gap4, q.body...), q.aside
	content := stack(gap6, text, w.body)
	middle := scrolling(pad(gap8, gap8, column(readable, content)))
	var object fyne.CanvasObject = container.NewBorder(nil, w.footer(q), nil, nil, middle)
	w.object = object
	if len(r.steps) > 0 {
		w.object = container.New(frameLayout{bar: 232, narrowest: 620}, r.object(), object)
	}
	if w.focus == nil && w.next != nil {
		w.focus = w.next
	}
	escapable(w.object, q.back)
	return w
}

func (w *wizardPage) footer(q question) fyne.CanvasObject {
	var parts []fyne.CanvasObject
	if q.back != nil {
		w.back = quiet(say("button.back"), "back", q.back)
		parts = append(parts, w.back)
	}
	fill := len(parts)
	w.stop = quiet(say("button.cancel"), "", nil)
	w.stop.Hide()
	parts = append(parts, container.NewHBox(w.busy.box, w.stop))
	if q.aside != nil {
		parts = append(parts, q.aside)
	}
	if q.next != "" {
		w.next = action(q.next, "", q.onNext)
		parts = append(parts, w.next)
	}
	bar := stack(gap3, w.hint.box, rowFill(gap3, fill, parts...))
	return container.NewBorder(widget.NewSeparator(), nil, nil, nil, pad(gap8, gap4, bar))
}

// allow opens or closes the way on. When it opens and nothing else has the focus, it gets
// it, so that Enter goes on.
func (w *wizardPage) allow(on bool) {
	w.next.enable(on)
	canvas := w.window.Canvas()
	if on && canvas.Focused() == nil {
		canvas.Focus(w.next)
	}
}

// allowQuietly is allow while the page is built or typed into: the focus stays.
func (w *wizardPage) allowQuietly(on bool) { w.next.enable(on) }

// offerStop shows a button that ends what runs, until rest.
func (w *wizardPage) offerStop(stop func()) {
	w.stop.OnTapped = stop
	w.stop.Show()
}

// accept goes on, if the way is open.
func (w *wizardPage) accept() {
	if w.next != nil {
		w.next.press()
	}
}

// work shows that something runs, and keeps the main button from starting it twice.
func (w *wizardPage) work(verb string) {
	w.hint.clear()
	w.busy.start(verb)
	if w.next != nil {
		w.next.enable(false)
	}
}

// rest undoes work.
func (w *wizardPage) rest() {
	w.busy.stop()
	w.stop.Hide()
	if w.next != nil {
		w.allow(true)
	}
}

// fail ends a page whose work ended early: o takes the place of what was there.
func (w *wizardPage) fail(o fyne.CanvasObject) {
	if w.aside != nil {
		w.aside.Hide()
	}
	w.body.Objects = []fyne.CanvasObject{o}
	w.body.Refresh()
}

func (r rail) object() fyne.CanvasObject {
	rows := make([]fyne.CanvasObject, 0, len(r.steps))
	for i, s := range r.steps {
		mark, color, bold := "radio-off", colorMuted, false
		switch {
		case i < r.at:
			mark, color = "ok", theme.ColorNameSuccess
		case i == r.at:
			mark, color, bold = "radio-on", theme.ColorNamePrimary, true
		}
		textColor := colorMuted
		if bold {
			textColor = theme.ColorNameForeground
		}
		label := newWords(s, wordStyle{oneRow: true, bold: bold, color: textColor})
		rows = append(rows, rowFill(gap2, 1, icon(mark, color), label))
	}
	inside := stack(gap8, brand(), stack(gap4, rows...))
	return newPanel(colorRail, "", 0, pad(gap6, gap8, container.NewVBox(inside)))
}

// brand is the sign and the name.
func brand() fyne.CanvasObject {
	name := newWords(say("app.name"), wordStyle{size: sizeHeading, bold: true, oneRow: true})
	return rowFill(gap3, 1, picture("coffer", 34, 30), name)
}

// modal asks one thing over the page, with as many buttons as there are ways on. The first
// gets the focus; Escape is the last.
func (d *desk) modal(titleText, body string, buttons ...*button) {
	canvas := d.window.Canvas()
	row := container.NewHBox()
	for _, b := range buttons {
		row.Add(b)
	}
	content := sized(420, 0, pad(gap6, gap6, stack(gap4, heading(titleText), plain(body), container.NewHBox(row))))
	pop := widget.NewModalPopUp(content, canvas)
	last := buttons[len(buttons)-1]
	for _, b := range buttons {
		tapped := b.OnTapped
		b.OnTapped = func() {
			pop.Hide()
			if tapped != nil {
				tapped()
			}
		}
	}
	for _, b := range buttons {
		b.onEscape(last.OnTapped)
	}
	pop.Show()
	canvas.Focus(buttons[0])
}
