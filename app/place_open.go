package app

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"coffer/cloud"
)

// reach is how this App gets to places, beside what the profile says.
type reach struct {
	mu  sync.Mutex
	use string // guarded by mu; id of the place that is read; "" for the first that answers
}

// A placeStore is a place that is open.
type placeStore struct {
	*cloud.Store            // nil when it could not be opened
	entry        placeEntry // ID "" when it is not one of the profile's
	heads        placeHeads // of a place of the profile: what openEntry has read
}

// openDest opens a place by its text: one of the profile, one that was connected, or one
// that needs no more than its text. The store is never nil; after an error it holds what is
// known of the place and is not to be closed.
func (a *App) openDest(ctx context.Context, dest string, create bool) (*placeStore, error) {
	return a.openDriver(ctx, placeEntry{Dest: dest}, create)
}

// openDriver opens a place that an entry describes, as far as it does.
func (a *App) openDriver(ctx context.Context, e placeEntry, create bool) (*placeStore, error) {
	opened, err := a.cfg.Places.Open(ctx, PlaceRequest{Dest: e.Dest, Create: create, Options: e.Options, Secrets: noSecrets{}})
	s := &placeStore{entry: e}
	s.entry.Kind, s.entry.Dir = opened.Kind, opened.Dir
	if opened.Dest != "" {
		s.entry.Dest = opened.Dest
	}
	if err != nil {
		return s, atPlace(s.entry.Dest, err)
	}
	s.entry.Options = merged(e.Options, opened.Options)
	s.Store = cloud.New(opened.Driver, cloud.Options{Log: a.cfg.Log})
	return s, nil
}

// noSecrets are those of a place that has none.
type noSecrets struct{}

func (noSecrets) Get(context.Context, string) (Secret, error) { return Secret{}, ErrNoEntry }

func (noSecrets) Set(context.Context, string, Secret) error { return ErrNoEntry }

// openEntry opens a place of this profile and makes sure that the profile's backup is in
// it. An empty folder where a disk used to be mounted, or somebody else's disk, must not
// take a backup. ErrPlaceForeign, ErrPlaceOther; a place that is gone is
// cloud.ErrOffline, because it was there.
func (a *App) openEntry(ctx context.Context, p Profile, e placeEntry) (*placeStore, error) {
	store, err := a.openDriver(ctx, e, false)
	if errors.Is(err, cloud.ErrNoPlace) && !errors.Is(err, cloud.ErrTrashed) {
		err = atPlace(e.Dest, fmt.Errorf("%w: it is not there now: %w", cloud.ErrOffline, err))
	}
	if err != nil {
		return nil, err
	}
	store.heads, err = readHeads(ctx, store.Store)
	if err == nil {
		err = store.heads.mustHold(p.Repository)
	}
	if err != nil {
		return nil, errors.Join(atPlace(e.Dest, fmt.Errorf("open place: %w", err)), store.Close())
	}
	return store, nil
}

// openPlace opens the place of this profile that is read: the one that UsePlace chose, or
// the first that answers. ErrNotSetUp, and as openEntry.
func (a *App) openPlace(ctx context.Context) (*placeStore, Profile, error) {
	p, err := a.profile()
	if err != nil {
		return nil, Profile{}, err
	}
	store, err := a.openEntry(ctx, p, p.Places[0])
	return store, p, err
}
