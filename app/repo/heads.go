package repo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"coffer/cloud"
	"coffer/crypto"
)

// ReadHeads returns every head at the destination that parses, the newest
// generation first. They are not verified: that needs the root key, which they
// help to find. When all heads there are are of a newer format the error is
// crypto.ErrNewerFormat; a destination without heads gives none and no error.
func ReadHeads(ctx context.Context, store *cloud.Store) ([]Head, error) {
	// Another device may replace a head between the list and the read. Then there is
	// a new one, and "no heads" would be the wrong answer.
	for range 2 {
		heads, vanished, err := readHeads(ctx, store)
		if err != nil || len(heads) > 0 || !vanished {
			return heads, err
		}
	}
	return nil, nil
}

func readHeads(ctx context.Context, store *cloud.Store) (heads []Head, vanished bool, err error) {
	var newer error
	for object, err := range store.List(ctx, "head-") {
		if err != nil {
			return nil, false, fmt.Errorf("list heads: %w", err)
		}
		if object.Size > maxHead {
			continue // not worth fetching; check names it
		}
		h, err := readHead(ctx, store, object.Name)
		switch {
		case errors.Is(err, crypto.ErrNewerFormat):
			newer = err
		case errors.Is(err, ErrMissing):
			vanished = true
		case errors.Is(err, ErrDamaged):
			// another head, or the 64 digits, may still open it; check names it
		case err != nil:
			return nil, false, err
		default:
			heads = append(heads, *h)
		}
	}
	slices.SortFunc(heads, func(a, b Head) int {
		return cmp.Or(cmp.Compare(b.Generation, a.Generation), bytes.Compare(a.Name[:], b.Name[:]))
	})
	if len(heads) == 0 {
		return nil, vanished, newer
	}
	return heads, vanished, nil
}

func readHead(ctx context.Context, store *cloud.Store, object string) (*Head, error) {
	name, stored, err := fetch(ctx, store, "head", object)
	if err != nil {
		return nil, err
	}
	h, err := parseHead(stored)
	if err != nil {
		return nil, broken(object, err)
	}
	h.Name = name
	return h, nil
}

// WriteHead stores h as the newest head of the repository and then deletes the
// older ones that were made with the same key. The commit point is the
// new head's arrival: until then the old ones count, and h is returned as it was. When an
// old head cannot be deleted, the head that was stored comes back with the error: it
// counts, but the old way in is still there, and writing again deletes it.
func WriteHead(ctx context.Context, store *cloud.Store, keys *crypto.Keys, h Head) (Head, error) {
	old, err := ReadHeads(ctx, store)
	if err != nil {
		return h, err
	}
	old = slices.DeleteFunc(old, func(o Head) bool { return o.Verify(keys) != nil })
	next := h
	next.Repository = keys.Repository()
	next.Generation = 1
	if len(old) > 0 {
		next.Generation = old[0].Generation + 1
	}
	next.stored = sealHead(keys, &next)
	// What a reader would refuse must not replace a head that works.
	if _, err := parseHead(next.stored); err != nil {
		return h, fmt.Errorf("check head before storing it: %w", err)
	}
	object := crypto.ObjectName("head", next.stored)
	next.Name, _ = parseName("head", object)
	if err := store.Put(ctx, object, next.stored); err != nil {
		return h, fmt.Errorf("store head: %w", err)
	}
	for _, o := range old {
		if err := store.Delete(ctx, "head-"+o.Name.String()); err != nil {
			return next, fmt.Errorf("delete old head: %w", err)
		}
	}
	return next, nil
}

// HasObjects reports how many packs the destination holds, and whether it holds
// any object at all: a place whose heads are lost is a repository still.
func HasObjects(ctx context.Context, store *cloud.Store) (packs int, some bool, err error) {
	for object, err := range store.List(ctx, "") {
		if err != nil {
			return 0, false, fmt.Errorf("list objects: %w", err)
		}
		if object.Name == readmeName {
			continue
		}
		some = true
		if _, ok := parseName("pack", object.Name); ok {
			packs++
		}
	}
	return packs, some, nil
}

// IDs returns the ids of the repositories at the destination: those that heads
// name, or, where there are no heads, those in the headers of snapshots, indexes
// and packs.
func IDs(ctx context.Context, store *cloud.Store) ([]crypto.RepositoryID, error) {
	heads, err := ReadHeads(ctx, store)
	if err != nil {
		return nil, err
	}
	ids := map[crypto.RepositoryID]bool{}
	for _, h := range heads {
		ids[h.Repository] = true
	}
	for _, kind := range []string{"snap-", "index-", "pack-"} {
		if len(ids) > 0 {
			break
		}
		if err := collectIDs(ctx, store, kind, ids); err != nil {
			return nil, err
		}
	}
	var all []crypto.RepositoryID
	for id := range ids {
		all = append(all, id)
	}
	slices.SortFunc(all, func(a, b crypto.RepositoryID) int { return bytes.Compare(a[:], b[:]) })
	return all, nil
}

func collectIDs(ctx context.Context, store *cloud.Store, kind string, ids map[crypto.RepositoryID]bool) error {
	for object, err := range store.List(ctx, kind) {
		if err != nil {
			return fmt.Errorf("list objects: %w", err)
		}
		header := make([]byte, crypto.HeaderSize)
		if object.Size < crypto.HeaderSize {
			continue
		}
		err = store.ReadAt(ctx, object.Name, header, 0)
		if errors.Is(err, cloud.ErrNotFound) || errors.Is(err, cloud.ErrRange) {
			continue // deleted or cut since it was listed
		}
		if err != nil {
			return fmt.Errorf("read header of %s: %w", object.Name, err)
		}
		if _, id, err := crypto.HeaderInfo(header); err == nil {
			ids[id] = true
		}
	}
	return nil
}

// fetch returns a whole object; the Store has compared its bytes with the hash in
// its name.
func fetch(ctx context.Context, store *cloud.Store, kind, object string) (Name, []byte, error) {
	name, ok := parseName(kind, object)
	if !ok {
		return name, nil, broken(object, errFormat)
	}
	stored, err := store.Get(ctx, object)
	switch {
	case errors.Is(err, cloud.ErrNotFound):
		return name, nil, &ObjectError{object, ErrMissing}
	case errors.Is(err, cloud.ErrTooLarge), errors.Is(err, cloud.ErrChecksum):
		return name, nil, broken(object, err)
	case err != nil:
		return name, nil, err
	}
	return name, stored, nil
}

// broken says that an object is damaged, unless the reason is that a newer
// Coffer made it or that it belongs to another repository.
func broken(object string, reason error) error {
	if errors.Is(reason, crypto.ErrNewerFormat) || errors.Is(reason, crypto.ErrOtherRepository) {
		return &ObjectError{object, reason}
	}
	return &ObjectError{object, fmt.Errorf("%w: %w", ErrDamaged, reason)}
}
