package app

import (
	"context"
	"maps"
	"strconv"
	"time"

	"coffer/vault"
)

// Overview is what Home shows.
type Overview struct {
	SetUp       bool
	State       string // one of the State constants
	LastBackup  time.Time
	LastSummary BackupSummary
	Place       string // canonical text of the first place; see App.Places for all
	PlaceFree   int64  // bytes left there, when last seen; -1 unknown
	StoredBytes int64  // bytes in it, when last seen; -1 unknown
	Sources     []string
	Attention   []Attention
	Runs        []Run // the last 30 days, oldest first
	Locked      bool  // the key is asked for each time, and nobody has given it yet
	WaysIn      []WayIn
	KeptIn      KeepKey
	Repository  string // 32 hex digits
}

// The states of the one sentence on Home.
const (
	StateNever   = "never"   // no backup has been made yet
	StateSafe    = "safe"    // backed up within three days, in one place at least
	StateWorking = "working" // a Coffer works in this profile now
	StateWaiting = "waiting" // the last backup could reach none of its places; nobody failed
	StateLate    = "late"    // three days without a backup
	StateDanger  = "danger"  // fourteen days, or no way in is proven after as many
	StatePaused  = "paused"  // set by a caller that holds a schedule
)

// An Attention is a line that needs somebody, with one button.
type Attention struct {
	Code AttentionCode
	Args map[string]string // never a secret
}

// An AttentionCode is stable, like a [Code].
type AttentionCode string

// What can need attention, the most urgent first.
const (
	AttentionDanger       AttentionCode = "danger"           // days without a backup
	AttentionLate         AttentionCode = "late"             // days without a backup
	AttentionLastFailed   AttentionCode = "last-failed"      // code, and the args of that failure
	AttentionVault        AttentionCode = "vault"            // warning (a VaultWarningCode), and the args of that
	AttentionPasswordHalf AttentionCode = "password-pending" // a change of password was interrupted: set it again
	AttentionSheet        AttentionCode = "sheet-not-proven" // days since setup
	AttentionNoSources    AttentionCode = "no-sources"
	AttentionUnreadable   AttentionCode = "files-not-read" // count, of the last backup
	AttentionPractice     AttentionCode = "practice"       // days since the last time, or since it was set
	AttentionKeyInFile    AttentionCode = "key-in-file"    // path
	AttentionPlaceLate    AttentionCode = "place-late"     // place, days without a backup there; of several places
	AttentionPlaceTrouble AttentionCode = "place-trouble"  // place, code, and the args of that failure; of several places
	AttentionSpace        AttentionCode = "space"          // place, days until it is full
)

const (
	day = 24 * time.Hour

	lateAfter     = 3 * day
	dangerAfter   = 14 * day
	sheetAfter    = 3 * day
	practiceFirst = 14 * day
	practiceEvery = 182 * day
	snoozeFor     = 7 * day
	runsShown     = 30 * day
)

// Overview returns what Home shows, from this computer alone: it asks no place, no vault
// and no keyring, so it answers at once.
func (a *App) Overview(ctx context.Context) (Overview, error) {
	if err := ctx.Err(); err != nil {
		return Overview{}, context.Cause(ctx)
	}
	p, err := a.loadProfile()
	if err != nil {
		return Overview{}, err
	}
	if p.Repository == "" {
		return Overview{State: StateNever, PlaceFree: -1, StoredBytes: -1, Sources: p.Sources}, nil
	}
	runs, err := a.readRuns()
	if err != nil {
		return Overview{}, err
	}
	now := time.Now()
	facts := homeFacts{profile: p, runs: runs, now: now, pending: a.hasPendingPassword(), working: a.isWorking(), home: a.cfg.Home}
	if p.VaultLink != "" {
		facts.server, facts.news = a.wayByVault(vault.Slot{Link: p.VaultLink}), a.vaultNews(p, now)
	}
	o := facts.overview()
	a.mu.Lock()
	defer a.mu.Unlock()
	o.Locked = p.KeptIn == KeepAsk && a.root.IsZero()
	return o, nil
}

// homeFacts is all that Home depends on, so that what it says is a function of it.
type homeFacts struct {
	profile Profile
	runs    []Run // oldest first
	now     time.Time
	pending bool // a change of password was interrupted
	working bool
	home    string
	server  WayIn // the password, where its vault is on a network
	news    []VaultWarning
}

func (f homeFacts) overview() Overview {
	p := f.profile
	o := Overview{
		SetUp: true, Place: p.firstDest(), PlaceFree: -1, StoredBytes: -1, Sources: p.Sources,
		KeptIn: p.KeptIn, Repository: p.Repository, WaysIn: f.waysIn(),
	}
	for _, run := range f.runs {
		if run.Started.After(f.now.Add(-runsShown)) {
			o.Runs = append(o.Runs, run)
		}
		if run.Kind == RunBackup && run.Summary != nil {
			o.LastBackup, o.LastSummary = run.end(), *run.Summary
		}
	}
	places := f.places()
	o.PlaceFree, o.StoredBytes = places[0].Free, places[0].Stored
	o.State = f.state(o.LastBackup, places)
	o.Attention = f.attention(o, places)
	return o
}

// age is how long there has been no backup. A clock that went backwards makes it zero:
// nobody is to be frightened by that.
func (f homeFacts) age(last time.Time) time.Duration {
	if last.IsZero() {
		last = f.profile.SetUpAt
	}
	return max(0, f.now.Sub(last))
}

func (f homeFacts) state(last time.Time, places []Place) string {
	age := f.age(last)
	unproven := f.profile.SheetProvenAt.IsZero() && f.now.Sub(f.profile.SetUpAt) >= dangerAfter
	switch {
	case f.working:
		return StateWorking
	case age >= dangerAfter || unproven && f.profile.PracticedAt.IsZero():
		return StateDanger
	case age >= lateAfter:
		return StateLate
	}
	if allWait(places) {
		return StateWaiting
	}
	if last.IsZero() {
		return StateNever
	}
	return StateSafe
}

func (f homeFacts) attention(o Overview, places []Place) []Attention {
	var list []Attention
	add := func(code AttentionCode, args map[string]string) {
		list = append(list, Attention{Code: code, Args: args})
	}
	p := f.profile
	// A computer that only restores is not late with anything.
	age := f.age(o.LastBackup)
	late := len(p.Sources) > 0 && age >= lateAfter
	if late && age >= dangerAfter {
		add(AttentionDanger, days(age))
	} else if late {
		add(AttentionLate, days(age))
	}
	list = append(list, troubles(places)...)
	if len(p.Sources) > 0 && !late {
		list = append(list, lateness(places, f.now)...)
	}
	for _, w := range f.news {
		args := maps.Clone(w.Args)
		args["warning"] = string(w.Code)
		add(AttentionVault, args)
	}
	if f.pending {
		add(AttentionPasswordHalf, nil)
	}
	if age := f.now.Sub(p.SetUpAt); p.SheetProvenAt.IsZero() && age >= sheetAfter {
		add(AttentionSheet, days(age))
	}
	if len(p.Sources) == 0 {
		add(AttentionNoSources, nil)
	}
	list = append(list, shortages(places, f.now)...)
	if n := o.LastSummary.Unreadable; n > 0 {
		add(AttentionUnreadable, map[string]string{"count": strconv.FormatInt(n, 10)})
	}
	if since, due := f.practice(); due {
		add(AttentionPractice, days(since))
	}
	if p.KeptIn == KeepFile {
		add(AttentionKeyInFile, map[string]string{"path": keyPath(f.home)})
	}
	return list
}

// practice reports how long ago the password was last known, and whether to ask.
func (f homeFacts) practice() (since time.Duration, due bool) {
	p := f.profile
	if p.Lock == LockKey || f.now.Before(p.PracticeSnoozed) {
		return 0, false
	}
	if p.PracticedAt.After(p.LockSetAt) {
		since = f.now.Sub(p.PracticedAt)
		return since, since >= practiceEvery
	}
	since = f.now.Sub(p.LockSetAt)
	return since, since >= practiceFirst
}

// waysIn is what this computer knows without asking anybody.
func (f homeFacts) waysIn() []WayIn {
	p := f.profile
	ways := []WayIn{wayByKey()}
	switch p.Lock {
	case LockPassword:
		way := WayIn{Kind: LockPassword, VaultKind: VaultEmbedded, VaultComputer: p.VaultComputer, TriesLeft: -1}
		if p.VaultLink != "" {
			way = f.server
		}
		way.SetAt, way.Tries = p.LockSetAt, p.VaultTries
		ways = append(ways, way)
	case LockPassphrase:
		ways = append(ways, WayIn{Kind: LockPassphrase, SetAt: p.LockSetAt, TriesLeft: -1, Usable: true})
	}
	return ways
}

func days(d time.Duration) map[string]string {
	return map[string]string{"days": strconv.Itoa(int(d / day))}
}
