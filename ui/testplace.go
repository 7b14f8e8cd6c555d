package ui

import (
	"context"
	"slices"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
	"coffer/assets"
)

// placeTester is the part of Coffer that tries out a place.
type placeTester interface {
	TestPlace(ctx context.Context, dest string, step func(app.PlaceCheck)) (app.PlaceTest, error)
}

// testSteps are the steps of a test, in the order in which they are done.
func testSteps() []string {
	return []string{"write", "read", "ranges", "list", "overwrite", "delete", "large", "speed"}
}

// testState is how far a test is. It has no fyne in it.
type testState struct {
	checks []app.PlaceCheck
	ended  bool
}

// row is the sign and the words of one step.
func (s testState) row(name string, now time.Time) (sign string, color fyne.ThemeColorName, text string) {
	text = say("test.step." + name)
	i := slices.IndexFunc(s.checks, func(c app.PlaceCheck) bool { return c.Name == name })
	if i < 0 {
		if !s.ended && s.next() == name {
			return "working", theme.ColorNamePrimary, text
		}
		return "radio-off", colorMuted, text
	}
	switch check := s.checks[i]; {
	case check.Skipped:
		return "remove", colorMuted, say("test.skipped", "step", text)
	case check.OK:
		return "ok", theme.ColorNameSuccess, text
	default:
		head, body := trouble(check.Failure, now)
		return "danger", theme.ColorNameError, say("test.failed", "step", text, "why", head+" "+body)
	}
}

// next is the step that runs now.
func (s testState) next() string {
	for _, name := range testSteps() {
		if !slices.ContainsFunc(s.checks, func(c app.PlaceCheck) bool { return c.Name == name }) {
			return name
		}
	}
	return ""
}

// testPage tries a place out, and says in words what it can and cannot promise.
func (d *desk) testPage(coffer placeTester, place app.Place, back func()) *page {
	sc := d.tasks.scope()
	t := &placeTrial{desk: d, sc: sc, coffer: coffer, place: place, result: stack(gap4), rows: stack(gap3)}
	for _, name := range testSteps() {
		sign, words := widget.NewIcon(assets.IconIn("radio-off", colorMuted)), plain(say("test.step."+name))
		t.signs, t.words = append(t.signs, sign), append(t.words, words)
		t.rows.Add(rowTop(gap3, 1, sign, words))
	}
	t.w = d.taskPage(sc, asked{
		name: "where/test", title: say("test.title", "place", d.placeName(place.Dest)), lead: say("test.lead"),
		body: []fyne.CanvasObject{t.result, card(t.rows)}, button: say("test.again"), do: t.start,
	}, back)
	t.result.Hide()
	t.w.focus = t.w.back
	t.start()
	return &t.w.page
}

// placeTrial is the page while a test runs and after it.
type placeTrial struct {
	*desk
	sc     *scope
	coffer placeTester
	place  app.Place
	w      *wizardPage
	signs  []*widget.Icon
	words  []*words
	rows   *fyne.Container
	result *fyne.Container
	state  testState
}

func (t *placeTrial) start() {
	t.state = testState{}
	t.result.Hide()
	t.result.RemoveAll()
	t.show()
	t.w.work(say("test.working"))
	var stop context.CancelFunc
	t.w.offerStop(func() { stop() })
	step := func(c app.PlaceCheck) {
		t.sc.onUI(func() {
			t.state.checks = append(t.state.checks, c)
			t.show()
		})
	}
	stop = run(t.sc, func(ctx context.Context) (app.PlaceTest, error) { return t.coffer.TestPlace(ctx, t.place.Dest, step) },
		func(test app.PlaceTest, err error) {
			t.w.rest()
			t.state.ended = true
			t.show()
			if err != nil {
				t.problem(t.w.hint, err)
				return
			}
			t.conclude(test)
		})
}

// show brings the rows up to date.
func (t *placeTrial) show() {
	for i, name := range testSteps() {
		sign, color, text := t.state.row(name, t.now())
		t.signs[i].SetResource(assets.IconIn(sign, color))
		t.words[i].set(text)
	}
	t.rows.Refresh()
}

// conclude says what the test found: first whether all is well, then the promises.
func (t *placeTrial) conclude(test app.PlaceTest) {
	failed := slices.IndexFunc(test.Checks, func(c app.PlaceCheck) bool { return !c.OK && !c.Skipped })
	verdict := newNotice(toneGood, say("test.good.title"), say("test.good.body"), nil)
	if failed >= 0 {
		verdict = newNotice(toneBad, say("test.bad.title"), say("test.bad.body"), nil)
	}
	t.result.Add(verdict.box)
	if test.Up > 0 && test.Down > 0 {
		t.result.Add(card(fact("test", say("test.speed"),
			say("test.speed-value", "up", size(int64(test.Up)), "down", size(int64(test.Down))))))
	}
	if len(test.Promises) > 0 {
		t.result.Add(card(promises(test.Promises)))
	}
	t.result.Show()
	t.result.Refresh()
}
