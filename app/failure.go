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
	CodeCanceled           Code = "canceled"
	CodeUsage              Code = "usage"
	CodeNotSetUp           Code = "not-set-up"
	CodeAlreadySetUp       Code = "already-set-up"
	CodeProfileBusy        Code = "profile-busy"
	CodeLocked             Code = "locked"
	CodeNoKeyring          Code = "no-keyring"
	CodeKeyringWaiting     Code = "keyring-waiting"
	CodePasswordShort      Code = "password-too-short"
	CodePasswordCommon     Code = "password-common"
	CodePasswordWeak       Code = "password-weak"
	CodePasswordBad        Code = "password-characters"
	CodePassphraseWeak     Code = "passphrase-weak"
	CodeWrongPassword      Code = "wrong-password"
	CodeOtherPassword      Code = "other-password"        // not the one that was last set or used here; nobody was asked
	CodeNotCompared        Code = "password-not-compared" // this computer has never seen it, and its vault cannot be asked
	CodeLastTry            Code = "last-try"
	CodeWait               Code = "wait"
	CodeKeyDestroyed       Code = "key-destroyed"
	CodeRecordFrozen       Code = "record-frozen"
	CodeWrongPassphrase    Code = "wrong-passphrase"
	CodeRecoveryLine       Code = "recovery-line"
	CodeRecoveryShort      Code = "recovery-short"
	CodeRecoveryLong       Code = "recovery-long"
	CodeRecoveryDigit      Code = "recovery-digit"
	CodeWrongKey           Code = "wrong-key"
	CodeKeyOfOther         Code = "key-of-other"
	CodeNoSuchWay          Code = "no-such-way" // this backup has no password, or no passphrase
	CodeVaultElsewhere     Code = "vault-elsewhere"
	CodeVaultOffline       Code = "vault-offline"
	CodeVaultIdentity      Code = "vault-identity"
	CodeVaultBusy          Code = "vault-busy"
	CodeVaultTrouble       Code = "vault-trouble"
	CodeOutcomeUnknown     Code = "outcome-unknown"
	CodeVaultLink          Code = "vault-link"            // the text is no link of a vault
	CodeVaultSecondSigner  Code = "vault-second-signer"   // an alarm: the second signature is missing
	CodeVaultExpired       Code = "vault-expired"         // what the vault says of itself has expired, or this computer's clock is wrong
	CodeVaultOlder         Code = "vault-older"           // an alarm: it shows an older bundle than before
	CodeVaultRolledBack    Code = "vault-rolled-back"     // an alarm: its store was put back
	CodeVaultEvidence      Code = "vault-evidence"        // an alarm: its hardware did not prove that it counts
	CodeVaultInvitation    Code = "vault-invitation"      // it wants an invitation
	CodeVaultInvitationBad Code = "vault-invitation-used" // the invitation was used, or has expired
	CodeVaultSignIn        Code = "vault-sign-in"         // it wants a sign-in
	CodeVaultSignInRefused Code = "vault-sign-in-refused" // the sign-in is not good for it
	CodeVaultSignInFailed  Code = "vault-sign-in-failed"  // the sign-in in the browser did not come to its end
	CodeVaultQuota         Code = "vault-quota"           // the account has as many records as it may
	CodeVaultFull          Code = "vault-full"            // the vault's hardware has no room for another key
	CodeVaultLimit         Code = "vault-limit"           // until: too many requests; no try was used
	CodeVaultSerial        Code = "vault-serial"          // somebody else tries at the same moment; no try was used
	CodeVaultUnarmed       Code = "vault-unarmed"         // its hardware waits for the owner; no try was used
	CodeVaultSame          Code = "vault-same"            // the password is in this vault already
	CodeNoOtherWay         Code = "no-other-way"          // the recovery sheet must be proven first
	CodePlaceMissing       Code = "place-missing"
	CodePlaceNotFolder     Code = "place-not-folder"
	CodePlaceOffline       Code = "place-offline"
	CodePlaceDenied        Code = "place-denied"
	CodePlaceReadOnly      Code = "place-read-only"
	CodePlaceFull          Code = "place-full"
	CodePlaceForeign       Code = "place-foreign"
	CodePlaceTaken         Code = "place-taken"
	CodePlaceOther         Code = "place-other"
	CodePlaceInSource      Code = "place-inside-source"
	CodePlaceUnsupported   Code = "place-unsupported"    // scheme: a kind of place that this version cannot use
	CodePlaceMany          Code = "place-many"           // the place holds several backups: say which
	CodePlaceSignIn        Code = "place-sign-in"        // place, account: the sign-in has ended
	CodePlaceAccount       Code = "place-account"        // place, account: signed in to another account
	CodePlacePermission    Code = "place-permission"     // the box that lets us keep files was not ticked
	CodePlaceClient        Code = "place-client"         // the registration of the program is not usable
	CodeSignInRefused      Code = "sign-in-refused"      // the user pressed Cancel in the browser
	CodeSignInTimeout      Code = "sign-in-timeout"      // nobody finished in the browser
	CodePlaceTrashed       Code = "place-trashed"        // place: its folder is in the trash of the service
	CodePlaceLimit         Code = "place-limit"          // place, until: nothing goes before then
	CodePlaceHostKey       Code = "place-host-key"       // place, host, known, offered: the key of the server has changed
	CodePlaceNewHost       Code = "place-new-host"       // place, host, offered: a server that was never met
	CodePlaceCertificate   Code = "place-certificate"    // place, host, reason, offered
	CodePlaceClock         Code = "place-clock"          // place: the clocks differ too much
	CodePlaceArchived      Code = "place-archived"       // place: objects have to be thawed first
	CodePlaceNoLock        Code = "place-no-lock"        // place: objects cannot be locked there
	CodePlaceWaiting       Code = "place-waiting"        // place: another program has to download objects first
	CodePlaceNoICloud      Code = "place-no-icloud"      // no folder of iCloud on this computer
	CodePlaceNoProgram     Code = "place-no-program"     // place: the program that reaches it is not installed
	CodePlaceNoRemote      Code = "place-no-remote"      // place: that program does not know the remote
	CodePlaceUseDrive      Code = "place-use-drive"      // Google Drive has a kind of its own
	CodePlaceKeyPassphrase Code = "place-key-passphrase" // place: the private key is locked
	CodePlaceSecret        Code = "place-secret-missing" // place: its password or key is not on this computer
	CodePlaceAddress       Code = "place-address"        // place: the text names no place of its kind
	CodePlacePlain         Code = "place-plain"          // place: passwords would travel unencrypted
	CodePlaceLast          Code = "place-last"           // the only place cannot be removed
	CodePlaceUnknown       Code = "place-unknown"        // place: the profile has no such place
	CodePlaceKnown         Code = "place-known"          // place: it is one of the profile's already
	CodeMetered            Code = "metered"              // the network costs by the byte
	CodeProxy              Code = "proxy"                // the proxy refused
	CodeFormatNewer        Code = "format-newer"
	CodeObjectDamaged      Code = "object-damaged"
	CodeObjectMissing      Code = "object-missing"
	CodeDamaged            Code = "repository-damaged"
	CodeRollback           Code = "rollback"
	CodeSourceMissing      Code = "source-missing"
	CodeSourceUnreadable   Code = "source-unreadable"
	CodeNoSources          Code = "no-sources"
	CodeNoSnapshot         Code = "no-snapshot"
	CodeAmbiguous          Code = "ambiguous-snapshot"
	CodeNoPath             Code = "no-path"
	CodeTargetInSource     Code = "target-in-source"
	CodeTargetInPlace      Code = "target-in-place" // path
	CodeTargetNotEmpty     Code = "target-not-empty"
	CodeTargetFull         Code = "target-full"
	CodeTargetDenied       Code = "target-denied"
	CodeTargetNotFolder    Code = "target-not-folder"
	CodeDisk               Code = "disk-trouble"
	CodeInternal           Code = "internal"
)

// A Failure is an error as the user meets it.
type Failure struct {
	Code Code
	// Args fill the holes of the sentence: tries (left), until and made (RFC 3339), line
	// (1 to 8), path, place, account, host, known, offered (fingerprints), reason, object,
	// computer, scheme, snapshot. Never a secret; any of them may hold any text, so whoever
	// shows them makes them safe.
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
	{ErrPlaceSecret, CodePlaceSecret},
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

	{ErrNotCompared, CodeNotCompared}, // above the alarm of the old vault, which a move leaves
	{vault.ErrVaultRolledBack, CodeVaultRolledBack},
	{vault.ErrEvidence, CodeVaultEvidence},
	{ErrVaultElsewhere, CodeVaultElsewhere},
	{ErrVaultSame, CodeVaultSame},
	{ErrNoOtherWay, CodeNoOtherWay},
	{ErrOtherPassword, CodeOtherPassword},
	{ErrVaultSignIn, CodeVaultSignIn},
	{ErrVaultSignInFailed, CodeVaultSignInFailed},
	{ErrVaultInvitation, CodeVaultInvitation},
	{vault.ErrLink, CodeVaultLink},
	{vault.ErrSingleSigned, CodeVaultSecondSigner},
	{vault.ErrOlder, CodeVaultOlder},
	{vault.ErrExpired, CodeVaultExpired},
	{vault.ErrBundle, CodeVaultIdentity},
	{vault.ErrPin, CodeVaultIdentity},
	{vault.ErrDestroyed, CodeKeyDestroyed},
	{vault.ErrWrongPassword, CodeWrongPassword},
	{vault.ErrWait, CodeWait},
	{vault.ErrLastTry, CodeWait},
	{vault.ErrFrozen, CodeRecordFrozen},
	{vault.ErrNotAdmitted, CodeVaultInvitation},
	{vault.ErrInvitation, CodeVaultInvitationBad},
	{vault.ErrSignIn, CodeVaultSignInRefused},
	{vault.ErrQuota, CodeVaultQuota},
	{vault.ErrFull, CodeVaultFull},
	{vault.ErrBusy, CodeVaultLimit},
	{vault.ErrSerial, CodeVaultSerial},
	{vault.ErrUnarmed, CodeVaultUnarmed},
	{vault.ErrOtherKey, CodeVaultTrouble},
	{cloud.ErrProxy, CodeProxy}, // of a vault, too: that is never asked around the proxy
	{vault.ErrPortal, CodeVaultOffline},
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
	{vault.ErrNotRearmed, CodeVaultTrouble}, // a warning: the password was right
	{vault.ErrSlot, CodeVaultTrouble},
	{errAnchor, CodeVaultTrouble},
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
	{ErrPlaceLast, CodePlaceLast},
	{ErrPlaceUnknown, CodePlaceUnknown},
	{ErrPlaceKnown, CodePlaceKnown},
	{ErrMetered, CodeMetered},
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
	{ErrTargetInPlace, CodeTargetInPlace},
	{ErrTargetNotEmpty, CodeTargetNotEmpty},
	{ErrTargetDenied, CodeTargetDenied},
	{ErrDamaged, CodeDamaged},

	// The place, before the objects in it: a pack that cannot be read because the disk
	// was pulled out is not a damaged pack.
	{cloud.ErrIdentity, CodePlaceHostKey}, // which of the three: see identity
	{cloud.ErrAccount, CodePlaceAccount},
	{cloud.ErrScope, CodePlacePermission},
	{cloud.ErrRefused, CodeSignInRefused},
	{cloud.ErrTimeout, CodeSignInTimeout},
	{cloud.ErrClient, CodePlaceClient},
	{cloud.ErrPassphrase, CodePlaceKeyPassphrase},
	{cloud.ErrClock, CodePlaceClock},
	{cloud.ErrArchived, CodePlaceArchived},
	{cloud.ErrPlain, CodePlacePlain},
	{cloud.ErrNoLock, CodePlaceNoLock},
	{cloud.ErrWaiting, CodePlaceWaiting},
	{cloud.ErrTrashed, CodePlaceTrashed}, // before ErrOffline: a place that was there and is gone is that, too
	{cloud.ErrNoProgram, CodePlaceNoProgram},
	{cloud.ErrNoRemote, CodePlaceNoRemote},
	{cloud.ErrAddress, CodePlaceAddress},
	{cloud.ErrNoSync, CodePlaceNoICloud},
	{cloud.ErrUseDrive, CodePlaceUseDrive},
	{cloud.ErrOffline, CodePlaceOffline},
	{cloud.ErrLimit, CodePlaceOffline}, // or place-limit: see limit
	{cloud.ErrAuth, CodePlaceSignIn},
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
	f.identity(err)
	f.limit(err)
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

// identity tells a server that was never met from one that changed, and both from a
// certificate that nobody vouches for.
func (f *Failure) identity(err error) {
	var i *cloud.IdentityError
	if f.Code != CodePlaceHostKey || !errors.As(err, &i) {
		return
	}
	for name, value := range map[string]string{"host": i.Host, "known": i.Known, "offered": i.Offered, "reason": i.Reason} {
		if value != "" {
			f.Args[name] = value
		}
	}
	switch {
	case i.Kind == cloud.Certificate:
		f.Code = CodePlaceCertificate
	case i.Known == "":
		f.Code = CodePlaceNewHost
	}
}

// soon is how long a place may ask to wait before that is a situation of its own: a daily
// limit.
const soon = 15 * time.Minute

// limit tells a place that is busy from one that takes nothing before tomorrow.
func (f *Failure) limit(err error) {
	var l *cloud.LimitError
	if errors.As(err, &l) && f.Code == CodePlaceOffline && time.Until(l.Until) > soon {
		f.Code = CodePlaceLimit
		f.Args["until"] = l.Until.Format(time.RFC3339)
	}
}

// names adds what the typed errors on the way name.
func (f *Failure) names(err error) {
	var place *PlaceError
	if errors.As(err, &place) {
		f.Args["place"] = place.Place
		if place.Account != "" {
			f.Args["account"] = place.Account
		}
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
	var rolled *RollbackError
	if errors.As(err, &rolled) && !rolled.At.IsZero() {
		f.Args["computer"], f.Args["until"] = rolled.Computer, rolled.At.Format(time.RFC3339)
	}
	var object *repo.ObjectError
	if errors.As(err, &object) {
		f.Args["object"] = object.Object
	}
}
