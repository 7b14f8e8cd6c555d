package app

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"syscall"
	"time"

	"coffer/app/repo"
	"coffer/app/source"
	"coffer/app/target"
	"coffer/cloud"
	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/embedded"
)

// A Code names one situation that the user can be in. Codes are stable: scripts, support
// and the catalogues of every language depend on them.
type Code string

// The codes.
const (
	CodeCanceled         Code = "canceled"
	CodeUsage            Code = "usage"
	CodeNotSetUp         Code = "not-set-up"
	CodeAlreadySetUp     Code = "already-set-up"
	CodeProfileBusy      Code = "profile-busy"
	CodeLocked           Code = "locked"
	CodeNoKeyring        Code = "no-keyring"
	CodeKeyringWaiting   Code = "keyring-waiting"
	CodePasswordShort    Code = "password-too-short"
	CodePasswordCommon   Code = "password-common"
	CodePasswordWeak     Code = "password-weak"
	CodePasswordBad      Code = "password-characters"
	CodePassphraseWeak   Code = "passphrase-weak"
	CodeWrongPassword    Code = "wrong-password"
	CodeLastTry          Code = "last-try"
	CodeWait             Code = "wait"
	CodeKeyDestroyed     Code = "key-destroyed"
	CodeRecordFrozen     Code = "record-frozen"
	CodeWrongPassphrase  Code = "wrong-passphrase"
	CodeRecoveryLine     Code = "recovery-line"
	CodeRecoveryShort    Code = "recovery-short"
	CodeRecoveryLong     Code = "recovery-long"
	CodeRecoveryDigit    Code = "recovery-digit"
	CodeWrongKey         Code = "wrong-key"
	CodeKeyOfOther       Code = "key-of-other"
	CodeNoSuchWay        Code = "no-such-way" // this backup has no password, or no passphrase
	CodeVaultElsewhere   Code = "vault-elsewhere"
	CodeVaultOffline     Code = "vault-offline"
	CodeVaultIdentity    Code = "vault-identity"
	CodeVaultBusy        Code = "vault-busy"
	CodeVaultTrouble     Code = "vault-trouble"
	CodeOutcomeUnknown   Code = "outcome-unknown"
	CodePlaceMissing     Code = "place-missing"
	CodePlaceNotFolder   Code = "place-not-folder"
	CodePlaceOffline     Code = "place-offline"
	CodePlaceDenied      Code = "place-denied"
	CodePlaceReadOnly    Code = "place-read-only"
	CodePlaceFull        Code = "place-full"
	CodePlaceForeign     Code = "place-foreign"
	CodePlaceTaken       Code = "place-taken"
	CodePlaceOther       Code = "place-other"
	CodePlaceInSource    Code = "place-inside-source"
	CodePlaceUnsupported Code = "place-unsupported" // scheme: a kind of place that this version cannot use
	CodePlaceMany        Code = "place-many"        // the place holds several backups: say which
	CodeFormatNewer      Code = "format-newer"
	CodeObjectDamaged    Code = "object-damaged"
	CodeObjectMissing    Code = "object-missing"
	CodeDamaged          Code = "repository-damaged"
	CodeRollback         Code = "rollback"
	CodeSourceMissing    Code = "source-missing"
	CodeSourceUnreadable Code = "source-unreadable"
	CodeNoSources        Code = "no-sources"
	CodeNoSnapshot       Code = "no-snapshot"
	CodeAmbiguous        Code = "ambiguous-snapshot"
	CodeNoPath           Code = "no-path"
	CodeTargetInSource   Code = "target-in-source"
	CodeTargetNotEmpty   Code = "target-not-empty"
	CodeTargetFull       Code = "target-full"
	CodeTargetDenied     Code = "target-denied"
	CodeTargetNotFolder  Code = "target-not-folder"
	CodeDisk             Code = "disk-trouble"
	CodeInternal         Code = "internal"
)

// A Failure is an error as the user meets it.
type Failure struct {
	Code Code
	// Args fill the holes of the sentence: tries (left), until and made (RFC 3339), line
	// (1 to 8), path, place, object, computer, scheme, snapshot. Never a secret; any of them
	// may hold any text, so whoever shows them makes them safe.
	Args map[string]string
}

// causes is the only place where an error becomes a situation. The first match wins, so
// what says more stands above what says less: an alarm above all, our own words above those
// of the packages below, and those above the system's.
var causes = []struct {
	err  error
	code Code
}{
	{context.Canceled, CodeCanceled},
	{ErrRollback, CodeRollback},
	{repo.ErrForged, CodeRollback},

	{ErrNotSetUp, CodeNotSetUp},
	{ErrAlreadySetUp, CodeAlreadySetUp},
	{ErrProfileBusy, CodeProfileBusy},
	{ErrProfileNewer, CodeFormatNewer},
	{ErrKeyringWaiting, CodeKeyringWaiting},
	{ErrLocked, CodeLocked}, // whatever the reason: the key file may be damaged, too
	{ErrProfileDamaged, CodeDisk},
	{ErrNoKeyring, CodeNoKeyring},
	{ErrNoEntry, CodeLocked},
	{errKeyNotKept, CodeDisk},

	{ErrPasswordTooShort, CodePasswordShort},
	{ErrPasswordTooLong, CodePasswordBad},
	{ErrPasswordCommon, CodePasswordCommon},
	{ErrPasswordWeak, CodePasswordWeak},
	{ErrPassphraseWeak, CodePassphraseWeak},
	{crypto.ErrEmptyPassword, CodePasswordShort},
	{crypto.ErrPasswordCharacters, CodePasswordBad},

	{ErrVaultElsewhere, CodeVaultElsewhere},
	{vault.ErrDestroyed, CodeKeyDestroyed},
	{vault.ErrWrongPassword, CodeWrongPassword},
	{vault.ErrWait, CodeWait},
	{vault.ErrLastTry, CodeWait},
	{vault.ErrFrozen, CodeRecordFrozen},
	{vault.ErrOffline, CodeVaultOffline},
	{vault.ErrIdentity, CodeVaultIdentity},
	{vault.ErrUnknownOutcome, CodeOutcomeUnknown},
	{vault.ErrUnknownRecord, CodeVaultTrouble},
	{vault.ErrStale, CodeVaultTrouble},
	{vault.ErrAttemptOver, CodeVaultTrouble},
	{vault.ErrCommitted, CodeVaultTrouble},
	{vault.ErrMalformed, CodeVaultTrouble},
	{vault.ErrTooLarge, CodeVaultTrouble},
	{vault.ErrInternal, CodeVaultTrouble},
	{vault.ErrNotOpened, CodeVaultTrouble},
	{vault.ErrSlot, CodeVaultTrouble},
	{vault.ErrWeakKDF, CodeRollback}, // a head that wants a cheap guess is a forged one
	{embedded.ErrBusy, CodeVaultBusy},
	{embedded.ErrDamaged, CodeVaultTrouble},

	{ErrKeyOfOther, CodeKeyOfOther},
	{ErrWrongKey, CodeWrongKey},
	{ErrNoSuchWay, CodeNoSuchWay},
	{ErrNotSheet, CodeRecoveryShort},
	{crypto.ErrWrongPassphrase, CodeWrongPassphrase},
	{crypto.ErrRecoveryKey, CodeRecoveryLine}, // which of the four: see recoveryCode
	{crypto.ErrWrongKey, CodeVaultTrouble},
	{crypto.ErrKeySize, CodeWrongKey},
	{crypto.ErrWeakKDF, CodeRollback},
	{crypto.ErrCostlyKDF, CodeRollback},

	{ErrPlaceUnsupported, CodePlaceUnsupported},
	{ErrPlaceNotFolder, CodePlaceNotFolder},
	{ErrPlaceInsideSource, CodePlaceInSource},
	{ErrPlaceTaken, CodePlaceTaken},
	{ErrPlaceMany, CodePlaceMany},
	{ErrPlaceOther, CodePlaceOther},
	{ErrPlaceForeign, CodePlaceForeign},
	{ErrSourceMissing, CodeSourceMissing},
	{ErrSourceUnreadable, CodeSourceUnreadable},
	{ErrNoSources, CodeNoSources},
	{ErrSettings, CodeUsage},
	{ErrPaper, CodeUsage},

	{ErrNoSnapshot, CodeNoSnapshot},
	{ErrAmbiguous, CodeAmbiguous},
	{ErrNoPath, CodeNoPath},
	{ErrNotFile, CodeUsage},
	{ErrPattern, CodeUsage},
	{ErrTargetInSource, CodeTargetInSource},
	{ErrTargetNotEmpty, CodeTargetNotEmpty},
	{ErrTargetDenied, CodeTargetDenied},
	{ErrDamaged, CodeDamaged},

	// The place, before the objects in it: a pack that cannot be read because the disk
	// was pulled out is not a damaged pack.
	{cloud.ErrOffline, CodePlaceOffline},
	{cloud.ErrLimit, CodePlaceOffline},
	{cloud.ErrAuth, CodePlaceDenied},
	{cloud.ErrDenied, CodePlaceDenied},
	{cloud.ErrReadOnly, CodePlaceReadOnly},
	{cloud.ErrFull, CodePlaceFull},
	{cloud.ErrNoPlace, CodePlaceMissing},
	{cloud.ErrUnsupported, CodePlaceUnsupported},

	{crypto.ErrNewerFormat, CodeFormatNewer},
	{crypto.ErrOtherRepository, CodePlaceOther},
	{repo.ErrMissing, CodeObjectMissing},
	{repo.ErrDamaged, CodeObjectDamaged},
	{repo.ErrNoRepository, CodePlaceForeign},
	{crypto.ErrDamaged, CodeObjectDamaged},
	{crypto.ErrNotCoffer, CodeObjectDamaged},
	{crypto.ErrWrongKind, CodeObjectDamaged},
	{crypto.ErrCommitment, CodeObjectDamaged},
	{cloud.ErrNotFound, CodeObjectMissing},
	{cloud.ErrChecksum, CodeObjectDamaged},
	{cloud.ErrTooLarge, CodeObjectDamaged},
	{cloud.ErrRange, CodeObjectDamaged},
	{cloud.ErrExists, CodeObjectDamaged}, // a name is the hash of what it holds

	{target.ErrFull, CodeTargetFull},
	{target.ErrReadOnly, CodeTargetDenied},
	{target.ErrNotFolder, CodeTargetNotFolder},
	{target.ErrOutside, CodeDamaged}, // no true backup holds such a name
	{target.ErrName, CodeTargetDenied},
	{target.ErrTooLarge, CodeTargetFull},
	{target.ErrNoLinks, CodeTargetDenied},
	{target.ErrSize, CodeDamaged},
	{target.ErrTaken, CodeTargetDenied},

	{source.ErrVanished, CodeSourceMissing},
	{source.ErrPermission, CodeSourceUnreadable},
	{source.ErrReplaced, CodeSourceUnreadable},
	{source.ErrRead, CodeSourceUnreadable},
	{source.ErrLoop, CodeSourceUnreadable},
	{source.ErrBusy, CodeSourceUnreadable},
	{source.ErrTooMany, CodeDisk},
	{source.ErrName, CodeSourceUnreadable},
	{source.ErrPattern, CodeUsage},
	{source.ErrXattrSize, CodeSourceUnreadable},

	{context.DeadlineExceeded, CodePlaceOffline},
	{fs.ErrPermission, CodeDisk},
	{fs.ErrNotExist, CodeDisk},
	{syscall.ENOSPC, CodeDisk},
	{syscall.EROFS, CodeDisk},
	{syscall.EIO, CodeDisk},
}

// Explain tells which situation err puts the user in. Explain(nil) is the zero Failure.
// Being cancelled is a situation and not a failure: see [CodeCanceled].
func Explain(err error) Failure {
	if err == nil {
		return Failure{}
	}
	f := Failure{Code: CodeInternal, Args: map[string]string{}}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			f.Code = c.code
			break
		}
	}
	f.attempt(err)
	f.recovery(err)
	f.names(err)
	return f
}

// attempt adds what a vault said about tries. The wrong one before the last has a code of
// its own, for it has a page of its own.
func (f *Failure) attempt(err error) {
	var a *vault.AttemptError
	if !errors.As(err, &a) {
		return
	}
	if a.Left >= 0 {
		f.Args["tries"] = strconv.Itoa(a.Left)
	}
	if !a.Until.IsZero() {
		f.Args["until"] = a.Until.Format(time.RFC3339)
	}
	if f.Code == CodeWrongPassword && a.Left == 1 {
		f.Code = CodeLastTry
	}
}

// recovery tells the four mistakes of typing 64 digits apart.
func (f *Failure) recovery(err error) {
	var r *crypto.RecoveryError
	if !errors.As(err, &r) {
		return
	}
	if r.Line > 0 {
		f.Args["line"] = strconv.Itoa(r.Line)
	}
	if r.Position > 0 {
		f.Args["position"] = strconv.Itoa(r.Position)
	}
	switch r.Reason {
	case crypto.RecoveryTooShort:
		f.Code = CodeRecoveryShort
	case crypto.RecoveryTooLong:
		f.Code = CodeRecoveryLong
	case crypto.RecoveryNotADigit:
		f.Code = CodeRecoveryDigit
	default:
		f.Code = CodeRecoveryLine
	}
}

// names adds what the typed errors on the way name.
func (f *Failure) names(err error) {
	var place *PlaceError
	if errors.As(err, &place) {
		f.Args["place"] = place.Place
	}
	var src *SourceError
	if errors.As(err, &src) {
		f.Args["path"] = src.Path
	}
	var path *PathError
	if errors.As(err, &path) {
		f.Args["path"] = path.Path
	}
	var space *SpaceError
	if errors.As(err, &space) {
		f.Args["missing"] = strconv.FormatInt(space.Missing, 10)
	}
	var snapshot *SnapshotError
	if errors.As(err, &snapshot) {
		f.Args["snapshot"] = snapshot.Ref
	}
	var scheme *UnsupportedPlaceError
	if errors.As(err, &scheme) {
		f.Args["scheme"] = scheme.Scheme
	}
	var elsewhere *VaultElsewhereError
	if errors.As(err, &elsewhere) {
		f.Args["computer"] = elsewhere.Computer
	}
	var other *KeyOfOtherError
	if errors.As(err, &other) {
		f.Args["computer"] = other.Computer
		if !other.MadeAt.IsZero() {
			f.Args["made"] = other.MadeAt.Format(time.RFC3339)
		}
	}
	var object *repo.ObjectError
	if errors.As(err, &object) {
		f.Args["object"] = object.Object
	}
}
