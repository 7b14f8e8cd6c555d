package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"coffer/crypto"
	"coffer/vault"
)

// A MoveOptions says where the password goes.
type MoveOptions struct {
	// Link is a coffer-vault:// link, which may have an invitation; "" is the vault on this
	// computer.
	Link     string
	Password Secret // as it is now: the vault where it is does not have it, and cannot pass it on
	// Browser gets the address of a sign-in, once, if the vault wants one; it may also be
	// shown to be copied. Nil: a vault that wants a sign-in is [ErrVaultSignIn].
	Browser func(address string) error
}

// A MoveReport says what came of a move.
type MoveReport struct {
	From, To VaultRef
	// Receipt is the old vault's signed word that it has destroyed its record; nil when it
	// has not said so yet.
	Receipt *VaultReceipt
	// Waiting says that the old vault still has its record: it did not answer. Coffer asks
	// it again after each backup, and [App.VaultStatus] lists it until then.
	Waiting bool
	Notices []Notice
}

// A VaultRef names a vault to people.
type VaultRef struct {
	Kind     string // VaultEmbedded, VaultServer; "" none
	Name     string // who runs it; of an embedded one the computer that it is on
	Address  string // host:port; "" of an embedded one
	Sealer   string // "software", ...; "" not known
	Hardware bool
}

// A VaultReceipt is a vault's signed word that it has destroyed a record. It was checked
// with the key that the backup had pinned.
type VaultReceipt struct {
	Vault     VaultRef
	VaultID   string // 32 hex digits
	Record    string // 32 hex digits
	At        time.Time
	Signature string // 128 hex digits: Ed25519 (docs/vault-protocol.md, "Keys and labels")
	Key       string // 64 hex digits: the public key that it verifies with
}

// A LeaveReport says what came of leaving a vault.
type LeaveReport struct {
	From    VaultRef
	Receipt *VaultReceipt // nil: not yet
	Waiting bool          // the vault did not answer: Coffer asks it again after each backup
}

// MoveVault moves the password from the vault that guards it now to another one: from this
// computer to a server, between servers, or back. Nothing is uploaded but a head; every
// backup stays as it is. It takes the key that this computer has, and the password, which is
// compared with what was last set or used here: [ErrOtherPassword], without a try. A computer
// that has never seen it asks the old vault, where a wrong one costs a try; [ErrNotCompared].
//
// In order, so that whatever fails or crashes can be done again by the same call:
//
//	the new vault takes the password (which has its own note, see enroll), and one full
//	  login proves that it opens
//	the old record is noted as one that is to be destroyed (state/vaults/left.json)
//	the head with the new slot goes into the places: THE COMMIT POINT; until here the old
//	  vault opens the backup, and from here the new one does
//	the old vault destroys its record, and its receipt is kept
//
// [ErrVaultSame], [ErrNoSuchWay] for a backup without a password; as [App.InspectVault], and
// as [App.ChangePassword]. [vault.ErrNotAdmitted], [ErrVaultInvitation], [ErrVaultSignIn].
func (a *App) MoveVault(ctx context.Context, o MoveOptions) (MoveReport, error) {
	unlock, err := a.lockProfile()
	if err != nil {
		return MoveReport{}, err
	}
	defer unlock()
	return a.moveVault(ctx, o)
}

// LeaveVault takes the password way out of the backup, has the vault destroy its record, and
// keeps the receipt. Then only the 64 digits, or a passphrase, open the backup: it is
// refused with [ErrNoOtherWay] before the recovery sheet was proven. The commit point is the
// head without the password. [ErrNoSuchWay] for a backup without one, [ErrLocked].
func (a *App) LeaveVault(ctx context.Context) (LeaveReport, error) {
	unlock, err := a.lockProfile()
	if err != nil {
		return LeaveReport{}, err
	}
	defer unlock()
	return a.leaveVault(ctx)
}

// openChange opens what a change of a way in needs.
func (a *App) openChange(ctx context.Context, secret Secret) (*change, error) {
	root, err := a.rootKey(ctx)
	if err != nil {
		return nil, err
	}
	c := &change{app: a, root: root, keys: root.Derive(), secret: secret}
	if err := c.openPlaces(ctx); err != nil {
		c.end()
		return nil, err
	}
	c.findHead()
	return c, nil
}

// end closes the places and wipes the keys.
func (c *change) end() {
	c.close()
	c.keys.Wipe()
	c.root.Wipe()
}

func (a *App) moveVault(ctx context.Context, o MoveOptions) (MoveReport, error) {
	to, err := targetOf(o.Link, o.Browser)
	if err != nil {
		return MoveReport{}, fmt.Errorf("move to another vault: %w", err)
	}
	c, err := a.openChange(ctx, o.Password)
	if err != nil {
		return MoveReport{}, err
	}
	defer c.end()
	report, err := c.move(ctx, to)
	if err != nil {
		return MoveReport{}, fmt.Errorf("move to another vault: %w", err)
	}
	return report, nil
}

func (c *change) move(ctx context.Context, to vaultTarget) (MoveReport, error) {
	if c.head.Vault == nil {
		return MoveReport{}, ErrNoSuchWay
	}
	old := vaultSlot(c.head.Vault)
	if to.keeps(c.app, old) {
		return c.moved(ctx, old)
	}
	if err := c.knowsPassword(ctx, old); err != nil {
		return MoveReport{}, err
	}
	if err := c.moveTo(ctx, to, old); err != nil {
		return MoveReport{}, err
	}
	return c.report(ctx, old)
}

// moved is a move that crashed behind its commit point: what is left of it is done now.
// [ErrVaultSame] when nothing is.
func (c *change) moved(ctx context.Context, now vault.Slot) (MoveReport, error) {
	left, err := c.app.leftOf(c.keys.Repository().String(), c.head)
	if err != nil {
		return MoveReport{}, err
	}
	i := slices.IndexFunc(left, leftRecord.waits)
	if i < 0 {
		return MoveReport{}, ErrVaultSame
	}
	pending, err := c.app.readPending(c.keys.Repository().String())
	if err != nil {
		return MoveReport{}, err
	}
	if pending != nil && pending.pending().Slot == now {
		if err := c.keep(pending.Check); err != nil {
			return MoveReport{}, err
		}
	}
	return c.report(ctx, left[i].slot())
}

// moveTo puts the password into another vault and publishes that.
func (c *change) moveTo(ctx context.Context, to vaultTarget, old vault.Slot) error {
	// Before anything else: a crash behind the commit point must not forget it.
	if err := c.app.noteLeft(c.keys.Repository().String(), old); err != nil {
		return err
	}
	// Nothing is published before one login has proven the new vault: until then the old
	// one opens the backup.
	done, err := c.app.enroll(ctx, to, c.root, c.secret, nil, func(vault.Slot) error { return nil })
	if err != nil {
		return err
	}
	if err := c.publish(ctx, done.slot); err != nil {
		return err
	}
	return c.keep(done.check)
}

// keep makes the profile say what the head says, and ends what enroll began.
func (c *change) keep(check []byte) error {
	err := c.app.changeProfile(func(p *Profile) error {
		noteLock(p, c.lockOf(), c.head)
		return nil
	})
	if err != nil {
		return err
	}
	c.app.keepPractice(check)
	c.app.endEnroll()
	if c.head.Vault == nil {
		return nil
	}
	if link, remote := remoteLink(vaultSlot(c.head.Vault)); remote {
		if err := c.app.knownVault(link).forgetWatch(); err != nil {
			c.app.cfg.Log.Warn("could not forget what was heard of the old password", "err", err)
		}
	}
	return nil
}

// lockOf is the way in that the head has beside the 64 digits.
func (c *change) lockOf() LockKind {
	switch {
	case c.head.Vault != nil:
		return LockPassword
	case c.head.Passphrase != nil:
		return LockPassphrase
	}
	return LockKey
}

// report has the old record destroyed and says what came of the move.
func (c *change) report(ctx context.Context, old vault.Slot) (MoveReport, error) {
	receipt, waiting, err := c.destroyOld(ctx, old)
	if err != nil {
		return MoveReport{}, err
	}
	now := vaultSlot(c.head.Vault)
	out := MoveReport{From: c.app.refOf(old), To: c.app.refOf(now), Receipt: receipt, Waiting: waiting}
	out.Notices = append(c.app.vaultNotices(now), waitingNotice(out.From, waiting)...)
	return out, nil
}

// destroyOld has the records of this backup that are left destroyed, and says what came of
// that of old.
func (c *change) destroyOld(ctx context.Context, old vault.Slot) (receipt *VaultReceipt, waiting bool, err error) {
	left, err := c.app.settleLeft(ctx, c.root, c.head)
	if err != nil {
		return nil, false, err
	}
	i := slices.IndexFunc(left, func(r leftRecord) bool { return r.is(old) })
	if i < 0 {
		return nil, false, nil
	}
	return c.app.receiptOf(left[i]), left[i].waits(), nil
}

func waitingNotice(from VaultRef, waiting bool) []Notice {
	if !waiting {
		return nil
	}
	return []Notice{{Code: NoticeVaultWaiting, Args: map[string]string{"name": from.Name, "address": from.Address}}}
}

// vaultNotices are what the user should know of the vault of a new slot.
func (a *App) vaultNotices(slot vault.Slot) []Notice {
	ref := a.refOf(slot)
	if ref.Kind == VaultEmbedded {
		return []Notice{{Code: NoticeVaultHere, Args: map[string]string{"computer": ref.Name}}}
	}
	args := map[string]string{"name": ref.Name, "address": ref.Address}
	list := []Notice{{Code: NoticeVaultServer, Args: args}}
	if !ref.Hardware {
		list = append(list, Notice{Code: NoticeVaultSoftware, Args: args})
	}
	return list
}

// knowsPassword compares the password with what was last set or used on this computer; one
// that never saw any asks the old vault, where a wrong one costs a try.
func (c *change) knowsPassword(ctx context.Context, old vault.Slot) error {
	check, err := readBounded(filepath.Join(c.app.stateDir(), practiceFile), maxPractice)
	if err == nil {
		same, err := crypto.PracticePassword(c.root, check, c.secret)
		if err == nil && !same {
			return ErrOtherPassword
		}
		if err == nil {
			return nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read practice check: %w", err)
	}
	root, err := c.app.openRecord(ctx, old, c.secret)
	root.Wipe()
	if isVaultAlarm(err) || errors.Is(err, vault.ErrOffline) || errors.Is(err, vault.ErrDestroyed) || errors.Is(err, ErrVaultElsewhere) {
		return fmt.Errorf("%w: %w", ErrNotCompared, err)
	}
	return err
}

func (a *App) leaveVault(ctx context.Context) (LeaveReport, error) {
	c, err := a.openChange(ctx, Secret{})
	if err != nil {
		return LeaveReport{}, err
	}
	defer c.end()
	report, err := c.leave(ctx)
	if err != nil {
		return LeaveReport{}, fmt.Errorf("leave the vault: %w", err)
	}
	return report, nil
}

func (c *change) leave(ctx context.Context) (LeaveReport, error) {
	old, err := c.whatToLeave()
	if err != nil {
		return LeaveReport{}, err
	}
	if c.head.Vault != nil {
		if c.profile.SheetProvenAt.IsZero() {
			return LeaveReport{}, ErrNoOtherWay
		}
		if err := c.app.noteLeft(c.keys.Repository().String(), old); err != nil {
			return LeaveReport{}, err
		}
		next := *c.head
		next.Vault = nil
		if err := c.write(ctx, next); err != nil {
			return LeaveReport{}, err
		}
	}
	if err := c.keep(nil); err != nil {
		return LeaveReport{}, err
	}
	receipt, waiting, err := c.destroyOld(ctx, old)
	if err != nil {
		return LeaveReport{}, err
	}
	return LeaveReport{From: c.app.refOf(old), Receipt: receipt, Waiting: waiting}, nil
}

// whatToLeave is the slot of the head, or, after a crash behind the commit point, the record
// that waits to be destroyed. [ErrNoSuchWay].
func (c *change) whatToLeave() (vault.Slot, error) {
	if c.head.Vault != nil {
		return vaultSlot(c.head.Vault), nil
	}
	left, err := c.app.leftOf(c.keys.Repository().String(), c.head)
	if err != nil {
		return vault.Slot{}, err
	}
	i := slices.IndexFunc(left, leftRecord.waits)
	if i < 0 {
		return vault.Slot{}, ErrNoSuchWay
	}
	return left[i].slot(), nil
}
