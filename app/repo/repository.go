package repo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"

	"coffer/cloud"
	"coffer/crypto"
)

// Options tune a Repository. The zero value is fine.
type Options struct {
	Log *slog.Logger
	// Cache is how many bytes of opened segments are kept. Zero: 32 MiB.
	Cache int
	// Pack is the most bytes that packs are filled to. Zero: what suits the
	// destination. Packs being filled and sent are most of the memory of a backup.
	Pack int
}

// A Repository is one repository at a destination, with its chunks' places in
// memory. Everything in it was read from the destination by Open: there is no
// local cache that could hide damage. It is safe for concurrent use.
type Repository struct {
	store    *cloud.Store
	keys     *crypto.Keys
	log      *slog.Logger
	parallel int
	most     int // Options.Pack
	chunks   chunkTable
	segments segmentCache
	hashers  sync.Pool // *crypto.ChunkHasher
	decoders sync.Pool // *zstd.Decoder

	mu       sync.RWMutex // guards what follows
	packs    []packInfo
	numbers  map[Name]uint32
	openers  map[uint32]*crypto.Opener
	lost     map[crypto.ChunkID]Name // chunks of packs that are gone or cut short
	problems []*ObjectError
	troubled map[string]bool  // the objects of problems
	listed   map[string]int64 // objects at the destination when it was opened
}

// packInfo is a storedPack in the form that reading needs.
type packInfo struct {
	name     Name
	size     int64
	segments []segmentPlace
}

type segmentPlace struct {
	offset, sealed, raw uint32
	method              uint8
}

// Open reads all indexes of the repository, and the footers of packs that no
// index names: those of a backup that was interrupted. Objects that are damaged,
// missing, unreadable or of a newer format do not stop it; they are in Problems, and what
// they held counts as not stored, so that the next backup stores it again. Only when
// nothing but such objects is there, their error is returned: crypto.ErrNewerFormat
// among others.
func Open(ctx context.Context, store *cloud.Store, keys *crypto.Keys, o Options) (*Repository, error) {
	r := &Repository{
		store:    store,
		keys:     keys,
		log:      o.Log,
		parallel: max(2, store.Caps().Parallel),
		most:     o.Pack,
		numbers:  map[Name]uint32{},
		openers:  map[uint32]*crypto.Opener{},
		lost:     map[crypto.ChunkID]Name{},
		troubled: map[string]bool{},
		listed:   map[string]int64{},
	}
	r.hashers.New = func() any { return keys.NewChunkHasher() }
	r.decoders.New = newDecoder
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	r.segments.limit = o.Cache
	if o.Cache == 0 {
		r.segments.limit = 32 << 20
	}
	for object, err := range store.List(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("list the repository: %w", err)
		}
		r.listed[object.Name] = object.Size
	}
	if err := r.loadIndexes(ctx); err != nil {
		return nil, err
	}
	if err := r.adoptPacks(ctx); err != nil {
		return nil, err
	}
	if len(r.packs) == 0 {
		return r, r.onlyTrouble()
	}
	return r, nil
}

// onlyTrouble returns the first problem that another program, or another day, may not
// have.
func (r *Repository) onlyTrouble() error {
	for _, p := range r.Problems() {
		if !errors.Is(p, ErrDamaged) && !errors.Is(p, ErrMissing) {
			return p
		}
	}
	return nil
}

// Problems returns the objects that were found in trouble so far: damaged, missing,
// unreadable or of a newer format. Each is named once.
func (r *Repository) Problems() []*ObjectError {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return append([]*ObjectError(nil), r.problems...)
}

func (r *Repository) problem(err *ObjectError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.troubled[err.Object] {
		return
	}
	r.log.Warn("object in trouble", "object", err.Object, "error", err.Err)
	r.troubled[err.Object] = true
	r.problems = append(r.problems, err)
}

// forgive turns the trouble of one object into an entry of Problems. Objects of
// another repository are none of ours. Other errors are returned.
func (r *Repository) forgive(ctx context.Context, object string, err error) error {
	var known *ObjectError
	switch {
	case err == nil || errors.Is(err, crypto.ErrOtherRepository):
	case errors.As(err, &known):
		r.problem(known)
	case ctx.Err() != nil || ofPlace(err):
		return err
	default: // one bad sector must not make all of the repository unreadable
		r.problem(&ObjectError{object, err})
	}
	return nil
}

// ofPlace tells trouble with the place from trouble with one object.
func ofPlace(err error) bool {
	for _, place := range []error{cloud.ErrOffline, cloud.ErrNoPlace, cloud.ErrAuth, cloud.ErrLimit, cloud.ErrDenied} {
		if errors.Is(err, place) {
			return true
		}
	}
	return false
}

// isReadError tells trouble with one object from trouble with the place, which
// ends the check: "everything is damaged" is the wrong thing to say of a disk
// that was pulled out.
func isReadError(err error) bool { return !ofPlace(err) || errors.Is(err, cloud.ErrDenied) }

// limits are the sizes of objects, by kind, beyond which none is worth fetching.
var limits = map[string]int64{"pack": maxPack, "index": maxIndex, "snap": maxSnapshot, "head": maxHead}

// each calls fn for the objects of a kind, some at once.
func (r *Repository) each(ctx context.Context, kind string, fn func(ctx context.Context, object string) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.parallel)
	for object := range r.listed {
		if _, ok := parseName(kind, object); !ok {
			continue
		}
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if r.listed[object] > limits[kind] {
				return r.forgive(ctx, object, broken(object, cloud.ErrTooLarge))
			}
			return r.forgive(ctx, object, fn(ctx, object))
		})
	}
	return group.Wait()
}

func (r *Repository) loadIndexes(ctx context.Context) error {
	return r.each(ctx, "index", func(ctx context.Context, object string) error {
		_, stored, err := fetch(ctx, r.store, "index", object)
		if err != nil {
			return err
		}
		packs, err := openIndex(r.keys, stored)
		if err != nil {
			return broken(object, err)
		}
		for _, p := range packs {
			if err := r.register(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// register makes the chunks of a pack known, if the pack is there in its full
// size: what an index says of a pack that is gone would make a backup skip data
// that nobody has.
func (r *Repository) register(ctx context.Context, p storedPack) error {
	object := packName(p.name)
	size, ok := r.listed[object]
	if !ok {
		o, err := r.store.Stat(ctx, object) // a listing may lag behind
		if err != nil && !errors.Is(err, cloud.ErrNotFound) {
			return err
		}
		size, ok = o.Size, err == nil
	}
	switch {
	case !ok:
		r.lose(p, &ObjectError{object, ErrMissing})
	case size != p.size:
		r.lose(p, &ObjectError{object, fmt.Errorf("%w: it has %d bytes instead of %d", ErrDamaged, size, p.size)})
	default:
		r.addPack(p)
	}
	return nil
}

func (r *Repository) lose(p storedPack, why *ObjectError) {
	r.mu.Lock()
	for _, s := range p.segments {
		for _, c := range s.chunks {
			r.lost[c.id] = p.name
		}
	}
	r.mu.Unlock()
	r.problem(why)
}

// addPack makes a pack that is at the destination known, with its chunks.
func (r *Repository) addPack(p storedPack) {
	info := packInfo{name: p.name, size: p.size, segments: make([]segmentPlace, len(p.segments))}
	offset := uint32(crypto.HeaderSize)
	for i, s := range p.segments {
		info.segments[i] = segmentPlace{offset, s.sealed, s.raw, s.method}
		offset += s.sealed
	}
	r.mu.Lock()
	if _, known := r.numbers[p.name]; known {
		r.mu.Unlock()
		return
	}
	number := uint32(len(r.packs))
	r.packs = append(r.packs, info)
	r.numbers[p.name] = number
	r.mu.Unlock()
	for i, s := range p.segments {
		at := location{pack: number, segment: uint32(i)}
		for _, c := range s.chunks {
			at.length = c.length
			r.chunks.set(c.id, at)
			at.offset += c.length
		}
	}
}

// adoptPacks reads the footers of packs that no index names.
func (r *Repository) adoptPacks(ctx context.Context) error {
	return r.each(ctx, "pack", func(ctx context.Context, object string) error {
		name, _ := parseName("pack", object)
		r.mu.RLock()
		_, known := r.numbers[name]
		known = known || r.troubled[object]
		r.mu.RUnlock()
		if known {
			return nil
		}
		p, err := r.readFooter(ctx, name, r.listed[object])
		if err != nil {
			return err
		}
		r.addPack(p)
		r.log.Info("took over a pack that no index names", "object", object)
		return nil
	})
}

// readFooter describes a pack by its own footer, in three small reads, after a second
// look if need be.
func (r *Repository) readFooter(ctx context.Context, name Name, size int64) (storedPack, error) {
	object := packName(name)
	if size < crypto.HeaderSize+trailerSize || size > maxPack {
		return storedPack{}, broken(object, errFormat)
	}
	opener, err := r.readHeader(ctx, object)
	if err != nil {
		return storedPack{}, err
	}
	p, err := r.footerOf(ctx, opener, name, size)
	if errors.Is(err, ErrDamaged) {
		p, err = r.footerOf(ctx, opener, name, size)
	}
	return p, err
}

func (r *Repository) footerOf(ctx context.Context, opener *crypto.Opener, name Name, size int64) (storedPack, error) {
	object := packName(name)
	trailer := make([]byte, trailerSize)
	if err := r.readAt(ctx, object, trailer, size-trailerSize); err != nil {
		return storedPack{}, err
	}
	length, segments, err := parseTrailer(opener, trailer)
	if err != nil || int64(length) > size-crypto.HeaderSize-trailerSize {
		return storedPack{}, broken(object, orFormat(err))
	}
	footer := make([]byte, length)
	if err := r.readAt(ctx, object, footer, size-trailerSize-int64(length)); err != nil {
		return storedPack{}, err
	}
	table, err := parseFooter(opener, footer, int(size), segments)
	if err != nil {
		return storedPack{}, broken(object, err)
	}
	return storedPack{name, size, table}, nil
}

func orFormat(err error) error {
	if err == nil {
		return errFormat
	}
	return err
}

// readAt reads exactly len(p) bytes of an object.
func (r *Repository) readAt(ctx context.Context, object string, p []byte, off int64) error {
	err := r.store.ReadAt(ctx, object, p, off)
	switch {
	case errors.Is(err, cloud.ErrNotFound):
		return &ObjectError{object, ErrMissing}
	case errors.Is(err, cloud.ErrRange):
		return broken(object, err)
	case err != nil && ctx.Err() == nil && isReadError(err):
		return &ObjectError{object, err}
	}
	return err
}

// Snapshots returns all snapshots that open, in no order. Others are in Problems; when
// none opens because all are of a newer format, or unreadable, that is the error.
func (r *Repository) Snapshots(ctx context.Context) ([]*Snapshot, error) {
	var mu sync.Mutex
	var all []*Snapshot
	err := r.each(ctx, "snap", func(ctx context.Context, object string) error {
		s, err := r.fetchSnapshot(ctx, object)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, s)
		return nil
	})
	if err == nil && len(all) == 0 {
		err = r.onlyTrouble()
	}
	return all, err
}

// Snapshot returns the snapshot of that name, also when a listing does not show
// it yet. ErrMissing when it is not there.
func (r *Repository) Snapshot(ctx context.Context, name Name) (*Snapshot, error) {
	return r.fetchSnapshot(ctx, snapName(name))
}

func (r *Repository) fetchSnapshot(ctx context.Context, object string) (*Snapshot, error) {
	name, stored, err := fetch(ctx, r.store, "snap", object)
	if err != nil {
		return nil, err
	}
	s, err := openSnapshot(r.keys, stored)
	if err != nil {
		return nil, broken(object, err)
	}
	s.Name = name
	return s, nil
}

// Empty reports whether the destination has nothing of this repository but
// perhaps a head.
func (r *Repository) Empty() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.packs) == 0
}

// ID returns the repository's id.
func (r *Repository) ID() crypto.RepositoryID { return r.keys.Repository() }

// StoredBytes returns the size of all objects that were listed when the
// repository was opened.
func (r *Repository) StoredBytes() (n int64) {
	for _, size := range r.listed {
		n += size
	}
	return n
}
