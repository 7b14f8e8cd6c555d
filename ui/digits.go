package ui

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
	"coffer/assets"
)

// digitsCard shows the 64 digits as they are printed: eight numbered lines, each with its
// check. Strings cannot be wiped: it is dropped with the page.
func digitsCard(lines [8]app.RecoveryLine) fyne.CanvasObject {
	cells := make([]fyne.CanvasObject, 8)
	for i, l := range lines {
		number := newWords(itoa(i+1), wordStyle{whole: true, color: colorMuted, size: sizeSmall})
		text := newWords(l.Digits, wordStyle{whole: true, mono: true, size: sizeDigits, bold: true})
		parts := []fyne.CanvasObject{sized(14, 0, number), text}
		if l.Check != "" {
			parts = append(parts, newWords(l.Check, wordStyle{whole: true, mono: true, size: sizeSmall, color: colorMuted}))
		}
		cells[i] = row(gap3, parts...)
	}
	// Down the first column, then down the second, as people read a sheet.
	half := func(from int) fyne.CanvasObject { return stack(gap3, cells[from:from+4]...) }
	return card(flow(gap6, 200, half(0), half(4)))
}

// A digitLine is one numbered line of digits being typed. It turns right or wrong as it is
// typed.
type digitLine struct {
	n     int
	entry *field
	mark  *widget.Icon
	state app.LineState
	judge func(n int, typed string) app.LineState
	box   *fyne.Container
}

func newDigitLine(n int, judge func(int, string) app.LineState, changed func(typed string)) *digitLine {
	l := &digitLine{n: n, judge: judge, entry: newMonoField("0000 0000"), mark: icon("radio-off", colorMuted)}
	l.entry.OnChanged = func(s string) {
		l.look()
		changed(s)
	}
	number := newWords(itoa(n), wordStyle{whole: true, bold: true, color: colorMuted})
	l.box = rowFill(gap3, 1, sized(16, 0, number), l.entry, sized(20, 20, l.mark))
	return l
}

// look judges what stands in the line.
func (l *digitLine) look() {
	l.state = l.judge(l.n, l.entry.Text)
	name, color := "radio-off", colorMuted
	switch l.state {
	case app.LineRight:
		name, color = "ok", theme.ColorNameSuccess
	case app.LineWrong:
		name, color = "wrong", theme.ColorNameError
	}
	l.mark.SetResource(assets.IconIn(name, color))
}

// keyEntry takes all 64 digits, line by line. A key pasted into any line fills all of them.
type keyEntry struct {
	lines   []*digitLine
	box     *fyne.Container
	changed func()
	filling bool
}

func newKeyEntry(changed func()) *keyEntry {
	k := &keyEntry{changed: changed}
	boxes := make([]fyne.CanvasObject, 8)
	for i := range 8 {
		l := newDigitLine(i+1, app.CheckRecoveryLine, func(typed string) { k.typed(i, typed) })
		k.lines = append(k.lines, l)
		boxes[i] = l.box
	}
	k.box = flow(gap6, 230, stack(gap2, boxes[:4]...), stack(gap2, boxes[4:]...))
	return k
}

// typed spreads a whole key over the lines, and moves on when a line is right.
func (k *keyEntry) typed(i int, text string) {
	if k.filling {
		return
	}
	if key, err := app.ParseRecoveryKey([]byte(text)); err == nil {
		k.fill(key)
		key.Wipe()
	}
	k.changed()
}

func (k *keyEntry) fill(key app.RootKey) {
	k.filling = true
	defer func() { k.filling = false }()
	for i, digits := range keyLines(key) {
		k.lines[i].entry.SetText(digits)
		k.lines[i].look()
	}
}

// text is what stands in the lines, for package app to parse.
func (k *keyEntry) text() string {
	parts := make([]string, 8)
	for i, l := range k.lines {
		parts[i] = l.entry.Text
	}
	return strings.Join(parts, "\n")
}

// whole reports whether every line is right.
func (k *keyEntry) whole() bool {
	for _, l := range k.lines {
		if l.state != app.LineRight {
			return false
		}
	}
	return true
}

// wrong returns the first line that is wrong; 0 when none is.
func (k *keyEntry) wrong() int {
	for _, l := range k.lines {
		if l.state == app.LineWrong {
			return l.n
		}
	}
	return 0
}
