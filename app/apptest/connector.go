package apptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/folder"
)

// A World connects every computer to its places: folders, through World.Driver, and places
// in memory ("mem:NAME", see [World.Mem]).
var _ app.Connector = (*World)(nil)

const memScheme = "mem"

// Mem returns the place "mem:"+name, which exists from now on.
func (w *World) Mem(name string) *Mem {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mem(name)
}

// mem makes the place where there is none. The caller holds mu.
func (w *World) mem(name string) *Mem {
	if w.mems == nil {
		w.mems = map[string]*Mem{}
	}
	if w.mems[name] == nil {
		w.mems[name] = &Mem{Memory: cloudtest.NewMemory(), Dest: memScheme + ":" + name}
	}
	return w.mems[name]
}

// Kinds implements [app.Connector].
func (w *World) Kinds() []app.PlaceKind {
	return []app.PlaceKind{
		{Scheme: "folder", Fields: []app.PlaceField{{Name: "address"}}},
		{Scheme: memScheme, SignIn: true, Fields: []app.PlaceField{
			{Name: "address"}, {Name: "password", Secret: true, Optional: true}, {Name: "host-key", Optional: true},
		}},
	}
}

// Open implements [app.Connector].
func (w *World) Open(ctx context.Context, r app.PlaceRequest) (app.OpenedPlace, error) {
	if name, ok := strings.CutPrefix(r.Dest, memScheme+":"); ok {
		return w.openMem(ctx, name, r)
	}
	path, err := filepath.Abs(strings.TrimPrefix(r.Dest, "folder:"))
	if err != nil {
		return app.OpenedPlace{}, err
	}
	opened := app.OpenedPlace{Kind: "folder", Dest: path, Dir: path}
	open := folder.Open
	if _, err := os.Stat(filepath.Dir(path)); r.Create && err == nil {
		open = folder.Create
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return opened, fmt.Errorf("open place: %w", app.ErrPlaceNotFolder)
	}
	driver, err := open(path)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return opened, err
	}
	opened.Driver = driver
	if w.Driver != nil {
		opened.Driver = w.Driver(driver)
	}
	return opened, nil
}

func (w *World) openMem(ctx context.Context, name string, r app.PlaceRequest) (app.OpenedPlace, error) {
	opened := app.OpenedPlace{Kind: memScheme, Dest: r.Dest}
	w.mu.Lock()
	m := w.mems[name]
	if m == nil && r.Create {
		m = w.mem(name)
	}
	w.mu.Unlock()
	if m == nil {
		return opened, fmt.Errorf("open place: %w", cloud.ErrNoPlace)
	}
	return m.open(ctx, r)
}

// SignIn implements [app.Connector]: the user's browser is a function that is called with
// an address, and whoever it finds there is signed in.
func (w *World) SignIn(ctx context.Context, r app.PlaceRequest, browser func(string) error) (app.OpenedPlace, error) {
	name, ok := strings.CutPrefix(r.Dest, memScheme+":")
	if !ok {
		return app.OpenedPlace{}, cloud.ErrUnsupported
	}
	m := w.Mem(name)
	if err := browser("http://127.0.0.1:1/sign-in/" + name); err != nil {
		return app.OpenedPlace{Kind: memScheme, Dest: m.Dest}, err
	}
	account := m.account()
	if err := r.Secrets.Set(ctx, "token", app.NewSecret([]byte(tokenOf(account)))); err != nil {
		return app.OpenedPlace{Kind: memScheme, Dest: m.Dest}, err
	}
	r.Options = maps.Clone(r.Options)
	opened, err := m.open(ctx, r)
	if err == nil {
		opened.Options = map[string]string{app.OptionAccount: account, app.OptionAccountID: "id of " + account}
	}
	return opened, err
}

func tokenOf(account string) string { return "token of " + account }

// SignOut implements [app.Connector].
func (w *World) SignOut(ctx context.Context, r app.PlaceRequest) error {
	name, ok := strings.CutPrefix(r.Dest, memScheme+":")
	if !ok {
		return cloud.ErrUnsupported
	}
	m := w.Mem(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.signedOut++
	return ctx.Err()
}

// RestoreFolder implements [app.Connector].
func (w *World) RestoreFolder(ctx context.Context, r app.PlaceRequest) (int, error) {
	name, ok := strings.CutPrefix(r.Dest, memScheme+":")
	if !ok {
		return 0, cloud.ErrUnsupported
	}
	m := w.Mem(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !errors.Is(m.fail, cloud.ErrTrashed) {
		return 0, ctx.Err()
	}
	m.fail = nil
	return 1, nil
}

// Network implements [app.Connector].
func (w *World) Network(s app.NetworkSettings) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.networks = append(w.networks, s)
	return nil
}

// Networks returns what Network was told, the newest last.
func (w *World) Networks() []app.NetworkSettings {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.networks)
}

// Metered implements [app.Connector].
func (w *World) Metered(context.Context) (metered, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.metered, true
}

// SetMetered makes the network cost by the byte, or not.
func (w *World) SetMetered(metered bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metered = metered
}

// A Mem is a place in memory, as a service would be: it can be offline, ask for a password
// or a sign-in, know whose it is and have a host key. Its exported fields are set before
// it is used.
type Mem struct {
	Memory *cloudtest.Memory
	Dest   string

	Wrap     func(cloud.Driver) cloud.Driver // of every driver of this place; nil: as it is
	Password string                          // that it asks for under "password"; "": none
	HostKey  string                          // of its server; "": it has none
	SignedIn bool                            // it wants what SignIn stored

	// OnPut, if not nil, is called before each Put: services renew their tokens in the
	// middle of the work.
	OnPut func(context.Context, app.PlaceSecrets) error

	mu         sync.Mutex
	fail       error  // guarded by mu
	user       string // guarded by mu; whose account it is
	opens      int    // guarded by mu
	maintained int    // guarded by mu
	signedOut  int    // guarded by mu
}

// Fail makes every request return err, until Fail(nil).
func (m *Mem) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// SetAccount says who is signed in to the browser, and whose the place is.
func (m *Mem) SetAccount(user string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.user = user
}

// Opens returns how often the place was opened.
func (m *Mem) Opens() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opens
}

// Maintained returns how often Maintain was called.
func (m *Mem) Maintained() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.maintained
}

// SignedOut returns how often SignOut was called.
func (m *Mem) SignedOut() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.signedOut
}

func (m *Mem) account() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.user
}

func (m *Mem) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fail
}

func (m *Mem) open(ctx context.Context, r app.PlaceRequest) (app.OpenedPlace, error) {
	opened := app.OpenedPlace{Kind: memScheme, Dest: m.Dest}
	m.mu.Lock()
	m.opens++
	m.mu.Unlock()
	if known := r.Options["host-key"]; known != m.HostKey {
		return opened, &cloud.IdentityError{Kind: cloud.HostKey, Host: "mem", Known: known, Offered: m.HostKey}
	}
	for name, want := range map[string]string{"password": m.Password, "token": m.token()} {
		if want == "" {
			continue
		}
		if err := checkSecret(ctx, r, name, want); err != nil {
			return opened, err
		}
	}
	d := cloud.Driver(&memDriver{m, r.Secrets})
	if m.Wrap != nil {
		d = m.Wrap(d)
	}
	opened.Driver = d
	return opened, ctx.Err()
}

func (m *Mem) token() string {
	if !m.SignedIn {
		return ""
	}
	return tokenOf(m.account())
}

func checkSecret(ctx context.Context, r app.PlaceRequest, name, want string) error {
	got, err := r.Secrets.Get(ctx, name)
	if errors.Is(err, app.ErrNoEntry) {
		return fmt.Errorf("open place: %w", app.ErrPlaceSecret)
	}
	if err != nil {
		return err
	}
	defer got.Wipe()
	if !got.Equal(app.NewSecret([]byte(want))) {
		return fmt.Errorf("open place: %w", cloud.ErrAuth)
	}
	return nil
}

// memDriver is one connection to a Mem.
type memDriver struct {
	m       *Mem
	secrets app.PlaceSecrets
}

func (d *memDriver) Put(ctx context.Context, name string, src cloud.Source) error {
	if err := d.m.failure(); err != nil {
		return cloud.Final(err)
	}
	if d.m.OnPut != nil {
		if err := d.m.OnPut(ctx, d.secrets); err != nil {
			return cloud.Final(err)
		}
	}
	return d.m.Memory.Put(ctx, name, src)
}

func (d *memDriver) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := d.m.failure(); err != nil {
		return nil, cloud.Final(err)
	}
	return d.m.Memory.Get(ctx, name, off, n)
}

func (d *memDriver) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		if err := d.m.failure(); err != nil {
			yield(cloud.Object{}, cloud.Final(err))
			return
		}
		d.m.Memory.List(ctx, prefix)(yield)
	}
}

func (d *memDriver) Delete(ctx context.Context, name string) error {
	if err := d.m.failure(); err != nil {
		return cloud.Final(err)
	}
	return d.m.Memory.Delete(ctx, name)
}

func (d *memDriver) Stat(ctx context.Context, name string) (cloud.Object, error) {
	if err := d.m.failure(); err != nil {
		return cloud.Object{}, cloud.Final(err)
	}
	return d.m.Memory.Stat(ctx, name)
}

func (d *memDriver) Capacity(ctx context.Context) (cloud.Capacity, error) {
	if err := d.m.failure(); err != nil {
		return cloud.Capacity{}, cloud.Final(err)
	}
	return d.m.Memory.Capacity(ctx)
}

func (d *memDriver) Caps() cloud.Caps { return d.m.Memory.Caps() }

// Describe implements [cloud.Describer].
func (d *memDriver) Describe(ctx context.Context) (cloud.Description, error) {
	if err := d.m.failure(); err != nil {
		return cloud.Description{}, cloud.Final(err)
	}
	return cloud.Description{Account: d.m.account(), Server: "memory"}, ctx.Err()
}

// Maintain implements [cloud.Maintainer].
func (d *memDriver) Maintain(ctx context.Context) (int, error) {
	if err := d.m.failure(); err != nil {
		return 0, cloud.Final(err)
	}
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	d.m.maintained++
	return 0, ctx.Err()
}

// Learned implements [app.Learner].
func (d *memDriver) Learned() map[string]string {
	if account := d.m.account(); account != "" {
		return map[string]string{app.OptionAccount: account}
	}
	return nil
}
