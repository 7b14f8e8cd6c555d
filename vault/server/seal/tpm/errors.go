package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"coffer/vault/server/seal"
)

var (
	// ErrRolledBack says that the store is a copy of former days.
	ErrRolledBack = errors.New("tpm: this store is older than its TPM knows: somebody put back an old copy. " +
		"Put the newest one in its place; if there is none, its owner may go on with this one by coffer-vault recover-epoch and the recovery key")
	// ErrOtherTPM says that the store was sealed by another TPM, or that this one was cleared.
	ErrOtherTPM = errors.New("tpm: this store was sealed by another TPM, or this TPM was cleared since. " +
		"Its owner may go on with it on this one by coffer-vault recover-epoch and the recovery key")
	// ErrTampered says that the store was changed by another program.
	ErrTampered = errors.New("tpm: the store was changed behind the back of the vault")
	// ErrNoStore says that there is no state in the store, and none was to be made.
	ErrNoStore = errors.New("tpm: the store has no state")
	// ErrRecovery says that a recovery key is not the one of this store, or that it has none.
	ErrRecovery = errors.New("tpm: the recovery key is not that of this store")
	// ErrFull says that the TPM has no room for another record.
	ErrFull = fmt.Errorf("tpm: the TPM has no room for another record: %w", seal.ErrFull)
	// ErrNoCertificate says that the maker of the TPM has put no certificate into it.
	ErrNoCertificate = errors.New("tpm: the TPM has no certificate of its maker")
	// ErrDevice says that the name of a device is none, or none of this system.
	ErrDevice = errors.New("tpm: no such device")

	errNoIndex = errors.New("tpm: no such NV index")
	errForeign = errors.New("tpm: not an object of this TPM")
)

// isVerdict tells an answer of the chip, which has been understood, from its failure.
func isVerdict(err error) bool {
	for _, v := range []error{
		seal.ErrOpen, seal.ErrReference, seal.ErrUnarmed, seal.ErrSession, seal.ErrHardware,
		ErrRolledBack, ErrOtherTPM, ErrTampered, ErrRecovery, ErrNoCertificate, errNoIndex,
	} {
		if errors.Is(err, v) {
			return true
		}
	}
	return false
}

// isCode says whether err is one of these response codes of a TPM.
func isCode(err error, codes ...tpm2.TPMRC) bool {
	for _, code := range codes {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}
