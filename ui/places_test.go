package ui

import (
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
	"coffer/ui/canned"
)

// TestRemedies: each trouble of a place has one deed that helps, and only a trouble has one.
func TestRemedies(t *testing.T) {
	for _, c := range []struct {
		code    app.Code
		signsIn bool
		want    placeDeed
	}{
		{"", true, ""},
		{app.CodePlaceSignIn, true, deedSignIn},
		{app.CodePlaceSignIn, false, deedChange},
		{app.CodePlaceAccount, true, deedSignIn},
		{app.CodePlaceClient, true, deedSignIn},
		{app.CodePlaceTrashed, true, deedUntrash},
		{app.CodePlaceHostKey, false, deedLook},
		{app.CodePlaceCertificate, false, deedLook},
		{app.CodePlaceSecret, false, deedChange},
		{app.CodePlaceFull, false, deedAgain},
		{app.CodePlaceLimit, true, deedAgain},
	} {
		p := app.Place{Trouble: app.Failure{Code: c.code}}
		if got := remedy(p, c.signsIn); got != c.want {
			t.Errorf("%q, with a sign-in %v: %q, want %q", c.code, c.signsIn, got, c.want)
		}
	}
}

func TestHealth(t *testing.T) {
	speakTest(t, "en")
	for _, c := range []struct {
		place app.Place
		tone  tone
		says  string
	}{
		{app.Place{State: app.PlaceNever}, toneBusy, "No backup there yet."},
		{app.Place{State: app.PlaceSafe, LastBackup: canned.Now}, toneGood, "Backed up today at 14:30."},
		{app.Place{State: app.PlaceWaiting}, toneCareful, "it could not be reached"},
		{app.Place{State: app.PlaceLate, LastBackup: canned.Now.AddDate(0, 0, -4)}, toneCareful, "No backup there for 4 days."},
		{app.Place{State: app.PlaceTrouble, Trouble: app.Failure{Code: app.CodePlaceFull}}, toneBad, "is full"},
		{app.Place{State: "something new"}, toneBusy, "No backup there yet."},
	} {
		if tone, text := healthOf(c.place, canned.Now); tone != c.tone || !strings.Contains(text, c.says) {
			t.Errorf("%s: %v %q", c.place.State, tone, text)
		}
	}
}

// tapIn presses a button on the card of one place.
func (r *rig) tapIn(card, text string) {
	r.Helper()
	var in fyne.CanvasObject
	r.each(func(o fyne.CanvasObject) {
		if p, ok := o.(*panel); ok && p.fill == colorSurface && strings.Contains(textOf(p), card) {
			in = p
		}
	})
	if in == nil {
		r.Fatalf("no card %q", card)
	}
	var found *widget.Button
	var walk func(fyne.CanvasObject)
	walk = func(o fyne.CanvasObject) {
		if b, ok := o.(*button); ok && found == nil && strings.HasPrefix(b.Text, text) {
			found = &b.Button
		}
		for _, child := range below(o) {
			walk(child)
		}
	}
	walk(in)
	if found == nil {
		r.Fatalf("%q has no button %q; it says %q", card, text, textOf(in))
	}
	test.Tap(found)
	r.settle()
}

func TestOnePlaceCannotBeRemoved(t *testing.T) {
	r := newRig(t, canned.Safe())
	r.open("where")
	r.says("One place is a start.")
	r.saysNot("Remove")
}

func TestSignInOfAPlaceIsRenewed(t *testing.T) {
	c := canned.Troubled()
	c.Answers = []canned.Answer{ends(app.CodePlaceAccount, "account", "ann@example.org"), {Info: canned.Drive()}}
	r := newRig(t, c)
	r.open("where")
	r.says("The sign-in to Google Drive was not accepted.")
	r.tapIn("ann@example.org", "Sign in again")
	r.says("This place belongs to ann@example.org.")
	if len(r.opened) != 1 {
		t.Errorf("opened %v", r.opened)
	}
	r.tap("Sign in again")
	r.at("where")
	if got := r.lastTried(); got.Dest != "drive:Coffer Backups" {
		t.Errorf("signed in to %+v", got)
	}
}

// TestChangedServerOfAPlace: the new key is checked and kept by package app.
func TestChangedServerOfAPlace(t *testing.T) {
	c := canned.Troubled()
	c.Answers = []canned.Answer{changedHost(), {Info: canned.Server()}}
	r := newRig(t, c)
	r.open("where")
	r.tapIn("nas.example.org", "Look at it")
	r.at("where/change/alarm")
	r.tap("I know why")
	r.fill(0, canned.Other)
	r.tap("Know the server by this key")
	r.at("where")
	if got := r.lastTried(); got.ID != "8c9d0e1f" || got.Options["host-key"] != canned.Other || len(got.Secrets) != 0 {
		t.Errorf("changed with %+v", got)
	}
}

func TestChangePlace(t *testing.T) {
	c := canned.Troubled()
	c.Answers = []canned.Answer{ends(app.CodePlaceOther), {Info: canned.Server()}}
	r := newRig(t, c)
	r.open("where")
	r.tapIn("ann-backups", "Change")
	r.says("Change how ann-backups on s3.example.org is reached")
	if got := r.fields()[0].Text; got != "https://s3.example.org/ann-backups" {
		t.Errorf("the address is %q", got)
	}
	r.fill(4, "") // no days any more
	r.tap("Check and keep")
	r.says("A different backup lies in this place.")
	got := r.lastTried()
	if days, said := got.Options["lock-days"]; !said || days != "" || len(got.Secrets) != 0 {
		t.Errorf("changed with %+v", got)
	}
	r.fill(2, "another secret")
	r.tap("Check and keep")
	r.at("where")
	if got := r.lastTried(); got.Secrets["secret-key"] != "another secret" || got.ID != "2a3b4c5d" {
		t.Errorf("changed with %+v", got)
	}
}

func TestUntrash(t *testing.T) {
	c := canned.TwoPlaces()
	c.Mine[1].State, c.Mine[1].Trouble = app.PlaceTrouble, app.Failure{Code: app.CodePlaceTrashed}
	r := newRig(t, c)
	r.open("where")
	r.says("The folder of the backup is in the trash.")
	r.tapIn("ann@example.org", "Take it out of the trash")
	r.says("There is nothing of Coffer's in the trash any more.")
	c.Trash = 1
	r.tapIn("ann@example.org", "Take it out of the trash")
	r.says("The folder is back")
	r.saysNot("is in the trash.")
}

func TestRemovePlace(t *testing.T) {
	c := canned.TwoPlaces()
	r := newRig(t, c)
	r.open("where")
	r.tapIn("ann@example.org", "Remove")
	r.at("where/remove")
	r.says("No more backups will go to Google Drive")
	r.says("Nothing is deleted there.")
	r.tap("Back")
	r.at("where")
	if len(c.Removed)+len(c.Disconnected) != 0 {
		t.Error("something was removed")
	}
	r.tapIn("ann@example.org", "Remove")
	c.DropErr = canned.Trouble{Code: app.CodePlaceOffline}
	r.tap("Remove the place")
	r.says("cannot be reached")
	if len(c.Removed) != 0 {
		t.Error("removed, although Google could not be told")
	}
	c.DropErr = nil
	r.tick("Also withdraw", false)
	r.tap("Remove the place")
	r.at("where")
	if len(c.Removed) != 1 || c.Removed[0] != "4e5f6a7b" || len(c.Disconnected) != 1 {
		t.Errorf("removed %v, signed out of %v", c.Removed, c.Disconnected)
	}
	r.saysNot("Google Drive")
	r.says("One place is a start.")
}

func TestTestPlace(t *testing.T) {
	c := hold(canned.TwoPlaces)()
	r := newRig(t, c)
	r.open("where")
	r.Open("where/test/4e5f6a7b")
	r.until("half of the test", func() bool { return r.page.name == "where/test" && testsShown(r) == 4 })
	if !r.button("Test again").Disabled() {
		t.Error("two tests at once")
	}
	r.tap("Cancel")
	r.at("where/test")
	r.saysNot("Everything works.")
	close(c.Hold)
	c.Hold = nil
	r.tap("Test again")
	r.says("Everything works.")
	r.says("4.8\u00a0MB a second there, 21\u00a0MB a second back")
	r.says("Keep it from being written over: not needed here")
	c.Trial.Checks[0] = app.PlaceCheck{Name: "write", Failure: app.Failure{Code: app.CodePlaceFull}}
	r.tap("Test again")
	r.says("Not everything works.")
	r.says("Store a file: The place of the backup is full.")
	r.saysNot("Everything works.")
}

func TestCopyGoesOnWhereverOneIs(t *testing.T) {
	c := hold(canned.TwoPlaces)()
	c.CopyEnd = app.CopySummary{Objects: 12, Copied: 10, Bytes: 5e9, Seconds: 120}
	r := newRig(t, c)
	r.open("where")
	r.tapIn("/media/ann", "Copy to another place")
	r.at("where/copy")
	r.button("Continue").press()
	r.until("progress", func() bool {
		return r.page.name == "where/copying" && strings.Contains(r.text(), "84\u00a0GB of 212\u00a0GB")
	})
	if c.Copied[0] != [2]string{"0a1b2c3d", "drive:Coffer Backups"} {
		t.Errorf("copies %v", c.Copied)
	}
	r.button("Pause").press()
	r.says("Paused")
	r.button("Resume").press()
	r.saysNot("Paused")
	r.Open("home") // the copy goes on
	r.Open("where")
	r.until("the list", func() bool {
		return strings.Contains(r.text(), "A copy is running.") && strings.Contains(r.text(), "ann@")
	})
	r.Window.close()
	if r.window.Canvas().Overlays().Top() == nil {
		t.Error("the window closes without a word")
	}
	r.window.Canvas().Overlays().Remove(r.window.Canvas().Overlays().Top())
	r.button("Show").press()
	r.at("where/copying")
	close(c.Hold)
	r.settle()
	r.says("Your backups are also in Google Drive now.")
	r.says("10 parts copied and checked, 5.0\u00a0GB in 2 minutes.")
	r.tap("To the places")
	r.at("where")
	r.saysNot("A copy is running.")
}

func TestCopyStoppedAndTakenUp(t *testing.T) {
	c := hold(canned.TwoPlaces)()
	r := newRig(t, c)
	r.open("where")
	r.tapIn("/media/ann", "Copy to another place")
	r.button("Continue").press()
	r.until("progress", func() bool { return r.copy != nil && r.copy.progress.Bytes > 0 })
	r.tap("Cancel")
	r.says("The copy was stopped")
	close(c.Hold)
	r.tap("Go on copying")
	r.says("Everything was there already.")
	if len(c.Copied) != 2 || c.Copied[0] != c.Copied[1] {
		t.Errorf("copied %v", c.Copied)
	}
}

// TestCopyToANewPlace: package app adds it when everything is there, not the window before.
func TestCopyToANewPlace(t *testing.T) {
	c := canned.Safe()
	c.Answers = []canned.Answer{{Info: canned.Server()}}
	r := newRig(t, c)
	r.open("where")
	r.tapIn("/media/ann", "Copy to another place")
	r.tap("Continue")
	r.at("where/add/where")
	r.tap("More places")
	r.choose("SFTP")
	r.tap("Continue")
	fillServer(r)
	r.tap("Add this place")
	r.says("Everything is copied")
	if len(c.Added) != 0 || len(c.Copied) != 1 || c.Copied[0][1] != canned.Server().Dest {
		t.Errorf("added %v, copied %v", c.Added, c.Copied)
	}
}

func TestAddPlace(t *testing.T) {
	c := canned.TwoPlaces()
	c.Place.Backups = nil
	r := newRig(t, c)
	r.open("where")
	r.tap("Add a place")
	r.at("where/add/where")
	chooseFolder(r)
	r.fill(0, "/media/ann/Second")
	r.pass(inspectAfter)
	r.says("812\u00a0GB free, enough for about 4 years.")
	r.tap("Continue")
	r.at("where/add/found")
	c.AddErr = canned.Trouble{Code: app.CodePlaceKnown}
	r.tap("Add this place")
	r.says("Your backup goes to this place already.")
	c.AddErr = nil
	r.tap("Add this place")
	r.at("where")
	r.says("/media/ann/Second")
	if len(c.Added) != 2 || c.Added[1] != "/media/ann/Second" {
		t.Errorf("added %v", c.Added)
	}
}

func TestPlaceThatIsGone(t *testing.T) {
	r := newRig(t, canned.TwoPlaces())
	r.goTo("where/test/ffffffff")
	r.at("where")
	c := canned.TwoPlaces()
	c.MineErr = canned.Trouble{Code: app.CodeDisk}
	r = newRig(t, c)
	r.goTo("where/add")
	r.at("where")
	r.says("The disk reports errors.")
}

// TestHomeLeadsToPlaces: a line for a place that is not well opens the screen Where.
func TestHomeLeadsToPlaces(t *testing.T) {
	for _, button := range []string{"Show", "See what helps"} {
		r := newRig(t, canned.Troubled())
		r.open("home")
		r.says("No backup in /media/ann/Backup for 6 days.")
		r.says("Google Drive will be full in about 23 days.")
		r.tap(button)
		r.at("where")
	}
}

// TestMeteredBackup: it waits, which is no failure, and people can go on all the same.
func TestMeteredBackup(t *testing.T) {
	c := canned.Safe()
	c.BackupErr = canned.Trouble{Code: app.CodeMetered}
	r := newRig(t, c)
	r.open("home")
	r.saysNot("Back up anyway")
	r.tap("Back up now")
	r.says("This network costs by the amount of data.")
	c.BackupErr = nil
	r.tap("Back up anyway")
	r.saysNot("Back up anyway")
	if got := c.BackupAsked; len(got) != 2 || got[0].Anyway || !got[1].Anyway {
		t.Errorf("asked for %+v", got)
	}
}

func TestBackupNamesThePlace(t *testing.T) {
	speakTest(t, "en")
	s := jobStateOf(app.Progress{Phase: app.PhaseReading, Place: "drive:Coffer Backups"}, false, false, func(p string) string { return p })
	if s.verb != "Reading and storing, Google Drive" {
		t.Errorf("says %q", s.verb)
	}
}

func TestNetworkSettings(t *testing.T) {
	c := canned.Safe()
	r := newRig(t, c)
	r.open("settings")
	choose := func(i int, text string) {
		t.Helper()
		var list []*widget.Select
		r.each(func(o fyne.CanvasObject) {
			if s, ok := o.(*widget.Select); ok {
				list = append(list, s)
			}
		})
		list[i].SetSelected(text)
		r.settle()
	}
	choose(4, "512\u00a0kB a second")
	choose(5, "2.0\u00a0MB a second")
	r.tick("Wait on networks", false)
	if c.Kept.UploadLimit != 512e3 || c.Kept.DownloadLimit != 2e6 || c.Kept.Metered != app.MeteredGoOn {
		t.Errorf("kept %+v", c.Kept)
	}
	r.says("It holds from now on.")
	choose(6, "Without a proxy")
	if c.Kept.Proxy != "direct" {
		t.Errorf("the proxy is %q", c.Kept.Proxy)
	}
	choose(6, "Through this proxy")
	if c.Kept.Proxy != "direct" {
		t.Error("a proxy was set that nobody typed")
	}
	c.SaveErr = canned.Trouble{Code: app.CodeProxy}
	r.fill(0, "socks5://127.0.0.1:1080")
	r.tap("Use it")
	r.says("The proxy does not let Coffer through.")
	c.SaveErr = nil
	choose(1, "Dark") // shows the page anew, without what was refused
	if c.Kept.Proxy != "direct" || c.Kept.UploadLimit != 512e3 || c.Kept.Theme != "dark" {
		t.Errorf("kept %+v", c.Kept)
	}
	choose(6, "Through this proxy")
	r.fill(0, "socks5://127.0.0.1:1080")
	r.press(fyne.KeyReturn)
	r.picker.path = "/etc/ssl/company.pem"
	r.tap("Choose…")
	if c.Kept.Proxy != "socks5://127.0.0.1:1080" || c.Kept.CAFile != "/etc/ssl/company.pem" {
		t.Errorf("kept %+v", c.Kept)
	}
	r.tap("Clear")
	if c.Kept.CAFile != "" {
		t.Errorf("kept %+v", c.Kept)
	}
}

// TestFocusIsShown: what gets the focus below the window is scrolled to, and back again.
func TestFocusIsShown(t *testing.T) {
	r := newRigSized(t, canned.Troubled(), fyne.NewSize(900, 600))
	r.open("where")
	r.layOut()
	var first, last *button
	r.each(func(o fyne.CanvasObject) {
		if b, ok := o.(*button); ok {
			if first == nil {
				first = b
			}
			last = b
		}
	})
	if inSight(r, last) {
		t.Fatal("everything fits: nothing to test")
	}
	for _, b := range []*button{last, first} {
		r.window.Canvas().Focus(b)
		if !inSight(r, b) {
			t.Errorf("%q has the focus out of sight", b.Text)
		}
	}
}
