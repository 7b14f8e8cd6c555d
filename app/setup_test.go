package app_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/crypto"
)

func password(text string) app.Secret { return app.NewSecret([]byte(text)) }

// setup sets up a backup with a password, and returns its key.
func setup(t *testing.T, w *apptest.World, c *apptest.Computer, change func(*app.SetupOptions)) app.SetupResult {
	t.Helper()
	o := app.SetupOptions{
		To: w.Place, Sources: []string{c.Docs}, Lock: app.LockPassword, Secret: password(apptest.Password),
	}
	if change != nil {
		change(&o)
	}
	result, err := c.App.Setup(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func mustExplain(t *testing.T, err error, want app.Code) app.Failure {
	t.Helper()
	f := app.Explain(err)
	if f.Code != want {
		t.Fatalf("got %q (%v), want %q", f.Code, err, want)
	}
	return f
}

func codes(notices []app.Notice) []app.NoticeCode {
	var list []app.NoticeCode
	for _, n := range notices {
		list = append(list, n.Code)
	}
	return list
}

func TestSetupAndOpenOnAnotherComputer(t *testing.T) {
	key := app.NewRootKey()
	for _, lock := range []app.LockKind{app.LockPassword, app.LockPassphrase, app.LockKey} {
		t.Run(string(lock), func(t *testing.T) {
			w := apptest.New(t)
			ann := w.Computer("ANN-LAPTOP")
			secret := map[app.LockKind]string{app.LockPassword: apptest.Password, app.LockPassphrase: apptest.Passphrase}[lock]
			made := setup(t, w, ann, func(o *app.SetupOptions) {
				o.Lock, o.Secret, o.Key = lock, password(secret), key
			})
			if !made.Key.Equal(key) {
				t.Error("the result holds another key than was given")
			}
			if !ann.App.IsSetUp() || ann.App.KeptIn() != app.KeepKeyring || ann.Keyring.Len() != 1 {
				t.Errorf("set up %v, kept in %q, %d keyring entries", ann.App.IsSetUp(), ann.App.KeptIn(), ann.Keyring.Len())
			}
			if n := len(w.Objects("head-")); n != 1 {
				t.Errorf("%d heads in the place, want 1", n)
			}
			if len(w.Objects("README.txt")) != 1 {
				t.Error("no README.txt in the place")
			}

			bob := w.Computer("BOB-PC")
			if lock == app.LockPassword {
				bob.Config.VaultDir = ann.Config.VaultDir // as if the disk had moved
				bob.Restart()
			}
			joined, err := bob.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: lock, Secret: password(secret), Key: key})
			if err != nil {
				t.Fatal(err)
			}
			if joined.Repository != made.Repository || joined.Computer != "ANN-LAPTOP" || joined.MadeAt.IsZero() {
				t.Errorf("joined %+v", joined)
			}
			lines, err := bob.App.RecoveryLines(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if lines[0].Digits != crypto.RecoveryLines(key)[0].Digits {
				t.Error("the other computer has another key")
			}
			bob.Restart()
			if err := bob.App.VerifyRecovery(t.Context(), digits(key)); err != nil {
				t.Errorf("after a restart: %v", err)
			}
		})
	}
}

func digits(key app.RootKey) (text []byte) {
	crypto.RecoveryDigits(key).Expose(func(b []byte) { text = bytes.Clone(b) })
	return text
}

func TestSetupRefusesWithoutChangingAnything(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	file := filepath.Join(c.Docs, "letter.txt")
	inside := filepath.Join(c.Docs, "backup")
	if err := os.Symlink(c.Docs, filepath.Join(w.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*app.SetupOptions)
		want   app.Code
	}{
		"short password":      {func(o *app.SetupOptions) { o.Secret = password("7 chars") }, app.CodePasswordShort},
		"common password":     {func(o *app.SetupOptions) { o.Secret = password("password123") }, app.CodePasswordCommon},
		"empty password":      {func(o *app.SetupOptions) { o.Secret = password("") }, app.CodePasswordShort},
		"control characters":  {func(o *app.SetupOptions) { o.Secret = password("abc\x00defghijk") }, app.CodePasswordBad},
		"not text":            {func(o *app.SetupOptions) { o.Secret = password("abcdefgh\xff\xfe") }, app.CodePasswordBad},
		"weak passphrase":     {func(o *app.SetupOptions) { o.Lock, o.Secret = app.LockPassphrase, password("long enough, but no") }, app.CodePassphraseWeak},
		"missing source":      {func(o *app.SetupOptions) { o.Sources = []string{filepath.Join(c.Docs, "none")} }, app.CodeSourceMissing},
		"bad pattern":         {func(o *app.SetupOptions) { o.Exclude = []string{"["} }, app.CodeUsage},
		"no way in":           {func(o *app.SetupOptions) { o.Lock = "" }, app.CodeUsage},
		"unknown keep":        {func(o *app.SetupOptions) { o.KeepKey = "cloud" }, app.CodeUsage},
		"missing place":       {func(o *app.SetupOptions) { o.To = filepath.Join(w.Dir, "none") }, app.CodePlaceMissing},
		"missing parent":      {func(o *app.SetupOptions) { o.To, o.Create = filepath.Join(w.Dir, "none", "none"), true }, app.CodePlaceMissing},
		"place is a file":     {func(o *app.SetupOptions) { o.To = file }, app.CodePlaceInSource},
		"place in source":     {func(o *app.SetupOptions) { o.To, o.Create = inside, true }, app.CodePlaceInSource},
		"place behind a link": {func(o *app.SetupOptions) { o.To, o.Create = filepath.Join(w.Dir, "link", "backup"), true }, app.CodePlaceInSource},
		"source in place":     {func(o *app.SetupOptions) { o.To = w.Dir }, app.CodePlaceInSource},
	} {
		t.Run(name, func(t *testing.T) {
			o := app.SetupOptions{To: w.Place, Sources: []string{c.Docs}, Lock: app.LockPassword, Secret: password(apptest.Password)}
			tt.change(&o)
			_, err := c.App.Setup(t.Context(), o)
			mustExplain(t, err, tt.want)
			if c.App.IsSetUp() || c.Keyring.Len() != 0 || len(w.Objects("")) != 0 {
				t.Errorf("set up %v, %d keys kept, in the place: %v", c.App.IsSetUp(), c.Keyring.Len(), w.Objects(""))
			}
			if _, err := os.Stat(inside); !errors.Is(err, os.ErrNotExist) {
				t.Error("a folder was made inside the source")
			}
		})
	}
	setup(t, w, c, nil) // and after all that it works
}

func TestSetupNeverTakesAPlaceThatHoldsABackup(t *testing.T) {
	w := apptest.New(t)
	ann, bob := w.Computer("ANN-LAPTOP"), w.Computer("BOB-PC")
	made := setup(t, w, ann, nil)
	before := w.Objects("")
	for name, key := range map[string]app.RootKey{"new key": {}, "the same key": made.Key} {
		_, err := bob.App.Setup(t.Context(), app.SetupOptions{To: w.Place, Lock: app.LockKey, Key: key})
		f := mustExplain(t, err, app.CodePlaceTaken)
		if f.Args["place"] != w.Place {
			t.Errorf("%s: the place is called %q", name, f.Args["place"])
		}
	}
	_, err := ann.App.Setup(t.Context(), app.SetupOptions{To: w.Place, Lock: app.LockKey})
	mustExplain(t, err, app.CodeAlreadySetUp)
	// A repository that lost its heads is one still.
	for _, name := range w.Objects("head-") {
		data, err := os.ReadFile(filepath.Join(w.Place, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(w.Place, name)); err != nil {
			t.Fatal(err)
		}
		fake := cloud.Name("pack", data)
		if err := os.WriteFile(filepath.Join(w.Place, fake), data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = bob.App.Setup(t.Context(), app.SetupOptions{To: w.Place, Lock: app.LockKey})
		mustExplain(t, err, app.CodePlaceTaken)
		if err := os.Rename(filepath.Join(w.Place, fake), filepath.Join(w.Place, name)); err != nil {
			t.Fatal(err)
		}
	}
	if after := w.Objects(""); !slices.Equal(before, after) {
		t.Errorf("the place changed from %v to %v", before, after)
	}
}

// Every request to the place is made to fail, without and with its effect. Then either the
// profile is set up or a second Setup with the same place succeeds; and in the end the
// password and the digits open what is there.
func TestSetupCanBeRepeatedAfterEveryFault(t *testing.T) {
	shots := []cloudtest.Shot{
		{Op: cloudtest.Put, At: 1, Fault: cloudtest.Fail},
		{Op: cloudtest.Put, At: 1, Fault: cloudtest.FailDone},
		{Op: cloudtest.Put, At: 2, Fault: cloudtest.Fail},
		{Op: cloudtest.Put, At: 2, Fault: cloudtest.FailDone},
	}
	for at := 1; at <= 2; at++ {
		shots = append(shots, cloudtest.Shot{Op: cloudtest.List, At: at, Fault: cloudtest.Fail})
	}
	for _, shot := range shots {
		for _, sameKey := range []bool{true, false} {
			if sameKey && shot.At == 1 {
				continue // nothing that depends on the key has happened yet
			}
			t.Run(fmt.Sprintf("%s %d %s, same key %v", shot.Op, shot.At, shot.Fault, sameKey), func(t *testing.T) {
				repeatSetup(t, shot, sameKey)
			})
		}
	}
}

func repeatSetup(t *testing.T, shot cloudtest.Shot, sameKey bool) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	shot.Err = cloud.ErrDenied // a class that is not tried again: the fault is what Setup sees
	var faulty *cloudtest.Faulty
	w.Driver = func(d cloud.Driver) cloud.Driver {
		if faulty == nil {
			faulty = cloudtest.NewFaulty(d, shot)
		}
		return faulty
	}
	// A password costs seconds: it is part of the one case where the head has arrived.
	text := ""
	o := app.SetupOptions{To: w.Place, Sources: []string{c.Docs}, Lock: app.LockKey}
	if shot.At == 2 && shot.Fault == cloudtest.FailDone {
		text = apptest.Password
		o.Lock, o.Secret = app.LockPassword, password(text)
	}
	if sameKey {
		o.Key = app.NewRootKey()
	}
	_, err := c.App.Setup(t.Context(), o)
	mustExplain(t, err, app.CodePlaceDenied)
	if !faulty.AllFired() {
		t.Fatal("the fault did not happen")
	}
	if c.App.IsSetUp() {
		t.Fatal("set up in spite of the fault")
	}
	faulty.Calm()
	c.Restart()
	made, err := c.App.Setup(t.Context(), o)
	if err != nil {
		t.Fatalf("second setup: %v", err)
	}
	mustBeWhole(t, w, c, made.Key, text)
}

// mustBeWhole checks what a finished Setup or change leaves: one head, no notes, a kept
// key, and a place that opens on a new computer by its key and, if there is one, by its
// password.
func mustBeWhole(t *testing.T, w *apptest.World, c *apptest.Computer, key app.RootKey, text string) {
	t.Helper()
	if heads := w.Objects("head-"); len(heads) != 1 {
		t.Errorf("%d heads in the place, want 1", len(heads))
	}
	notes, err := filepath.Glob(filepath.Join(c.Home, "state", "pending-*"))
	if err != nil || len(notes) != 0 {
		t.Errorf("notes are left: %v, %v", notes, err)
	}
	c.Restart()
	if err := c.App.VerifyRecovery(t.Context(), digits(key)); err != nil {
		t.Errorf("the digits: %v", err)
	}
	ways := map[string]app.OpenOptions{"BY-KEY": {Lock: app.LockKey, Key: key}}
	if text != "" {
		ways["BY-PASSWORD"] = app.OpenOptions{Lock: app.LockPassword, Secret: password(text)}
		if right, err := c.App.PracticePassword(t.Context(), password(text)); !right || err != nil {
			t.Errorf("practice: %v, %v", right, err)
		}
	}
	for name, o := range ways {
		other := w.Computer(name)
		other.Config.VaultDir = c.Config.VaultDir
		other.Restart()
		o.From = w.Place
		if _, err := other.App.Open(t.Context(), o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The last steps are on this computer: a key that cannot be kept, a profile that cannot be
// written. The head is in the place by then, and does not block a second Setup.
func TestSetupCanBeRepeatedWhenTheKeyCannotBeKept(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	c.Keyring.Fail(app.ErrKeyringWaiting)
	o := app.SetupOptions{To: w.Place, Lock: app.LockPassword, Secret: password(apptest.Password), KeepKey: app.KeepKeyring}
	_, err := c.App.Setup(t.Context(), o)
	mustExplain(t, err, app.CodeKeyringWaiting)
	if len(w.Objects("head-")) != 1 {
		t.Fatal("the head is not in the place: the test looks at nothing")
	}
	c.Keyring.Fail(nil)
	c.Keyring.Forget()
	if _, err = c.App.Setup(t.Context(), o); err == nil {
		t.Fatal("a keyring that forgets was believed")
	}
	o.KeepKey = app.KeepFile
	made, err := c.App.Setup(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(codes(made.Notices), app.NoticeVaultForgotten) {
		t.Errorf("notices %v do not say that a record stays in the vault", codes(made.Notices))
	}
	mustBeWhole(t, w, c, made.Key, apptest.Password)
}

// A head of this profile's own unfinished setup is replaced only while nobody can use it.
func TestSetupLeavesAHeadThatSomebodyUses(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	c.Keyring.Fail(app.ErrKeyringWaiting)
	o := app.SetupOptions{To: w.Place, Lock: app.LockKey, KeepKey: app.KeepKeyring, Key: app.NewRootKey()}
	_, err := c.App.Setup(t.Context(), o)
	mustExplain(t, err, app.CodeKeyringWaiting)
	c.Keyring.Fail(nil)
	pack := []byte("somebody has backed up here meanwhile")
	if err := os.WriteFile(filepath.Join(w.Place, cloud.Name("pack", pack)), pack, 0o600); err != nil {
		t.Fatal(err)
	}
	before := w.Objects("")
	_, err = c.App.Setup(t.Context(), o)
	mustExplain(t, err, app.CodePlaceTaken)
	if after := w.Objects(""); !slices.Equal(before, after) {
		t.Errorf("the place changed from %v to %v", before, after)
	}
}

func TestACancelledSetupCanBeRepeated(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := app.SetupOptions{To: w.Place, Lock: app.LockKey}
	_, err := c.App.Setup(ctx, o)
	mustExplain(t, err, app.CodeCanceled)
	if _, err := c.App.Setup(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// No secret may lie in the place, in the settings, or in the state of the profile.
func TestSecretsAreNowhereInTheFiles(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	made := setup(t, w, c, nil)
	if err := c.App.ChangePassword(t.Context(), password(apptest.Password2)); err != nil {
		t.Fatal(err)
	}
	var raw []byte
	made.Key.Expose(func(b []byte) { raw = bytes.Clone(b) })
	secrets := map[string][]byte{
		"password": []byte(apptest.Password), "new password": []byte(apptest.Password2),
		"key": raw, "digits": []byte(hex.EncodeToString(raw)), "DIGITS": []byte(strings.ToUpper(hex.EncodeToString(raw))),
	}
	files := 0
	err := filepath.WalkDir(w.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for name, secret := range secrets {
			if bytes.Contains(data, secret) {
				t.Errorf("%s holds the %s", path, name)
			}
		}
		return nil
	})
	if err != nil || files < 8 {
		t.Fatalf("looked into %d files: %v", files, err)
	}
}
