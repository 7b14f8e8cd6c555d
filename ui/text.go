package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"
)

// words is a piece of text that wraps. Unlike fyne's label it has no margin of its own, so
// that text, cards and entries share one left edge and the grid alone makes the space.
type words struct {
	widget.BaseWidget
	rich *widget.RichText
	seg  *widget.TextSegment
}

type wordStyle struct {
	size   fyne.ThemeSizeName
	color  fyne.ThemeColorName
	bold   bool
	mono   bool
	oneRow bool // cut off with an ellipsis, instead of wrapping
	whole  bool // never cut, never wrapped: as wide as the text
	center bool
}

func newWords(s string, style wordStyle) *words {
	seg := &widget.TextSegment{Text: s, Style: widget.RichTextStyle{
		SizeName: style.size, ColorName: style.color,
		TextStyle: fyne.TextStyle{Bold: style.bold, Monospace: style.mono},
	}}
	if style.size == "" {
		seg.Style.SizeName = theme.SizeNameText
	}
	if style.color == "" {
		seg.Style.ColorName = theme.ColorNameForeground
	}
	if style.center {
		seg.Style.Alignment = fyne.TextAlignCenter
	}
	rich := widget.NewRichText(seg)
	switch {
	case style.oneRow:
		rich.Truncation = fyne.TextTruncateEllipsis
	case !style.whole:
		rich.Wrapping = fyne.TextWrapWord
	}
	w := &words{rich: rich, seg: seg}
	w.ExtendBaseWidget(w)
	return w
}

func title(s string) *words   { return newWords(s, wordStyle{size: sizeTitle, bold: true}) }
func heading(s string) *words { return newWords(s, wordStyle{size: sizeHeading, bold: true}) }
func plain(s string) *words   { return newWords(s, wordStyle{}) }
func strong(s string) *words  { return newWords(s, wordStyle{bold: true}) }
func muted(s string) *words   { return newWords(s, wordStyle{color: colorMuted}) }
func small(s string) *words   { return newWords(s, wordStyle{size: sizeSmall, color: colorMuted}) }
func line(s string) *words    { return newWords(s, wordStyle{oneRow: true}) }
func smallLine(s string) *words {
	return newWords(s, wordStyle{size: sizeSmall, color: colorMuted, oneRow: true})
}

func figure(s string) *words {
	return newWords(s, wordStyle{size: sizeFigure, bold: true})
}
func whole(s string) *words { return newWords(s, wordStyle{whole: true}) }
func wholeMuted(s string) *words {
	return newWords(s, wordStyle{whole: true, color: colorMuted})
}

// set changes the text.
func (w *words) set(s string) {
	if w.seg.Text == s {
		return
	}
	w.seg.Text = s
	w.rich.Refresh()
	w.Refresh()
}

func (w *words) text() string { return w.seg.Text }

func (w *words) setColor(c fyne.ThemeColorName) {
	if w.seg.Style.ColorName != c {
		w.seg.Style.ColorName = c
		w.rich.Refresh()
	}
}

// CreateRenderer implements fyne.Widget.
func (w *words) CreateRenderer() fyne.WidgetRenderer { return &wordsRenderer{w} }

type wordsRenderer struct{ w *words }

func (r *wordsRenderer) margin() float32 { return theme.Size(theme.SizeNameInnerPadding) }

func (r *wordsRenderer) MinSize() fyne.Size {
	m := 2 * r.margin()
	least := r.w.rich.MinSize().Subtract(fyne.NewSize(m, m))
	return fyne.NewSize(fyne.Max(0, least.Width), fyne.Max(0, least.Height))
}

func (r *wordsRenderer) Layout(size fyne.Size) {
	m := r.margin()
	r.w.rich.Move(fyne.NewPos(-m, -m))
	r.w.rich.Resize(size.Add(fyne.NewSize(2*m, 2*m)))
}

func (r *wordsRenderer) Refresh()                     { r.Layout(r.w.Size()) }
func (r *wordsRenderer) Objects() []fyne.CanvasObject { return []fyne.CanvasObject{r.w.rich} }
func (r *wordsRenderer) Destroy()                     {}
