package app_test

import (
	"strings"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
)

func headsOf(m *apptest.Mem) (names []string) {
	for _, name := range m.Memory.Names() {
		if strings.HasPrefix(name, "head-") {
			names = append(names, name)
		}
	}
	return names
}

func mustOneHead(t *testing.T, places ...*apptest.Mem) {
	t.Helper()
	for _, m := range places {
		if heads := headsOf(m); len(heads) != 1 || heads[0] != headsOf(places[0])[0] {
			t.Errorf("%s has the heads %v, %s has %v", m.Dest, heads, places[0].Dest, headsOf(places[0]))
		}
	}
}

// opens reports what a new computer gets from a place with that secret. The vault is that
// of the first computer, as if its disk had moved.
func opens(t *testing.T, w *apptest.World, from *apptest.Computer, name, dest string, lock app.LockKind, secret string) error {
	t.Helper()
	c := w.Computer(name)
	c.Config.VaultDir = from.Config.VaultDir
	c.Restart()
	_, err := c.App.Open(t.Context(), app.OpenOptions{From: dest, Lock: lock, Secret: password(secret)})
	return err
}

func TestANewPasswordGoesToEveryPlace(t *testing.T) {
	for lock, secrets := range map[app.LockKind][2]string{
		app.LockPassword:   {apptest.Password, apptest.Password2},
		app.LockPassphrase: {apptest.Passphrase, "walnut harbor cactus violin ember"},
	} {
		t.Run(string(lock), func(t *testing.T) {
			w := apptest.New(t)
			c := w.Computer("ANN-LAPTOP")
			first, second, third := w.Mem("a"), w.Mem("b"), w.Mem("c")
			setup(t, w, c, func(o *app.SetupOptions) { o.To, o.Lock, o.Secret = first.Dest, lock, password(secrets[0]) })
			mustAdd(t, c, second.Dest)
			mustAdd(t, c, third.Dest)
			mustOneHead(t, first, second, third)
			mustBackup(t, c)

			first.Fail(cloud.ErrOffline) // the first, so that another one has to begin
			must(t, c.App.ChangePassword(t.Context(), password(secrets[1])))
			mustOneHead(t, second, third)
			old := headsOf(first)
			if len(old) != 1 || old[0] == headsOf(second)[0] {
				t.Fatalf("the place that was away has %v", old)
			}
			first.Fail(nil)
			c.Restart()
			mustBackup(t, c) // which brings the head, and deletes the old one
			mustOneHead(t, first, second, third)
			if err := opens(t, w, c, "new", first.Dest, lock, secrets[1]); err != nil {
				t.Errorf("the new one does not open the place that was away: %v", err)
			}
			if err := opens(t, w, c, "old", first.Dest, lock, secrets[0]); err == nil {
				t.Error("the old one opens the place that was away")
			}
		})
	}
}

// Reading, too, brings the head to a place that missed it; deleting the old one needs the
// key and waits for a backup. The newest counts at once.
func TestAPlaceThatMissedANewPasswordGetsItWhenItIsUsed(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	first, second := w.Mem("a"), w.Mem("b")
	setup(t, w, c, func(o *app.SetupOptions) {
		o.To, o.Lock, o.Secret = first.Dest, app.LockPassphrase, password(apptest.Passphrase)
	})
	mustAdd(t, c, second.Dest)
	mustBackup(t, c)
	second.Fail(cloud.ErrOffline)
	const fresh = "walnut harbor cactus violin ember"
	must(t, c.App.ChangePassword(t.Context(), password(fresh)))
	second.Fail(nil)
	must(t, c.App.UsePlace(second.Dest))
	if _, err := c.App.Snapshots(t.Context()); err != nil {
		t.Fatal(err)
	}
	if heads := headsOf(second); len(heads) != 2 {
		t.Errorf("the heads are %v", heads)
	}
	if err := opens(t, w, c, "new", second.Dest, app.LockPassphrase, fresh); err != nil {
		t.Error(err)
	}
	if err := opens(t, w, c, "old", second.Dest, app.LockPassphrase, apptest.Passphrase); err == nil {
		t.Error("the old passphrase opens it")
	}
	// A place that takes no writes is read all the same.
	second.Memory.Room = 1
	mustBackupAt(t, c, first.Dest)
	must(t, c.App.ChangePassword(t.Context(), password(apptest.Passphrase)))
	if _, err := c.App.Snapshots(t.Context()); err != nil {
		t.Error(err)
	}
}

func mustBackupAt(t *testing.T, c *apptest.Computer, dest string) {
	t.Helper()
	if _, err := c.App.Backup(t.Context(), app.BackupOptions{Place: dest}); err != nil {
		t.Fatal(err)
	}
}

// Another computer, which knows one of the places only, changes the password. The first
// brings the new head from there to the others.
func TestANewPasswordOfAnotherComputerSpreads(t *testing.T) {
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	first, second := w.Mem("a"), w.Mem("b")
	made := setup(t, w, ann, func(o *app.SetupOptions) {
		o.To, o.Lock, o.Secret = first.Dest, app.LockPassphrase, password(apptest.Passphrase)
	})
	mustAdd(t, ann, second.Dest)
	mustBackup(t, ann)
	bob := w.Computer("BOB-PC")
	_, err := bob.App.Open(t.Context(), app.OpenOptions{From: second.Dest, Lock: app.LockKey, Key: made.Key})
	must(t, err)
	must(t, bob.App.ChangePassword(t.Context(), password("walnut harbor cactus violin ember")))
	if headsOf(first)[0] == headsOf(second)[0] {
		t.Fatal("the other computer reached a place that it does not know")
	}
	mustBackup(t, ann) // meets the new head in the second place
	mustBackup(t, ann) // and brings it to the first
	mustOneHead(t, first, second)
}

func TestNoPlaceNoNewPassword(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	first, second := w.Mem("a"), w.Mem("b")
	setup(t, w, c, func(o *app.SetupOptions) { o.To = first.Dest })
	mustAdd(t, c, second.Dest)
	first.Fail(cloud.ErrOffline)
	second.Fail(cloud.ErrTrashed)
	f := mustExplain(t, c.App.ChangePassword(t.Context(), password(apptest.Password2)), app.CodePlaceOffline)
	if f.Args["place"] != first.Dest {
		t.Errorf("the failure is of %v", f.Args)
	}
	right, err := c.App.PracticePassword(t.Context(), password(apptest.Password))
	if err != nil || !right {
		t.Errorf("the old password counts no more: %v", err)
	}
}

// A profile that has no head of its own yet (an older Coffer's, or one whose file was lost)
// finds it in the places; where all heads are lost the key makes a new one.
func TestAddPlaceFindsTheHead(t *testing.T) {
	for _, lost := range []bool{false, true} {
		w := apptest.New(t)
		c := w.Computer("ANN-LAPTOP")
		first, second := w.Mem("a"), w.Mem("b")
		made := setupAt(t, w, c, first.Dest)
		mustBackup(t, c)
		must(t, c.App.ForgetHead())
		if lost {
			for _, name := range headsOf(first) {
				first.Memory.Set(name, nil)
			}
		}
		mustAdd(t, c, second.Dest)
		if len(headsOf(second)) != 1 {
			t.Fatalf("lost %v: the new place has %v", lost, second.Memory.Names())
		}
		mustBackup(t, c)
		mustOneHead(t, first, second)
		bob := w.Computer("BOB-PC")
		_, err := bob.App.Open(t.Context(), app.OpenOptions{From: second.Dest, Lock: app.LockKey, Key: made.Key})
		must(t, err)
	}
}
