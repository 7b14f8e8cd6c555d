package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"coffer/cloud"
)

// A Connection is what the user gives to reach a place. It is not stored until the place
// becomes one of the profile's.
type Connection struct {
	Dest    string            // as people write it; see docs/places.md
	Options map[string]string // not secret, by the names of [PlaceField]
	Secrets map[string]Secret // by the names of [PlaceField]; the App takes ownership, also where it fails
}

// A PlaceKind describes one kind of place, for forms and flags.
type PlaceKind struct {
	Scheme  string // "folder", "drive", "icloud", "s3", "webdav", "sftp", "rclone"
	Fields  []PlaceField
	SignIn  bool   // wants [App.SignIn]: a browser
	Missing string // "" usable here; else why not: "no-icloud", "no-rclone", "no-client"
}

// A PlaceField is one thing that a kind of place wants to know. The names are: address,
// user, password, access-key, secret-key, region, key-file, key-passphrase, host-key,
// client, token, lock-days, remote, folder, config-file, pin, plain.
type PlaceField struct {
	Name     string
	Secret   bool // belongs into Connection.Secrets, else into Options
	File     bool // people give a file: of a secret its content counts, else its path
	Optional bool
}

// secretToken is the secret that a sign-in leaves behind.
const secretToken = "token"

// reach is how this App gets to places, beside what the profile says.
type reach struct {
	mu      sync.Mutex
	use     string                   // guarded by mu; id of the place that is read; "" for the first that answers
	pending map[string]*pendingPlace // guarded by mu; by every text that names them

	network network
}

// A pendingPlace was connected and is not one of the profile's: all of it is in memory.
type pendingPlace struct {
	secrets *heldSecrets

	mu    sync.Mutex
	entry placeEntry // guarded by mu; without ID
}

func (p *pendingPlace) approach() approach {
	p.mu.Lock()
	defer p.mu.Unlock()
	return approach{entry: p.entry, secrets: p.secrets, pending: p}
}

func (p *pendingPlace) learn(e placeEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entry = e
}

// find returns the pending place of that text, or nil.
func (r *reach) find(dest string) *pendingPlace {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pending[dest]
}

// remember makes a place one that can be found by each of the texts.
func (r *reach) remember(p *pendingPlace, texts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		r.pending = map[string]*pendingPlace{}
	}
	for _, text := range texts {
		if old := r.pending[text]; old != p {
			r.drop(old)
		}
		r.pending[text] = p
	}
}

// forget drops the pending place of that text and wipes its secrets.
func (r *reach) forget(dest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(r.pending[dest])
}

// drop wipes the secrets of a place and forgets all its texts. The caller holds mu.
func (r *reach) drop(p *pendingPlace) {
	if p == nil {
		return
	}
	p.secrets.wipe()
	maps.DeleteFunc(r.pending, func(_ string, other *pendingPlace) bool { return other == p })
}

func (r *reach) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pending {
		p.secrets.wipe()
	}
	r.pending = nil
}

func (r *reach) used() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.use
}

// PlaceKinds describes the kinds of places, the usual ones first.
func (a *App) PlaceKinds() []PlaceKind { return a.cfg.Places.Kinds() }

// Connect looks at a place and remembers how to reach it, until it becomes a place of the
// profile or the App is closed: InspectPlace, WaysIn, Setup, Open, AddPlace and TestPlace
// with the canonical text (PlaceInfo.Dest) then know how. Nothing is stored, and after an
// error nothing is remembered.
func (a *App) Connect(ctx context.Context, c Connection) (PlaceInfo, error) {
	p, err := a.newPending(c)
	if err != nil {
		return PlaceInfo{}, err
	}
	store, err := a.openBy(ctx, p.approach(), false)
	info, err := a.inspect(ctx, store, err)
	if err != nil {
		p.secrets.wipe()
		return info, fmt.Errorf("connect place: %w", err)
	}
	a.reach.remember(p, c.Dest, info.Dest)
	return info, nil
}

// newPending takes the secrets of a connection over, also when it refuses them.
func (a *App) newPending(c Connection) (*pendingPlace, error) {
	given := maps.Clone(c.Secrets)
	maps.DeleteFunc(given, func(_ string, s Secret) bool { return s.IsZero() })
	secrets := newSecrets(given)
	options := merged(nil, c.Options)
	err := checkOptions(options)
	if err == nil {
		err = a.checkNames(options, given)
	}
	if err != nil {
		secrets.wipe()
		return nil, fmt.Errorf("connect place: %w: %w", ErrSettings, err)
	}
	return &pendingPlace{secrets: secrets, entry: placeEntry{Dest: c.Dest, Options: options}}, nil
}

// checkNames keeps what is secret out of the options: those are stored as they are.
func (a *App) checkNames(options map[string]string, secrets map[string]Secret) error {
	for _, kind := range a.cfg.Places.Kinds() {
		for _, f := range kind.Fields {
			if _, given := options[f.Name]; given && f.Secret {
				return fmt.Errorf("the option %q is a secret", f.Name)
			}
		}
	}
	for name := range secrets {
		if !isOptionName(name) {
			return errors.New("a secret without a name")
		}
	}
	return nil
}

// SignIn lets the user sign in to a service in the browser. browser gets the address to
// open, once, which may also be shown to be copied. Otherwise it is Connect; of a place of
// the profile it renews the sign-in, which is stored, and refuses another account
// (cloud.ErrAccount).
func (a *App) SignIn(ctx context.Context, c Connection, browser func(address string) error) (PlaceInfo, error) {
	profile, err := a.loadProfile()
	if err != nil {
		wipeSecrets(c.Secrets)
		return PlaceInfo{}, err
	}
	if e, ok := profile.place(c.Dest); ok {
		info, err := a.signInAgain(ctx, profile, e, c, browser)
		if err != nil {
			return info, fmt.Errorf("sign in: %w", err)
		}
		return info, nil
	}
	p, err := a.newPending(c)
	if err != nil {
		return PlaceInfo{}, err
	}
	store, err := a.signIn(ctx, p.approach(), browser)
	info, err := a.inspect(ctx, store, err)
	if err != nil {
		p.secrets.wipe()
		return info, fmt.Errorf("sign in: %w", err)
	}
	a.reach.remember(p, c.Dest, info.Dest)
	return info, nil
}

func (a *App) signIn(ctx context.Context, t approach, browser func(string) error) (*placeStore, error) {
	if err := a.readyNetwork(ctx, t.entry); err != nil {
		return &placeStore{entry: t.entry}, atPlace(t.entry.Dest, err)
	}
	opened, err := a.cfg.Places.SignIn(ctx, a.request(t), browser)
	return a.newPlaceStore(t, opened, err)
}

// signInAgain renews the sign-in of a place of the profile. What the service gave is held
// in memory until it is known whose it is.
func (a *App) signInAgain(ctx context.Context, p Profile, e placeEntry, c Connection, browser func(string) error) (PlaceInfo, error) {
	next, secrets, err := a.changed(ctx, p, e, c)
	if err != nil {
		return PlaceInfo{}, err
	}
	defer secrets.wipe()
	store, err := a.signIn(ctx, approach{entry: next, secrets: secrets}, browser)
	if err != nil {
		return PlaceInfo{Kind: store.entry.Kind, Dest: store.entry.Dest}, err
	}
	known, said := e.Options[OptionAccountID], store.said[OptionAccountID]
	if known != "" && said != "" && said != known {
		err = atAccount(e.Dest, e.Options[OptionAccount], cloud.ErrAccount)
	}
	if err == nil {
		err = a.keepChanged(ctx, p, e.ID, store.entry, secrets)
	}
	if err != nil {
		return PlaceInfo{Kind: e.Kind, Dest: e.Dest}, errors.Join(err, store.Close())
	}
	return a.inspect(ctx, store, nil)
}
