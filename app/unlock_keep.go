package app

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"coffer/crypto"
	"coffer/internal/durable"
)

const (
	keyFile     = "key"
	keyFileSize = 2*crypto.KeySize + 1 // hexadecimal digits and a newline
)

// errKeyNotKept says that what was stored did not come back the same.
var errKeyNotKept = errors.New("app: the key was not kept")

// keepKey stores the key where how says, reads it back, and returns where it is now.
// KeepAuto takes the keyring if it answers, and otherwise the file: a computer without a
// desktop must back up without anybody at its keyboard. The notice says what that means.
func (a *App) keepKey(ctx context.Context, root RootKey, how KeepKey) (KeepKey, []Notice, error) {
	switch how {
	case KeepAsk:
		return KeepAsk, nil, nil
	case KeepKeyring:
		return KeepKeyring, nil, a.keepInKeyring(ctx, root)
	case KeepFile:
		return a.keepInFile(root)
	case KeepAuto:
		err := a.keepInKeyring(ctx, root)
		if err == nil {
			return KeepKeyring, nil, nil
		}
		if ctx.Err() != nil {
			return "", nil, context.Cause(ctx)
		}
		a.cfg.Log.Info("no keyring, keeping the key in a file", "err", err)
		where, notices, err := a.keepInFile(root)
		if err != nil {
			a.cfg.Log.Warn("the key file was not written, the key is kept nowhere", "err", err)
			return KeepAsk, []Notice{{Code: NoticeKeyNotKept}}, nil
		}
		return where, notices, nil
	}
	return "", nil, fmt.Errorf("%w: place of the key", ErrSettings)
}

func (a *App) keepInFile(root RootKey) (KeepKey, []Notice, error) {
	path := filepath.Join(a.cfg.Home, keyFile)
	digits := crypto.RecoveryDigits(root)
	defer digits.Wipe()
	var err error
	digits.Expose(func(b []byte) {
		text := append(bytes.Clone(b), '\n')
		defer clear(text)
		err = durable.WriteFile(path, text, 0o600)
	})
	if err != nil {
		return "", nil, fmt.Errorf("write key file: %w", err)
	}
	back, err := a.keyFromFile()
	if err != nil {
		return "", nil, fmt.Errorf("read key file back: %w", err)
	}
	defer back.Wipe()
	if !back.Equal(root) {
		return "", nil, fmt.Errorf("read key file back: %w", errKeyNotKept)
	}
	return KeepFile, []Notice{{Code: NoticeKeyInFile, Args: map[string]string{"path": path}}}, nil
}

func (a *App) keepInKeyring(ctx context.Context, root RootKey) error {
	if a.cfg.Keyring == nil {
		return ErrNoKeyring
	}
	keys := root.Derive()
	defer keys.Wipe()
	account := keys.Repository().String()
	digits := crypto.RecoveryDigits(root)
	defer digits.Wipe()
	if err := a.cfg.Keyring.Set(ctx, account, digits); err != nil {
		return fmt.Errorf("store key in keyring: %w", err)
	}
	// Some key stores accept what they later do not have: read it back while the user
	// still holds the sheet in the hand.
	back, err := a.keyFromKeyring(ctx, account)
	if err != nil {
		return fmt.Errorf("read key back from keyring: %w", err)
	}
	defer back.Wipe()
	if !back.Equal(root) {
		return fmt.Errorf("read key back from keyring: %w: %w", ErrNoKeyring, errKeyNotKept)
	}
	return nil
}

// dropKey removes what keepKey stored, when what it was for did not come about. Errors are
// of no use to anybody: a key that stays behind opens what nobody has.
func (a *App) dropKey(ctx context.Context, repository string, where KeepKey) {
	var err error
	switch where {
	case KeepFile:
		err = removeFile(filepath.Join(a.cfg.Home, keyFile))
	case KeepKeyring:
		err = a.cfg.Keyring.Delete(context.WithoutCancel(ctx), repository)
	}
	if err != nil {
		a.cfg.Log.Warn("could not remove a key that is not needed", "err", err)
	}
}

// keptKey returns the key of the profile from where it is kept, or ErrLocked.
func (a *App) keptKey(ctx context.Context, p Profile) (RootKey, error) {
	var root RootKey
	var err error
	switch p.KeptIn {
	case KeepKeyring:
		root, err = a.keyFromKeyring(ctx, p.Repository)
	case KeepFile:
		root, err = a.keyFromFile()
	default:
		return RootKey{}, ErrLocked
	}
	if err != nil && ctx.Err() != nil {
		return RootKey{}, context.Cause(ctx)
	}
	if err != nil {
		return RootKey{}, fmt.Errorf("%w: %w", ErrLocked, err)
	}
	if !keyOpens(root, p.Repository) {
		root.Wipe()
		return RootKey{}, fmt.Errorf("%w: the key that is kept is of another backup", ErrLocked)
	}
	return root, nil
}

func (a *App) keyFromKeyring(ctx context.Context, account string) (RootKey, error) {
	if a.cfg.Keyring == nil {
		return RootKey{}, ErrNoKeyring
	}
	digits, err := a.cfg.Keyring.Get(ctx, account)
	if err != nil {
		return RootKey{}, err
	}
	defer digits.Wipe()
	var root RootKey
	digits.Expose(func(b []byte) { root, err = parseKeyFile(append(bytes.Clone(b), '\n')) })
	return root, err
}

func (a *App) keyFromFile() (RootKey, error) {
	path := filepath.Join(a.cfg.Home, keyFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return RootKey{}, ErrNoEntry
	}
	if err != nil {
		return RootKey{}, fmt.Errorf("find key file: %w", err)
	}
	// A copy made by hand, or a restore, may have opened it to others.
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o600); err != nil {
			a.cfg.Log.Warn("could not close the key file to others", "err", err)
		}
	}
	text, err := readBounded(path, keyFileSize)
	if err != nil {
		return RootKey{}, fmt.Errorf("read key file: %w", err)
	}
	return parseKeyFile(text)
}

// parseKeyFile takes 64 lower-case digits and a newline, and wipes them. It is strict
// where ParseRecoveryKey is kind: a program wrote this, not a person.
func parseKeyFile(text []byte) (RootKey, error) {
	defer clear(text)
	if len(text) != keyFileSize || text[keyFileSize-1] != '\n' || bytes.ContainsAny(text, "ABCDEF") {
		return RootKey{}, fmt.Errorf("read kept key: %w", ErrProfileDamaged)
	}
	key := make([]byte, crypto.KeySize)
	defer clear(key)
	if _, err := hex.Decode(key, text[:keyFileSize-1]); err != nil {
		return RootKey{}, fmt.Errorf("read kept key: %w", ErrProfileDamaged) // err quotes a digit
	}
	root, err := crypto.RootKeyFrom(key)
	if err != nil {
		return RootKey{}, fmt.Errorf("read kept key: %w", err)
	}
	return root, nil
}

// keyOpens reports whether the key is that of the repository.
func keyOpens(root RootKey, repository string) bool {
	keys := root.Derive()
	defer keys.Wipe()
	return keys.Repository().String() == repository
}

// cloneKey returns a copy that can be wiped by itself.
func cloneKey(root RootKey) RootKey {
	var out RootKey
	var err error
	root.Expose(func(b []byte) { out, err = crypto.RootKeyFrom(b) })
	if err != nil {
		panic("app: a root key that is none: " + err.Error()) // only of the zero RootKey
	}
	return out
}

// rootKey returns the key of this profile, which the caller wipes: the one that Unlock
// found, or the kept one. ErrLocked when there is neither, ErrNotSetUp.
func (a *App) rootKey(ctx context.Context) (RootKey, error) {
	p, err := a.profile()
	if err != nil {
		return RootKey{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.root.IsZero() && keyOpens(a.root, p.Repository) {
		return cloneKey(a.root), nil
	}
	root, err := a.keptKey(ctx, p)
	if err != nil {
		return RootKey{}, fmt.Errorf("find key: %w", err)
	}
	a.setRoot(root)
	return root, nil
}

// setRoot remembers a copy of the key until Close. The caller holds a.mu.
func (a *App) setRoot(root RootKey) {
	if !a.root.IsZero() {
		a.root.Wipe()
	}
	a.root = cloneKey(root)
}

// KeptIn returns where this profile keeps the key; KeepAuto before setup.
func (a *App) KeptIn() KeepKey {
	p, err := a.loadProfile()
	if err != nil {
		return KeepAuto
	}
	return p.KeptIn
}
