package app_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	w := apptest.New(t)
	ann, bob := w.Computer("ANN-LAPTOP"), w.Computer("BOB-PC")
	made := setup(t, w, ann, nil)
	empty := filepath.Join(w.Dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	right := app.OpenOptions{From: w.Place, Lock: app.LockKey, Key: made.Key}
	for name, tt := range map[string]struct {
		change func(*app.OpenOptions)
		want   app.Code
		arg    string
		value  string
	}{
		"vault elsewhere":   {func(o *app.OpenOptions) { o.Lock, o.Secret = app.LockPassword, password(apptest.Password) }, app.CodeVaultElsewhere, "computer", "ANN-LAPTOP"},
		"no passphrase":     {func(o *app.OpenOptions) { o.Lock, o.Secret = app.LockPassphrase, password(apptest.Passphrase) }, app.CodeNoSuchWay, "place", w.Place},
		"another key":       {func(o *app.OpenOptions) { o.Key = app.NewRootKey() }, app.CodeWrongKey, "", ""},
		"no key":            {func(o *app.OpenOptions) { o.Key = app.RootKey{} }, app.CodeWrongKey, "", ""},
		"not a backup":      {func(o *app.OpenOptions) { o.From = empty }, app.CodePlaceForeign, "place", empty},
		"no place":          {func(o *app.OpenOptions) { o.From = empty + "2" }, app.CodePlaceMissing, "place", empty + "2"},
		"another backup":    {func(o *app.OpenOptions) { o.Repository = strings.Repeat("0", 32) }, app.CodePlaceOther, "", ""},
		"source is missing": {func(o *app.OpenOptions) { o.Sources = []string{empty + "3"} }, app.CodeSourceMissing, "path", empty + "3"},
	} {
		t.Run(name, func(t *testing.T) {
			o := right
			tt.change(&o)
			_, err := bob.App.Open(t.Context(), o)
			f := mustExplain(t, err, tt.want)
			if tt.arg != "" && f.Args[tt.arg] != tt.value {
				t.Errorf("%s is %q, want %q", tt.arg, f.Args[tt.arg], tt.value)
			}
			if bob.App.IsSetUp() || bob.Keyring.Len() != 0 {
				t.Error("something was kept")
			}
		})
	}
	if _, err := os.Stat(bob.Config.VaultDir); !errors.Is(err, os.ErrNotExist) {
		t.Error("a vault was made by asking for one")
	}
	ways, err := ann.App.WaysIn(t.Context(), w.Place, "")
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(ways, func(w app.WayIn) bool { return w.Kind == app.LockPassword }); i < 0 || ways[i].TriesLeft != 10 {
		t.Errorf("after all that the ways in are %+v, want 10 tries left", ways)
	}
}

// The tries are a budget: shown after each, gone after the last, and the digits still open.
func TestTenWrongTriesDestroyThePasswordAndNotTheBackup(t *testing.T) {
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	ann.Config.VaultTries = 4
	ann.Restart()
	made := setup(t, w, ann, nil)
	bob := w.Computer("BOB-PC")
	bob.Config.VaultDir = ann.Config.VaultDir
	bob.Restart()
	wrong := app.OpenOptions{From: w.Place, Lock: app.LockPassword, Secret: password("not the password")}
	for i, want := range []app.Code{app.CodeWrongPassword, app.CodeWrongPassword, app.CodeLastTry, app.CodeKeyDestroyed, app.CodeKeyDestroyed} {
		_, err := bob.App.Open(t.Context(), wrong)
		f := mustExplain(t, err, want)
		if tries := string(rune('3' - i)); i < 3 && f.Args["tries"] != tries {
			t.Errorf("after wrong try %d the tries left are %q, want %q", i+1, f.Args["tries"], tries)
		}
	}
	wrong.Secret = password(apptest.Password)
	_, err := bob.App.Open(t.Context(), wrong)
	mustExplain(t, err, app.CodeKeyDestroyed)
	status, err := ann.App.VaultStatus(t.Context())
	if err != nil || status.State != "destroyed" || status.Left != 0 {
		t.Errorf("the vault says %+v, %v", status, err)
	}
	// This computer still works, and sets a new password.
	if err := ann.App.ChangePassword(t.Context(), password(apptest.Password2)); err != nil {
		t.Fatal(err)
	}
	if ann.App.VerifyRecovery(t.Context(), digits(made.Key)) != nil {
		t.Error("the digits do not open any more")
	}
	wrong.Secret = password(apptest.Password2)
	if _, err := bob.App.Open(t.Context(), wrong); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

func TestWaitIsSaidWithItsEnd(t *testing.T) {
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	ann.Config.VaultWaits = []time.Duration{time.Hour}
	ann.Restart()
	setup(t, w, ann, nil)
	for _, want := range []app.Code{app.CodeWrongPassword, app.CodeWait} {
		f := mustExplain(t, ann.App.Unlock(t.Context(), app.UnlockOptions{Lock: app.LockPassword, Secret: password("not the password")}), want)
		until, err := time.Parse(time.RFC3339, f.Args["until"])
		if err != nil || time.Until(until) < 50*time.Minute {
			t.Errorf("%s until %q", want, f.Args["until"])
		}
	}
}

// An attacker who can write into the place puts the head of another backup's making, or an
// older one of this backup, beside the true one.
func TestAHeadThatTheKeyDidNotMakeIsNotFollowed(t *testing.T) {
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	made := setup(t, w, ann, func(o *app.SetupOptions) { o.Lock, o.Secret = app.LockPassphrase, password(apptest.Passphrase) })
	name := filepath.Join(w.Place, w.Objects("head-")[0])
	head, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// The computer's name is in clear, so the attacker can change it; the tag is not right then.
	forged := bytes.Replace(head, []byte("ANN-LAPTOP"), []byte("EVE-LAPTOP"), 1)
	if bytes.Equal(head, forged) {
		t.Fatal("the name is not in the head: the test changes nothing")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.Place, cloud.Name("head", forged)), forged, 0o600); err != nil {
		t.Fatal(err)
	}
	bob := w.Computer("BOB-PC")
	_, err = bob.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: app.LockPassphrase, Secret: password(apptest.Passphrase)})
	mustExplain(t, err, app.CodeRollback)
	// The digits need no head.
	joined, err := bob.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: app.LockKey, Key: made.Key})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(codes(joined.Notices), app.NoticeOldHead) || joined.Computer != "" {
		t.Errorf("joined %+v without a word about the forged head", joined)
	}
}

func TestAKeyOfAnotherBackupIsToldFromATypingError(t *testing.T) {
	w := apptest.New(t)
	ann := w.Computer("ANN-OLD-PC")
	old := setup(t, w, ann, func(o *app.SetupOptions) { o.Lock = app.LockKey })
	first := w.Place
	w.Place = filepath.Join(w.Dir, "second")
	bob := w.Computer("BOB-PC")
	made := setup(t, w, bob, func(o *app.SetupOptions) { o.Lock, o.Create = app.LockKey, true })
	mustExplain(t, bob.App.VerifyRecovery(t.Context(), digits(old.Key)), app.CodeWrongKey)
	// Now the second place knows the old backup too, as when two folders were copied together.
	entries, err := os.ReadDir(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(first, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.Place, e.Name()), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := mustExplain(t, bob.App.VerifyRecovery(t.Context(), digits(old.Key)), app.CodeKeyOfOther)
	if f.Args["computer"] != "ANN-OLD-PC" || f.Args["made"] == "" {
		t.Errorf("the other backup is %v", f.Args)
	}
	typo := digits(made.Key)
	typo[17] = "1032547698badcfe"[strings.IndexByte("0123456789abcdef", typo[17])]
	mustExplain(t, bob.App.VerifyRecovery(t.Context(), typo), app.CodeWrongKey) // without checks a typo is another key
	f = mustExplain(t, bob.App.VerifyRecovery(t.Context(), typo[:60]), app.CodeRecoveryShort)
	if strings.Contains(f.Args["line"], string(typo[:4])) {
		t.Error("the failure holds digits of the key")
	}
	// Two backups in one place: one must be chosen for a passphrase, the key chooses itself.
	eve := w.Computer("EVE-PC")
	_, err = eve.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: app.LockPassphrase, Secret: password(apptest.Passphrase)})
	mustExplain(t, err, app.CodePlaceMany)
	_, err = eve.App.Open(t.Context(), app.OpenOptions{From: w.Place, Repository: made.Repository[:8], Lock: app.LockKey, Key: old.Key})
	mustExplain(t, err, app.CodeKeyOfOther)
	joined, err := eve.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: app.LockKey, Key: old.Key})
	if err != nil || joined.Repository != old.Repository || joined.Computer != "ANN-OLD-PC" {
		t.Errorf("joined %+v, %v", joined, err)
	}
}

func TestWhereTheKeyIsKept(t *testing.T) {
	t.Run("no keyring: a file, and it is said", func(t *testing.T) {
		w := apptest.New(t)
		c := w.Computer("SERVER")
		c.NoKeyring()
		made := setup(t, w, c, func(o *app.SetupOptions) { o.Lock = app.LockKey })
		if !slices.Contains(codes(made.Notices), app.NoticeKeyInFile) || c.App.KeptIn() != app.KeepFile {
			t.Fatalf("kept in %q with notices %v", c.App.KeptIn(), codes(made.Notices))
		}
		path := filepath.Join(c.Home, "key")
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("key file: %v, %v", info.Mode(), err)
		}
		text, err := os.ReadFile(path)
		if err != nil || string(text) != string(digits(made.Key))+"\n" {
			t.Error("the key file is not 64 digits and a newline")
		}
		// A restored or copied file that everybody reads is closed again.
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		c.Restart()
		if _, err := c.App.RecoveryLines(t.Context()); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key file stayed open to others: %v, %v", info.Mode(), err)
		}
		for name, bad := range map[string]string{
			"empty": "", "cut": string(text[:63]), "longer": string(text) + "\n", "capitals": strings.ToUpper(string(text)), "no digits": strings.Repeat("g", 64) + "\n",
		} {
			if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			c.Restart()
			_, err := c.App.RecoveryLines(t.Context())
			if name == "capitals" && string(text) == bad {
				continue // a key of digits alone
			}
			if app.Explain(err).Code != app.CodeLocked {
				t.Errorf("%s: %v, want ErrLocked", name, err)
			}
		}
	})
	t.Run("the keyring lost it", func(t *testing.T) {
		w := apptest.New(t)
		c := w.Computer("ANN-LAPTOP")
		made := setup(t, w, c, nil)
		c.Keyring.Clear()
		c.Restart()
		_, err := c.App.RecoveryLines(t.Context())
		mustExplain(t, err, app.CodeLocked)
		mustExplain(t, c.App.Unlock(t.Context(), app.UnlockOptions{Lock: app.LockKey, Key: app.NewRootKey()}), app.CodeWrongKey)
		if err := c.App.Unlock(t.Context(), app.UnlockOptions{Lock: app.LockPassword, Secret: password(apptest.Password)}); err != nil {
			t.Fatal(err)
		}
		if c.Keyring.Len() != 1 {
			t.Error("the keyring was not given the key again")
		}
		c.Restart()
		if err := c.App.VerifyRecovery(t.Context(), digits(made.Key)); err != nil {
			t.Error(err)
		}
		c.Keyring.Fail(app.ErrKeyringWaiting)
		c.Restart()
		_, err = c.App.RecoveryLines(t.Context())
		mustExplain(t, err, app.CodeKeyringWaiting)
	})
	t.Run("asked for each time", func(t *testing.T) {
		w := apptest.New(t)
		c := w.Computer("ANN-LAPTOP")
		made := setup(t, w, c, func(o *app.SetupOptions) { o.Lock, o.KeepKey = app.LockKey, app.KeepAsk })
		if c.Keyring.Len() != 0 {
			t.Error("the key was kept")
		}
		c.Restart()
		o, err := c.App.Overview(t.Context())
		if err != nil || !o.Locked {
			t.Errorf("locked %v, %v", o.Locked, err)
		}
		if err := c.App.Unlock(t.Context(), app.UnlockOptions{Lock: app.LockKey, Key: made.Key}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.App.RecoveryLines(t.Context()); err != nil {
			t.Error(err)
		}
		if o, err := c.App.Overview(t.Context()); err != nil || o.Locked {
			t.Errorf("after Unlock: locked %v, %v", o.Locked, err)
		}
	})
}

// The trap of removable disks: the mount point is there, and the disk is not.
func TestAPlaceThatIsNotOursIsNotUsed(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	setup(t, w, c, func(o *app.SetupOptions) { o.Lock = app.LockKey })
	away := w.Place + " away"
	if err := os.Rename(w.Place, away); err != nil {
		t.Fatal(err)
	}
	change := func() error { return c.App.ChangePassword(t.Context(), password(apptest.Password2)) }
	f := mustExplain(t, change(), app.CodePlaceOffline)
	if f.Args["place"] != w.Place {
		t.Errorf("the place is called %q", f.Args["place"])
	}
	if err := os.Mkdir(w.Place, 0o700); err != nil {
		t.Fatal(err)
	}
	mustExplain(t, change(), app.CodePlaceForeign)
	setup(t, w, w.Computer("BOB-PC"), func(o *app.SetupOptions) { o.Lock = app.LockKey })
	mustExplain(t, change(), app.CodePlaceOther)
}
