package app

import (
	"context"
	"sync"
	"time"
)

// A Gate lets a user pause work at the next point where nothing is lost. The zero Gate is
// not usable; see [NewGate]. A nil *Gate never pauses.
type Gate struct {
	mu   sync.Mutex
	open chan struct{} // closed while work may go on
}

// NewGate returns a gate that is open.
func NewGate() *Gate {
	g := &Gate{open: make(chan struct{})}
	close(g.open)
	return g
}

// Pause makes Wait block. Pausing twice is pausing once.
func (g *Gate) Pause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		g.open = make(chan struct{})
	default:
	}
}

// Resume lets everything go on that waits.
func (g *Gate) Resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// Paused reports whether Wait would block.
func (g *Gate) Paused() bool {
	if g == nil {
		return false
	}
	select {
	case <-g.door():
		return false
	default:
		return true
	}
}

// Wait returns nil when the gate is open, or the cause of ctx when that ends first.
func (g *Gate) Wait(ctx context.Context) error {
	if g == nil {
		return context.Cause(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-g.door():
		}
		// It may have been closed again since.
		if !g.Paused() {
			return context.Cause(ctx)
		}
	}
}

func (g *Gate) door() chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// A Phase is what a long task is doing.
type Phase string

// The phases, in no order: a task goes through those that it has.
const (
	PhasePlanning   Phase = "planning"
	PhaseReading    Phase = "reading"
	PhaseUploading  Phase = "uploading"
	PhaseIndexing   Phase = "indexing"
	PhaseRestoring  Phase = "restoring"
	PhaseChecking   Phase = "checking"
	PhaseLoadingKey Phase = "opening"
)

// Progress is how far a task has come.
type Progress struct {
	Phase             Phase
	Files, TotalFiles int64
	Bytes, TotalBytes int64
	Scanned           bool  // the totals are final; until then they grow
	NewBytes          int64 // bytes that the place did not have yet, before compression
	StoredBytes       int64 // bytes sent to the place
	Rate              float64
	Left, LeftMax     time.Duration // how long it may still take, from Left to LeftMax; 0: not known
	Current           string        // path being worked on, raw bytes
	Problems          int64
	Place             string // canonical text of the place it is about, where there are several
}

// A ProgressFunc hears of progress at most ten times a second, from one goroutine at a time.
type ProgressFunc func(Progress)

// A Problem is one file that was not dealt with as it should have been.
type Problem struct {
	Path   string `json:"path"`   // raw bytes, absolute
	Reason string `json:"reason"` // short, plain, the same for the same cause in every release
	Kind   string `json:"kind"`   // one of the Problem constants
}

// The kinds of problems.
const (
	ProblemUnreadable = "unreadable" // not stored, or not restored
	ProblemChanged    = "changed"    // changed while it was read; what was read is stored
	ProblemPartly     = "partly"     // some ranges could not be read
	ProblemSkipped    = "skipped"    // not a thing that can be backed up: a socket, a device
	ProblemVanished   = "vanished"   // was there when the folder was listed, and then not
)

// A BackupSummary is what one backup did. Its JSON is that of `coffer backup --json`.
type BackupSummary struct {
	Snapshot       string    `json:"snapshot"` // 40 hex digits
	Files          int64     `json:"files"`
	Dirs           int64     `json:"dirs"`
	Bytes          int64     `json:"bytes"`
	NewFiles       int64     `json:"new_files"`
	ChangedFiles   int64     `json:"changed_files"`
	UnchangedFiles int64     `json:"unchanged_files"`
	NewBytes       int64     `json:"new_bytes"`
	StoredBytes    int64     `json:"stored_bytes"`
	Seconds        float64   `json:"seconds"`
	Unreadable     int64     `json:"unreadable"`
	Changed        int64     `json:"-"`
	Skipped        int64     `json:"-"`
	Problems       []Problem `json:"-"` // the first 1000

	Place       string         `json:"place,omitempty"`        // canonical; of several, the first that took it
	Places      []PlaceSummary `json:"places,omitempty"`       // only when the profile has several
	Free        int64          `json:"free,omitempty"`         // bytes left in Place; 0 unknown
	Whereabouts string         `json:"whereabouts,omitempty"`  // of the snapshot, where another program uploads it: cloud.WhereHere or WhereUnknown
	EnoughUntil string         `json:"enough_until,omitempty"` // date (RFC 3339) when they are used up; "" not in sight, or not known

	Vault []VaultWarning `json:"vault_warnings,omitempty"` // what the user has not looked at yet
}

// A PlaceSummary is what one backup did in one of several places.
type PlaceSummary struct {
	ID          string  `json:"id"`
	Place       string  `json:"place"` // canonical
	State       string  `json:"state"` // PlaceSafe, PlaceWaiting or PlaceTrouble
	Code        Code    `json:"code,omitempty"`
	Snapshot    string  `json:"snapshot,omitempty"`
	StoredBytes int64   `json:"stored_bytes"`
	Seconds     float64 `json:"seconds"`
	Free        int64   `json:"free,omitempty"`
	EnoughUntil string  `json:"enough_until,omitempty"`
}
