package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"iter"
	"strings"
	"time"
)

// An Object is what a place says about one object.
type Object struct {
	Name string
	Size int64 // bytes
}

// A Source is the bytes of one object, readable from anywhere and again, so
// that an upload can resume and a failed one can be repeated. It is safe for
// concurrent use.
type Source interface {
	io.ReaderAt
	Size() int64      // bytes
	SHA256() [32]byte // of all of them
}

// Bytes returns b as a Source. b must not change while the Source is in use.
func Bytes(b []byte) Source {
	return &byteSource{Reader: bytes.NewReader(b), sum: sha256.Sum256(b)}
}

type byteSource struct {
	*bytes.Reader
	sum [32]byte
}

func (s *byteSource) SHA256() [32]byte { return s.sum }

// A Driver speaks to one kind of place. The [Store] above it guarantees valid
// arguments: names of the grammar of [ValidName], off >= 0, n >= -1, and a
// context; a Driver may rely on them. A Driver must
//
//   - obey ctx in everything that waits,
//   - be safe for concurrent use,
//   - never retry, and mark with [Final] what waiting cannot heal,
//   - wrap its errors around the classes of this package.
type Driver interface {
	// Put stores src under name, whole or not at all: after an error nothing
	// unfinished has the name, and nothing temporary is ever listed. If the
	// name holds the same bytes already, Put succeeds; if it holds others, they
	// stay and the error is ErrExists. Bytes that do not hash to src.SHA256
	// must not get the name: ErrChecksum. No room: ErrFull.
	Put(ctx context.Context, name string, src Source) error

	// Get opens n bytes from off; n = -1 means to the end. The reader gives
	// exactly those, or an error other than io.EOF; never fewer. A range that
	// is not within the object is ErrRange (an empty one at its end is within).
	// No object: ErrNotFound. If the reader has a method Size() int64 it is
	// taken as a hint of how many bytes will come.
	Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error)

	// List yields the objects whose names begin with prefix, in any order. It
	// may omit the newest and repeat names. After an error it yields no more.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Delete removes name. That it is absent is no error.
	Delete(ctx context.Context, name string) error

	// Caps reports what this place can do.
	Caps() Caps
}

// A Stater is a Driver that can describe one object without fetching it.
type Stater interface {
	// Stat returns ErrNotFound for a name that is absent.
	Stat(ctx context.Context, name string) (Object, error)
}

// A Capacitor is a Driver of a place that knows its size.
type Capacitor interface {
	Capacity(ctx context.Context) (Capacity, error)
}

// A Confirmer is a Driver of a place that is filled from this computer later, by
// another program: a synced folder. Without it, what Put stored has left.
type Confirmer interface {
	// Confirm reports whether the object has left this computer.
	Confirm(ctx context.Context, name string) (Whereabouts, error)
}

// Whereabouts is where an object is known to be.
type Whereabouts string

// The whereabouts.
const (
	WhereUnknown Whereabouts = "unknown" // nobody here can say
	WhereHere    Whereabouts = "here"    // on this computer, and not yet anywhere else
	WhereThere   Whereabouts = "there"   // at the service
)

// A Locker is a Driver of a place that can keep objects from everybody, the
// user and Coffer included, until a date.
type Locker interface {
	// Retain locks an object that exists until then, at least. A date can only be
	// moved away. ErrUnsupported where the place does not lock after all.
	Retain(ctx context.Context, name string, until time.Time) error
}

// A Maintainer is a Driver of a place where things can pile up that no listing
// shows: duplicates, halves of uploads. Maintain tidies them and returns how many.
// It deletes nothing that anybody could still need, and may be called at any time.
type Maintainer interface {
	Maintain(ctx context.Context) (tidied int, err error)
}

// A Finisher is a Driver that keeps on this computer what it is sending, so that an upload
// goes on when the program that began it was killed.
type Finisher interface {
	// Unfinished yields what was begun and did not end, with its bytes, which are those of
	// the name and can be read until the next is asked for. Put ends the upload. The
	// caller sees to it that no other program sends to the place from here meanwhile.
	Unfinished() iter.Seq2[string, Source]
}

// A Describer is a Driver that can say whose place it is.
type Describer interface {
	Describe(ctx context.Context) (Description, error)
}

// A Description is for people: an account, a server, and what it said of itself.
type Description struct {
	Account string // "ann@example.org", or ""
	Server  string // "OpenSSH_9.2", "Apache", or ""
}

// Capacity is the room of a place in bytes; -1 where it is not limited or not
// known. Free is what this user may still write.
type Capacity struct {
	Free, Total int64
}

// Caps is what a place can do. The zero value promises nothing.
type Caps struct {
	PutIfAbsent   bool   // of many writers of one name with different bytes, exactly one succeeds
	ResumePut     bool   // an upload that was cut goes on at the byte
	ListAfterPut  bool   // a listing shows at once what was put before it
	Versions      bool   // overwritten and deleted objects can be brought back
	Lock          bool   // objects can be kept from everybody until a date
	RemoteConfirm bool   // the place can say whether an object has left this computer
	ServerSum     string // the hash that the place computes itself, such as "sha256"; or empty
	PackSize      int64  // bytes of a pack that suit this place; 0: the default
	Parallel      int    // requests at once that help; 0: the default
}

// readme is the one name that is not made from a hash: a note to the person
// who finds the folder.
const readme = "README.txt"

// hashDigits is how much of the SHA-256 is in a name: 160 bits, so that even
// the longest prefix stays short: "index-" makes 46 characters.
const hashDigits = 40

// ValidName reports whether name can be an object's: "head-", "pack-",
// "index-" or "snap-" and 40 lower-case hex digits, or "README.txt". All else
// in a place is a foreign file: not read, not listed, not deleted.
func ValidName(name string) bool {
	if name == readme {
		return true
	}
	kind, digits, ok := strings.Cut(name, "-")
	if !ok || len(digits) != hashDigits {
		return false
	}
	switch kind {
	case "head", "pack", "index", "snap":
	default:
		return false
	}
	return strings.Trim(digits, "0123456789abcdef") == ""
}

// Name returns the name of the object of the given kind ("head", "pack",
// "index", "snap") with the stored bytes data: the kind, a dash, and the first
// 40 hex digits of the SHA-256 of data.
func Name(kind string, data []byte) string {
	return nameOf(kind, sha256.Sum256(data))
}

func nameOf(kind string, sum [32]byte) string {
	return kind + "-" + hex.EncodeToString(sum[:])[:hashDigits]
}

// named reports whether bytes that hash to sum may have the name.
func named(name string, sum [32]byte) bool {
	kind, _, ok := strings.Cut(name, "-")
	return !ok || nameOf(kind, sum) == name
}
