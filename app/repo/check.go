package repo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"coffer/cloud"
	"coffer/crypto"
)

// CheckOptions say how deep a check looks.
type CheckOptions struct {
	// Percent of the packs whose every byte is read: 0 to 100. All other objects
	// are read always.
	Percent int
	// Progress is called, if not nil, after each object; not at the same time.
	Progress func(CheckProgress)
	// Wait is called, if not nil, before each object, by several goroutines: a paused
	// check waits in it.
	Wait func(context.Context) error
}

// CheckProgress is how far a check has come.
type CheckProgress struct {
	Objects, TotalObjects int64
	Bytes, TotalBytes     int64
}

// Damage is one object that is damaged or missing, or, with an empty Object, what is
// missing though no object says so. The Object is "head" when no head is left.
type Damage struct {
	Object string   // name at the destination
	Reason string   // in plain words, to follow the name
	Chunks int64    // that cannot be had from any other object
	Paths  []string // of files and folders that need it, ascending, at most 1,000
}

const (
	maxPaths = 1000
	// maxVisits bounds how often entries below one page are looked at again because
	// something there is in trouble. A tree can name a page at more paths than there
	// are atoms, and needs only some thousand bytes for it.
	maxVisits = 100
	// checkParallel bounds the packs in memory at a time.
	checkParallel = 4
)

// A Report is what a check found.
type Report struct {
	Objects   int64 // at the destination
	Foreign   int64 // of them, whole ones of other repositories: none of ours
	BytesRead int64
	Snapshots int64
	Damaged   []Damage // ascending by Object
}

// A checker holds the state of one check. While objects are read, several goroutines
// share it; what comes after is one.
type checker struct {
	repo *Repository
	o    CheckOptions

	mu       sync.Mutex // guards what follows, while objects are read
	progress CheckProgress
	foreign  int64
	heads    int               // that verify
	reasons  map[string]string // by object
	broken   map[uint32][]bool // by number of a pack: which segments are good; nil: none

	bad    map[crypto.ChunkID]string  // chunks that cannot be had, and the object that should hold them
	chunks map[string]int64           // bad chunks by object
	paths  map[string]map[string]bool // by object
	pages  map[crypto.ChunkID]*pageState
}

// A pageState is what is known of a page that was looked at.
type pageState struct {
	first, last string // names
	whole       bool   // so is all below
	visits      int
}

// Check reads the destination and tells what is damaged or missing, and which
// files need it. Nothing is taken from a cache: a check that reads its own
// memory finds nothing. Objects that only belong to another repository are counted and
// are no damage. Errors are those of the destination and of ctx.
func Check(ctx context.Context, store *cloud.Store, keys *crypto.Keys, o CheckOptions) (*Report, error) {
	r, err := Open(ctx, store, keys, Options{})
	if err != nil {
		return nil, err
	}
	c := &checker{
		repo: r, o: o,
		reasons: map[string]string{},
		broken:  map[uint32][]bool{},
		bad:     map[crypto.ChunkID]string{},
		chunks:  map[string]int64{},
		paths:   map[string]map[string]bool{},
		pages:   map[crypto.ChunkID]*pageState{},
	}
	if err := c.objects(ctx); err != nil {
		return nil, err
	}
	snapshots, err := r.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	c.openProblems()
	c.loseChunks()
	if snapshots, err = c.chains(ctx, snapshots); err != nil {
		return nil, err
	}
	slices.SortFunc(snapshots, func(a, b *Snapshot) int {
		return cmp.Or(cmp.Compare(b.Started.Sec, a.Started.Sec), bytes.Compare(a.Name[:], b.Name[:]))
	})
	for _, s := range snapshots {
		if _, err := c.folder(ctx, s.Root, "", 0); err != nil {
			return nil, err
		}
	}
	return c.report(int64(len(snapshots))), nil
}

// objects reads objects whole, and of packs as many as were asked for.
func (c *checker) objects(ctx context.Context) error {
	read := c.choose()
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(min(c.repo.parallel, checkParallel))
	for _, object := range read {
		group.Go(func() error {
			if c.o.Wait != nil {
				if err := c.o.Wait(groupCtx); err != nil {
					return err
				}
			}
			if err := groupCtx.Err(); err != nil {
				return err
			}
			return c.object(groupCtx, object)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if c.heads == 0 {
		c.reasons["head"] = "is missing: only the 64 digits open this backup"
	}
	return nil
}

// choose returns the objects to read: all but packs, and the share of packs that was
// asked for, rounded up, others each time.
func (c *checker) choose() (read []string) {
	var packs []string
	for object := range c.repo.listed {
		if strings.HasPrefix(object, "pack-") {
			packs = append(packs, object)
			continue
		}
		read = append(read, object)
	}
	slices.Sort(packs)
	rand.Shuffle(len(packs), func(i, j int) { packs[i], packs[j] = packs[j], packs[i] })
	percent := min(max(c.o.Percent, 0), 100)
	wanted := (len(packs)*percent + 99) / 100
	read = append(read, packs[:wanted]...)
	slices.Sort(read)
	for _, object := range read {
		c.progress.TotalBytes += c.repo.listed[object]
	}
	c.progress.TotalObjects = int64(len(c.repo.listed))
	c.progress.Objects = int64(len(packs) - wanted)
	return read
}

func (c *checker) object(ctx context.Context, object string) error {
	stored, err := c.read(ctx, object)
	switch {
	case errors.Is(err, cloud.ErrNotFound):
		stored = nil
		c.damage(object, "is missing")
		c.breakObject(object)
	case errors.Is(err, errFormat):
		c.damage(object, "is too large to be an object")
	case err != nil:
		if ctx.Err() != nil || !isReadError(err) {
			return err
		}
		stored = nil
		c.damage(object, "cannot be read")
		c.breakObject(object)
	default:
		c.bytes(object, stored)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Objects++
	c.progress.Bytes += int64(len(stored))
	if c.o.Progress != nil {
		c.o.Progress(c.progress)
	}
	return nil
}

// read returns the bytes of an object whatever they are: Store.Get gives none when one
// bit is wrong, and then nobody knows which files are whole.
func (c *checker) read(ctx context.Context, object string) ([]byte, error) {
	size := c.repo.listed[object]
	kind, _, _ := strings.Cut(object, "-")
	if limit, ok := limits[kind]; size > maxPack || ok && size > limit {
		return nil, errFormat
	}
	stored := make([]byte, size)
	err := c.repo.store.ReadAt(ctx, object, stored, 0)
	if err == nil && object != readmeName && crypto.ObjectName(kind, stored) != object {
		// A second look: a bit that was lost on the way is no damage.
		err = c.repo.store.ReadAt(ctx, object, stored, 0)
	}
	return stored, err
}

// bytes checks the stored bytes of one object.
func (c *checker) bytes(object string, stored []byte) {
	if object == readmeName {
		if !checkReadme(stored) {
			c.damage(object, "is not the text that was stored")
		}
		return
	}
	kind, _, _ := strings.Cut(object, "-")
	changed := crypto.ObjectName(kind, stored) != object
	var err error
	switch kind {
	case "pack":
		err = c.pack(object, stored, changed)
	case "index":
		_, err = openIndex(c.repo.keys, stored)
	case "snap":
		_, err = openSnapshot(c.repo.keys, stored)
	case "head":
		err = c.head(stored)
	}
	switch {
	case changed: // before what the bytes claim: a bad bit may claim anything
		c.damage(object, "its bytes are not those that were stored")
	case errors.Is(err, crypto.ErrOtherRepository):
		c.mu.Lock()
		defer c.mu.Unlock()
		c.foreign++
	case errors.Is(err, crypto.ErrNewerFormat):
		c.damage(object, "was made by a newer Coffer, which alone can check it")
	case err != nil:
		c.damage(object, "does not open with this key")
	}
}

func (c *checker) head(stored []byte) error {
	h, err := parseHead(stored)
	if err != nil {
		return err
	}
	if err := h.Verify(c.repo.keys); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heads++
	return nil
}

// pack opens every segment of a pack and compares every chunk with its id. A pack that
// has the bytes of its name is described by its own footer; one that was changed may be
// another pack altogether, and counts for what can be read where the indexes say.
func (c *checker) pack(object string, stored []byte, changed bool) error {
	if changed {
		if number, known := c.repo.number(object); known {
			c.breakPack(number, c.salvage(number, stored))
		}
		return ErrDamaged
	}
	opener, table, err := parsePack(c.repo.keys, stored)
	if err != nil {
		c.breakObject(object)
		return err
	}
	offset := crypto.HeaderSize
	good := make([]bool, len(table))
	for i, s := range table {
		place := segmentPlace{uint32(offset), s.sealed, s.raw, s.method}
		end := offset + int(s.sealed)
		good[i] = c.repo.segmentWhole(opener, stored[offset:end], uint32(i), place, s.chunks)
		offset = end
	}
	if !slices.Contains(good, false) {
		return nil
	}
	if number, known := c.repo.number(object); known {
		c.breakPack(number, good)
	}
	return ErrDamaged
}

// salvage reports which segments of a changed pack still give all the chunks that were
// taken to be there.
func (c *checker) salvage(number uint32, stored []byte) []bool {
	if len(stored) < crypto.HeaderSize {
		return nil
	}
	opener, err := c.repo.keys.NewOpener(crypto.KindPack, stored[:crypto.HeaderSize])
	if err != nil {
		return nil
	}
	chunks := map[uint32][]tableEntry{}
	c.repo.chunks.everywhere(func(id crypto.ChunkID, at location) {
		if at.pack == number {
			chunks[at.segment] = append(chunks[at.segment], tableEntry{id, at})
		}
	})
	places := c.repo.pack(number).segments
	good := make([]bool, len(places))
	for i, p := range places {
		if uint64(p.offset)+uint64(p.sealed) > uint64(len(stored)) {
			continue
		}
		raw, err := c.repo.openSegment(opener, stored[p.offset:p.offset+p.sealed], uint32(i), p)
		if err != nil {
			continue
		}
		good[i] = !slices.ContainsFunc(chunks[uint32(i)], func(e tableEntry) bool {
			_, err := c.repo.Slice(raw, e.place(), e.id)
			return err != nil
		})
	}
	return good
}

func (r *Repository) segmentWhole(o *crypto.Opener, sealed []byte, number uint32, p segmentPlace, chunks []chunkEntry) bool {
	raw, err := r.openSegment(o, sealed, number, p)
	if err != nil {
		return false
	}
	h := r.hashers.Get().(*crypto.ChunkHasher)
	defer r.hashers.Put(h)
	for _, c := range chunks {
		if h.Sum(raw[:c.length]) != c.id {
			return false
		}
		raw = raw[c.length:]
	}
	return true
}

// parsePack reads header, trailer and footer of a pack that is in memory.
func parsePack(keys *crypto.Keys, stored []byte) (*crypto.Opener, []segmentEntry, error) {
	if len(stored) < crypto.HeaderSize+trailerSize {
		return nil, nil, errFormat
	}
	opener, err := keys.NewOpener(crypto.KindPack, stored[:crypto.HeaderSize])
	if err != nil {
		return nil, nil, err
	}
	end := len(stored) - trailerSize
	length, segments, err := parseTrailer(opener, stored[end:])
	if err != nil || length > end-crypto.HeaderSize {
		return nil, nil, orFormat(err)
	}
	table, err := parseFooter(opener, stored[end-length:end], len(stored), segments)
	return opener, table, err
}

// breakPack notes which segments of a pack are good; nil: none.
func (c *checker) breakPack(number uint32, good []bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken[number] = good
}

// loseChunks marks the chunks of broken packs as lost, unless another pack has them too.
func (c *checker) loseChunks() {
	if len(c.broken) == 0 {
		return
	}
	var bad []tableEntry
	c.repo.chunks.all(func(e *tableEntry) {
		if c.isBroken(e.location) {
			bad = append(bad, *e)
		}
	})
	for _, e := range bad {
		copies := c.repo.chunks.copies(e.id)
		if i := slices.IndexFunc(copies, func(at location) bool { return !c.isBroken(at) }); i >= 0 {
			c.repo.chunks.prefer(e.id, copies[i])
			continue
		}
		object := c.repo.object(e.pack)
		c.bad[e.id] = object
		c.chunks[object]++
	}
}

// breakObject notes that nothing in the object can be had, if it is a pack.
func (c *checker) breakObject(object string) {
	if number, known := c.repo.number(object); known {
		c.breakPack(number, nil)
	}
}

// number returns the number of a pack that holds known chunks.
func (r *Repository) number(object string) (number uint32, known bool) {
	name, ok := parseName("pack", object)
	r.mu.RLock()
	defer r.mu.RUnlock()
	number, known = r.numbers[name]
	return number, known && ok
}

func (c *checker) isBroken(at location) bool {
	good, broken := c.broken[at.pack]
	return broken && (int(at.segment) >= len(good) || !good[at.segment])
}

// openProblems takes over what Open found: packs that are gone, objects that do
// not parse.
func (c *checker) openProblems() {
	for _, p := range c.repo.Problems() {
		reason := "is damaged"
		switch {
		case errors.Is(p.Err, ErrMissing):
			reason = "is missing"
		case errors.Is(p.Err, crypto.ErrNewerFormat):
			reason = "was made by a newer Coffer, which alone can check it"
		case !errors.Is(p.Err, ErrDamaged):
			reason = "cannot be read"
		}
		c.tell(p.Object, reason)
	}
	for id, pack := range c.repo.lost {
		if _, stored := c.repo.chunks.get(id); !stored {
			c.bad[id] = packName(pack)
			c.chunks[packName(pack)]++
		}
	}
}

// chains names snapshots that another snapshot knew and that are gone. One that arrived
// after the listing is not gone: it is checked with the others.
func (c *checker) chains(ctx context.Context, snapshots []*Snapshot) ([]*Snapshot, error) {
	have := map[Name]bool{}
	for _, s := range snapshots {
		have[s.Name] = true
	}
	for i := 0; i < len(snapshots); i++ { // it grows
		for _, name := range namedBy(snapshots[i]) {
			if have[name] {
				continue
			}
			have[name] = true
			late, err := c.repo.Snapshot(ctx, name)
			if err == nil {
				snapshots = append(snapshots, late)
				continue
			}
			if ctx.Err() != nil || !isReadError(err) {
				return nil, err
			}
			c.tell(snapName(name), "is missing, though a later backup names it")
		}
	}
	return snapshots, nil
}

// namedBy returns the snapshots that s knew.
func namedBy(s *Snapshot) (names []Name) {
	if s.Sequence > 1 {
		names = append(names, s.Previous)
	}
	for _, v := range s.Seen {
		names = append(names, v.Name)
	}
	return names
}

// tell notes a reason, unless a better one is known.
func (c *checker) tell(object, reason string) {
	if _, told := c.reasons[object]; !told {
		c.reasons[object] = reason
	}
}

func (c *checker) damage(object, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reasons[object] = reason
}

func (c *checker) report(snapshots int64) *Report {
	r := &Report{Objects: c.progress.TotalObjects, Foreign: c.foreign, BytesRead: c.progress.Bytes, Snapshots: snapshots}
	for object, reason := range c.reasons {
		d := Damage{Object: object, Reason: reason, Chunks: c.chunks[object]}
		for p := range c.paths[object] {
			d.Paths = append(d.Paths, p)
		}
		slices.Sort(d.Paths)
		r.Damaged = append(r.Damaged, d)
	}
	slices.SortFunc(r.Damaged, func(a, b Damage) int { return strings.Compare(a.Object, b.Object) })
	return r
}
