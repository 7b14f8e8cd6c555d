package ui

import (
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// An identity is who answered in the place of a server.
type identity struct {
	certificate bool   // of TLS, else a host key of SSH
	host        string // as people typed it
	known       string // fingerprint that was expected; "" at a first meeting
	offered     string // fingerprint that came; "" where there is none to be trusted
	reason      string // of a certificate: why nobody vouches for it
}

// identityOf reads an identity out of a failure. ok is false for all other failures.
func (c *connecting) identityOf(f app.Failure) (id identity, ok bool) {
	switch f.Code {
	case app.CodePlaceNewHost, app.CodePlaceHostKey:
	case app.CodePlaceCertificate:
		id.certificate = true
	default:
		return identity{}, false
	}
	id.host, id.known, id.offered, id.reason = f.Args["host"], f.Args["known"], f.Args["offered"], f.Args["reason"]
	return id, true
}

// option is the field that an accepted identity is kept in.
func (i identity) option() string {
	if i.certificate {
		return "pin"
	}
	return "host-key"
}

// key is the part of a text's key that tells the two kinds apart.
func (i identity) key() string {
	if i.certificate {
		return "certificate"
	}
	return "host"
}

// fingerprintRows parts a fingerprint into groups of four, four to a row, so that two of them
// can be compared without losing one's place, and large letters fit.
func fingerprintRows(fingerprint string) []string {
	_, digest, found := strings.Cut(fingerprint, ":")
	if !found {
		digest = fingerprint
	}
	var groups, rows []string
	for len(digest) > 0 {
		n := min(4, len(digest))
		groups, digest = append(groups, digest[:n]), digest[n:]
	}
	high := (len(groups) + 3) / 4
	for ; high > 0; high-- { // rows of the same length: a last one of one group is overlooked
		n := (len(groups) + high - 1) / high
		rows, groups = append(rows, strings.Join(groups[:n], "  ")), groups[n:]
	}
	return rows
}

// fingerprint shows a fingerprint to be compared.
func fingerprint(name, value string) fyne.CanvasObject {
	rows := stack(gap1)
	for _, r := range fingerprintRows(value) {
		rows.Add(newWords(r, wordStyle{mono: true, size: sizeDigits, whole: true}))
	}
	algorithm, _, found := strings.Cut(value, ":")
	if found {
		name += " (" + algorithm + ")"
	}
	return newPanel(colorRail, "", 8, pad(gap4, gap3, labelled(name, rows)))
}

// sameFingerprint compares what was typed with what a server showed: spaces mean nothing,
// and the name of the algorithm may be missing. Letters count, for base64 has both cases.
func sameFingerprint(typed, offered string) bool {
	bare := func(s string) string {
		s = strings.Join(strings.Fields(s), "")
		if algorithm, digest, found := strings.Cut(s, ":"); found && strings.EqualFold(algorithm, "sha256") {
			s = digest
		}
		return strings.TrimRight(s, "=")
	}
	return offered != "" && bare(typed) == bare(offered)
}

// trust accepts an identity and tries again.
func (c *connecting) trust(id identity, w *wizardPage, sc *scope) {
	c.draft.values[id.option()] = id.offered
	c.connect(w, sc, func(f app.Failure) { c.fieldsPage(c.beforeFields(), &f) })
}

// beforeFields is what lies before the form.
func (c *connecting) beforeFields() func() {
	if c.purpose == toChange {
		return c.leave
	}
	return c.begin
}

// identityPage asks whether this is the right server: calmly at a first meeting, as an alarm
// when somebody else answers than before.
func (c *connecting) identityPage(id identity) {
	if id.known != "" || id.offered == "" {
		c.alarmPage(id)
		return
	}
	sc := c.tasks.scope()
	var w *wizardPage
	how := say("identity."+id.key()+".how", "host", id.host)
	body := []fyne.CanvasObject{fingerprint(say("identity.fingerprint"), id.offered), newNotice(tonePlain, say("identity.compare"), how, nil).box}
	if id.reason != "" {
		body = append(body, small(say("identity.reason", "reason", certificateReason(id.reason))))
	}
	stop := push(say("identity.stop"), "", c.stopHere)
	w = c.ask(sc, c.rail, question{
		name:  c.at + "/host",
		title: say("identity."+id.key()+".title", "host", id.host),
		lead:  say("identity."+id.key()+".lead", "host", id.host),
		body:  body,
		next:  say("identity.accept"), onNext: func() { c.trust(id, w, sc) }, aside: stop, back: c.formPage,
		focus: stop,
	})
	c.show(&w.page)
}

// stopHere leaves the server alone: nothing of the place is kept.
func (c *connecting) stopHere() {
	c.draft = nil
	if c.purpose == toChange {
		c.leave()
		return
	}
	c.begin()
}

// alarmPage says that another server answers than the one that is known. There is no way to
// go on but knowing better: who knows why the server changed can have its new fingerprint
// from somewhere else, and types it. It is not shown here, or it would be copied unread.
func (c *connecting) alarmPage(id identity) {
	if id.known != "" && slices.Contains(strings.Fields(id.known), id.offered) {
		c.invalidPage(id)
		return
	}
	sc := c.tasks.scope()
	var w *wizardPage
	body := []fyne.CanvasObject{newNotice(toneBad, say("alarm.sent.title"), say("alarm.sent.body"), nil).box}
	if id.reason != "" {
		body = append(body, small(say("identity.reason", "reason", certificateReason(id.reason))))
	}
	if id.known != "" {
		for _, known := range strings.Fields(id.known) {
			body = append(body, fingerprint(say("alarm.known"), known))
		}
	}
	if id.offered != "" {
		body = append(body, c.knowsWhy(id, func() { c.trust(id, w, sc) }))
	}
	w = c.ask(sc, c.rail, question{
		name:  c.at + "/alarm",
		title: say("alarm."+id.key()+".title", "host", id.host),
		lead:  say("alarm."+id.key()+".lead", "host", id.host),
		body:  body, back: c.formPage,
	})
	w.focus = w.back
	c.show(&w.page)
}

// invalidPage says that the key is the right one, and the certificate is refused all the
// same: nothing that could be accepted here would change that.
func (c *connecting) invalidPage(id identity) {
	w := c.ask(c.tasks.scope(), c.rail, question{
		name:  c.at + "/alarm",
		title: say("invalid.title", "host", id.host),
		lead:  say("invalid.lead"),
		body:  []fyne.CanvasObject{newNotice(toneCareful, say("identity.reason", "reason", certificateReason(id.reason)), say("invalid.body"), nil).box},
		back:  c.formPage,
	})
	w.focus = w.back
	c.show(&w.page)
}

// certificateReason is why a certificate is refused, in the user's language. What is not
// known stays as it is.
func certificateReason(why string) string {
	at := max(0, strings.LastIndex(why, " "))
	if date, err := time.Parse(time.DateOnly, strings.TrimSpace(why[at:])); err == nil {
		if text := reason(why[:at], "date", day(date)); text != why[:at] {
			return text
		}
	}
	return reason(why)
}

// knowsWhy takes the new fingerprint from somebody who has it from elsewhere.
func (c *connecting) knowsWhy(id identity, trust func()) fyne.CanvasObject {
	entry, hint := newMonoField(say("alarm.placeholder")), newHint()
	accept := push(say("alarm.accept"), "check", trust)
	accept.enable(false)
	entry.OnChanged = func(s string) {
		same := sameFingerprint(s, id.offered)
		accept.enable(same)
		switch {
		case same:
			hint.set(toneGood, say("alarm.same"))
		case len(strings.Join(strings.Fields(s), "")) >= len(id.offered)-len("SHA256:"):
			hint.set(toneBad, say("alarm.differs"))
		default:
			hint.clear()
		}
	}
	entry.OnSubmitted = func(string) { accept.press() }
	inner := stack(gap3, plain(say("alarm.why.body")), labelled(say("alarm.new"), entry), hint.box, row(0, accept))
	inner.Hide()
	holder := row(0)
	all := stack(gap3, holder, inner)
	holder.Add(quiet(say("alarm.why"), "", func() {
		holder.Hide()
		inner.Show()
		all.Refresh()
		c.window.Canvas().Focus(entry)
	}))
	return all
}
