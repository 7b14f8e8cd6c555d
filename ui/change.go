package ui

import (
	"context"

	"fyne.io/fyne/v2"

	"coffer/app"
)

// changing is the change of a password, and perhaps of the vault that guards it.
type changing struct {
	*desk
	coffer keyKeeper
	show   func(*page)
	leave  func()

	secret string      // typed so far, while somebody looks for another vault
	vault  vaultChoice // the zero one: the vault that guards the password now
}

// page sets a new password. The old one is not asked for: the computer holds the key.
func (c *changing) page() *page {
	sc := c.tasks.scope()
	var w *wizardPage
	chooser := newSecretChooser(app.LockPassword, []string{c.computer, c.home}, c.secret, func(ok bool) {
		if w != nil {
			w.allow(ok)
		}
	})
	browser := c.newVaultSignIn(sc, c.vault.told.Issuer)
	vault := stack(gap2)
	save := func() { c.save(sc, w, browser, secretOf(chooser.value())) }
	w = c.taskPage(sc, asked{
		name: "key/change", title: say("change.title"), lead: say("change.lead"),
		body:   []fyne.CanvasObject{browser.box, card(chooser.box), vault},
		button: say("change.button"), do: save, focus: chooser.first,
	}, c.leave)
	other := func() {
		c.secret = chooser.value()
		c.choosing().linkPage()
	}
	c.showGuard(sc, vault, other)
	w.allow(chooser.ok(chooser.advise(chooser.value())))
	chooser.first.OnSubmitted = func(string) { c.window.Canvas().Focus(chooser.second) }
	chooser.second.OnSubmitted = func(string) { w.accept() }
	return &w.page
}

// choosing leads to another vault and back.
func (c *changing) choosing() *choosingVault {
	again := func() { c.show(c.page()) }
	return &choosingVault{
		desk: c.desk, coffer: c.coffer, at: "key/change", show: c.show, leave: again,
		link: c.vault.link, told: c.vault.told,
		done: func(choice vaultChoice) {
			c.vault = choice
			again()
		},
	}
}

// showGuard says in one line which vault will guard the new password.
func (c *changing) showGuard(sc *scope, box *fyne.Container, other func()) {
	fill := func(g guard) {
		text := ""
		if c.vault.signsIn() {
			text = say("vaultsignin.soon", "issuer", c.vault.told.Issuer)
		}
		box.Objects = []fyne.CanvasObject{
			newNotice(tonePlain, g.line(), text, nil).box, row(0, quiet(say("lock.vault.other"), "safe", other)),
		}
		escapable(box, c.leave)
		box.Refresh()
	}
	if c.vault.remote() {
		fill(c.vault.guard(c.computer))
		return
	}
	run(sc, c.coffer.Overview, func(o app.Overview, err error) {
		g := guardHere(c.computer) // of a first password
		if way, there := passwordOf(o.WaysIn); err == nil && there && (way.VaultHere || way.VaultKind == app.VaultServer) {
			g = guardOfWay(way)
		}
		fill(g)
	})
}

func (c *changing) save(sc *scope, w *wizardPage, browser *vaultSignIn, secret app.Secret) {
	options := app.PasswordOptions{Password: secret, Vault: c.vault.link, Browser: browser.ask}
	w.work(say("change.working"))
	browser.stop = run(sc, func(ctx context.Context) (struct{}, error) { return struct{}{}, c.coffer.SetPassword(ctx, options) },
		func(_ struct{}, err error) {
			secret.Wipe()
			browser.end()
			w.rest()
			if err != nil {
				m := knownVault
				if c.vault.remote() {
					m = firstMeeting
				}
				c.vaultProblem(w, err, m, c.vault.told.Address, bareFingerprint(c.vault.told.Fingerprint))
				return
			}
			w.finish(say("change.done.title"), say("change.done.body"), c.leave)
		})
}
