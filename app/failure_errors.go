package app

import "errors"

// The situations of browsing, restoring and checking.
var (
	// ErrNoSnapshot: no snapshot has that id. See [SnapshotError].
	ErrNoSnapshot = errors.New("app: no such snapshot")
	// ErrAmbiguous: several snapshots begin so. See [SnapshotError].
	ErrAmbiguous = errors.New("app: several snapshots begin so")
	// ErrNoPath: the snapshot has nothing at that path. See [PathError].
	ErrNoPath = errors.New("app: no such path in the snapshot")
	// ErrTargetInSource: a restore would write into what is backed up. See [PathError].
	ErrTargetInSource = errors.New("app: the target lies inside a source")
	// ErrTargetInPlace: a restore would write into a place. See [PathError].
	ErrTargetInPlace = errors.New("app: the target lies inside a place")
	// ErrTargetNotEmpty: files are there and no policy says what happens to them. See
	// [PathError].
	ErrTargetNotEmpty = errors.New("app: the target is not empty")
	// ErrTargetDenied: the target cannot be written. See [PathError].
	ErrTargetDenied = errors.New("app: the target cannot be written")
	// ErrDamaged: a check found damage; its report names it.
	ErrDamaged = errors.New("app: the repository is damaged")
)

// A PathError names a path of a snapshot or of this computer.
type PathError struct {
	Path string // raw bytes
	Err  error
}

func (e *PathError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *PathError) Unwrap() error { return e.Err }

// A SnapshotError names what the user typed for a snapshot.
type SnapshotError struct {
	Ref string
	Err error // ErrNoSnapshot or ErrAmbiguous
}

func (e *SnapshotError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *SnapshotError) Unwrap() error { return e.Err }
