package ui

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/driver/desktop"

	"coffer/app"
	"coffer/assets"
)

// Coffer is all that the window asks of *app.App. Each screen declares its own part.
type Coffer interface {
	IsSetUp() bool
	firstRunCoffer
	restoreCoffer
	overviewer
	backerUp
	keyKeeper
	placeKeeper
	settingsKeeper
}

// Options is what a window needs from outside.
type Options struct {
	Coffer   Coffer
	Computer string                     // this computer's name, as package app has it
	Home     string                     // the user's own folder, for suggestions
	Log      *slog.Logger               // nil: nothing is logged
	Now      func() time.Time           // nil: time.Now
	Do       func(func())               // runs on the UI goroutine; nil: fyne.Do
	Picker   Picker                     // nil: the system's dialogs
	Explain  func(error) app.Failure    // nil: app.Explain
	Browse   func(address string) error // shows an address in the browser; nil: the system's
}

// A Window is the one window of Coffer. All of it belongs to the UI goroutine.
type Window struct {
	*desk
	app      fyne.App
	coffer   Coffer
	language string
	settings app.Settings

	page *page
	back *fyne.Container // holds the page

	// What outlives a screen.
	life      *scope
	job       *job
	copy      *copyJob     // the newest copy from place to place; nil: there was none
	notices   []app.Notice // of a place that was just added, until the screen Where shows them
	copyAgain func()       // starts it once more
	home      *home        // when Home is shown; else nil
	news      homeState
	setup     *firstRun
	restore   *restore
	overview  app.Overview
}

// New makes the window. It is not shown yet.
func New(a fyne.App, o Options) (*Window, error) {
	d := &desk{
		tasks: newTasks(), now: o.Now, log: o.Log, home: o.Home, computer: o.Computer,
		picker: o.Picker, explain: o.Explain, openURL: o.Browse, twoLines: randomLines,
	}
	if o.Do != nil {
		d.tasks = tasksOn(o.Do)
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.explain == nil {
		d.explain = app.Explain
	}
	if d.openURL == nil {
		d.openURL = func(address string) error {
			u, err := url.Parse(address)
			if err != nil {
				return fmt.Errorf("open browser: %w", err)
			}
			return a.OpenURL(u)
		}
	}
	w := &Window{desk: d, app: a, coffer: o.Coffer, life: d.tasks.scope()}
	w.settings = o.Coffer.Settings()
	if err := w.speak(); err != nil {
		return nil, err
	}
	w.wear()
	a.SetIcon(assets.AppIcon())
	d.window = a.NewWindow(say("app.name"))
	if d.picker == nil {
		d.picker = nativePicker{d.window}
	}
	w.back = container.NewStack()
	d.window.SetPadded(false)
	d.window.SetContent(w.back)
	d.window.Resize(fyne.NewSize(1000, 680))
	d.window.SetCloseIntercept(w.close)
	d.window.SetOnDropped(w.dropped)
	w.listenForKeys()
	return w, nil
}

// listenForKeys makes Escape go back also when nothing has the focus.
func (w *Window) listenForKeys() {
	if _, ok := w.window.Canvas().(desktop.Canvas); !ok {
		return
	}
	w.window.Canvas().SetOnTypedKey(func(e *fyne.KeyEvent) {
		if e.Name == fyne.KeyEscape && w.page != nil && w.page.back != nil {
			w.page.back()
		}
	})
}

// Show opens the window on its first screen.
func (w *Window) Show() {
	if w.coffer.IsSetUp() {
		w.Open("home")
	} else {
		w.Open("start")
	}
	w.window.Show()
}

// Open shows the screen of that name: "home", "setup/where", "restore/what". It is what
// the navigation does. Steps of a wizard can be opened with nothing known yet.
func (w *Window) Open(name string) {
	if step, ok := strings.CutPrefix(name, "setup/"); ok {
		w.openSetup(step)
		return
	}
	if step, ok := strings.CutPrefix(name, "restore/"); ok {
		w.openRestore(step)
		return
	}
	if task, ok := strings.CutPrefix(name, "key/"); ok {
		w.openKeyTask(task)
		return
	}
	if task, ok := strings.CutPrefix(name, "where/"); ok {
		w.openPlaces(task)
		return
	}
	switch name {
	case "start":
		w.show(w.startPage(w.language, func() { w.Open("setup/promise") }, func() { w.Open("restore/where") }, w.speakIn))
	case "files":
		w.showNav(w.filesPage(w.coffer, w.getBackSome))
	case "what":
		w.showNav(w.keepPage(w.coffer, w.settings, func() { w.settings = w.coffer.Settings() }))
	case "where":
		w.openPlaces("")
	case "key":
		w.showNav(w.waysPage(w.coffer, w.waysActions()))
	case "activity":
		w.showNav(w.activityPage(w.coffer))
	case "settings":
		w.showNav(w.settingsPage(w.settings, w.language, w.changeSettings, w.saveNetwork))
	case "unlock":
		w.openUnlock()
	default:
		w.openHome()
	}
}

// show puts a page on screen and ends the tasks of the one before.
func (w *Window) show(p *page) {
	if w.page != nil {
		w.page.scope.close()
	}
	if p.name != "home" {
		w.home = nil
	}
	w.page = p
	w.window.Canvas().Unfocus() // what had it is gone, and would go on taking keys
	w.back.Objects = []fyne.CanvasObject{p.object}
	w.back.Refresh()
	if p.focus != nil {
		w.window.Canvas().Focus(p.focus)
	}
	if s := firstScroller(p.object); s != nil { // a page is read from its beginning, wherever the focus is
		s.ScrollToTop()
	}
	w.log.Debug("screen shown", "name", p.name)
}

// The screens of the navigation, in order, with their icons.
var navigation = [...]struct{ name, icon string }{
	{"home", "home"},
	{"files", "files"},
	{"what", "what"},
	{"where", "where"},
	{"key", "key"},
	{"activity", "activity"},
	{"settings", "settings"},
}

// showNav puts a page beside the navigation.
func (w *Window) showNav(p *page) {
	inner := p.object
	p.object = container.NewBorder(nil, nil, w.navBar(p.name), nil, inner)
	escapable(p.object, p.back)
	w.show(p)
}

func (w *Window) navBar(at string) fyne.CanvasObject {
	items := make([]fyne.CanvasObject, len(navigation))
	tiles := make([]*tile, len(navigation))
	for i, n := range navigation {
		style := wordStyle{whole: true}
		color := colorMuted
		if n.name == at || strings.HasPrefix(at, n.name+"/") {
			style.bold = true
			color = "primary"
		}
		label := newWords(say("nav."+n.name), style)
		t := newTile(pad(gap3, gap2+1, rowFill(gap3, 1, icon(n.icon, color), label)), func() { w.Open(n.name) })
		t.nav = true
		t.move = func(by int) {
			if to := i + by; to >= 0 && to < len(tiles) {
				w.window.Canvas().Focus(tiles[to])
			}
		}
		t.choose(style.bold)
		tiles[i], items[i] = t, t
	}
	inside := stack(gap6, pad(gap2, gap1, brand()), stack(gap1, items...))
	return newPanel(colorRail, "", 0, pad(gap3, gap6, container.NewVBox(inside)))
}

// speak loads the texts of the language that is set.
func (w *Window) speak() error {
	tag, err := speak(w.settings.Language)
	if err == nil {
		w.language = tag
	}
	return err
}

// wear puts on the theme that is set. The same one again would make fyne forget its fonts
// and draw everything anew.
func (w *Window) wear() {
	next := newLook(w.settings.Theme, w.settings.TextScale)
	worn, ok := w.app.Settings().Theme().(*look)
	if !ok || worn.fixed != next.fixed || worn.dark != next.dark || worn.scale != next.scale {
		w.app.Settings().SetTheme(next)
	}
}

// speakIn changes the language and shows the screen again.
func (w *Window) speakIn(tag string) {
	settings := w.settings
	settings.Language = tag
	w.changeSettings(settings)
}

// changeSettings applies settings at once and then keeps them.
func (w *Window) changeSettings(settings app.Settings) {
	w.settings = settings
	if err := w.speak(); err != nil {
		w.log.Error("language not loaded", "error", err)
	}
	w.wear()
	w.window.SetTitle(say("app.name"))
	name := "start"
	if w.page != nil {
		name = w.page.name
	}
	w.Open(name)
	w.saveSettings(settings)
}

func (w *Window) saveSettings(settings app.Settings) {
	run(w.life, func(context.Context) (struct{}, error) { return struct{}{}, w.coffer.SaveSettings(settings) },
		func(_ struct{}, err error) {
			if err != nil {
				w.log.Error("settings not saved", "error", err)
			}
		})
}

// saveNetwork keeps settings that change nothing on screen, and says whether they hold.
func (w *Window) saveNetwork(sc *scope, settings app.Settings, done func(error)) {
	run(sc, func(context.Context) (struct{}, error) { return struct{}{}, w.coffer.SaveSettings(settings) },
		func(_ struct{}, err error) {
			if err == nil {
				w.settings = settings
			}
			done(err)
		})
}

// dropped hands files dropped onto the window to the screen, if it takes any.
func (w *Window) dropped(_ fyne.Position, uris []fyne.URI) {
	if w.page == nil || w.page.drop == nil {
		return
	}
	for _, u := range uris {
		if u.Scheme() == "file" {
			w.page.drop(u.Path())
		}
	}
}

// close asks before it ends a backup or a copy that runs.
func (w *Window) close() {
	name := "backup"
	switch {
	case w.job != nil:
	case w.copy != nil && !w.copy.ended:
		name = "copy"
	default:
		w.end()
		return
	}
	w.modal(say("close."+name+".title"), say("close."+name+".body"),
		action(say("close.stay"), "", nil),
		push(say("close.stop"), "", w.end))
}

func (w *Window) end() {
	if w.page != nil {
		w.page.scope.close()
	}
	w.life.close()
	if w.setup != nil {
		w.setup.wipe()
	}
	w.window.SetCloseIntercept(nil)
	w.window.Close()
}
