package app

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"coffer/app/repo"
	"coffer/internal/durable"
	"coffer/vault"
)

const (
	leftFile    = "left.json"
	maxLeftFile = 256 << 10
	maxLeft     = 32
)

// leftJSON is state/vaults/left.json, version 1: the records of backups in vaults that they
// have left, newest first, and the receipts of their destruction. A record is noted before
// the head stops naming it, so that no crash forgets one; and it is destroyed only when no
// head that this computer can see names it.
type leftJSON struct {
	Version int          `json:"version"`
	Records []leftRecord `json:"records"`
}

type leftRecord struct {
	Repository string      `json:"repository"`
	LeftAt     time.Time   `json:"left_at"`
	Slot       pendingSlot `json:"slot"`
	// Of the receipt: when the vault destroyed the record, in unix milliseconds, and its
	// signature, which was checked. 0: it has not.
	DestroyedAt int64  `json:"destroyed_at,omitempty"`
	Signature   []byte `json:"signature,omitempty"`
	// Unknown: the vault says that it has no such record.
	Unknown bool `json:"unknown,omitempty"`
}

func (r leftRecord) slot() vault.Slot { return pendingPassword{Slot: r.Slot}.pending().Slot }

func (r leftRecord) waits() bool { return r.DestroyedAt == 0 && !r.Unknown }

func (r leftRecord) is(s vault.Slot) bool {
	return [16]byte(r.Slot.Record) == s.Record && [16]byte(r.Slot.VaultID) == s.VaultID
}

func (r leftRecord) check() bool {
	receipt := r.DestroyedAt == 0 && len(r.Signature) == 0 || r.DestroyedAt > 0 && len(r.Signature) == 64
	return isHex(r.Repository, 32) && r.Slot.whole() && receipt
}

func (a *App) leftPath() string { return filepath.Join(a.stateDir(), vaultsDir, leftFile) }

// readLeft returns the records of all backups. One that cannot be read is an error: what
// it names would never be destroyed.
func (a *App) readLeft() (leftJSON, error) {
	data, err := readBounded(a.leftPath(), maxLeftFile)
	if errors.Is(err, fs.ErrNotExist) {
		return leftJSON{Version: 1}, nil
	}
	if err != nil {
		return leftJSON{}, fmt.Errorf("read the vaults that were left: %w", err)
	}
	return parseLeft(data)
}

func parseLeft(data []byte) (leftJSON, error) {
	var l leftJSON
	if err := decodeStrictly(data, &l); err != nil {
		return leftJSON{}, err
	}
	if l.Version != 1 || slices.ContainsFunc(l.Records, func(r leftRecord) bool { return !r.check() }) {
		return leftJSON{}, ErrProfileDamaged
	}
	return l, nil
}

func (a *App) changeLeft(fn func(*leftJSON)) error {
	a.vaults.Lock()
	defer a.vaults.Unlock()
	l, err := a.readLeft()
	if err != nil {
		return err
	}
	fn(&l)
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the vaults that were left: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(a.leftPath()), 0o700); err != nil {
		return fmt.Errorf("make folder for vaults: %w", err)
	}
	return durable.WriteFile(a.leftPath(), append(data, '\n'), 0o600)
}

// noteLeft writes down that a record is to be destroyed, once the head names another. When
// there are many, those that are done are forgotten first, the oldest of them.
func (a *App) noteLeft(repository string, slot vault.Slot) error {
	return a.changeLeft(func(l *leftJSON) {
		if i := slices.IndexFunc(l.Records, func(r leftRecord) bool { return r.is(slot) }); i >= 0 {
			// Noted by a move that came to nothing; the password may have changed since, and
			// the vault obeys who has its newest share.
			if l.Records[i].waits() {
				l.Records[i].Slot = slotJSON(slot)
			}
			return
		}
		l.Records = slices.Insert(l.Records, 0, leftRecord{
			Repository: repository, LeftAt: time.Now().UTC().Truncate(time.Second), Slot: slotJSON(slot),
		})
		for i := len(l.Records) - 1; i >= 0 && len(l.Records) > maxLeft; i-- {
			if !l.Records[i].waits() {
				l.Records = slices.Delete(l.Records, i, i+1)
			}
		}
	})
}

// hasLeft reports whether a record is noted.
func (a *App) hasLeft(slot vault.Slot) (bool, error) {
	l, err := a.readLeft()
	return slices.ContainsFunc(l.Records, func(r leftRecord) bool { return r.is(slot) }), err
}

// leftOf returns the records of one backup that are not in use any more.
func (a *App) leftOf(repository string, head *repo.Head) ([]leftRecord, error) {
	l, err := a.readLeft()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(l.Records, func(r leftRecord) bool {
		return r.Repository != repository || head != nil && head.Vault != nil && r.is(vaultSlot(head.Vault))
	}), nil
}

// settleLeft has the vaults that this backup has left destroy their records, as far as they
// answer. head is the newest true one: what it names stays, because a move that did not
// come to its end has left nothing yet.
func (a *App) settleLeft(ctx context.Context, root RootKey, head *repo.Head) ([]leftRecord, error) {
	keys := root.Derive()
	defer keys.Wipe()
	repository := keys.Repository().String()
	if head == nil {
		return nil, nil // nobody can say what is in use
	}
	if kept, ok := a.readKeptHead(repository); ok && kept.Generation > head.Generation {
		return a.leftOf(repository, head)
	}
	list, err := a.leftOf(repository, head)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if r.waits() && ctx.Err() == nil {
			a.destroyLeft(ctx, root, r)
		}
	}
	return a.leftOf(repository, head)
}

// destroyLeft asks one vault. That it does not answer is for the log: it is asked again.
func (a *App) destroyLeft(ctx context.Context, root RootKey, r leftRecord) {
	ctx, cancel := context.WithTimeout(ctx, vaultPatience)
	defer cancel()
	var receipt vault.Receipt
	err := a.withSlot(ctx, r.slot(), func(c *vault.Client) (err error) {
		receipt, err = c.Destroy(ctx, r.slot(), root)
		return err
	})
	if err != nil && !errors.Is(err, vault.ErrUnknownRecord) {
		a.cfg.Log.InfoContext(ctx, "a vault that was left has not destroyed its record yet", "err", err)
		return
	}
	err = a.changeLeft(func(l *leftJSON) {
		for i := range l.Records {
			if !l.Records[i].is(r.slot()) {
				continue
			}
			if err != nil {
				l.Records[i].Unknown = true
				continue
			}
			l.Records[i].DestroyedAt, l.Records[i].Signature = receipt.At.UnixMilli(), receipt.Signature[:]
		}
	})
	if err != nil {
		a.cfg.Log.WarnContext(ctx, "could not keep a receipt", "err", err)
	}
}

// settleVaults is settleLeft at the end of a backup: nothing of it is a reason to call the
// backup a failure.
func (a *App) settleVaults(ctx context.Context, root RootKey, head *repo.Head) {
	if _, err := os.Stat(a.leftPath()); err != nil {
		return // nothing was ever left
	}
	if _, err := a.settleLeft(ctx, root, head); err != nil {
		a.cfg.Log.WarnContext(ctx, "could not have old records destroyed", "err", err)
	}
}

func (a *App) leftRecords(list []leftRecord) []LeftRecord {
	var out []LeftRecord
	for _, r := range list {
		slot := r.slot()
		out = append(out, LeftRecord{
			Vault: a.refOf(slot), Record: hex.EncodeToString(slot.Record[:]), LeftAt: r.LeftAt, Unknown: r.Unknown, Receipt: a.receiptOf(r),
		})
	}
	return out
}

func (a *App) receiptOf(r leftRecord) *VaultReceipt {
	if r.DestroyedAt == 0 {
		return nil
	}
	slot := r.slot()
	return &VaultReceipt{
		Vault: a.refOf(slot), VaultID: hex.EncodeToString(slot.VaultID[:]), Record: hex.EncodeToString(slot.Record[:]),
		At: time.UnixMilli(r.DestroyedAt).UTC(), Signature: hex.EncodeToString(r.Signature), Key: hex.EncodeToString(slot.ReceiptKey[:]),
	}
}
