package ui

import (
	"context"
	"strconv"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
)

// unlocking is what the screen needs to open a backup: the restore wizard joins one with
// it, and Home unlocks that of the profile.
type unlocking struct {
	name             string // of the page
	coffer           opener
	dest, repository string
	ways             []app.WayIn
	open             func(ctx context.Context, lock app.LockKind, secret app.Secret, key app.RootKey) error
	// openOld is open for a place that shows less than the vault knows of; nil where nobody
	// can choose that.
	openOld    func(ctx context.Context, lock app.LockKind, secret app.Secret, key app.RootKey) error
	back, done func()
}

// unlocker is the screen that opens a backup, with the ways that this backup has. It shows
// the tries that are left before and after each, and spends none by itself.
type unlocker struct {
	*desk
	unlocking
	sc     *scope
	w      *wizardPage
	lock   app.LockKind
	holder *fyne.Container
	tries  *hint
	result *notice
	older  *fyne.Container // offers to open the old state, after its alarm
	secret *field
	digits *keyEntry
	group  *answers
	tick   func() // stops the countdown; nil: none runs
}

// openPage is the page of an unlocker. When the vault destroyed the password's key, it is
// a page of its own, and not an error: it says what still opens the backup.
func (d *desk) openPage(sc *scope, r rail, u unlocking) *page {
	o := &unlocker{desk: d, unlocking: u, sc: sc, tries: newHint(), result: newNotice(toneBad, "", "", nil), holder: stack(gap3), older: stack(gap3)}
	o.result.hide()
	o.older.Hide()
	o.secret = newSecretField("")
	o.digits = newKeyEntry(func() { o.look() })
	o.lock = firstWay(u.ways)
	o.group = newAnswers(string(o.lock), func(id string) { o.choose(app.LockKind(id)) }, wayAnswers(u.ways)...)
	body := []fyne.CanvasObject{o.result.box, o.older}
	if len(o.group.tiles) > 1 {
		body = append(body, o.group.box)
	}
	body = append(body, o.holder)
	o.w = d.ask(sc, r, question{
		name:  u.name,
		title: say("open.title"),
		lead:  say("open.lead"),
		body:  body,
		next:  say("open.button"), onNext: func() { o.start(o.open) }, back: u.back,
	})
	o.secret.OnChanged = func(string) { o.look() }
	o.secret.OnSubmitted = func(string) { o.submit() }
	o.choose(o.lock)
	o.refreshWays()
	o.w.focus = o.digits.lines[0].entry
	if o.lock != app.LockKey {
		o.w.focus = o.secret
	}
	return &o.w.page
}

// firstWay is the way that most people will take: a password that can be tried here. Before
// the last try, that is the sheet: it costs nothing.
func firstWay(ways []app.WayIn) app.LockKind {
	for _, way := range ways {
		usable := way.Usable && way.State != "destroyed" && way.TriesLeft != 1 && !vaultAlarm(way.Refusal.Code)
		if way.Kind == app.LockPassphrase || way.Kind == app.LockPassword && usable {
			return way.Kind
		}
	}
	return app.LockKey
}

// wayAnswers are the ways that a backup has; the sheet is always one.
func wayAnswers(ways []app.WayIn) []answer {
	var list []answer
	for _, way := range ways {
		switch way.Kind {
		case app.LockPassword:
			list = append(list, answer{string(way.Kind), "lock", say("open.way.password"), ""})
		case app.LockPassphrase:
			list = append(list, answer{string(way.Kind), "words", say("open.way.passphrase"), ""})
		}
	}
	return append(list, answer{string(app.LockKey), "sheet", say("open.way.key"), ""})
}

func (o *unlocker) way() app.WayIn {
	for _, way := range o.ways {
		if way.Kind == o.lock {
			return way
		}
	}
	return app.WayIn{Kind: o.lock, TriesLeft: -1}
}

// A wayState is whether a way can be tried now.
type wayState int

const (
	wayOpen wayState = iota
	wayLast          // one try is left
	wayWaits
	wayElsewhere
	wayDestroyed
	wayFrozen
	wayAlarm // its vault may not be what it says
)

func stateOfWay(way app.WayIn, now time.Time) wayState {
	switch {
	case way.Kind != app.LockPassword:
		return wayOpen
	case !way.Usable:
		return wayElsewhere
	case vaultAlarm(way.Refusal.Code):
		return wayAlarm
	case way.State == "destroyed":
		return wayDestroyed
	case way.State == "frozen":
		return wayFrozen
	case way.Until.After(now):
		return wayWaits
	case way.TriesLeft == 1:
		return wayLast
	}
	return wayOpen
}

// choose shows the fields of a way.
func (o *unlocker) choose(lock app.LockKind) {
	o.lock = lock
	o.stopCounting()
	o.holder.RemoveAll()
	o.w.title.set(say("open.title"))
	way := o.way()
	switch state := stateOfWay(way, o.now()); state {
	case wayOpen, wayLast:
		o.fields(way, state)
	case wayWaits:
		o.waits(way)
	case wayAlarm:
		o.w.title.set(alarmTitle(way.Refusal.Code, knownVault))
		o.holder.Add(stack(gap4, vaultAlarmBody(way.Refusal.Code, knownVault, way.VaultAddress, "")...))
	case wayElsewhere:
		o.holder.Add(newNotice(toneCareful, say("open.elsewhere.title", "computer", orUnknown(way.VaultComputer)), say("open.elsewhere.body"), nil).box)
	case wayFrozen:
		o.holder.Add(newNotice(toneBad, say("open.frozen.title"), say("open.frozen.body"), nil).box)
	case wayDestroyed:
		o.w.title.set(say("open.destroyed.title"))
		o.holder.Add(stack(gap4, row(0, picture("broken", 150, 105)),
			newNotice(toneBad, "", say("open.destroyed.body"), nil).box))
	}
	escapable(o.holder, o.back)
	o.w.next.Importance = widget.HighImportance
	if stateOfWay(way, o.now()) == wayLast {
		o.w.next.Importance = widget.MediumImportance
	}
	o.look()
	o.holder.Refresh()
}

// fields shows what is to be typed. The last try has no default button: Enter does nothing.
func (o *unlocker) fields(way app.WayIn, state wayState) {
	if o.lock == app.LockKey {
		o.holder.Add(card(stack(gap3, muted(say("open.digits")), o.digits.box)))
		return
	}
	if state == wayLast {
		o.w.title.set(say("open.last.title"))
		o.holder.Add(newNotice(toneBad, "", say("open.last.body"), nil).box)
	}
	show := newTick(say("secret.show"), false, func(on bool) {
		o.secret.Password = !on
		o.secret.Refresh()
	})
	inner := stack(gap3, labelled(say("secret."+string(o.lock)), o.secret), show, o.tries.box)
	if o.lock == app.LockPassword {
		inner.Add(small(guardOfWay(way).short()))
	}
	o.holder.Add(card(inner))
	o.sayTries(way)
}

// sayTries says how many tries are left, or why nobody knows.
func (o *unlocker) sayTries(way app.WayIn) {
	switch {
	case o.lock != app.LockPassword:
		o.tries.clear()
	case way.TriesLeft >= 0:
		t := tonePlain
		if way.TriesLeft <= 3 {
			t = toneCareful
		}
		o.tries.set(t, sayN("open.tries", int64(way.TriesLeft)))
	case way.Refusal.Code != "":
		o.tries.set(toneCareful, o.sentence(way.Refusal))
	case way.VaultKind == app.VaultServer:
		o.tries.set(tonePlain, say("open.tries-unknown"))
	default:
		o.tries.clear()
	}
}

// countdownTick is how often the time until the next try is written anew.
const countdownTick = 10 * time.Second

// waits shows when the vault takes the next try, and counts down to it.
func (o *unlocker) waits(way app.WayIn) {
	left := muted("")
	n := newNotice(toneCareful, say("open.waits.title", "until", moment(way.Until, o.now())), say("open.waits.body"), nil)
	about := stack(gap2, n.box, left)
	if way.TriesLeft >= 0 {
		about.Add(plain(sayN("open.tries", int64(way.TriesLeft))))
	}
	about.Add(small(guardOfWay(way).short()))
	o.holder.Add(about)
	var count func()
	count = func() {
		rest := way.Until.Sub(o.now())
		if rest <= 0 {
			o.choose(o.lock) // also when the vault does not answer now
			o.window.Canvas().Focus(o.secret)
			return
		}
		left.set(say("open.waits.left", "time", span(rest)))
		o.tick = o.sc.later(min(countdownTick, rest+time.Second), count)
	}
	count()
	o.sc.later(way.Until.Sub(o.now())+time.Second, o.refreshWays) // however the clock was set meanwhile
}

func (o *unlocker) stopCounting() {
	if o.tick != nil {
		o.tick()
		o.tick = nil
	}
}

// look enables the button when there is something to try.
func (o *unlocker) look() {
	if o.w == nil {
		return
	}
	switch {
	case o.lock == app.LockKey:
		if o.w.next.Disabled() && o.digits.whole() {
			o.log.Debug("key whole")
		}
		o.w.allow(o.digits.whole())
		if n := o.digits.wrong(); n > 0 {
			o.w.hint.set(toneBad, say("open.line-wrong", "n", n))
		} else {
			o.w.hint.clear()
		}
	default:
		state := stateOfWay(o.way(), o.now())
		o.w.hint.clear()
		o.w.allow(o.secret.Text != "" && (state == wayOpen || state == wayLast))
	}
}

func (o *unlocker) submit() {
	if !o.w.next.Disabled() && stateOfWay(o.way(), o.now()) != wayLast {
		o.start(o.open)
	}
}

// start tries once.
func (o *unlocker) start(open func(context.Context, app.LockKind, app.Secret, app.RootKey) error) {
	lock, secret, key := o.lock, secretOf(o.secret.Text), app.RootKey{}
	if lock == app.LockKey {
		var err error
		if key, err = app.ParseRecoveryKey([]byte(o.digits.text())); err != nil {
			o.problem(o.w.hint, err)
			return
		}
	}
	o.w.work(say("open.working"))
	o.result.hide()
	o.older.Hide()
	run(o.sc, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, open(ctx, lock, secret, key)
	}, func(_ struct{}, err error) {
		secret.Wipe()
		key.Wipe()
		o.w.rest()
		if err != nil {
			o.refused(err)
			return
		}
		o.secret.SetText("")
		o.done()
	})
}

// refused says why it did not open, and asks the vault how many tries are left.
func (o *unlocker) refused(err error) {
	f := o.explain(err)
	o.learn(f)
	said := f.Code == app.CodeCanceled || vaultAlarm(f.Code) ||
		f.Code == app.CodeWait && stateOfWay(o.way(), o.now()) == wayWaits // the page says it now
	if !said {
		head, body := trouble(f, o.now())
		o.result.set(toneBad, head, body)
	}
	if f.Code == app.CodeRollback && o.openOld != nil && f.Args["until"] != "" {
		o.offerOld(f)
		return // what was typed is right, and stays
	}
	if o.lock != app.LockKey {
		o.secret.SetText("")
		if state := stateOfWay(o.way(), o.now()); state == wayOpen || state == wayLast {
			o.window.Canvas().Focus(o.secret)
		} else {
			o.window.Canvas().Focus(o.w.back)
		}
	}
	o.refreshWays()
}

// offerOld lets people have what is there, who know why the place shows less than the vault
// knows of: that may be all that is left.
func (o *unlocker) offerOld(f app.Failure) {
	until := failureArg("until", f.Args["until"], o.now())
	older := push(say("open.older.button"), "restore", func() { o.start(o.openOld) })
	o.older.Objects = []fyne.CanvasObject{
		plain(say("open.older.body", "until", until, "computer", deviceName(f.Args["computer"]))), row(0, older),
	}
	escapable(o.older, o.back)
	o.older.Show()
	o.older.Refresh()
	o.window.Canvas().Focus(o.w.back)
}

// learn takes from a failure what it says about the way: the vault may not answer again.
func (o *unlocker) learn(f app.Failure) {
	for i := range o.ways {
		way := &o.ways[i]
		if way.Kind != app.LockPassword || o.lock != app.LockPassword {
			continue
		}
		if n, err := strconv.Atoi(f.Args["tries"]); err == nil {
			way.TriesLeft = n
		}
		if at, err := time.Parse(time.RFC3339, f.Args["until"]); err == nil {
			way.Until = at
		}
		switch {
		case vaultAlarm(f.Code):
			way.Refusal = f
		case f.Code == app.CodeKeyDestroyed:
			way.State, way.TriesLeft = "destroyed", 0
		case f.Code == app.CodeOutcomeUnknown:
			way.TriesLeft = -1
		}
	}
	o.choose(o.lock)
}

// refreshWays asks how things stand. It charges nothing.
func (o *unlocker) refreshWays() {
	run(o.sc, func(ctx context.Context) ([]app.WayIn, error) {
		return o.coffer.WaysIn(ctx, o.dest, o.repository)
	}, func(ways []app.WayIn, err error) {
		if err == nil && len(ways) > 0 {
			o.ways = ways
			o.choose(o.lock)
		}
	})
}
