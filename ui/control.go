package ui

import (
	"image/color"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/driver/desktop"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"coffer/assets"
)

// keyEscape is what a control does with Escape, which the window cannot see while the
// control has the focus.
type keyEscape struct{ escape func() }

func (k *keyEscape) onEscape(fn func()) { k.escape = fn }

func (k *keyEscape) handle(e *fyne.KeyEvent) bool {
	if e.Name != fyne.KeyEscape || k.escape == nil {
		return false
	}
	k.escape()
	return true
}

func isEnter(e *fyne.KeyEvent) bool { return e.Name == fyne.KeyReturn || e.Name == fyne.KeyEnter }

// A button is fyne's, and also: Enter presses it, Escape goes back, and the focus is a ring
// that can be seen on every colour.
type button struct {
	widget.Button
	keyEscape
	ring bool
	sign string // name of the icon; may be ""
}

func newButton(text, iconName string, importance widget.Importance, tapped func()) *button {
	b := &button{}
	b.Text, b.Importance, b.OnTapped = text, importance, tapped
	b.sign = iconName
	b.paintSign()
	b.ExtendBaseWidget(b)
	return b
}

// paintSign gives the icon the colour of the text beside it.
func (b *button) paintSign() {
	if b.sign == "" {
		return
	}
	color := theme.ColorNameForeground
	switch {
	case b.Disabled():
		color = theme.ColorNameDisabled
	case b.Importance == widget.HighImportance:
		color = theme.ColorNameForegroundOnPrimary
	}
	b.Icon = assets.IconIn(b.sign, color)
}

// label changes the text and the icon.
func (b *button) label(text, sign string) {
	if b.Text != text || b.sign != sign {
		b.sign = sign
		b.paintSign()
		b.SetText(text)
	}
}

// action is the one main button of a screen, push a second one, quiet one that may be missed.
func action(text, icon string, tapped func()) *button {
	return newButton(text, icon, widget.HighImportance, tapped)
}

func push(text, icon string, tapped func()) *button {
	return newButton(text, icon, widget.MediumImportance, tapped)
}

func quiet(text, icon string, tapped func()) *button {
	return newButton(text, icon, widget.LowImportance, tapped)
}

// TypedKey implements fyne.Focusable.
func (b *button) TypedKey(e *fyne.KeyEvent) {
	switch {
	case b.handle(e):
	case isEnter(e):
		b.press()
	default:
		b.Button.TypedKey(e)
	}
}

// press does what a tap does, and keeps the focus where it is.
func (b *button) press() {
	if !b.Disabled() && b.OnTapped != nil {
		b.OnTapped()
	}
}

// FocusGained implements fyne.Focusable.
func (b *button) FocusGained() { b.ring = true; b.Button.FocusGained(); reveal(b) }

// FocusLost implements fyne.Focusable.
func (b *button) FocusLost() { b.ring = false; b.Button.FocusLost() }

func (b *button) enable(on bool) {
	if on != b.Disabled() {
		return
	}
	if on {
		b.Enable()
	} else {
		b.Disable()
	}
	b.paintSign()
	b.Refresh()
}

// CreateRenderer implements fyne.Widget.
func (b *button) CreateRenderer() fyne.WidgetRenderer {
	b.ExtendBaseWidget(b)
	r := &ringRenderer{
		WidgetRenderer: b.Button.CreateRenderer(), focused: func() bool { return b.ring },
		ring: canvas.NewRectangle(color.Transparent), radius: 10,
	}
	r.paint()
	return r
}

// ringRenderer draws a ring around what has the focus.
type ringRenderer struct {
	fyne.WidgetRenderer
	ring    *canvas.Rectangle
	focused func() bool
	radius  float32
}

func (r *ringRenderer) paint() {
	r.ring.StrokeColor, r.ring.StrokeWidth, r.ring.CornerRadius = color.Transparent, 2, r.radius
	if r.focused() {
		r.ring.StrokeColor = theme.Color(theme.ColorNamePrimary)
	}
}

func (r *ringRenderer) Layout(size fyne.Size) {
	r.WidgetRenderer.Layout(size)
	r.ring.Move(fyne.NewPos(-3, -3))
	r.ring.Resize(size.Add(fyne.NewSize(6, 6)))
}

func (r *ringRenderer) Refresh() {
	r.WidgetRenderer.Refresh()
	r.paint()
	r.ring.Refresh()
}

func (r *ringRenderer) Objects() []fyne.CanvasObject {
	objects := r.WidgetRenderer.Objects()
	return append(objects[:len(objects):len(objects)], r.ring)
}

// A field is one line of text that takes Enter and Escape.
type field struct {
	widget.Entry
	keyEscape
}

func newField(placeholder string) *field {
	f := &field{}
	f.PlaceHolder = placeholder
	f.Wrapping = fyne.TextWrapOff
	f.ExtendBaseWidget(f)
	return f
}

// newSecretField hides what is typed, and can show it.
func newSecretField(placeholder string) *field {
	f := &field{}
	f.PlaceHolder = placeholder
	f.Password = true
	f.Wrapping = fyne.TextWrapOff
	f.ExtendBaseWidget(f)
	return f
}

// newMonoField is for digits.
func newMonoField(placeholder string) *field {
	f := newField(placeholder)
	f.TextStyle = fyne.TextStyle{Monospace: true}
	return f
}

// TypedKey implements fyne.Focusable.
func (f *field) TypedKey(e *fyne.KeyEvent) {
	if !f.handle(e) {
		f.Entry.TypedKey(e)
	}
}

// FocusGained implements fyne.Focusable.
func (f *field) FocusGained() { f.Entry.FocusGained(); reveal(f) }

// A tick is fyne's check, with Escape.
type tick struct {
	widget.Check
	keyEscape
}

func newTick(text string, on bool, changed func(bool)) *tick {
	t := &tick{}
	t.Text, t.Checked, t.OnChanged = text, on, changed
	t.ExtendBaseWidget(t)
	return t
}

// TypedKey implements fyne.Focusable.
func (t *tick) TypedKey(e *fyne.KeyEvent) {
	if !t.handle(e) {
		t.Check.TypedKey(e)
	}
}

// FocusGained implements fyne.Focusable.
func (t *tick) FocusGained() { t.Check.FocusGained(); reveal(t) }

// A tile is a panel that can be chosen: an answer, a place in the navigation.
type tile struct {
	widget.BaseWidget
	keyEscape
	content  fyne.CanvasObject
	onTapped func()
	onEnter  func()       // Enter, where that is more than a tap; may be nil
	move     func(by int) // to a neighbour, with the arrow keys; may be nil
	nav      bool         // looks like a line of the navigation

	chosen, focused, hovered bool
}

func newTile(content fyne.CanvasObject, tapped func()) *tile {
	t := &tile{content: content, onTapped: tapped}
	t.ExtendBaseWidget(t)
	return t
}

func (t *tile) choose(on bool) {
	t.chosen = on
	t.Refresh()
}

// Tapped implements fyne.Tappable.
func (t *tile) Tapped(*fyne.PointEvent) {
	if t.onTapped != nil {
		t.onTapped()
	}
}

// FocusGained implements fyne.Focusable.
func (t *tile) FocusGained() { t.focused = true; t.Refresh(); reveal(t) }

// FocusLost implements fyne.Focusable.
func (t *tile) FocusLost() { t.focused = false; t.Refresh() }

// TypedRune implements fyne.Focusable.
func (t *tile) TypedRune(rune) {}

// TypedKey implements fyne.Focusable.
func (t *tile) TypedKey(e *fyne.KeyEvent) {
	switch {
	case t.handle(e):
	case isEnter(e) && t.onEnter != nil:
		t.onEnter()
	case isEnter(e) || e.Name == fyne.KeySpace:
		t.Tapped(nil)
	case t.move != nil && (e.Name == fyne.KeyDown || e.Name == fyne.KeyRight):
		t.move(1)
	case t.move != nil && (e.Name == fyne.KeyUp || e.Name == fyne.KeyLeft):
		t.move(-1)
	}
}

// MouseIn implements desktop.Hoverable.
func (t *tile) MouseIn(*desktop.MouseEvent) { t.hovered = true; t.Refresh() }

// MouseMoved implements desktop.Hoverable.
func (t *tile) MouseMoved(*desktop.MouseEvent) {}

// MouseOut implements desktop.Hoverable.
func (t *tile) MouseOut() { t.hovered = false; t.Refresh() }

// CreateRenderer implements fyne.Widget.
func (t *tile) CreateRenderer() fyne.WidgetRenderer {
	r := &tileRenderer{t: t, ground: canvas.NewRectangle(color.Transparent), ring: canvas.NewRectangle(color.Transparent)}
	r.paint()
	return r
}

type tileRenderer struct {
	t            *tile
	ground, ring *canvas.Rectangle
}

func (r *tileRenderer) paint() {
	radius := float32(12)
	fill, stroke, width := colorSurface, colorOutline, float32(1)
	switch {
	case r.t.nav:
		radius, fill, stroke = 8, "", ""
		if r.t.chosen {
			fill = colorSurface
		}
	case r.t.chosen:
		fill, stroke, width = colorAccentSoft, theme.ColorNamePrimary, 2
	}
	r.ground.CornerRadius, r.ground.FillColor = radius, themeColor(fill)
	r.ground.StrokeColor, r.ground.StrokeWidth = themeColor(stroke), width
	r.ring.CornerRadius, r.ring.StrokeWidth, r.ring.StrokeColor = radius+3, 0, color.Transparent
	r.ring.FillColor = color.Transparent
	if r.t.hovered {
		r.ring.FillColor = theme.Color(theme.ColorNameHover)
	}
	if r.t.focused {
		r.ring.StrokeColor, r.ring.StrokeWidth = theme.Color(theme.ColorNamePrimary), 2
	}
}

func (r *tileRenderer) MinSize() fyne.Size { return r.t.content.MinSize() }

func (r *tileRenderer) Layout(size fyne.Size) {
	r.ground.Resize(size)
	r.ring.Move(fyne.NewPos(-3, -3))
	r.ring.Resize(size.Add(fyne.NewSize(6, 6)))
	r.t.content.Resize(size)
}

func (r *tileRenderer) Refresh() {
	r.paint()
	r.ground.Refresh()
	r.ring.Refresh()
	r.t.content.Refresh()
}

func (r *tileRenderer) Objects() []fyne.CanvasObject {
	return []fyne.CanvasObject{r.ground, r.ring, r.t.content}
}

func (r *tileRenderer) Destroy() {}

// An answer is one of several tiles of which one is chosen.
type answer struct {
	id, icon, title, body string
}

// answers is a group of tiles, like radio buttons: Tab enters it, arrows move within it.
type answers struct {
	box     *fyne.Container
	tiles   []*tile
	marks   []*widget.Icon
	list    []answer
	chosen  string
	changed func(id string)
	accept  func() // Enter on what is chosen already: go on; may be nil
}

func newAnswers(chosen string, changed func(id string), list ...answer) *answers {
	a := &answers{list: list, changed: changed, chosen: chosen}
	rows := make([]fyne.CanvasObject, len(list))
	for i, item := range list {
		mark := icon("radio-off", colorMuted)
		text := stack(gap1, strong(item.title))
		if item.body != "" {
			text.Add(muted(item.body))
		}
		parts := []fyne.CanvasObject{mark, text}
		if item.icon != "" {
			parts = append(parts, icon(item.icon, colorMuted))
		}
		t := newTile(pad(gap4, gap3, rowTop(gap3, 1, parts...)), func() { a.choose(item.id) })
		t.move = func(by int) { a.step(i + by) }
		t.onEnter = func() { a.enter(item.id) }
		a.tiles, a.marks, rows[i] = append(a.tiles, t), append(a.marks, mark), t
	}
	a.box = stack(gap2, rows...)
	a.paint()
	return a
}

func (a *answers) step(to int) {
	if to < 0 || to >= len(a.tiles) {
		return
	}
	if c := fyne.CurrentApp().Driver().CanvasForObject(a.tiles[to]); c != nil {
		c.Focus(a.tiles[to])
	}
	a.choose(a.list[to].id)
}

// enter chooses, and goes on when it was chosen before.
func (a *answers) enter(id string) {
	if id == a.chosen && a.accept != nil {
		a.accept()
		return
	}
	a.choose(id)
}

func (a *answers) choose(id string) {
	a.chosen = id
	a.paint()
	if a.changed != nil {
		a.changed(id)
	}
}

func (a *answers) paint() {
	for i, t := range a.tiles {
		on := a.list[i].id == a.chosen
		if on {
			a.marks[i].SetResource(assets.IconIn("radio-on", theme.ColorNamePrimary))
		} else {
			a.marks[i].SetResource(assets.IconIn("radio-off", colorMuted))
		}
		t.choose(on)
	}
}
