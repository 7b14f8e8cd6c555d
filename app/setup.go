package app

import "time"

// A LockKind is how people get back in.
type LockKind string

// The ways in. Every backup opens with its 64 digits; a password or a passphrase is one more.
const (
	LockPassword   LockKind = "password"   // guarded by a vault that counts the tries
	LockPassphrase LockKind = "passphrase" // guarded by its length alone
	LockKey        LockKind = "key"        // the 64 digits
)

// KeepKey is where this computer keeps the key between two backups.
type KeepKey string

// Where the key can be kept.
const (
	KeepAuto    KeepKey = ""        // the keyring if one answers, else a file, which a notice says
	KeepKeyring KeepKey = "keyring" // the key store of the operating system
	KeepFile    KeepKey = "file"    // a file in the profile that only this user can read
	KeepAsk     KeepKey = "ask"     // nowhere: asked for each time
)

// A Notice is something that worked, and that the user should know of.
type Notice struct {
	Code NoticeCode
	Args map[string]string // never a secret
}

// A NoticeCode is stable, like a [Code].
type NoticeCode string

// The notices.
const (
	NoticeKeyInFile      NoticeCode = "key-in-file"      // path: whoever reads this file opens the backup
	NoticeKeyNotKept     NoticeCode = "key-not-kept"     // storing the key failed: it will be asked for
	NoticeVaultHere      NoticeCode = "vault-here"       // computer: the password is lost with this computer
	NoticeSheetNotProven NoticeCode = "sheet-not-proven" // the recovery sheet has not been proven yet
	NoticeNoReadme       NoticeCode = "no-readme"        // README.txt could not be written into the place
	NoticeForeignFiles   NoticeCode = "foreign-files"    // count: other files lie in the place; they stay
	NoticeOldHead        NoticeCode = "old-head"         // the place has newer heads that this key does not verify
	NoticeVaultForgotten NoticeCode = "vault-forgotten"  // the old password's vault record could not be removed
)

// SetupOptions says how a new backup is made.
type SetupOptions struct {
	To          string   // the place, as people write it
	Create      bool     // make the folder of the place when its parent exists
	Sources     []string // absolute paths
	Exclude     []string // patterns, in addition to the defaults
	Lock        LockKind
	Secret      Secret  // password or passphrase; not used for LockKey
	Key         RootKey // shown and proven before, or the user's own; zero: made inside
	KeepKey     KeepKey
	SheetProven bool // the user proved the recovery sheet before this call
}

// A SetupResult is what Setup made.
type SetupResult struct {
	Key        RootKey // the caller shows it, and wipes it
	Repository string  // 32 hex digits
	Notices    []Notice
}

// OpenOptions says how an existing backup is joined on this computer.
type OpenOptions struct {
	From       string // the place, as people write it
	Repository string // 32 hex digits or the beginning of them; "" when the place has only one
	Lock       LockKind
	Secret     Secret
	Key        RootKey
	Sources    []string // what this computer will back up; may be empty, to restore only
	Exclude    []string
	KeepKey    KeepKey
}

// An OpenResult is what Open found.
type OpenResult struct {
	Repository string
	Computer   string    // the computer that made the newest head; "" when all heads are lost
	MadeAt     time.Time // of the backup; zero when all heads are lost
	Notices    []Notice
}
