package ui

import (
	"context"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// beforePage says what will happen, before anything does.
func (d *desk) beforePage(sc *scope, r rail, coffer restorer, state *restoreState, back, next func()) *page {
	spinner, status, facts := newBusy(), newHint(), stack(gap3)
	w := d.ask(sc, r, question{
		name:  "restore/before",
		title: say("before.title"),
		lead:  say("before.lead"),
		body:  []fyne.CanvasObject{spinner.box, status.box, facts},
		next:  say("before.start"), onNext: next, back: back,
	})
	w.allow(false)
	facts.Hide()
	spinner.start(say("before.planning"))
	opts := state.options()
	run(sc, func(ctx context.Context) (app.RestorePlan, error) { return coffer.PlanRestore(ctx, opts) },
		func(plan app.RestorePlan, err error) {
			spinner.stop()
			if err != nil {
				d.problem(status, err)
				return
			}
			state.plan = plan
			d.showPlan(facts, state)
			facts.Show()
			ok := plan.Files+plan.Dirs > 0 && (plan.Free < 0 || plan.Free >= plan.Bytes)
			w.allow(ok)
			if ok {
				d.window.Canvas().Focus(w.next)
			}
			d.log.Debug("plan shown", "files", plan.Files)
		})
	return &w.page
}

// showPlan fills in what the plan found: figures first, then what needs thought.
func (d *desk) showPlan(box *fyne.Container, state *restoreState) {
	p := state.plan
	summary := stack(gap4,
		fact("restore", say("before.files"), sayN("before.files-value", p.Files, "size", size(p.Bytes))),
		fact("files", say("before.sample"), p.Sample))
	if snap, ok := state.chosen(); ok {
		summary.Add(fact("clock", say("before.from"), sentenceCase(moment(snap.Time, d.now()))))
	}
	if p.Free >= 0 {
		summary.Add(fact("where", say("before.free"), size(p.Free)))
	}
	box.Add(card(summary))
	switch {
	case p.Files+p.Dirs == 0:
		box.Add(newNotice(toneCareful, say("before.nothing.title"), say("before.nothing.body"), nil).box)
	case p.Free >= 0 && p.Free < p.Bytes:
		box.Add(newNotice(toneBad, say("before.tight.title"), say("before.tight.body", "need", size(p.Bytes), "free", size(p.Free)), nil).box)
	}
	if p.Existing > 0 {
		rule := state.options().Conflict
		box.Add(newNotice(tonePlain, sayN("before.existing.title", p.Existing), say("before.existing."+string(rule)), nil).box)
	}
	if len(p.Renames) > 0 {
		first := p.Renames[0]
		box.Add(newNotice(toneCareful, sayN("before.renames.title", int64(len(p.Renames))),
			say("before.renames.body", "from", first.From, "to", first.To), nil).box)
	}
}
