package ui

import (
	"context"
	"time"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// signInTick is how often the time that is left is written anew.
const signInTick = 10 * time.Second

// waitLeft writes how long the sign-in still waits, as a range.
func waitLeft(left time.Duration) string {
	most := int64((left + time.Minute - 1) / time.Minute)
	if most <= 1 {
		return say("signin.left-short")
	}
	return say("signin.left", "from", number(most-1), "to", number(most))
}

// signingIn is the page that waits for somebody in the browser.
type signingIn struct {
	*connecting
	sc      *scope
	w       *wizardPage
	left    *words
	again   *button
	copy    *button
	cancel  context.CancelFunc
	address string
	ends    time.Time
}

// signInPage opens the browser and waits. back is where Cancel leads; nil: to the form.
func (c *connecting) signInPage(back func()) {
	if back == nil {
		back = c.beforeSignIn
	}
	sc := c.tasks.scope()
	s := &signingIn{connecting: c, sc: sc, left: muted(""), ends: c.now().Add(signInLasts)}
	s.again = push(say("signin.again"), "globe", func() { s.open() })
	s.copy = push(say("signin.copy"), "copy", func() {
		s.copyLink(s.address)
		s.w.hint.set(toneGood, say("signin.copied"))
	})
	s.again.enable(false)
	s.copy.enable(false)
	spinner := newBusy()
	spinner.start(say("signin.waiting"))
	stop := push(say("button.cancel"), "", func() { s.cancel() })
	s.w = c.ask(sc, c.rail, question{
		name:  c.at + "/sign-in",
		title: say("signin.title"),
		lead:  say("signin.lead"),
		body: []fyne.CanvasObject{
			spinner.box, s.left, buttonRow(s.again, s.copy, stop),
			newNotice(tonePlain, say("signin.box.title"), say("signin.box.body"), nil).box,
			picture("browser", 200, 140),
		},
		back: func() { s.cancel() },
	})
	s.w.focus = stop
	s.count()
	c.show(&s.w.page)
	s.start(back)
}

// beforeSignIn is the page that the sign-in was started from.
func (c *connecting) beforeSignIn() {
	if c.purpose == toChange {
		c.leave()
		return
	}
	c.formPage()
}

// start lets package app make the address, and waits for its answer.
func (s *signingIn) start(back func()) {
	connection := s.draft.connection()
	if s.purpose == toChange { // all else is known of it
		connection.Dest, connection.Options = s.place.Dest, nil
	}
	s.cancel = run(s.sc, func(ctx context.Context) (app.PlaceInfo, error) {
		return s.coffer.SignIn(ctx, connection, func(address string) error {
			s.sc.onUI(func() {
				s.address = address
				s.again.enable(true)
				s.copy.enable(true)
				s.open()
			})
			return nil
		})
	}, func(info app.PlaceInfo, err error) {
		f := s.explain(err)
		switch {
		case f.Code == app.CodeCanceled:
			back()
		case err != nil && signInEnded(f.Code):
			s.signInFailed(f)
		default:
			s.answered(info, err, s.signInFailed)
		}
	})
}

// open shows the address in the browser.
func (s *signingIn) open() {
	if s.browse(s.address) {
		s.w.hint.clear()
		return
	}
	s.w.hint.set(toneCareful, say("signin.no-browser"))
}

// count writes the time that is left, until the end.
func (s *signingIn) count() {
	left := s.ends.Sub(s.now())
	s.left.set(waitLeft(left))
	if left > 0 {
		s.sc.later(signInTick, s.count)
	}
}

// signInEnded reports whether a failure is an end of the sign-in itself.
func signInEnded(code app.Code) bool {
	switch code {
	case app.CodeSignInRefused, app.CodeSignInTimeout, app.CodePlacePermission, app.CodePlaceAccount, app.CodePlaceClient:
		return true
	}
	return false
}

// signInFailed is a page for each end that is not a success: one sentence, one action.
func (c *connecting) signInFailed(f app.Failure) {
	sc := c.tasks.scope()
	head, body := trouble(f, c.now())
	next, onNext := say("signin.retry"), func() { c.signInPage(nil) }
	back := c.beforeSignIn
	if f.Code == app.CodePlaceClient {
		c.own = true
		delete(c.draft.values, "client")
		next, onNext = say("signin.other-client"), func() { c.guidePage(c.beforeFields()) }
		back = c.beforeFields()
	}
	w := c.ask(sc, c.rail, question{
		name: c.at + "/sign-in", title: head,
		body: []fyne.CanvasObject{picture("browser", 200, 140), newNotice(toneCareful, "", body, nil).box},
		next: next, onNext: onNext, back: back,
	})
	c.show(&w.page)
}
