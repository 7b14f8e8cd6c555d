package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"coffer/app/repo"
	"coffer/vault"
	"coffer/vault/embedded"
)

// VaultStatus is what the vault says about the password of this profile. Of a vault that
// did not answer it has what this computer knows of it.
type VaultStatus struct {
	Kind     string // VaultEmbedded, VaultServer; "" when this backup has no password
	Where    string // folder of an embedded one; "" when it is on another computer
	Computer string // that an embedded one is on
	Here     bool   // that is this computer
	Sealer   string // "software", "pkcs11", "tpm", "tpm-epochs"; "" not known
	State    string // of the record, in the vault's words: "active", "frozen", "destroyed", ...; "" not asked
	Tries    int
	Left     int // -1 unknown
	Until    time.Time
	Log      []VaultEvent

	// Of a vault on a network. What its bundle says was signed by the keys of its link.
	Name          string // who runs it
	Address       string // host:port
	Link          string // without an invitation
	Fingerprint   string // as VaultDescription.Fingerprint
	Hardware      bool   // its keys cannot be copied off a disk
	Enforced      string // who counts the tries: EnforcedByProgram, ...; "" not known
	Attested      bool   // the chip has proven it, now, to this computer
	Store         string // "file", "cluster"
	Incarnation   uint64 // how often it went on from a copy of its store
	BundleIssued  time.Time
	BundleExpires time.Time

	Reachable bool    // it has answered now
	Refusal   Failure // why it did not answer, or was not asked; zero: it did
	Warnings  []VaultWarning
	Anchor    VaultAnchor
	// Left behind are the records in vaults that this backup has left, newest first.
	LeftBehind []LeftRecord
}

// A VaultWarning is something about the vault that its user should know of.
type VaultWarning struct {
	Code VaultWarningCode  `json:"code"`
	Args map[string]string `json:"args,omitempty"` // never a secret
}

// A VaultWarningCode is stable, like a [Code].
type VaultWarningCode string

// The warnings.
const (
	VaultWarnRestored     VaultWarningCode = "restored"         // before, after: the vault went on from a copy of its store; tries may have come back
	VaultWarnWeaker       VaultWarningCode = "weaker"           // kind, before, after: it says something weaker than before
	VaultWarnExpires      VaultWarningCode = "expires"          // until: what it says of itself expires within 30 days, and it has nothing newer
	VaultWarnNotDestroyed VaultWarningCode = "not-destroyed"    // name, address: a vault that was left still has its record
	VaultWarnNoFallback   VaultWarningCode = "sheet-not-proven" // when the vault is lost, so is the backup: the recovery sheet has not been proven
	VaultWarnLog          VaultWarningCode = "wrong-tries"      // count, device: tries that opened nothing since the last right one

	VaultWarnStrange   VaultWarningCode = "strange-tries"        // count, since, device: tries since the user looked last that were not made here
	VaultWarnBehind    VaultWarningCode = "tries-not-given-back" // left, of: its chip allows fewer tries than its log explains
	VaultWarnDestroyed VaultWarningCode = "destroyed"            // too many wrong tries: no password opens the backup
	VaultWarnSilent    VaultWarningCode = "silent"               // since: it has not answered any backup for two weeks
)

// A VaultAnchor is what the vault has of the newest snapshots, to notice when a place shows
// an old state. It is sealed from the vault.
type VaultAnchor struct {
	Snapshots int       // how many devices, in how many places, have one
	Newest    time.Time // zero: none
}

// A LeftRecord is the record of this backup in a vault that it has left.
type LeftRecord struct {
	Vault   VaultRef
	Record  string // 32 hex digits
	LeftAt  time.Time
	Receipt *VaultReceipt // nil: it is still to be destroyed, or Unknown
	Unknown bool          // the vault says that it has no such record
}

// A VaultEvent is one line of the vault's own log of tries.
type VaultEvent struct {
	At     time.Time
	Kind   string // in the vault's words: "try", "right", "wrong", "committed", "replaced", "reset", ...
	Device string // the name that the asking computer gave itself; "" unknown
	Left   int    // tries left after it
}

// askVault adds to a way in how many tries are left, as far as the vault answers: a vault
// that does not is no reason to hide the other ways.
func (a *App) askVault(ctx context.Context, slot vault.Slot, way *WayIn) {
	ctx, cancel := context.WithTimeout(ctx, vaultPatience)
	defer cancel()
	err := a.withSlot(ctx, slot, func(c *vault.Client) error {
		if b := c.Bundle(); way.VaultKind == VaultServer {
			way.VaultName, way.Hardware, way.Enforced = b.Name, isHardware(b.Sealer), enforcedBy(b.Sealer)
		}
		s, err := c.Status(ctx, slot)
		if err == nil {
			way.State, way.Tries, way.TriesLeft, way.Until = strings.ToLower(s.State.String()), s.Tries, s.Left, s.Until
		}
		return err
	})
	if err != nil {
		way.Refusal = Explain(err)
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

// openByPassword asks the vault of a slot. One that is inside of another computer's app is
// said before anything is sent: no try is spent.
func (a *App) openByPassword(ctx context.Context, slot *repo.VaultSlot, password Secret) (RootKey, error) {
	root, err := a.openRecord(ctx, vaultSlot(slot), password)
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
		Link: s.Link, Also: s.Also, VaultID: s.VaultID, ServerKey: s.ServerKey, Computer: s.Computer, Record: s.Record,
		Generation: s.Generation, CloudShare: s.CloudShare, MemoryKiB: s.MemoryKiB, Time: s.Time,
		Threads: s.Threads, Tries: s.Tries, SetAt: s.SetAt, ReceiptKey: s.ReceiptKey, Guard: s.Guard,
	}
}

func repoSlot(s vault.Slot) *repo.VaultSlot {
	return &repo.VaultSlot{
		Link: s.Link, Also: s.Also, VaultID: s.VaultID, ServerKey: s.ServerKey, Computer: s.Computer, Record: s.Record,
		Generation: s.Generation, CloudShare: s.CloudShare, MemoryKiB: s.MemoryKiB, Time: s.Time,
		Threads: s.Threads, Tries: s.Tries, SetAt: s.SetAt, ReceiptKey: s.ReceiptKey, Guard: s.Guard,
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
