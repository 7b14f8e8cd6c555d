package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coffer/vault"
	"coffer/vault/trust"
)

// vaultPatience bounds what nobody waits for: a question to a vault on the way.
const vaultPatience = 20 * time.Second

// A vaultTarget is a vault that a password goes to.
type vaultTarget struct {
	link    *trust.Link // nil: the vault on this computer
	browser func(address string) error
}

// targetOf reads the link of a vault; "" is the one on this computer. [vault.ErrLink].
func targetOf(link string, browser func(string) error) (vaultTarget, error) {
	if link == "" {
		return vaultTarget{}, nil
	}
	l, err := trust.ParseLink(link)
	if err != nil {
		return vaultTarget{}, err
	}
	return vaultTarget{link: &l, browser: browser}, nil
}

// keeps reports whether the vault of a slot is this one: the keys of the link say so, not
// its address, which may change.
func (t vaultTarget) keeps(a *App, slot vault.Slot) bool {
	l, remote := remoteLink(slot)
	if t.link == nil || !remote {
		return t.link == nil && !remote && a.vaultHere(repoSlot(slot))
	}
	return l.Root == t.link.Root && l.Second == t.link.Second
}

// dial returns a client of a vault on a network. slot says what the vault must be, and
// whose record is meant; nil: a first contact.
func (a *App) dial(ctx context.Context, link trust.Link, slot *vault.Slot) (*vault.Client, error) {
	// No proxy is passed by, and no certificate is left out, because of a vault.
	if err := a.readyNetwork(ctx, placeEntry{Kind: VaultServer}); err != nil {
		return nil, err
	}
	known := a.knownVault(link)
	o := vault.RemoteOptions{
		Device: a.cfg.Computer, Dial: a.cfg.Dial, Known: known.bundle(), Keep: known.keepBundle, KeepSeen: known.keepSeen,
		Warn: func(err error) { a.warned(ctx, known, slot, err) },
	}
	if slot != nil {
		pin := slot.Pin()
		o.Pin, o.Also, o.Seen = &pin, slot.Addresses(), known.seen().of(slot.Record)
	}
	c, err := vault.Dial(ctx, link, o)
	if err != nil {
		return nil, err
	}
	if err := known.keepMet(link, c.Bundle(), c.Changes()); err != nil {
		return nil, fmt.Errorf("keep what a vault said: %w", err)
	}
	return c, nil
}

// warned hears what went wrong behind a right password. A chip that was not told of it goes
// on from where it was: the user hears of that with the next backup, and on Home.
func (a *App) warned(ctx context.Context, known knownVault, slot *vault.Slot, err error) {
	a.cfg.Log.WarnContext(ctx, "after a right password", "err", err)
	if slot == nil || !errors.Is(err, vault.ErrNotRearmed) {
		return
	}
	if err := known.notRearmed(slot.Record); err != nil {
		a.cfg.Log.WarnContext(ctx, "could not note it", "err", err)
	}
}

// meetVault is InspectVault's dial: nothing is kept of a vault that was not chosen.
func (a *App) meetVault(ctx context.Context, link trust.Link) (b trust.Bundle, changes []trust.Change, known bool, err error) {
	if err := a.readyNetwork(ctx, placeEntry{Kind: VaultServer}); err != nil {
		return b, nil, false, err
	}
	signed := a.knownVault(link).bundle()
	c, err := vault.Dial(ctx, link, vault.RemoteOptions{Device: a.cfg.Computer, Dial: a.cfg.Dial, Known: signed})
	if err != nil {
		return b, nil, false, err
	}
	return c.Bundle(), c.Changes(), signed != nil, nil
}

// withTarget runs fn with a client of the vault that a password goes to. slot is the record
// that is there already, or nil.
func (a *App) withTarget(ctx context.Context, t vaultTarget, slot *vault.Slot, fn func(*vault.Client) error) error {
	if t.link == nil {
		return a.withVault(ctx, func(c *vault.Client, _ vault.Info) error { return fn(c) })
	}
	c, err := a.dial(ctx, *t.link, slot)
	if err != nil {
		return err
	}
	return a.signInError(t, c, fn(c.WithAdmission(a.admission(t))))
}

// withSlot runs fn with a client of the vault of a slot, wherever that is.
// [VaultElsewhereError] for one that is inside of another computer's app.
func (a *App) withSlot(ctx context.Context, slot vault.Slot, fn func(*vault.Client) error) error {
	if link, ok := remoteLink(slot); ok {
		c, err := a.dial(ctx, link, &slot)
		if err != nil {
			return err
		}
		return fn(c)
	}
	if !a.vaultHere(repoSlot(slot)) {
		return &VaultElsewhereError{Computer: slot.Computer}
	}
	return a.withVault(ctx, func(c *vault.Client, _ vault.Info) error { return fn(c) })
}

// admission is what a new record can show.
func (a *App) admission(t vaultTarget) vault.Admission {
	show := vault.Admission{Invitation: t.link.Invite}
	if t.browser != nil && a.cfg.IDToken != nil {
		show.IDToken = func(ctx context.Context, issuer, clientID, nonce string) (string, error) {
			token, err := a.cfg.IDToken(ctx, IDTokenRequest{Issuer: issuer, ClientID: clientID, Nonce: nonce}, t.browser)
			if err != nil && ctx.Err() == nil {
				return "", fmt.Errorf("%w: %w", ErrVaultSignInFailed, err)
			}
			return token, err
		}
	}
	return show
}

// signInError says what was missing where not everybody may register.
func (a *App) signInError(t vaultTarget, c *vault.Client, err error) error {
	if !errors.Is(err, vault.ErrNotAdmitted) {
		return err
	}
	switch invitation, signIn := c.NeedsAdmission(); {
	case signIn:
		return fmt.Errorf("%w: %w", ErrVaultSignIn, err)
	case invitation && t.link.Invite == "":
		return fmt.Errorf("%w: %w", ErrVaultInvitation, err)
	}
	return err
}
