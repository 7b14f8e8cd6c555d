package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A profile of version 1 had one place, whose state lay in state itself. What is moved, by
// its name there and its name in the folder of the place:
func oldState(p Profile) map[string]string {
	return map[string]string{
		"device-" + p.Repository + ".json": deviceFile,
		journalName:                        journalName,
	}
}

// upgrade makes the state of a profile of version 1 that of its first place. Each step can
// be done again, and the last one, the new settings.json, is THE COMMIT POINT: a version 1
// is read as one place with the same id each time, so that a crash in between loses
// nothing. The caller holds the profile's lock.
func (a *App) upgrade() error {
	p, old, err := a.isOldProfile()
	if err != nil || !old {
		return err
	}
	id := p.Places[0].ID
	if err := os.MkdirAll(a.placeDir(id), 0o700); err != nil {
		return fmt.Errorf("make folder of the place: %w", err)
	}
	for from, to := range oldState(p) {
		if err := moveOnce(filepath.Join(a.stateDir(), from), filepath.Join(a.placeDir(id), to)); err != nil {
			return fmt.Errorf("move state to its place: %w", err)
		}
	}
	if err := a.attributeRuns(id); err != nil {
		return err
	}
	return a.changeProfile(func(*Profile) error { return nil })
}

// isOldProfile reports whether settings.json is of version 1 and has a place.
func (a *App) isOldProfile() (Profile, bool, error) {
	data, err := readBounded(filepath.Join(a.cfg.Home, profileFile), maxProfile)
	if errors.Is(err, fs.ErrNotExist) {
		return Profile{}, false, nil
	}
	if err != nil {
		return Profile{}, false, fmt.Errorf("read settings: %w", err)
	}
	var version struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(data, &version) == nil && version.Version != 1 {
		return Profile{}, false, nil
	}
	p, err := parseProfile(data) // which says what is wrong with it
	if err != nil {
		return Profile{}, false, fmt.Errorf("read settings: %w", err)
	}
	return p, len(p.Places) > 0, nil
}

// moveOnce renames a file, unless that was done before.
func moveOnce(from, to string) error {
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// attributeRuns gives the backups of the history their place.
func (a *App) attributeRuns(id string) error {
	runs, err := a.readRuns()
	if err != nil {
		return err
	}
	nowhere := func(r Run) bool { return r.Kind == RunBackup && r.Place == "" }
	if !slices.ContainsFunc(runs, nowhere) {
		return nil
	}
	for i := range runs {
		if nowhere(runs[i]) {
			runs[i].Place = id
		}
	}
	return a.writeRuns(runs)
}

// upgradeIdle upgrades unless an older Coffer is working in the profile: reading a profile
// needs no lock, and who changes something later upgrades first.
func (a *App) upgradeIdle() error {
	if _, old, err := a.isOldProfile(); err != nil || !old {
		return err
	}
	unlock, err := tryLock(a.profileLock(), false)
	if errors.Is(err, errLockHeld) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	return a.upgrade()
}
