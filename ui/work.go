package ui

import (
	"context"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"coffer/app"
)

// job is a backup that runs, whatever screen is shown. It belongs to the UI goroutine.
type job struct {
	gate     *app.Gate
	cancel   context.CancelFunc
	progress app.Progress
	paused   bool
	stopping bool
}

// jobState is how a job looks, without fyne.
type jobState struct {
	verb     string
	figure   string  // "12 of 40 files, 1.2 GB of 4 GB"
	fraction float64 // 0 to 1
	rate     string
	left     string
	current  string
	paused   bool
	stopping bool
}

// jobStateOf turns progress into what people read.
func jobStateOf(p app.Progress, paused, stopping bool, short func(string) string) jobState {
	s := jobState{paused: paused, stopping: stopping, verb: say("work.phase." + phaseKey(p.Phase))}
	switch {
	case stopping:
		s.verb = say("work.stopping")
	case paused:
		s.verb = say("work.paused")
	}
	s.figure = sayN("work.files", p.Files, "size", size(p.Bytes))
	if p.TotalFiles > 0 {
		s.figure = sayN("work.files-of", p.TotalFiles, "files", number(p.Files), "size", size(p.Bytes), "total", size(p.TotalBytes))
	}
	if p.TotalBytes > 0 && p.Scanned {
		s.fraction = float64(p.Bytes) / float64(p.TotalBytes)
	}
	if p.Rate > 0 && !paused {
		s.rate = say("work.rate", "size", size(int64(p.Rate)))
		s.left = timeLeft(p.Left, p.LeftMax)
	}
	if p.Place != "" {
		s.verb = say("work.at", "verb", s.verb, "place", placeName(p.Place, short))
	}
	s.current = short(p.Current)
	return s
}

func phaseKey(p app.Phase) string {
	switch p {
	case app.PhasePlanning, app.PhaseReading, app.PhaseUploading, app.PhaseIndexing, app.PhaseRestoring, app.PhaseChecking:
		return string(p)
	}
	return "opening"
}

// backerUp is the part of Coffer that makes a backup.
type backerUp interface {
	Backup(ctx context.Context, o app.BackupOptions) (app.BackupSummary, error)
}

// startJob backs up; anyway, also on a network that costs. changed is called at most ten times a second, and done at the end.
func startJob(sc *scope, coffer backerUp, now func() time.Time, anyway bool, changed func(), done func(app.BackupSummary, error)) *job {
	j := &job{gate: app.NewGate()}
	p := newPresenter(sc.onUI, now, func(progress app.Progress) {
		j.progress = progress
		changed()
	})
	j.cancel = run(sc, func(ctx context.Context) (app.BackupSummary, error) {
		summary, err := coffer.Backup(ctx, app.BackupOptions{Gate: j.gate, Progress: p.event, Anyway: anyway})
		p.flush()
		return summary, err
	}, done)
	return j
}

func (j *job) pause(on bool) {
	j.paused = on
	if on {
		j.gate.Pause()
	} else {
		j.gate.Resume()
	}
}

// stop cancels. A paused job could not see it, hence the gate is opened.
func (j *job) stop() {
	j.stopping = true
	j.cancel()
	j.gate.Resume()
}

// progressBox shows a jobState. It refreshes itself, and nothing around it.
type progressBox struct {
	verb, figure, rate, current *words
	bar                         *meter
	box                         *panel
}

func newProgressBox(buttons ...*button) *progressBox {
	p := &progressBox{
		verb: strong(""), figure: plain(""), rate: muted(""), bar: newMeter(),
		current: newWords("", wordStyle{size: sizeSmall, color: colorMuted, oneRow: true}),
	}
	inner := stack(gap3, p.verb, p.bar, stack(gap1, p.figure, p.rate, p.current))
	if len(buttons) > 0 {
		inner.Add(buttonRow(buttons...))
	}
	p.box = card(inner)
	return p
}

func (p *progressBox) set(s jobState) {
	p.verb.set(s.verb)
	p.figure.set(s.figure)
	rate := s.rate
	if s.left != "" {
		rate += " · " + s.left
	}
	p.rate.set(rate)
	p.current.set(s.current)
	setVisible(p.rate, rate != "")
	setVisible(p.current, s.current != "")
	p.bar.set(s.fraction, meterColor(s))
}

func meterColor(s jobState) fyne.ThemeColorName {
	if s.paused || s.stopping {
		return colorMuted
	}
	return theme.ColorNamePrimary
}

// buttonRow puts buttons beside each other, each as wide as its text; into further rows
// where they do not fit.
func buttonRow(buttons ...*button) *fyne.Container {
	objects := make([]fyne.CanvasObject, len(buttons))
	for i, b := range buttons {
		objects[i] = b
	}
	return wrapRow(gap3, objects...)
}
