package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"coffer/crypto"
	"coffer/internal/durable"
	"coffer/vault"
)

const (
	pendingVaultFile = "pending-vault.json"
	practiceFile     = "practice"
	maxPending       = 64 << 10
)

// pendingPassword is a password on its way into the vault, as state/pending-vault.json
// keeps it: version 1. Nothing in it opens anything without the root key or the password.
// Check is a crypto.NewPracticeCheck of the password, so that a second attempt can tell,
// without a try, whether the same password is being set.
type pendingPassword struct {
	Version    int         `json:"version"`
	Repository string      `json:"repository"`
	Check      []byte      `json:"check"`
	Begun      time.Time   `json:"begun"`
	Slot       pendingSlot `json:"slot"`
	Committed  bool        `json:"committed"`
	Ticket     []byte      `json:"ticket,omitempty"` // that let the record in
}

type pendingSlot struct {
	Link       string `json:"link"`
	Also       string `json:"also,omitempty"`
	VaultID    []byte `json:"vault_id"`
	ServerKey  []byte `json:"server_key"`
	ReceiptKey []byte `json:"receipt_key"`
	Computer   string `json:"computer"`
	Record     []byte `json:"record"`
	Generation uint64 `json:"generation"`
	CloudShare []byte `json:"cloud_share"`
	MemoryKiB  uint32 `json:"memory_kib"`
	Time       uint32 `json:"time"`
	Threads    uint8  `json:"threads"`
	Tries      int    `json:"tries"`
	SetAt      int64  `json:"set_at"`
	Guard      []byte `json:"guard,omitempty"`
}

func (s pendingSlot) whole() bool {
	return len(s.VaultID) == 16 && len(s.ServerKey) == 33 && len(s.ReceiptKey) == 32 && len(s.Record) == 16 &&
		len(s.CloudShare) == 32 && (len(s.Guard) == 0 || len(s.Guard) == 33)
}

func (p pendingPassword) pending() vault.Pending {
	s := p.Slot
	out := vault.Pending{Committed: p.Committed, Slot: vault.Slot{
		Link: s.Link, Also: s.Also, VaultID: [16]byte(s.VaultID), ServerKey: [33]byte(s.ServerKey), ReceiptKey: [32]byte(s.ReceiptKey),
		Computer: s.Computer, Record: [16]byte(s.Record), Generation: s.Generation, CloudShare: [32]byte(s.CloudShare),
		MemoryKiB: s.MemoryKiB, Time: s.Time, Threads: s.Threads, Tries: s.Tries, SetAt: s.SetAt,
	}}
	copy(out.Slot.Guard[:], s.Guard)
	copy(out.Ticket[:], p.Ticket)
	return out
}

func slotJSON(s vault.Slot) pendingSlot {
	out := pendingSlot{
		Link: s.Link, Also: s.Also, VaultID: s.VaultID[:], ServerKey: s.ServerKey[:], ReceiptKey: s.ReceiptKey[:],
		Computer: s.Computer, Record: s.Record[:], Generation: s.Generation, CloudShare: s.CloudShare[:],
		MemoryKiB: s.MemoryKiB, Time: s.Time, Threads: s.Threads, Tries: s.Tries, SetAt: s.SetAt,
	}
	if s.Guard != [33]byte{} {
		out.Guard = s.Guard[:]
	}
	return out
}

// parsePending reads the file strictly. What is not whole is as good as none: the password
// is then set anew, in a generation of its own.
func parsePending(data []byte) (pendingPassword, error) {
	var p pendingPassword
	if err := decodeStrictly(data, &p); err != nil {
		return pendingPassword{}, err
	}
	whole := p.Version == 1 && isHex(p.Repository, 32) && p.Slot.whole() && (len(p.Ticket) == 0 || len(p.Ticket) == 32)
	if !whole {
		return pendingPassword{}, ErrProfileDamaged
	}
	return p, nil
}

func (a *App) pendingPath() string { return filepath.Join(a.stateDir(), pendingVaultFile) }

// readPending returns the pending password of a backup, or nil.
func (a *App) readPending(repository string) (*pendingPassword, error) {
	data, err := readBounded(a.pendingPath(), maxPending)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrProfileDamaged) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read pending password: %w", err)
	}
	p, err := parsePending(data)
	if err != nil || p.Repository != repository {
		return nil, nil //nolint:nilerr // a note that cannot be read, or is another's, is as good as none
	}
	return &p, nil
}

// hasForeignPending reports whether a password of another backup is on its way: one that a
// Setup began whose key is lost.
func (a *App) hasForeignPending(repository string) bool {
	data, err := readBounded(a.pendingPath(), maxPending)
	if err != nil {
		return false
	}
	p, err := parsePending(data)
	return err == nil && p.Repository != repository
}

func (a *App) writePending(p pendingPassword) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encode pending password: %w", err)
	}
	if err := durable.WriteFile(a.pendingPath(), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write pending password: %w", err)
	}
	return nil
}

// hasPendingPassword reports whether a change of password was interrupted.
func (a *App) hasPendingPassword() bool {
	p, err := a.profile()
	if err != nil {
		return false
	}
	pending, err := a.readPending(p.Repository)
	return err == nil && pending != nil
}

// enrolled is a password that the vault has.
type enrolled struct {
	slot  vault.Slot
	check []byte // for practice
}

// enroll puts the root key behind password in a vault: as the next
// generation of old, or in a new record. publish puts the new slot into the place, and is
// called before the old password stops working. After a crash anywhere in between, enroll
// with the same password goes on where it was. The caller calls endEnroll when the slot is
// where it belongs.
//
// A record that was begun in another vault, and will not be finished now, is noted as one
// that was left.
func (a *App) enroll(ctx context.Context, to vaultTarget, root RootKey, password Secret, old *vault.Slot, publish func(vault.Slot) error) (enrolled, error) {
	keys := root.Derive()
	defer keys.Wipe()
	repository := keys.Repository().String()
	before, err := a.readPending(repository)
	if err != nil {
		return enrolled{}, err
	}
	asked := old
	if before != nil && to.keeps(a, before.pending().Slot) {
		slot := before.pending().Slot
		asked = &slot
	}
	var out enrolled
	err = a.withTarget(ctx, to, asked, func(c *vault.Client) error {
		if before != nil && to.keeps(a, before.pending().Slot) && samePassword(root, before.Check, password) {
			out, err = a.resumeEnroll(ctx, c, root, password, *before, publish)
			// A vault that does not know the record, or has gone past it, is asked anew.
			if !errors.Is(err, vault.ErrUnknownRecord) && !errors.Is(err, vault.ErrStale) && !errors.Is(err, vault.ErrDestroyed) {
				return err
			}
		}
		if err := a.noteAbandoned(repository, before, old); err != nil {
			return err
		}
		out, err = a.beginEnroll(ctx, c, root, password, old, publish)
		return err
	})
	return out, err
}

// noteAbandoned notes the record of a pending password that is given up, unless it is the
// record that goes on.
func (a *App) noteAbandoned(repository string, before *pendingPassword, old *vault.Slot) error {
	if before == nil {
		return nil
	}
	slot := before.pending().Slot
	if old != nil && old.Record == slot.Record {
		return nil
	}
	if noted, err := a.hasLeft(slot); noted || err != nil {
		return err // by the head's slot, which the vault is sure to know
	}
	return a.noteLeft(repository, slot)
}

func samePassword(root RootKey, check []byte, password Secret) bool {
	same, err := crypto.PracticePassword(root, check, password)
	return err == nil && same
}

func (a *App) resumeEnroll(ctx context.Context, c *vault.Client, root RootKey, password Secret, before pendingPassword, publish func(vault.Slot) error) (enrolled, error) {
	p := before.pending()
	if p.Committed {
		if err := publish(p.Slot); err != nil {
			return enrolled{}, err
		}
	}
	slot, err := c.Resume(ctx, p, root, password)
	if err != nil {
		return enrolled{}, fmt.Errorf("finish setting the password: %w", err)
	}
	return enrolled{slot: slot, check: before.Check}, publish(slot)
}

func (a *App) beginEnroll(ctx context.Context, c *vault.Client, root RootKey, password Secret, old *vault.Slot, publish func(vault.Slot) error) (enrolled, error) {
	keys := root.Derive()
	defer keys.Wipe()
	next := pendingPassword{
		Version: 1, Repository: keys.Repository().String(), Begun: time.Now().UTC().Truncate(time.Second),
		Check: crypto.NewPracticeCheck(root, password, a.cfg.KDF),
	}
	save := func(p vault.Pending) error {
		next.Slot, next.Committed, next.Ticket = slotJSON(p.Slot), p.Committed, nil
		if p.Ticket != [32]byte{} {
			next.Ticket = p.Ticket[:]
		}
		if err := a.writePending(next); err != nil {
			return err
		}
		if !p.Committed {
			return nil
		}
		return publish(p.Slot)
	}
	slot, err := c.Enroll(ctx, root, password, a.cfg.KDF, old, save)
	if old != nil && (errors.Is(err, vault.ErrDestroyed) || errors.Is(err, vault.ErrUnknownRecord)) {
		// The old record is beyond use; the key is here, so a new record takes its place.
		slot, err = c.Enroll(ctx, root, password, a.cfg.KDF, nil, save)
	}
	if err != nil {
		return enrolled{}, fmt.Errorf("set the password: %w", err)
	}
	return enrolled{slot: slot, check: next.Check}, nil
}

// endEnroll forgets the pending password. One that stays behind is finished again.
func (a *App) endEnroll() {
	if err := removeFile(a.pendingPath()); err != nil {
		a.cfg.Log.Warn("could not remove the pending password", "err", err)
	}
}

// keepPractice stores what PracticePassword compares with. Without it practice is not
// offered; that is no reason to fail what was done before.
func (a *App) keepPractice(check []byte) {
	path := filepath.Join(a.stateDir(), practiceFile)
	err := durable.WriteFile(path, check, 0o600)
	if len(check) == 0 {
		err = removeFile(path)
	}
	if err != nil {
		a.cfg.Log.Warn("could not store the practice check", "err", err)
	}
}
