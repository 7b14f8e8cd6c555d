package ui

import (
	"fyne.io/fyne/v2"

	"coffer/app"
)

// activityPage is the screen Activity: each run, newest first, with what went wrong.
func (d *desk) activityPage(coffer overviewer) *page {
	sc := d.tasks.scope()
	status, spinner, rows := newHint(), newBusy(), stack(gap3)
	empty := stack(gap3, picture("empty", 180, 108), newWords(say("activity.empty"), wordStyle{color: colorMuted, center: true}))
	empty.Hide()
	spinner.start(say("browse.loading"))
	run(sc, coffer.Overview, func(o app.Overview, err error) {
		spinner.stop()
		if err != nil {
			d.problem(status, err)
			return
		}
		setVisible(empty, len(o.Runs) == 0)
		for i := len(o.Runs) - 1; i >= 0; i-- {
			rows.Add(d.runCard(o.Runs[i]))
		}
		rows.Refresh()
	})
	content := stack(gap6,
		stack(gap2, title(say("activity.title")), muted(say("activity.lead"))),
		spinner.box, status.box, empty, rows,
	)
	return &page{name: "activity", object: scrolling(pad(gap8, gap6, column(760, content))), scope: sc}
}

// runCard is one run: when, what it did, and what it could not do.
func (d *desk) runCard(r app.Run) fyne.CanvasObject {
	t, head, body := toneGood, say("activity.kind."+runKind(r.Kind)), ""
	switch {
	case r.Code != "":
		t = toneBad
		var failed string
		failed, body = trouble(app.Failure{Code: r.Code, Args: r.Args}, d.now())
		if r.Code == app.CodeCanceled {
			t = toneBusy
		}
		head += ": " + failed
	case r.Summary != nil:
		body = say("activity.summary", "files", sayN("count.files", r.Summary.Files),
			"new", sayN("count.new", r.Summary.NewFiles+r.Summary.ChangedFiles), "size", size(r.Summary.NewBytes), "time", span(secondsOf(r.Seconds)))
		if r.Summary.Unreadable > 0 {
			t = toneCareful
			body += " " + sayN("activity.unreadable", r.Summary.Unreadable)
		}
	}
	when := newWords(sentenceCase(moment(r.Started, d.now())), wordStyle{whole: true, size: sizeSmall, color: colorMuted})
	text := stack(gap1, rowFill(gap3, 0, strong(head), when))
	if body != "" {
		text.Add(muted(body))
	}
	if r.Summary != nil && len(r.Summary.Problems) > 0 {
		for _, p := range r.Summary.Problems[:min(len(r.Summary.Problems), problemsShown)] {
			text.Add(smallLine(d.short(p.Path) + ": " + p.Reason))
		}
	}
	return card(rowTop(gap3, 1, icon(t.icon(), t.color()), text))
}

func runKind(kind string) string {
	switch kind {
	case "backup", "restore", "check":
		return kind
	}
	return "other"
}
