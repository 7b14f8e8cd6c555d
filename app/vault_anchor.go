package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"coffer/app/repo"
	"coffer/crypto"
	"coffer/vault"
)

// anchorOf returns what the vault of a slot has of the newest snapshots.
func (a *App) anchorOf(ctx context.Context, slot vault.Slot, keys *crypto.Keys) (known anchor, err error) {
	err = a.withSlot(ctx, slot, func(c *vault.Client) error {
		known, err = readAnchor(ctx, c, slot, keys)
		return err
	})
	return known, err
}

// readAnchor asks a vault. [errAnchor] when what it has does not open: it is the vault that
// is in trouble then, and no object of the backup.
func readAnchor(ctx context.Context, c *vault.Client, slot vault.Slot, keys *crypto.Keys) (anchor, error) {
	data, _, err := c.Anchor(ctx, slot, keys)
	if errors.Is(err, crypto.ErrDamaged) {
		return nil, fmt.Errorf("%w: %v", errAnchor, err) //nolint:errorlint // not crypto.ErrDamaged: that would be an object of the backup
	}
	if err != nil {
		return nil, err
	}
	return parseAnchor(data)
}

// compareOpened is the look of a computer that has never seen this place: does it show as
// much as the vault knows of? [RollbackError] when not. A vault that does not answer has
// nothing to say.
func (a *App) compareOpened(ctx context.Context, store *placeStore, got *opened) error {
	if got.head == nil || got.head.Vault == nil {
		return nil
	}
	keys := got.root.Derive()
	defer keys.Wipe()
	asked, cancel := context.WithTimeout(ctx, vaultPatience)
	defer cancel()
	known, err := a.anchorOf(asked, vaultSlot(got.head.Vault), keys)
	if err != nil {
		a.cfg.Log.InfoContext(ctx, "the vault did not say what it knows of the backup", "err", err)
		return nil
	}
	missing, err := a.missingAt(ctx, store, keys, known, got.head)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		return nil
	}
	lost := rollback(missing)
	got.notices = append(got.notices, Notice{Code: NoticeOldPlace, Args: Explain(lost).Args})
	return lost
}

// missingAt compares a place with an anchor. Where all that is anchored lies there, by its
// name, nothing has to be read.
func (a *App) missingAt(ctx context.Context, store *placeStore, keys *crypto.Keys, known anchor, head *repo.Head) ([]anchorEntry, error) {
	there := map[string]bool{}
	for object, err := range store.List(ctx, "snap-") {
		if err != nil {
			return nil, fmt.Errorf("list snapshots: %w", err)
		}
		there[strings.TrimPrefix(object.Name, "snap-")] = true
	}
	current := func(e anchorEntry) bool {
		return there[e.snapshot.String()] && (e.place != tagOf(store.entry) || head.Generation >= e.head)
	}
	if !slices.ContainsFunc(known, func(e anchorEntry) bool { return !current(e) }) {
		return nil, nil
	}
	r, err := repo.Open(ctx, store.Store, keys, a.repoOptions())
	if err != nil {
		return nil, err
	}
	snapshots, err := r.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	return known.missing(newShown(store.entry, snapshots, head)), nil
}

// anchor tells the vault of the snapshot that was made, and compares what the vault knows
// with what the place shows. The backup is safe by now: a vault that does not answer costs
// it nothing, and is told at the next one. The error is an alarm.
func (b *backup) anchor(ctx context.Context) error {
	head := b.head
	if head == nil || head.Vault == nil || *b.vaultDown {
		return nil
	}
	slot := vaultSlot(head.Vault)
	if _, remote := remoteLink(slot); !remote && !b.app.vaultHere(head.Vault) {
		return nil
	}
	asked, cancel := context.WithTimeout(ctx, vaultPatience)
	defer cancel()
	missing, err := b.putAnchor(asked, slot, head)
	switch {
	case isVaultAlarm(err):
		return err
	case err != nil:
		*b.vaultDown = true // for this run: other places would wait for it as long
		b.noteAnswer(ctx, slot, errors.Is(err, vault.ErrDestroyed))
		b.app.cfg.Log.InfoContext(ctx, "the vault was not told of this backup, and is told with the next", "err", err)
		return nil
	}
	b.noteAnswer(ctx, slot, true)
	return b.anchored(ctx, missing)
}

// noteAnswer keeps since when the vault does not answer: a password that opens nothing must
// not come to light when it is needed.
func (b *backup) noteAnswer(ctx context.Context, slot vault.Slot, ok bool) {
	link, remote := remoteLink(slot)
	if !remote || !ok && ctx.Err() != nil {
		return
	}
	if err := b.app.knownVault(link).answered(ok); err != nil {
		b.app.cfg.Log.WarnContext(ctx, "could not note whether the vault answers", "err", err)
	}
}

// isVaultAlarm reports that a vault may not be what it says: nobody may have to ask for that.
func isVaultAlarm(err error) bool {
	switch Explain(err).Code {
	case CodeVaultIdentity, CodeVaultSecondSigner, CodeVaultOlder, CodeVaultRolledBack, CodeVaultEvidence:
		return true
	}
	return false
}

func (b *backup) putAnchor(ctx context.Context, slot vault.Slot, head *repo.Head) (missing []anchorEntry, err error) {
	place := newShown(b.session.store.entry, append(slices.Clone(b.snapshots), b.made), head)
	err = b.app.withSlot(ctx, slot, func(c *vault.Client) error {
		if err := b.app.watch(ctx, c, slot, b.session.keys); err != nil {
			return err
		}
		return c.PutAnchor(ctx, slot, b.session.keys, func(old []byte) ([]byte, error) {
			known, err := parseAnchor(old)
			if err != nil {
				// Of a later version, or a mistake: it must not be overwritten unread.
				return nil, err
			}
			missing = known.missing(place)
			return known.with(b.anchorEntry(head)).encode(), nil
		})
	})
	return missing, err
}

func (b *backup) anchorEntry(head *repo.Head) anchorEntry {
	return anchorEntry{
		place: tagOf(b.session.store.entry), device: b.made.Device, snapshot: b.made.Name, sequence: b.made.Sequence,
		head: head.Generation, at: max(0, b.made.Started.Sec), computer: b.app.cfg.Computer,
	}
}

// anchored raises the alarm for what is missing, once: like snapshots that this computer
// knew itself, they are remembered as lost.
func (b *backup) anchored(ctx context.Context, missing []anchorEntry) error {
	device := &b.session.device
	missing = slices.DeleteFunc(missing, func(e anchorEntry) bool {
		if slices.Contains(device.Lost, e.snapshot.String()) {
			return true
		}
		// A listing may lag behind.
		_, err := b.session.repo.Snapshot(ctx, e.snapshot)
		return err == nil
	})
	if len(missing) == 0 {
		return nil
	}
	for _, e := range missing {
		device.Lost = append(device.Lost, e.snapshot.String())
	}
	if err := b.app.storeDevice(b.session.store.entry.ID, *device); err != nil {
		return err
	}
	return rollback(missing)
}
