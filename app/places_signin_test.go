package app_test

import (
	"errors"
	"strings"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
)

// signedIn returns a place that wants a sign-in, as ann.
func signedIn(w *apptest.World, name string) *apptest.Mem {
	m := w.Mem(name)
	m.SignedIn = true
	m.SetAccount("ann@example.org")
	return m
}

// browser stands for the user's: it takes any address.
func browser(string) error { return nil }

func TestSignIn(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	m := signedIn(w, "a")
	refused := errors.New("the browser did not open")
	_, err := c.App.SignIn(t.Context(), app.Connection{Dest: m.Dest}, func(string) error { return refused })
	if !errors.Is(err, refused) {
		t.Fatalf("%v", err)
	}
	_, err = c.App.InspectPlace(t.Context(), m.Dest)
	mustExplain(t, err, app.CodePlaceSecret)
	_, err = c.App.SignIn(t.Context(), app.Connection{Dest: w.Place}, browser)
	mustExplain(t, err, app.CodePlaceUnsupported)

	address := ""
	info, err := c.App.SignIn(t.Context(), app.Connection{Dest: m.Dest}, func(a string) error {
		address = a
		return nil
	})
	if err != nil || info.Account != "ann@example.org" || !info.Exists || !strings.HasPrefix(address, "http://127.0.0.1") {
		t.Fatalf("%+v, %v, %q", info, err, address)
	}
	if c.Keyring.Len() != 0 {
		t.Error("the sign-in was stored before the place was the profile's")
	}
	setupAt(t, w, c, info.Dest)
	c.Restart()
	mustBackup(t, c)
	if p := mustPlaces(t, c, m.Dest)[0]; p.Account != "ann@example.org" || p.Options[app.OptionAccountID] == "" {
		t.Errorf("%+v", p)
	}
}

// The sign-in of a place is renewed by the same person only.
func TestSignInAgain(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	m := signedIn(w, "a")
	_, err := c.App.SignIn(t.Context(), app.Connection{Dest: m.Dest}, browser)
	must(t, err)
	setupAt(t, w, c, m.Dest)
	mustBackup(t, c)
	p := mustPlaces(t, c, m.Dest)[0]
	before, err := c.Keyring.Get(t.Context(), "place-"+p.ID)
	must(t, err)

	m.SetAccount("eve@example.org") // she sits at the browser now
	_, err = c.App.SignIn(t.Context(), app.Connection{Dest: p.ID}, browser)
	f := mustExplain(t, err, app.CodePlaceAccount)
	if f.Args["account"] != "ann@example.org" {
		t.Errorf("the failure says %v", f.Args)
	}
	after, err := c.Keyring.Get(t.Context(), "place-"+p.ID)
	if err != nil || !after.Equal(before) {
		t.Errorf("the sign-in of somebody else was stored: %v", err)
	}
	if got := mustPlaces(t, c, m.Dest)[0]; got.Account != "ann@example.org" {
		t.Errorf("the place belongs to %q now", got.Account)
	}

	m.SetAccount("ann@example.org")
	must(t, c.Keyring.Delete(t.Context(), "place-"+p.ID))
	_, err = c.App.Backup(t.Context(), app.BackupOptions{})
	mustExplain(t, err, app.CodePlaceSecret)
	info, err := c.App.SignIn(t.Context(), app.Connection{Dest: m.Dest}, browser)
	if err != nil || len(info.Backups) != 1 {
		t.Fatalf("%+v, %v", info, err)
	}
	c.Restart()
	mustBackup(t, c)
}

func TestDisconnectAndTheTrash(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	m := signedIn(w, "a")
	_, err := c.App.SignIn(t.Context(), app.Connection{Dest: m.Dest}, browser)
	must(t, err)
	setupAt(t, w, c, m.Dest)
	mustBackup(t, c)
	p := mustPlaces(t, c, m.Dest)[0]

	m.Fail(cloud.ErrTrashed)
	_, err = c.App.Backup(t.Context(), app.BackupOptions{})
	mustExplain(t, err, app.CodePlaceTrashed)
	if folders, err := c.App.RestoreFolder(t.Context(), p.ID); err != nil || folders != 1 {
		t.Errorf("%d, %v", folders, err)
	}
	mustBackup(t, c)
	_, err = c.App.RestoreFolder(t.Context(), "none")
	mustExplain(t, err, app.CodePlaceUnknown)

	must(t, c.App.Disconnect(t.Context(), p.ID))
	if m.SignedOut() != 1 || c.Keyring.Len() != 1 {
		t.Errorf("signed out %d times, %d entries in the keyring", m.SignedOut(), c.Keyring.Len())
	}
	objects := len(m.Memory.Names())
	_, err = c.App.Backup(t.Context(), app.BackupOptions{})
	mustExplain(t, err, app.CodePlaceSecret)
	if objects == 0 || len(m.Memory.Names()) != objects {
		t.Error("the files did not stay")
	}
	mustPlaces(t, c, m.Dest)
	_, err = c.App.SignIn(t.Context(), app.Connection{Dest: p.ID}, browser)
	must(t, err)
	mustBackup(t, c)
	folder := mustAdd(t, c, w.Place)
	mustExplain(t, c.App.Disconnect(t.Context(), folder.ID), app.CodePlaceUnsupported)
	_, err = c.App.RestoreFolder(t.Context(), folder.ID)
	mustExplain(t, err, app.CodePlaceUnsupported)
}
