package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/theme"
)

// The spacing grid, in units of the screen's scale. Text size does not change it.
const (
	gap1 float32 = 4
	gap2 float32 = 8
	gap3 float32 = 12
	gap4 float32 = 16
	gap6 float32 = 24
	gap8 float32 = 32
)

// fit gives o a width and the height that it then needs. Text wraps when it is resized, so
// the height is only known afterwards: hence twice.
func fit(o fyne.CanvasObject, width float32) (height float32) {
	o.Resize(fyne.NewSize(width, o.MinSize().Height))
	height = o.MinSize().Height
	o.Resize(fyne.NewSize(width, height))
	return height
}

func visible(objects []fyne.CanvasObject) []fyne.CanvasObject {
	shown := make([]fyne.CanvasObject, 0, len(objects))
	for _, o := range objects {
		if o.Visible() {
			shown = append(shown, o)
		}
	}
	return shown
}

// stackLayout puts objects below each other, each as wide as the whole.
type stackLayout struct{ gap float32 }

func stack(gap float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(stackLayout{gap}, objects...)
}

func (l stackLayout) MinSize(objects []fyne.CanvasObject) (least fyne.Size) {
	for i, o := range visible(objects) {
		if i > 0 {
			least.Height += l.gap
		}
		m := o.MinSize()
		least.Width = fyne.Max(least.Width, m.Width)
		least.Height += m.Height
	}
	return least
}

func (l stackLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	y := float32(0)
	for _, o := range visible(objects) {
		h := fit(o, size.Width)
		o.Move(fyne.NewPos(0, y))
		y += h + l.gap
	}
}

// rowLayout puts objects beside each other. The one at fill takes the width that the
// others leave; -1: none does. At the top or in the middle of the row's height.
type rowLayout struct {
	gap  float32
	fill int
	top  bool
}

// row keeps every object as wide as it wants to be.
func row(gap float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(rowLayout{gap: gap, fill: -1}, objects...)
}

// rowFill gives the object at fill the width that the others leave.
func rowFill(gap float32, fill int, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(rowLayout{gap: gap, fill: fill}, objects...)
}

// rowTop is rowFill with everything at the top.
func rowTop(gap float32, fill int, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(rowLayout{gap: gap, fill: fill, top: true}, objects...)
}

func (l rowLayout) MinSize(objects []fyne.CanvasObject) (least fyne.Size) {
	for i, o := range visible(objects) {
		if i > 0 {
			least.Width += l.gap
		}
		m := o.MinSize()
		least.Width += m.Width
		least.Height = fyne.Max(least.Height, m.Height)
	}
	return least
}

func (l rowLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	rest, shown := size.Width, 0
	for i, o := range objects {
		if !o.Visible() {
			continue
		}
		shown++
		if i != l.fill {
			rest -= o.MinSize().Width
		}
	}
	rest = fyne.Max(0, rest-l.gap*float32(shown-1))
	x := float32(0)
	for i, o := range objects {
		if !o.Visible() {
			continue
		}
		width := o.MinSize().Width
		if i == l.fill {
			width = rest
		}
		height := fit(o, width)
		y := float32(0)
		if !l.top {
			y = (size.Height - height) / 2
		}
		o.Move(fyne.NewPos(x, y))
		x += width + l.gap
	}
}

// buttonLayout puts a sign, a text and a button beside each other. Where the button would
// leave the text too little of the width to be read, it stands below the text.
type buttonLayout struct {
	gap   float32
	below bool // at the last Layout
}

// withButton is for three objects: a sign, what is said, and what can be done about it.
func withButton(gap float32, sign, text, button fyne.CanvasObject) *fyne.Container {
	return container.New(&buttonLayout{gap: gap}, sign, text, button)
}

// narrowestText is how wide a text beside a button is at least, at the usual size of text.
const narrowestText = 300

func (l *buttonLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	sign, text, button := objects[0].MinSize(), objects[1].MinSize(), objects[2].MinSize()
	least := fyne.NewSize(sign.Width+l.gap+text.Width, fyne.Max(sign.Height, text.Height))
	switch {
	case !objects[2].Visible():
	case l.below:
		least.Width = fyne.Max(least.Width, sign.Width+l.gap+button.Width)
		least.Height += l.gap + button.Height
	default:
		least.Width += l.gap + button.Width
		least.Height = fyne.Max(least.Height, button.Height)
	}
	return least
}

func (l *buttonLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	sign, text, button := objects[0], objects[1], objects[2]
	left := sign.MinSize().Width + l.gap
	wide, want := size.Width-left, button.MinSize()
	l.below = button.Visible() && wide-l.gap-want.Width < narrowestText*theme.TextSize()/usualText
	if !button.Visible() || l.below {
		rowLayout{gap: l.gap, fill: 1, top: true}.Layout(objects[:2], size)
		button.Resize(want)
		button.Move(fyne.NewPos(left, text.Size().Height+l.gap))
		return
	}
	rowLayout{gap: l.gap, fill: 1}.Layout(objects, size)
}

// flowLayout puts objects into as many columns of equal width as fit, then into further
// rows. All objects of a row are as high as the highest.
type flowLayout struct {
	gap, narrowest float32
	columns        int // of the last Layout
}

// flow returns a container that shows its objects in columns at least narrowest wide.
func flow(gap, narrowest float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(&flowLayout{gap: gap, narrowest: narrowest, columns: len(objects)}, objects...)
}

func (l *flowLayout) MinSize(objects []fyne.CanvasObject) (least fyne.Size) {
	shown := visible(objects)
	for start := 0; start < len(shown); start += max(1, l.columns) {
		high := float32(0)
		for _, o := range shown[start:min(start+max(1, l.columns), len(shown))] {
			m := o.MinSize()
			least.Width = fyne.Max(least.Width, m.Width)
			high = fyne.Max(high, m.Height)
		}
		if start > 0 {
			least.Height += l.gap
		}
		least.Height += high
	}
	return least
}

func (l *flowLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	shown := visible(objects)
	narrowest := l.narrowest
	for _, o := range shown {
		narrowest = fyne.Max(narrowest, o.MinSize().Width)
	}
	l.columns = min(max(1, int((size.Width+l.gap)/(narrowest+l.gap))), max(1, len(shown)))
	width := (size.Width - l.gap*float32(l.columns-1)) / float32(l.columns)
	y := float32(0)
	for start := 0; start < len(shown); start += l.columns {
		cells := shown[start:min(start+l.columns, len(shown))]
		high := float32(0)
		for _, o := range cells {
			high = fyne.Max(high, fit(o, width))
		}
		for i, o := range cells {
			o.Resize(fyne.NewSize(width, high))
			o.Move(fyne.NewPos(float32(i)*(width+l.gap), y))
		}
		y += high + l.gap
	}
}

// columnLayout keeps one object at a width that can be read, in the middle or at the left.
type columnLayout struct {
	widest float32
	left   bool
}

func column(widest float32, o fyne.CanvasObject) *fyne.Container {
	return container.New(columnLayout{widest: widest}, o)
}

func (l columnLayout) MinSize(objects []fyne.CanvasObject) fyne.Size { return objects[0].MinSize() }

func (l columnLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	width := fyne.Min(l.widest, size.Width)
	fit(objects[0], width)
	x := float32(0)
	if !l.left {
		x = (size.Width - width) / 2
	}
	objects[0].Move(fyne.NewPos(x, 0))
}

// padLayout keeps space around one object.
type padLayout struct{ x, y float32 }

func pad(x, y float32, o fyne.CanvasObject) *fyne.Container {
	return container.New(padLayout{x, y}, o)
}

func (l padLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	return objects[0].MinSize().Add(fyne.NewSize(2*l.x, 2*l.y))
}

func (l padLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	objects[0].Move(fyne.NewPos(l.x, l.y))
	objects[0].Resize(size.Subtract(fyne.NewSize(2*l.x, 2*l.y)))
}

// scrollLayout shows one object that may be higher than the space for it. fyne's own
// scroller sizes its content before the text in it has wrapped; this one does it after.
type scrollLayout struct {
	scroller *container.Scroll
}

func scrolling(o fyne.CanvasObject) *fyne.Container {
	s := container.NewVScroll(container.New(narrowLayout{}, o))
	return container.New(scrollLayout{s}, s)
}

// narrowLayout lets one object be as narrow as its place: what does not fit is then cut
// off by itself, and not the whole page.
type narrowLayout struct{}

func (narrowLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(0, objects[0].MinSize().Height)
}

func (narrowLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	objects[0].Resize(size)
	objects[0].Move(fyne.NewPos(0, 0))
}

func (l scrollLayout) MinSize([]fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(160, 120)
}

func (l scrollLayout) Layout(_ []fyne.CanvasObject, size fyne.Size) {
	content := l.scroller.Content
	l.scroller.Resize(size)
	for range 2 {
		content.Resize(fyne.NewSize(size.Width, fyne.Max(size.Height, content.MinSize().Height)))
	}
	l.scroller.Refresh()
}

// reveal scrolls what holds o until o can be seen: Tab may lead to what lies below the
// window, and fyne leaves it there.
func reveal(o fyne.CanvasObject) {
	driver := fyne.CurrentApp().Driver()
	c := driver.CanvasForObject(o)
	if c == nil {
		return
	}
	s := scrollerOf(c.Content(), o, nil)
	if s == nil || s.Size().Height == 0 {
		return
	}
	top := driver.AbsolutePositionForObject(o).Y - driver.AbsolutePositionForObject(s.Content).Y - gap4
	bottom := top + o.Size().Height + 2*gap4
	at := s.Offset.Y
	switch {
	case top < at:
		at = fyne.Max(0, top)
	case bottom > at+s.Size().Height:
		at = bottom - s.Size().Height
	}
	if at != s.Offset.Y {
		s.ScrollToOffset(fyne.NewPos(0, at))
	}
}

// scrollerOf finds the innermost scroller around o, below root; nil when there is none.
func scrollerOf(root, o fyne.CanvasObject, around *container.Scroll) *container.Scroll {
	if root == o {
		return around
	}
	if s, ok := root.(*container.Scroll); ok {
		around = s
	}
	for _, child := range below(root) {
		if found := scrollerOf(child, o, around); found != nil {
			return found
		}
	}
	return nil
}

// firstScroller is the first scroller inside an object; nil when there is none.
func firstScroller(o fyne.CanvasObject) *container.Scroll {
	if s, ok := o.(*container.Scroll); ok {
		return s
	}
	for _, child := range below(o) {
		if s := firstScroller(child); s != nil {
			return s
		}
	}
	return nil
}

// sizedLayout gives one object a smallest size.
type sizedLayout struct{ least fyne.Size }

func sized(width, height float32, o fyne.CanvasObject) *fyne.Container {
	return container.New(sizedLayout{fyne.NewSize(width, height)}, o)
}

func (l sizedLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	return l.least.Max(objects[0].MinSize())
}

func (l sizedLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	objects[0].Resize(size)
	objects[0].Move(fyne.NewPos(0, 0))
}

// usualText is the size of text that widths are thought for.
const usualText = 14

// frameLayout is a bar at the left that goes away when the rest would become too narrow,
// and the content.
type frameLayout struct {
	bar       float32 // width of the bar
	narrowest float32 // of the content, beside the bar
}

func (l frameLayout) MinSize(objects []fyne.CanvasObject) fyne.Size {
	return fyne.NewSize(objects[1].MinSize().Width, objects[1].MinSize().Height)
}

func (l frameLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	bar := l.bar
	if size.Width-bar < l.narrowest*theme.TextSize()/usualText {
		bar = 0
		objects[0].Hide()
	} else {
		objects[0].Show()
	}
	objects[0].Resize(fyne.NewSize(bar, size.Height))
	objects[0].Move(fyne.NewPos(0, 0))
	objects[1].Resize(fyne.NewSize(size.Width-bar, size.Height))
	objects[1].Move(fyne.NewPos(bar, 0))
}

// wrapLayout puts objects beside each other at their own width, into as many rows as that
// takes.
type wrapLayout struct {
	gap   float32
	width float32 // of the last Layout; 0 before
}

func wrapRow(gap float32, objects ...fyne.CanvasObject) *fyne.Container {
	return container.New(&wrapLayout{gap: gap}, objects...)
}

func (l *wrapLayout) MinSize(objects []fyne.CanvasObject) (least fyne.Size) {
	least.Height = l.place(objects, l.width, func(fyne.CanvasObject, fyne.Position, fyne.Size) {})
	for _, o := range visible(objects) {
		least.Width = fyne.Max(least.Width, o.MinSize().Width)
	}
	return least
}

func (l *wrapLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	l.width = size.Width
	l.place(objects, size.Width, func(o fyne.CanvasObject, at fyne.Position, size fyne.Size) {
		o.Resize(size)
		o.Move(at)
	})
}

// place goes through the objects as they would stand in width, and returns their height.
func (l *wrapLayout) place(objects []fyne.CanvasObject, width float32, put func(fyne.CanvasObject, fyne.Position, fyne.Size)) float32 {
	var at fyne.Position
	high := float32(0)
	for _, o := range visible(objects) {
		m := o.MinSize()
		if at.X > 0 && width > 0 && at.X+m.Width > width {
			at = fyne.NewPos(0, at.Y+high+l.gap)
			high = 0
		}
		put(o, at, m)
		at.X += m.Width + l.gap
		high = fyne.Max(high, m.Height)
	}
	return at.Y + high
}

// middleLayout puts one object in the middle of the height, when there is height to spare.
type middleLayout struct{}

func middle(o fyne.CanvasObject) *fyne.Container { return container.New(middleLayout{}, o) }

func (middleLayout) MinSize(objects []fyne.CanvasObject) fyne.Size { return objects[0].MinSize() }

func (middleLayout) Layout(objects []fyne.CanvasObject, size fyne.Size) {
	high := fit(objects[0], size.Width)
	objects[0].Move(fyne.NewPos(0, fyne.Max(0, (size.Height-high)*0.45)))
}
