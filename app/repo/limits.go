package repo

import "errors"

// Limits that a reader enforces and a writer keeps (docs/format.md, section 10).
// They bound what a hostile object can make us allocate.
const (
	maxPack     = 64 << 20
	maxIndex    = 32 << 20
	maxSnapshot = 1 << 20
	maxHead     = 64 << 10
	maxRaw      = 8 << 20
	maxChunk    = 4 << 20
	maxDepth    = 4
	maxName     = 4096
	maxLink     = 64 << 10
	maxHoles    = 1024
	maxXattrs   = 1 << 20
	maxMode     = 0o7777
	maxNsec     = 999_999_999

	// MaxFolders is how deep folders may be nested.
	MaxFolders = 4096

	// SmallChunk is the size below which data is one chunk, kept together
	// with its neighbours in one segment.
	SmallChunk = 64 << 10
	// DatabaseBlock is the size of the chunks of a database file.
	DatabaseBlock = 16 << 10

	segmentTarget = 1 << 20
	packTarget    = 16 << 20

	// A chunk of a few bytes takes 36 in the table of its pack and again in an
	// index. Without these, a folder of a million tiny files would make a pack
	// and an index that no reader takes.
	segmentChunks = 16 << 10
	tableTarget   = 8 << 20
)

// What can be wrong with a repository.
var (
	// ErrDamaged says that stored bytes are not what was stored.
	ErrDamaged = errors.New("repo: damaged object")
	// ErrMissing says that something a snapshot needs is not at the destination.
	ErrMissing = errors.New("repo: missing object")
	// ErrNoRepository says that the destination holds no repository.
	ErrNoRepository = errors.New("repo: the destination holds no repository")
	// ErrForged says that a head was not made by a holder of the root key.
	ErrForged = errors.New("repo: head was not made with this key")
)

// errFormat is the reason inside ErrDamaged when bytes opened but do not parse.
var errFormat = errors.New("not in the form of the format")

// An ObjectError says which object is in trouble. It unwraps to ErrDamaged or
// ErrMissing, or to the error of the destination.
type ObjectError struct {
	Object string // name at the destination
	Err    error
}

func (e *ObjectError) Error() string { return e.Object + ": " + e.Err.Error() }

func (e *ObjectError) Unwrap() error { return e.Err }

// A ChunkError says that a chunk is in no pack that any index or footer names.
type ChunkError struct{ Chunk string }

func (e *ChunkError) Error() string { return "chunk " + e.Chunk + " is not in the repository" }

func (e *ChunkError) Unwrap() error { return ErrMissing }
