package main

import (
	"context"
	"runtime/debug"
	"strings"
	"time"

	"coffer/app"
)

// An unlocker gives the key to the commands that need it.
type unlocker interface {
	Unlock(ctx context.Context, o app.UnlockOptions) error
	KeptIn() app.KeepKey
	Overview(ctx context.Context) (app.Overview, error)
	WaysIn(ctx context.Context, dest, repository string) ([]app.WayIn, error)
}

// withKey runs work on a profile whose key is at hand: kept on this computer, or from the
// file that a flag names, or asked for where it is kept nowhere.
func (p *program) withKey(ctx context.Context, flags *secretFlags, work func(a profile) error) error {
	return p.withProfile(func(a profile, _ app.Config) error {
		if err := p.unlock(ctx, a, flags); err != nil {
			return err
		}
		return work(a)
	})
}

// unlock uses the way in that a flag gives, even where the key is kept: who names a
// password wants it to count.
func (p *program) unlock(ctx context.Context, a unlocker, flags *secretFlags) error {
	if flags.given() {
		w, err := flags.read(p)
		if err != nil {
			return err
		}
		defer w.wipe()
		return unlockWith(ctx, a, w)
	}
	if a.KeptIn() != app.KeepAsk || !p.interactive() {
		return nil // the command itself says so when the key is missing
	}
	o, err := a.Overview(ctx)
	if err != nil || !o.SetUp || !o.Locked {
		return err
	}
	ways, err := a.WaysIn(ctx, o.Place, o.Repository)
	if err != nil {
		return err
	}
	return p.askIn(ctx, ways, func(w wayIn) error { return unlockWith(ctx, a, w) })
}

func unlockWith(ctx context.Context, a unlocker, w wayIn) error {
	err := a.Unlock(ctx, app.UnlockOptions{Lock: w.lock, Secret: w.secret, Key: w.key})
	// Stretching a password takes as much memory as a whole backup. It is garbage now:
	// give it back before the backup asks for its own.
	debug.FreeOSMemory()
	return err
}

// askIn asks for a way in, one of ways, and tries it, until it is right or only an answer
// other than another try helps. Tries are a budget: what is left is said before each.
func (p *program) askIn(ctx context.Context, ways []app.WayIn, try func(wayIn) error) error {
	way := bestWay(ways)
	p.sayVault(ways)
	if way.Kind == app.LockPassword && way.TriesLeft > 0 {
		p.console.warn("%s", triesText(way.TriesLeft))
	}
	for {
		w, err := p.askWay(way.Kind)
		if err != nil {
			return err
		}
		err = try(w)
		w.wipe()
		if err == nil {
			return nil
		}
		f := app.Explain(err)
		// The last try is a code of its own: it is never one more turn of a loop.
		again := f.Code == app.CodeWrongPassword || f.Code == app.CodeWrongPassphrase || f.Code == app.CodeRecoveryLine
		if !again || ctx.Err() != nil {
			return err
		}
		p.console.warn("%s\n%s", complain(f, err).says, "Ctrl-C stops; the 64 digits of the recovery sheet open the backup too (--key-file).")
	}
}

// sayVault says who runs the vault on a network that a password is for, or why it is not
// asked for.
func (p *program) sayVault(ways []app.WayIn) {
	for _, w := range ways {
		if w.Kind != app.LockPassword || w.VaultKind != app.VaultServer {
			continue
		}
		if w.Refusal.Code != "" {
			c := complain(w.Refusal, nil)
			p.console.warn("%s\n%s", c.says, c.advice)
			continue
		}
		p.console.warn("The vault is run by %s (%s).\n%s", orUnknown(w.VaultName), printable(w.VaultAddress),
			strings.TrimSuffix(hardwareText(w.Hardware, w.Enforced), "\n"))
	}
}

// bestWay is the way that people are asked for first.
func bestWay(ways []app.WayIn) app.WayIn {
	for _, kind := range []app.LockKind{app.LockPassword, app.LockPassphrase} {
		for _, w := range ways {
			usable := w.State != "destroyed" && !w.Until.After(time.Now()) && w.Refusal.Code == ""
			if w.Kind == kind && usable && (kind != app.LockPassword || w.VaultHere || w.Usable) {
				return w
			}
		}
	}
	return app.WayIn{Kind: app.LockKey}
}

// askWay asks for one secret of a kind.
func (p *program) askWay(kind app.LockKind) (w wayIn, err error) {
	w.lock = kind
	switch kind {
	case app.LockKey:
		w.key, err = p.askKey()
	case app.LockPassphrase:
		w.secret, err = p.askSecret("Passphrase:")
	default:
		w.secret, err = p.askSecret("Password:")
	}
	if err == nil && kind != app.LockKey && w.secret.IsZero() {
		return w, &commandError{code: app.CodeCanceled, says: "Nothing was typed. No try was used."}
	}
	return w, err
}
