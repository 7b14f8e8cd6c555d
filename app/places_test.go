package app_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

const placePassword = "hunter2-of-the-server"

// setupAt sets up a backup in the place of that text with the 64 digits.
func setupAt(t *testing.T, w *apptest.World, c *apptest.Computer, dest string) app.SetupResult {
	t.Helper()
	return setup(t, w, c, func(o *app.SetupOptions) { o.To, o.Lock, o.Secret = dest, app.LockKey, app.Secret{} })
}

// guarded returns a place that asks for a password.
func guarded(w *apptest.World, name string) *apptest.Mem {
	m := w.Mem(name)
	m.Password = placePassword
	return m
}

func withSecret(dest, name, secret string) app.Connection {
	return app.Connection{Dest: dest, Secrets: map[string]app.Secret{name: password(secret)}}
}

func mustPlaces(t *testing.T, c *apptest.Computer, want ...string) []app.Place {
	t.Helper()
	places, err := c.App.Places()
	must(t, err)
	var got []string
	for _, p := range places {
		got = append(got, p.Dest)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the places are %v, want %v", got, want)
	}
	return places
}

func mustAdd(t *testing.T, c *apptest.Computer, dest string) app.Place {
	t.Helper()
	p, _, err := c.App.AddPlace(t.Context(), dest, false)
	must(t, err)
	return p
}

func TestAPlaceWithAPasswordIsConnectedOnce(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	m := guarded(w, "a")
	m.SetAccount("ann@example.org")
	_, err := c.App.InspectPlace(t.Context(), m.Dest)
	f := mustExplain(t, err, app.CodePlaceSecret)
	if f.Args["place"] != m.Dest {
		t.Errorf("the failure names %v", f.Args)
	}
	_, err = c.App.Connect(t.Context(), withSecret(m.Dest, "password", "wrong"))
	mustExplain(t, err, app.CodePlaceSignIn)
	_, err = c.App.InspectPlace(t.Context(), m.Dest)
	mustExplain(t, err, app.CodePlaceSecret) // nothing is remembered of what did not work
	info, err := c.App.Connect(t.Context(), withSecret(m.Dest, "password", placePassword))
	must(t, err)
	if !info.Exists || info.Kind != "mem" || info.Account != "ann@example.org" || info.Server != "memory" || len(info.Promises) != 7 {
		t.Errorf("connected: %+v", info)
	}
	if c.Keyring.Len() != 0 {
		t.Error("a connection was stored before it was a place")
	}
	if _, err := c.App.InspectPlace(t.Context(), info.Dest); err != nil {
		t.Errorf("the connection was forgotten: %v", err)
	}
	made := setupAt(t, w, c, info.Dest)
	p := mustPlaces(t, c, m.Dest)[0]
	if p.Account != "ann@example.org" || p.State != app.PlaceNever || len(p.ID) != 8 {
		t.Errorf("the place is %+v", p)
	}
	c.Restart()
	mustBackup(t, c)
	if p := mustPlaces(t, c, m.Dest)[0]; p.State != app.PlaceSafe || p.LastBackup.IsZero() || p.Stored <= 0 || p.Free != -1 || p.Total != -1 {
		t.Errorf("after a backup: %+v", p)
	}

	bob := w.Computer("BOB-PC")
	_, err = bob.App.Open(t.Context(), app.OpenOptions{From: m.Dest, Lock: app.LockKey, Key: made.Key})
	mustExplain(t, err, app.CodePlaceSecret)
	if _, err := bob.App.Connect(t.Context(), withSecret(m.Dest, "password", placePassword)); err != nil {
		t.Fatal(err)
	}
	ways, err := bob.App.WaysIn(t.Context(), m.Dest, "")
	if err != nil || len(ways) != 1 {
		t.Errorf("%+v, %v", ways, err)
	}
	_, err = bob.App.Open(t.Context(), app.OpenOptions{From: m.Dest, Lock: app.LockKey, Key: made.Key})
	must(t, err)
	bob.Restart()
	if snapshots, err := bob.App.Snapshots(t.Context()); err != nil || len(snapshots) != 1 {
		t.Errorf("%+v, %v", snapshots, err)
	}
}

func TestSecretsDoNotBelongIntoOptions(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	m := guarded(w, "a")
	for name, options := range map[string]map[string]string{
		"a secret": {"password": placePassword}, "a bad name": {"Host Key": "x"}, "too long": {"user": strings.Repeat("x", 5000)},
	} {
		_, err := c.App.Connect(t.Context(), app.Connection{Dest: m.Dest, Options: options})
		mustExplain(t, err, app.CodeUsage)
		if strings.Contains(err.Error(), placePassword) {
			t.Errorf("%s: the error says %v", name, err)
		}
	}
	_, err := c.App.Connect(t.Context(), withSecret(m.Dest, "Pass Word", "x"))
	mustExplain(t, err, app.CodeUsage)
}

// Where a secret can be: the keyring, or a sealed file beside the state of the place.
func TestSecretsAreKeptWhereTheyCanBe(t *testing.T) {
	for name, tt := range map[string]struct {
		before  func(*apptest.Computer)
		keep    app.KeepKey
		extra   int // bytes of another secret
		keyring bool
	}{
		"keyring":              {nil, app.KeepAuto, 0, true},
		"no keyring":           {func(c *apptest.Computer) { c.NoKeyring() }, app.KeepFile, 0, false},
		"the keyring is lost":  {func(c *apptest.Computer) { c.Keyring.Fail(app.ErrNoKeyring) }, app.KeepAuto, 0, false},
		"the keyring forgets":  {func(c *apptest.Computer) { c.Keyring.Forget() }, app.KeepAsk, 0, false},
		"the key is in a file": {nil, app.KeepFile, 0, false},
		"too long":             {nil, app.KeepAuto, 3000, false},
		"asked for":            {nil, app.KeepAsk, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := apptest.New(t)
			c := w.Computer("ANN-LAPTOP")
			if tt.before != nil {
				tt.before(c)
			}
			m := guarded(w, "a")
			connection := withSecret(m.Dest, "password", placePassword)
			if tt.extra > 0 {
				connection.Secrets["token"] = password(strings.Repeat("\xff", tt.extra))
			}
			_, err := c.App.Connect(t.Context(), connection)
			must(t, err)
			made := setup(t, w, c, func(o *app.SetupOptions) {
				o.To, o.Lock, o.Secret, o.KeepKey = m.Dest, app.LockKey, app.Secret{}, tt.keep
			})
			p := mustPlaces(t, c, m.Dest)[0]
			inKeyring := false
			if c.Keyring != nil {
				_, err := c.Keyring.Get(t.Context(), "place-"+p.ID)
				inKeyring = err == nil
			}
			file := filepath.Join(c.App.PlaceDir(p.ID), "secrets")
			info, err := os.Stat(file)
			if name == "the keyring forgets" {
				inKeyring = false // it holds something else
			}
			if inKeyring != tt.keyring || (err == nil) == tt.keyring {
				t.Errorf("in the keyring: %v, in a file: %v", inKeyring, err)
			}
			if err == nil && info.Mode().Perm() != 0o600 {
				t.Errorf("the file is open to others: %v", info.Mode())
			}
			c.Restart()
			if tt.keep == app.KeepAsk {
				must(t, c.App.Unlock(t.Context(), app.UnlockOptions{Lock: app.LockKey, Key: made.Key}))
			}
			mustBackup(t, c)
		})
	}
}

func TestLostSecretsAreGivenAgain(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, c *apptest.Computer, id string){
		"from the keyring": func(t *testing.T, c *apptest.Computer, id string) {
			must(t, c.Keyring.Delete(t.Context(), "place-"+id))
		},
		"with the device key": func(t *testing.T, c *apptest.Computer, id string) {
			writeFile(t, filepath.Join(c.App.PlaceDir(id), "secrets"), strings.Repeat("x", 200))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := apptest.New(t)
			c := w.Computer("ANN-LAPTOP")
			m := guarded(w, "a")
			_, err := c.App.Connect(t.Context(), withSecret(m.Dest, "password", placePassword))
			must(t, err)
			setupAt(t, w, c, m.Dest)
			p := mustPlaces(t, c, m.Dest)[0]
			lose(t, c, p.ID)
			_, err = c.App.Backup(t.Context(), app.BackupOptions{})
			mustExplain(t, err, app.CodePlaceSecret)
			_, err = c.App.ChangePlace(t.Context(), p.ID, withSecret("", "password", "wrong"))
			mustExplain(t, err, app.CodePlaceSignIn)
			_, err = c.App.Backup(t.Context(), app.BackupOptions{})
			mustExplain(t, err, app.CodePlaceSecret) // the wrong one was not stored
			_, err = c.App.ChangePlace(t.Context(), p.ID, withSecret("", "password", placePassword))
			must(t, err)
			c.Restart()
			mustBackup(t, c)
		})
	}
}

// A token that the service renews in the middle of a backup is the one that the next uses,
// also where the keyring has gone away since.
func TestATokenIsRenewedInTheMiddleOfABackup(t *testing.T) {
	for _, gone := range []bool{false, true} {
		w := apptest.New(t)
		c := w.Computer("ANN-LAPTOP")
		m := guarded(w, "a")
		_, err := c.App.Connect(t.Context(), withSecret(m.Dest, "password", placePassword))
		must(t, err)
		setup(t, w, c, func(o *app.SetupOptions) {
			o.To, o.Lock, o.Secret, o.KeepKey = m.Dest, app.LockKey, app.Secret{}, app.KeepAuto
		})
		renewed := placePassword
		var one sync.Mutex // uploads run side by side
		m.OnPut = func(ctx context.Context, secrets app.PlaceSecrets) error {
			one.Lock()
			defer one.Unlock()
			if gone {
				c.Keyring.Fail(app.ErrNoKeyring)
			}
			renewed += "+"
			if err := secrets.Set(ctx, "password", password(renewed)); err != nil {
				return err
			}
			got, err := secrets.Get(ctx, "password")
			if err != nil || !got.Equal(password(renewed)) {
				t.Errorf("what was set does not come back: %v", err)
			}
			return nil
		}
		mustBackup(t, c)
		if renewed == placePassword {
			t.Fatal("nothing was put")
		}
		c.Keyring.Fail(nil)
		m.OnPut, m.Password = nil, renewed
		c.Restart()
		mustBackup(t, c)
	}
}

func TestAHostKeyIsAcceptedOnceAndItsChangeRefused(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	m := w.Mem("a")
	m.HostKey = "SHA256:first"
	_, err := c.App.Connect(t.Context(), app.Connection{Dest: m.Dest})
	f := mustExplain(t, err, app.CodePlaceNewHost)
	if f.Args["offered"] != "SHA256:first" || f.Args["host"] == "" {
		t.Errorf("the failure says %v", f.Args)
	}
	_, err = c.App.Connect(t.Context(), app.Connection{Dest: m.Dest, Options: map[string]string{"host-key": "SHA256:first"}})
	must(t, err)
	setupAt(t, w, c, m.Dest)
	id := mustPlaces(t, c, m.Dest)[0].ID
	mustBackup(t, c)
	m.HostKey = "SHA256:second"
	_, err = c.App.Backup(t.Context(), app.BackupOptions{})
	f = mustExplain(t, err, app.CodePlaceHostKey)
	if f.Args["known"] != "SHA256:first" || f.Args["offered"] != "SHA256:second" {
		t.Errorf("the failure says %v", f.Args)
	}
	_, err = c.App.ChangePlace(t.Context(), id, app.Connection{Options: map[string]string{"host-key": "SHA256:third"}})
	mustExplain(t, err, app.CodePlaceHostKey)
	if got := mustPlaces(t, c, m.Dest)[0].Options["host-key"]; got != "SHA256:first" {
		t.Errorf("a key that did not answer was stored: %q", got)
	}
	_, err = c.App.ChangePlace(t.Context(), id, app.Connection{Options: map[string]string{"host-key": "SHA256:second"}})
	must(t, err)
	mustBackup(t, c)
	m.HostKey = ""
	_, err = c.App.ChangePlace(t.Context(), m.Dest, app.Connection{Options: map[string]string{"host-key": ""}})
	must(t, err)
	if got, ok := mustPlaces(t, c, m.Dest)[0].Options["host-key"]; ok {
		t.Errorf("an option that was taken away is %q", got)
	}
}

func TestAddPlace(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	setupAt(t, w, c, w.Place)
	mustBackup(t, c)

	stranger := w.Computer("EVE-PC")
	setupAt(t, w, stranger, w.Mem("other").Dest)
	setFiles(w.Mem("unknown"), map[string]string{"pack": "somebody's"})
	w.Mem("full").Memory.Room = 100
	w.Mem("offline").Fail(cloud.ErrOffline)
	link := filepath.Join(w.Dir, "link")
	must(t, os.Symlink(w.Place, link))
	for dest, want := range map[string]app.Code{
		w.Place: app.CodePlaceKnown, w.Place + "/": app.CodePlaceKnown, link: app.CodePlaceKnown, mustPlaces(t, c, w.Place)[0].ID: app.CodePlaceKnown,
		"mem:other": app.CodePlaceOther, "mem:unknown": app.CodePlaceOther, "mem:full": app.CodePlaceFull,
		"mem:offline": app.CodePlaceOffline, "mem:nowhere": app.CodePlaceMissing, filepath.Join(c.Docs, "in"): app.CodePlaceInSource,
		filepath.Join(w.Dir, "none"): app.CodePlaceMissing,
	} {
		_, _, err := c.App.AddPlace(t.Context(), dest, false)
		mustExplain(t, err, want)
	}
	mustPlaces(t, c, w.Place)

	second := filepath.Join(w.Dir, "second")
	if p := mustPlaces(t, c, w.Place)[0]; p.Free <= 0 || p.Total < p.Free {
		t.Errorf("the disk has %d of %d bytes free", p.Free, p.Total)
	}
	p, notices, err := c.App.AddPlace(t.Context(), second, true)
	if err != nil || len(notices) != 0 || p.Dest != second || p.Kind != "folder" || p.State != app.PlaceNever {
		t.Fatalf("%+v, %v, %v", p, notices, err)
	}
	names, err := os.ReadDir(second)
	if err != nil || len(names) != 2 { // README.txt and the head
		t.Errorf("the new place holds %v, %v", names, err)
	}
	mustPlaces(t, c, w.Place, second)
	_, _, err = c.App.AddPlace(t.Context(), second, false)
	mustExplain(t, err, app.CodePlaceKnown)

	// What a copy of the folder holds is this backup already.
	copied := filepath.Join(w.Dir, "copied")
	must(t, os.CopyFS(copied, os.DirFS(w.Place)))
	_, notices, err = c.App.AddPlace(t.Context(), copied, false)
	if err != nil || !slices.Contains(codes(notices), app.NoticePlaceJoined) {
		t.Fatalf("%v, %v", notices, err)
	}
	must(t, c.App.UsePlace(copied))
	if snapshots, err := c.App.Snapshots(t.Context()); err != nil || len(snapshots) != 1 {
		t.Errorf("%+v, %v", snapshots, err)
	}
	for i, p := range mustPlaces(t, c, w.Place, second, copied) {
		if p.Selected != (i == 2) {
			t.Errorf("%s selected: %v", p.Dest, p.Selected)
		}
	}
}

func setFiles(m *apptest.Mem, files map[string]string) {
	for kind, text := range files {
		m.Memory.Set(cloud.Name(kind, []byte(text)), []byte(text))
	}
}

// Each request to a new place fails once, without and with its effect: the place is not the
// profile's, and adding it again succeeds.
func TestAddPlaceCanBeRepeatedAfterEveryFault(t *testing.T) {
	for _, fault := range []cloudtest.Fault{cloudtest.Fail, cloudtest.FailDone} {
		for at := 1; at <= 2; at++ {
			w := apptest.New(t)
			c := w.Computer("ANN-LAPTOP")
			setupAt(t, w, c, w.Place)
			m := guarded(w, "b")
			m.Wrap = func(d cloud.Driver) cloud.Driver {
				return cloudtest.NewFaulty(d, cloudtest.Shot{Op: cloudtest.Put, At: at, Fault: fault, Err: cloud.ErrDenied})
			}
			_, err := c.App.Connect(t.Context(), withSecret(m.Dest, "password", placePassword))
			must(t, err)
			_, _, err = c.App.AddPlace(t.Context(), m.Dest, false)
			mustExplain(t, err, app.CodePlaceDenied)
			mustPlaces(t, c, w.Place)
			if c.Keyring.Len() != 1 {
				t.Errorf("%d entries in the keyring, want that of the backup", c.Keyring.Len())
			}
			m.Wrap = nil
			mustAdd(t, c, m.Dest) // the connection is still remembered
			mustPlaces(t, c, w.Place, m.Dest)
			c.Restart()
			mustBackup(t, c)
		}
	}
}

func TestRemovePlace(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	setupAt(t, w, c, w.Place)
	first := mustPlaces(t, c, w.Place)[0]
	mustExplain(t, c.App.RemovePlace(t.Context(), first.ID), app.CodePlaceLast)
	mustExplain(t, c.App.RemovePlace(t.Context(), "00000000"), app.CodePlaceUnknown)
	m := guarded(w, "b")
	_, err := c.App.Connect(t.Context(), withSecret(m.Dest, "password", placePassword))
	must(t, err)
	p := mustAdd(t, c, m.Dest)
	mustBackup(t, c)
	must(t, c.App.UsePlace(p.ID))
	before := m.Memory.Names()
	must(t, c.App.RemovePlace(t.Context(), m.Dest))
	mustPlaces(t, c, w.Place)
	if !slices.Equal(before, m.Memory.Names()) {
		t.Error("something in the place was deleted")
	}
	if _, err := os.Stat(c.App.PlaceDir(p.ID)); !errors.Is(err, os.ErrNotExist) || c.Keyring.Len() != 1 {
		t.Errorf("left behind: %v, %d entries in the keyring", err, c.Keyring.Len())
	}
	if snapshots, err := c.App.Snapshots(t.Context()); err != nil || len(snapshots) != 1 {
		t.Errorf("what was used is gone, and the first does not take over: %+v, %v", snapshots, err)
	}
	mustExplain(t, c.App.UsePlace(p.ID), app.CodePlaceUnknown)
	_, err = c.App.Backup(t.Context(), app.BackupOptions{Place: p.ID})
	mustExplain(t, err, app.CodePlaceUnknown)
	mustBackup(t, c)
}

// A crash between the note and settings.json leaves the secrets of a place that is not the
// profile's. The next change of the places drops them, and nothing else.
func TestWhatAnInterruptedChangeLeavesIsDropped(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	m := guarded(w, "a")
	_, err := c.App.Connect(t.Context(), withSecret(m.Dest, "password", placePassword))
	must(t, err)
	setupAt(t, w, c, m.Dest)
	p := mustPlaces(t, c, m.Dest)[0]
	orphan := "0badcafe"
	must(t, c.Keyring.Set(t.Context(), "place-"+orphan, password(`{"password":"x"}`)))
	writeFile(t, filepath.Join(c.App.PlaceDir(orphan), "secrets"), "x")
	must(t, c.App.NotePlace(orphan))
	mustAdd(t, c, w.Place)
	if _, err := os.Stat(c.App.PlaceDir(orphan)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state of the orphan: %v", err)
	}
	if _, err := c.Keyring.Get(t.Context(), "place-"+orphan); !errors.Is(err, app.ErrNoEntry) {
		t.Errorf("the secret of the orphan: %v", err)
	}
	// The same note of a place that is the profile's is only a note.
	must(t, c.App.NotePlace(p.ID))
	must(t, c.App.RemovePlace(t.Context(), w.Place))
	c.Restart()
	mustBackup(t, c)
}

func TestReadingTakesTheFirstPlaceThatAnswers(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	first, second := w.Mem("a"), w.Mem("b")
	setupAt(t, w, c, first.Dest)
	mustAdd(t, c, second.Dest)
	mustBackup(t, c)
	for _, trouble := range []error{cloud.ErrOffline, cloud.ErrAuth, cloud.ErrTrashed} {
		first.Fail(trouble)
		if snapshots, err := c.App.Snapshots(t.Context()); err != nil || len(snapshots) != 1 {
			t.Errorf("%v: %+v, %v", trouble, snapshots, err)
		}
	}
	receipt, target := mustRestore(t, c, app.RestoreOptions{})
	if receipt.Failed != 0 {
		t.Error(receipt.Text())
	}
	sameTrees(t, treeOf(t, c.Docs), treeOf(t, under(target, c.Docs)))
	second.Fail(cloud.ErrDenied)
	_, err := c.App.Snapshots(t.Context())
	f := mustExplain(t, err, app.CodePlaceTrashed) // of the first, not of the last
	if f.Args["place"] != first.Dest {
		t.Errorf("the failure is of %q", f.Args["place"])
	}
	// Who has chosen a place is told about that one.
	second.Fail(nil)
	must(t, c.App.UsePlace(first.Dest))
	_, err = c.App.Snapshots(t.Context())
	mustExplain(t, err, app.CodePlaceTrashed)
	must(t, c.App.UsePlace(""))
	_, err = c.App.Snapshots(t.Context())
	must(t, err)
	// Somebody stands where the first place used to be: that is said, and not passed over.
	first.Fail(&cloud.IdentityError{Kind: cloud.HostKey, Host: "h", Known: "SHA256:a", Offered: "SHA256:b"})
	_, err = c.App.Snapshots(t.Context())
	mustExplain(t, err, app.CodePlaceHostKey)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.App.Snapshots(ctx)
	mustExplain(t, err, app.CodeCanceled)
}

func TestTwoPlacesAreTwoChains(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	first, second := w.Mem("a"), w.Mem("b")
	setupAt(t, w, c, first.Dest)
	mustBackup(t, c)
	mustAdd(t, c, second.Dest)
	mustBackup(t, c)
	for dest, want := range map[string][]uint64{first.Dest: {1, 2}, second.Dest: {1}} {
		must(t, c.App.UsePlace(dest))
		snapshots, err := c.App.Snapshots(t.Context())
		must(t, err)
		var got []uint64
		for _, s := range snapshots {
			got = append(got, s.Sequence)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has the sequences %v, want %v", dest, got, want)
		}
	}
	// An old state in one place is an alarm there, and none in the other.
	for _, name := range second.Memory.Names() {
		if strings.HasPrefix(name, "snap-") {
			second.Memory.Set(name, nil)
		}
	}
	_, err := c.App.Backup(t.Context(), app.BackupOptions{Place: second.Dest})
	mustExplain(t, err, app.CodeRollback)
	_, err = c.App.Backup(t.Context(), app.BackupOptions{Place: first.Dest})
	must(t, err)
}

func TestAPlaceIsChangedOnlyToOneOfTheSameBackup(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	setupAt(t, w, c, w.Place)
	mustBackup(t, c)
	other := mustAdd(t, c, w.Mem("b").Dest)
	p := mustPlaces(t, c, w.Place, other.Dest)[0]
	setupAt(t, w, w.Computer("EVE-PC"), w.Mem("eve").Dest)
	w.Mem("empty")
	for dest, want := range map[string]app.Code{
		"mem:eve": app.CodePlaceOther, "mem:empty": app.CodePlaceForeign, "mem:nowhere": app.CodePlaceMissing,
		other.Dest: app.CodePlaceKnown, filepath.Join(c.Docs, "x"): app.CodePlaceMissing,
	} {
		_, err := c.App.ChangePlace(t.Context(), p.ID, app.Connection{Dest: dest})
		if code := app.Explain(err).Code; code != want && !(want == app.CodePlaceMissing && code == app.CodePlaceInSource) {
			t.Errorf("%s: %v, want %s", dest, err, want)
		}
	}
	_, err := c.App.ChangePlace(t.Context(), "none", app.Connection{Dest: w.Place})
	mustExplain(t, err, app.CodePlaceUnknown)
	mustPlaces(t, c, w.Place, other.Dest)
	moved := filepath.Join(w.Dir, "moved")
	must(t, os.Rename(w.Place, moved))
	_, err = c.App.Backup(t.Context(), app.BackupOptions{Place: p.ID})
	mustExplain(t, err, app.CodePlaceOffline)
	info, err := c.App.ChangePlace(t.Context(), p.ID, app.Connection{Dest: moved})
	if err != nil || info.Dest != moved || len(info.Backups) != 1 {
		t.Fatalf("%+v, %v", info, err)
	}
	after := mustPlaces(t, c, moved, other.Dest)[0]
	if after.ID != p.ID || !after.AddedAt.Equal(p.AddedAt) {
		t.Errorf("the place became another: %+v", after)
	}
	_, err = c.App.Backup(t.Context(), app.BackupOptions{Place: p.ID})
	must(t, err)
	snapshots, err := c.App.Snapshots(t.Context())
	if err != nil || len(snapshots) != 2 || snapshots[1].Sequence != 2 {
		t.Errorf("the chain was broken: %+v, %v", snapshots, err)
	}
}

func TestWhatAPlaceSaysOfItselfIsKept(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	m := w.Mem("a")
	setupAt(t, w, c, m.Dest)
	if p := mustPlaces(t, c, m.Dest)[0]; p.Account != "" {
		t.Fatalf("%+v", p)
	}
	m.SetAccount("ann@example.org")
	mustBackup(t, c)
	if p := mustPlaces(t, c, m.Dest)[0]; p.Account != "ann@example.org" {
		t.Errorf("%+v", p)
	}
	m.Fail(cloud.ErrAuth)
	_, err := c.App.Backup(t.Context(), app.BackupOptions{})
	f := mustExplain(t, err, app.CodePlaceSignIn)
	if want := map[string]string{"place": m.Dest, "account": "ann@example.org"}; !maps.Equal(f.Args, want) {
		t.Errorf("the failure says %v, want %v", f.Args, want)
	}
	p := mustPlaces(t, c, m.Dest)[0]
	if p.State != app.PlaceTrouble || p.Trouble.Code != app.CodePlaceSignIn || time.Since(p.LastRun.Started) > time.Minute {
		t.Errorf("%+v", p)
	}
}

func TestNothingIsRestoredIntoAPlace(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	setupAt(t, w, c, w.Place)
	mustBackup(t, c)
	second := filepath.Join(w.Dir, "second")
	_, _, err := c.App.AddPlace(t.Context(), second, true)
	must(t, err)
	for _, dir := range []string{w.Place, filepath.Join(second, "new", "folder")} {
		_, err := c.App.Restore(t.Context(), app.RestoreOptions{Snapshot: "latest", Target: dir})
		if f := mustExplain(t, err, app.CodeTargetInPlace); f.Args["path"] != dir {
			t.Errorf("the failure says %v", f.Args)
		}
		_, err = c.App.PlanRestore(t.Context(), app.RestoreOptions{Snapshot: "latest", Target: dir})
		mustExplain(t, err, app.CodeTargetInPlace)
	}
	mustRestore(t, c, app.RestoreOptions{Target: filepath.Join(w.Dir, "beside")})
}

// Places inside a source, which came there after they were added, are not backed up.
func TestNoPlaceIsBackedUp(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	setupAt(t, w, c, w.Place)
	second := filepath.Join(w.Dir, "second")
	_, _, err := c.App.AddPlace(t.Context(), second, true)
	must(t, err)
	writeFile(t, filepath.Join(w.Dir, "beside", "file"), "x")
	mustBackup(t, c)
	s := c.App.Settings()
	s.Sources = []string{w.Dir}
	must(t, c.App.SaveSettings(s))
	mustBackup(t, c)
	seen := map[string]bool{}
	must(t, c.App.Walk(t.Context(), "latest", "", func(e app.EntryInfo) error {
		seen[e.Path] = true
		return nil
	}))
	if !seen[filepath.Join(w.Dir, "beside", "file")] {
		t.Error("the file beside them is missing: the test looks at nothing")
	}
	for path := range seen {
		for _, place := range []string{w.Place, second, c.Home} {
			if strings.HasPrefix(path, place+"/") {
				t.Errorf("%s is backed up", path)
			}
		}
	}
}

// The last step of Setup, of Open and of AddPlace fails: no secret stays behind, and all of
// it can be done again.
func TestNoSecretStaysOfAPlaceThatDidNotComeAbout(t *testing.T) {
	for _, keep := range []app.KeepKey{app.KeepKeyring, app.KeepFile} {
		t.Run(string(keep), func(t *testing.T) {
			t.Parallel() // each waits five seconds for a lock
			w := apptest.New(t)
			c := w.Computer("ANN-LAPTOP")
			m := guarded(w, "a")
			_, err := c.App.Connect(t.Context(), withSecret(m.Dest, "password", placePassword))
			must(t, err)
			o := app.SetupOptions{To: m.Dest, Sources: []string{c.Docs}, Lock: app.LockKey, KeepKey: keep}
			unlock, err := app.LockFile(filepath.Join(c.Home, "state", "settings.lock"))
			must(t, err)
			_, err = c.App.Setup(t.Context(), o)
			mustExplain(t, err, app.CodeProfileBusy)
			mustBeClean(t, c, 0)
			unlock()
			_, err = c.App.Setup(t.Context(), o)
			must(t, err)
			c.Restart()
			mustBackup(t, c)

			second := guarded(w, "b")
			_, err = c.App.Connect(t.Context(), withSecret(second.Dest, "password", placePassword))
			must(t, err)
			unlock, err = app.LockFile(filepath.Join(c.Home, "state", "settings.lock"))
			must(t, err)
			_, _, err = c.App.AddPlace(t.Context(), second.Dest, false)
			mustExplain(t, err, app.CodeProfileBusy)
			mustBeClean(t, c, 1)
			unlock()
			if p, notices, err := c.App.AddPlace(t.Context(), second.Dest, false); err != nil || p.ID == "" || !slices.Contains(codes(notices), app.NoticePlaceJoined) {
				t.Errorf("%+v, %v, %v", p, notices, err)
			}
			mustBackup(t, c)
		})
	}
}

// mustBeClean checks that there are as many places with state, or secrets, as the profile
// has, and no note of another.
func mustBeClean(t *testing.T, c *apptest.Computer, places int) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(c.Home, "state", "places", "*"))
	must(t, err)
	if len(dirs) > places {
		t.Errorf("the places have state in %v", dirs)
	}
	if _, err := os.Stat(filepath.Join(c.Home, "state", "pending-place.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the note: %v", err)
	}
	if n := c.Keyring.Len(); n > 2*places { // the key, and the secrets of each
		t.Errorf("%d entries in the keyring", n)
	}
}
