package app

import (
	"context"
	"errors"
)

// A Connection is what the user gives to reach a place. It is not stored until the place
// becomes one of the profile's.
type Connection struct {
	Dest    string            // as people write it; see docs/places.md
	Options map[string]string // not secret, by the names of [PlaceField]
	Secrets map[string]Secret // by the names of [PlaceField]; the App takes ownership
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

// PlaceKinds describes the kinds of places, the usual ones first.
func (a *App) PlaceKinds() []PlaceKind { return a.cfg.Places.Kinds() }

// Connect looks at a place and remembers how to reach it, until it becomes a place of the
// profile or the App is closed: InspectPlace, WaysIn, Setup, Open, AddPlace and TestPlace
// with the canonical text (PlaceInfo.Dest) then know how. Nothing is stored.
func (a *App) Connect(ctx context.Context, c Connection) (PlaceInfo, error) {
	return PlaceInfo{}, errNotBuilt
}

// SignIn lets the user sign in to a service in the browser. browser gets the address to
// open, once, which may also be shown to be copied. Otherwise it is Connect; of a place of
// the profile it renews the sign-in, which is stored, and refuses another account
// (cloud.ErrAccount).
func (a *App) SignIn(ctx context.Context, c Connection, browser func(address string) error) (PlaceInfo, error) {
	return PlaceInfo{}, errNotBuilt
}

// errNotBuilt is gone when this is done.
var errNotBuilt = errors.New("app: not built yet")
