package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"coffer/internal/durable"
)

// A placeNote names a place whose secrets and state are about to come or to go:
// state/pending-place.json. Whether they stay is what settings.json says, so that the next
// change of the places finishes what a crash interrupted.
type placeNote struct {
	Version int     `json:"version"`
	ID      string  `json:"id"`
	Kept    KeepKey `json:"key_kept_in,omitempty"` // where its secrets may be
}

func (a *App) placeNotePath() string { return filepath.Join(a.stateDir(), "pending-place.json") }

func (a *App) writePlaceNote(n placeNote) error {
	data, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode note of the place: %w", err)
	}
	if err := durable.WriteFile(a.placeNotePath(), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write note of the place: %w", err)
	}
	return nil
}

func parsePlaceNote(data []byte) (placeNote, error) {
	var n placeNote
	if err := decodeStrictly(data, &n); err != nil {
		return placeNote{}, err
	}
	if n.Version != 1 || !isHex(n.ID, placeIDSize) {
		return placeNote{}, ErrProfileDamaged
	}
	return n, nil
}

// finishPlaces does what an interrupted change of the places has left: it drops the
// secrets and the state of a place that is not the profile's. The caller holds the
// profile's lock.
func (a *App) finishPlaces(ctx context.Context) error {
	data, err := readBounded(a.placeNotePath(), maxPending)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read note of the place: %w", err)
	}
	note, err := parsePlaceNote(data)
	if err != nil {
		return removeFile(a.placeNotePath()) // it names nothing
	}
	p, err := a.loadProfile()
	if err != nil {
		return err
	}
	if _, ok := p.place(note.ID); !ok {
		if err := a.dropPlace(ctx, note); err != nil {
			return err
		}
	}
	return removeFile(a.placeNotePath())
}

// dropPlace removes the secrets and the state of a place.
func (a *App) dropPlace(ctx context.Context, n placeNote) error {
	if err := a.secretsOf(n.ID, n.Kept).remove(ctx); err != nil {
		return fmt.Errorf("remove secrets of a place: %w", err)
	}
	if err := os.RemoveAll(a.placeDir(n.ID)); err != nil {
		return fmt.Errorf("remove state of a place: %w", err)
	}
	return nil
}

// adopt makes a place with that entry the profile's: its secrets are stored, then commit
// writes the profile, THE COMMIT POINT. When that fails the secrets are removed.
func (a *App) adopt(ctx context.Context, e placeEntry, pending *pendingPlace, kept KeepKey, commit func() error) error {
	if err := a.finishPlaces(ctx); err != nil {
		return err
	}
	var secrets map[string]Secret
	if pending != nil {
		var err error
		if secrets, err = pending.secrets.all(ctx); err != nil {
			return err
		}
		defer wipeSecrets(secrets)
	}
	if err := a.writePlaceNote(placeNote{Version: 1, ID: e.ID, Kept: kept}); err != nil {
		return err
	}
	err := error(nil)
	if len(secrets) > 0 {
		err = a.secretsOf(e.ID, kept).store(ctx, secrets)
	}
	if err == nil {
		err = commit()
	}
	a.finishQuietly(ctx)
	if err == nil && pending != nil {
		a.reach.forget(e.Dest)
	}
	return err
}

// abandon takes a place out of the profile, THE COMMIT POINT, and then drops what is left
// of it here.
func (a *App) abandon(ctx context.Context, p Profile, id string) error {
	if err := a.finishPlaces(ctx); err != nil {
		return err
	}
	if err := a.writePlaceNote(placeNote{Version: 1, ID: id, Kept: p.KeptIn}); err != nil {
		return err
	}
	err := a.changeProfile(func(p *Profile) error {
		p.Places = slices.DeleteFunc(p.Places, func(e placeEntry) bool { return e.ID == id })
		return nil
	})
	a.finishQuietly(ctx)
	return err
}

// finishQuietly is finishPlaces where what matters is done: the next change of the places
// tries again.
func (a *App) finishQuietly(ctx context.Context) {
	if err := a.finishPlaces(context.WithoutCancel(ctx)); err != nil {
		a.cfg.Log.Warn("could not remove what is left of a place", "err", err)
	}
}

// changed is a place of the profile as a connection changes it, and its secrets, old and
// new, in memory. The entry has no ID: it is another place until it is stored. The secrets
// of c are taken over.
func (a *App) changed(ctx context.Context, p Profile, e placeEntry, c Connection) (placeEntry, *heldSecrets, error) {
	given, err := a.newPending(Connection{Dest: c.Dest, Options: nonEmpty(c.Options), Secrets: c.Secrets})
	if err != nil {
		return placeEntry{}, nil, err
	}
	defer given.secrets.wipe()
	box := a.secretsOf(e.ID, p.KeptIn)
	list, err := box.load(ctx)
	if errors.Is(err, ErrPlaceSecret) {
		list, err = map[string]Secret{}, nil // lost; the user has come to give them again
	}
	if err != nil {
		return placeEntry{}, nil, err
	}
	fresh, err := given.secrets.all(ctx)
	if err != nil {
		return placeEntry{}, nil, err
	}
	for name, secret := range fresh {
		if old, ok := list[name]; ok {
			old.Wipe()
		}
		list[name] = secret
	}
	next := e
	next.ID, next.Options = "", merged(e.Options, c.Options)
	if c.Dest != "" && c.Dest != e.ID {
		next.Dest = c.Dest
	}
	return next, newSecrets(list), nil
}

// nonEmpty leaves out what is to be removed.
func nonEmpty(options map[string]string) map[string]string { return merged(nil, options) }

// keepChanged stores what changed: the secrets, then the profile. After a crash in between
// the old address has the new secrets, and the same change can be made again.
func (a *App) keepChanged(ctx context.Context, p Profile, id string, e placeEntry, secrets *heldSecrets) error {
	list, err := secrets.all(ctx)
	if err != nil {
		return err
	}
	defer wipeSecrets(list)
	if err := a.secretsOf(id, p.KeptIn).store(ctx, list); err != nil {
		return err
	}
	return a.changeProfile(func(p *Profile) error {
		i := slices.IndexFunc(p.Places, func(known placeEntry) bool { return known.ID == id })
		if i < 0 {
			return atPlace(e.Dest, ErrPlaceUnknown)
		}
		e.ID, e.AddedAt = id, p.Places[i].AddedAt
		p.Places[i] = e
		return nil
	})
}

// unuse lets reading choose again after a place was removed.
func (r *reach) unuse(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.use == id {
		r.use = ""
	}
}
