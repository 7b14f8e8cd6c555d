package repo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

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
	// Wait is called, if not nil, before each object: a paused check waits in it.
	Wait func(context.Context) error
}

// CheckProgress is how far a check has come.
type CheckProgress struct {
	Objects, TotalObjects int64
	Bytes, TotalBytes     int64
}

// Damage is one object that is damaged or missing, or, with an empty Object, what is
// missing though no object says so.
type Damage struct {
	Object string
	Reason string
	Chunks int64
	Paths  []string // of files and folders that need it, first maxPaths
}

const maxPaths = 1000

// A Report is what a check found.
type Report struct {
	Objects   int64
	BytesRead int64
	Snapshots int64
	Damaged   []Damage
}

// A checker holds the state of one check.
type checker struct {
	repo *Repository
	o    CheckOptions

	mu       sync.Mutex // guards what follows
	progress CheckProgress
	reasons  map[string]string          // by object
	bad      map[crypto.ChunkID]string  // chunks that cannot be had, and the object that should hold them
	paths    map[string]map[string]bool // by object
	whole    map[crypto.ChunkID]bool    // pages whose entries, and all below, have been looked at
	chunks   map[string]int64           // bad chunks by object
}

// Check reads the destination and tells what is damaged or missing, and which
// files need it. Nothing is taken from a cache: a check that reads its own
// memory finds nothing.
func Check(ctx context.Context, store *cloud.Store, keys *crypto.Keys, o CheckOptions) (*Report, error) {
	r, err := Open(ctx, store, keys, Options{})
	if err != nil {
		return nil, err
	}
	c := &checker{
		repo: r, o: o,
		reasons: map[string]string{},
		bad:     map[crypto.ChunkID]string{},
		paths:   map[string]map[string]bool{},
		whole:   map[crypto.ChunkID]bool{},
		chunks:  map[string]int64{},
	}
	if err := c.objects(ctx); err != nil {
		return nil, err
	}
	snapshots, err := r.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	c.openProblems()
	slices.SortFunc(snapshots, func(a, b *Snapshot) int { return cmp.Compare(b.Started.Sec, a.Started.Sec) })
	c.chains(snapshots)
	for _, s := range snapshots {
		if err := c.folder(ctx, s.Root, "", 0); err != nil {
			return nil, err
		}
	}
	return c.report(int64(len(snapshots))), nil
}

// objects reads objects whole, and of packs as many as were asked for.
func (c *checker) objects(ctx context.Context) error {
	var read []string
	for object, size := range c.repo.listed {
		_, pack := parseName("pack", object)
		if pack && rand.IntN(100) >= c.o.Percent {
			c.progress.Objects++
			continue
		}
		read = append(read, object)
		c.progress.TotalBytes += size
	}
	slices.Sort(read)
	c.progress.TotalObjects = int64(len(c.repo.listed))
	for _, object := range read {
		if c.o.Wait != nil {
			if err := c.o.Wait(ctx); err != nil {
				return err
			}
		}
		if err := c.object(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) object(ctx context.Context, object string) error {
	stored, err := c.read(ctx, object)
	switch {
	case errors.Is(err, cloud.ErrNotFound):
		c.damage(object, "is missing")
	case errors.Is(err, errFormat):
		c.damage(object, "is too large to be an object")
	case err != nil:
		if ctx.Err() != nil || !isReadError(err) {
			return err
		}
		c.damage(object, "cannot be read")
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
	if size > maxPack {
		return nil, errFormat
	}
	stored := make([]byte, size)
	return stored, c.repo.store.ReadAt(ctx, object, stored, 0)
}

// isReadError tells trouble with one object from trouble with the place, which
// ends the check: "everything is damaged" is the wrong thing to say of a disk
// that was pulled out.
func isReadError(err error) bool {
	for _, place := range []error{cloud.ErrOffline, cloud.ErrNoPlace, cloud.ErrAuth, cloud.ErrLimit} {
		if errors.Is(err, place) {
			return false
		}
	}
	return true
}

// bytes checks the stored bytes of one object.
func (c *checker) bytes(object string, stored []byte) {
	if object == readmeName {
		if !checkReadme(stored) {
			c.damage(object, "is not the text that was stored")
		}
		return
	}
	kind := object[:len(object)-41]
	changed := crypto.ObjectName(kind, stored) != object
	var err error
	switch kind {
	case "pack":
		err = c.pack(object, stored)
	case "index":
		_, err = openIndex(c.repo.keys, stored)
	case "snap":
		_, err = openSnapshot(c.repo.keys, stored)
	case "head":
		err = c.head(stored)
	}
	switch {
	case errors.Is(err, crypto.ErrOtherRepository):
		c.damage(object, "belongs to another repository")
	case errors.Is(err, crypto.ErrNewerFormat):
		c.damage(object, "was made by a newer Coffer, or its header is damaged")
	case changed:
		c.damage(object, "its bytes are not those that were stored")
	case err != nil:
		c.damage(object, "does not open with this key")
	}
}

func (c *checker) head(stored []byte) error {
	h, err := parseHead(stored)
	if err != nil {
		return err
	}
	return h.Verify(c.repo.keys)
}

// pack opens every segment of a pack and compares every chunk with its id.
func (c *checker) pack(object string, stored []byte) error {
	name, _ := parseName("pack", object)
	c.repo.mu.RLock()
	number, indexed := c.repo.numbers[name]
	c.repo.mu.RUnlock()
	opener, table, err := parsePack(c.repo.keys, stored)
	if err != nil {
		// Its own footer cannot be trusted; what the index says is in it, is lost.
		if indexed {
			c.losePack(object, number, nil)
		}
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
	if indexed {
		c.losePack(object, number, good)
	}
	return ErrDamaged
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

// losePack marks the chunks of a pack, or those of its segments that are not
// good, as lost, unless another pack has them too.
func (c *checker) losePack(object string, number uint32, good []bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.repo.chunks.shards {
		s := &c.repo.chunks.shards[i]
		for _, e := range s.entries {
			if e.pack == number && (good == nil || int(e.segment) < len(good) && !good[e.segment]) {
				c.bad[e.id] = object
				c.chunks[object]++
			}
		}
	}
}

// openProblems takes over what Open found: packs that are gone, objects that do
// not parse.
func (c *checker) openProblems() {
	for _, p := range c.repo.Problems() {
		reason := "is damaged"
		if errors.Is(p.Err, ErrMissing) {
			reason = "is missing"
		}
		if _, told := c.reasons[p.Object]; !told {
			c.reasons[p.Object] = reason
		}
	}
	for id, pack := range c.repo.lost {
		if _, stored := c.repo.chunks.get(id); !stored {
			c.bad[id] = packName(pack)
			c.chunks[packName(pack)]++
		}
	}
}

// chains names snapshots that another snapshot knew and that are gone.
func (c *checker) chains(snapshots []*Snapshot) {
	have := map[Name]bool{}
	for _, s := range snapshots {
		have[s.Name] = true
	}
	for _, s := range snapshots {
		if s.Sequence > 1 && !have[s.Previous] {
			c.lost(snapName(s.Previous))
		}
		for _, v := range s.Seen {
			if !have[v.Name] {
				c.lost(snapName(v.Name))
			}
		}
	}
}

func (c *checker) lost(object string) {
	if _, told := c.reasons[object]; !told {
		c.reasons[object] = "is missing, though a later backup names it"
	}
}

func (c *checker) damage(object, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reasons[object] = reason
}

// folder looks at all entries below a content, in pages that were not seen in another
// snapshot.
func (c *checker) folder(ctx context.Context, content Content, path string, depth int) error {
	if depth > MaxFolders {
		c.need(path, "", errFormat)
		return nil
	}
	last := ""
	for id, err := range c.repo.IDs(ctx, content) {
		if err != nil {
			return c.need(path, "", err)
		}
		if c.whole[id] {
			continue
		}
		object, lost := c.bad[id]
		var entries []Entry
		if !lost {
			entries, err = c.repo.page(ctx, id, last)
		}
		if lost || err != nil {
			if err := c.need(path, object, err); err != nil {
				return err
			}
			continue
		}
		found := len(c.paths)
		for i := range entries {
			if err := c.entry(ctx, &entries[i], path, depth); err != nil {
				return err
			}
		}
		last = entries[len(entries)-1].Name
		// A page with trouble below is looked at again: it may lie at another path
		// in another snapshot.
		c.whole[id] = len(c.paths) == found
	}
	return nil
}

func (c *checker) entry(ctx context.Context, e *Entry, path string, depth int) error {
	path += "/" + e.Name
	if e.Type == TypeFolder {
		return c.folder(ctx, e.Content, path, depth+1)
	}
	size := e.HoleBytes()
	for id, err := range c.repo.IDs(ctx, e.Content) {
		if err != nil {
			return c.need(path, "", err)
		}
		at, err := c.repo.Locate(id)
		object, lost := c.bad[id]
		if lost || err != nil {
			if err := c.need(path, object, err); err != nil {
				return err
			}
		}
		size += int64(at.Length)
	}
	if size != e.Size && e.State != StateUnreadable && !c.told(path) {
		return c.need(path, "", fmt.Errorf("%w: its chunks do not add up to its size", ErrDamaged))
	}
	return nil
}

func (c *checker) told(path string) bool {
	for _, paths := range c.paths {
		if paths[path] {
			return true
		}
	}
	return false
}

// need notes that path needs an object that is in trouble.
func (c *checker) need(path, object string, err error) error {
	var oe *ObjectError
	if object == "" && errors.As(err, &oe) {
		object = oe.Object
	}
	if err != nil && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrDamaged) && !errors.Is(err, errFormat) {
		return err
	}
	if c.paths[object] == nil {
		c.paths[object] = map[string]bool{}
	}
	if len(c.paths[object]) < maxPaths {
		c.paths[object][path] = true
	}
	if _, told := c.reasons[object]; !told {
		c.reasons[object] = "is damaged"
		if object == "" {
			c.reasons[object] = "data that no object holds"
		}
	}
	return nil
}

func (c *checker) report(snapshots int64) *Report {
	r := &Report{Objects: c.progress.TotalObjects, BytesRead: c.progress.Bytes, Snapshots: snapshots}
	for object, reason := range c.reasons {
		d := Damage{Object: object, Reason: reason, Chunks: c.chunks[object]}
		for p := range c.paths[object] {
			d.Paths = append(d.Paths, p)
		}
		slices.Sort(d.Paths)
		r.Damaged = append(r.Damaged, d)
	}
	slices.SortFunc(r.Damaged, func(a, b Damage) int { return bytes.Compare([]byte(a.Object), []byte(b.Object)) })
	return r
}
