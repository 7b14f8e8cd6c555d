package ui

import (
	"context"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// placeCopier is the part of Coffer that copies a backup from one place to another.
type placeCopier interface {
	CopyPlace(ctx context.Context, from, to string, o app.CopyOptions) (app.CopySummary, error)
}

// copyState is a copy that runs, as people read it.
type copyState struct{ figure string }

// copyJob is a copy that runs, whatever screen is shown. It belongs to the UI goroutine.
type copyJob struct {
	from, to string // texts of places
	gate     *app.Gate
	cancel   context.CancelFunc
	progress app.Progress
	paused   bool
	stopping bool
	changed  func() // set by the page that shows it; may be nil

	ended   bool
	summary app.CopySummary
	failure *app.Failure
}

// startCopy copies. done is called at the end, after changed.
func startCopy(d *desk, sc *scope, coffer placeCopier, from app.Place, to string, done func()) *copyJob {
	j := &copyJob{from: from.Dest, to: to, gate: app.NewGate()}
	tell := func() {
		if j.changed != nil {
			j.changed()
		}
	}
	p := newPresenter(sc.onUI, d.now, func(progress app.Progress) {
		j.progress = progress
		tell()
	})
	j.cancel = run(sc, func(ctx context.Context) (app.CopySummary, error) {
		summary, err := coffer.CopyPlace(ctx, from.ID, to, app.CopyOptions{Gate: j.gate, Progress: p.event})
		p.flush()
		return summary, err
	}, func(summary app.CopySummary, err error) {
		j.ended, j.summary = true, summary
		if err != nil {
			f := d.explain(err)
			j.failure = &f
		}
		d.log.Info("copy ended", "objects", summary.Objects, "failed", err != nil)
		done()
		tell()
	})
	return j
}

func (j *copyJob) pause(on bool) {
	j.paused = on
	if on {
		j.gate.Pause()
	} else {
		j.gate.Resume()
	}
}

// stop cancels. A paused job could not see it, hence the gate is opened.
func (j *copyJob) stop() {
	j.stopping = true
	j.cancel()
	j.gate.Resume()
}

// copyFigure is the state of a copy in a line, and how much of it is done.
func (j *copyJob) state() jobState {
	s := jobStateOf(j.progress, j.paused, j.stopping, func(path string) string { return path })
	if !j.paused && !j.stopping {
		s.verb = say("copy.working")
	}
	s.figure = say("copy.figure", "size", size(j.progress.Bytes))
	if total := j.progress.TotalBytes; total > 0 {
		s.figure = say("copy.figure-of", "size", size(j.progress.Bytes), "total", size(total))
		s.fraction = float64(j.progress.Bytes) / float64(total)
	}
	return s
}

// copyToPage asks where the copy goes: to another place of the profile, or to a new one.
func (d *desk) copyToPage(from app.Place, others []app.Place, back func(), to func(dest string), elsewhere func()) *page {
	const anew = "+"
	var list []answer
	for _, p := range others {
		list = append(list, answer{id: p.Dest, icon: kindIcon(p.Kind), title: d.placeName(p.Dest), body: p.Account})
	}
	list = append(list, answer{id: anew, icon: "plus", title: say("copy.new.title"), body: say("copy.new.body")})
	chosen := list[0].id
	group := newAnswers(chosen, func(id string) { chosen = id }, list...)
	w := d.taskPage(d.tasks.scope(), asked{
		name: "where/copy", title: say("copy.title", "place", d.placeName(from.Dest)), lead: say("copy.lead"),
		body: []fyne.CanvasObject{group.box}, button: say("button.next"),
		do: func() {
			if chosen == anew {
				elsewhere()
				return
			}
			to(chosen)
		},
	}, back)
	group.accept = w.accept
	w.focus = group.tiles[0]
	return &w.page
}

// copyingPage shows a copy: its progress, then how it ended. Leaving the page leaves the
// copy running.
func (d *desk) copyingPage(j *copyJob, back, again func()) *page {
	sc := d.tasks.scope()
	var box *progressBox
	pause := push(say("home.pause"), "pause", func() {
		j.pause(!j.paused)
		j.changed()
	})
	stop := quiet(say("button.cancel"), "", func() {
		j.stop()
		j.changed()
	})
	box = newProgressBox(pause, stop)
	result, leave := stack(gap4), small(say("copy.to.lead"))
	w := d.taskPage(sc, asked{
		name:   "where/copying",
		title:  say("copy.to.title", "from", d.placeName(j.from), "to", d.placeName(j.to)),
		body:   []fyne.CanvasObject{box.box, leave, result},
		button: say("copy.done"), do: back,
	}, back)
	j.changed = func() {
		if sc.ended {
			return
		}
		w.allowQuietly(j.ended)
		setVisible(box.box, !j.ended)
		setVisible(leave, !j.ended)
		if j.ended {
			d.copyEnded(w, result, j, again)
			return
		}
		box.set(j.state())
		text, sign := say("home.pause"), "pause"
		if j.paused {
			text, sign = say("home.resume"), "play"
		}
		pause.label(text, sign)
		pause.enable(!j.stopping)
		stop.enable(!j.stopping)
	}
	j.changed()
	w.focus = pause
	if j.ended {
		w.focus = w.next
	}
	return &w.page
}

// copyEnded says how a copy ended.
func (d *desk) copyEnded(w *wizardPage, result *fyne.Container, j *copyJob, again func()) {
	result.RemoveAll()
	more := row(0, push(say("copy.again"), "copy", again))
	switch s := j.summary; {
	case j.failure != nil && j.failure.Code == app.CodeCanceled:
		w.title.set(say("copy.stopped.title"))
		result.Add(newNotice(tonePlain, "", say("copy.stopped.body"), nil).box)
		result.Add(more)
	case j.failure != nil:
		head, body := trouble(*j.failure, d.now())
		w.title.set(say("copy.failed.title"))
		result.Add(newNotice(toneBad, head, body, nil).box)
		result.Add(plain(say("copy.stopped.body")))
		result.Add(more)
	case len(s.Damaged) > 0:
		w.title.set(sayN("copy.damaged.title", int64(len(s.Damaged))))
		result.Add(newNotice(toneCareful, say("copy.damaged.head"), say("copy.damaged.body"), nil).box)
	default:
		w.title.set(say("copy.good.title"))
		result.Add(newNotice(toneGood, say("copy.good.head", "place", d.placeName(j.to)), d.copySummary(s), nil).box)
	}
	escapable(result, w.page.back)
	result.Refresh()
}

func (d *desk) copySummary(s app.CopySummary) string {
	if s.Copied == 0 {
		return say("copy.nothing")
	}
	return sayN("copy.summary", s.Copied, "size", size(s.Bytes), "time", span(secondsOf(s.Seconds)))
}
