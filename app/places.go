package app

import (
	"context"
	"time"
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
	return nil, errNotBuilt
}

// AddPlace makes a place one of the profile's. One that holds this backup already is
// joined, which a notice says; an empty one gets what opens the backup, and the next
// backup fills it. With create its folder is made. [ErrPlaceOther] when another backup is
// there, [ErrPlaceKnown].
func (a *App) AddPlace(ctx context.Context, dest string, create bool) (Place, []Notice, error) {
	return Place{}, nil, errNotBuilt
}

// RemovePlace forgets a place and its secrets, and deletes nothing there. id is the id of
// a place or its canonical text. [ErrPlaceUnknown]; [ErrPlaceLast] for the only one.
func (a *App) RemovePlace(ctx context.Context, id string) error {
	return errNotBuilt
}

// ChangePlace stores another way to reach a place: new secrets, new options (such as an
// accepted host key), a new address of the same backup. c holds what changes; an option
// that is "" is removed. It is stored only after the place has answered and holds this
// backup.
func (a *App) ChangePlace(ctx context.Context, id string, c Connection) (PlaceInfo, error) {
	return PlaceInfo{}, errNotBuilt
}

// UsePlace chooses the place that this App reads from when it browses, restores, checks
// and unlocks; "" is the first that answers. [ErrPlaceUnknown].
func (a *App) UsePlace(idOrDest string) error {
	return errNotBuilt
}

// RestoreFolder takes a place out of the service's trash (cloud.ErrTrashed), and returns
// how many folders came back.
func (a *App) RestoreFolder(ctx context.Context, id string) (int, error) {
	return 0, errNotBuilt
}

// Disconnect withdraws the sign-in of a place at its service and forgets it here. The
// files stay where they are, and so does the place: SignIn connects it again.
func (a *App) Disconnect(ctx context.Context, id string) error {
	return errNotBuilt
}
