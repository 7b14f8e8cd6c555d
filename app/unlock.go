package app

import (
	"context"
	"fmt"

	"coffer/app/repo"
	"coffer/crypto"
)

// UnlockOptions is how the user gets in when the key is not kept on this computer.
type UnlockOptions struct {
	Lock   LockKind
	Secret Secret  // password or passphrase
	Key    RootKey // for LockKey
}

// Unlock finds the key again, for as long as this App is open: when it is kept nowhere
// ("ask"), or when the keyring or the file that kept it lost it; then it is stored there
// again. Errors as for [App.Open]. The 64 digits need neither place nor network.
func (a *App) Unlock(ctx context.Context, o UnlockOptions) error {
	p, err := a.profile()
	if err != nil {
		return err
	}
	root, err := a.unlockKey(ctx, p, o)
	if err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	defer root.Wipe()
	a.mu.Lock()
	a.setRoot(root)
	a.mu.Unlock()
	if p.KeptIn != KeepAsk {
		a.keepAgain(ctx, p, root)
	}
	return nil
}

func (a *App) unlockKey(ctx context.Context, p Profile, o UnlockOptions) (RootKey, error) {
	if o.Lock == LockKey {
		if o.Key.IsZero() {
			return RootKey{}, crypto.ErrKeySize
		}
		if keyOpens(o.Key, p.Repository) {
			return cloneKey(o.Key), nil
		}
		return RootKey{}, a.wrongKey(ctx, p, o.Key)
	}
	store, _, err := a.openPlace(ctx)
	if err != nil {
		return RootKey{}, err
	}
	defer store.Close()
	found, err := readHeads(ctx, store.Store)
	if err != nil {
		return RootKey{}, err
	}
	opened, err := a.openHeads(ctx, found, OpenOptions{Repository: p.Repository, Lock: o.Lock, Secret: o.Secret})
	if err != nil {
		return RootKey{}, err
	}
	return opened.root, nil
}

// keepAgain repairs what lost the key. The user is in either way.
func (a *App) keepAgain(ctx context.Context, p Profile, root RootKey) {
	if kept, err := a.keptKey(ctx, p); err == nil {
		kept.Wipe()
		return
	}
	if _, _, err := a.keepKey(ctx, root, p.KeptIn); err != nil {
		a.cfg.Log.Warn("could not store the key again", "err", err)
	}
}

// opened is what one way in gave.
type opened struct {
	root    RootKey
	head    *repo.Head // the true one; nil when all are lost
	notices []Notice
}

// openHeads opens one backup of a place by the way that the options name.
func (a *App) openHeads(ctx context.Context, found placeHeads, o OpenOptions) (opened, error) {
	if o.Lock == LockKey {
		return openByKey(found, o)
	}
	id, err := found.choose(o.Repository)
	if err != nil {
		return opened{}, err
	}
	heads := found.of(id)
	if len(heads) == 0 {
		return opened{}, ErrNoSuchWay // the heads are lost, and with them all ways but the 64 digits
	}
	// Only the newest head counts: an old one may still lie there with the old password,
	// which its owner has replaced for a reason.
	head := &heads[0]
	var root RootKey
	switch {
	case o.Lock == LockPassword && head.Vault != nil:
		root, err = a.openByPassword(ctx, head.Vault, o.Secret)
	case o.Lock == LockPassphrase && head.Passphrase != nil:
		root, err = head.Passphrase.Open(o.Secret, id)
	case o.Lock == LockPassword || o.Lock == LockPassphrase:
		err = ErrNoSuchWay
	default:
		err = fmt.Errorf("%w: way in", ErrSettings)
	}
	if err != nil {
		return opened{}, err
	}
	keys := root.Derive()
	defer keys.Wipe()
	// The slot that led to the key must stand in a head that the key has made. Anything
	// else is a head that somebody put together from parts of true ones.
	if err := head.Verify(keys); err != nil {
		root.Wipe()
		return opened{}, fmt.Errorf("%w: %w", ErrRollback, err)
	}
	return opened{root: root, head: head}, nil
}

// openByKey needs no head. One that is there and newer than the newest true one is said,
// and not followed.
func openByKey(found placeHeads, o OpenOptions) (opened, error) {
	if o.Key.IsZero() {
		return opened{}, crypto.ErrKeySize
	}
	keys := o.Key.Derive()
	defer keys.Wipe()
	id := keys.Repository().String()
	if len(found.ids) == 0 {
		return opened{}, ErrPlaceForeign
	}
	if o.Repository != "" {
		chosen, err := found.choose(o.Repository)
		if err != nil {
			return opened{}, err
		}
		if chosen.String() != id {
			return opened{}, found.wrongKey(o.Key)
		}
	}
	if found.mustHold(id) != nil {
		return opened{}, ErrWrongKey
	}
	out := opened{root: cloneKey(o.Key)}
	var forged int
	if out.head, forged = found.verified(keys); forged > 0 {
		out.notices = append(out.notices, Notice{Code: NoticeOldHead})
	}
	return out, nil
}
