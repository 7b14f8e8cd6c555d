// Package canned is a Coffer that only pretends: the same folders, backups and failures
// each time, from memory. The tests of package ui and the gallery show screens with it. It
// is no part of any program that people get.
package canned

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"coffer/app"
)

// Now is the moment at which everything canned happens.
var Now = time.Date(2026, time.March, 3, 14, 30, 0, 0, time.UTC)

// Trouble is an error that stands for a failure of package app.
type Trouble app.Failure

// Error implements error.
func (t Trouble) Error() string { return "canned: " + string(t.Code) }

// Explain tells failures of Trouble, and leaves all others to package app.
func Explain(err error) app.Failure {
	if t, ok := errors.AsType[Trouble](err); ok {
		return app.Failure(t)
	}
	return app.Explain(err)
}

// Digits is the key of the canned backup.
const Digits = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef"

// Key returns that key.
func Key() app.RootKey {
	key, err := app.ParseRecoveryKey([]byte(Digits))
	if err != nil {
		panic(err)
	}
	return key
}

// A Coffer answers with its fields. The zero value is a new computer with nothing on it.
type Coffer struct {
	Known  // of places
	Vaults // on a network

	mu sync.Mutex // guards what methods change: tasks call from goroutines of their own

	SetUpAlready bool
	Suggested    []app.SourceSuggestion
	Sizes        map[string][2]int64 // files and bytes, by path
	Place        app.PlaceInfo
	PlaceErr     error
	Ways         []app.WayIn
	OpenErr      error
	Home         app.Overview
	HomeErr      error
	Kept         app.Settings
	BackupSteps  []app.Progress // reported one after the other
	BackupEnd    app.BackupSummary
	BackupErr    error
	Hold         chan struct{} // a backup or restore waits here before it ends; nil: it does not
	Folders      map[string][]app.EntryInfo
	Taken        []app.SnapshotInfo
	Older        []app.Version
	Plan         app.RestorePlan
	PlanErr      error
	RestoreSteps []app.Progress
	Receipt      app.Receipt
	RestoreErr   error
	Vault        app.VaultStatus
	Proven       bool
	Password     string
	VerifyErr    error
	ChangeErr    error
	SetupErr     error
	SaveErr      error
	Sheet        string // what WriteSheet writes

	// What was asked for.
	SetupAsked   []app.SetupOptions
	OpenAsked    []app.OpenOptions
	UnlockAsked  []app.UnlockOptions
	RestoreAsked []app.RestoreOptions
	BackupAsked  []app.BackupOptions
	Changed      int
}

// IsSetUp implements ui.Coffer, as do all methods below.
func (c *Coffer) IsSetUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.SetUpAlready
}

func (c *Coffer) SuggestedSources(context.Context) []app.SourceSuggestion { return c.Suggested }

func (c *Coffer) MeasureSource(ctx context.Context, path string, progress func(files, bytes int64)) (int64, int64, error) {
	s := c.Sizes[path]
	progress(s[0]/2, s[1]/2)
	return s[0], s[1], ctx.Err()
}

func (c *Coffer) InspectPlace(_ context.Context, dest string) (app.PlaceInfo, error) {
	if c.PlaceErr != nil {
		return app.PlaceInfo{}, c.PlaceErr
	}
	p := c.Place
	p.Dest = dest
	return p, nil
}

func (c *Coffer) Setup(ctx context.Context, o app.SetupOptions) (app.SetupResult, error) {
	if err := c.signIn(ctx, o.Vault, o.Browser); err != nil {
		return app.SetupResult{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// The caller wipes its key and its secret afterwards; keep what tests look at.
	o.Key, o.Secret, o.Browser = app.RootKey{}, copySecret(o.Secret), nil
	c.SetupAsked = append(c.SetupAsked, o)
	if c.SetupErr != nil {
		return app.SetupResult{}, c.SetupErr
	}
	c.SetUpAlready = true
	c.Kept.Sources = o.Sources
	c.Kept.Exclude = o.Exclude
	c.Home.Place, c.Home.Sources = o.To, o.Sources
	return app.SetupResult{Key: Key(), Repository: strings.Repeat("a", 32)}, nil
}

func copySecret(s app.Secret) app.Secret {
	var b []byte
	s.Expose(func(secret []byte) { b = append(b, secret...) })
	return app.NewSecret(b)
}

func (c *Coffer) WaysIn(context.Context, string, string) ([]app.WayIn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]app.WayIn(nil), c.Ways...), nil
}

// wrongTry charges a try of the password, as a vault does.
func (c *Coffer) wrongTry(err error) {
	for i := range c.Ways {
		if way := &c.Ways[i]; way.Kind == app.LockPassword && way.TriesLeft > 0 {
			way.TriesLeft--
			if t, ok := errors.AsType[Trouble](err); ok && t.Args["until"] != "" {
				way.Until, _ = time.Parse(time.RFC3339, t.Args["until"]) // a story has a good one
			}
		}
	}
}

func (c *Coffer) Open(_ context.Context, o app.OpenOptions) (app.OpenResult, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o.Secret, o.Key = copySecret(o.Secret), app.RootKey{}
	c.OpenAsked = append(c.OpenAsked, o)
	if c.OpenErr != nil && !o.Old {
		if c.OpenErr.Error() == (Trouble{Code: app.CodeWrongPassword}).Error() {
			c.wrongTry(c.OpenErr)
		}
		return app.OpenResult{}, c.OpenErr
	}
	c.SetUpAlready = true
	return app.OpenResult{Repository: o.Repository}, nil
}

func (c *Coffer) Unlock(_ context.Context, o app.UnlockOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	o.Secret, o.Key = copySecret(o.Secret), app.RootKey{}
	c.UnlockAsked = append(c.UnlockAsked, o)
	return c.OpenErr
}

func (c *Coffer) Overview(context.Context) (app.Overview, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Home, c.HomeErr
}

func (c *Coffer) wait(ctx context.Context, gate *app.Gate) error {
	if c.Hold != nil {
		select {
		case <-c.Hold:
		case <-ctx.Done():
			return Trouble{Code: app.CodeCanceled}
		}
	}
	return gate.Wait(ctx)
}

func (c *Coffer) Backup(ctx context.Context, o app.BackupOptions) (app.BackupSummary, error) {
	c.mu.Lock()
	c.BackupAsked = append(c.BackupAsked, app.BackupOptions{Place: o.Place, Anyway: o.Anyway})
	c.mu.Unlock()
	for _, p := range c.BackupSteps {
		o.Progress(p)
	}
	if err := c.wait(ctx, o.Gate); err != nil {
		return app.BackupSummary{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.BackupErr != nil {
		return app.BackupSummary{}, c.BackupErr
	}
	c.Home.State, c.Home.LastBackup, c.Home.LastSummary = app.StateSafe, Now, c.BackupEnd
	return c.BackupEnd, nil
}

func (c *Coffer) Settings() app.Settings {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Kept
}

func (c *Coffer) SaveSettings(s app.Settings) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.SaveErr == nil {
		c.Kept = s
	}
	return c.SaveErr
}

func (c *Coffer) Snapshots(context.Context) ([]app.SnapshotInfo, error) { return c.Taken, nil }

func (c *Coffer) List(_ context.Context, _, path string, fn func(app.EntryInfo) error) error {
	entries, ok := c.Folders[strings.TrimSuffix(path, "/")]
	if !ok {
		return Trouble{Code: app.CodeNoPath, Args: map[string]string{"path": path}}
	}
	for _, e := range entries {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

func (c *Coffer) Find(_ context.Context, pattern string, fn func(app.SnapshotInfo, app.EntryInfo) error) error {
	needle := strings.ToLower(strings.Trim(pattern, "*"))
	for _, entries := range c.Folders {
		for _, e := range entries {
			if strings.Contains(strings.ToLower(e.Name), needle) {
				if err := fn(c.Taken[len(c.Taken)-1], e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *Coffer) Versions(context.Context, string) ([]app.Version, error) { return c.Older, nil }

func (c *Coffer) PlanRestore(context.Context, app.RestoreOptions) (app.RestorePlan, error) {
	return c.Plan, c.PlanErr
}

func (c *Coffer) Restore(ctx context.Context, o app.RestoreOptions) (app.Receipt, error) {
	c.mu.Lock()
	c.RestoreAsked = append(c.RestoreAsked, app.RestoreOptions{Snapshot: o.Snapshot, Paths: o.Paths, Target: o.Target, Conflict: o.Conflict, Verify: o.Verify})
	c.mu.Unlock()
	for _, p := range c.RestoreSteps {
		o.Progress(p)
	}
	if err := c.wait(ctx, o.Gate); err != nil {
		return app.Receipt{Restored: 3}, err
	}
	return c.Receipt, c.RestoreErr
}

func (c *Coffer) RecoveryLines(context.Context) (lines [8]app.RecoveryLine, err error) {
	for i := range lines {
		d := Digits[8*i : 8*i+8]
		lines[i] = app.RecoveryLine{Digits: d[:4] + " " + d[4:], Check: "42"}
	}
	return lines, nil
}

func (c *Coffer) VerifyRecovery(context.Context, []byte) error { return c.VerifyErr }

func (c *Coffer) MarkSheetProven() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Proven = true
	return nil
}

func (c *Coffer) SheetProven() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Proven
}

func (c *Coffer) WriteSheet(_ context.Context, w io.Writer, _ app.RootKey, paper, place string) error {
	_, err := io.WriteString(w, "%PDF canned "+paper+" "+place+" "+c.Sheet)
	return err
}

func (c *Coffer) ReadSheetPDF(_ context.Context, r io.Reader) (app.RootKey, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return app.RootKey{}, err
	}
	_, digits, found := strings.Cut(string(b), "key:")
	if !found {
		return app.RootKey{}, Trouble{Code: app.CodeRecoveryShort}
	}
	return app.ParseRecoveryKey([]byte(digits))
}

func (c *Coffer) PracticePassword(_ context.Context, password app.Secret) (right bool, err error) {
	password.Expose(func(b []byte) { right = string(b) == c.Password })
	return right, nil
}
