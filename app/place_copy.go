package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"coffer/app/repo"
	"coffer/cloud"
)

// CopyOptions say who is told of a copy, and who may pause it.
type CopyOptions struct {
	Gate     *Gate // nil: cannot be paused
	Progress ProgressFunc
}

// A CopySummary is what CopyPlace did. Its JSON is that of `coffer place copy --json`.
type CopySummary struct {
	Objects int64    `json:"objects"` // in the place that was read
	Copied  int64    `json:"copied"`  // that the other place did not have
	Bytes   int64    `json:"bytes"`   // of them
	Damaged []string `json:"damaged"` // not what their names promise, and left out
	Seconds float64  `json:"seconds"`
}

// CopyPlace copies the objects that one place has and another lacks, each checked by its
// hash. from and to are ids or texts of places; to may be a place that is not yet the
// profile's: then it is added at the end. It deletes nothing that is good, and goes on
// where an earlier copy ended. No key is needed: what is sealed stays sealed.
//
// Packs and indexes go first, then heads, and snapshots LAST: a snapshot is in the other
// place only when all that it needs went there before, so that an interrupted copy is a
// whole backup of an earlier day. What is damaged is named and left out; snapshots that
// need it are copied all the same, because they still give back everything else.
func (a *App) CopyPlace(ctx context.Context, from, to string, o CopyOptions) (CopySummary, error) {
	started := time.Now()
	summary, err := a.copyPlace(ctx, from, to, o)
	summary.Seconds = time.Since(started).Seconds()
	if err != nil {
		return summary, fmt.Errorf("copy place: %w", err)
	}
	return summary, nil
}

func (a *App) copyPlace(ctx context.Context, from, to string, o CopyOptions) (CopySummary, error) {
	none := CopySummary{Damaged: []string{}}
	p, err := a.profile()
	if err != nil {
		return none, err
	}
	source, err := a.openEnd(ctx, p, from, false)
	if err != nil {
		return none, err
	}
	defer source.Close()
	target, err := a.openEnd(ctx, p, to, true)
	if err != nil {
		return none, err
	}
	defer target.Close()
	if source.entry.Dest == target.entry.Dest {
		return none, atPlace(target.entry.Dest, ErrPlaceKnown)
	}
	if err := source.heads.mustHold(p.Repository); err != nil {
		return none, atPlace(source.entry.Dest, err)
	}
	// What is empty may become a copy; what holds another backup never does.
	if err := target.heads.mustHold(p.Repository); err != nil && !errors.Is(err, ErrPlaceForeign) {
		return none, atPlace(target.entry.Dest, err)
	}
	c := &placeCopy{from: source, to: target, options: o, most: a.cfg.Memory / 2, summary: none}
	if err := c.run(ctx); err != nil {
		return c.summary, err
	}
	if target.entry.ID == "" {
		if _, _, err := a.AddPlace(ctx, target.entry.Dest, false); err != nil {
			return c.summary, err
		}
	}
	return c.summary, nil
}

// openEnd opens one end of a copy: a place of the profile, or any other.
func (a *App) openEnd(ctx context.Context, p Profile, ref string, create bool) (*placeStore, error) {
	if e, ok := p.place(ref); ok {
		return a.openEntry(ctx, p, e)
	}
	store, err := a.openDest(ctx, ref, create)
	if err != nil {
		return nil, err
	}
	if e, ok := p.place(store.entry.Dest); ok { // written in another way
		return a.openEntry(ctx, p, e)
	}
	if store.heads, err = readHeads(ctx, store.Store); err != nil {
		return nil, errors.Join(atPlace(store.entry.Dest, err), store.Close())
	}
	return store, nil
}

// copyOrder is the order of the kinds of objects. Each is complete before the next begins.
var copyOrder = [...]string{"README", "pack-", "index-", "head-", "snap-"}

// A placeCopy is one call of CopyPlace.
type placeCopy struct {
	from, to *placeStore
	options  CopyOptions
	most     int64 // bytes in memory at once
	meter    *meter
	there    map[string]int64 // what to has: name -> size

	mu      sync.Mutex
	summary CopySummary // guarded by mu
}

func (c *placeCopy) run(ctx context.Context) error {
	c.meter = newMeter(ctx, c.options.Progress, c.options.Gate, PhasePlanning)
	defer c.meter.end()
	steps, err := c.plan(ctx)
	if err != nil {
		return err
	}
	c.meter.enter(PhaseUploading)
	for _, objects := range steps {
		if err := c.copyAll(ctx, objects); err != nil {
			return err
		}
	}
	slices.Sort(c.summary.Damaged)
	return nil
}

// plan compares the two places, and returns what is to be copied, a list for each kind.
func (c *placeCopy) plan(ctx context.Context) ([][]cloud.Object, error) {
	here, err := listAll(ctx, c.from)
	if err != nil {
		return nil, err
	}
	if c.there, err = listAll(ctx, c.to); err != nil {
		return nil, err
	}
	steps := make([][]cloud.Object, len(copyOrder))
	var bytes int64
	for name, size := range here {
		c.summary.Objects++
		if !c.wanted(name, size) {
			continue
		}
		at := slices.IndexFunc(copyOrder[:], func(kind string) bool { return strings.HasPrefix(name, kind) })
		steps[at] = append(steps[at], cloud.Object{Name: name, Size: size})
		c.meter.totalFiles.Add(1)
		bytes += size
	}
	c.meter.totalBytes.Store(bytes)
	c.meter.scanned.Store(true)
	if room, err := c.to.Capacity(ctx); err == nil && room.Free >= 0 && room.Free < bytes {
		return nil, atPlace(c.to.entry.Dest, fmt.Errorf("%w: %d bytes are free, %d are needed", cloud.ErrFull, room.Free, bytes))
	}
	return steps, nil
}

// wanted reports whether an object is to be copied. An old head would bring back an old
// password, which its owner has replaced for a reason; and the note for people is not
// named after its bytes, so that the one that is there stays.
func (c *placeCopy) wanted(name string, size int64) bool {
	at, there := c.there[name]
	switch {
	case strings.HasPrefix(name, "README"):
		return !there
	case strings.HasPrefix(name, "head-") && !there:
		return c.newerHead(name)
	}
	return !there || at != size
}

// newerHead reports whether a head of from counts in to as well.
func (c *placeCopy) newerHead(name string) bool {
	at := slices.IndexFunc(c.from.heads.heads, func(h repo.Head) bool { return "head-"+h.Name.String() == name })
	if at < 0 {
		return false // not a head that parses
	}
	head := c.from.heads.heads[at]
	return !slices.ContainsFunc(c.to.heads.of(head.Repository), func(h repo.Head) bool { return h.Generation >= head.Generation })
}

func listAll(ctx context.Context, s *placeStore) (map[string]int64, error) {
	found := map[string]int64{}
	for object, err := range s.List(ctx, "") {
		if err != nil {
			return nil, atPlace(s.entry.Dest, err)
		}
		found[object.Name] = object.Size
	}
	return found, nil
}

// copyAll copies objects side by side, as many as both places like and memory allows.
func (c *placeCopy) copyAll(ctx context.Context, objects []cloud.Object) error {
	slices.SortFunc(objects, func(a, b cloud.Object) int { return strings.Compare(a.Name, b.Name) })
	group, all := errgroup.WithContext(ctx)
	group.SetLimit(c.parallel(objects))
	for _, object := range objects {
		if err := c.options.Gate.Wait(all); err != nil {
			break // of the group, or of the caller: what follows says which
		}
		group.Go(func() error { return c.copyOne(all, object) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// parallel is how many objects may be in memory at once.
func (c *placeCopy) parallel(objects []cloud.Object) int {
	const usual = 3
	n := usual
	for _, caps := range []cloud.Caps{c.from.Caps(), c.to.Caps()} {
		if caps.Parallel > 0 {
			n = min(n, caps.Parallel)
		}
	}
	largest := int64(1)
	for _, o := range objects {
		largest = max(largest, o.Size)
	}
	return max(1, min(n, int(c.most/largest)))
}

func (c *placeCopy) copyOne(ctx context.Context, object cloud.Object) error {
	data, err := c.from.Get(ctx, object.Name)
	switch {
	case errors.Is(err, cloud.ErrChecksum), errors.Is(err, cloud.ErrTooLarge), errors.Is(err, cloud.ErrNotFound):
		c.damaged(object)
		return nil
	case err != nil:
		return atPlace(c.from.entry.Dest, err)
	}
	if _, there := c.there[object.Name]; there {
		// It is there with another size, so that it cannot be what its name promises;
		// these bytes are.
		if err := c.to.Delete(ctx, object.Name); err != nil {
			return atPlace(c.to.entry.Dest, err)
		}
	}
	if err := c.to.Put(ctx, object.Name, data); err != nil {
		return atPlace(c.to.entry.Dest, err)
	}
	c.meter.file(object.Size)
	c.meter.stored.Add(int64(len(data)))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.summary.Copied++
	c.summary.Bytes += int64(len(data))
	return nil
}

func (c *placeCopy) damaged(object cloud.Object) {
	c.meter.file(object.Size)
	c.meter.problems.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.summary.Damaged = append(c.summary.Damaged, object.Name)
}
