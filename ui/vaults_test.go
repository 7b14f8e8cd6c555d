package ui

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"coffer/app"
	"coffer/ui/canned"
)

// chooseVault pastes the canned link and takes its vault.
func (r *rig) chooseVault() {
	r.Helper()
	pasteLink(r)
	r.tap("Use this vault")
}

func TestFirstRunWithAVaultOnANetwork(t *testing.T) {
	r := newRig(t, canned.Offered())
	r.open("setup/lock")
	r.says("This vault is on this computer. It goes when the computer goes")
	if r.setup.state.sheetCanWait() {
		t.Error("the sheet can wait though the vault is on this computer")
	}
	r.tap("Use another vault")
	r.at("setup/vault")
	if !r.button("Look at it").Disabled() {
		t.Error("nothing can be looked at")
	}
	pasteLink(r)
	r.at("setup/vault/about")
	for _, want := range []string{"Lake family", "vault.lake.example:7353", "A chip in its computer", "10 tries", "24 hours", "Your link has one", "3f2a  91c0  77de", "0b4c  e815"} {
		r.says(want)
	}
	r.tap("Use this vault")
	r.at("setup/lock")
	r.says("The vault of Lake family (vault.lake.example:7353): hardware, 10 tries, enforced by its TPM.")
	if !r.setup.state.sheetCanWait() {
		t.Error("the sheet cannot wait though the vault is elsewhere")
	}
	r.tap("About this vault")
	r.at("setup/vault/about")
	r.tap("Use this vault")

	r.setup.state.secret, r.setup.state.sources = "lantern quartz bay", []source{{path: canned.Home + "/Documents", on: true}}
	atPlace(stepReady)(r)
	r.says("enforced by its TPM")
	r.tap("Start")
	if len(r.coffer.SetupAsked) != 1 || r.coffer.SetupAsked[0].Vault != canned.Link {
		t.Fatalf("set up with %+v", r.coffer.SetupAsked)
	}
}

func TestBackToTheVaultOfThisComputer(t *testing.T) {
	r := newRig(t, canned.Offered())
	r.open("setup/vault")
	r.chooseVault()
	r.tap("Use the vault on this computer")
	r.says("This vault is on this computer.")
	if o := r.setup.state.options(); o.Vault != "" {
		t.Errorf("the vault is still %q", o.Vault)
	}
	r.choose("A 64-digit key")
	r.saysNot("vault is on this computer")
}

// A key has no vault, whichever was looked at before.
func TestKeyGoesToNoVault(t *testing.T) {
	s := setupState{lock: app.LockKey, vault: vaultChoice{link: canned.Link}}
	if o := s.options(); o.Vault != "" {
		t.Errorf("a key goes to %q", o.Vault)
	}
}

func TestEachLinkThatIsRefused(t *testing.T) {
	for code, want := range map[app.Code]string{
		app.CodeVaultLink:    "This is not a whole link",
		app.CodeVaultOffline: "Nobody answers at vault.lake.example:7353",
		app.CodeVaultExpired: "the clock of this computer is wrong",
		app.CodeVaultTrouble: "has a problem of its own",
		app.CodeProxy:        "proxy",
	} {
		t.Run(string(code), func(t *testing.T) {
			r := newRig(t, linkRefused(code)())
			r.open("setup/vault")
			pasteLink(r)
			r.at("setup/vault")
			r.says(want)
			r.fill(0, "x") // another text: what was said of the old one is gone
			r.saysNot(want)
		})
	}
}

// An alarm has one control: Back.
func TestAlarmsHaveNoWayOn(t *testing.T) {
	for code, want := range map[app.Code]string{
		app.CodeVaultIdentity:     "This is not the vault of the link",
		app.CodeVaultSecondSigner: "One of two signatures is missing",
		app.CodeVaultOlder:        "The vault shows an old state of itself",
		app.CodeVaultRolledBack:   "The vault has forgotten what it knew",
		app.CodeVaultEvidence:     "The vault's hardware proved nothing",
	} {
		t.Run(string(code), func(t *testing.T) {
			r := newRig(t, linkRefused(code)())
			r.open("setup/vault")
			pasteLink(r)
			r.at("setup/vault/alarm")
			r.says(want)
			r.says("Coffer stopped before sending anything.")
			r.each(func(o fyne.CanvasObject) {
				if f, ok := o.(fyne.Focusable); ok && f != fyne.Focusable(r.button("Back")) {
					t.Errorf("there is a %T", o)
				}
			})
			r.press(fyne.KeyEscape)
			r.at("setup/vault")
		})
	}
}

func TestVaultThatWantsAnInvitation(t *testing.T) {
	r := newRig(t, saying(uninvited())())
	r.open("setup/vault")
	pasteLink(r)
	r.says("This vault wants an invitation")
	if !r.button("Use this vault").Disabled() {
		t.Error("it can be used without")
	}
}

func TestLinkOutOfAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.txt")
	broken := canned.Link[:50] + "=\n"
	if err := os.WriteFile(path, []byte("Dear Ann,\n\nyour link: <"+canned.Link[:60]+"\r\n "+canned.Link[60:]+">\n\nYours\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, canned.Offered())
	r.open("setup/vault")
	r.picker.path = path
	r.tap("Open a file with it")
	if got := r.fields()[0].Text; got != canned.Link {
		t.Errorf("read %q", got)
	}
	r.page.drop(filepath.Join(dir, "none"))
	r.settle()
	r.says("cannot be read")
	if err := os.WriteFile(path, []byte("no link "+broken[len(broken)-2:]), 0o600); err != nil {
		t.Fatal(err)
	}
	r.page.drop(path)
	r.settle()
	r.says("There is no link of a vault in this file.")
}

func TestLinkIn(t *testing.T) {
	second := "." + strings.Repeat("A", 43)
	for in, want := range map[string]string{
		canned.Link:                                              canned.Link,
		"  " + canned.Link + "\n":                                canned.Link,
		"see <" + canned.Link + ">, thanks":                      canned.Link,
		canned.Link + second + " bye":                            canned.Link + second,
		canned.Link + "\n" + second + "\nbye":                    canned.Link + second,
		canned.Link[:30] + "\n" + canned.Link[30:] + "\nbye now": canned.Link,
		"": "", "\tnot one\n": "not one",
	} {
		if got := linkIn(in); got != want {
			t.Errorf("linkIn(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzLinkIn(f *testing.F) {
	f.Add(canned.Link)
	f.Add("Dear Ann, " + canned.Link[:44] + "\r\n" + canned.Link[44:] + " bye")
	f.Add("coffer-vault://#.")
	f.Fuzz(func(t *testing.T, text string) {
		link := linkIn(text)
		if len(link) > len(text) {
			t.Errorf("%q grew to %q", text, link)
		}
		if strings.HasPrefix(link, linkScheme) && strings.ContainsAny(link, " \t\r\n") {
			t.Errorf("%q has blanks", link)
		}
		_ = linkAddress(link)
	})
}

// An invitation is good for whoever reads it first.
func TestNoInvitationInTheLog(t *testing.T) {
	var log bytes.Buffer
	r := newRigOn(t, Options{
		Coffer: canned.Offered(), Computer: "ANN-LAPTOP", Home: canned.Home, Explain: canned.Explain,
		Now: func() time.Time { return canned.Now }, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, fyne.NewSize(1000, 680))
	r.open("setup/vault")
	r.chooseVault()
	if log.Len() == 0 || strings.Contains(log.String(), "mWk3Zt0pQx7LrV2s") {
		t.Errorf("the log says %q", log.String())
	}
	r.saysNot("mWk3Zt0pQx7LrV2s")
}

func TestSignInOfAVault(t *testing.T) {
	c := canned.Guarded()
	c.SignsIn, c.Signing = true, newHold()
	r := newRig(t, c)
	r.open("key/move/vault")
	r.chooseVault()
	r.says("Your browser will open: sign in at https://login.example.com.")
	begin := func() {
		r.fill(0, "correct horse")
		test.Tap(r.button("Move it"))
	}
	begin()
	r.until("the browser", func() bool { return len(r.opened) == 1 })
	if r.opened[0] != canned.VaultSignIn {
		t.Errorf("opened %q", r.opened[0])
	}
	r.says("Continue in your browser")
	r.says("Coffer waits 4 to 5 minutes more.")
	r.tap("Cancel")
	r.saysNot("Continue in your browser")
	if len(c.MoveAsked) != 0 {
		t.Error("moved without a sign-in")
	}
	r.broken = true
	begin()
	r.until("no browser", func() bool { return strings.Contains(r.text(), "No browser opened") })
	close(c.Signing)
	r.settle()
	r.at("key/move/done")
	if len(c.MoveAsked) != 1 || c.MoveAsked[0].Link != canned.Link {
		t.Errorf("moved with %+v", c.MoveAsked)
	}
}

func TestMoveAndReceipt(t *testing.T) {
	c := canned.Guarded()
	r := newRig(t, c)
	r.open("key")
	r.tap("Move to another vault")
	r.at("key/move/vault")
	r.chooseVault()
	r.at("key/move/password")
	r.fill(0, "not it")
	r.tap("Move it")
	r.says("That was not the password. No try was used.")
	r.fill(0, "correct horse")
	r.tap("Move it")
	r.at("key/move/done")
	r.says("The old vault has destroyed what it had.")
	path := filepath.Join(t.TempDir(), "receipt.txt")
	r.fill(0, path)
	r.tap("Save the receipt")
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	receipt := c.MoveEnd.Receipt
	for _, want := range []string{receipt.Signature, receipt.Key, receipt.Record, receipt.VaultID, "2026-03-03T14:29:00Z", "Lake family"} {
		if !strings.Contains(string(saved), want) {
			t.Errorf("the receipt lacks %s:\n%s", want, saved)
		}
	}
	r.tap("Done")
	r.at("key")
}

func TestMoveBack(t *testing.T) {
	c := canned.Guarded()
	c.MoveEnd.To, c.MoveEnd.Receipt, c.MoveEnd.Waiting = app.VaultRef{Kind: app.VaultEmbedded, Name: "ANN-LAPTOP"}, nil, true
	r := newRig(t, c)
	r.open("key")
	r.tap("Move back to this computer")
	r.says("It goes when the computer goes")
	r.fill(0, "correct horse")
	r.press(fyne.KeyReturn)
	r.at("key/move/done")
	r.says("The vault on this computer")
	r.says("The old vault did not answer, and still has what it had.")
	if c.MoveAsked[0].Link != "" {
		t.Errorf("moved to %q", c.MoveAsked[0].Link)
	}
}

// What a move meets that is an alarm takes the page.
func TestMoveMeetsAnAlarm(t *testing.T) {
	c := canned.Guarded()
	c.MoveErr = canned.Trouble{Code: app.CodeVaultEvidence}
	r := newRig(t, c)
	r.open("key/move/vault")
	r.chooseVault()
	r.fill(0, "correct horse")
	r.tap("Move it")
	r.says("The vault's hardware proved nothing")
	r.says("The keys that it should have")
	r.each(func(o fyne.CanvasObject) {
		if b, ok := o.(*button); ok && b.Text == "Move it" {
			t.Error("it can be tried again")
		}
	})
}

func TestLeaveTheVault(t *testing.T) {
	r := newRig(t, canned.Guessed())
	r.open("key")
	r.tap("Leave the vault")
	r.says("Your recovery sheet has not been proven.")
	r.tap("Prove the sheet")
	r.at("key/prove")

	c := canned.Guarded()
	r = newRig(t, c)
	r.open("key/leave")
	r.says("The password opens nothing any more.")
	r.fill(0, "not it")
	r.tap("Leave the vault")
	r.says("That was not the password. No try was used.")
	if c.Vaults.Left != 0 {
		t.Fatal("left with a wrong password")
	}
	r.fill(0, "correct horse")
	r.tap("Leave the vault")
	r.at("key/leave/done")
	if c.Vaults.Left != 1 {
		t.Errorf("left %d times", c.Vaults.Left)
	}
}

func TestChangeIntoAnotherVault(t *testing.T) {
	c := canned.Guarded()
	r := newRig(t, c)
	r.open("key/change")
	r.says("The vault of Lake family")
	r.fill(0, "lantern quartz bay")
	r.fill(1, "lantern quartz bay")
	r.tap("Use another vault")
	r.chooseVault()
	r.at("key/change")
	r.says("The vault of Example Insurance, IT")
	r.tap("Set the password") // what was typed is still there
	r.says("The new password is set")
	if len(c.PasswordAsked) != 1 || c.PasswordAsked[0].Vault != canned.Link {
		t.Errorf("set %+v", c.PasswordAsked)
	}
}

func TestUnlockSaysWhoAsks(t *testing.T) {
	r := newRig(t, takenWith(func(*canned.Coffer) {})())
	r.open("restore/where")
	atBackup(restoreOpen)(r)
	r.says("10 tries are left.")
	r.says("The vault of Lake family (vault.lake.example:7353): hardware, 10 tries, enforced by its TPM.")
}

// The countdown is written anew, and ends with the field for the password.
func TestWaitCountsDown(t *testing.T) {
	c := takenWith(func(c *canned.Coffer) {
		c.Ways[0].TriesLeft = 7
		c.OpenErr = canned.Trouble{Code: app.CodeWrongPassword, Args: map[string]string{"tries": "6", "until": canned.Now.Add(5 * time.Minute).Format(time.RFC3339)}}
	})()
	r := newRig(t, c)
	at := canned.Now
	r.desk.now = func() time.Time { return at }
	r.open("restore/where")
	wrongOnce(r)
	for _, want := range []string{"That was not the password.", "The vault takes the next try today at 14:35.", "That is in 5 minutes.", "6 tries are left."} {
		r.says(want)
	}
	at = at.Add(3*time.Minute + 30*time.Second)
	r.pass(countdownTick)
	r.says("That is in 2 minutes.")
	at = at.Add(2 * time.Minute)
	c.Ways[0].Until = time.Time{}
	r.pass(countdownTick)
	r.saysNot("That is in")
	if len(r.fields()) != 1 {
		t.Errorf("%d fields", len(r.fields()))
	}
}

func TestUnlockWithoutAnAnswer(t *testing.T) {
	for name, s := range map[string]struct {
		change func(*canned.Coffer)
		want   string
	}{
		"offline": {func(c *canned.Coffer) {
			c.Ways[0].TriesLeft, c.Ways[0].Refusal = -1, app.Failure{Code: app.CodeVaultOffline}
			c.OpenErr = canned.Trouble{Code: app.CodeVaultOffline}
		}, "No try was used."},
		"unknown": {func(c *canned.Coffer) {
			c.Ways[0].TriesLeft = -1
			c.OpenErr = canned.Trouble{Code: app.CodeOutcomeUnknown}
		}, "A try may have been used"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, takenWith(s.change)())
			r.open("restore/where")
			wrongOnce(r)
			r.says(s.want)
			r.saysNot("0 tries are left.")
		})
	}
}

// An alarm takes the field away; the recovery sheet stays.
func TestUnlockMeetsAnAlarm(t *testing.T) {
	r := newRig(t, takenWith(openFails(app.Failure{Code: app.CodeVaultIdentity}))())
	r.open("restore/where")
	atBackup(restoreOpen)(r)
	r.coffer.Ways[0].Refusal = app.Failure{Code: app.CodeVaultIdentity}
	r.fill(0, "anything")
	r.tap("Open")
	r.says("This is not the vault that keeps your password")
	if n := len(r.fields()); n != 0 {
		t.Errorf("%d fields are left", n)
	}
	r.choose("With the recovery sheet")
	if n := len(r.fields()); n != 8 {
		t.Errorf("%d lines for the key", n)
	}
}

// Who knows why a place is old can have what is there, with the password typed once.
func TestOldStateCanBeOpened(t *testing.T) {
	c := takenWith(olderPlace)()
	r := newRig(t, c)
	r.open("restore/where")
	wrongOnce(r)
	r.says("The place shows an older state than before.")
	r.says("The vault knows of a backup made 1 March 2026")
	r.tap("Open the old state")
	r.at("restore/what")
	if n := len(c.OpenAsked); n != 2 || c.OpenAsked[0].Old || !c.OpenAsked[1].Old {
		t.Errorf("opened %d times", n)
	}
}

func TestSetupMeetsAnAlarm(t *testing.T) {
	r := newRig(t, canned.Offered())
	r.open("setup/vault")
	r.chooseVault()
	r.setup.state.secret, r.setup.state.sources = "lantern quartz bay", []source{{path: canned.Home + "/Documents", on: true}}
	atPlace(stepReady)(r)
	r.coffer.SetupErr = canned.Trouble{Code: app.CodeVaultOffline}
	r.tap("Start")
	r.says("Nobody answers at vault.lake.example:7353.")
	r.coffer.SetupErr = canned.Trouble{Code: app.CodeVaultIdentity}
	r.tap("Start")
	r.says("This is not the vault of the link")
	r.says("The keys that it should have")
}

func TestVaultCardTells(t *testing.T) {
	r := newRig(t, canned.Guarded())
	r.open("key")
	r.says("In a TPM, which enforces the tries (checked just now).")
	r.says("10 of 10 are left.")
	r.saysNot("Fingerprint")
	r.tap("Details")
	r.says("3f2a  91c0")
	r.tap("Receipt")
	r.at("key/receipt")

	c := canned.Guessed()
	r = newRig(t, c)
	r.open("key")
	for _, want := range []string{
		"4 tries of the password since 21 February 2026 that were not made here and opened nothing, the newest on kali.", "kali, never right before: 6 tries left.", "went on from an older copy",
		"by a TPM that counts before, now by software", "ends on 20 March 2026", "If this vault and this computer are lost, so is your backup", "has not destroyed what it had yet",
	} {
		r.says(want)
	}
	if strings.ContainsRune(r.text(), '\u202e') {
		t.Error("a device turns writing round")
	}
	r.tap("Give all tries back")
	r.says("10 of 10 are left.")
	if c.ResetAsked != 1 {
		t.Errorf("reset %d times", c.ResetAsked)
	}
}

func TestVaultCardWithoutAnAnswer(t *testing.T) {
	r := newRig(t, canned.Refused(app.CodeVaultOffline))
	r.open("key")
	r.says("The vault cannot be reached.")
	r.says("Not known: the vault has not said.")
	r.coffer.StatusErr = canned.Trouble{Code: app.CodePlaceOffline}
	r.tap("Ask again")
	r.says("The vault and its tries")
	r.saysNot("Move to another vault")
}

func TestDeviceName(t *testing.T) {
	for in, want := range map[string]string{
		"ANN-LAPTOP": "ANN-LAPTOP", "": "A device without a name", "\n\u202e": "A device without a name",
		"a\nb\u2066c": "abc", strings.Repeat("x", 50): strings.Repeat("x", maxDevice) + "…",
	} {
		if got := deviceName(in); got != want {
			t.Errorf("deviceName(%q) = %q", in, got)
		}
	}
}

func TestGuardsInWords(t *testing.T) {
	speakTest(t, "en")
	for name, s := range map[string]struct {
		g           guard
		class, want string
	}{
		"here":     {guardHere("ANN-LAPTOP"), "software", "This vault is on this computer."},
		"other":    {guard{computer: "OLD-PC", sealer: "software", tries: 10}, "software", "The vault on OLD-PC: software, 10 tries"},
		"token":    {guard{name: "ACME", address: "v:1", hardware: true, enforced: app.EnforcedByToken, tries: 5}, "token", "hardware, 5 tries, counted by its program"},
		"tpm":      {guard{name: "ACME", address: "v:1", hardware: true, sealer: "tpm", enforced: app.EnforcedByTPM, tries: 1}, "tpm", "1 try, enforced by its TPM"},
		"epochs":   {guard{name: "ACME", address: "v:1", hardware: true, sealer: "tpm-epochs", enforced: app.EnforcedByProgram}, "epochs", "an unknown number of tries"},
		"hardware": {guard{address: "v:1", hardware: true}, "hardware", "The vault at v:1: hardware"},
		"unknown":  {guard{address: "v:1"}, "unknown", "The vault at v:1: "},
	} {
		if got := s.g.class(); got != s.class {
			t.Errorf("%s is of the class %s", name, got)
		}
		if got := s.g.line(); !strings.Contains(got, s.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
