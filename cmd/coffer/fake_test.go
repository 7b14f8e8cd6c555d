package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/app"
)

// fakeProfile answers as it is told and remembers what it was asked.
type fakeProfile struct {
	connector   // of which a test uses what it sets
	placeKeeper // likewise
	networker   // likewise

	err       error // every method's answer, when set
	backup    app.BackupSummary
	problems  []app.Problem
	snapshots []app.SnapshotInfo
	entries   []app.EntryInfo
	changes   []app.Change
	content   string
	receipt   app.Receipt
	report    app.CheckReport
	lines     [8]app.RecoveryLine
	practice  bool
	vault     app.VaultStatus
	described app.VaultDescription
	moved     app.MoveReport
	left      app.LeaveReport
	resets    int
	overview  app.Overview
	key       app.RootKey
	closed    int

	setupOptions  app.SetupOptions
	openOptions   app.OpenOptions
	unlockOptions app.UnlockOptions
	unlockSecret  string
	vaultLinks    []string

	moveOptions     app.MoveOptions
	passwordOptions app.PasswordOptions
	backupOptions   app.BackupOptions
	restoreOptions  app.RestoreOptions
	checkOptions    app.CheckOptions
	verified        string
	proven          bool
}

func (f *fakeProfile) PlaceKinds() []app.PlaceKind {
	return []app.PlaceKind{{Scheme: "folder", Fields: []app.PlaceField{{Name: "address"}}}}
}

func (f *fakeProfile) Close() error { f.closed++; return nil }
func (f *fakeProfile) Setup(_ context.Context, o app.SetupOptions) (app.SetupResult, error) {
	f.setupOptions = o
	return app.SetupResult{Key: f.key, Repository: "00ff", Notices: []app.Notice{{Code: app.NoticeSheetNotProven}}}, f.err
}

func (f *fakeProfile) Open(_ context.Context, o app.OpenOptions) (app.OpenResult, error) {
	f.openOptions = o
	return app.OpenResult{Repository: "00ff", Computer: "ANN\x1b-PC", MadeAt: time.Unix(1e9, 0)}, f.err
}

func (f *fakeProfile) InspectPlace(context.Context, string) (app.PlaceInfo, error) {
	return app.PlaceInfo{}, f.err
}

func (f *fakeProfile) Unlock(_ context.Context, o app.UnlockOptions) error {
	f.unlockOptions = o
	o.Secret.Expose(func(b []byte) { f.unlockSecret = string(b) })
	return f.err
}
func (f *fakeProfile) KeptIn() app.KeepKey                            { return f.overview.KeptIn }
func (f *fakeProfile) Overview(context.Context) (app.Overview, error) { return f.overview, f.err }
func (f *fakeProfile) WaysIn(context.Context, string, string) ([]app.WayIn, error) {
	return f.overview.WaysIn, f.err
}

func (f *fakeProfile) Backup(_ context.Context, o app.BackupOptions) (app.BackupSummary, error) {
	f.backupOptions = o
	for _, p := range f.problems {
		o.Problem(p)
	}
	o.Progress(app.Progress{Phase: app.PhaseReading, Files: 1, Current: "/home/ann/a"})
	return f.backup, f.err
}

func (f *fakeProfile) Snapshots(context.Context) ([]app.SnapshotInfo, error) {
	return f.snapshots, f.err
}

func (f *fakeProfile) Snapshot(context.Context, string) (app.SnapshotInfo, error) {
	return app.SnapshotInfo{}, f.err
}

func (f *fakeProfile) List(_ context.Context, _, _ string, fn func(app.EntryInfo) error) error {
	for _, e := range f.entries {
		if err := fn(e); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fakeProfile) Walk(ctx context.Context, ref, path string, fn func(app.EntryInfo) error) error {
	return f.List(ctx, ref, path, fn)
}

func (f *fakeProfile) Find(ctx context.Context, _ string, fn func(app.SnapshotInfo, app.EntryInfo) error) error {
	return f.List(ctx, "", "", func(e app.EntryInfo) error { return fn(app.SnapshotInfo{ID: "abcdef"}, e) })
}

func (f *fakeProfile) Cat(_ context.Context, _, _ string, w io.Writer) error {
	if _, err := io.WriteString(w, f.content); err != nil {
		return err
	}
	return f.err
}

func (f *fakeProfile) Diff(_ context.Context, _, _ string, fn func(app.Change) error) error {
	for _, c := range f.changes {
		if err := fn(c); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fakeProfile) Restore(_ context.Context, o app.RestoreOptions) (app.Receipt, error) {
	f.restoreOptions = o
	return f.receipt, f.err
}

func (f *fakeProfile) Check(_ context.Context, o app.CheckOptions) (app.CheckReport, error) {
	f.checkOptions = o
	return f.report, f.err
}

func (f *fakeProfile) RecoveryLines(context.Context) ([8]app.RecoveryLine, error) {
	return f.lines, f.err
}

func (f *fakeProfile) VerifyRecovery(_ context.Context, text []byte) error {
	f.verified = string(text)
	return f.err
}

func (f *fakeProfile) ReadSheetPDF(context.Context, io.Reader) (app.RootKey, error) {
	return f.key, f.err
}
func (f *fakeProfile) MarkSheetProven() error { f.proven = true; return nil }
func (f *fakeProfile) WriteSheet(_ context.Context, w io.Writer, _ app.RootKey, paper, place string) error {
	if f.err != nil {
		return f.err
	}
	_, err := io.WriteString(w, "%PDF-1.3 "+paper+" "+place)
	return err
}
func (f *fakeProfile) SheetInsideSources(string) bool { return false }
func (f *fakeProfile) SetPassword(_ context.Context, o app.PasswordOptions) error {
	f.passwordOptions = o
	o.Password.Expose(func(b []byte) { f.unlockSecret = string(b) })
	return f.err
}

func (f *fakeProfile) PracticePassword(context.Context, app.Secret) (bool, error) {
	return f.practice, f.err
}

func (f *fakeProfile) VaultStatus(context.Context) (app.VaultStatus, error) { return f.vault, f.err }

func (f *fakeProfile) InspectVault(_ context.Context, link string) (app.VaultDescription, error) {
	f.vaultLinks = append(f.vaultLinks, link)
	return f.described, f.err
}

func (f *fakeProfile) MoveVault(_ context.Context, o app.MoveOptions) (app.MoveReport, error) {
	f.moveOptions = o
	o.Password.Expose(func(b []byte) { f.unlockSecret = string(b) })
	return f.moved, f.err
}

func (f *fakeProfile) LeaveVault(context.Context) (app.LeaveReport, error) { return f.left, f.err }

func (f *fakeProfile) ResetVault(context.Context) error {
	f.resets++
	return f.err
}

// A ran is what a run of the program left behind.
type ran struct {
	status   int
	out, err string
}

// runFake runs the program on a fake profile.
func runFake(t *testing.T, f profile, args ...string) ran {
	t.Helper()
	return runFakeWith(t, f, "", args...)
}

func runFakeWith(t *testing.T, f profile, stdin string, args ...string) ran {
	t.Helper()
	var out, errs bytes.Buffer
	p := &program{
		stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" },
		config: func(home string, _ func(string) string) (app.Config, error) {
			return app.Config{Home: home}, nil
		},
		newProfile: func(app.Config) (profile, error) { return f, nil },
		ctx:        t.Context(),
	}
	status := p.run(args)
	return ran{status, out.String(), errs.String()}
}

// secretFile writes a secret where only this user can read it.
func secretFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// records parses each line of standard output as JSON.
func (r ran) records(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(r.out) {
		record := map[string]any{}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, record)
	}
	if len(all) == 0 {
		t.Fatalf("no records; standard error: %s", r.err)
	}
	return all
}

// summaryKeys returns the keys of the last record, which must be a summary.
func (r ran) summaryKeys(t *testing.T) []string {
	t.Helper()
	all := r.records(t)
	last := all[len(all)-1]
	if last["type"] != "summary" {
		t.Fatalf("the last record is %v", last)
	}
	var keys []string
	for k := range last {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
