package app_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
)

// twoPlaces is a computer whose backup goes to a folder and to a place in memory.
func twoPlaces(t *testing.T) (*apptest.World, *apptest.Computer, *apptest.Mem) {
	t.Helper()
	w, c := newEngine(t)
	mem := w.Mem("second")
	if _, _, err := c.App.AddPlace(t.Context(), mem.Dest, false); err != nil {
		t.Fatal(err)
	}
	return w, c, mem
}

// states are the states of the places of a summary.
func states(s app.BackupSummary) string {
	text := ""
	for _, p := range s.Places {
		text += p.State + " "
	}
	return text
}

// restoreFrom restores everything of the newest backup in one place and compares.
func restoreFrom(t *testing.T, c *apptest.Computer, place string) {
	t.Helper()
	must(t, c.App.UsePlace(place))
	receipt, target := mustRestore(t, c, app.RestoreOptions{})
	if receipt.Failed > 0 {
		t.Error(receipt.Text())
	}
	sameTrees(t, treeOf(t, c.Docs), treeOf(t, under(target, c.Docs)))
	must(t, c.App.UsePlace(""))
}

func TestBackupGoesToEveryPlace(t *testing.T) {
	w, c, mem := twoPlaces(t)
	s := mustBackup(t, c)
	if states(s) != "safe safe " || s.Place != w.Place || s.Places[0].Snapshot == s.Places[1].Snapshot {
		t.Fatalf("%+v", s)
	}
	restoreFrom(t, c, w.Place)
	restoreFrom(t, c, mem.Dest)
	again := mustBackup(t, c)
	for _, p := range again.Places {
		if p.StoredBytes > 4096 {
			t.Errorf("an unchanged run stored %d bytes in %s", p.StoredBytes, p.Place)
		}
	}
	if only, err := c.App.Backup(t.Context(), app.BackupOptions{Place: mem.Dest}); err != nil || only.Place != mem.Dest || len(only.Places) != 1 {
		t.Errorf("%+v, %v", only, err)
	}
}

// A disk that is not plugged in is waiting, and not a failure; it catches up when it is back.
func TestPlaceThatIsAwayWaits(t *testing.T) {
	w, c, mem := twoPlaces(t)
	mustBackup(t, c)
	away := w.Place + " unplugged"
	must(t, os.Rename(w.Place, away))
	writeFile(t, filepath.Join(c.Docs, "new"), "written meanwhile")
	s, err := c.App.Backup(t.Context(), app.BackupOptions{})
	if err != nil || states(s) != "waiting safe " || s.Place != mem.Dest || s.Places[0].Code != app.CodePlaceOffline {
		t.Fatalf("%+v, %v", s, err)
	}
	mem.Fail(cloud.ErrOffline)
	s, err = c.App.Backup(t.Context(), app.BackupOptions{})
	if f := mustExplain(t, err, app.CodePlaceOffline); f.Args["place"] != w.Place || s.Snapshot != "" {
		t.Errorf("%+v", f)
	}
	mem.Fail(nil)
	must(t, os.Rename(away, w.Place))
	if s := mustBackup(t, c); states(s) != "safe safe " || s.Places[0].StoredBytes == 0 {
		t.Errorf("%+v", s)
	}
	restoreFrom(t, c, w.Place)
}

// Trouble in one place keeps no other from its backup, and is told.
func TestTroubleInOnePlace(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code app.Code
	}{
		{cloud.ErrFull, app.CodePlaceFull},
		{cloud.ErrAuth, app.CodePlaceSignIn},
		{cloud.ErrTrashed, app.CodePlaceTrashed},
		{cloud.ErrDenied, app.CodePlaceDenied},
	} {
		t.Run(string(tt.code), func(t *testing.T) {
			w, c, mem := twoPlaces(t)
			mem.Fail(tt.err)
			s, err := c.App.Backup(t.Context(), app.BackupOptions{})
			if f := mustExplain(t, err, tt.code); f.Args["place"] != mem.Dest {
				t.Errorf("%+v", f)
			}
			if states(s) != "safe trouble " || s.Place != w.Place || s.Snapshot == "" {
				t.Errorf("%+v", s)
			}
			restoreFrom(t, c, w.Place)
			mem.Fail(nil)
			mustBackup(t, c)
			restoreFrom(t, c, mem.Dest)
		})
	}
}

// A network that is paid by the byte holds back the places that need it, and no others.
func TestMeteredNetwork(t *testing.T) {
	w, c, _ := twoPlaces(t)
	w.SetMetered(true)
	s, err := c.App.Backup(t.Context(), app.BackupOptions{})
	if err != nil || states(s) != "safe waiting " || s.Places[1].Code != app.CodeMetered {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := c.App.Backup(t.Context(), app.BackupOptions{Anyway: true}); err != nil || states(s) != "safe safe " {
		t.Errorf("%+v, %v", s, err)
	}
	settings := c.App.Settings()
	settings.Metered = app.MeteredGoOn
	must(t, c.App.SaveSettings(settings))
	if s, err := c.App.Backup(t.Context(), app.BackupOptions{}); err != nil || states(s) != "safe safe " {
		t.Errorf("%+v, %v", s, err)
	}
}

// A place is tidied once a day, after a backup that was made.
func TestPlacesAreTidied(t *testing.T) {
	_, c, mem := twoPlaces(t)
	mem.Fail(cloud.ErrFull)
	_, err := c.App.Backup(t.Context(), app.BackupOptions{})
	mustExplain(t, err, app.CodePlaceFull)
	mem.Fail(nil)
	mustBackup(t, c)
	mustBackup(t, c)
	if n := mem.Maintained(); n != 1 {
		t.Errorf("tidied %d times", n)
	}
}

// In a place that locks, the locks of everything that backups need are moved on in time.
func TestLocksAreMovedOn(t *testing.T) {
	w, c := newEngine(t)
	mem := w.Mem("locking")
	locks := &locker{until: map[string]time.Time{}}
	mem.Wrap = func(d cloud.Driver) cloud.Driver { locks.Driver = d; return locks }
	if _, err := c.App.Connect(t.Context(), app.Connection{Dest: mem.Dest, Options: map[string]string{"lock-days": "40"}}); err != nil {
		t.Fatal(err)
	}
	place, _, err := c.App.AddPlace(t.Context(), mem.Dest, false)
	must(t, err)
	mustBackup(t, c)
	names := mem.Memory.Names()
	if len(locks.until) != len(names) || len(names) < 3 {
		t.Fatalf("%d locks of %d objects", len(locks.until), len(names))
	}
	for name, until := range locks.until {
		if left := time.Until(until); left < 39*24*time.Hour || left > 41*24*time.Hour {
			t.Errorf("%s is locked for %v", name, left)
		}
	}
	clear(locks.until)
	mustBackup(t, c)
	if len(locks.until) > 0 {
		t.Errorf("%d locks were moved on again at once", len(locks.until))
	}
	long := time.Now().Add(-11 * 24 * time.Hour)
	must(t, os.Chtimes(filepath.Join(c.Home, "state", "places", place.ID, "locked"), long, long))
	locks.err = cloud.ErrNoLock
	_, err = c.App.Backup(t.Context(), app.BackupOptions{})
	mustExplain(t, err, app.CodePlaceNoLock)
	locks.err = nil
	mustBackup(t, c)
	if len(locks.until) != len(mem.Memory.Names()) {
		t.Errorf("%d locks of %d objects", len(locks.until), len(mem.Memory.Names()))
	}
}

// A locker is a place that locks, and remembers what.
type locker struct {
	cloud.Driver
	mu    sync.Mutex
	until map[string]time.Time // guarded by mu
	err   error
}

func (l *locker) Retain(_ context.Context, name string, until time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.until[name] = until
	}
	return l.err
}
