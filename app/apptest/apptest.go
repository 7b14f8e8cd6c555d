// Package apptest makes a whole Coffer in a temporary folder, for the tests of the window,
// the command line and package app itself.
//
// Words: a World is one person's computers and places, of which one, a folder, is made at
// once; a Computer is one profile with a keyring and an embedded vault of its own; a Mem is
// a place in memory that behaves like a service. Nothing else in it is a stand-in but the
// keyring, which is in memory, and, where a test asks for it, the driver of a place. Guesses cost
// the least that the programs accept anywhere (64 MiB, 3 passes), because there is no
// switch that lowers it: a password takes about 0.2 s.
package apptest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"coffer/app"
	"coffer/cloud"
	"coffer/crypto"
)

// Secrets that are good enough to be taken.
const (
	Password   = "correct-horse-7-battery"
	Password2  = "staple quartz 19 onion"
	Passphrase = "gravel tulip monsoon ledger anvil"
)

// A World is a folder with computers and a place in it.
type World struct {
	Dir   string // of everything
	Place string // path of the place; it exists and is empty

	// Driver, if not nil, is what every computer gets for the place instead of the folder.
	Driver func(cloud.Driver) cloud.Driver

	t testing.TB

	mu       sync.Mutex
	mems     map[string]*Mem       // guarded by mu; by name
	networks []app.NetworkSettings // guarded by mu; what Network was told
	metered  bool                  // guarded by mu
}

// New returns a world with an empty place.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{Dir: t.TempDir(), t: t}
	w.Place = filepath.Join(w.Dir, "place")
	mustMkdir(t, w.Place)
	return w
}

// A Computer is one profile.
type Computer struct {
	App     *app.App
	Config  app.Config
	Home    string   // profile folder
	Docs    string   // a folder with a few files to back up
	Keyring *Keyring // nil where the computer has none

	world *World
}

// Computer returns a new computer of that name, with a keyring, and files to back up. It is
// closed when the test ends.
func (w *World) Computer(name string) *Computer {
	w.t.Helper()
	c := &Computer{Keyring: NewKeyring(), world: w}
	own := filepath.Join(w.Dir, name)
	c.Home, c.Docs = filepath.Join(own, "profile"), filepath.Join(own, "Documents")
	mustMkdir(w.t, c.Docs)
	for file, text := range map[string]string{
		"letter.txt": "Dear Ann,\n", "Grüße.txt": "こんにちは\n", "numbers.bin": strings.Repeat("\x00\x01\x02\x03", 4096),
	} {
		if err := os.WriteFile(filepath.Join(c.Docs, file), []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	c.Config = app.Config{
		Home: c.Home, VaultDir: filepath.Join(own, "vault"), Computer: name, UserHome: own, Version: "test",
		Keyring: c.Keyring, Places: w, Log: slog.New(slog.DiscardHandler),
		VaultWaits: []time.Duration{}, Getenv: func(string) string { return "" },
		KDF: crypto.KDFCost{MemoryKiB: 64 << 10, Time: 3, Threads: 4},
	}
	c.Restart()
	w.t.Cleanup(func() { c.App.Close() })
	return c
}

// Restart closes the App and opens it again from its files, with c.Config as it is now.
func (c *Computer) Restart() {
	c.world.t.Helper()
	if c.App != nil {
		if err := c.App.Close(); err != nil {
			c.world.t.Fatal(err)
		}
	}
	a, err := app.New(c.Config)
	if err != nil {
		c.world.t.Fatal(err)
	}
	c.App = a
}

// NoKeyring takes the keyring away, as on a computer without a desktop.
func (c *Computer) NoKeyring() {
	c.Keyring, c.Config.Keyring = nil, nil
	c.Restart()
}

// Objects returns the names in the place that begin with prefix, sorted.
func (w *World) Objects(prefix string) []string {
	w.t.Helper()
	entries, err := os.ReadDir(w.Place)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names
}

// A Keyring is a key store in memory.
type Keyring struct {
	mu      sync.Mutex
	entries map[string]app.Secret // guarded by mu
	fail    error                 // guarded by mu
	forgets bool                  // guarded by mu
}

var _ app.Keyring = (*Keyring)(nil)

// NewKeyring returns an empty key store.
func NewKeyring() *Keyring { return &Keyring{entries: map[string]app.Secret{}} }

// Fail makes every call return err, until Fail(nil).
func (k *Keyring) Fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = err
}

// Forget makes Set succeed and store something else, as some key stores do.
func (k *Keyring) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgets = true
}

// Clear loses all entries.
func (k *Keyring) Clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.entries)
}

// Len returns how many entries there are.
func (k *Keyring) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.entries)
}

// Set implements app.Keyring.
func (k *Keyring) Set(ctx context.Context, account string, secret app.Secret) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := errors.Join(ctx.Err(), k.fail); err != nil {
		return err
	}
	if !k.forgets {
		k.entries[account] = secret.Clone()
	}
	return nil
}

// Get implements app.Keyring.
func (k *Keyring) Get(ctx context.Context, account string) (app.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := errors.Join(ctx.Err(), k.fail); err != nil {
		return app.Secret{}, err
	}
	secret, ok := k.entries[account]
	if !ok {
		return app.Secret{}, app.ErrNoEntry
	}
	return secret.Clone(), nil
}

// Delete implements app.Keyring.
func (k *Keyring) Delete(ctx context.Context, account string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := errors.Join(ctx.Err(), k.fail); err != nil {
		return err
	}
	delete(k.entries, account)
	return nil
}

func mustMkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}
