package app

import "time"

// Overview is what Home shows.
type Overview struct {
	SetUp       bool
	State       string // one of the State constants
	LastBackup  time.Time
	LastSummary BackupSummary
	Place       string
	PlaceFree   int64 // bytes at the last backup; -1 unknown
	StoredBytes int64
	Sources     []string
	Attention   []Attention
	Runs        []Run // the last 30 days, oldest first
	Locked      bool
	WaysIn      []WayIn
	KeptIn      KeepKey
}

// The states of the one sentence on Home.
const (
	StateNever   = "never"   // no backup has been made yet
	StateSafe    = "safe"    // backed up within three days
	StateWorking = "working" // a backup is being made
	StateWaiting = "waiting" // the last one could not reach its place
	StateLate    = "late"    // three days without a backup
	StateDanger  = "danger"  // fourteen days, or no way in is proven
	StatePaused  = "paused"
)

// An Attention is a line that needs somebody, with one button.
type Attention struct {
	Code AttentionCode
	Args map[string]string
}

// An AttentionCode is stable, like a [Code].
type AttentionCode string

// What can need attention.
const (
	AttentionSheet        AttentionCode = "sheet-not-proven"
	AttentionPractice     AttentionCode = "practice"       // days: since the last time
	AttentionLate         AttentionCode = "late"           // days
	AttentionDanger       AttentionCode = "danger"         // days
	AttentionLastFailed   AttentionCode = "last-failed"    // code, and the args of that failure
	AttentionUnreadable   AttentionCode = "files-not-read" // count
	AttentionNoSources    AttentionCode = "no-sources"
	AttentionKeyInFile    AttentionCode = "key-in-file"      // path
	AttentionPasswordHalf AttentionCode = "password-pending" // a change of password was interrupted
)

// A Run is one task that was tried, for the strip of the last days.
type Run struct {
	Kind    string            `json:"kind"` // "backup", "restore", "check"
	Started time.Time         `json:"started"`
	Seconds float64           `json:"seconds"`
	Code    Code              `json:"code,omitempty"` // "" for done
	Args    map[string]string `json:"args,omitempty"`
	Summary *BackupSummary    `json:"summary,omitempty"`
	Free    int64             `json:"free,omitempty"`   // bytes left in the place; 0 unknown
	Stored  int64             `json:"stored,omitempty"` // bytes in the place; 0 unknown
}
