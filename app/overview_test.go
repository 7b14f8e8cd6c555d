package app

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/cloud"
)

var testNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return testNow.Add(-d) }

func testProfile() Profile {
	return Profile{
		Repository: strings.Repeat("a", 32), Places: []placeEntry{{ID: "0a1b2c3d", Dest: "/place", Kind: kindFolder, Dir: "/place", AddedAt: ago(day)}}, SetUpAt: ago(day), KeptIn: KeepKeyring,
		Lock: LockPassword, LockSetAt: ago(day), VaultComputer: "ANN-LAPTOP", VaultTries: 10,
		SheetProvenAt: ago(day), Settings: Settings{Sources: []string{"/home/ann"}},
	}
}

func backupRun(when time.Time, code Code) Run {
	r := Run{Kind: RunBackup, Started: when, Seconds: 60, Code: code}
	if code == "" {
		r.Summary = &BackupSummary{Files: 3, Bytes: 9}
		r.Free, r.Stored = 1000, 500
	}
	return r
}

const otherPlace = "ffffffff"

func at(r Run, place string) Run {
	r.Place = place
	return r
}

// twoPlaces gives the profile a second place, and its runs.
func twoPlaces(f *homeFacts, runs ...Run) {
	f.profile.Places = append(f.profile.Places, placeEntry{ID: otherPlace, Dest: "mem:b", Kind: "mem", AddedAt: ago(day)})
	f.runs = runs
}

func TestWhatHomeSays(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*homeFacts)
		state  string
		lines  []AttentionCode
	}{
		"just set up":   {func(f *homeFacts) {}, StateNever, nil},
		"backed up":     {func(f *homeFacts) { f.runs = []Run{backupRun(ago(time.Hour), "")} }, StateSafe, nil},
		"working":       {func(f *homeFacts) { f.working = true }, StateWorking, nil},
		"disk not here": {func(f *homeFacts) { f.runs = []Run{backupRun(ago(time.Hour), CodePlaceOffline)} }, StateWaiting, nil},
		"disk not here for three days": {func(f *homeFacts) {
			f.runs = []Run{backupRun(ago(4*day), ""), backupRun(ago(time.Hour), CodePlaceOffline)}
		}, StateLate, []AttentionCode{AttentionLate}},
		"a clock that went back": {func(f *homeFacts) { f.runs = []Run{backupRun(ago(-day), "")} }, StateSafe, nil},
		"just before late": {
			func(f *homeFacts) { f.runs = []Run{backupRun(ago(lateAfter-time.Second-time.Minute), "")} },
			StateSafe, nil,
		},
		"late":   {func(f *homeFacts) { f.runs = []Run{backupRun(ago(lateAfter+time.Minute), "")} }, StateLate, []AttentionCode{AttentionLate}},
		"danger": {func(f *homeFacts) { f.runs = []Run{backupRun(ago(15*day), "")} }, StateDanger, []AttentionCode{AttentionDanger}},
		"never in two weeks": {
			func(f *homeFacts) { f.profile.SetUpAt = ago(15 * day) },
			StateDanger,
			[]AttentionCode{AttentionDanger},
		},
		"failed": {
			func(f *homeFacts) { f.runs = []Run{backupRun(ago(day), ""), backupRun(ago(time.Hour), CodePlaceFull)} },
			StateSafe,
			[]AttentionCode{AttentionLastFailed},
		},
		"cancelled is not failed": {func(f *homeFacts) {
			f.runs = []Run{backupRun(ago(day), ""), backupRun(ago(time.Hour), CodeCanceled)}
		}, StateSafe, nil},
		"sheet on day two": {func(f *homeFacts) { f.profile.SheetProvenAt = time.Time{}; f.profile.SetUpAt = ago(2 * day) }, StateNever, nil},
		"sheet on day three": {func(f *homeFacts) {
			f.profile.SheetProvenAt = time.Time{}
			f.profile.SetUpAt = ago(3 * day)
			f.runs = []Run{backupRun(ago(time.Hour), "")}
		}, StateSafe, []AttentionCode{AttentionSheet}},
		"no way in proven for two weeks": {func(f *homeFacts) {
			f.profile.SheetProvenAt, f.profile.SetUpAt = time.Time{}, ago(15*day)
			f.runs = []Run{backupRun(ago(time.Hour), "")}
		}, StateDanger, []AttentionCode{AttentionSheet}},
		"practice on day 14": {func(f *homeFacts) {
			f.profile.LockSetAt = ago(14 * day)
			f.runs = []Run{backupRun(ago(time.Hour), "")}
		}, StateSafe, []AttentionCode{AttentionPractice}},
		"practised": {func(f *homeFacts) {
			f.profile.LockSetAt, f.profile.PracticedAt = ago(200*day), ago(100*day)
			f.runs = []Run{backupRun(ago(time.Hour), "")}
		}, StateSafe, nil},
		"practised long ago": {func(f *homeFacts) {
			f.profile.LockSetAt, f.profile.PracticedAt = ago(400*day), ago(183*day)
			f.runs = []Run{backupRun(ago(time.Hour), "")}
		}, StateSafe, []AttentionCode{AttentionPractice}},
		"snoozed": {func(f *homeFacts) {
			f.profile.LockSetAt, f.profile.PracticeSnoozed = ago(20*day), testNow.Add(day)
			f.runs = []Run{backupRun(ago(time.Hour), "")}
		}, StateSafe, nil},
		"the digits need no practice": {func(f *homeFacts) {
			f.profile.Lock, f.profile.LockSetAt = LockKey, time.Time{}
			f.runs = []Run{backupRun(ago(time.Hour), "")}
		}, StateSafe, nil},
		"restore only": {func(f *homeFacts) { f.profile.Sources = nil }, StateNever, []AttentionCode{AttentionNoSources}},
		"key in a file, password half": {
			func(f *homeFacts) { f.profile.KeptIn = KeepFile; f.pending = true },
			StateNever,
			[]AttentionCode{AttentionPasswordHalf, AttentionKeyInFile},
		},
		"files not read": {func(f *homeFacts) {
			r := backupRun(ago(time.Hour), "")
			r.Summary.Unreadable = 7
			f.runs = []Run{r}
		}, StateSafe, []AttentionCode{AttentionUnreadable}},
		"one of two places took it": {func(f *homeFacts) {
			twoPlaces(f, at(backupRun(ago(2*time.Hour), ""), "0a1b2c3d"), at(backupRun(ago(time.Hour), CodePlaceOffline), otherPlace))
		}, StateSafe, nil},
		"the first is waiting": {func(f *homeFacts) {
			twoPlaces(f, at(backupRun(ago(2*time.Hour), CodePlaceOffline), "0a1b2c3d"), at(backupRun(ago(time.Hour), ""), otherPlace))
		}, StateSafe, nil},
		"both wait": {func(f *homeFacts) {
			twoPlaces(f, at(backupRun(ago(2*time.Hour), CodePlaceOffline), "0a1b2c3d"), at(backupRun(ago(time.Hour), CodeMetered), otherPlace))
		}, StateWaiting, nil},
		"one of two is late": {func(f *homeFacts) {
			twoPlaces(f, at(backupRun(ago(6*day), ""), otherPlace), at(backupRun(ago(time.Hour), ""), "0a1b2c3d"), at(backupRun(ago(time.Hour), CodePlaceOffline), otherPlace))
		}, StateSafe, []AttentionCode{AttentionPlaceLate}},
		"both are late": {func(f *homeFacts) {
			twoPlaces(f, at(backupRun(ago(6*day), ""), otherPlace), at(backupRun(ago(5*day), ""), "0a1b2c3d"))
		}, StateLate, []AttentionCode{AttentionLate}},
		"one of two is full": {func(f *homeFacts) {
			twoPlaces(f, at(backupRun(ago(time.Hour), ""), "0a1b2c3d"), at(backupRun(ago(time.Hour), CodePlaceFull), otherPlace))
		}, StateSafe, []AttentionCode{AttentionPlaceTrouble}},
		"both are in trouble of their own": {func(f *homeFacts) {
			one, two := backupRun(ago(time.Hour), CodePlaceFull), backupRun(ago(time.Hour), CodePlaceFull)
			one.Args, two.Args = map[string]string{"place": "/place"}, map[string]string{"place": "mem:b"}
			twoPlaces(f, at(backupRun(ago(day), ""), "0a1b2c3d"), at(one, "0a1b2c3d"), at(two, otherPlace))
		}, StateSafe, []AttentionCode{AttentionPlaceTrouble, AttentionPlaceTrouble}},
		"no place is to blame": {func(f *homeFacts) {
			twoPlaces(f, at(backupRun(ago(day), ""), "0a1b2c3d"), at(backupRun(ago(time.Hour), CodeSourceMissing), "0a1b2c3d"), at(backupRun(ago(time.Hour), CodeSourceMissing), otherPlace))
		}, StateSafe, []AttentionCode{AttentionLastFailed}},
		"a removed place says nothing": {func(f *homeFacts) {
			f.runs = []Run{at(backupRun(ago(time.Hour), ""), "0a1b2c3d"), at(backupRun(ago(time.Minute), CodePlaceFull), otherPlace)}
		}, StateSafe, nil},
		"room for ten days": {func(f *homeFacts) {
			for i := range 11 {
				r := backupRun(ago(time.Duration(10-i)*day+time.Hour), "")
				r.Stored, r.Free = int64(1000+i*100), int64(2000-i*100)
				f.runs = append(f.runs, r)
			}
		}, StateSafe, []AttentionCode{AttentionSpace}},
	} {
		t.Run(name, func(t *testing.T) {
			f := homeFacts{profile: testProfile(), now: testNow, home: "/profile"}
			tt.change(&f)
			o := f.overview()
			var lines []AttentionCode
			for _, a := range o.Attention {
				lines = append(lines, a.Code)
			}
			if o.State != tt.state || !slices.Equal(lines, tt.lines) {
				t.Errorf("state %q with %v, want %q with %v", o.State, lines, tt.state, tt.lines)
			}
		})
	}
}

func newTestApp(t *testing.T) *App {
	t.Helper()
	a, err := New(Config{Home: t.TempDir(), Places: noPlaces{}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// noPlaces reaches nothing.
type noPlaces struct{ Connector }

func (noPlaces) Open(context.Context, PlaceRequest) (OpenedPlace, error) {
	return OpenedPlace{}, cloud.ErrNoPlace
}

func (noPlaces) Network(NetworkSettings) error { return nil }

func TestHistoryIsBoundedAndSurvivesDamage(t *testing.T) {
	a := newTestApp(t)
	var many []Run
	for i := range maxRuns + 4 {
		many = append(many, backupRun(testNow.Add(time.Duration(i)*time.Hour), ""))
	}
	if err := a.writeRuns(many); err != nil {
		t.Fatal(err)
	}
	a.recordRun(backupRun(testNow.Add((maxRuns+4)*time.Hour), ""))
	runs, err := a.readRuns()
	if err != nil || len(runs) != maxRuns || !runs[0].Started.Equal(testNow.Add(5*time.Hour)) {
		t.Fatalf("%d runs from %v, %v", len(runs), runs[0].Started, err)
	}
	path := filepath.Join(a.stateDir(), runsFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := append([]byte("{\"kind\":\n\x00\n"), data[:len(data)-20]...)
	if err := os.WriteFile(path, cut, 0o600); err != nil {
		t.Fatal(err)
	}
	if runs, err = a.readRuns(); err != nil || len(runs) != maxRuns-1 {
		t.Errorf("of a damaged history %d runs, %v; want all that are whole", len(runs), err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), maxRunsFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	a.recordRun(backupRun(testNow, ""))
	if runs, err = a.readRuns(); err != nil || len(runs) != 1 {
		t.Errorf("after a history that is too large: %d runs, %v", len(runs), err)
	}
}

func TestOneCofferWorksInAProfileAtATime(t *testing.T) {
	a := newTestApp(t)
	b, err := New(a.cfg)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := a.lockProfile()
	if err != nil {
		t.Fatal(err)
	}
	if !b.isWorking() || !a.isWorking() {
		t.Error("nobody is working, it is said")
	}
	if _, err := b.lockProfile(); !errors.Is(err, ErrProfileBusy) {
		t.Errorf("got %v, want ErrProfileBusy", err)
	}
	if err := b.SaveSettings(Settings{Language: "de"}); err != nil {
		t.Errorf("settings while another one works: %v", err)
	}
	unlock()
	if a.isWorking() {
		t.Error("somebody is working, it is said")
	}
	unlock, err = b.lockProfile()
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
