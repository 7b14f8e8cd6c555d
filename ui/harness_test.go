package ui

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/container"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/widget"

	"coffer/ui/canned"
)

// TestMain makes every machine look the same to fyne.
func TestMain(m *testing.M) {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"} {
		os.Unsetenv(name)
	}
	os.Setenv("LC_ALL", "en_US.UTF-8")
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "FYNE_") {
			os.Unsetenv(name)
		}
	}
	// One app for all: a new one would read the fonts again, for each test.
	test.NewApp()
	os.Exit(m.Run())
}

// A rig is a window on a canned Coffer, whose UI goroutine is the test.
type rig struct {
	*testing.T
	*Window
	coffer *canned.Coffer
	picker *cannedPicker
	opened []string // addresses shown in the browser
	broken bool     // there is no browser

	mu     sync.Mutex
	queue  []func() // guarded by mu
	timers []*rigTimer
}

type rigTimer struct {
	after   time.Duration
	fn      func()
	stopped bool
}

// newRig makes a window of the usual size. It is not shown: open does that.
func newRig(t *testing.T, c *canned.Coffer) *rig {
	t.Helper()
	return newRigSized(t, c, fyne.NewSize(1000, 680))
}

func newRigSized(t *testing.T, c *canned.Coffer, size fyne.Size) *rig {
	t.Helper()
	r := newRigOn(t, Options{
		Coffer: c, Computer: "ANN-LAPTOP", Home: canned.Home,
		Now: func() time.Time { return canned.Now }, Explain: canned.Explain,
	}, size)
	r.coffer = c
	return r
}

// newRigOn makes a window on any Coffer.
func newRigOn(t *testing.T, o Options, size fyne.Size) *rig {
	t.Helper()
	a := fyne.CurrentApp()
	r := &rig{T: t, picker: &cannedPicker{}}
	o.Do, o.Picker = r.do, r.picker
	o.Browse = func(address string) error {
		if r.broken {
			return errors.New("no browser")
		}
		r.opened = append(r.opened, address)
		return nil
	}
	w, err := New(a, o)
	if err != nil {
		t.Fatal(err)
	}
	w.tasks.after = r.after
	w.twoLines = func() (int, int) { return 3, 7 }
	r.Window = w
	w.window.Resize(size)
	t.Cleanup(func() {
		if w.page != nil {
			w.page.scope.close()
		}
		w.life.close()
		for _, open := range a.Driver().AllWindows() {
			if open == w.window {
				open.Close()
			}
		}
		a.Clipboard().SetContent("")
	})
	return r
}

func (r *rig) do(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, fn)
}

func (r *rig) after(d time.Duration, fn func()) func() {
	timer := &rigTimer{after: d, fn: fn}
	r.timers = append(r.timers, timer)
	return func() { timer.stopped = true }
}

// pass lets all timers of at most d fire.
func (r *rig) pass(d time.Duration) {
	due := r.timers
	r.timers = nil
	for _, timer := range due {
		switch {
		case timer.stopped:
		case timer.after <= d:
			timer.fn()
		default:
			r.timers = append(r.timers, timer)
		}
	}
	r.settle()
}

// step runs one function that waits for the UI goroutine.
func (r *rig) step() bool {
	r.mu.Lock()
	if len(r.queue) == 0 {
		r.mu.Unlock()
		return false
	}
	fn := r.queue[0]
	r.queue = r.queue[1:]
	r.mu.Unlock()
	fn()
	return true
}

// until works as the UI goroutine until something is the case.
func (r *rig) until(what string, is func() bool) {
	r.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !is() {
		if !r.step() {
			if time.Now().After(deadline) {
				r.Fatalf("still not: %s", what)
			}
			<-time.After(time.Millisecond)
		}
	}
}

// settle works as the UI goroutine until nothing runs.
func (r *rig) settle() {
	r.Helper()
	r.until("all tasks done", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.queue) == 0 && r.tasks.running.Load() == 0
	})
}

// open shows a screen and waits until it is complete.
func (r *rig) open(name string) {
	r.Helper()
	r.Open(name)
	r.settle()
	r.at(name)
}

// at fails unless a screen is shown.
func (r *rig) at(name string) {
	r.Helper()
	if r.page == nil || r.page.name != name {
		r.Fatalf("shows %v, want %s", r.page, name)
	}
}

// layOut gives all objects their places again, as the real driver does each frame.
func (r *rig) layOut() {
	size := r.window.Canvas().Size()
	for range 2 {
		r.window.Canvas().Content().Resize(size.Subtract(fyne.NewSize(1, 0)))
		r.window.Canvas().Content().Resize(size)
	}
}

// each calls fn for every visible object of the page, in order.
func (r *rig) each(fn func(fyne.CanvasObject)) {
	var walk func(fyne.CanvasObject)
	walk = func(o fyne.CanvasObject) {
		if o == nil || !o.Visible() {
			return
		}
		fn(o)
		for _, child := range below(o) {
			walk(child)
		}
	}
	walk(r.page.object)
}

// button finds a button by the beginning of its text.
func (r *rig) button(text string) *button {
	r.Helper()
	var found *button
	r.each(func(o fyne.CanvasObject) {
		if b, ok := o.(*button); ok && found == nil && strings.HasPrefix(b.Text, text) {
			found = b
		}
	})
	if found == nil {
		r.Fatalf("%s has no button %q; it says %q", r.page.name, text, r.text())
	}
	return found
}

// tap presses a button and waits for what follows.
func (r *rig) tap(text string) {
	r.Helper()
	b := r.button(text)
	if b.Disabled() {
		r.Fatalf("%s: button %q is disabled; it says %q", r.page.name, text, r.text())
	}
	test.Tap(b)
	r.settle()
}

// choose taps the tile that holds a text.
func (r *rig) choose(text string) {
	r.Helper()
	var found *tile
	r.each(func(o fyne.CanvasObject) {
		if t, ok := o.(*tile); ok && found == nil && strings.Contains(textOf(t), text) {
			found = t
		}
	})
	if found == nil {
		r.Fatalf("%s has no answer %q", r.page.name, text)
	}
	test.Tap(found)
	r.settle()
}

// tick sets a tick by the beginning of its text.
func (r *rig) tick(text string, on bool) {
	r.Helper()
	var found *tick
	r.each(func(o fyne.CanvasObject) {
		if t, ok := o.(*tick); ok && found == nil && strings.HasPrefix(t.Text, text) {
			found = t
		}
	})
	if found == nil {
		r.Fatalf("%s has no tick %q", r.page.name, text)
	}
	found.SetChecked(on)
	r.settle()
}

// fields are the entries of the page, in order.
func (r *rig) fields() []*field {
	var list []*field
	r.each(func(o fyne.CanvasObject) {
		if f, ok := o.(*field); ok {
			list = append(list, f)
		}
	})
	return list
}

// fill types into the field at i.
func (r *rig) fill(i int, text string) {
	r.Helper()
	fields := r.fields()
	if i >= len(fields) {
		r.Fatalf("%s has %d fields", r.page.name, len(fields))
	}
	fields[i].SetText("")
	test.Type(fields[i], text)
	r.settle()
}

// text is all that the page says.
func (r *rig) text() string { return textOf(r.page.object) }

func textOf(o fyne.CanvasObject) string {
	var parts []string
	var walk func(fyne.CanvasObject)
	walk = func(o fyne.CanvasObject) {
		if o == nil || !o.Visible() {
			return
		}
		switch o := o.(type) {
		case *words:
			parts = append(parts, o.text())
		case *button:
			parts = append(parts, o.Text)
		case *tick:
			parts = append(parts, o.Text)
		case *widget.Select:
			parts = append(parts, o.Selected)
		case *container.Scroll:
		}
		for _, child := range below(o) {
			walk(child)
		}
	}
	walk(o)
	return strings.Join(parts, "\n")
}

// says fails unless the page says a text.
func (r *rig) says(want string) {
	r.Helper()
	if !strings.Contains(r.text(), want) {
		r.Errorf("%s does not say %q, but:\n%s", r.page.name, want, r.text())
	}
}

// saysNot fails when the page says a text.
func (r *rig) saysNot(text string) {
	r.Helper()
	if strings.Contains(r.text(), text) {
		r.Errorf("%s says %q:\n%s", r.page.name, text, r.text())
	}
}

// press types a key into whatever has the focus.
func (r *rig) press(key fyne.KeyName) {
	r.Helper()
	focused := r.window.Canvas().Focused()
	if focused == nil {
		r.Fatalf("%s: nothing has the focus", r.page.name)
	}
	focused.TypedKey(&fyne.KeyEvent{Name: key})
	r.settle()
}

// cannedPicker chooses what the test says.
type cannedPicker struct {
	path  string
	asked []string
}

func (p *cannedPicker) Folder(_ *scope, title, _ string, chosen func(string)) {
	p.answer(title, chosen)
}

func (p *cannedPicker) Open(_ *scope, title, _ string, chosen func(string)) { p.answer(title, chosen) }

func (p *cannedPicker) File(_ *scope, title, _ string, chosen func(string)) { p.answer(title, chosen) }

func (p *cannedPicker) Save(_ *scope, title, _ string, chosen func(string)) { p.answer(title, chosen) }

func (p *cannedPicker) answer(title string, chosen func(string)) {
	p.asked = append(p.asked, title)
	if p.path != "" {
		chosen(p.path)
	}
}

// A shownList is the list of files on a page, as somebody sees it.
type shownList struct {
	*rig
	list *widget.List
}

func (r *rig) files() shownList {
	r.Helper()
	var found *widget.List
	r.each(func(o fyne.CanvasObject) {
		if l, ok := o.(*widget.List); ok {
			found = l
		}
	})
	if found == nil {
		r.Fatalf("%s has no list", r.page.name)
	}
	return shownList{r, found}
}

// names are the names in the list.
func (l shownList) names() string {
	var names []string
	for i := range l.list.Length() {
		names = append(names, l.row(i)[2].(*words).text())
	}
	return strings.Join(names, ", ")
}

func (l shownList) row(i int) []fyne.CanvasObject {
	item := l.list.CreateItem()
	l.list.UpdateItem(i, item)
	return item.(*fyne.Container).Objects
}

// open opens the folder in a row, tick ticks it.
func (l shownList) open(i int) { l.list.OnSelected(i); l.settle() }
func (l shownList) tick(i int) { l.row(i)[0].(*tick).SetChecked(true); l.settle() }
