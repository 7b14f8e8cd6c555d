package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"time"

	"coffer/app/repo"
	"coffer/crypto"
	"coffer/vault"
)

// maxPractice bounds what is read of a practice check, which has about 150 bytes.
const maxPractice = 4 << 10

// ChangePassword sets a new password, or a first one; of a backup with a passphrase it
// sets a new passphrase. It takes the key that this computer has and not the old password:
// a forgotten password is a five-second fix where a computer still works. Only a head is
// uploaded; every backup made before stays as it is. When the old password's vault is on
// another computer, the new one is kept in this computer's vault.
//
// Of several places each gets the new head. One that does not answer gets it when it is
// next used: until then it shows the old head, whose password the vault does not take any
// more.
//
// The commit point is the arrival of the new head in the first place. A crash before it
// leaves the old password, one after it the new; the same call goes on from either.
func (a *App) ChangePassword(ctx context.Context, newPassword Secret) error {
	return a.SetPassword(ctx, PasswordOptions{Password: newPassword})
}

// PasswordOptions says what the new password is, and which vault guards it.
type PasswordOptions struct {
	Password Secret
	// Vault is the coffer-vault:// link of the vault for a backup that has no password yet,
	// or whose record has to be made anew; it may have an invitation. "" is the vault that
	// guards the password now, if this computer reaches it, or else the one on this
	// computer. Of a backup whose password is in another vault it moves there: see
	// [App.MoveVault], which leaves the old one in the same way.
	Vault string
	// Browser is that of [SetupOptions].
	Browser func(address string) error
}

// SetPassword is [App.ChangePassword] with a choice of the vault. Errors of a vault on a
// network are as for [App.MoveVault].
func (a *App) SetPassword(ctx context.Context, o PasswordOptions) error {
	unlock, err := a.lockProfile()
	if err != nil {
		return err
	}
	defer unlock()
	to, err := targetOf(o.Vault, o.Browser)
	if err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	c, err := a.openChange(ctx, o.Password)
	if err != nil {
		return err
	}
	defer c.end()
	if o.Vault != "" && c.head.Passphrase != nil && c.head.Vault == nil {
		c.lock = LockPassword // a vault was named: it is to be a password, beside the passphrase
	}
	if err := a.checkNewSecret(c.lock, o.Password); err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	if err := c.apply(ctx, to); err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	return nil
}

// noteLock copies what a head says about a way in.
func noteLock(p *Profile, lock LockKind, head *repo.Head) {
	p.Lock, p.LockSetAt, p.VaultComputer, p.VaultTries, p.VaultLink = lock, time.Time{}, "", 0, ""
	switch {
	case head == nil:
	case lock == LockPassword && head.Vault != nil:
		v := head.Vault
		p.LockSetAt, p.VaultComputer, p.VaultTries = unixTime(v.SetAt), v.Computer, v.Tries
		if link, ok := remoteLink(vaultSlot(v)); ok {
			p.VaultLink = link.String()
		}
	case lock == LockPassphrase && head.Passphrase != nil:
		p.LockSetAt = unixTime(head.Passphrase.SetAt)
	}
}

// change is one change of a way in.
type change struct {
	app     *App
	profile Profile
	places  []*placeStore // that answer; the one with the newest true head first
	root    RootKey
	keys    *crypto.Keys
	secret  Secret
	head    *repo.Head // as it is, and then as it becomes
	lock    LockKind
	older   bool // some place has more or other than the one head: an interrupted change left it
}

// openPlaces opens the places that answer, and fails with the error of the first when none
// does.
func (c *change) openPlaces(ctx context.Context) (err error) {
	if c.profile, err = c.app.profile(); err != nil {
		return err
	}
	var first error
	for _, e := range c.profile.Places {
		store, err := c.app.openEntry(ctx, c.profile, e)
		if ctx.Err() != nil {
			c.close()
			return context.Cause(ctx)
		}
		if err != nil {
			c.app.cfg.Log.InfoContext(ctx, "a place does not answer, and gets the new head later", "place", e.ID, "err", err)
			first = cmp.Or(first, err)
			continue
		}
		c.places = append(c.places, store)
	}
	if len(c.places) == 0 {
		return first
	}
	return nil
}

func (c *change) close() {
	for _, store := range c.places {
		_ = store.Close() // nothing is written by closing
	}
}

// findHead takes the newest head that is true. When all are lost a new one is made: the
// key is here, and that is all a head needs.
func (c *change) findHead() {
	for i, store := range c.places {
		head, _ := store.heads.verified(c.keys)
		if i > 0 && (head == nil || c.head == nil || head.Name != c.head.Name) {
			c.older = true
		}
		if head != nil && (c.head == nil || head.Generation > c.head.Generation) {
			c.head = head
			c.places[0], c.places[i] = c.places[i], c.places[0]
		}
		c.older = c.older || len(store.heads.of(c.keys.Repository())) > 1
	}
	if c.head == nil {
		c.head = &repo.Head{MadeAt: c.profile.SetUpAt.Unix(), Computer: c.app.cfg.Computer, OS: runtime.GOOS}
	}
	c.lock = LockPassword
	if c.head.Passphrase != nil && c.head.Vault == nil {
		c.lock = LockPassphrase
	}
}

// apply sets the secret. to is the vault that was asked for; zero: none was.
func (c *change) apply(ctx context.Context, to vaultTarget) error {
	if c.lock == LockPassphrase {
		return c.applyPassphrase(ctx)
	}
	if c.head.Vault == nil {
		return c.applyPassword(ctx, to, nil)
	}
	old := vaultSlot(c.head.Vault)
	if link, remote := remoteLink(old); remote && to.link == nil {
		to.link = &link // where the password is
	}
	switch {
	case to.keeps(c.app, old):
		return c.applyPassword(ctx, to, &old)
	case to.link == nil:
		return c.applyPassword(ctx, to, nil) // its vault is inside of another computer's app
	}
	if err := c.moveTo(ctx, to, old); err != nil {
		return err
	}
	c.app.settleVaults(ctx, c.root, c.head)
	return nil
}

func (c *change) applyPassphrase(ctx context.Context) error {
	slot, err := crypto.NewPassphraseSlot(c.root, c.secret, c.app.cfg.KDF)
	if err != nil {
		return err
	}
	next := *c.head
	next.Passphrase = &repo.PassphraseSlot{PassphraseSlot: slot, SetAt: time.Now().Unix()}
	if err := c.write(ctx, next); err != nil {
		return err
	}
	return c.keep(crypto.NewPracticeCheck(c.root, c.secret, c.app.cfg.KDF))
}

// applyPassword puts the password into a vault as the next generation of old, or in a new
// record where there was none, or none that this computer reaches.
func (c *change) applyPassword(ctx context.Context, to vaultTarget, old *vault.Slot) error {
	done, err := c.app.enroll(ctx, to, c.root, c.secret, old, func(slot vault.Slot) error { return c.publish(ctx, slot) })
	if err != nil {
		return err
	}
	return c.keep(done.check)
}

// publish makes slot the password way in of the newest head, and of the only one, unless
// it is already: an older head would still offer the old password.
func (c *change) publish(ctx context.Context, slot vault.Slot) error {
	if v := c.head.Vault; v != nil && *v == *repoSlot(slot) && !c.older {
		return nil
	}
	next := *c.head
	next.Vault = repoSlot(slot)
	return c.write(ctx, next)
}

// write stores the head in the first place, THE COMMIT POINT of a change, and then in the
// others: those that do not take it get it when they are next used.
func (c *change) write(ctx context.Context, next repo.Head) error {
	first := c.places[0]
	written, err := repo.WriteHead(ctx, first.Store, c.keys, next)
	if err != nil {
		return first.at(err)
	}
	c.head, c.older = &written, false
	c.app.keepHead(ctx, first.Store, &written)
	kept, ok := c.app.readKeptHead(c.profile.Repository)
	if !ok || kept.Generation != written.Generation {
		return nil // logged: the other places get it when it is read again
	}
	for _, store := range c.places[1:] {
		err := c.app.putHead(ctx, store, kept)
		if err == nil {
			err = deleteOlder(ctx, store, c.keys, &written)
		}
		if err != nil {
			c.app.cfg.Log.InfoContext(ctx, "a place does not take the new head, and gets it later", "place", store.entry.ID, "err", err)
		}
	}
	return nil
}

// PracticePassword reports whether this is the password, or passphrase, that was last set
// or used on this computer. It asks nobody and spends no try. [ErrNoSuchWay] when this
// computer has never seen one, [ErrLocked].
func (a *App) PracticePassword(ctx context.Context, password Secret) (bool, error) {
	root, err := a.rootKey(ctx)
	if err != nil {
		return false, err
	}
	defer root.Wipe()
	check, err := readBounded(filepath.Join(a.stateDir(), practiceFile), maxPractice)
	if errors.Is(err, fs.ErrNotExist) {
		return false, ErrNoSuchWay
	}
	if err != nil {
		return false, fmt.Errorf("read practice check: %w", err)
	}
	right, err := crypto.PracticePassword(root, check, password)
	if err != nil {
		return false, fmt.Errorf("practice: %w: %w", ErrNoSuchWay, err)
	}
	if !right {
		return false, nil
	}
	err = a.changeProfile(func(p *Profile) error {
		p.PracticedAt = time.Now().UTC().Truncate(time.Second)
		return nil
	})
	return true, err
}

// SnoozePractice puts the reminder off for a week.
func (a *App) SnoozePractice() error {
	return a.changeProfile(func(p *Profile) error {
		if p.Repository == "" {
			return ErrNotSetUp
		}
		p.PracticeSnoozed = time.Now().Add(snoozeFor).UTC().Truncate(time.Second)
		return nil
	})
}
