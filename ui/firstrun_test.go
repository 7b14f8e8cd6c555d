package ui

import (
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

const goodPassword = "lantern quartz bay"

// chooseFolder chooses a disk or folder among the kinds of places.
func chooseFolder(r *rig) {
	r.Helper()
	r.choose("A disk or folder")
	r.tap("Continue")
	if !strings.HasSuffix(r.page.name, "/place") {
		r.Fatalf("shows %s", r.page.name)
	}
}

// toPlace goes from the start to the screen after the place, with the keyboard.
func toLock(r *rig) {
	r.open("start")
	r.press(fyne.KeyReturn)
	r.at("setup/promise")
	r.press(fyne.KeyReturn)
	r.at("setup/sources")
	r.press(fyne.KeyReturn)
	r.at("setup/where")
	chooseFolder(r)
	test.Type(r.window.Canvas().Focused(), "/media/ann/Backup")
	r.pass(inspectAfter)
	r.press(fyne.KeyReturn)
	r.at("setup/lock")
}

// saveSheet saves the recovery sheet into a folder of the test.
func saveSheet(r *rig) string {
	r.Helper()
	path := filepath.Join(r.TempDir(), "sheet.pdf")
	r.fill(0, path)
	r.tap("Save as PDF")
	if _, err := os.Stat(path); err != nil {
		r.Fatal(err)
	}
	return path
}

// typeLines types the two lines that are asked for.
func typeLines(r *rig) {
	lines := keyLines(r.setup.state.key)
	r.fill(0, lines[2])
	r.fill(1, strings.ToUpper(lines[6]))
}

func TestFirstRunWithAPassword(t *testing.T) {
	r := newRig(t, canned.NewComputer())
	toLock(r)
	r.press(fyne.KeyReturn)
	r.at("setup/password")
	if !r.button("Continue").Disabled() {
		t.Error("goes on without a password")
	}
	test.Type(r.window.Canvas().Focused(), goodPassword)
	r.press(fyne.KeyReturn) // to the second field
	test.Type(r.window.Canvas().Focused(), goodPassword)
	r.says("Both are the same.")
	r.press(fyne.KeyReturn)
	r.at("setup/sheet")
	r.saysNot("Later")
	if !r.button("Continue").Disabled() {
		t.Error("goes on without the sheet, with a vault on this computer")
	}
	saveSheet(r)
	r.press(fyne.KeyReturn) // Continue has the focus now
	r.at("setup/prove")
	if !r.button("Continue").Disabled() {
		t.Error("goes on without proof")
	}
	typeLines(r)
	r.says("Both lines are right.")
	r.press(fyne.KeyReturn)
	r.at("setup/ready")
	r.says("Nobody else.")
	r.says("Your password")
	if len(r.coffer.SetupAsked) != 0 {
		t.Fatal("something was set up before the last screen")
	}
	r.tap("Start the first backup")
	r.at("home")
	asked := r.coffer.SetupAsked[0]
	if asked.To != "/media/ann/Backup" || asked.Lock != app.LockPassword || !asked.SheetProven || !asked.Create {
		t.Errorf("set up with %+v", asked)
	}
	if want := []string{"/home/ann/Documents", "/home/ann/Pictures", "/home/ann/Desktop", "/home/ann/Videos"}; strings.Join(asked.Sources, " ") != strings.Join(want, " ") {
		t.Errorf("sources are %v", asked.Sources)
	}
	asked.Secret.Expose(func(b []byte) {
		if string(b) != goodPassword {
			t.Error("another password was set")
		}
	})
	r.says("Done. Try it now: get one file back.")
	if r.setup != nil {
		t.Error("the first run is kept in memory, with its secrets")
	}
	r.press(fyne.KeyReturn) // the button for that has the focus
	r.at("restore/what")
}

func TestFirstRunWithAKey(t *testing.T) {
	r := newRig(t, canned.NewComputer())
	toLock(r)
	r.choose("A 64-digit key")
	r.tap("Continue")
	r.at("setup/key")
	lines := keyLines(r.setup.state.key)
	for _, l := range lines {
		r.says(l)
	}
	r.tap("Copy")
	clipboard := fyne.CurrentApp().Clipboard()
	if clipboard.Content() != strings.Join(lines[:], "\n") {
		t.Errorf("copied %q", clipboard.Content())
	}
	r.pass(time.Minute)
	if clipboard.Content() != "" {
		t.Error("the key is still on the clipboard after a minute")
	}
	r.tap("Copy")
	clipboard.SetContent("something else")
	r.pass(time.Minute)
	if clipboard.Content() != "something else" {
		t.Error("what somebody copied since was taken away")
	}
	r.tap("Continue")
	r.at("setup/sheet")
	r.tap("I wrote it down")
	r.at("setup/prove")
	r.saysNot("Prove it later")
	typeLines(r)
	r.tap("Continue")
	r.tap("Start the first backup")
	if asked := r.coffer.SetupAsked[0]; asked.Lock != app.LockKey || asked.Secret.Len() != 0 {
		t.Errorf("set up with %+v", asked)
	}
}

func TestFirstRunWithAPassphrase(t *testing.T) {
	r := newRig(t, canned.NewComputer())
	toLock(r)
	r.tap("More ways")
	r.choose("A long passphrase")
	r.says("Only its length protects it.")
	r.tap("Continue")
	r.at("setup/passphrase")
	r.tap("Suggest one")
	if words := strings.Fields(r.fields()[0].Text); len(words) != 6 || r.fields()[0].Password {
		t.Errorf("suggested %d words, hidden %v", len(words), r.fields()[0].Password)
	}
	r.tap("Continue")
	r.at("setup/sheet")
	r.tap("Later")
	r.at("setup/ready")
	r.says("not proven yet")
	r.tap("Start the first backup")
	if asked := r.coffer.SetupAsked[0]; asked.Lock != app.LockPassphrase || asked.SheetProven {
		t.Errorf("set up with %+v", asked)
	}
}

func TestBackKeepsWhatWasTyped(t *testing.T) {
	r := newRig(t, canned.NewComputer())
	toLock(r)
	r.press(fyne.KeyReturn)
	r.fill(0, goodPassword)
	r.fill(1, goodPassword)
	r.tap("Continue")
	key := keyLines(r.setup.state.key)
	for _, name := range []string{"setup/password", "setup/lock", "setup/place", "setup/where", "setup/sources", "setup/promise", "start"} {
		r.tap("Back")
		r.at(name)
		if name == "setup/place" && r.fields()[0].Text != "/media/ann/Backup" {
			t.Errorf("the place is %q", r.fields()[0].Text)
		}
	}
	for range 6 {
		if r.page.name == "start" {
			r.press(fyne.KeyReturn)
			continue
		}
		r.tap(map[bool]string{true: "I understand", false: "Continue"}[r.page.name == "setup/promise"])
	}
	r.at("setup/password")
	if r.fields()[0].Text != goodPassword {
		t.Error("the password has to be typed again")
	}
	if keyLines(r.setup.state.key) != key {
		t.Error("the sheet would show another key than the one saved before")
	}
}

func TestEscapeGoesBackFromEveryControl(t *testing.T) {
	for _, name := range []string{"setup/promise", "setup/sources", "setup/where", "setup/lock", "setup/password", "setup/key", "setup/sheet", "setup/prove", "setup/ready", "restore/where", "key/change", "key/check"} {
		t.Run(file(name), func(t *testing.T) {
			c := canned.NewComputer()
			c.SetUpAlready = strings.HasPrefix(name, "key/")
			r := newRig(t, c)
			r.open(name)
			controls := 0
			r.each(func(o fyne.CanvasObject) {
				if e, ok := o.(interface{ onEscape(func()) }); ok {
					controls++
					if !escapes(e) {
						t.Errorf("%T does nothing on Escape", o)
					}
				}
			})
			if controls < 2 {
				t.Errorf("%d controls", controls)
			}
			before := r.page
			before.focus.TypedKey(&fyne.KeyEvent{Name: fyne.KeyEscape})
			r.settle()
			if r.page == before {
				t.Error("Escape does not go back")
			}
		})
	}
}

func escapes(o any) bool {
	switch o := o.(type) {
	case *button:
		return o.escape != nil
	case *field:
		return o.escape != nil
	case *tick:
		return o.escape != nil
	case *tile:
		return o.escape != nil
	}
	return false
}

// TestTabReachesEverything: each control of a page gets the focus, in the order it is read.
func TestTabReachesEverything(t *testing.T) {
	for _, name := range []string{"start", "setup/sources", "setup/lock", "setup/password", "setup/sheet", "setup/prove", "restore/where"} {
		t.Run(file(name), func(t *testing.T) {
			r := newRig(t, canned.NewComputer())
			r.open(name)
			want := 0
			r.each(func(o fyne.CanvasObject) {
				if f, ok := o.(fyne.Focusable); ok {
					if d, can := f.(fyne.Disableable); !can || !d.Disabled() {
						want++
					}
				}
			})
			r.window.Canvas().Unfocus()
			seen := map[fyne.Focusable]bool{}
			for range 60 {
				r.window.Canvas().FocusNext()
				seen[r.window.Canvas().Focused()] = true
			}
			if len(seen) < want || want < 2 {
				t.Errorf("Tab reaches %d of %d controls", len(seen), want)
			}
		})
	}
}

func TestSources(t *testing.T) {
	c := canned.NewComputer()
	r := newRig(t, c)
	r.open("setup/sources")
	r.says("40,356 files, 293\u00a0GB in all")
	folder := t.TempDir()
	c.Sizes[folder] = [2]int64{7, 7e9}
	r.fill(0, folder)
	r.window.Canvas().Focus(r.fields()[0])
	r.press(fyne.KeyReturn)
	r.says("40,363 files, 300\u00a0GB in all")
	r.fill(0, filepath.Join(folder, "gone"))
	r.tap("Add")
	r.says("There is no folder")
	r.fill(0, "Documents")
	r.tap("Add")
	r.says("Write the whole path")
	r.fill(0, " ")
	r.tap("Add")
	r.says("Type or choose a folder first.")

	another := t.TempDir()
	r.page.drop(another)
	r.settle()
	if got := r.setup.state.chosen(); got[len(got)-1] != another {
		t.Errorf("dropped, but the sources are %v", got)
	}
	r.picker.path = t.TempDir()
	r.tap("Choose…")
	if got := r.setup.state.chosen(); got[len(got)-1] != r.picker.path {
		t.Errorf("chosen, but the sources are %v", got)
	}
	r.each(func(o fyne.CanvasObject) {
		if box, ok := o.(*tick); ok && box.Checked {
			test.Tap(box)
		}
	})
	if !r.button("Continue").Disabled() {
		t.Error("goes on with nothing to keep safe")
	}
	r.tap("Show them")
	r.says("node_modules/")
	r.tap("Hide them")
	r.saysNot("node_modules/")
}

func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		name, path, says string
		change           func(*canned.Coffer)
		goesOn           bool
	}{
		{"free", "/media/ann/Backup", "812\u00a0GB free, enough for about 4 years.", nil, true},
		{"new", "/media/ann/New", "This folder will be made", func(c *canned.Coffer) { c.Place.Exists = false }, true},
		{"tight", "/media/ann/Backup", "Only 9.0\u00a0GB free", func(c *canned.Coffer) { c.Place.Free = 9e9 }, true},
		{"unknown", "/media/ann/Backup", "The backup can live here.", func(c *canned.Coffer) { c.Place.Free = -1 }, true},
		{"inside", "/home/ann/Documents/Backup", "A backup cannot hold itself", nil, false},
		{"locked", "/media/ann/Backup", "Nothing can be written to this place.", func(c *canned.Coffer) { c.Place.Writable = false }, false},
		{"missing", "/media/ann/Backup", "The place of the backup is not there.", func(c *canned.Coffer) {
			c.PlaceErr = canned.Trouble{Code: app.CodePlaceMissing}
		}, false},
		{"taken", "/media/ann/Backup", "A Coffer backup is here already.", func(c *canned.Coffer) {
			c.Place.Backups = []app.BackupInfo{canned.Backup()}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			coffer := canned.NewComputer()
			if c.change != nil {
				c.change(coffer)
			}
			r := newRig(t, coffer)
			r.open("setup/sources")
			r.tap("Continue")
			chooseFolder(r)
			r.fill(0, c.path)
			r.pass(inspectAfter)
			r.says(c.says)
			if got := !r.button("Continue").Disabled(); got != c.goesOn {
				t.Errorf("goes on: %v", got)
			}
			// Another text takes the answer back, until it is looked at again.
			r.fill(0, "/")
			r.saysNot(c.says)
			if !r.button("Continue").Disabled() {
				t.Error("goes on with a place that nobody looked at")
			}
		})
	}
}

func TestTakenPlaceIsJoinedOrRestoredFrom(t *testing.T) {
	r := newRig(t, canned.Taken())
	r.open("setup/sources")
	r.tap("Continue")
	chooseFolder(r)
	r.fill(0, "/media/ann/Backup")
	r.pass(inspectAfter)
	r.tap("Go on with this backup")
	r.at("restore/which")
	r.tap("Continue")
	r.fill(0, "the password")
	r.tap("Open")
	r.at("home")
	if asked := r.coffer.OpenAsked[0]; len(asked.Sources) != 4 || asked.From != "/media/ann/Backup" || asked.Repository != canned.Backup().Repository {
		t.Errorf("joined with %+v", asked)
	}
	if len(r.coffer.SetupAsked) != 0 {
		t.Error("a second backup was set up")
	}

	r = newRig(t, canned.Taken())
	r.open("setup/where")
	chooseFolder(r)
	r.fill(0, "/media/ann/Backup")
	r.pass(inspectAfter)
	r.tap("Get files back from it")
	r.at("restore/which")
}

func TestPasswordAdvice(t *testing.T) {
	r := newRig(t, canned.NewComputer())
	r.open("setup/password")
	for _, c := range []struct{ first, second, says string }{
		{"", "", "At least 8 characters."},
		{"short", "", "Too short"},
		{"password1", "password1", "the first that anybody tries"},
		{goodPassword, "", "Type it once more below."},
		{goodPassword, "lantern q", "Type it once more below."},
		{goodPassword, "lantern x", "The two are not the same."},
		{" " + goodPassword, " " + goodPassword, "It begins with a space."},
		{goodPassword + " ", goodPassword + " ", "It ends with a space."},
		{"LANTERN QUARTZ BAY", "LANTERN QUARTZ BAY", "Is Caps Lock on?"},
		{goodPassword, goodPassword, "Both are the same."},
	} {
		r.fill(0, c.first)
		r.fill(1, c.second)
		r.says(c.says)
		advice := app.AdvisePassword(secretOf(c.first), nil)
		if got, want := !r.button("Continue").Disabled(), advice.OK && c.first == c.second; got != want {
			t.Errorf("%d characters: goes on %v, want %v", len(c.first), got, want)
		}
	}
	if !r.fields()[0].Password {
		t.Error("the password can be read from afar")
	}
	r.each(func(o fyne.CanvasObject) {
		if box, ok := o.(*tick); ok {
			test.Tap(box)
		}
	})
	if r.fields()[0].Password || r.fields()[1].Password {
		t.Error("what is typed is not shown")
	}
}

func TestSheetWarnsInsideSources(t *testing.T) {
	r := newRig(t, canned.NewComputer())
	r.open("setup/sources")
	r.setup.goTo(stepSheet)
	r.settle()
	r.fill(0, "/home/ann/Documents/sheet.pdf")
	r.says("A key inside its own chest helps nobody")
	r.fill(0, "/home/ann/sheet.pdf")
	r.saysNot("helps nobody")
	r.fill(0, "sheet.pdf")
	r.tap("Save as PDF")
	r.says("Write the whole path")
	r.fill(0, filepath.Join(t.TempDir(), "no", "such", "folder.pdf"))
	r.tap("Save as PDF")
	r.says("Nothing was saved")

	path := saveSheet(r)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the sheet: %v %v", info.Mode(), err)
	}
	// A file of somebody else's stays.
	other := filepath.Join(t.TempDir(), "other.pdf")
	if err := os.WriteFile(other, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.fill(0, other)
	r.tap("Save as PDF")
	r.says("There is a file of this name already.")
	if b, _ := os.ReadFile(other); string(b) != "mine" {
		t.Error("it was overwritten")
	}
	// The dialog has asked already.
	r.picker.path = other
	r.tap("Choose…")
	if b, _ := os.ReadFile(other); !strings.HasPrefix(string(b), "%PDF") {
		t.Error("what the dialog allowed was not done")
	}
}

func TestProofByTheSheet(t *testing.T) {
	r := newRig(t, canned.NewComputer())
	r.open("setup/lock")
	r.setup.state.key = canned.Key()
	r.setup.goTo(stepProve)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r.page.drop(write("holiday.pdf", "nothing"))
	r.settle()
	r.says("This file is not a recovery sheet")
	r.page.drop(filepath.Join(dir, "gone.pdf"))
	r.settle()
	r.says("This file is not a recovery sheet")
	r.page.drop(write("other.pdf", "key:"+strings.Repeat("ab", 32)))
	r.settle()
	r.says("of a different backup")
	if !r.button("Continue").Disabled() {
		t.Error("a sheet of another backup proved this one")
	}
	r.picker.path = write("right.pdf", "key:"+canned.Digits)
	r.tap("Choose the PDF")
	r.says("This sheet opens the backup.")
	if r.button("Continue").Disabled() || !r.setup.state.proven {
		t.Error("the right sheet proved nothing")
	}
}

func TestProofLineByLine(t *testing.T) {
	r := newRig(t, canned.NewComputer())
	r.open("setup/lock")
	r.setup.state.key = canned.Key()
	r.setup.goTo(stepProve)
	third, seventh := canned.Digits[16:24], canned.Digits[48:56]
	for _, c := range []struct {
		first, second, says string
		goesOn              bool
	}{
		{"", "", "Spaces and capitals do not matter.", false},
		{third[:5], "", "Spaces and capitals do not matter.", false},
		{third, "", "Right. One more line.", false},
		{seventh, "", "This is not line 3 of your key.", false},
		{third, third, "This is not line 7 of your key.", false},
		{third, "0123 456x", "This is not line 7 of your key.", false},
		{"8899 AABB", " 0123-4567", "Both lines are right.", true},
	} {
		r.fill(0, c.first)
		r.fill(1, c.second)
		r.says(c.says)
		if got := !r.button("Continue").Disabled(); got != c.goesOn {
			t.Errorf("%q, %q: goes on %v", c.first, c.second, got)
		}
	}
}

func TestSetupThatFailsCanBeTriedAgain(t *testing.T) {
	c := canned.NewComputer()
	c.SetupErr = canned.Trouble{Code: app.CodePlaceFull}
	r := newRig(t, c)
	r.open("setup/sources")
	r.setup.state.secret, r.setup.state.lock, r.setup.state.proven = goodPassword, app.LockPassword, true
	r.setup.goTo(stepReady)
	r.tap("Start the first backup")
	r.at("setup/ready")
	r.says("The place of the backup is full.")
	c.SetupErr = nil
	r.tap("Start the first backup")
	r.at("home")
}

func TestLanguageChangesAtOnce(t *testing.T) {
	restoreLanguage(t)
	r := newRig(t, canned.NewComputer())
	r.open("start")
	r.speakIn("de")
	r.settle()
	r.at("start")
	r.says("Diesen Computer sichern")
	toReadyInGerman := func() {
		r.open("setup/sources")
		r.setup.state.secret, r.setup.state.lock, r.setup.state.proven = goodPassword, app.LockPassword, true
		r.setup.goTo(stepReady)
		r.tap("Erste Sicherung starten")
	}
	toReadyInGerman()
	if r.coffer.Kept.Language != "de" || len(r.coffer.Kept.Sources) == 0 {
		t.Errorf("kept %+v", r.coffer.Kept)
	}
	r.open("start")
	r.speakIn("en")
	r.settle()
	r.says("Back up this computer")
}

func TestRandomLinesAreTwoOfEight(t *testing.T) {
	seen := map[[2]int]bool{}
	for range 2000 {
		a, b := randomLines()
		if a < 1 || b > 8 || a >= b {
			t.Fatalf("lines %d and %d", a, b)
		}
		seen[[2]int{a, b}] = true
	}
	if len(seen) != 28 {
		t.Errorf("%d of the 28 pairs came up", len(seen))
	}
}
