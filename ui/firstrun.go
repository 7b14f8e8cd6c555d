package ui

import (
	"context"
	"strconv"
	"strings"

	"coffer/app"
)

// setupState is what the first run has learnt so far. It has no fyne in it.
type setupState struct {
	sources []source
	place   app.PlaceInfo
	lock    app.LockKind
	vault   vaultChoice // of a password
	secret  string      // password or passphrase
	key     app.RootKey
	sheet   sheetState
	proven  bool
}

// A source is a folder that may be backed up.
type source struct {
	id, path     string // id is that of the suggestion; "" for one that the user added
	on           bool
	files, bytes int64
	counted      bool
	unreadable   bool
}

// sheetState is how far the recovery sheet is.
type sheetState struct {
	path  string // where it was saved; "" when it was not
	paper string // "A4" or "Letter"
}

// chosen returns the paths of the sources that are on.
func (s *setupState) chosen() []string {
	var paths []string
	for _, src := range s.sources {
		if src.on {
			paths = append(paths, src.path)
		}
	}
	return paths
}

// total returns what the chosen sources hold, and whether everything was counted.
func (s *setupState) total() (files, bytes int64, counted bool) {
	counted = true
	for _, src := range s.sources {
		if src.on {
			files, bytes = files+src.files, bytes+src.bytes
			counted = counted && src.counted
		}
	}
	return files, bytes, counted
}

// sheetCanWait reports whether the recovery sheet may be put off. Not when the password is
// kept by a vault on this computer: then the sheet is the only way in if it is lost.
func (s *setupState) sheetCanWait() bool {
	return s.lock == app.LockPassphrase || s.lock == app.LockPassword && s.vault.remote()
}

// setUp is the part of Coffer that makes a new backup.
type setUp interface {
	Setup(ctx context.Context, o app.SetupOptions) (app.SetupResult, error)
}

type firstRunCoffer interface {
	sourceFinder
	connector
	sheetWriter
	sheetReader
	setUp
	vaultInspector
}

// firstRun leads through the first run, one question a screen.
type firstRun struct {
	*desk
	coffer firstRunCoffer
	state  setupState
	place  *connecting
	show   func(*page)
	leave  func()                           // back to the start
	join   func(place string, src []string) // a backup is there already: open it
	rescue func(place string)               // ... or get files back from it
	done   func()                           // it is set up: make the first backup
}

// The steps of the first run, in order.
const (
	stepPromise = iota
	stepSources
	stepWhere
	stepLock
	stepSecret
	stepSheet
	stepProve
	stepReady
)

var setupSteps = [...]string{"promise", "sources", "where", "lock", "secret", "sheet", "prove", "ready"}

func (f *firstRun) rail(at int) rail {
	r := rail{at: at}
	for _, s := range setupSteps {
		r.steps = append(r.steps, say("setup.step."+s))
	}
	return r
}

// goTo shows a step. Each step can be shown with whatever is known so far.
func (f *firstRun) goTo(step int) {
	sc := f.tasks.scope()
	back := func() { f.goTo(step - 1) }
	next := func() { f.goTo(step + 1) }
	if step == stepLock {
		back = f.backToPlace
	}
	r := f.rail(step)
	switch step {
	case stepPromise:
		f.show(f.promisePage(sc, r, f.leave, next))
	case stepSources:
		f.show(f.sourcesPage(sc, r, f.coffer, &f.state, back, next))
	case stepWhere:
		f.connecting().begin()
	case stepLock:
		f.show(f.lockPage(sc, r, &f.state, back, next, lockActions{
			other: func() { f.vaults().linkPage() }, about: func() { f.vaults().aboutPage() },
		}))
	case stepSecret:
		f.makeKey()
		if f.state.lock == app.LockKey {
			f.show(f.showKeyPage(sc, r, f.state.key, back, next))
		} else {
			f.show(f.passwordPage(sc, r, &f.state, back, next))
		}
	case stepSheet:
		f.makeKey()
		f.show(f.sheetPage(sc, r, f.coffer, &f.state, back, next, func() { f.goTo(stepReady) }))
	case stepProve:
		f.makeKey()
		f.show(f.provePage(sc, r, f.coffer, &f.state, back, next, func() { f.goTo(stepReady) }))
	case stepReady:
		f.show(f.readyPage(sc, r, f.coffer, &f.state, f.backFromReady, f.done))
	}
}

// connecting leads to the place. What was chosen there stays while people go back and on.
func (f *firstRun) connecting() *connecting {
	if f.place == nil {
		f.place = &connecting{
			desk: f.desk, coffer: f.coffer, purpose: toKeep, at: "setup", rail: f.rail(stepWhere), show: f.show,
			leave:  func() { f.goTo(stepSources) },
			join:   func(info app.PlaceInfo) { f.join(info.Dest, f.state.chosen()) },
			rescue: func(info app.PlaceInfo) { f.rescue(info.Dest) },
			done: func(info app.PlaceInfo) {
				f.state.place = info
				f.goTo(stepLock)
			},
		}
	}
	_, bytes, _ := f.state.total()
	f.place.need, f.place.sources = spaceNeed{first: bytes}, f.state.chosen()
	return f.place
}

// vaults leads to another vault for the password.
func (f *firstRun) vaults() *choosingVault {
	lock := func() { f.goTo(stepLock) }
	return &choosingVault{
		desk: f.desk, coffer: f.coffer, at: "setup", rail: f.rail(stepLock), show: f.show, leave: lock,
		link: f.state.vault.link, told: f.state.vault.told,
		done: func(choice vaultChoice) {
			f.state.vault = choice
			lock()
		},
	}
}

// backToPlace shows the place that was chosen.
func (f *firstRun) backToPlace() { f.connecting().resume() }

func (f *firstRun) backFromReady() {
	if f.state.proven {
		f.goTo(stepSheet)
		return
	}
	f.goTo(stepProve)
}

// makeKey makes the root key once, so that the sheet shows the key that the backup gets.
func (f *firstRun) makeKey() {
	if f.state.key.IsZero() {
		f.state.key = app.NewRootKey()
	}
	if f.state.lock == "" {
		f.state.lock = app.LockPassword
	}
}

// wipe forgets the secrets of a first run that ended.
func (f *firstRun) wipe() {
	f.state.key.Wipe()
	f.state, f.place = setupState{}, nil
}

// keyLines returns the 64 digits of a key as 8 lines of 2 x 4, without their checks.
func keyLines(key app.RootKey) (lines [8]string) {
	for i, l := range app.RecoveryLinesOf(key) {
		lines[i] = l.Digits
	}
	return lines
}

// lineOfKey judges what was typed as line n of this very key, while it is typed.
func lineOfKey(key app.RootKey, n int, typed string) app.LineState {
	state := app.CheckRecoveryLine(n, typed)
	if state != app.LineRight {
		return state
	}
	lines := keyLines(key)
	lines[n-1] = typed
	got, err := app.ParseRecoveryKey([]byte(strings.Join(lines[:], "\n")))
	if err != nil || !got.Equal(key) {
		return app.LineWrong
	}
	return app.LineRight
}

// secretOf hands a typed text to package app.
func secretOf(text string) app.Secret { return app.NewSecret([]byte(text)) }

func itoa(n int) string { return strconv.Itoa(n) }
