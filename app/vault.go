package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"coffer/app/repo"
	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/embedded"
)

// VaultStatus is what the vault says about the password of this profile.
type VaultStatus struct {
	Kind     string // "embedded"; "" when this backup has no password
	Where    string // folder; "" when the vault is on another computer
	Computer string // that the vault is on
	Here     bool   // that is this computer
	Sealer   string // "software"
	State    string // of the record, in the vault's words: "active", "frozen", "destroyed", ...
	Tries    int
	Left     int // -1 unknown
	Until    time.Time
	Log      []VaultEvent
}

// A VaultEvent is one line of the vault's own log of tries.
type VaultEvent struct {
	At     time.Time
	Kind   string // in the vault's words: "try", "right", "wrong", "committed", "replaced", "reset", ...
	Device string // the name that the asking computer gave itself; "" unknown
	Left   int    // tries left after it
}

// kindEmbedded is the only kind of vault that this version reaches.
const kindEmbedded = "embedded"

// VaultStatus asks the vault how the password of this profile stands, and for its log.
// Asking charges nothing. Of a vault on another computer it says only where that is.
func (a *App) VaultStatus(ctx context.Context) (VaultStatus, error) {
	root, err := a.rootKey(ctx)
	if err != nil {
		return VaultStatus{}, err
	}
	defer root.Wipe()
	keys := root.Derive()
	defer keys.Wipe()
	store, _, err := a.openPlace(ctx)
	if err != nil {
		return VaultStatus{}, err
	}
	defer store.Close()
	found, err := readHeads(ctx, store.Store)
	if err != nil {
		return VaultStatus{}, fmt.Errorf("find vault: %w", err)
	}
	head, _ := found.verified(keys)
	if head == nil || head.Vault == nil {
		return VaultStatus{}, nil
	}
	status := VaultStatus{Kind: kindEmbedded, Computer: head.Vault.Computer, Tries: head.Vault.Tries, Left: -1}
	if !a.vaultHere(head.Vault) {
		return status, nil
	}
	status.Here, status.Where = true, a.cfg.VaultDir
	err = a.withVault(ctx, func(c *vault.Client, info vault.Info) error {
		return fillStatus(ctx, c, info, vaultSlot(head.Vault), keys, &status)
	})
	if err != nil {
		return status, fmt.Errorf("ask vault: %w", err)
	}
	return status, nil
}

func fillStatus(ctx context.Context, c *vault.Client, info vault.Info, slot vault.Slot, keys *crypto.Keys, out *VaultStatus) error {
	out.Sealer = info.Sealer
	s, err := c.Status(ctx, slot)
	if err != nil {
		return err
	}
	out.State, out.Tries, out.Left, out.Until = strings.ToLower(s.State.String()), s.Tries, s.Left, s.Until
	events, err := c.Log(ctx, slot, keys.Owner())
	if err != nil && !errors.Is(err, vault.ErrDestroyed) {
		return err
	}
	for _, e := range events {
		out.Log = append(out.Log, VaultEvent{At: e.At, Kind: eventName(e.Kind), Device: e.Device, Left: e.Left})
	}
	return nil
}

// askVault adds to a way in how many tries are left, as far as the vault answers: a vault
// that does not is no reason to hide the other ways.
func (a *App) askVault(ctx context.Context, slot vault.Slot, way *WayIn) {
	err := a.withVault(ctx, func(c *vault.Client, _ vault.Info) error {
		s, err := c.Status(ctx, slot)
		if err == nil {
			way.State, way.Tries, way.TriesLeft, way.Until = strings.ToLower(s.State.String()), s.Tries, s.Left, s.Until
		}
		return err
	})
	if err != nil {
		a.cfg.Log.Info("vault did not say how many tries are left", "err", err)
	}
}

// vaultHere reports whether the vault of a slot is this computer's. It makes nothing and
// asks nobody, so that "its vault is on ANN-LAPTOP" costs no try.
func (a *App) vaultHere(slot *repo.VaultSlot) bool {
	id, ok := vault.ParseEmbeddedLink(slot.Link)
	return ok && id == slot.VaultID && embedded.Exists(a.cfg.VaultDir, id)
}

// withVault opens this computer's vault, which is made where there is none, for as long as
// fn runs: no other process can use it meanwhile.
func (a *App) withVault(ctx context.Context, fn func(*vault.Client, vault.Info) error) error {
	v, err := embedded.Open(ctx, a.cfg.VaultDir, a.cfg.Computer, embedded.Options{
		Tries: a.cfg.VaultTries, Waits: a.cfg.VaultWaits, Log: a.cfg.Log,
	})
	if err != nil {
		return err
	}
	info := v.Info()
	err = fn(vault.NewClient(v.Transport(), vault.PinOf(info), a.cfg.Computer), info)
	if closeErr := v.Close(); err == nil && closeErr != nil {
		// What was asked has been answered, and is durable.
		a.cfg.Log.Warn("vault did not close well", "err", closeErr)
	}
	return err
}

// openByPassword asks the vault of a slot. One that is on another computer is said before
// anything is sent: no try is spent.
func (a *App) openByPassword(ctx context.Context, slot *repo.VaultSlot, password Secret) (RootKey, error) {
	if !a.vaultHere(slot) {
		return RootKey{}, &VaultElsewhereError{Computer: slot.Computer}
	}
	var root RootKey
	err := a.withVault(ctx, func(c *vault.Client, _ vault.Info) error {
		var err error
		root, _, err = c.Open(ctx, vaultSlot(slot), password)
		return err
	})
	if errors.Is(err, vault.ErrStale) {
		// The vault has a newer password than the head says: the place shows an old head.
		return RootKey{}, fmt.Errorf("%w: %w", ErrRollback, err)
	}
	return root, err
}

// vaultSlot and repoSlot are one thing in the words of two packages that do not know each
// other.
func vaultSlot(s *repo.VaultSlot) vault.Slot {
	return vault.Slot{
		Link: s.Link, VaultID: s.VaultID, ServerKey: s.ServerKey, Computer: s.Computer, Record: s.Record,
		Generation: s.Generation, CloudShare: s.CloudShare, MemoryKiB: s.MemoryKiB, Time: s.Time,
		Threads: s.Threads, Tries: s.Tries, SetAt: s.SetAt, ReceiptKey: s.ReceiptKey,
	}
}

func repoSlot(s vault.Slot) *repo.VaultSlot {
	return &repo.VaultSlot{
		Link: s.Link, VaultID: s.VaultID, ServerKey: s.ServerKey, Computer: s.Computer, Record: s.Record,
		Generation: s.Generation, CloudShare: s.CloudShare, MemoryKiB: s.MemoryKiB, Time: s.Time,
		Threads: s.Threads, Tries: s.Tries, SetAt: s.SetAt, ReceiptKey: s.ReceiptKey,
	}
}

// eventName is the word for a line of the vault's log.
func eventName(kind vault.EventKind) string {
	switch kind {
	case vault.EventTry:
		return "try"
	case vault.EventRight:
		return "right"
	case vault.EventWrong:
		return "wrong"
	case vault.EventCommitted:
		return "committed"
	case vault.EventReplaced:
		return "replaced"
	case vault.EventReset:
		return "reset"
	case vault.EventFrozen:
		return "frozen"
	case vault.EventUnfrozen:
		return "unfrozen"
	case vault.EventDestroyed:
		return "destroyed"
	}
	return "unknown"
}
