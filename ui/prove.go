package ui

import (
	"context"
	"fmt"
	"io"
	"os"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// sheetReader is the part of Coffer that reads the key from a recovery sheet's PDF.
type sheetReader interface {
	ReadSheetPDF(ctx context.Context, r io.Reader) (app.RootKey, error)
}

// maxSheet bounds a file dropped as a recovery sheet, in bytes. Ours has a tenth of that.
const maxSheet = 8 << 20

// readSheet reads the key from the PDF at path.
func readSheet(ctx context.Context, coffer sheetReader, path string) (app.RootKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return app.RootKey{}, fmt.Errorf("open sheet: %w", err)
	}
	defer f.Close()
	return coffer.ReadSheetPDF(ctx, io.LimitReader(f, maxSheet))
}

// proof lets people show that they have the key: two lines typed from the sheet, or its
// PDF. A tick box would prove nothing.
type proof struct {
	*desk
	sc     *scope
	judge  func(n int, typed string) app.LineState
	lines  [2]*digitLine
	hint   *hint
	box    *fyne.Container
	proven func() // called once
	done   bool
}

// newProof asks for two lines. judge says whether a line is that of the key.
func (d *desk) newProof(sc *scope, judge func(n int, typed string) app.LineState, proven func()) *proof {
	p := &proof{desk: d, sc: sc, judge: judge, hint: newHint(), proven: proven}
	first, second := d.twoLines()
	d.log.Debug("lines asked", "first", first, "second", second)
	p.lines[0] = newDigitLine(first, judge, func(string) { p.look() })
	p.lines[1] = newDigitLine(second, judge, func(string) { p.look() })
	p.box = stack(gap3,
		labelled(say("prove.line", "n", first), p.lines[0].box),
		labelled(say("prove.line", "n", second), p.lines[1].box),
		p.hint.box,
	)
	p.look()
	return p
}

func (p *proof) look() {
	a, b := p.lines[0], p.lines[1]
	switch {
	case a.state == app.LineRight && b.state == app.LineRight:
		p.pass(say("prove.right"))
	case a.state == app.LineWrong:
		p.hint.set(toneBad, say("prove.wrong", "n", a.n))
	case b.state == app.LineWrong:
		p.hint.set(toneBad, say("prove.wrong", "n", b.n))
	case a.state == app.LineRight:
		p.hint.set(tonePlain, say("prove.one-more"))
	default:
		p.hint.set(tonePlain, say("prove.how"))
	}
}

func (p *proof) pass(text string) {
	p.hint.set(toneGood, text)
	if !p.done {
		p.done = true
		p.proven()
		p.log.Debug("sheet proven")
	}
}

// takeSheet proves by the PDF itself: its key must be the one that is asked for.
func (p *proof) takeSheet(coffer sheetReader, path string) {
	run(p.sc, func(ctx context.Context) (app.RootKey, error) { return readSheet(ctx, coffer, path) },
		func(key app.RootKey, err error) {
			if err != nil {
				p.hint.set(toneBad, say("prove.not-a-sheet"))
				return
			}
			defer key.Wipe()
			for i, typed := range keyLines(key) {
				if p.judge(i+1, typed) != app.LineRight {
					p.hint.set(toneBad, say("prove.other-sheet"))
					return
				}
			}
			p.pass(say("prove.sheet-right"))
		})
}

// provePage asks for the proof in the first run.
func (d *desk) provePage(sc *scope, r rail, coffer sheetReader, state *setupState, back, next, later func()) *page {
	var w *wizardPage
	judge := func(n int, typed string) app.LineState { return lineOfKey(state.key, n, typed) }
	p := d.newProof(sc, judge, func() {
		state.proven = true
		if w != nil {
			w.allow(true)
			d.window.Canvas().Focus(w.next)
		}
	})
	choose := push(say("prove.choose"), "sheet", func() {
		d.picker.Open(sc, say("prove.pick"), state.sheet.path, func(path string) { p.takeSheet(coffer, path) })
	})
	var aside *button
	if state.sheetCanWait() {
		aside = quiet(say("prove.later"), "", later)
	}
	w = d.ask(sc, r, question{
		name:  "setup/prove",
		title: say("prove.title"),
		lead:  say("prove.lead"),
		body: []fyne.CanvasObject{
			card(p.box),
			rowFill(gap3, 0, muted(say("prove.drop")), choose),
		},
		next: say("button.next"), onNext: next, back: back, aside: aside, focus: p.lines[0].entry,
		drop: func(path string) { p.takeSheet(coffer, path) },
	})
	p.lines[0].entry.OnSubmitted = func(string) { d.window.Canvas().Focus(p.lines[1].entry) }
	p.lines[1].entry.OnSubmitted = func(string) {
		if !w.next.Disabled() {
			next()
		}
	}
	w.allow(state.proven)
	if state.proven {
		p.done = true
		p.hint.set(toneGood, say("prove.done"))
	}
	return &w.page
}
