package ui

import (
	"image/color"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
)

// stripDays is how many days the strip on Home shows, today being the last.
const stripDays = 30

// A dayState is what became of one day.
type dayState int

const (
	dayNone   dayState = iota // no backup was tried
	dayFailed                 // tried, and none ended well
	dayDone
)

// daysOf sorts runs into the last days, oldest first.
func daysOf(runs []app.Run, now time.Time) [stripDays]dayState {
	var days [stripDays]dayState
	midnight := func(t time.Time) time.Time {
		y, m, d := t.In(now.Location()).Date()
		// Noon in UTC: days are then 24 hours, whatever the clocks do in spring.
		return time.Date(y, m, d, 12, 0, 0, 0, time.UTC)
	}
	for _, r := range runs {
		ago := int(midnight(now).Sub(midnight(r.Started)) / (24 * time.Hour))
		if r.Kind != "backup" || ago < 0 || ago >= stripDays {
			continue
		}
		state := dayFailed
		if r.Code == "" {
			state = dayDone
		}
		at := stripDays - 1 - ago
		days[at] = max(days[at], state)
	}
	return days
}

// stripText is the strip in words.
func stripText(runs []app.Run, now time.Time) string {
	done := int64(0)
	for _, d := range daysOf(runs, now) {
		if d == dayDone {
			done++
		}
	}
	return sayN("home.days.note", done)
}

// dayStrip shows thirty days as bars: a day with a backup is high and coloured, one that
// failed is half as high, one without is a dot. Height says it as well as colour.
type dayStrip struct {
	widget.BaseWidget
	days [stripDays]dayState
}

func newDayStrip() *dayStrip {
	s := &dayStrip{}
	s.ExtendBaseWidget(s)
	return s
}

func (s *dayStrip) set(days [stripDays]dayState) {
	if days != s.days {
		s.days = days
		s.Refresh()
	}
}

// CreateRenderer implements fyne.Widget.
func (s *dayStrip) CreateRenderer() fyne.WidgetRenderer {
	r := &stripRenderer{s: s}
	for range stripDays {
		r.bars = append(r.bars, canvas.NewRectangle(color.Transparent))
	}
	r.Refresh()
	return r
}

type stripRenderer struct {
	s    *dayStrip
	bars []fyne.CanvasObject
}

func (r *stripRenderer) MinSize() fyne.Size { return fyne.NewSize(stripDays*6, 30) }

func (r *stripRenderer) Layout(size fyne.Size) {
	step := size.Width / stripDays
	for i, o := range r.bars {
		bar := o.(*canvas.Rectangle)
		high, wide := size.Height, fyne.Min(step*0.62, 14)
		switch r.s.days[i] {
		case dayNone:
			high = 5
		case dayFailed:
			high = size.Height / 2
		}
		bar.CornerRadius = fyne.Min(wide, high) / 2.6
		bar.Resize(fyne.NewSize(wide, high))
		bar.Move(fyne.NewPos(float32(i)*step, size.Height-high))
	}
}

func (r *stripRenderer) Refresh() {
	for i, o := range r.bars {
		bar := o.(*canvas.Rectangle)
		bar.FillColor = themeColor([...]fyne.ThemeColorName{colorTrack, theme.ColorNameWarning, theme.ColorNameSuccess}[r.s.days[i]])
		bar.Refresh()
	}
	r.Layout(r.s.Size())
}

func (r *stripRenderer) Objects() []fyne.CanvasObject { return r.bars }
func (r *stripRenderer) Destroy()                     {}
