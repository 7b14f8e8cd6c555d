package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
)

// An oldProfile is a profile of version 1, frozen when that was the newest: two backups of
// one device, and a third that was interrupted after its packs were stored.
type oldProfile struct {
	dir     string
	config  app.Config
	device  []byte // its state
	journal []byte
}

const oldDevice = "device-a37d19f638d957e5109b6576252cd7e1.json"

func newOldProfile(t *testing.T) *oldProfile {
	t.Helper()
	p := &oldProfile{dir: t.TempDir()}
	must(t, os.CopyFS(p.dir, os.DirFS(filepath.Join("testdata", "profile-v1"))))
	settings := filepath.Join(p.home(), "settings.json")
	text, err := os.ReadFile(settings)
	must(t, err)
	quoted, err := json.Marshal(p.dir)
	must(t, err)
	must(t, os.WriteFile(settings, bytes.ReplaceAll(text, []byte("@DIR@"), bytes.Trim(quoted, `"`)), 0o600))
	for name, content := range map[string]string{"letter.txt": "Dear Ann,\n", "more.txt": "more\n", "third.txt": "third\n"} {
		writeFile(t, filepath.Join(p.dir, "Documents", name), content)
	}
	p.device, err = os.ReadFile(filepath.Join(p.home(), "state", oldDevice))
	must(t, err)
	p.journal, err = os.ReadFile(filepath.Join(p.home(), "state", "journal"))
	must(t, err)
	p.config = app.Config{Home: p.home(), Computer: "ANN-LAPTOP", Places: &apptest.World{}}
	return p
}

func (p *oldProfile) home() string { return filepath.Join(p.dir, "home") }

func (p *oldProfile) open(t *testing.T) *app.App {
	t.Helper()
	a, err := app.New(p.config)
	must(t, err)
	t.Cleanup(func() { a.Close() })
	return a
}

// mustBeUpgraded checks that everything is where it belongs, and returns the place.
func (p *oldProfile) mustBeUpgraded(t *testing.T, a *app.App) app.Place {
	t.Helper()
	places, err := a.Places()
	must(t, err)
	if len(places) != 1 || places[0].Dest != filepath.Join(p.dir, "place") || places[0].Kind != "folder" || places[0].AddedAt.IsZero() {
		t.Fatalf("the places are %+v", places)
	}
	for name, want := range map[string][]byte{"device.json": p.device, "journal": p.journal} {
		got, err := os.ReadFile(filepath.Join(a.PlaceDir(places[0].ID), name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what it was: %v", name, err)
		}
	}
	for _, name := range []string{oldDevice, "journal"} {
		if _, err := os.Stat(filepath.Join(p.home(), "state", name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still where it was: %v", name, err)
		}
	}
	settings, err := os.ReadFile(filepath.Join(p.home(), "settings.json"))
	must(t, err)
	if !strings.Contains(string(settings), `"version": 2`) {
		t.Errorf("the settings are\n%s", settings)
	}
	if run := places[0].LastRun; run == nil || run.Code != app.CodePlaceFull || places[0].LastBackup.IsZero() {
		t.Errorf("the history of the place is lost: %+v", places[0])
	}
	return places[0]
}

func TestAnOldProfileGoesOn(t *testing.T) {
	p := newOldProfile(t)
	a := p.open(t)
	place := p.mustBeUpgraded(t, a)
	snapshots, err := a.Snapshots(t.Context())
	if err != nil || len(snapshots) != 2 || snapshots[1].Sequence != 2 {
		t.Fatalf("%+v, %v", snapshots, err)
	}
	summary, err := a.Backup(t.Context(), app.BackupOptions{})
	if err != nil || summary.Files != 3 {
		t.Fatalf("%+v, %v", summary, err)
	}
	newest, err := a.Snapshot(t.Context(), summary.Snapshot)
	if err != nil || newest.Sequence != 3 {
		t.Errorf("the chain of the device was broken: %+v, %v", newest, err)
	}
	if _, err := os.Stat(filepath.Join(a.PlaceDir(place.ID), "journal")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the journal of a backup that ended is still there: %v", err)
	}
	if report, err := a.Check(t.Context(), app.CheckOptions{ReadData: true}); err != nil {
		t.Errorf("%v %+v", err, report)
	}
	again := p.open(t)
	places, err := again.Places()
	if err != nil || len(places) != 1 || places[0].ID != place.ID {
		t.Errorf("opened again: %+v, %v", places, err)
	}
}

// A crash after any step of the upgrade is the state in which some is done, and the
// settings, which are last, are not.
func TestAnInterruptedUpgradeIsFinished(t *testing.T) {
	for _, done := range [][]string{{}, {"device.json"}, {"journal"}, {"device.json", "journal"}} {
		p := newOldProfile(t)
		settings, err := os.ReadFile(filepath.Join(p.home(), "settings.json"))
		must(t, err)
		id := p.mustBeUpgraded(t, p.open(t)).ID
		must(t, os.WriteFile(filepath.Join(p.home(), "settings.json"), settings, 0o600))
		for name, old := range map[string]string{"device.json": oldDevice, "journal": "journal"} {
			if len(done) == 0 || len(done) == 1 && done[0] != name {
				must(t, os.Rename(filepath.Join(p.home(), "state", "places", id, name), filepath.Join(p.home(), "state", old)))
			}
		}
		if place := p.mustBeUpgraded(t, p.open(t)); place.ID != id {
			t.Errorf("after %v: the place is %s, it was %s", done, place.ID, id)
		}
	}
}

// While an older Coffer works in the profile it is read as it is, and nothing is moved away
// from under it.
func TestAnOldProfileAtWorkIsLeftAlone(t *testing.T) {
	p := newOldProfile(t)
	unlock, err := app.LockFile(filepath.Join(p.home(), "state", "profile.lock"))
	must(t, err)
	a := p.open(t)
	if places, err := a.Places(); err != nil || len(places) != 1 {
		t.Fatalf("%+v, %v", places, err)
	}
	if snapshots, err := a.Snapshots(t.Context()); err != nil || len(snapshots) != 2 {
		t.Fatalf("%+v, %v", snapshots, err)
	}
	for _, name := range []string{oldDevice, "journal"} {
		if _, err := os.Stat(filepath.Join(p.home(), "state", name)); err != nil {
			t.Errorf("%s was moved: %v", name, err)
		}
	}
	_, err = a.Backup(t.Context(), app.BackupOptions{})
	mustExplain(t, err, app.CodeProfileBusy)
	unlock()
	if _, err := a.Backup(t.Context(), app.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	snapshots, err := a.Snapshots(t.Context())
	if err != nil || len(snapshots) != 3 || snapshots[2].Sequence != 3 {
		t.Errorf("%+v, %v", snapshots, err)
	}
}
