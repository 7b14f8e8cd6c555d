package canned

import (
	"fmt"
	"path"
	"time"

	"coffer/app"
)

// Home is the home folder of Ann, whose computer this is.
const Home = "/home/ann"

const place = "/media/ann/Backup"

// NewComputer is one without a backup: what the first run meets.
func NewComputer() *Coffer {
	c := &Coffer{
		Sizes: map[string][2]int64{}, Sheet: "key:" + Digits,
		Place:    app.PlaceInfo{Kind: "folder", Exists: true, Writable: true, Free: 812e9, Total: 1000e9},
		Password: "correct horse", BackupSteps: Half(), BackupEnd: Summary(),
		Home:  app.Overview{State: app.StateNever, PlaceFree: -1},
		Known: Known{Kinds: UsualKinds(), Trial: GoodTrial(), Copying: HalfCopied()},
	}
	for _, s := range []struct {
		id, name     string
		files, bytes int64
	}{
		{"documents", "Documents", 8214, 12.4e9},
		{"pictures", "Pictures", 31877, 184e9},
		{"desktop", "Desktop", 61, 310e6},
		{"videos", "Videos", 204, 96e9},
		{"downloads", "Downloads", 911, 22e9},
	} {
		p := path.Join(Home, s.name)
		c.Suggested = append(c.Suggested, app.SourceSuggestion{ID: s.id, Path: p})
		c.Sizes[p] = [2]int64{s.files, s.bytes}
	}
	return c
}

// Taken is a new computer whose place holds a backup already.
func Taken() *Coffer {
	c := NewComputer()
	c.Place.Backups = []app.BackupInfo{Backup()}
	c.Ways = Backup().Ways
	fill(c)
	return c
}

// Backup is a backup as a place shows it.
func Backup() app.BackupInfo {
	set := time.Date(2025, time.May, 12, 9, 0, 0, 0, time.UTC)
	return app.BackupInfo{
		Repository: "0123456789abcdef0123456789abcdef", Computer: "ANN-LAPTOP", OS: "linux",
		MadeAt: set, Bytes: 212e9,
		Ways: []app.WayIn{
			{Kind: app.LockPassword, SetAt: set, VaultKind: app.VaultEmbedded, VaultComputer: "ANN-LAPTOP", VaultHere: true, Usable: true, Enforced: app.EnforcedByProgram, Tries: 10, TriesLeft: 10, State: "active"},
			{Kind: app.LockKey, TriesLeft: -1},
		},
	}
}

// Safe is a computer that was backed up today, and all is well.
func Safe() *Coffer {
	c := NewComputer()
	c.SetUpAlready, c.Proven = true, true
	c.Kept.Sources = []string{Home + "/Documents", Home + "/Pictures"}
	c.Kept.Exclude = app.DefaultPatterns()
	c.Place.Backups = []app.BackupInfo{Backup()}
	c.Ways = Backup().Ways
	c.Vault = app.VaultStatus{
		Kind: app.VaultEmbedded, Computer: "ANN-LAPTOP", Here: true, Sealer: "software", Enforced: app.EnforcedByProgram,
		State: "active", Tries: 10, Left: 9, Reachable: true,
		Log: []app.VaultEvent{
			{At: Now.AddDate(0, -2, 0), Kind: "committed", Device: "ANN-LAPTOP", Left: 10},
			{At: Now.AddDate(0, 0, -9), Kind: "try", Device: "ANN-LAPTOP", Left: 9},
			{At: Now.AddDate(0, 0, -9), Kind: "wrong", Device: "ANN-LAPTOP", Left: 9},
		},
	}
	c.Home = app.Overview{
		SetUp: true, State: app.StateSafe, LastBackup: Now.Add(-28 * time.Minute), LastSummary: Summary(),
		Place: place, PlaceFree: 590e9, StoredBytes: 212e9, Sources: c.Kept.Sources,
		Runs: Runs(), WaysIn: Backup().Ways, KeptIn: app.KeepKeyring,
	}
	c.Mine = []app.Place{disk()}
	fill(c)
	return c
}

// Late is a computer without a backup for five days.
func Late() *Coffer {
	c := Safe()
	c.Home.State, c.Home.LastBackup = app.StateLate, Now.AddDate(0, 0, -5)
	c.Home.Runs = c.Home.Runs[:len(c.Home.Runs)-5]
	c.Home.Attention = []app.Attention{
		{Code: app.AttentionLate, Args: map[string]string{"days": "5"}},
		{Code: app.AttentionPractice, Args: map[string]string{"days": "190"}},
		{Code: app.AttentionUnreadable, Args: map[string]string{"count": "3"}},
	}
	return c
}

// Danger is a computer on which nothing is sure.
func Danger() *Coffer {
	c := Late()
	c.Proven = false
	c.Home.State, c.Home.LastBackup = app.StateDanger, Now.AddDate(0, 0, -17)
	c.Home.Runs = c.Home.Runs[:4]
	c.Home.Attention = []app.Attention{
		{Code: app.AttentionDanger, Args: map[string]string{"days": "17"}},
		{Code: app.AttentionSheet},
		{Code: app.AttentionLastFailed, Args: map[string]string{"code": string(app.CodePlaceFull)}},
		{Code: app.AttentionKeyInFile, Args: map[string]string{"path": Home + "/.config/coffer/key"}},
	}
	return c
}

// Waiting is a computer whose disk is not plugged in.
func Waiting() *Coffer {
	c := Safe()
	c.Home.State, c.Home.LastBackup = app.StateWaiting, Now.AddDate(0, 0, -1)
	return c
}

// Half is the progress of a backup up to its middle.
func Half() []app.Progress {
	return []app.Progress{{
		Phase: app.PhaseReading, Files: 1204, TotalFiles: 8214, Bytes: 4.2e9, TotalBytes: 12.4e9, Scanned: true,
		NewBytes: 4.2e9, StoredBytes: 3.1e9, Rate: 61e6, Left: 2 * time.Minute, LeftMax: 4 * time.Minute,
		Current: Home + "/Documents/Taxes/2025/receipts/march.pdf",
	}}
}

// Summary is how a backup ended.
func Summary() app.BackupSummary {
	return app.BackupSummary{
		Files: 40152, Dirs: 2210, Bytes: 196e9, NewFiles: 31, ChangedFiles: 12, UnchangedFiles: 40109,
		NewBytes: 214e6, StoredBytes: 160e6, Seconds: 74,
	}
}

// Runs are thirty days of backups, with a gap and a failure.
func Runs() []app.Run {
	var runs []app.Run
	for ago := 29; ago >= 0; ago-- {
		if ago == 21 || ago == 20 || ago == 13 {
			continue
		}
		s := Summary()
		r := app.Run{Kind: "backup", Started: Now.AddDate(0, 0, -ago).Add(-30 * time.Minute), Seconds: 74, Summary: &s}
		if ago == 7 {
			r.Code, r.Summary = app.CodePlaceMissing, nil
		}
		if ago == 2 {
			s.Unreadable = 1
			s.Problems = []app.Problem{{Path: Home + "/Documents/locked.db", Reason: "permission denied", Kind: app.ProblemUnreadable}}
		}
		runs = append(runs, r)
	}
	return runs
}

// fill puts files into the backup.
func fill(c *Coffer) {
	for ago := 40; ago >= 0; ago-- {
		c.Taken = append(c.Taken, app.SnapshotInfo{
			ID: fmt.Sprintf("%040x", 1000-ago), Time: Now.AddDate(0, 0, -ago).Add(-28 * time.Minute),
			Computer: "ANN-LAPTOP", OS: "linux", User: "ann", Files: int64(40152 - 9*ago), Bytes: 196e9,
		})
	}
	c.Folders = map[string][]app.EntryInfo{
		"": {dir("/home")}, "/home": {dir(Home)},
		Home: {dir(Home + "/Documents"), dir(Home + "/Pictures")},
		Home + "/Documents": {
			dir(Home + "/Documents/Taxes"), file(Home+"/Documents/letter to Marie.odt", 48_211),
			file(Home+"/Documents/recipes.txt", 9_120), file(Home+"/Documents/thesis.pdf", 3_918_233),
		},
		Home + "/Documents/Taxes": {file(Home+"/Documents/Taxes/2025.ods", 81_002)},
		Home + "/Pictures":        {file(Home+"/Pictures/lake.jpg", 4_120_887)},
	}
	for ago := range 3 {
		s := c.Taken[len(c.Taken)-1-7*ago]
		c.Older = append([]app.Version{{Snapshot: s, Entry: app.EntryInfo{Size: int64(9120 - 400*ago), ModTime: s.Time.Add(-time.Hour)}}}, c.Older...)
	}
	c.Plan = app.RestorePlan{
		Files: 40152, Dirs: 2210, Bytes: 196e9, Free: 402e9, Existing: 12,
		Sample:  Home + "/Restored files/home/ann/Documents/letter to Marie.odt",
		Renames: []app.Rename{{From: "Notes: March.txt", To: "Notes_ March.txt"}},
	}
	c.RestoreSteps = []app.Progress{{
		Phase: app.PhaseRestoring, Files: 12044, TotalFiles: 40152, Bytes: 71e9, TotalBytes: 196e9, Scanned: true,
		Rate: 104e6, Left: 19 * time.Minute, LeftMax: 24 * time.Minute, Current: Home + "/Pictures/2019/Lake Garda/IMG_2041.jpg",
	}}
	c.Receipt = app.Receipt{
		Snapshot: c.Taken[len(c.Taken)-1].ID, Target: Home + "/Restored files", Restored: 40151, Verified: 40151,
		Bytes: 196e9, Renamed: 1, Failed: 1, Seconds: 1312, StartedAt: Now,
		Problems: []app.Problem{{Path: Home + "/Documents/locked.db", Reason: "permission denied", Kind: app.ProblemUnreadable}},
	}
}

func dir(p string) app.EntryInfo { return app.EntryInfo{Path: p, Name: path.Base(p), Type: "dir"} }

func file(p string, size int64) app.EntryInfo {
	return app.EntryInfo{Path: p, Name: path.Base(p), Type: "file", Size: size, ModTime: Now.AddDate(0, 0, -3)}
}
