package app

import (
	"context"

	"coffer/cloud"
)

// A Connector reaches places of every kind. Package internal/wiring has the one of the
// programs, package apptest that of the tests. It is safe for concurrent use.
//
// Each request says all that is known of the place, so that a Connector remembers nothing.
// Its errors wrap the classes of package cloud, or [ErrPlaceNotFolder],
// [ErrPlaceUnsupported] and [ErrPlaceSecret] of this one, and hold no secret.
type Connector interface {
	// Kinds describes the kinds of places, the usual ones first.
	Kinds() []PlaceKind
	// Open opens a place; with Create it makes the folder itself, never its parents. It
	// asks the network as little as possible: whether the place answers may show at the
	// first request only. On failure OpenedPlace has what is known all the same: Kind,
	// Dest and Dir.
	Open(ctx context.Context, r PlaceRequest) (OpenedPlace, error)
	// SignIn lets the user sign in in a browser, stores what it got through r.Secrets, and
	// opens the place. cloud.ErrUnsupported for a kind without a sign-in.
	SignIn(ctx context.Context, r PlaceRequest, browser func(address string) error) (OpenedPlace, error)
	// SignOut withdraws at the service what SignIn got. cloud.ErrUnsupported as above.
	SignOut(ctx context.Context, r PlaceRequest) error
	// RestoreFolder takes the place out of the service's trash, and returns how many
	// folders came back. cloud.ErrUnsupported for a kind without a trash.
	RestoreFolder(ctx context.Context, r PlaceRequest) (folders int, err error)
	// Network sets limits, proxy and certificates, for what is open and for what will be.
	Network(s NetworkSettings) error
	// Metered reports whether the system says that the network costs by the byte; known is
	// false where it does not say.
	Metered(ctx context.Context) (metered, known bool)
}

// A PlaceRequest is all that is known of a place that is to be opened.
type PlaceRequest struct {
	Dest    string            // as people write it, or canonical
	Create  bool              // make the folder itself where there is none
	Options map[string]string // not secret, by the names of [PlaceField]; never changed
	Secrets PlaceSecrets      // never nil
	// State is a folder of this computer for this place alone, for journals and the like;
	// "" for a place that is only looked at. It may have to be made.
	State string
	// Seal and Open protect what is secret in State with a key of this computer; Open
	// returns an error for what Seal did not make for this place. Both nil: there is no
	// such key.
	Seal func(plain []byte) (sealed []byte, err error)
	Open func(sealed []byte) (plain []byte, err error)
}

// PlaceSecrets are the secrets of one place, by the names of [PlaceField]. Set may be
// called at any time, in the middle of a backup too: services renew their tokens.
type PlaceSecrets interface {
	// Get returns a secret, which the caller wipes. [ErrNoEntry] when there is none.
	Get(ctx context.Context, name string) (Secret, error)
	// Set stores a secret, in place of an older one, and is done when it is durable. The
	// zero Secret removes it. The caller keeps s.
	Set(ctx context.Context, name string, s Secret) error
}

// An OpenedPlace is what a [Connector] opened.
type OpenedPlace struct {
	Driver  cloud.Driver      // closed by whoever asked for it; nil after an error
	Kind    string            // scheme of the [PlaceKind]
	Dest    string            // canonical
	Dir     string            // its path where it is a folder of this computer, else ""
	Options map[string]string // to be kept with the place, such as "host-key" or "account"
}

// A Learner is a [cloud.Driver] that learns what is worth keeping with the place: the host
// key that it met, the account's name. It is asked after the work.
type Learner interface {
	Learned() map[string]string // by the names of [PlaceField], or "account"
}

// NetworkSettings are what all places share.
type NetworkSettings struct {
	Up, Down int64  // bytes a second; 0: as fast as it goes
	Proxy    string // "": as the environment says; "direct"; or an address, with its password
	CAs      []byte // certificates in PEM that are trusted beside the system's; nil: none
}

// OptionAccount is the name among the options of a place under which its account is kept,
// as people read it: "ann@example.org".
const OptionAccount = "account"

// OptionAccountID is the service's own name for the account, which never changes. A place
// is never signed in to with another.
const OptionAccountID = "account-id"
