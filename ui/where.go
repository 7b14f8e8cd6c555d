package ui

import (
	"context"
	"time"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// placeInspector is the part of Coffer that looks at a place.
type placeInspector interface {
	InspectPlace(ctx context.Context, dest string) (app.PlaceInfo, error)
}

// inspectAfter is how long typing must rest before a place is looked at.
const inspectAfter = 400 * time.Millisecond

// placeChooser is a path field that looks at what is there. Answers to older texts are
// dropped.
type placeChooser struct {
	*desk
	sc     *scope
	coffer placeInspector
	field  *pathField
	busy   *busy
	found  func(app.PlaceInfo, error) // also with the zero PlaceInfo, when the text changed

	asked string
	stop  func()
}

func (d *desk) newPlaceChooser(sc *scope, coffer placeInspector, pick string, found func(app.PlaceInfo, error)) *placeChooser {
	c := &placeChooser{desk: d, sc: sc, coffer: coffer, busy: newBusy(), found: found}
	c.field = d.newPathField(sc, say("where.placeholder"), pick, func(path string, whole bool) {
		if whole {
			c.inspect(path)
			return
		}
		c.wait(path)
	})
	return c
}

// wait looks at a place once typing rests.
func (c *placeChooser) wait(path string) {
	if path == c.asked {
		return
	}
	if c.stop != nil {
		c.stop()
	}
	c.asked = ""
	c.found(app.PlaceInfo{}, nil)
	if path != "" {
		c.stop = c.sc.later(inspectAfter, func() { c.inspect(path) })
	}
}

func (c *placeChooser) inspect(path string) {
	if path == "" || path == c.asked {
		return
	}
	if c.stop != nil {
		c.stop()
	}
	c.asked = path
	c.busy.start(say("where.looking"))
	run(c.sc, func(ctx context.Context) (app.PlaceInfo, error) { return c.coffer.InspectPlace(ctx, path) },
		func(info app.PlaceInfo, err error) {
			if c.asked == path {
				c.busy.stop()
				c.found(info, err)
				c.log.Debug("place inspected", "backups", len(info.Backups))
			}
		})
}

// wherePage asks where the backup lives. A backup that is there already is joined or
// restored from, never overwritten.
func (d *desk) wherePage(sc *scope, r rail, coffer placeInspector, state *setupState, back, next func(),
	join func(place string, sources []string), rescue func(place string),
) *page {
	hint := newHint()
	already := stack(gap3)
	already.Hide()
	var w *wizardPage
	chooser := d.newPlaceChooser(sc, coffer, say("where.pick"), func(info app.PlaceInfo, err error) {
		state.place = info
		already.Hide()
		t, text, usable := d.judgePlace(info, err, state)
		hint.set(t, text)
		if len(info.Backups) > 0 {
			already.RemoveAll()
			already.Add(d.takenNotice(info, func() { join(info.Dest, state.chosen()) }, func() { rescue(info.Dest) }))
			escapable(already, back)
			already.Show()
		}
		if w != nil {
			w.allow(usable)
		}
	})
	w = d.ask(sc, r, question{
		name:  "setup/where",
		title: say("where.title"),
		lead:  say("where.lead"),
		body: []fyne.CanvasObject{
			card(stack(gap3, strong(say("where.folder")), chooser.field.box, chooser.busy.box, hint.box)),
			already,
			newNotice(tonePlain, say("where.advice.title"), say("where.advice.body"), nil).box,
		},
		next: say("button.next"), onNext: next, back: back, focus: chooser.field.entry,
		drop: func(path string) { chooser.field.set(path) },
	})
	w.allow(false)
	if state.place.Dest != "" {
		chooser.asked = state.place.Dest
		chooser.field.set(state.place.Dest)
		chooser.found(state.place, nil)
	}
	chooser.field.entry.OnSubmitted = func(s string) {
		if !w.next.Disabled() {
			next()
			return
		}
		chooser.inspect(d.expand(s))
	}
	return &w.page
}

// judgePlace says what a new backup would meet in a place.
func (d *desk) judgePlace(info app.PlaceInfo, err error, state *setupState) (t tone, text string, usable bool) {
	if err != nil {
		return toneBad, d.sentence(d.explain(err)), false
	}
	if info.Dest == "" {
		return tonePlain, "", false
	}
	if folder, is := inside(info.Dest, state.chosen()); is {
		return toneBad, say("where.inside", "folder", d.short(folder)), false
	}
	_, bytes, _ := state.total()
	switch {
	case len(info.Backups) > 0:
		return tonePlain, "", false
	case info.Exists && !info.Writable:
		return toneBad, d.sentence(app.Failure{Code: app.CodePlaceReadOnly}), false
	case info.Free >= 0 && info.Free < bytes:
		return toneCareful, say("where.tight", "free", size(info.Free), "need", size(bytes)), true
	case !info.Exists:
		return toneGood, say("where.new"), true
	case info.Free < 0:
		return toneGood, say("where.fine"), true
	}
	return toneGood, say("where.free", "free", size(info.Free), "need", size(bytes)), true
}

// takenNotice offers what can be done with a backup that is already there.
func (d *desk) takenNotice(info app.PlaceInfo, join, rescue func()) fyne.CanvasObject {
	b := info.Backups[0]
	body := say("where.taken.body", "computer", orUnknown(b.Computer), "date", day(b.MadeAt.In(d.now().Location())))
	if b.MadeAt.IsZero() {
		body = say("where.taken.body-undated")
	}
	n := newNotice(toneCareful, say("where.taken.title"), body, nil)
	buttons := flow(gap3, 220, push(say("where.taken.rescue"), "restore", rescue), push(say("where.taken.join"), "link", join))
	return stack(gap3, n.box, buttons)
}

func orUnknown(name string) string {
	if name == "" {
		return say("failure.some-computer")
	}
	return name
}
