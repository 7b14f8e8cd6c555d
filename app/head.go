package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"coffer/app/repo"
	"coffer/cloud"
	"coffer/crypto"
	"coffer/internal/durable"
)

const (
	headFile    = "head"
	maxKeptHead = 256 << 10
)

// A keptHead is the newest head that this computer knows of its backup, as it lies in the
// places: state/head. A place that was not there when a password changed gets it from here.
type keptHead struct {
	Version    int    `json:"version"`
	Repository string `json:"repository"`
	Generation uint64 `json:"generation"`
	Sealed     []byte `json:"sealed"`
}

func (h keptHead) object() string { return cloud.Name("head", h.Sealed) }

func (a *App) headPath() string { return filepath.Join(a.stateDir(), headFile) }

// readKeptHead returns the head of a backup that is kept here; ok is false when there is
// none, or none that can be read: it comes again from the places.
func (a *App) readKeptHead(repository string) (h keptHead, ok bool) {
	data, err := readBounded(a.headPath(), maxKeptHead)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			a.cfg.Log.Warn("could not read the head that is kept here", "err", err)
		}
		return keptHead{}, false
	}
	h, err = parseKeptHead(data)
	if err != nil {
		a.cfg.Log.Warn("could not read the head that is kept here", "err", err)
		return keptHead{}, false
	}
	return h, h.Repository == repository
}

func parseKeptHead(data []byte) (keptHead, error) {
	var h keptHead
	if err := decodeStrictly(data, &h); err != nil {
		return keptHead{}, err
	}
	if h.Version != 1 || !isHex(h.Repository, 32) || h.Generation == 0 || len(h.Sealed) == 0 {
		return keptHead{}, ErrProfileDamaged
	}
	return h, nil
}

// keepHead keeps a true head of a place here, if it is newer than the one that is. That it
// cannot be kept is no reason to fail what was done: it comes again from the place.
func (a *App) keepHead(ctx context.Context, store *cloud.Store, head *repo.Head) {
	known, ok := a.readKeptHead(head.Repository.String())
	if ok && known.Generation >= head.Generation {
		return
	}
	sealed, err := store.Get(ctx, "head-"+head.Name.String())
	if err == nil {
		err = a.writeKeptHead(keptHead{Version: 1, Repository: head.Repository.String(), Generation: head.Generation, Sealed: sealed})
	}
	if err != nil {
		a.cfg.Log.Warn("could not keep the head here", "err", err)
	}
}

func (a *App) writeKeptHead(h keptHead) error {
	data, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode head: %w", err)
	}
	if err := durable.WriteFile(a.headPath(), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write head: %w", err)
	}
	return nil
}

// spreadHead puts the head that is kept here into a place of the profile that has older
// ones only: it was not there when the password changed. The old ones stay until a backup
// deletes them, and the newest counts. Trouble is logged: who needs more of the place than
// reading will meet it, too.
func (a *App) spreadHead(ctx context.Context, p Profile, store *placeStore) {
	kept, ok := a.readKeptHead(p.Repository)
	if !ok || store.heads.newest(p.Repository) >= kept.Generation {
		return
	}
	if err := a.putHead(ctx, store, kept); err != nil {
		a.cfg.Log.InfoContext(ctx, "could not bring the newest head to a place", "place", store.entry.ID, "err", err)
	}
}

// putHead stores a head in a place, and looks again at what is there.
func (a *App) putHead(ctx context.Context, store *placeStore, h keptHead) error {
	if err := store.Put(ctx, h.object(), h.Sealed); err != nil {
		return fmt.Errorf("store head: %w", err)
	}
	heads, err := readHeads(ctx, store.Store)
	if err != nil {
		return err
	}
	store.heads = heads
	return nil
}

// settleHeads makes a place that was opened for writing have one true head: the newest is
// kept here for the other places, and older ones, which open with a password that was
// replaced, are deleted.
func (a *App) settleHeads(ctx context.Context, store *placeStore, keys *crypto.Keys) {
	head, _ := store.heads.verified(keys)
	if head == nil {
		return
	}
	a.keepHead(ctx, store.Store, head)
	if err := deleteOlder(ctx, store, keys, head); err != nil {
		a.cfg.Log.InfoContext(ctx, "could not delete an old head", "place", store.entry.ID, "err", err)
	}
}

// deleteOlder deletes the heads of a place that the same key made before newest.
func deleteOlder(ctx context.Context, store *placeStore, keys *crypto.Keys, newest *repo.Head) error {
	for _, h := range store.heads.of(newest.Repository) {
		if h.Generation < newest.Generation && h.Verify(keys) == nil {
			if err := store.Delete(ctx, "head-"+h.Name.String()); err != nil {
				return fmt.Errorf("delete old head: %w", err)
			}
		}
	}
	return nil
}

// newest returns the newest generation of a backup's heads, verified or not; 0 when there
// is none.
func (p placeHeads) newest(repository string) uint64 {
	i := slices.IndexFunc(p.heads, func(h repo.Head) bool { return h.Repository.String() == repository })
	if i < 0 {
		return 0
	}
	return p.heads[i].Generation
}
