package app

import (
	"errors"
	"time"
)

// The situations of a place, beside those of package cloud.
var (
	// ErrPlaceNotFolder: the path is that of a file.
	ErrPlaceNotFolder = errors.New("app: the place is not a folder")
	// ErrPlaceUnsupported: this version cannot use that kind of place. See
	// [UnsupportedPlaceError].
	ErrPlaceUnsupported = errors.New("app: a kind of place that this version cannot use")
	// ErrPlaceTaken: the place holds a backup already. It can be joined.
	ErrPlaceTaken = errors.New("app: the place holds a backup already")
	// ErrPlaceForeign: the place holds no backup of Coffer's.
	ErrPlaceForeign = errors.New("app: the place holds no backup")
	// ErrPlaceMany: the place holds several backups, and none was chosen.
	ErrPlaceMany = errors.New("app: the place holds several backups")
	// ErrPlaceOther: the place holds another backup than this profile's.
	ErrPlaceOther = errors.New("app: the place holds another backup")
	// ErrPlaceLast: the only place of a profile cannot be removed.
	ErrPlaceLast = errors.New("app: the only place")
	// ErrPlaceUnknown: the profile has no such place. See [PlaceError].
	ErrPlaceUnknown = errors.New("app: the profile has no such place")
	// ErrPlaceKnown: the place is one of the profile's already.
	ErrPlaceKnown = errors.New("app: the place is one of the profile's already")
	// ErrPlaceSecret: what opens the place (a password, a key) is not on this computer.
	ErrPlaceSecret = errors.New("app: the secret of the place is not on this computer")
	// ErrMetered: the network costs by the byte, and the settings say to wait.
	ErrMetered = errors.New("app: the network is metered")
	// ErrNoSuchWay: the backup has no password, or no passphrase.
	ErrNoSuchWay = errors.New("app: this backup has no such way in")
	// ErrVaultElsewhere: the vault of the password is on another computer. See
	// [VaultElsewhereError].
	ErrVaultElsewhere = errors.New("app: the vault is on another computer")
	// ErrWrongKey: the key is of another backup, which is not known here.
	ErrWrongKey = errors.New("app: the key opens another backup")
	// ErrKeyOfOther: the key is of another backup. See [KeyOfOtherError].
	ErrKeyOfOther = errors.New("app: the key opens another backup, that is known")
	// ErrRollback: the place shows an older state than was seen before, or a forged one.
	ErrRollback = errors.New("app: the place shows an old or a forged state")
)

// An UnsupportedPlaceError names the kind of place.
type UnsupportedPlaceError struct{ Scheme string }

func (e *UnsupportedPlaceError) Error() string { return ErrPlaceUnsupported.Error() + ": " + e.Scheme }

// Is makes errors.Is(err, ErrPlaceUnsupported) true.
func (e *UnsupportedPlaceError) Is(target error) bool { return target == ErrPlaceUnsupported }

// A VaultElsewhereError names the computer whose embedded vault has the password. No try
// was used.
type VaultElsewhereError struct{ Computer string }

func (e *VaultElsewhereError) Error() string { return ErrVaultElsewhere.Error() }

// Is makes errors.Is(err, ErrVaultElsewhere) true.
func (e *VaultElsewhereError) Is(target error) bool { return target == ErrVaultElsewhere }

// A KeyOfOtherError names the backup that the key opens.
type KeyOfOtherError struct {
	Computer string
	MadeAt   time.Time
}

func (e *KeyOfOtherError) Error() string { return ErrKeyOfOther.Error() }

// Is makes errors.Is(err, ErrKeyOfOther) true.
func (e *KeyOfOtherError) Is(target error) bool { return target == ErrKeyOfOther }

// A PlaceError names the place where something went wrong.
type PlaceError struct {
	Place   string // canonical, or as it was typed
	Account string // or ""
	Err     error
}

func (e *PlaceError) Error() string { return "at the place: " + e.Err.Error() }

// Unwrap returns Err.
func (e *PlaceError) Unwrap() error { return e.Err }

// atPlace names the place, once; of nil it makes nil.
func atPlace(place string, err error) error { return atAccount(place, "", err) }

// atAccount names the place and whose it is.
func atAccount(place, account string, err error) error {
	var known *PlaceError
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &PlaceError{Place: place, Account: account, Err: err}
}
