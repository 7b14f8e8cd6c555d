package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"coffer/crypto"
)

// OpenOptions says how an existing backup is joined on this computer.
type OpenOptions struct {
	From       string // the place, as people write it
	Repository string // 32 hex digits or the beginning of them; "" when the place has only one
	Lock       LockKind
	Secret     Secret
	Key        RootKey
	Sources    []string // what this computer will back up; may be empty, to restore only
	Exclude    []string
	KeepKey    KeepKey
	// Old opens the backup also when the place shows less than its vault knows of: the user
	// was told (ErrRollback) and wants what is there.
	Old bool
}

// An OpenResult is what Open found.
type OpenResult struct {
	Repository string
	Computer   string    // that made the backup; "" when all heads are lost
	MadeAt     time.Time // of the backup; zero when all heads are lost
	Notices    []Notice
}

// Open joins a backup that a place holds already: on a new computer, or on one that lost
// its profile. It changes nothing in the place. The commit point is that of Setup.
//
// [vault.AttemptError] says how many tries are left; [VaultElsewhereError], [ErrNoSuchWay],
// [ErrWrongKey] and [KeyOfOtherError] cost none. [ErrPlaceForeign], [ErrPlaceMany],
// [ErrAlreadySetUp], crypto.ErrWrongPassphrase. [RollbackError] when the place shows less
// than the vault of the password knows of, as far as that answers; see OpenOptions.Old.
func (a *App) Open(ctx context.Context, o OpenOptions) (OpenResult, error) {
	unlock, err := a.lockProfile()
	if err != nil {
		return OpenResult{}, err
	}
	defer unlock()
	result, err := a.open(ctx, o)
	if err != nil {
		return OpenResult{}, fmt.Errorf("open backup: %w", err)
	}
	return result, nil
}

func (a *App) open(ctx context.Context, o OpenOptions) (OpenResult, error) {
	p, err := a.loadProfile()
	if err != nil {
		return OpenResult{}, err
	}
	if p.Repository != "" {
		return OpenResult{}, ErrAlreadySetUp
	}
	if p.Settings, err = a.newSettings(p.Settings, o.Sources, o.Exclude); err != nil {
		return OpenResult{}, err
	}
	if err := a.checkKeep(o.KeepKey); err != nil {
		return OpenResult{}, err
	}
	store, err := a.openDest(ctx, o.From, false)
	if err != nil {
		return OpenResult{}, err
	}
	defer store.Close()
	if err := checkApart(store.entry.Dir, p.Sources); err != nil {
		return OpenResult{}, store.at(err)
	}
	found, err := readHeads(ctx, store.Store)
	if err != nil {
		return OpenResult{}, store.at(err)
	}
	got, err := a.openHeads(ctx, found, o)
	if err != nil {
		return OpenResult{}, store.at(err)
	}
	defer got.root.Wipe()
	err = a.compareOpened(ctx, store, &got)
	if err != nil && !(o.Old && errors.Is(err, ErrRollback)) {
		return OpenResult{}, store.at(err)
	}
	return a.join(ctx, p, o, store, got)
}

// join makes an opened backup this profile's.
func (a *App) join(ctx context.Context, p Profile, o OpenOptions, place *placeStore, got opened) (OpenResult, error) {
	keys := got.root.Derive()
	defer keys.Wipe()
	result := OpenResult{Repository: keys.Repository().String(), Notices: got.notices}
	var practice []byte
	lock := o.Lock
	if got.head != nil {
		result.Computer, result.MadeAt = got.head.Computer, unixTime(got.head.MadeAt)
		// With the 64 digits in hand the other ways in are those of the head.
		if lock == LockKey && got.head.Vault != nil {
			lock = LockPassword
		} else if lock == LockKey && got.head.Passphrase != nil {
			lock = LockPassphrase
		}
	}
	noteLock(&p, lock, got.head)
	if o.Lock == LockKey {
		// Whoever typed the 64 digits has them: that is the proof that Setup asks for.
		p.SheetProvenAt = time.Now().UTC().Truncate(time.Second)
	} else {
		p.PracticedAt = time.Now().UTC().Truncate(time.Second)
		practice = crypto.NewPracticeCheck(got.root, o.Secret, a.cfg.KDF)
	}
	notices, err := a.commitProfile(ctx, got.root, p, result.Repository, place, o.KeepKey)
	if err != nil {
		return OpenResult{}, err
	}
	a.keepPractice(practice)
	if got.head != nil {
		a.keepHead(ctx, place.Store, got.head)
	}
	result.Notices = append(result.Notices, notices...)
	return result, nil
}
