package ui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fyne.io/fyne/v2"

	"coffer/app"
	"coffer/app/apptest"
)

// The real Coffer is what the window is written for.
var _ Coffer = (*app.App)(nil)

func newRealRig(t *testing.T, c *apptest.Computer) *rig {
	t.Helper()
	return newRigOn(t, Options{Coffer: c.App, Computer: c.Config.Computer, Home: c.Config.UserHome}, fyne.NewSize(1000, 680))
}

// TestRealCoffer goes through the first run and a restore with nothing canned: the vault
// counts, the place holds files, the sheet is a PDF. The vault of the second profile is the
// same, as after a reinstallation.
func TestRealCoffer(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a real backup, with real costs of a password")
	}
	restoreLanguage(t)
	world := apptest.New(t)
	first := world.Computer("first")
	r := newRealRig(t, first)
	r.open("start")
	r.speakIn("de") // before there is a profile
	r.settle()
	r.speakIn("en")
	r.settle()
	setUpReal(r, world.Place)
	if len(world.Objects("")) < 3 {
		t.Errorf("the place holds %v", world.Objects(""))
	}
	if first.App.Settings().Language != "en" {
		t.Error("the language that was chosen before setup is lost")
	}

	second := world.Computer("second")
	second.Config.VaultDir = first.Config.VaultDir
	second.Restart()
	r = newRealRig(t, second)
	restoreReal(r, world.Place)
	for _, name := range []string{"letter.txt", "Grüße.txt", "numbers.bin"} {
		want, err := os.ReadFile(filepath.Join(first.Docs, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(second.Config.UserHome, "Restored files", first.Docs, name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s came back as %d bytes, %v", name, len(got), err)
		}
	}
}

func setUpReal(r *rig, place string) {
	r.Helper()
	r.open("setup/sources")
	r.says("3 files")
	r.tap("Continue")
	chooseFolder(r)
	r.fill(0, place)
	r.pass(inspectAfter)
	r.tap("Continue")
	r.tap("Continue")
	r.at("setup/password")
	r.fill(0, apptest.Password)
	r.fill(1, apptest.Password)
	r.tap("Continue")
	sheet := saveSheet(r)
	r.tap("Continue")
	r.page.drop(sheet) // the PDF itself is the proof
	r.settle()
	r.says("This sheet opens the backup.")
	r.tap("Continue")
	r.tap("Start the first backup")
	r.at("home")
	r.says("Everything you chose is safe.")
	r.says("Done. Try it now")
	r.saysNot("not proven")
}

func restoreReal(r *rig, place string) {
	r.Helper()
	r.open("start")
	r.choose("Get files back")
	chooseFolder(r)
	r.fill(0, place)
	r.pass(inspectAfter)
	r.tap("Continue")
	r.says("first")
	r.tap("Continue")
	r.at("restore/open")
	r.says("10 tries are left.")
	r.fill(0, "not the password")
	r.tap("Open")
	r.says("That was not the password.")
	r.says("9 tries are left.")
	r.fill(0, apptest.Password)
	r.tap("Open")
	r.at("restore/what")
	r.choose("Some files or folders")
	if got := r.files().names(); !strings.Contains(got, "letter.txt") {
		r.Errorf("the backup shows %s", got)
	}
	r.choose("Everything")
	r.tap("Continue")
	r.at("restore/when")
	r.tap("Continue")
	r.tap("Continue")
	r.at("restore/before")
	r.says("3 files")
	r.tap("Get the files back")
	r.at("restore/done")
	r.says("3 files are back")
}

// TestRealPlaces: one more place, tried out, backed up to, copied to, and taken off the list,
// with nothing canned.
func TestRealPlaces(t *testing.T) {
	if testing.Short() {
		t.Skip("makes real backups, with real costs of a password")
	}
	restoreLanguage(t)
	world := apptest.New(t)
	c := world.Computer("first")
	r := newRealRig(t, c)
	setUpReal(r, world.Place)
	second, third := filepath.Join(t.TempDir(), "second"), filepath.Join(t.TempDir(), "third")

	r.open("where")
	r.says("One place is a start.")
	r.tap("Add a place")
	chooseFolder(r)
	r.fill(0, second)
	r.pass(inspectAfter)
	r.says("This folder will be made")
	r.tap("Continue")
	r.tap("Add this place")
	r.at("where")
	r.says("No backup there yet.")
	r.open("home")
	r.tap("Back up now")
	r.says("Everything you chose is safe.")
	r.open("where")
	r.saysNot("No backup there yet.")

	r.tapIn("second", "Test")
	r.at("where/test")
	r.says("Everything works.")
	r.tap("Back")
	r.tapIn("second", "Copy to another place")
	r.choose("To a new place")
	r.tap("Continue")
	chooseFolder(r)
	r.fill(0, third)
	r.pass(inspectAfter)
	r.tap("Continue")
	r.tap("Add this place")
	r.says("Everything is copied")
	if found, err := filepath.Glob(filepath.Join(third, "snap-*")); err != nil || len(found) == 0 {
		t.Errorf("%d backups were copied, %v", len(found), err)
	}
	r.tap("To the places")
	r.tapIn("third", "Remove")
	r.tap("Remove the place")
	r.at("where")
	r.saysNot("third")
	if places, err := c.App.Places(); err != nil || len(places) != 2 {
		t.Errorf("%d places are left, %v", len(places), err)
	}
	if _, err := os.Stat(third); err != nil {
		t.Errorf("what was copied is gone: %v", err)
	}
}
