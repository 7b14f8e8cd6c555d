package ui

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// runningPage restores, and shows how far it is.
func (d *desk) runningPage(sc *scope, r rail, coffer restorer, state *restoreState, back, next func()) *page {
	gate := app.NewGate()
	paused, stopping := false, false
	var progress app.Progress
	var cancel context.CancelFunc
	box := newProgressBox()
	show := func() { box.set(jobStateOf(progress, paused, stopping, d.short)) }

	var pause *button
	pause = push(say("home.pause"), "pause", func() {
		paused = !paused
		if paused {
			gate.Pause()
			pause.label(say("home.resume"), "play")
		} else {
			gate.Resume()
			pause.label(say("home.pause"), "pause")
		}
		show()
	})
	w := d.ask(sc, r, question{
		name:  "restore/running",
		title: say("restoring.title"),
		lead:  say("restoring.lead"),
		body:  []fyne.CanvasObject{box.box, row(gap3, pause)},
		aside: push(say("button.cancel"), "", func() {
			stopping = true
			show()
			gate.Resume()
			cancel()
		}),
		focus: pause,
	})
	p := newPresenter(sc.onUI, d.now, func(now app.Progress) {
		progress = now
		show()
	})
	show()
	opts := state.options()
	opts.Gate, opts.Progress = gate, p.event
	cancel = run(sc, func(ctx context.Context) (app.Receipt, error) {
		receipt, err := coffer.Restore(ctx, opts)
		p.flush()
		return receipt, err
	}, func(receipt app.Receipt, err error) {
		state.receipt = receipt
		d.log.Info("restore ended", "files", receipt.Restored, "failed", receipt.Failed)
		if err == nil {
			next()
			return
		}
		pause.Hide()
		d.restoreFailed(w, err, receipt, back, next)
	})
	return &w.page
}

// restoreFailed says why it ended early. What was restored until then stays, and is on the
// receipt.
func (d *desk) restoreFailed(w *wizardPage, err error, receipt app.Receipt, back, next func()) {
	f := d.explain(err)
	head, body := trouble(f, d.now())
	t := toneBad
	if f.Code == app.CodeCanceled {
		t, head, body = tonePlain, say("restoring.stopped.title"), sayN("restoring.stopped.body", receipt.Restored)
	}
	n := newNotice(t, head, body, nil)
	buttons := buttonRow(push(say("restoring.again"), "back", back), push(say("restoring.receipt"), "sheet", next))
	w.fail(stack(gap4, n.box, buttons))
}

// donePage is the receipt: what was restored, checked, renamed, and what was not.
func (d *desk) donePage(sc *scope, r rail, state *restoreState, home func()) *page {
	rec := state.receipt
	head := sayN("done.title", rec.Restored)
	lead := say("done.lead", "target", d.short(rec.Target))
	name := "done"
	if rec.Restored+rec.Identical == 0 {
		head, lead, name = say("done.nothing.title"), say("done.nothing.lead"), "empty"
	}
	figures := stack(gap3)
	figure := func(iconName, key string, n int64, always bool) {
		if n > 0 || always {
			figures.Add(rowFill(gap3, 1, icon(iconName, colorMuted), plain(say(key)), newWords(number(n), wordStyle{whole: true, bold: true})))
		}
	}
	figure("restore", "done.restored", rec.Restored, true)
	figure("ok", "done.verified", rec.Verified, true)
	figure("copy", "done.identical", rec.Identical, false)
	figure("document", "done.renamed", rec.Renamed, false)
	figure("pause", "done.skipped", rec.Skipped, false)
	figure("wrong", "done.failed", rec.Failed, true)

	body := []fyne.CanvasObject{
		picture(name, 180, 120), card(figures),
		muted(say("done.size", "size", size(rec.Bytes), "time", span(secondsOf(rec.Seconds)))),
	}
	if list := problemList(d, rec.Problems); list != nil {
		body = append(body, list)
	}
	body = append(body, d.receiptSaver(sc, rec))
	w := d.ask(sc, r, question{
		name: "restore/done", title: head, lead: lead, body: body,
		next: say("done.home"), onNext: home,
	})
	return &w.page
}

// problemsShown is how many files the receipt names on screen; the saved one has them all.
const problemsShown = 20

func problemList(d *desk, problems []app.Problem) fyne.CanvasObject {
	if len(problems) == 0 {
		return nil
	}
	rows := stack(gap3, heading(sayN("done.problems", int64(len(problems)))))
	for _, p := range problems[:min(len(problems), problemsShown)] {
		rows.Add(stack(2, line(d.short(p.Path)), smallLine(p.Reason)))
	}
	if more := len(problems) - problemsShown; more > 0 {
		rows.Add(muted(sayN("done.problems-more", int64(more))))
	}
	return card(rows)
}

// receiptSaver keeps the receipt as a text file.
func (d *desk) receiptSaver(sc *scope, rec app.Receipt) fyne.CanvasObject {
	name := say("done.file") + " " + rec.StartedAt.In(d.now().Location()).Format("2006-01-02 15.04") + ".txt"
	return d.textSaver(sc, name, rec.Text())
}

// textSaver keeps a receipt as a file of the user's, at first in their own folder.
func (d *desk) textSaver(sc *scope, name, text string) fyne.CanvasObject {
	status, replace := newHint(), false
	path := newField("")
	path.SetText(filepath.Join(d.home, name))
	path.OnChanged = func(string) { replace = false }
	save := func() {
		to, over := d.expand(path.Text), replace
		run(sc, func(context.Context) (string, error) {
			return to, saveFile(to, over, func(w io.Writer) error {
				_, err := io.WriteString(w, text)
				return err
			})
		}, func(to string, err error) {
			switch {
			case errors.Is(err, fs.ErrExist):
				status.set(toneCareful, say("sheet.exists"))
			case err != nil:
				status.set(toneBad, say("sheet.failed", "path", d.short(filepath.Dir(to))))
			default:
				status.set(toneGood, say("done.saved", "path", d.short(to)))
			}
		})
	}
	path.OnSubmitted = func(string) { save() }
	pick := push(say("pick.choose"), "files", func() {
		d.picker.Save(sc, say("done.pick"), d.expand(path.Text), func(to string) {
			path.SetText(to)
			replace = true
			save()
		})
	})
	return card(stack(gap3, labelled(say("done.receipt"), rowFill(gap2, 0, path, pick)),
		row(0, push(say("done.save"), "save", save)), status.box))
}
