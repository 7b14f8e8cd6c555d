package ui

import (
	"time"

	"fyne.io/fyne/v2/test"

	"coffer/app"
	"coffer/ui/canned"
)

// pasteLink goes through the page that asks for the link of a vault.
func pasteLink(r *rig) {
	r.fill(0, canned.Link)
	r.tap(say("vaultlink.button"))
}

// saying is a computer that a vault says something to.
func saying(v app.VaultDescription) func() *canned.Coffer {
	return func() *canned.Coffer {
		c := canned.Offered()
		c.Said = v
		return c
	}
}

// linkRefused is one that a vault of a link cannot be chosen on.
func linkRefused(code app.Code) func() *canned.Coffer {
	return func() *canned.Coffer {
		c := canned.Offered()
		c.SaidErr = canned.Trouble{Code: code}
		return c
	}
}

func refusedBy(code app.Code) func() *canned.Coffer {
	return func() *canned.Coffer { return canned.Refused(code) }
}

// takenWith is a new computer whose place holds a backup that a vault on a network guards.
func takenWith(change func(*canned.Coffer)) func() *canned.Coffer {
	return func() *canned.Coffer {
		c := canned.Taken()
		c.Ways[0] = canned.Guarded().Ways[0]
		change(c)
		c.Place.Backups[0].Ways = c.Ways
		return c
	}
}

// wrongOnce types a wrong password.
func wrongOnce(r *rig) {
	atBackup(restoreOpen)(r)
	r.fill(0, "not the password")
	r.tap(say("open.button"))
}

// uninvited is a vault that wants an invitation, which the link lacks.
func uninvited() app.VaultDescription {
	v := canned.Lake()
	v.HasInvitation = false
	return v
}

// epochs is a vault with hardware whose program counts.
func epochs() app.VaultDescription {
	v := canned.Lake()
	v.Sealer, v.Enforced, v.Register = "tpm-epochs", app.EnforcedByProgram, "open"
	return v
}

func openFails(f app.Failure) func(*canned.Coffer) {
	return func(c *canned.Coffer) { c.OpenErr = canned.Trouble(f) }
}

// signingInAtVault is a computer whose new vault waits for somebody in the browser.
func signingInAtVault() *canned.Coffer {
	c := canned.Guarded()
	c.SignsIn, c.Signing = true, newHold()
	return c
}

// olderPlace is a place that shows less than the vault knows of.
func olderPlace(c *canned.Coffer) {
	c.OpenErr = canned.Trouble{Code: app.CodeRollback, Args: map[string]string{
		"computer": "ANN-LAPTOP", "until": canned.Now.AddDate(0, 0, -2).Format(time.RFC3339),
	}}
}

// guessedNews is a computer that has three things to say of its vault.
func guessedNews() *canned.Coffer {
	return canned.News(
		app.VaultWarning{Code: app.VaultWarnStrange, Args: map[string]string{"count": "3", "device": "kali", "since": canned.Now.AddDate(0, 0, -10).Format(time.RFC3339)}},
		app.VaultWarning{Code: app.VaultWarnDestroyed},
		app.VaultWarning{Code: app.VaultWarnSilent, Args: map[string]string{"since": canned.Now.AddDate(0, 0, -20).Format(time.RFC3339)}},
	)
}

// vaultStories are the screens about vaults on a network.
func vaultStories() []story {
	toPassword := func(r *rig) { pasteLink(r); r.tap(say("vaultabout.button")) }
	return []story{
		{"setup-vault-link", canned.Offered, "setup/vault", func(r *rig) { r.fill(0, canned.Link) }},
		{"setup-vault-mistyped", canned.Offered, "setup/vault", func(r *rig) { r.fill(0, canned.Link[:40]); r.tap(say("vaultlink.button")) }},
		{"setup-vault-expired", linkRefused(app.CodeVaultExpired), "setup/vault", pasteLink},
		{"setup-vault-about", canned.Offered, "setup/vault", pasteLink},
		{"setup-vault-about-office", saying(canned.Office()), "setup/vault", pasteLink},
		{"setup-vault-uninvited", saying(uninvited()), "setup/vault", pasteLink},
		{"setup-vault-epochs", saying(epochs()), "setup/vault", pasteLink},
		{"setup-vault-alarm", linkRefused(app.CodeVaultIdentity), "setup/vault", pasteLink},
		{"setup-vault-alarm-second", linkRefused(app.CodeVaultSecondSigner), "setup/vault", pasteLink},
		{"setup-lock-vault", canned.Offered, "setup/vault", toPassword},
		{"key-change-vault", canned.Guarded, "key/change", nil},
		{"key-vault", canned.Guarded, "key", nil},
		{"key-vault-details", canned.Guarded, "key", func(r *rig) { r.tap(say("vaultcard.details")) }},
		{"key-vault-guessed", canned.Guessed, "key", nil},
		{"key-vault-behind", canned.Behind, "key", nil},
		{"key-vault-put-back", refusedBy(app.CodeVaultRolledBack), "key", nil},
		{"home-vault", guessedNews, "home", nil},
		{"home-vault-alarm", func() *canned.Coffer {
			c := canned.Guarded()
			c.Home.Attention = []app.Attention{{Code: app.AttentionLastFailed, Args: map[string]string{"code": string(app.CodeVaultRolledBack)}}}
			return c
		}, "home", nil},
		{"key-move-not-compared", func() *canned.Coffer {
			c := canned.Guarded()
			c.MoveErr = canned.Trouble{Code: app.CodeNotCompared}
			return c
		}, "key/move/vault", func(r *rig) { toPassword(r); r.fill(0, "correct horse"); r.tap(say("vaultmove.button")) }},
		{"key-vault-offline", refusedBy(app.CodeVaultOffline), "key", nil},
		{"key-vault-alarm", refusedBy(app.CodeVaultEvidence), "key", nil},
		{"key-move-password", canned.Guarded, "key/move/vault", toPassword},
		{"key-move-sign-in", signingInAtVault, "key/move/vault", func(r *rig) {
			toPassword(r)
			r.fill(0, "correct horse")
			test.Tap(r.button(say("vaultmove.button")))
			r.until("the browser", func() bool { return len(r.opened) > 0 })
		}},
		{"key-move-done", canned.Guarded, "key/move/vault", func(r *rig) { toPassword(r); r.fill(0, "correct horse"); r.tap(say("vaultmove.button")) }},
		{"key-move-back", canned.Guarded, "key/move-back", nil},
		{"key-leave", canned.Guarded, "key/leave", nil},
		{"key-leave-unproven", canned.Guessed, "key/leave", nil},
		{"key-leave-done", canned.Guarded, "key/leave", func(r *rig) { r.fill(0, "correct horse"); r.tap(say("vaultleave.button")) }},
		{"key-receipt", canned.Guarded, "key", func(r *rig) { r.tap(say("vaultleft.receipt")) }},
		{"restore-open-vault", takenWith(func(*canned.Coffer) {}), "restore/where", atBackup(restoreOpen)},
		{"restore-open-vault-wrong", takenWith(func(c *canned.Coffer) {
			c.Ways[0].TriesLeft = 7
			c.OpenErr = canned.Trouble{Code: app.CodeWrongPassword, Args: map[string]string{"tries": "6", "until": canned.Now.Add(5 * time.Minute).Format(time.RFC3339)}}
		}), "restore/where", wrongOnce},
		{"restore-open-vault-offline", takenWith(func(c *canned.Coffer) {
			c.Ways[0].TriesLeft, c.Ways[0].State, c.Ways[0].Refusal = -1, "", app.Failure{Code: app.CodeVaultOffline}
		}), "restore/where", atBackup(restoreOpen)},
		{"restore-open-vault-older", takenWith(olderPlace), "restore/where", wrongOnce},
		{"restore-open-vault-unknown", takenWith(openFails(app.Failure{Code: app.CodeOutcomeUnknown})), "restore/where", wrongOnce},
		{"restore-open-vault-alarm", takenWith(func(c *canned.Coffer) {
			c.Ways[0].TriesLeft, c.Ways[0].State, c.Ways[0].Refusal = -1, "", app.Failure{Code: app.CodeVaultRolledBack}
		}), "restore/where", func(r *rig) { atBackup(restoreOpen)(r); r.choose(say("open.way.password")) }},
	}
}
