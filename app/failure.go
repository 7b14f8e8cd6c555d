package app

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
	Args map[string]string // tries, until, path, line, computer, made, place, object, ...: never a secret
}

// Explain is made real below.
func Explain(err error) Failure { return Failure{Code: CodeInternal} }
