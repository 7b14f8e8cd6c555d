package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"time"

	"coffer/app/repo"
	"coffer/cloud"
)

// A Place is one of the profile's places, as this computer knows it: nobody is asked.
type Place struct {
	ID         string // 8 hex digits; names its state and its secrets
	Dest       string // canonical
	Kind       string // scheme of the [PlaceKind]
	Account    string // "ann@example.org", or ""
	Options    map[string]string
	AddedAt    time.Time
	LastBackup time.Time // zero: none yet
	LastRun    *Run      // newest backup there, whatever came of it; nil: none yet

	Free, Total int64     // bytes, when last seen; -1 unknown
	Stored      int64     // bytes in the place, when last seen; -1 unknown
	Grows       int64     // bytes a day over the last 30 days; -1 not known yet
	Enough      time.Time // when Free is used up at that growth; zero: not in sight, or not known

	State    string  // one of the Place constants
	Trouble  Failure // of the newest backup there; zero: none
	Selected bool    // what browsing and restoring read
}

// The states of a place.
const (
	PlaceNever   = "never"   // it has no backup of this computer yet
	PlaceSafe    = "safe"    // backed up within three days
	PlaceWaiting = "waiting" // it could not be reached by the last backup; nobody failed
	PlaceLate    = "late"    // three days without a backup
	PlaceTrouble = "trouble" // the last backup there failed
)

// A Promise is one thing that a place can keep, or cannot.
type Promise struct {
	Name string // one of the Promise constants
	Kept string // PromiseKept, PromiseNot or PromiseUnknown
}

// The promises.
const (
	PromiseListed   = "listed-at-once"    // a listing shows at once what was put before it
	PromiseFirst    = "first-writer-wins" // of many writers of one name exactly one succeeds
	PromiseResumes  = "resumes"           // an upload that was cut goes on at the byte
	PromiseVersions = "versions"          // deleted objects can be brought back
	PromiseLocked   = "locked"            // objects can be kept from everybody until a date
	PromiseChecksum = "checksum"          // the place computes a hash of what it got
	PromiseRemote   = "confirmed-remote"  // it says whether an object has left this computer
)

// Whether a promise is kept.
const (
	PromiseKept    = "yes"
	PromiseNot     = "no"
	PromiseUnknown = "unknown"
)

// Places returns the places of the profile, in the order in which they were added. It
// reads local state only.
func (a *App) Places() ([]Place, error) {
	p, err := a.profile()
	if err != nil {
		return nil, err
	}
	runs, err := a.readRuns()
	if err != nil {
		return nil, err
	}
	now, used := time.Now(), a.reach.used()
	var list []Place
	for i, e := range p.Places {
		place := placeOf(e, runsAt(runs, e.ID, i == 0), now)
		place.Selected = used == e.ID
		list = append(list, place)
	}
	return list, nil
}

// placeOf is what the runs of a place tell of it.
func placeOf(e placeEntry, runs []Run, now time.Time) Place {
	p := Place{
		ID: e.ID, Dest: e.Dest, Kind: e.Kind, Account: e.Options[OptionAccount], Options: maps.Clone(e.Options),
		AddedAt: e.AddedAt, Free: -1, Total: -1, Stored: -1,
	}
	for i := range runs {
		r := &runs[i]
		if r.Free > 0 {
			p.Free = r.Free
		}
		if r.Total > 0 {
			p.Total = r.Total
		}
		if r.Stored > 0 {
			p.Stored = r.Stored
		}
		if r.Kind != RunBackup {
			continue
		}
		p.LastRun = r
		if r.Summary != nil {
			p.LastBackup = r.end()
		}
	}
	p.Grows = growth(runs, now)
	p.Enough = enoughUntil(now, p.Free, p.Grows)
	if r := p.LastRun; r != nil && r.Code != "" && r.Code != CodeCanceled {
		p.Trouble = Failure{Code: r.Code, Args: maps.Clone(r.Args)}
	}
	p.State = p.state(now)
	return p
}

func (p Place) state(now time.Time) string {
	late := p.age(now) >= lateAfter
	switch {
	case p.Trouble.Code != "" && !isWaitingCode(p.Trouble.Code):
		return PlaceTrouble
	case p.Trouble.Code != "" && !late:
		return PlaceWaiting
	case late:
		return PlaceLate
	case p.LastBackup.IsZero():
		return PlaceNever
	}
	return PlaceSafe
}

// age is how long there has been no backup in the place.
func (p Place) age(now time.Time) time.Duration {
	last := p.LastBackup
	if last.IsZero() {
		last = p.AddedAt
	}
	return max(0, now.Sub(last))
}

// isWaitingCode reports of a failure that nobody failed: the place is not there now, wants
// to be left alone for a while, or the network is one to be spared. It says of a run what
// isWaiting says of an error.
func isWaitingCode(code Code) bool {
	return slices.Contains([]Code{CodePlaceOffline, CodePlaceWaiting, CodePlaceLimit, CodeMetered, CodeProxy}, code)
}

// AddPlace makes a place one of the profile's. One that holds this backup already is
// joined, which a notice says; an empty one gets what opens the backup, and the next
// backup fills it. With create its folder is made. [ErrPlaceOther] when another backup is
// there, [ErrPlaceKnown].
//
// The commit point is that of Setup: settings.json. Before it there may be a head in the
// place, which makes the next AddPlace join.
func (a *App) AddPlace(ctx context.Context, dest string, create bool) (Place, []Notice, error) {
	unlock, err := a.lockProfile()
	if err != nil {
		return Place{}, nil, err
	}
	defer unlock()
	place, notices, err := a.addPlace(ctx, dest, create)
	if err != nil {
		return Place{}, nil, fmt.Errorf("add place: %w", err)
	}
	return place, notices, nil
}

// addPlace is AddPlace for who holds the profile's lock.
func (a *App) addPlace(ctx context.Context, dest string, create bool) (Place, []Notice, error) {
	p, err := a.profile()
	if err != nil {
		return Place{}, nil, err
	}
	if len(p.Places) >= maxPlaces {
		return Place{}, nil, fmt.Errorf("%w: more than %d places", ErrSettings, maxPlaces)
	}
	store, err := a.openNew(ctx, p, dest, create)
	if err != nil {
		return Place{}, nil, err
	}
	defer store.Close()
	notices, err := a.prepareAdded(ctx, p, store)
	if err != nil {
		return Place{}, nil, store.at(err)
	}
	store.learn()
	e := store.entry
	e.ID, e.AddedAt = newPlaceID(), time.Now().UTC().Truncate(time.Second)
	err = a.adopt(ctx, e, store.pending, p.KeptIn, func() error {
		return a.changeProfile(func(p *Profile) error {
			p.Places = append(p.Places, e)
			return nil
		})
	})
	if err != nil {
		return Place{}, nil, err
	}
	return placeOf(e, nil, time.Now()), notices, nil
}

// openNew opens a place that is to become one of the profile's. Where it will be is known
// before it is made: nothing is made inside a source.
func (a *App) openNew(ctx context.Context, p Profile, dest string, create bool) (*placeStore, error) {
	if _, known := p.place(dest); known {
		return nil, atPlace(dest, ErrPlaceKnown)
	}
	probe, err := a.openDest(ctx, dest, false)
	if err == nil {
		_ = probe.Store.Close() // nothing was written
	}
	if err := p.mustBeNew(probe.entry); err != nil {
		return nil, probe.at(err)
	}
	if err := checkApart(probe.entry.Dir, p.Sources); err != nil {
		return nil, probe.at(err)
	}
	if err != nil && !(create && isAbsent(err)) {
		return nil, err
	}
	store, err := a.openDest(ctx, dest, create)
	if err != nil {
		return nil, err
	}
	return store, nil
}

// mustBeNew refuses a place that the profile has under this text, or under another one.
func (p Profile) mustBeNew(e placeEntry) error {
	for _, known := range p.Places {
		if known.Dest == e.Dest || e.Dir != "" && known.Dir != "" && isInside(e.Dir, known.Dir) && isInside(known.Dir, e.Dir) {
			return ErrPlaceKnown
		}
	}
	return nil
}

// prepareAdded looks at what a new place holds, and makes it one of this backup.
func (a *App) prepareAdded(ctx context.Context, p Profile, store *placeStore) (notices []Notice, err error) {
	if store.heads, err = readHeads(ctx, store.Store); err != nil {
		return nil, err
	}
	err = store.heads.mustHold(p.Repository)
	switch {
	case err == nil:
		notices = append(notices, Notice{Code: NoticePlaceJoined, Args: map[string]string{"place": store.entry.Dest}})
	case errors.Is(err, ErrPlaceForeign):
		if notices, err = a.prepareEmpty(ctx, store); err != nil {
			return nil, err
		}
	default:
		return nil, err
	}
	return notices, a.bringHead(ctx, p, store)
}

// prepareEmpty refuses a place that holds objects which nobody can name, and writes the
// README.txt, which is also the proof that the place takes files.
func (a *App) prepareEmpty(ctx context.Context, store *placeStore) ([]Notice, error) {
	_, some, err := repo.HasObjects(ctx, store.Store)
	if err != nil {
		return nil, err
	}
	if some {
		return nil, ErrPlaceOther
	}
	return a.beginPlace(ctx, store)
}

// beginPlace makes the first write into an empty place.
func (a *App) beginPlace(ctx context.Context, store *placeStore) (notices []Notice, err error) {
	if room, err := store.Capacity(ctx); err == nil && room.Free >= 0 && room.Free < minFree {
		return nil, fmt.Errorf("%w: less than %d bytes are free", cloud.ErrFull, minFree)
	}
	if dir := store.entry.Dir; dir != "" {
		if n := countForeign(dir); n > 0 {
			notices = append(notices, Notice{Code: NoticeForeignFiles, Args: map[string]string{"count": strconv.Itoa(n)}})
		}
	}
	err = repo.WriteReadme(ctx, store.Store)
	if errors.Is(err, cloud.ErrExists) {
		return append(notices, Notice{Code: NoticeNoReadme}), nil
	}
	return notices, err
}

// bringHead puts the newest head that is known into a new place, unless it has one as new.
func (a *App) bringHead(ctx context.Context, p Profile, store *placeStore) error {
	kept, ok := a.readKeptHead(p.Repository)
	if !ok {
		if err := a.fetchHead(ctx, p, store); err != nil {
			return err
		}
		if kept, ok = a.readKeptHead(p.Repository); !ok {
			return fmt.Errorf("find the head: %w", ErrProfileDamaged)
		}
	}
	if store.heads.newest(p.Repository) >= kept.Generation {
		return nil
	}
	return a.putHead(ctx, store, kept)
}

// fetchHead finds the head for a profile that keeps none yet: in the new place, in the
// places that it has, or, where all heads are lost, it makes one in the new place. It
// needs the key.
func (a *App) fetchHead(ctx context.Context, p Profile, store *placeStore) error {
	root, err := a.rootKey(ctx)
	if err != nil {
		return err
	}
	defer root.Wipe()
	keys := root.Derive()
	defer keys.Wipe()
	if head, _ := store.heads.verified(keys); head != nil {
		a.keepHead(ctx, store.Store, head)
		return nil
	}
	other, _, err := a.openPlace(ctx)
	if err != nil {
		return err
	}
	defer other.Close()
	if head, _ := other.heads.verified(keys); head != nil {
		a.keepHead(ctx, other.Store, head)
		return nil
	}
	head := repo.Head{MadeAt: p.SetUpAt.Unix(), Computer: a.cfg.Computer, OS: runtime.GOOS}
	if head, err = repo.WriteHead(ctx, store.Store, keys, head); err != nil {
		return err
	}
	a.keepHead(ctx, store.Store, &head)
	store.heads, err = readHeads(ctx, store.Store)
	return err
}

// RemovePlace forgets a place and its secrets, and deletes nothing there. id is the id of
// a place or its canonical text. [ErrPlaceUnknown]; [ErrPlaceLast] for the only one.
func (a *App) RemovePlace(ctx context.Context, id string) error {
	unlock, err := a.lockProfile()
	if err != nil {
		return err
	}
	defer unlock()
	p, err := a.profile()
	if err != nil {
		return err
	}
	e, ok := p.place(id)
	if !ok {
		return fmt.Errorf("remove place: %w", atPlace(id, ErrPlaceUnknown))
	}
	if len(p.Places) == 1 {
		return fmt.Errorf("remove place: %w", atPlace(e.Dest, ErrPlaceLast))
	}
	if err := a.abandon(ctx, p, e.ID); err != nil {
		return fmt.Errorf("remove place: %w", err)
	}
	a.reach.unuse(e.ID)
	return nil
}

// ChangePlace stores another way to reach a place: new secrets, new options (such as an
// accepted host key), a new address of the same backup. c holds what changes; an option
// that is "" is removed. It is stored only after the place has answered and holds this
// backup.
func (a *App) ChangePlace(ctx context.Context, id string, c Connection) (PlaceInfo, error) {
	unlock, err := a.lockProfile()
	if err != nil {
		wipeSecrets(c.Secrets)
		return PlaceInfo{}, err
	}
	defer unlock()
	info, err := a.changePlace(ctx, id, c)
	if err != nil {
		return info, fmt.Errorf("change place: %w", err)
	}
	return info, nil
}

func (a *App) changePlace(ctx context.Context, id string, c Connection) (PlaceInfo, error) {
	p, e, err := a.known(id)
	if err != nil {
		wipeSecrets(c.Secrets)
		return PlaceInfo{}, err
	}
	next, secrets, err := a.changed(ctx, p, e, c)
	if err != nil {
		return PlaceInfo{}, err
	}
	defer secrets.wipe()
	store, err := a.openBy(ctx, approach{entry: next, secrets: secrets}, false)
	info := PlaceInfo{Kind: store.entry.Kind, Dest: store.entry.Dest, Free: -1, Total: -1}
	if err != nil {
		return info, err
	}
	err = p.mustBeMoved(e, store.entry)
	if err == nil {
		store.heads, err = readHeads(ctx, store.Store)
	}
	if err == nil {
		err = store.heads.mustHold(p.Repository)
	}
	if err == nil {
		store.learn()
		err = a.keepChanged(ctx, p, e.ID, store.entry, secrets)
	}
	if err != nil {
		return info, errors.Join(store.at(err), store.Close())
	}
	return a.inspect(ctx, store, nil)
}

// mustBeMoved checks a new address of a place: not that of another place of the profile,
// and not inside a source.
func (p Profile) mustBeMoved(from, to placeEntry) error {
	others := p
	others.Places = slices.DeleteFunc(slices.Clone(p.Places), func(e placeEntry) bool { return e.ID == from.ID })
	if err := others.mustBeNew(to); err != nil {
		return err
	}
	return checkApart(to.Dir, p.Sources)
}

// known finds a place of the profile.
func (a *App) known(id string) (Profile, placeEntry, error) {
	p, err := a.profile()
	if err != nil {
		return Profile{}, placeEntry{}, err
	}
	e, ok := p.place(id)
	if !ok {
		return Profile{}, placeEntry{}, atPlace(id, ErrPlaceUnknown)
	}
	return p, e, nil
}

// UsePlace chooses the place that this App reads from when it browses, restores, checks
// and unlocks; "" is the first that answers. [ErrPlaceUnknown].
func (a *App) UsePlace(idOrDest string) error {
	id := ""
	if idOrDest != "" {
		_, e, err := a.known(idOrDest)
		if err != nil {
			return err
		}
		id = e.ID
	}
	a.reach.mu.Lock()
	defer a.reach.mu.Unlock()
	a.reach.use = id
	return nil
}

// RestoreFolder takes a place out of the service's trash (cloud.ErrTrashed), and returns
// how many folders came back.
func (a *App) RestoreFolder(ctx context.Context, id string) (int, error) {
	p, e, err := a.known(id)
	if err != nil {
		return 0, err
	}
	if err := a.readyNetwork(ctx, e); err != nil {
		return 0, err
	}
	folders, err := a.cfg.Places.RestoreFolder(ctx, a.request(a.approachTo(p, e)))
	if err != nil {
		return folders, fmt.Errorf("restore folder: %w", atAccount(e.Dest, e.Options[OptionAccount], err))
	}
	return folders, nil
}

// Disconnect withdraws the sign-in of a place at its service and forgets it here. The
// files stay where they are, and so does the place: SignIn connects it again. A sign-in
// that the service does not know any more is forgotten, too.
func (a *App) Disconnect(ctx context.Context, id string) error {
	p, e, err := a.known(id)
	if err != nil {
		return err
	}
	if err := a.readyNetwork(ctx, e); err != nil {
		return err
	}
	r := a.request(a.approachTo(p, e))
	err = a.cfg.Places.SignOut(ctx, r)
	if err == nil || errors.Is(err, cloud.ErrAuth) || errors.Is(err, ErrPlaceSecret) {
		err = r.Secrets.Set(ctx, secretToken, Secret{})
	}
	if err != nil {
		return fmt.Errorf("disconnect place: %w", atAccount(e.Dest, e.Options[OptionAccount], err))
	}
	return nil
}
