package cloud

import "fmt"

// Situations that only some services know. Each is also one of the classes of
// errors.go, for those who do not care which service it is; whoever tells people
// what happened looks for these first.
var (
	// ErrTrashed: somebody put the folder into the service's trash. The backups
	// are still there, for a while.
	ErrTrashed = fmt.Errorf("%w: it is in the trash", ErrNoPlace)
	// ErrAccount: signed in, but as somebody else than the place belongs to.
	ErrAccount = fmt.Errorf("%w: signed in to another account", ErrDenied)
	// ErrScope: the user signed in and did not let us keep files.
	ErrScope = fmt.Errorf("%w: access to files was not granted", ErrDenied)
	// ErrRefused: the user pressed Cancel on the service's page.
	ErrRefused = fmt.Errorf("%w: the sign-in was refused", ErrAuth)
	// ErrTimeout: nobody finished the sign-in in the browser.
	ErrTimeout = fmt.Errorf("%w: the sign-in took too long", ErrAuth)
	// ErrClient: the service does not know the program's own registration ("client"),
	// or what was given for it is not one.
	ErrClient = fmt.Errorf("%w: the client is not usable", ErrDenied)
	// ErrPassphrase: the private key is locked, and its passphrase is missing or wrong.
	ErrPassphrase = fmt.Errorf("%w: the private key needs its passphrase", ErrAuth)
	// ErrClock: the service refuses requests because a clock, most likely this
	// computer's, is wrong.
	ErrClock = fmt.Errorf("%w: the clocks differ too much", ErrDenied)
	// ErrArchived: the object was moved to storage that has to be thawed first.
	ErrArchived = fmt.Errorf("%w: the object is archived", ErrDenied)
	// ErrNoLock: objects were to be locked, and this place cannot.
	ErrNoLock = fmt.Errorf("%w: objects cannot be locked here", ErrUnsupported)
	// ErrWaiting: another program has to bring the object to this computer first.
	ErrWaiting = fmt.Errorf("%w: waiting for the object to be downloaded", ErrOffline)
	// ErrNoSync: there is no synced folder on this computer.
	ErrNoSync = fmt.Errorf("%w: no synced folder on this computer", ErrUnsupported)
	// ErrNoProgram: the program that reaches the place is not installed.
	ErrNoProgram = fmt.Errorf("%w: the program for it is not installed", ErrNoPlace)
	// ErrNoRemote: that program does not know the remote.
	ErrNoRemote = fmt.Errorf("%w: the remote is not set up", ErrNoPlace)
	// ErrUseDrive: Google Drive has a driver of its own.
	ErrUseDrive = fmt.Errorf("%w: google drive has its own kind of place", ErrUnsupported)
	// ErrProxy: the proxy refuses, or wants a password that it did not get.
	ErrProxy = fmt.Errorf("%w: the proxy refused", ErrOffline)
	// ErrAddress: the text does not name a place of its kind.
	ErrAddress = fmt.Errorf("%w: not an address", ErrNoPlace)
	// ErrPlain: the address would send passwords unencrypted.
	ErrPlain = fmt.Errorf("%w: the connection is not encrypted", ErrDenied)
)
