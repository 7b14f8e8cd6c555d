package ui

import (
	"context"
	"slices"
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
	"coffer/assets"
)

// browser is the part of Coffer that shows what is in a backup.
type browser interface {
	Snapshots(ctx context.Context) ([]app.SnapshotInfo, error)
	List(ctx context.Context, ref, path string, fn func(app.EntryInfo) error) error
	Find(ctx context.Context, pattern string, fn func(app.SnapshotInfo, app.EntryInfo) error) error
	Versions(ctx context.Context, path string) ([]app.Version, error)
}

// foundMost bounds what a search shows: nobody reads a longer list.
const foundMost = 500

// browse shows one folder of a snapshot at a time, with a tick for each entry, and a search
// over the names. What it shows comes from memory; folders are loaded by tasks.
type browse struct {
	*desk
	sc      *scope
	coffer  browser
	ref     string
	picked  map[string]app.EntryInfo // by path
	changed func()

	path    string
	entries []app.EntryInfo
	search  *field
	crumbs  *fyne.Container
	list    *widget.List
	status  *hint
	busy    *busy
	object  fyne.CanvasObject
	asked   int // counts requests, so that a late answer is dropped
	stop    func()
}

func (d *desk) newBrowse(sc *scope, coffer browser, ref string, paths []string, changed func()) *browse {
	b := &browse{
		desk: d, sc: sc, coffer: coffer, ref: ref, changed: changed, picked: map[string]app.EntryInfo{},
		search: newField(say("browse.search")), crumbs: wrapRow(0), status: newHint(), busy: newBusy(),
	}
	for _, p := range paths {
		b.picked[p] = app.EntryInfo{Path: p}
	}
	b.search.Icon = assets.Icon("search")
	b.search.OnChanged = b.typed
	b.list = widget.NewList(func() int { return len(b.entries) }, b.newRow, b.fillRow)
	b.list.OnSelected = func(id widget.ListItemID) {
		b.list.UnselectAll()
		if id < len(b.entries) && b.entries[id].Type == "dir" {
			b.open(b.entries[id].Path)
		}
	}
	b.object = card(stack(gap3, b.search, b.crumbs, b.status.box, b.busy.box, sized(0, 300, b.list)))
	return b
}

// use shows another snapshot, from the top.
func (b *browse) use(ref string) {
	b.ref = ref
	b.open("")
}

func (b *browse) newRow() fyne.CanvasObject {
	return rowFill(gap2, 2, newTick("", false, nil), icon("document", colorMuted), line(""), whole(""))
}

func (b *browse) fillRow(id widget.ListItemID, o fyne.CanvasObject) {
	if id >= len(b.entries) {
		return
	}
	e := b.entries[id]
	parts := o.(*fyne.Container).Objects
	mark := parts[0].(*tick)
	mark.OnChanged = nil
	_, on := b.picked[e.Path]
	mark.SetChecked(on || b.coveredBy(e.Path))
	mark.OnChanged = func(on bool) { b.pick(e, on) }
	name := "document"
	if e.Type == "dir" {
		name = "files"
	}
	parts[1].(*widget.Icon).SetResource(assets.IconIn(name, colorMuted))
	text := e.Name
	if b.search.Text != "" {
		text = e.Path
	}
	parts[2].(*words).set(text)
	parts[3].(*words).set(entryFigure(e))
}

func entryFigure(e app.EntryInfo) string {
	if e.Type == "dir" {
		return ""
	}
	return size(e.Size)
}

// coveredBy reports whether a folder above path is picked.
func (b *browse) coveredBy(path string) bool {
	for p := range b.picked {
		if strings.HasPrefix(path, strings.TrimSuffix(p, "/")+"/") {
			return true
		}
	}
	return false
}

func (b *browse) pick(e app.EntryInfo, on bool) {
	if on {
		b.picked[e.Path] = e
	} else {
		delete(b.picked, e.Path)
	}
	b.changed()
}

// paths returns what is picked, in order.
func (b *browse) paths() []string {
	paths := make([]string, 0, len(b.picked))
	for p := range b.picked {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// open loads a folder.
func (b *browse) open(path string) {
	ref := b.ref
	b.load(func(ctx context.Context) (listing, error) { return listFolder(ctx, b.coffer, ref, path) }, say("browse.empty"))
}

// A listing is what a folder holds, or what a search found.
type listing struct {
	path    string
	entries []app.EntryInfo
}

// listFolder lists a folder, sorted. From the top it goes down to the first folder that
// offers a choice: nobody wants to open "home" and then "ann" each time.
func listFolder(ctx context.Context, coffer browser, ref, path string) (listing, error) {
	top := path == ""
	for {
		l := listing{path: path}
		err := coffer.List(ctx, ref, path, func(e app.EntryInfo) error {
			l.entries = append(l.entries, e)
			return ctx.Err()
		})
		if !top || err != nil || len(l.entries) != 1 || l.entries[0].Type != "dir" {
			slices.SortStableFunc(l.entries, foldersFirst)
			return l, err
		}
		path = l.entries[0].Path
	}
}

func foldersFirst(a, b app.EntryInfo) int {
	if (a.Type == "dir") != (b.Type == "dir") {
		if a.Type == "dir" {
			return -1
		}
		return 1
	}
	return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
}

// typed searches once typing rests; an empty search shows the folder again.
func (b *browse) typed(text string) {
	if b.stop != nil {
		b.stop()
	}
	text = strings.TrimSpace(text)
	if text == "" {
		b.open(b.path)
		return
	}
	b.stop = b.sc.later(inspectAfter, func() { b.find(text) })
}

// find searches the names of this snapshot.
func (b *browse) find(text string) {
	pattern := text
	if !strings.ContainsAny(text, "*?[") {
		pattern = "*" + text + "*"
	}
	ref, path := b.ref, b.path
	b.load(func(ctx context.Context) (listing, error) {
		entries, err := searchIn(ctx, b.coffer, ref, pattern)
		return listing{path, entries}, err
	}, say("browse.none"))
}

// searchIn finds entries of one snapshot, "latest" being the newest.
func searchIn(ctx context.Context, coffer browser, ref, pattern string) ([]app.EntryInfo, error) {
	if ref == "latest" {
		snapshots, err := coffer.Snapshots(ctx)
		if err != nil || len(snapshots) == 0 {
			return nil, err
		}
		ref = newestFirst(snapshots)[0].ID
	}
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	var entries []app.EntryInfo
	err := coffer.Find(ctx, pattern, func(s app.SnapshotInfo, e app.EntryInfo) error {
		if s.ID == ref && len(entries) < foundMost {
			entries = append(entries, e)
		}
		return ctx.Err()
	})
	return entries, err
}

func (b *browse) load(work func(context.Context) (listing, error), none string) {
	b.asked++
	asked := b.asked
	b.busy.start(say("browse.loading"))
	run(b.sc, work, func(l listing, err error) {
		if asked != b.asked {
			return
		}
		b.busy.stop()
		b.path, b.entries = l.path, l.entries
		b.showCrumbs()
		switch {
		case err != nil:
			b.problem(b.status, err)
		case len(l.entries) == 0:
			b.status.set(tonePlain, none)
		default:
			b.status.clear()
		}
		b.list.ScrollToTop()
		b.list.Refresh()
	})
}

// showCrumbs shows the way to this folder, each part a button.
func (b *browse) showCrumbs() {
	b.crumbs.RemoveAll()
	b.crumbs.Add(quiet(say("browse.top"), "home", func() { b.open("") }))
	parts := strings.Split(strings.Trim(b.path, "/"), "/")
	for i, part := range parts {
		if part == "" {
			continue
		}
		path := "/" + strings.Join(parts[:i+1], "/")
		b.crumbs.Add(quiet(part, "next", func() { b.open(path) }))
	}
	b.crumbs.Refresh()
}

// whatPage asks what to get back: everything, or some files.
func (d *desk) whatPage(sc *scope, r rail, coffer browser, state *restoreState, back, next func()) *page {
	var w *wizardPage
	var b *browse
	look := func() {
		state.paths = b.paths()
		if w == nil {
			return
		}
		w.allow(!state.some || len(state.paths) > 0)
		if state.some {
			w.hint.set(tonePlain, sayN("what.picked", int64(len(state.paths))))
		} else {
			w.hint.clear()
		}
	}
	ref := "latest"
	if state.snapshot != "" {
		ref = state.snapshot
	}
	b = d.newBrowse(sc, coffer, ref, state.paths, look)
	opened := false
	change := func(id string) {
		state.some = id == "some"
		setVisible(b.object, state.some)
		if state.some && !opened {
			opened = true
			b.open("")
		}
		look()
	}
	id := "all"
	if state.some {
		id = "some"
	}
	group := newAnswers(id, change,
		answer{"all", "restore", say("what.all.title"), say("what.all.body")},
		answer{"some", "search", say("what.some.title"), say("what.some.body")})
	w = d.ask(sc, r, question{
		name:  "restore/what",
		title: say("what.title"),
		lead:  say("what.lead"),
		body:  []fyne.CanvasObject{group.box, b.object},
		next:  say("button.next"), onNext: next, back: back, focus: group.tiles[0],
	})
	group.accept = w.accept
	change(id)
	return &w.page
}

// filesPage is the screen Files: what is in a backup, and the way to get some of it back.
func (d *desk) filesPage(coffer browser, getBack func(snapshot string, paths []string)) *page {
	sc := d.tasks.scope()
	var b *browse
	restore := action(say("files.restore"), "restore", func() { getBack(b.ref, b.paths()) })
	restore.enable(false)
	b = d.newBrowse(sc, coffer, "latest", nil, func() { restore.enable(len(b.picked) > 0) })
	choice := widget.NewSelect(nil, nil)
	choice.PlaceHolder = say("browse.loading")
	run(sc, coffer.Snapshots, func(list []app.SnapshotInfo, err error) {
		if err != nil {
			d.problem(b.status, err)
			return
		}
		list = newestFirst(list)
		names := make([]string, len(list))
		for i, s := range list {
			names[i] = sentenceCase(moment(s.Time, d.now())) + " · " + s.Computer
		}
		choice.Options = names
		choice.OnChanged = func(string) {
			if i := choice.SelectedIndex(); i >= 0 {
				b.use(list[i].ID)
			}
		}
		if len(list) > 0 {
			choice.SetSelectedIndex(0)
			return
		}
		choice.PlaceHolder = say("files.none")
		choice.Refresh()
		b.status.set(tonePlain, say("files.none"))
	})
	head := stack(gap2, title(say("files.title")), muted(say("files.lead")))
	bar := container.NewBorder(nil, nil, nil, restore, rowFill(gap2, 1, wholeMuted(say("files.backup")), choice))
	content := stack(gap4, head, bar, b.object)
	return &page{name: "files", object: scrolling(pad(gap8, gap6, column(880, content))), focus: b.search, scope: sc}
}
