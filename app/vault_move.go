package app

import (
	"context"
	"time"
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
// compared with what was last set or used here: [ErrOtherPassword], without a try.
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
