package ui

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"coffer/assets"
)

// A panel is a rounded ground with something on it. It takes its colours from the theme at
// each refresh, so a change of theme reaches it.
type panel struct {
	widget.BaseWidget
	fill, stroke fyne.ThemeColorName // "" for none
	radius       float32
	content      fyne.CanvasObject // may be nil
}

func newPanel(fill, stroke fyne.ThemeColorName, radius float32, content fyne.CanvasObject) *panel {
	p := &panel{fill: fill, stroke: stroke, radius: radius, content: content}
	p.ExtendBaseWidget(p)
	return p
}

// card is a panel for what belongs together.
func card(content fyne.CanvasObject) *panel {
	return newPanel(colorSurface, colorOutline, 12, pad(gap4, gap4, content))
}

func (p *panel) recolor(fill, stroke fyne.ThemeColorName) {
	if p.fill != fill || p.stroke != stroke {
		p.fill, p.stroke = fill, stroke
		p.Refresh()
	}
}

// CreateRenderer implements fyne.Widget.
func (p *panel) CreateRenderer() fyne.WidgetRenderer {
	r := &panelRenderer{p: p, ground: canvas.NewRectangle(color.Transparent)}
	r.paint()
	return r
}

type panelRenderer struct {
	p      *panel
	ground *canvas.Rectangle
}

func (r *panelRenderer) paint() {
	r.ground.CornerRadius = r.p.radius
	r.ground.FillColor = themeColor(r.p.fill)
	r.ground.StrokeColor = themeColor(r.p.stroke)
	r.ground.StrokeWidth = 0
	if r.p.stroke != "" {
		r.ground.StrokeWidth = 1
	}
}

func themeColor(name fyne.ThemeColorName) color.Color {
	if name == "" {
		return color.Transparent
	}
	return theme.Color(name)
}

func (r *panelRenderer) MinSize() fyne.Size {
	if r.p.content == nil {
		return fyne.Size{}
	}
	return r.p.content.MinSize()
}

func (r *panelRenderer) Layout(size fyne.Size) {
	r.ground.Resize(size)
	if r.p.content != nil {
		r.p.content.Resize(size)
	}
}

func (r *panelRenderer) Refresh() {
	r.paint()
	r.ground.Refresh()
	if r.p.content != nil {
		r.p.content.Refresh()
	}
}

func (r *panelRenderer) Objects() []fyne.CanvasObject {
	if r.p.content == nil {
		return []fyne.CanvasObject{r.ground}
	}
	return []fyne.CanvasObject{r.ground, r.p.content}
}

func (r *panelRenderer) Destroy() {}

// A tone is how a line is meant.
type tone int

const (
	tonePlain tone = iota
	toneGood
	toneCareful
	toneBad
	toneBusy
)

func (t tone) icon() string {
	return [...]string{"info", "ok", "warn", "danger", "clock"}[t]
}

func (t tone) color() fyne.ThemeColorName {
	return [...]fyne.ThemeColorName{
		theme.ColorNamePrimary, theme.ColorNameSuccess, theme.ColorNameWarning, theme.ColorNameError, colorMuted,
	}[t]
}

func (t tone) ground() fyne.ThemeColorName {
	return [...]fyne.ThemeColorName{colorAccentSoft, colorGoodSoft, colorWarnSoft, colorBadSoft, colorRail}[t]
}

// icon shows an icon of ours in a colour of the theme, as large as text times scale.
func icon(name string, c fyne.ThemeColorName) *widget.Icon {
	return widget.NewIcon(assets.IconIn(name, c))
}

// bigIcon is an icon on a round ground.
func bigIcon(name string, t tone, side float32) fyne.CanvasObject {
	inner := side * 0.24
	return sized(side, side, newPanel(t.ground(), "", side/2, pad(inner, inner, icon(name, t.color()))))
}

func picture(name string, width, height float32) fyne.CanvasObject {
	img := canvas.NewImageFromResource(assets.Picture(name))
	img.FillMode = canvas.ImageFillContain
	img.SetMinSize(fyne.NewSize(width, height))
	return img
}

// A hint is one line below something, with an icon for its tone. Without text it takes no
// room.
type hint struct {
	box  *fyne.Container
	icon *widget.Icon
	text *words
	tone tone
}

func newHint() *hint {
	h := &hint{icon: icon("info", theme.ColorNamePrimary), text: plain("")}
	h.box = rowTop(gap2, 1, h.icon, h.text)
	h.box.Hide()
	return h
}

func (h *hint) set(t tone, s string) {
	if s == "" {
		h.box.Hide()
		return
	}
	h.tone = t
	h.icon.SetResource(assets.IconIn(t.icon(), t.color()))
	h.text.set(s)
	h.text.setColor(t.color())
	h.box.Show()
	h.box.Refresh()
}

func (h *hint) clear() { h.set(tonePlain, "") }

// A notice is a panel that says what is the case and what follows, with at most one button.
type notice struct {
	box    *panel
	icon   *widget.Icon
	title  *words
	body   *words
	button *button
}

func newNotice(t tone, titleText, bodyText string, b *button) *notice {
	n := &notice{icon: icon(t.icon(), t.color()), title: strong(titleText), body: plain(bodyText), button: b}
	if titleText == "" {
		n.title.Hide()
	}
	if bodyText == "" {
		n.body.Hide()
	}
	text := stack(gap1, n.title, n.body)
	inner := rowTop(gap3, 1, n.icon, text)
	if b != nil {
		inner = withButton(gap3, n.icon, text, b)
	}
	n.box = newPanel(t.ground(), "", 10, pad(gap4, gap3, inner))
	return n
}

func (n *notice) set(t tone, titleText, bodyText string) {
	n.icon.SetResource(assets.IconIn(t.icon(), t.color()))
	n.title.set(titleText)
	n.body.set(bodyText)
	setVisible(n.title, titleText != "")
	setVisible(n.body, bodyText != "")
	n.box.fill = t.ground()
	n.box.Show()
	n.box.Refresh()
}

func (n *notice) hide() { n.box.Hide() }

func setVisible(o fyne.CanvasObject, show bool) {
	if show {
		o.Show()
	} else {
		o.Hide()
	}
}

// meter is a thin bar. The figure that belongs to it stands in a label beside it: on an
// almost empty bar it could not be read.
type meter struct {
	widget.BaseWidget
	value float64 // 0 to 1
	color fyne.ThemeColorName
}

func newMeter() *meter {
	m := &meter{color: theme.ColorNamePrimary}
	m.ExtendBaseWidget(m)
	return m
}

func (m *meter) set(value float64, c fyne.ThemeColorName) {
	m.value, m.color = min(max(value, 0), 1), c
	m.Refresh()
}

// CreateRenderer implements fyne.Widget.
func (m *meter) CreateRenderer() fyne.WidgetRenderer {
	r := &meterRenderer{m: m, track: canvas.NewRectangle(color.Transparent), bar: canvas.NewRectangle(color.Transparent)}
	r.Refresh()
	return r
}

type meterRenderer struct {
	m          *meter
	track, bar *canvas.Rectangle
}

func (r *meterRenderer) MinSize() fyne.Size { return fyne.NewSize(60, 8) }

func (r *meterRenderer) Layout(size fyne.Size) {
	r.track.Resize(size)
	width := float32(r.m.value) * size.Width
	if r.m.value > 0 {
		width = fyne.Max(width, size.Height)
	}
	r.bar.Resize(fyne.NewSize(width, size.Height))
}

func (r *meterRenderer) Refresh() {
	r.track.FillColor, r.bar.FillColor = themeColor(colorTrack), themeColor(r.m.color)
	r.track.CornerRadius, r.bar.CornerRadius = 4, 4
	r.Layout(r.m.Size())
	r.track.Refresh()
	r.bar.Refresh()
}

func (r *meterRenderer) Objects() []fyne.CanvasObject { return []fyne.CanvasObject{r.track, r.bar} }
func (r *meterRenderer) Destroy()                     {}
