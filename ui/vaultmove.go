package ui

import (
	"context"
	"strings"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// moving is the short row of screens that moves the password to another vault, or takes it
// out of every vault: what it means, the password once more, and a receipt.
type moving struct {
	*desk
	coffer keyKeeper
	show   func(*page)
	leave  func() // to Key & recovery
	prove  func() // the recovery sheet
	forgot func() // the password: set a new one first

	to vaultChoice // the zero one: this computer
}

// begin asks for the vault to move to.
func (m *moving) begin() { m.choosing().linkPage() }

func (m *moving) choosing() *choosingVault {
	return &choosingVault{
		desk: m.desk, coffer: m.coffer, at: "key/move", show: m.show, leave: m.leave,
		link: m.to.link, told: m.to.told,
		done: func(choice vaultChoice) {
			m.to = choice
			m.passwordPage("key/move/password", m.choosing().aboutPage)
		},
	}
}

// back begins the move to this computer.
func (m *moving) back() {
	m.to = vaultChoice{}
	m.passwordPage("key/move-back", m.leave)
}

// once is a field for the password as it is now, and what was said of it.
type once struct {
	secret *field
	said   *hint
	box    fyne.CanvasObject
}

func (m *moving) newOnce(note string) *once {
	o := &once{secret: newSecretField(say("secret.password")), said: newHint()}
	show := newTick(say("secret.show"), false, func(on bool) {
		o.secret.Password = !on
		o.secret.Refresh()
	})
	o.box = card(stack(gap3, labelled(say("secret.password"), o.secret), wrapRow(gap4, show, quiet(say("practice.forgot"), "", m.forgot)),
		small(note), o.said.box))
	return o
}

// on makes the field open and take the way on.
func (o *once) on(w *wizardPage) {
	o.secret.OnChanged = func(s string) {
		o.said.clear()
		w.allowQuietly(s != "")
	}
	o.secret.OnSubmitted = func(string) { w.accept() }
	w.allowQuietly(false)
}

// passwordPage says what moves where, and asks for the password.
func (m *moving) passwordPage(name string, back func()) {
	sc := m.tasks.scope()
	var w *wizardPage
	g := m.to.guard(m.computer)
	pass, browser := m.newOnce(say("vaultmove.password")), m.newVaultSignIn(sc, m.to.told.Issuer)
	title, lead, button := say("vaultmove.back.title"), say("vaultmove.back.lead"), say("vaultmove.back.button")
	if m.to.remote() {
		title, lead, button = say("vaultmove.title", "name", m.to.told.Name), say("vaultmove.lead"), say("vaultmove.button")
	}
	worth := newNotice(meaningTone(g), g.line(), g.meaning(), nil)
	body := []fyne.CanvasObject{browser.box, worth.box, pass.box}
	if m.to.signsIn() {
		body = append(body, small(say("vaultsignin.soon", "issuer", m.to.told.Issuer)))
	}
	w = m.taskPage(sc, asked{
		name: name, title: title, lead: lead, body: body, button: button,
		do: func() { m.move(sc, w, pass, browser) }, focus: pass.secret,
	}, back)
	pass.on(w)
	m.show(&w.page)
}

func (m *moving) move(sc *scope, w *wizardPage, pass *once, browser *vaultSignIn) {
	if pass.secret.Text == "" {
		return
	}
	options := app.MoveOptions{Link: m.to.link, Password: secretOf(pass.secret.Text), Browser: browser.ask}
	w.work(say("vaultmove.working"))
	browser.stop = run(sc, func(ctx context.Context) (app.MoveReport, error) { return m.coffer.MoveVault(ctx, options) },
		func(report app.MoveReport, err error) {
			options.Password.Wipe()
			browser.end()
			w.rest()
			if err != nil {
				m.refused(w, pass, err)
				return
			}
			pass.secret.SetText("")
			m.show(m.movedPage(report))
		})
}

// refused says why nothing was moved. A wrong password that this computer found out by
// itself has used no try.
func (m *moving) refused(w *wizardPage, pass *once, err error) {
	f := m.explain(err)
	if f.Code == app.CodeNotCompared {
		head, body := trouble(f, m.now())
		pass.said.set(toneCareful, head+" "+body)
		return
	}
	if f.Code == app.CodeOtherPassword {
		pass.secret.SetText("")
		pass.said.set(toneCareful, say("practice.wrong"))
		m.window.Canvas().Focus(pass.secret)
		return
	}
	meets := knownVault
	if m.to.remote() {
		meets = firstMeeting
	}
	m.vaultProblem(w, err, meets, m.to.told.Address, bareFingerprint(m.to.told.Fingerprint))
}

// movedPage is the receipt of a move.
func (m *moving) movedPage(r app.MoveReport) *page {
	to := guardOfRef(r.To)
	if r.To.Kind == app.VaultEmbedded {
		to = guardHere(m.computer)
	}
	return m.receiptPage("key/move/done", say("vaultmove.done.title"), say("vaultmove.done.lead"),
		[]fyne.CanvasObject{
			fact("safe", say("vaultmove.done.to"), to.title()),
			fact("back", say("vaultmove.done.from"), guardOfRef(r.From).title()),
		}, r.From, r.Receipt, r.Waiting)
}

// leavePage says what leaving means. It asks for the password to be sure of who asks, and
// not the vault: that costs no try.
func (m *moving) leavePage(proven bool) *page {
	sc := m.tasks.scope()
	if !proven {
		w := m.taskPage(sc, asked{
			name: "key/leave", title: say("vaultleave.title"), lead: say("vaultleave.lead"),
			body:   []fyne.CanvasObject{newNotice(toneCareful, say("vaultleave.unproven.title"), say("vaultleave.unproven.body"), nil).box},
			button: say("ways.prove"), do: m.prove,
		}, m.leave)
		return &w.page
	}
	var w *wizardPage
	pass := m.newOnce(say("vaultleave.password"))
	w = m.taskPage(sc, asked{
		name: "key/leave", title: say("vaultleave.title"), lead: say("vaultleave.lead"),
		body: []fyne.CanvasObject{
			card(stack(gap3,
				sheetPoint("lock", say("vaultleave.means.password")),
				sheetPoint("safe", say("vaultleave.means.record")),
				sheetPoint("sheet", say("vaultleave.means.sheet")))),
			newNotice(toneCareful, say("secret.reset.title"), say("vaultleave.reset"), nil).box,
			pass.box,
		},
		button: say("vaultleave.button"), do: func() { m.goAway(sc, w, pass) }, focus: pass.secret,
	}, m.leave)
	pass.on(w)
	return &w.page
}

func (m *moving) goAway(sc *scope, w *wizardPage, pass *once) {
	typed := secretOf(pass.secret.Text)
	w.work(say("vaultleave.working"))
	type outcome struct {
		right  bool
		report app.LeaveReport
	}
	run(sc, func(ctx context.Context) (o outcome, err error) {
		if o.right, err = m.coffer.PracticePassword(ctx, typed); err != nil || !o.right {
			return o, err
		}
		o.report, err = m.coffer.LeaveVault(ctx)
		return o, err
	}, func(o outcome, err error) {
		typed.Wipe()
		w.rest()
		switch {
		case err != nil:
			m.vaultProblem(w, err, knownVault, "", "")
		case !o.right:
			pass.secret.SetText("")
			pass.said.set(toneCareful, say("practice.wrong"))
			m.window.Canvas().Focus(pass.secret)
		default:
			pass.secret.SetText("")
			m.show(m.leftPage(o.report))
		}
	})
}

func (m *moving) leftPage(r app.LeaveReport) *page {
	return m.receiptPage("key/leave/done", say("vaultleave.done.title"), say("vaultleave.done.lead"),
		[]fyne.CanvasObject{fact("back", say("vaultmove.done.from"), guardOfRef(r.From).title())}, r.From, r.Receipt, r.Waiting)
}

// receiptPage ends a move: what is the case now, and whether the old vault has destroyed
// what it had.
func (m *moving) receiptPage(name, head, lead string, facts []fyne.CanvasObject, from app.VaultRef, receipt *app.VaultReceipt, waiting bool) *page {
	sc := m.tasks.scope()
	body := []fyne.CanvasObject{card(stack(gap4, facts...))}
	switch {
	case receipt != nil:
		body = append(body, newNotice(toneGood, say("vaultreceipt.destroyed.title"), say("vaultreceipt.destroyed.body"), nil).box, m.vaultReceiptSaver(sc, *receipt))
	case waiting:
		body = append(body, newNotice(toneCareful, say("vaultreceipt.waiting.title"), say("vaultreceipt.waiting.body", "vault", guardOfRef(from).title()), nil).box)
	default:
		body = append(body, newNotice(tonePlain, "", say("vaultreceipt.none"), nil).box)
	}
	w := m.ask(sc, rail{}, question{name: name, title: head, lead: lead, body: body, next: say("button.done"), onNext: m.leave})
	return &w.page
}

// receiptAgainPage shows the receipt of a vault that was left before.
func (d *desk) receiptAgainPage(r app.VaultReceipt, back func()) *page {
	sc := d.tasks.scope()
	w := d.taskPage(sc, asked{
		name: "key/receipt", title: say("vaultreceipt.title"), lead: say("vaultreceipt.lead"),
		body: []fyne.CanvasObject{
			card(stack(gap4,
				fact("safe", say("vaultreceipt.vault"), guardOfRef(r.Vault).title()),
				fact("clock", say("vaultreceipt.at"), sentenceCase(moment(r.At, d.now()))))),
			d.vaultReceiptSaver(sc, r),
		},
	}, back)
	w.focus = w.back
	return &w.page
}

// vaultReceiptSaver keeps the receipt as a text file.
func (d *desk) vaultReceiptSaver(sc *scope, r app.VaultReceipt) fyne.CanvasObject {
	name := say("vaultreceipt.file") + " " + r.At.In(d.now().Location()).Format("2006-01-02 15.04") + ".txt"
	return d.textSaver(sc, name, vaultReceiptText(r))
}

// vaultReceiptText is the receipt for people, with all that its signature is checked with
// (docs/vault-protocol.md, "Keys and labels").
func vaultReceiptText(r app.VaultReceipt) string {
	var out strings.Builder
	out.WriteString(say("vaultreceipt.destroyed.title") + "\n\n")
	for _, l := range [][2]string{
		{"vaultreceipt.vault", guardOfRef(r.Vault).title()},
		{"vaultreceipt.at", r.At.UTC().Format("2006-01-02T15:04:05Z")},
		{"vaultreceipt.id", r.VaultID},
		{"vaultreceipt.record", r.Record},
		{"vaultreceipt.key", r.Key},
		{"vaultreceipt.signature", r.Signature},
	} {
		out.WriteString(say(l[0]) + ": " + l[1] + "\n")
	}
	return out.String()
}
