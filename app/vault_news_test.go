package app_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/vault/server/node"
)

func newsOf(t *testing.T, c *apptest.Computer) (codes []app.VaultWarningCode, attention []app.Attention) {
	t.Helper()
	summary, err := c.App.Backup(t.Context(), app.BackupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range summary.Vault {
		codes = append(codes, w.Code)
	}
	o, err := c.App.Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range o.Attention {
		if a.Code == app.AttentionVault {
			attention = append(attention, a)
		}
	}
	return codes, attention
}

// Somebody guesses: the next backup says so, and Home does, until the user has looked. What
// was mistyped here is no news.
func TestGuessesOfOthersAreSaid(t *testing.T) {
	s := newServer(t, nil)
	w := apptest.New(t)
	ann, eve := w.Computer("ANN-LAPTOP"), w.Computer("EVE")
	setup(t, w, ann, s.setup)
	if codes, attention := newsOf(t, ann); len(codes)+len(attention) != 0 {
		t.Fatalf("%v, %v", codes, attention)
	}
	err := ann.App.Unlock(t.Context(), app.UnlockOptions{Lock: app.LockPassword, Secret: password("not this one either")})
	mustExplain(t, err, app.CodeWrongPassword)
	for range 2 {
		_, err := open(t, w, eve, "not this one either")
		mustExplain(t, err, app.CodeWrongPassword)
	}
	for range 2 { // it is said again, as long as nobody looks
		codes, attention := newsOf(t, ann)
		if !slices.Equal(codes, []app.VaultWarningCode{app.VaultWarnStrange}) || len(attention) != 1 {
			t.Fatalf("%v, %v", codes, attention)
		}
		if args := attention[0].Args; args["warning"] != "strange-tries" || args["count"] != "2" || args["device"] != "EVE" || args["since"] == "" || args["name"] != "Ann's club" {
			t.Errorf("%v", args)
		}
	}
	status := mustStatus(t, ann)
	if !warned(status, app.VaultWarnStrange) || warned(status, app.VaultWarnLog) {
		t.Errorf("%+v", status.Warnings)
	}
	for _, e := range status.Log {
		if e.Kind == "wrong" && e.Device == "" {
			t.Errorf("nobody's: %+v", e)
		}
	}
	if codes, attention := newsOf(t, ann); len(codes)+len(attention) != 0 {
		t.Errorf("after a look: %v, %v", codes, attention)
	}
	if status := mustStatus(t, ann); warned(status, app.VaultWarnStrange) || !warned(status, app.VaultWarnLog) {
		t.Errorf("after a look: %+v", status.Warnings)
	}
}

// The key was destroyed by somebody who guessed: nobody has to ask for that.
func TestADestroyedKeyIsSaid(t *testing.T) {
	s := newServer(t, nil)
	w := apptest.New(t)
	ann, eve := w.Computer("ANN-LAPTOP"), w.Computer("EVE")
	setup(t, w, ann, s.setup)
	for range 10 {
		if _, err := open(t, w, eve, "not this one either"); err == nil {
			t.Fatal("it opened")
		}
	}
	codes, attention := newsOf(t, ann)
	if len(codes) == 0 || codes[0] != app.VaultWarnDestroyed || len(attention) == 0 {
		t.Errorf("%v, %v", codes, attention)
	}
	must(t, ann.App.ChangePassword(t.Context(), password("seven green boats sail home")))
	if o, err := ann.App.Overview(t.Context()); err != nil || slices.ContainsFunc(o.Attention, func(a app.Attention) bool { return a.Code == app.AttentionVault }) {
		t.Errorf("the old password is still a matter: %+v, %v", o.Attention, err)
	}
	if codes, attention := newsOf(t, ann); len(codes)+len(attention) != 0 {
		t.Errorf("with a new password: %v, %v", codes, attention)
	}
}

// A vault says something else of itself, rightly signed: nothing is refused, and it is said.
func TestAVaultThatChangesIsSaid(t *testing.T) {
	s := newServer(t, nil)
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	setup(t, w, ann, s.setup)
	file := filepath.Join(s.dir, "vault.toml")
	config, err := os.ReadFile(file)
	must(t, err)
	weaker := strings.Replace(string(config), "Ann's club", "Eve's club", 1)
	if weaker == string(config) {
		t.Fatalf("no name in:\n%s", config)
	}
	must(t, os.WriteFile(file, []byte(weaker), 0o600))
	s.stop()
	s.start()
	a, err := node.Reach(t.Context(), s.dir, node.Options{})
	must(t, err)
	_, err = a.Reload(t.Context())
	a.Close()
	must(t, err)
	codes, attention := newsOf(t, ann)
	if !slices.Equal(codes, []app.VaultWarningCode{app.VaultWarnWeaker}) || len(attention) != 1 || attention[0].Args["kind"] != "name" || attention[0].Args["after"] != "Eve's club" {
		t.Errorf("%v, %v", codes, attention)
	}
	if status := mustStatus(t, ann); !warned(status, app.VaultWarnWeaker) {
		t.Errorf("%+v", status.Warnings)
	}
	if codes, attention := newsOf(t, ann); len(codes)+len(attention) != 0 {
		t.Errorf("after a look: %v, %v", codes, attention)
	}
}

// putBack makes the vault show yesterday's store to computers that have seen a newer one.
func (s *vaultServer) putBack(w *apptest.World, have ...*apptest.Computer) {
	s.t.Helper()
	s.stop()
	db := filepath.Join(s.dir, "vault.db")
	yesterday, err := os.ReadFile(db)
	must(s.t, err)
	s.start()
	_, err = open(s.t, w, w.Computer("EVE"), "not this one either")
	mustExplain(s.t, err, app.CodeWrongPassword)
	for _, c := range have {
		mustBackup(s.t, c)
	}
	s.stop()
	must(s.t, os.WriteFile(db, yesterday, 0o600))
	s.start()
	for _, c := range have {
		summary, err := c.App.Backup(s.t.Context(), app.BackupOptions{})
		mustExplain(s.t, err, app.CodeVaultRolledBack)
		if summary.Snapshot == "" {
			s.t.Error("the backup was not made")
		}
	}
}

// A vault whose store was put back, and that nobody stands by: the alarm ends in another
// vault, with the same password, and what the old one has is destroyed all the same.
func TestLeavingAVaultThatWasPutBack(t *testing.T) {
	s, other := newServer(t, nil), newServer(t, nil)
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	setup(t, w, ann, s.setup)
	s.putBack(w, ann)
	if o, err := ann.App.Overview(t.Context()); err != nil || len(o.Attention) == 0 || o.Attention[0].Code != app.AttentionLastFailed || o.Attention[0].Args["code"] != string(app.CodeVaultRolledBack) {
		t.Errorf("Home says %+v, %v", o.Attention, err)
	}
	_, err := ann.App.MoveVault(t.Context(), app.MoveOptions{Link: other.link, Password: password("not this one either")})
	mustExplain(t, err, app.CodeOtherPassword)
	report := mustMove(t, ann, other.link)
	if report.Receipt == nil || report.Waiting {
		t.Errorf("the old record stays: %+v", report)
	}
	mustBackup(t, ann)
	if status := mustStatus(t, ann); status.Refusal.Code != "" || status.Left != 10 {
		t.Errorf("%+v", status)
	}
	if _, err := open(t, w, w.Computer("BOB-PC"), apptest.Password); err != nil {
		t.Error(err)
	}
}

// The same on a computer that was joined with the 64 digits, and never saw the password:
// the key is there, so a new one is set in the new vault.
func TestLeavingAVaultThatWasPutBackWithoutThePassword(t *testing.T) {
	s, other := newServer(t, nil), newServer(t, nil)
	w := apptest.New(t)
	ann, bob := w.Computer("ANN-LAPTOP"), w.Computer("BOB-PC")
	made := setup(t, w, ann, s.setup)
	_, err := bob.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: app.LockKey, Key: made.Key, Sources: []string{bob.Docs}})
	must(t, err)
	s.putBack(w, ann, bob)
	_, err = bob.App.MoveVault(t.Context(), app.MoveOptions{Link: other.link, Password: password(apptest.Password)})
	mustExplain(t, err, app.CodeNotCompared)
	const next = "seven green boats sail home"
	must(t, bob.App.SetPassword(t.Context(), app.PasswordOptions{Password: password(next), Vault: other.link}))
	mustBackup(t, bob)
	mustBackup(t, ann) // follows
	if _, err := open(t, w, w.Computer("CARL"), next); err != nil {
		t.Error(err)
	}
	if left := mustStatus(t, bob).LeftBehind; len(left) != 1 || left[0].Receipt == nil {
		t.Errorf("the old record stays: %+v", left)
	}
}

// Out of every vault: the sheet is what opens the backup then.
func TestLeavingAllVaultsAfterOneWasPutBack(t *testing.T) {
	s := newServer(t, nil)
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	setup(t, w, ann, s.setup)
	s.putBack(w, ann)
	if report, err := ann.App.LeaveVault(t.Context()); err != nil || report.Receipt == nil {
		t.Errorf("%+v, %v", report, err)
	}
	mustBackup(t, ann)
	must(t, ann.App.SetPassword(t.Context(), app.PasswordOptions{Password: password(apptest.Password)})) // on this computer
	mustBackup(t, ann)
}
