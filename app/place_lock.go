package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"coffer/cloud"
)

// In a place that locks objects for some days, a pack is locked when it is stored. Years
// later new backups still need it, and its lock has long run out: so the locks of all
// objects are moved on, each time that a quarter of those days has gone by. Nothing that a
// backup needs is ever locked for less than three quarters of the days.

const (
	lockedFile = "locked" // its time is when all locks were moved on last
	// lockers is how many requests are under way: each is a small one.
	lockers = 8
)

// prolong moves the locks of a place on, when it is time. What cannot be locked is the
// place's trouble, and is told: whoever chose locks counts on them.
func (b *backup) prolong(ctx context.Context) error {
	days, _ := strconv.Atoi(b.session.store.entry.Options["lock-days"])
	if days < 1 {
		return nil // this place locks nothing
	}
	path := filepath.Join(b.app.placeDir(b.place.ID), lockedFile)
	if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) < time.Duration(days)*day/4 {
		return nil
	}
	if err := lockAll(ctx, b.session.store.Store, time.Now().Add(time.Duration(days)*day)); err != nil {
		return atPlace(b.place.Dest, fmt.Errorf("move locks on: %w", err))
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return fmt.Errorf("note locks: %w", err)
	}
	return nil
}

func lockAll(ctx context.Context, store *cloud.Store, until time.Time) error {
	var names []string
	for object, err := range store.List(ctx, "") {
		if err != nil {
			return err
		}
		names = append(names, object.Name)
	}
	group, all := errgroup.WithContext(ctx)
	group.SetLimit(lockers)
	for _, name := range names {
		group.Go(func() error {
			if err := all.Err(); err != nil {
				return err // another one failed
			}
			err := store.Retain(all, name, until)
			if errors.Is(err, cloud.ErrNotFound) {
				return nil // an old head that another device has replaced meanwhile
			}
			return err
		})
	}
	return group.Wait()
}
