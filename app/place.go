package app

import (
	"time"
)

// PlaceInfo is what can be seen of a place without a key.
type PlaceInfo struct {
	Kind        string // "folder"
	Dest        string // canonical
	Exists      bool
	Writable    bool
	Free, Total int64 // bytes; -1 not known
	Backups     []BackupInfo
	Foreign     int // files there that are not Coffer's
}

// BackupInfo is what a place says about one backup. Nothing of it is verified: the place
// may lie until a key has been tried.
type BackupInfo struct {
	Repository string // 32 hex digits
	Computer   string // that set the newest way in
	OS         string
	MadeAt     time.Time
	Ways       []WayIn
	Newest     time.Time // of the newest snapshot; zero when not known without the key
	Bytes      int64     // stored in the place
}

// A WayIn is one way to open a backup.
type WayIn struct {
	Kind          LockKind
	SetAt         time.Time // zero for the 64 digits
	VaultComputer string    // of a password: where its vault is
	VaultHere     bool      // ... and whether that is this computer's vault
	Tries         int       // limit; 0 where there is none
	TriesLeft     int       // -1 unknown
	Until         time.Time // no try is taken before this; zero: now
	State         string    // "", "active", "frozen", "destroyed", "unknown"
}

// A SourceSuggestion is a folder of the user that most people want to keep.
type SourceSuggestion struct {
	ID   string // "documents", "pictures", "desktop", "videos", "music", "downloads"
	Path string
}

// An Exclude is a pattern that is left out by default.
type Exclude struct {
	Pattern string
	Reason  string
}
