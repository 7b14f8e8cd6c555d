package ui

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"coffer/app"
)

// vaultKeeper is the part of Coffer that knows the vault of the profile's password.
type vaultKeeper interface {
	vaultInspector
	VaultStatus(ctx context.Context) (app.VaultStatus, error)
	SetPassword(ctx context.Context, o app.PasswordOptions) error
	MoveVault(ctx context.Context, o app.MoveOptions) (app.MoveReport, error)
	LeaveVault(ctx context.Context) (app.LeaveReport, error)
	ResetVault(ctx context.Context) error
}

// vaultActions leads from the card of the vault to its tasks.
type vaultActions struct {
	move, moveBack, leave, prove func()
	receipt                      func(app.VaultReceipt)
}

// vaultCard is who holds the key of the password: the vault, how it keeps it, the tries, and
// what its owner should know.
type vaultCard struct {
	*desk
	coffer keyKeeper
	sc     *scope
	act    vaultActions
	box    *fyne.Container
}

func (d *desk) newVaultCard(coffer keyKeeper, sc *scope, act vaultActions) *vaultCard {
	return &vaultCard{desk: d, coffer: coffer, sc: sc, act: act, box: stack(gap4)}
}

// load asks the vault. It charges nothing.
func (c *vaultCard) load() {
	spinner := newBusy()
	spinner.start(say("vaultcard.asking"))
	c.box.Objects = []fyne.CanvasObject{spinner.box}
	c.box.Refresh()
	run(c.sc, c.coffer.VaultStatus, func(v app.VaultStatus, err error) {
		spinner.stop()
		c.box.RemoveAll()
		switch {
		case err != nil:
			c.failed(err)
		case v.Kind != "":
			c.show(v)
		}
		c.leftBehind(v)
		c.box.Refresh()
		c.log.Debug("vault shown", "kind", v.Kind)
	})
}

// failed shows why nothing is known of the vault.
func (c *vaultCard) failed(err error) {
	h := newHint()
	c.problem(h, err)
	c.box.Add(card(stack(gap3, heading(say("ways.vault.title")), h.box, row(0, push(say("vaultcard.again"), "", c.load)))))
}

func (c *vaultCard) show(v app.VaultStatus) {
	g := guardOfStatus(v)
	parts := []fyne.CanvasObject{heading(say("ways.vault.title")), stack(gap1, strong(g.title()), muted(g.meaning()))}
	if vaultAlarm(v.Refusal.Code) {
		parts = append(parts, newNotice(toneBad, alarmTitle(v.Refusal.Code, knownVault), "", nil).box)
		parts = append(parts, vaultAlarmBody(v.Refusal.Code, knownVault, v.Address, bareFingerprint(v.Fingerprint))...)
	} else {
		if v.Refusal.Code != "" {
			head, body := trouble(v.Refusal, c.now())
			parts = append(parts, newNotice(toneCareful, head, body, push(say("vaultcard.again"), "", c.load)).box)
		}
		parts = append(parts, stack(gap4, c.facts(v)...))
	}
	for _, w := range v.Warnings {
		if w.Code != app.VaultWarnNotDestroyed { // the card of what was left says it
			parts = append(parts, c.warning(w))
		}
	}
	parts = append(parts, c.buttons(v), c.details(v))
	c.box.Add(card(stack(gap4, parts...)))
	if len(v.Log) > 0 {
		c.box.Add(card(c.tries(v)))
	}
}

// facts are how the password stands in the vault.
func (c *vaultCard) facts(v app.VaultStatus) []fyne.CanvasObject {
	var facts []fyne.CanvasObject
	add := func(icon, name, text string) { facts = append(facts, fact(icon, say("vault.fact."+name), text)) }
	left := say("vaultcard.left-unknown")
	switch {
	case v.State == "destroyed":
		left = say("open.destroyed.title")
	case v.State == "frozen":
		left = say("open.frozen.title")
	case v.Left >= 0:
		left = sayN("vaultcard.left", int64(v.Left), "of", v.Tries)
	}
	if v.Until.After(c.now()) {
		left += " " + say("open.waits.title", "until", moment(v.Until, c.now()))
	}
	add("lock", "tries", left)
	if v.Kind == app.VaultServer {
		add("safe", "keys", keysText(v))
		add("clock", "checked", c.checkedText(v))
	} else if !v.Here {
		add("computer", "checked", say("vaultcard.elsewhere"))
	}
	return facts
}

// keysText says who counts the tries, and whether that was proven now.
func keysText(v app.VaultStatus) string {
	key := guardOfStatus(v).class()
	if key == "tpm" && v.Attested {
		return say("vaultcard.keys.tpm-checked")
	}
	return say("vaultcard.keys." + key)
}

func (c *vaultCard) checkedText(v app.VaultStatus) string {
	if v.Reachable {
		return sentenceCase(say("vaultcard.checked", "when", moment(c.now(), c.now())))
	}
	return say("vaultcard.unchecked")
}

// warning is a line about the vault that its user should know of.
func (c *vaultCard) warning(w app.VaultWarning) fyne.CanvasObject {
	var b *button
	if w.Code == app.VaultWarnNoFallback {
		b = push(say("ways.prove"), "", c.act.prove)
	}
	return newNotice(toneCareful, "", c.warningText(w), b).box
}

// warningText is the same in a text.
func (d *desk) warningText(w app.VaultWarning) string {
	arg := func(name string) string { return w.Args[name] }
	n, _ := strconv.ParseInt(arg("count"), 10, 64) // zero reads well enough
	switch w.Code {
	case app.VaultWarnRestored:
		return changeOf("restored", arg("before"), arg("after")) + " " + say("vaultwarn.new-password")
	case app.VaultWarnWeaker:
		return changeOf(arg("kind"), arg("before"), arg("after")) + " " + say("vaultwarn.ask")
	case app.VaultWarnExpires:
		return say("vaultabout.expires", "until", d.dateOf(arg("until")))
	case app.VaultWarnNoFallback:
		return say("vaultcard.no-fallback")
	case app.VaultWarnLog:
		return sayN("vaultcard.wrong-tries", n, "device", deviceName(arg("device")))
	case app.VaultWarnStrange:
		return sayN("vaultwarn.strange", n, "since", d.dateOf(arg("since")), "device", deviceName(arg("device"))) + " " + say("vaultwarn.strange.do")
	case app.VaultWarnBehind:
		return say("vaultwarn.behind", "left", arg("left"), "of", arg("of"))
	case app.VaultWarnDestroyed:
		return say("vaultwarn.destroyed")
	case app.VaultWarnSilent:
		return say("vaultwarn.silent", "since", d.dateOf(arg("since")))
	}
	return say("vault.changed.other", "before", arg("before"), "after", arg("after")) // of a newer package app
}

func (d *desk) dateOf(rfc3339 string) string {
	at, err := time.Parse(time.RFC3339, rfc3339)
	if err != nil {
		return rfc3339
	}
	return day(at.In(d.now().Location()))
}

// buttons are what can be done with the vault.
func (c *vaultCard) buttons(v app.VaultStatus) fyne.CanvasObject {
	list := []*button{push(say("vaultcard.move"), "safe", c.act.move)}
	if v.Kind == app.VaultServer {
		list = append(list, push(say("vaultcard.move-back"), "computer", c.act.moveBack))
	}
	if v.Reachable && v.State == "active" && v.Left >= 0 && v.Left < v.Tries {
		list = append(list, push(say("vaultcard.reset"), "restore", c.reset))
	}
	return buttonRow(append(list, push(say("vaultcard.leave"), "remove", c.act.leave))...)
}

// reset gives all tries back: this computer holds the key, and need not guess.
func (c *vaultCard) reset() {
	run(c.sc, func(ctx context.Context) (struct{}, error) { return struct{}{}, c.coffer.ResetVault(ctx) },
		func(_ struct{}, err error) {
			if err != nil {
				c.box.RemoveAll()
				c.failed(err)
				c.box.Refresh()
				return
			}
			c.load()
		})
}

// details are hidden until somebody wants them.
func (c *vaultCard) details(v app.VaultStatus) fyne.CanvasObject {
	if v.Kind != app.VaultServer {
		return stack(0)
	}
	inner := stack(gap4, fact("server", say("vault.fact.address"), v.Address),
		fingerprint(say("vaultabout.fingerprint"), bareFingerprint(v.Fingerprint)), small(say("vaultabout.compare")))
	if !v.BundleExpires.IsZero() {
		inner.Add(fact("document", say("vault.fact.bundle"), say("vaultabout.signed.one", "from", day(v.BundleIssued), "until", day(v.BundleExpires))))
	}
	if v.Store == "cluster" {
		inner.Add(fact("many", say("vault.fact.store"), say("vaultabout.cluster")))
	}
	if v.Incarnation > 0 {
		inner.Add(fact("restore", say("vault.fact.restored"), sayN("vaultcard.restored", int64(min(v.Incarnation, 1<<30)))))
	}
	if v.Anchor.Snapshots > 0 {
		inner.Add(fact("clock", say("vault.fact.anchor"), sayN("vaultcard.anchor", int64(v.Anchor.Snapshots), "when", moment(v.Anchor.Newest, c.now()))))
	}
	inner.Hide()
	all := stack(gap3)
	toggle := quiet(say("vaultcard.details"), "info", nil)
	toggle.OnTapped = func() {
		setVisible(inner, !inner.Visible())
		c.box.Refresh()
	}
	all.Objects = []fyne.CanvasObject{row(0, toggle), inner}
	return all
}

// vaultEventsShown is how many lines of the vault's log the screen shows.
const vaultEventsShown = 10

// tries is the vault's own log: when, what, which device, and what was left after it.
func (c *vaultCard) tries(v app.VaultStatus) fyne.CanvasObject {
	rows := stack(gap3, stack(gap1, heading(say("vaultlog.title")), small(say("vaultlog.lead"))))
	known := c.knownDevices(v.Log)
	shown := 0
	for i, e := range slices.Backward(v.Log) {
		if e.Kind == "try" && i+1 < len(v.Log) && (v.Log[i+1].Kind == "right" || v.Log[i+1].Kind == "wrong") {
			continue // its outcome says it already
		}
		rows.Add(c.event(e, known))
		if shown++; shown == vaultEventsShown {
			break
		}
	}
	return rows
}

// knownDevices are this one, and those that have shown that they know the password or hold
// the key.
func (c *vaultCard) knownDevices(log []app.VaultEvent) map[string]bool {
	known := map[string]bool{c.computer: true}
	for _, e := range log {
		switch e.Kind {
		case "right", "committed", "replaced", "reset":
			known[e.Device] = true
		}
	}
	delete(known, "")
	return known
}

func (c *vaultCard) event(e app.VaultEvent, known map[string]bool) fyne.CanvasObject {
	sign, color := "info", colorMuted
	switch e.Kind {
	case "right", "committed", "unfrozen", "reset", "replaced":
		sign, color = "ok", theme.ColorNameSuccess
	case "wrong", "try":
		sign, color = "wrong", theme.ColorNameWarning
	case "destroyed", "frozen":
		sign, color = "danger", theme.ColorNameError
	}
	key, style := "vaultlog.from", wordStyle{size: sizeSmall, color: colorMuted}
	attempt := e.Kind == "try" || e.Kind == "wrong" || e.Kind == "destroyed"
	if attempt && !known[e.Device] { // from where nobody has shown yet that they belong here
		key, style.color, style.bold = "vaultlog.stranger", theme.ColorNameWarning, true
	}
	if e.Device == "" && !attempt { // the vault never hears a name with it
		key = "vaultlog.noted"
	}
	from := say(key, "when", moment(e.At, c.now()), "device", deviceName(e.Device), "left", sayN("vaultlog.left", int64(e.Left)))
	return rowTop(gap3, 1, icon(sign, color), stack(gap1, plain(vaultEvent(e.Kind)), newWords(sentenceCase(from), style)))
}

// vaultEvent names a line of the vault's log. A kind of a newer vault is shown as it is.
func vaultEvent(kind string) string {
	switch kind {
	case "try", "right", "wrong", "committed", "replaced", "reset", "frozen", "unfrozen", "destroyed":
		return say("vault.event." + kind)
	}
	return kind
}

// maxDevice is how much of a device's name is shown, in letters.
const maxDevice = 40

// deviceName makes the name that a device gave itself fit to be shown: whoever holds the
// files in the cloud can try with any name, and must not write lines of ours with it.
func deviceName(name string) string {
	var out strings.Builder
	n := 0
	for _, r := range name {
		if !unicode.IsPrint(r) {
			continue
		}
		if n++; n > maxDevice {
			out.WriteString("…")
			break
		}
		out.WriteRune(r)
	}
	if strings.TrimSpace(out.String()) == "" {
		return say("vaultlog.unnamed")
	}
	return out.String()
}

// leftBehind lists the records in vaults that were left: those that wait to be destroyed
// are a matter for their owner, the others have a receipt.
func (c *vaultCard) leftBehind(v app.VaultStatus) {
	if len(v.LeftBehind) == 0 {
		return
	}
	rows := stack(gap4, heading(say("vaultleft.title")))
	for _, r := range v.LeftBehind {
		head := strong(guardOfRef(r.Vault).title())
		when := day(r.LeftAt.In(c.now().Location()))
		switch {
		case r.Receipt != nil:
			rows.Add(stack(gap2, head, plain(say("vaultleft.destroyed", "when", when)),
				row(0, quiet(say("vaultleft.receipt"), "document", func() { c.act.receipt(*r.Receipt) }))))
		case r.Unknown:
			rows.Add(stack(gap1, head, plain(say("vaultleft.unknown", "when", when))))
		default:
			rows.Add(stack(gap1, head, newNotice(toneCareful, "", say("vaultleft.waiting", "when", when), nil).box))
		}
	}
	c.box.Add(card(rows))
}
