package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"coffer/cloud"
)

// A placeStore is a place that is open.
type placeStore struct {
	*cloud.Store // nil when it could not be opened

	app     *App
	driver  cloud.Driver
	entry   placeEntry        // ID "" when it is not one of the profile's
	said    map[string]string // what came with opening it, as it came
	pending *pendingPlace
	heads   placeHeads // of a place of the profile: what openEntry has read
}

// Close closes the place, and keeps what its driver has learned.
func (s *placeStore) Close() error {
	s.learn()
	return s.Store.Close()
}

// An approach is a place that is to be opened: what is known of it and who has its secrets.
type approach struct {
	entry   placeEntry
	secrets PlaceSecrets
	pending *pendingPlace // where the entry is not one of the profile's, but was connected
}

// openDest opens a place by its text: one that was connected, one of the profile, or one
// that needs no more than its text. The store is never nil; after an error it holds what is
// known of the place and is not to be closed.
func (a *App) openDest(ctx context.Context, dest string, create bool) (*placeStore, error) {
	if p := a.reach.find(dest); p != nil {
		return a.openBy(ctx, p.approach(), create)
	}
	// A profile that cannot be read keeps nobody from looking at a place.
	if p, err := a.loadProfile(); err == nil {
		if e, ok := p.place(dest); ok {
			return a.openBy(ctx, a.approachTo(p, e), create)
		}
	}
	return a.openBy(ctx, approach{entry: placeEntry{Dest: dest}, secrets: newSecrets(nil)}, create)
}

// approachTo is a place of the profile.
func (a *App) approachTo(p Profile, e placeEntry) approach {
	box := a.secretsOf(e.ID, p.KeptIn)
	return approach{entry: e, secrets: &heldSecrets{box: &box}}
}

// openDriver opens a place of the profile without looking at what it holds.
func (a *App) openDriver(ctx context.Context, e placeEntry, create bool) (*placeStore, error) {
	p, err := a.loadProfile()
	if err != nil {
		return &placeStore{entry: e}, err
	}
	return a.openBy(ctx, a.approachTo(p, e), create)
}

func (a *App) openBy(ctx context.Context, t approach, create bool) (*placeStore, error) {
	if err := a.readyNetwork(ctx, t.entry); err != nil {
		return &placeStore{entry: t.entry}, atPlace(t.entry.Dest, err)
	}
	r := a.request(t)
	r.Create = create
	opened, err := a.cfg.Places.Open(ctx, r)
	return a.newPlaceStore(t, opened, err)
}

// request says all that is known of a place.
func (a *App) request(t approach) PlaceRequest {
	r := PlaceRequest{Dest: t.entry.Dest, Options: t.entry.Options, Secrets: t.secrets}
	if t.entry.ID == "" {
		return r
	}
	label := "place-state-" + t.entry.ID
	r.State = a.placeDir(t.entry.ID)
	r.Seal = func(plain []byte) ([]byte, error) { return a.seal(label, plain) }
	r.Open = func(sealed []byte) ([]byte, error) { return a.openSealed(label, sealed) }
	return r
}

// newPlaceStore is what came of opening a place.
func (a *App) newPlaceStore(t approach, opened OpenedPlace, err error) (*placeStore, error) {
	s := &placeStore{app: a, entry: t.entry, pending: t.pending, driver: opened.Driver, said: opened.Options}
	if opened.Kind != "" {
		s.entry.Kind, s.entry.Dir = opened.Kind, opened.Dir
	}
	if opened.Dest != "" {
		s.entry.Dest = opened.Dest
	}
	if err != nil {
		return s, s.at(err)
	}
	s.entry.Options = learned(t.entry.Options, opened.Options)
	s.driver = opened.Driver
	s.Store = cloud.New(opened.Driver, cloud.Options{Log: a.cfg.Log})
	return s, nil
}

// at names the place and its account. A secret that is not kept may be missed when the
// place is opened, or at the first request.
func (s *placeStore) at(err error) error {
	if errors.Is(err, ErrNoEntry) && !errors.Is(err, ErrPlaceSecret) {
		err = fmt.Errorf("%w: %w", ErrPlaceSecret, err)
	}
	return atAccount(s.entry.Dest, s.entry.Options[OptionAccount], err)
}

// isAbsent reports that a place could be made, or was there and is not now. Other reasons
// why there is no place have situations of their own.
func isAbsent(err error) bool {
	if !errors.Is(err, cloud.ErrNoPlace) {
		return false
	}
	for _, other := range []error{cloud.ErrTrashed, cloud.ErrNoProgram, cloud.ErrNoRemote, cloud.ErrAddress} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// openEntry opens a place of this profile and makes sure that the profile's backup is in
// it. An empty folder where a disk used to be mounted, or somebody else's disk, must not
// take a backup. ErrPlaceForeign, ErrPlaceOther; a place that is gone is
// cloud.ErrOffline, because it was there.
func (a *App) openEntry(ctx context.Context, p Profile, e placeEntry) (*placeStore, error) {
	store, err := a.openBy(ctx, a.approachTo(p, e), false)
	if err != nil {
		return nil, gone(err)
	}
	store.heads, err = readHeads(ctx, store.Store)
	if err == nil {
		err = store.heads.mustHold(p.Repository)
	}
	if err != nil {
		return nil, errors.Join(gone(store.at(fmt.Errorf("open place: %w", err))), store.Close())
	}
	a.spreadHead(ctx, p, store)
	return store, nil
}

// gone says of a place of the profile that is not there that it is offline.
func gone(err error) error {
	if !isAbsent(err) {
		return err
	}
	return fmt.Errorf("%w: it is not there now: %w", cloud.ErrOffline, err)
}

// openPlace opens the place of this profile that is read: the one that UsePlace chose, or
// the first that answers; then the error, if none does, is that of the first. An alarm is
// no reason to look elsewhere: somebody stands where a place used to be, or shows an old
// state of it. ErrNotSetUp, and as openEntry.
func (a *App) openPlace(ctx context.Context) (*placeStore, Profile, error) {
	p, err := a.profile()
	if err != nil {
		return nil, Profile{}, err
	}
	places, err := p.placesFor(a.reach.used())
	if err != nil {
		return nil, p, err
	}
	var first error
	for _, e := range places {
		store, err := a.openEntry(ctx, p, e)
		if err == nil {
			return store, p, nil
		}
		if isAlarm(err) {
			return nil, p, err
		}
		if ctx.Err() != nil {
			return nil, p, context.Cause(ctx)
		}
		if first == nil {
			first = err
		}
		if len(places) > 1 {
			a.cfg.Log.InfoContext(ctx, "a place does not answer, looking at the next", "place", e.ID, "err", err)
		}
	}
	return nil, p, first
}

// isAlarm reports what must never be passed over.
func isAlarm(err error) bool {
	code := Explain(err).Code
	return slices.Contains([]Code{CodeRollback, CodePlaceHostKey, CodePlaceNewHost, CodePlaceCertificate, CodePlaceAccount}, code)
}

// learned are the options of a place with what its driver found out: what was empty is
// filled in, and the name of the account may change. What the place is known by (a host
// key, a pin, the id of the account) is never replaced by what came along.
func learned(options, news map[string]string) map[string]string {
	add := map[string]string{}
	for name, value := range news {
		if options[name] == "" || name == OptionAccount {
			add[name] = value
		}
	}
	out := merged(options, add)
	if checkOptions(out) != nil {
		return options
	}
	return out
}

// learn keeps what the driver found out. Nothing depends on it: what cannot be kept is
// found out again.
func (s *placeStore) learn() {
	if d, ok := s.driver.(Learner); ok {
		s.entry.Options = learned(s.entry.Options, d.Learned())
	}
	if s.pending != nil {
		s.pending.learn(s.entry)
		return
	}
	if s.entry.ID == "" {
		return
	}
	if err := s.app.keepLearned(s.entry); err != nil {
		s.app.cfg.Log.Warn("could not keep what a place said of itself", "err", err)
	}
}

// keepLearned writes the profile only when something is new.
func (a *App) keepLearned(e placeEntry) error {
	changes := func(p *Profile) bool {
		i := slices.IndexFunc(p.Places, func(known placeEntry) bool { return known.ID == e.ID && known.Dest == e.Dest })
		if i < 0 {
			return false // changed or removed meanwhile
		}
		now := p.Places[i]
		now.Options, now.Dir, now.Kind = learned(now.Options, e.Options), e.Dir, e.Kind
		if now.same(p.Places[i]) {
			return false
		}
		p.Places[i] = now
		return true
	}
	p, err := a.loadProfile()
	if err != nil || !changes(&p) {
		return err
	}
	return a.changeProfile(func(p *Profile) error {
		changes(p)
		return nil
	})
}
