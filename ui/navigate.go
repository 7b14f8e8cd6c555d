package ui

import (
	"context"
	"slices"
	"strings"

	"coffer/app"
)

// This file is the navigation: what leads from one screen to the next. No screen knows it.

// openHome shows Home and asks how things are.
func (w *Window) openHome() {
	h, p := w.homePage(homeActions{
		backUp: w.backUp, anyway: func() { w.startBackup(true) }, pause: func() { w.pause(true) }, resume: func() { w.pause(false) }, stop: w.stop,
		getBack: func() { w.Open("restore/what") },
		attend:  w.attend, unlock: func() { w.Open("unlock") },
	})
	w.home = h
	w.showNav(p)
	w.home = h
	w.applyHome()
	w.loadHome()
}

// loadHome asks for the overview again.
func (w *Window) loadHome() {
	run(w.life, w.coffer.Overview, func(o app.Overview, err error) {
		if err != nil {
			f := w.explain(err)
			w.news.failed = &f
		} else {
			w.overview, w.news.overview = o, o
		}
		w.news.loaded = true
		w.applyHome()
		w.log.Debug("overview shown", "state", o.State)
	})
}

// applyHome brings Home up to date, if it is on screen.
func (w *Window) applyHome() {
	if w.home == nil {
		return
	}
	state := w.news
	if w.job != nil {
		j := jobStateOf(w.job.progress, w.job.paused, w.job.stopping, w.short)
		state.job = &j
	}
	w.home.apply(state)
}

func (w *Window) backUp() { w.startBackup(false) }

func (w *Window) startBackup(anyway bool) {
	if w.job != nil {
		return
	}
	first := w.news.overview.LastBackup.IsZero()
	w.news.failed, w.news.finished, w.news.first, w.news.partly = nil, false, false, 0
	w.job = startJob(w.life, w.coffer, w.now, anyway, w.applyHome, func(summary app.BackupSummary, err error) {
		w.job = nil
		if err != nil {
			f := w.explain(err)
			w.news.failed = &f
			w.log.Info("backup ended", "code", string(f.Code))
		} else {
			w.news.finished, w.news.first, w.news.partly = true, first, summary.Unreadable
			w.log.Info("backup ended", "files", summary.Files)
		}
		w.applyHome()
		w.loadHome()
	})
	w.applyHome()
}

func (w *Window) pause(on bool) {
	if w.job != nil {
		w.job.pause(on)
		w.applyHome()
	}
}

func (w *Window) stop() {
	if w.job != nil {
		w.job.stop()
		w.applyHome()
	}
}

// attend leads to what a line on Home asks for.
func (w *Window) attend(a app.Attention) {
	if a.Code == app.AttentionLastFailed && vaultAlarm(app.Code(a.Args["code"])) {
		w.Open("key") // where the vault is: to try again would change nothing
		return
	}
	switch a.Code {
	case app.AttentionSheet:
		w.Open("key/prove")
	case app.AttentionPractice:
		w.Open("key/practice")
	case app.AttentionPasswordHalf:
		w.Open("key/change")
	case app.AttentionNoSources:
		w.Open("what")
	case app.AttentionUnreadable:
		w.Open("activity")
	case app.AttentionKeyInFile, app.AttentionVault:
		w.Open("key")
	case app.AttentionPlaceLate, app.AttentionPlaceTrouble, app.AttentionSpace:
		w.Open("where")
	default:
		w.Open("home")
		w.backUp()
	}
}

// openSetup shows a step of the first run, and begins it when it has not begun.
func (w *Window) openSetup(name string) {
	if w.setup == nil {
		w.setup = &firstRun{
			desk: w.desk, coffer: w.coffer, show: w.show,
			leave: func() { w.Open("start") },
			join: func(place string, sources []string) {
				w.rescue(place, sources)
			},
			rescue: func(place string) { w.rescue(place, nil) },
			done: func() {
				w.setup.wipe()
				w.setup = nil
				w.keepLooks()
				w.Open("home")
				w.backUp()
			},
		}
	}
	if kind, ok := strings.CutPrefix(name, "place/"); ok {
		w.setup.connecting().openForm(kind)
		return
	}
	step := slices.Index(setupSteps[:], name)
	switch name {
	case "vault", "vault/about", "vault/alarm":
		w.setup.vaults().linkPage()
		return
	case string(app.LockKey), string(app.LockPassword), string(app.LockPassphrase):
		w.setup.state.lock = app.LockKind(name)
		step = stepSecret
	}
	w.setup.goTo(max(step, stepPromise))
}

// rescue opens a backup that was found in a place during the first run. With sources, this
// computer joins it and backs these up.
func (w *Window) rescue(place string, sources []string) {
	r := w.newRestore()
	r.sources = sources
	run(w.life, func(ctx context.Context) (app.PlaceInfo, error) { return w.coffer.InspectPlace(ctx, place) },
		func(info app.PlaceInfo, err error) {
			if err != nil {
				r.goTo(restoreWhere)
				return
			}
			r.state.place = info
			r.goTo(restoreWhich)
		})
}

// keepLooks takes the settings of a profile that is new on this computer, with the language
// and the looks that were chosen before it was set up.
func (w *Window) keepLooks() {
	chosen := w.settings
	w.settings = w.coffer.Settings()
	w.settings.Language, w.settings.Theme, w.settings.TextScale = chosen.Language, chosen.Theme, chosen.TextScale
	w.saveSettings(w.settings)
}

func (w *Window) newRestore() *restore {
	r := &restore{
		desk: w.desk, coffer: w.coffer, show: w.show,
		home: func() { w.restore = nil; w.Open("home") },
	}
	if w.coffer.IsSetUp() {
		r.from = restoreWhat
	}
	r.leave = func() {
		w.restore = nil
		if w.coffer.IsSetUp() {
			w.Open("home")
		} else {
			w.Open("start")
		}
	}
	r.joined = func() {
		w.keepLooks()
		if len(r.sources) > 0 {
			w.restore = nil
			w.Open("home")
			return
		}
		r.goTo(restoreWhat)
	}
	w.restore = r
	return r
}

// openRestore shows a step of the restore wizard, and begins it when it has not begun.
func (w *Window) openRestore(name string) {
	if w.restore == nil {
		w.newRestore()
	}
	if kind, ok := strings.CutPrefix(name, "place/"); ok {
		w.restore.connecting(w.restore.leave).openForm(kind)
		return
	}
	step := slices.Index(restoreSteps[:], name)
	w.restore.goTo(max(step, w.restore.from))
}

// getBackSome begins the restore wizard with files that were chosen on the screen Files.
func (w *Window) getBackSome(snapshot string, paths []string) {
	r := w.newRestore()
	r.state.some, r.state.paths, r.state.snapshot = true, paths, snapshot
	if snapshot == "latest" {
		r.state.snapshot = ""
	}
	r.goTo(restoreWhen)
}

// openUnlock asks for a way in when the key is not kept on this computer.
func (w *Window) openUnlock() {
	sc := w.tasks.scope()
	home := func() { w.Open("home") }
	w.showNav(w.openPage(sc, rail{}, unlocking{
		name: "unlock", coffer: w.coffer, dest: w.overview.Place, ways: w.overview.WaysIn,
		open: func(ctx context.Context, lock app.LockKind, secret app.Secret, key app.RootKey) error {
			return w.coffer.Unlock(ctx, app.UnlockOptions{Lock: lock, Secret: secret, Key: key})
		},
		back: home, done: home,
	}))
}

func (w *Window) waysActions() waysActions {
	open := func(name string) func() { return func() { w.Open(name) } }
	return waysActions{
		change: open("key/change"), practice: open("key/practice"), prove: open("key/prove"),
		sheet: open("key/sheet"), show: open("key/show"), check: open("key/check"),
		vault: vaultActions{
			move: open("key/move"), moveBack: open("key/move-back"), leave: open("key/leave"), prove: open("key/prove"),
			receipt: func(r app.VaultReceipt) {
				w.showNav(w.receiptAgainPage(r, func() { w.Open("key") }))
			},
		},
	}
}

// openKeyTask shows a task of Key & recovery. Some need the key first, from a task.
func (w *Window) openKeyTask(name string) {
	back := func() { w.Open("key") }
	name, _, _ = strings.Cut(name, "/") // a later page of a task begins it again
	switch name {
	case "receipt": // of which vault, only Key & recovery knows
		back()
	case "change":
		c := &changing{desk: w.desk, coffer: w.coffer, show: w.showNav, leave: back}
		w.showNav(c.page())
	case "move":
		w.moving().begin()
	case "move-back":
		w.moving().back()
	case "leave":
		w.showNav(w.moving().leavePage(w.coffer.SheetProven()))
	case "practice":
		w.showNav(w.practicePage(w.coffer, back, func() { w.Open("key/change") }))
	case "sheet":
		w.openSheet(back)
	case "check":
		w.showNav(w.checkPage(w.coffer, back))
	default:
		w.withLines(func(lines [8]app.RecoveryLine) {
			if name == "show" {
				w.showNav(w.shownPage(lines, back))
				return
			}
			w.showNav(w.provenPage(w.coffer, lines, back))
		})
	}
}

// moving leads the password from vault to vault, and out of them.
func (w *Window) moving() *moving {
	open := func(name string) func() { return func() { w.Open(name) } }
	return &moving{
		desk: w.desk, coffer: w.coffer, show: w.showNav,
		leave: open("key"), prove: open("key/prove"), forgot: open("key/change"),
	}
}

// openSheet saves the sheet again. It names the first place and its account; where that
// cannot be asked, package app knows the place.
func (w *Window) openSheet(back func()) {
	run(w.life, func(context.Context) ([]app.Place, error) { return w.coffer.Places() }, func(list []app.Place, _ error) {
		place := w.overview.Place
		if len(list) > 0 {
			place = onSheet(list[0].Dest, list[0].Account)
		}
		w.showNav(w.sheetAgainPage(w.coffer, w.settings, place, back, func() { w.Open("key/prove") }))
	})
}

// withLines asks for the 64 digits, which may wait for the keyring.
func (w *Window) withLines(then func([8]app.RecoveryLine)) {
	run(w.life, w.coffer.RecoveryLines, func(lines [8]app.RecoveryLine, err error) {
		if err == nil {
			then(lines)
			return
		}
		f := w.explain(err)
		if f.Code == app.CodeLocked {
			w.Open("unlock")
			return
		}
		w.news.failed = &f
		w.Open("home")
	})
}
