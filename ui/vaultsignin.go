package ui

import (
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"
)

// vaultSignIn is the part of a page that waits for somebody in the browser, while the work
// of that page goes on: a vault asks who wants to keep a password in it. It is hidden until
// the work asks for it.
type vaultSignIn struct {
	*desk
	sc      *scope
	box     *fyne.Container
	spinner *widget.Activity
	left    *words
	said    *hint
	again   *button
	stop    func() // ends the work; nil: Cancel does nothing yet
	address string
	ends    time.Time
	shown   bool
}

// newVaultSignIn makes the part. issuer is who signs people in.
func (d *desk) newVaultSignIn(sc *scope, issuer string) *vaultSignIn {
	s := &vaultSignIn{desk: d, sc: sc, spinner: widget.NewActivity(), left: muted(""), said: newHint()}
	s.again = push(say("signin.again"), "globe", s.open)
	link := push(say("signin.copy"), "copy", func() {
		s.copyLink(s.address)
		s.said.set(toneGood, say("signin.copied"))
	})
	cancel := push(say("button.cancel"), "", func() {
		if s.stop != nil {
			s.stop()
		}
	})
	s.box = stack(0, card(stack(gap3,
		heading(say("signin.title")), plain(say("vaultsignin.body", "issuer", issuer)),
		rowTop(gap2, 1, sized(20, 20, s.spinner), stack(gap1, muted(say("signin.waiting")), s.left)),
		buttonRow(s.again, link, cancel), s.said.box)))
	s.box.Hide()
	return s
}

// ask opens the browser. It is the Browser of package app, and called by a task.
func (s *vaultSignIn) ask(address string) error {
	s.sc.onUI(func() { s.begin(address) })
	return nil
}

func (s *vaultSignIn) begin(address string) {
	s.address, s.shown, s.ends = address, true, s.now().Add(signInLasts)
	s.spinner.Start()
	s.box.Show()
	s.count()
	s.open()
	s.window.Canvas().Focus(s.again)
}

func (s *vaultSignIn) open() {
	if s.browse(s.address) {
		s.said.clear()
		return
	}
	s.said.set(toneCareful, say("signin.no-browser"))
}

// count writes the time that is left, until the end.
func (s *vaultSignIn) count() {
	left := s.ends.Sub(s.now())
	s.left.set(waitLeft(left))
	if left > 0 && s.shown {
		s.sc.later(signInTick, s.count)
	}
}

// end hides the part when the work has ended, however it did.
func (s *vaultSignIn) end() {
	s.shown = false
	s.spinner.Stop()
	s.box.Hide()
}
