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

// folderPage asks for a disk or folder, and says what is there while it is typed.
func (c *connecting) folderPage(back func()) {
	sc := c.tasks.scope()
	hint, already := newHint(), stack(gap3)
	already.Hide()
	var w *wizardPage
	chooser := c.newPlaceChooser(sc, c.coffer, say("wanted."+string(c.purpose)+".pick"), func(info app.PlaceInfo, err error) {
		c.info = info
		c.draft.values["address"] = info.Dest
		already.Hide()
		t, text, fits := c.judge(info, err)
		hint.set(t, text)
		if c.taken(info) {
			already.Objects = []fyne.CanvasObject{c.takenNotice(info)}
			escapable(already, back)
			already.Show()
			already.Refresh()
		}
		if w != nil {
			w.allow(fits)
		}
	})
	forward := func() {
		if c.purpose == toAdd {
			c.foundPage()
			return
		}
		c.done(c.info)
	}
	w = c.ask(sc, c.rail, question{
		name:  c.at + "/place",
		title: say("folder." + string(c.purpose) + ".title"),
		lead:  say("folder." + string(c.purpose) + ".lead"),
		body: []fyne.CanvasObject{
			card(stack(gap3, strong(say("where.folder")), chooser.field.box, chooser.busy.box, hint.box)),
			already,
		},
		next: say("button.next"), onNext: forward, back: back, focus: chooser.field.entry,
		drop: func(path string) { chooser.field.set(path) },
	})
	w.allow(false)
	if typed := c.draft.values["address"]; c.info.Dest == "" && typed != "" {
		chooser.field.set(typed)
	}
	if c.info.Dest != "" {
		known := c.info
		chooser.asked = known.Dest
		chooser.field.set(known.Dest)
		chooser.found(known, nil)
	}
	chooser.field.entry.OnSubmitted = func(s string) {
		if !w.next.Disabled() {
			forward()
			return
		}
		chooser.inspect(c.expand(s))
	}
	c.show(&w.page)
}

// taken reports whether the place holds a backup that the first run must not touch.
func (c *connecting) taken(info app.PlaceInfo) bool {
	return c.purpose == toKeep && len(info.Backups) > 0
}

// judge says what the place is for the purpose, and whether to go on with it.
func (c *connecting) judge(info app.PlaceInfo, err error) (t tone, text string, fits bool) {
	switch {
	case err != nil:
		if f := c.explain(err); f.Code != app.CodeCanceled {
			return toneBad, c.sentence(f), false
		}
		return tonePlain, "", false
	case info.Dest == "":
		return tonePlain, "", false
	case c.purpose == toFind && len(info.Backups) == 0:
		return toneCareful, say("find.none"), false
	case c.purpose == toFind:
		return toneGood, sayN("find.found", int64(len(info.Backups))), true
	}
	return c.judgeRoom(info)
}

// judgeRoom says what a backup would meet in a place.
func (c *connecting) judgeRoom(info app.PlaceInfo) (t tone, text string, fits bool) {
	if folder, is := inside(info.Dest, c.sources); is && info.Kind == kindFolder {
		return toneBad, say("where.inside", "folder", c.short(folder)), false
	}
	switch {
	case c.taken(info):
		return tonePlain, "", false
	case info.Exists && !info.Writable:
		return toneBad, c.sentence(app.Failure{Code: app.CodePlaceReadOnly}), false
	case c.purpose == toAdd && len(info.Backups) > 0:
		return tonePlain, say("add.taken"), true
	case info.Free >= 0 && info.Free < c.need.first:
		return toneCareful, say("where.tight", "free", size(info.Free), "need", size(c.need.first)), true
	case !info.Exists && info.Kind == kindFolder:
		return toneGood, say("where.new"), true
	case info.Free < 0:
		return toneGood, say("where.fine"), true
	}
	text = say("where.free", "free", size(info.Free), "need", size(c.need.first))
	if d, ok := c.need.enoughFor(info.Free); ok {
		text = say("where.enough", "free", size(info.Free), "enough", enoughText(d))
	}
	return toneGood, text, true
}

// takenNotice offers what can be done with a backup that is already there.
func (c *connecting) takenNotice(info app.PlaceInfo) fyne.CanvasObject {
	b := info.Backups[0]
	body := say("where.taken.body", "computer", orUnknown(b.Computer), "date", day(b.MadeAt.In(c.now().Location())))
	if b.MadeAt.IsZero() {
		body = say("where.taken.body-undated")
	}
	n := newNotice(toneCareful, say("where.taken.title"), body, nil)
	buttons := flow(gap3, 220,
		push(say("where.taken.rescue"), "restore", func() { c.rescue(info) }),
		push(say("where.taken.join"), "link", func() { c.join(info) }))
	return stack(gap3, n.box, buttons)
}

func orUnknown(name string) string {
	if name == "" {
		return say("failure.some-computer")
	}
	return name
}
