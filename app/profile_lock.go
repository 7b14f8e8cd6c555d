package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	settingsLockWait = 5 * time.Second
	// profileLockWait bridges the moment in which another process looks whether the lock
	// is held; who really works holds it for longer.
	profileLockWait = 300 * time.Millisecond
	lockPoll        = 20 * time.Millisecond
)

// errLockHeld is what lockFile returns when another open file holds the lock.
var errLockHeld = errors.New("app: the lock is held")

// lockProfile takes the lock that one backup, restore or change of the ways in holds while
// it works: ErrProfileBusy when another one has it. The operating system gives it back when
// the process ends, however that happens; the file itself stays and means nothing.
func (a *App) lockProfile() (unlock func(), err error) {
	unlock, err = waitLock(a.profileLock(), profileLockWait)
	if err != nil {
		return nil, fmt.Errorf("lock profile: %w", err)
	}
	if err := a.upgrade(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

func (a *App) profileLock() string { return filepath.Join(a.stateDir(), "profile.lock") }

// isWorking reports whether some Coffer holds the profile's lock now.
func (a *App) isWorking() bool {
	unlock, err := tryLock(a.profileLock(), true)
	if err != nil {
		return errors.Is(err, errLockHeld)
	}
	unlock()
	return false
}

// waitLock tries for the time given, and then returns ErrProfileBusy.
func waitLock(path string, wait time.Duration) (unlock func(), err error) {
	deadline := time.Now().Add(wait)
	for {
		unlock, err = tryLock(path, false)
		if err == nil {
			return unlock, nil
		}
		if !errors.Is(err, errLockHeld) {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, ErrProfileBusy
		}
		time.Sleep(lockPoll)
	}
}

// tryLock locks the file at path, shared with other readers or alone.
func tryLock(path string, shared bool) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f, shared); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing gives the lock back
}
