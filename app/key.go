package app

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"coffer/crypto"
)

func keyPath(home string) string { return filepath.Join(home, keyFile) }

// RecoveryLines returns the 64 digits of this profile as eight lines. [ErrLocked].
func (a *App) RecoveryLines(ctx context.Context) ([8]RecoveryLine, error) {
	root, err := a.rootKey(ctx)
	if err != nil {
		return [8]RecoveryLine{}, err
	}
	defer root.Wipe()
	return crypto.RecoveryLines(root), nil
}

// VerifyRecovery reports whether the text is the key of this profile's backup: nil if so.
// *crypto.RecoveryError names the line that was mistyped; a key without a fault that is
// another backup's is a [KeyOfOtherError] when the place knows that backup, or
// [ErrWrongKey]. It needs neither the network nor the kept key to say yes.
func (a *App) VerifyRecovery(ctx context.Context, text []byte) error {
	p, err := a.profile()
	if err != nil {
		return err
	}
	root, err := ParseRecoveryKey(text)
	if err != nil {
		return err
	}
	defer root.Wipe()
	if keyOpens(root, p.Repository) {
		return nil
	}
	return a.wrongKey(ctx, p, root)
}

// MarkSheetProven notes that the user has proven the recovery sheet: two random lines
// typed, or the saved file dropped. Proof is the caller's to judge.
func (a *App) MarkSheetProven() error {
	return a.changeProfile(func(p *Profile) error {
		if p.Repository == "" {
			return ErrNotSetUp
		}
		p.SheetProvenAt = time.Now().UTC().Truncate(time.Second)
		return nil
	})
}

// SheetProven reports whether the recovery sheet was ever proven.
func (a *App) SheetProven() bool {
	p, err := a.loadProfile()
	return err == nil && !p.SheetProvenAt.IsZero()
}

// SheetInsideSources reports whether a file at path would be backed up: a recovery sheet
// there is inside the very box that it opens.
func (a *App) SheetInsideSources(path string) bool {
	abs, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	for _, dir := range a.Settings().Sources {
		if isInside(abs, dir) {
			return true
		}
	}
	return false
}

// wrongKey tells apart a key of a backup that the place knows and one of a backup that it
// does not. Without the place the answer is the lesser one.
func (a *App) wrongKey(ctx context.Context, p Profile, root RootKey) error {
	store, _, err := a.openPlace(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return ErrWrongKey
	}
	defer store.Close()
	heads, err := readHeads(ctx, store.Store)
	if err != nil {
		return ErrWrongKey
	}
	return fmt.Errorf("verify key: %w", heads.wrongKey(root))
}
