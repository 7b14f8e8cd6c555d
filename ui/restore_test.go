package ui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
	"coffer/ui/canned"
)

// toOpen goes from the start of a new computer to the screen that opens a backup.
func toOpen(r *rig) {
	r.open("start")
	r.choose("Get files back")
	r.at("restore/where")
	chooseFolder(r)
	r.fill(0, "/media/ann/Backup")
	r.pass(inspectAfter)
	r.says("One backup found.")
	r.press(fyne.KeyReturn)
	r.at("restore/which")
	r.says("ANN-LAPTOP")
	r.says("Opens with a password, set 12 May 2025")
	r.press(fyne.KeyReturn)
	r.at("restore/open")
}

func TestRestoreOnANewComputer(t *testing.T) {
	r := newRig(t, canned.Taken())
	toOpen(r)
	r.says("10 tries are left.")
	test.Type(r.window.Canvas().Focused(), "the password")
	r.press(fyne.KeyReturn)
	r.at("restore/what")
	if asked := r.coffer.OpenAsked[0]; asked.Lock != app.LockPassword || asked.From != "/media/ann/Backup" || len(asked.Sources) != 0 {
		t.Errorf("opened with %+v", asked)
	}
	r.press(fyne.KeyReturn)
	r.at("restore/when")
	r.says("The latest: today at 14:02")
	r.tap("Continue")
	r.at("restore/target")
	folder := filepath.Join(t.TempDir(), "Back")
	r.fill(0, folder)
	r.tap("Continue")
	r.at("restore/before")
	r.says("40,152 files, 196\u00a0GB")
	r.says("letter to Marie.odt")
	r.says("12 files are there already.")
	r.says("1 name is not possible on this system.")
	r.press(fyne.KeyReturn)
	r.at("restore/done")
	r.says("40,151 files are back")
	r.says("permission denied")
	asked := r.coffer.RestoreAsked[0]
	if asked.Snapshot != "latest" || asked.Target != folder || asked.Conflict != app.ConflictKeepBoth || !asked.Verify || len(asked.Paths) != 0 {
		t.Errorf("restored with %+v", asked)
	}
	receipt := filepath.Join(t.TempDir(), "receipt.txt")
	r.fill(0, receipt)
	r.tap("Save the receipt")
	if b, err := os.ReadFile(receipt); err != nil || string(b) != r.coffer.Receipt.Text() {
		t.Errorf("the receipt is %q, %v", b, err)
	}
	r.tap("Go to Home")
	r.at("home")
}

func TestWrongPasswordShowsWhatIsLeft(t *testing.T) {
	c := canned.Taken()
	c.OpenErr = canned.Trouble{Code: app.CodeWrongPassword}
	r := newRig(t, c)
	toOpen(r)
	for left := 9; left >= 2; left-- {
		r.fill(0, "not it")
		r.tap("Open")
		r.says("That was not the password.")
		r.says(sayN("open.tries", int64(left)))
		if r.fields()[0].Text != "" {
			t.Error("the wrong password stays")
		}
	}
	// One is left: nothing happens by accident any more.
	r.fill(0, "not it")
	r.tap("Open")
	r.says("One try is left.")
	r.says("no password will ever open this backup again")
	r.fill(0, "perhaps")
	asked := len(c.OpenAsked)
	test.TapCanvas(r.window.Canvas(), fyne.NewPos(1, 1))
	r.window.Canvas().Focus(r.fields()[0])
	r.press(fyne.KeyReturn)
	if len(c.OpenAsked) != asked {
		t.Error("Enter took the last try")
	}
	if r.button("Open").Importance == widget.HighImportance {
		t.Error("the last try is the default")
	}
	r.tap("Open")
	if len(c.OpenAsked) != asked+1 {
		t.Error("the last try cannot be taken")
	}
}

func TestLastTryOffersTheSheetFirst(t *testing.T) {
	r := newRig(t, way(func(w *app.WayIn) { w.TriesLeft = 1 })())
	toOpen(r)
	if len(r.fields()) != 8 {
		t.Errorf("%d fields", len(r.fields()))
	}
}

func TestWaysThatCannotBeTried(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*app.WayIn)
		says   string
	}{
		"waits":     {func(w *app.WayIn) { w.Until = canned.Now.Add(time.Hour) }, "The vault takes the next try today at 15:30."},
		"elsewhere": {func(w *app.WayIn) { w.VaultHere, w.Usable = false, false }, "The password works on ANN-LAPTOP only."},
		"destroyed": {func(w *app.WayIn) { w.State = "destroyed" }, "The password opens nothing any more."},
		"frozen":    {func(w *app.WayIn) { w.State = "frozen" }, "The password is frozen."},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, way(c.change)())
			toOpen(r)
			r.choose("With the password")
			r.says(c.says)
			if len(r.fields()) != 0 || !r.button("Open").Disabled() {
				t.Error("can be tried")
			}
			r.choose("With the recovery sheet")
			if len(r.fields()) != 8 {
				t.Error("the sheet is not offered")
			}
		})
	}
}

func TestWaitingEnds(t *testing.T) {
	c := way(func(w *app.WayIn) { w.Until = canned.Now.Add(time.Minute) })()
	r := newRig(t, c)
	toOpen(r)
	r.choose("With the password")
	r.says("The vault takes the next try")
	c.Ways[0].Until = time.Time{}
	r.pass(2 * time.Minute)
	r.saysNot("The vault takes the next try")
	if len(r.fields()) != 1 {
		t.Error("cannot be tried after the wait")
	}
}

func TestOpenWithTheSheet(t *testing.T) {
	r := newRig(t, canned.Taken())
	toOpen(r)
	r.choose("With the recovery sheet")
	if !r.button("Open").Disabled() {
		t.Error("opens with no digits")
	}
	r.fill(0, canned.Digits[:8])
	r.fill(4, "0123 456g")
	r.says("Line 5 has a typing error.")
	r.fill(4, "")
	r.saysNot("typing error")
	// All 64 digits in the first line fill the rest.
	r.fields()[0].SetText(strings.ToUpper(canned.Digits))
	r.settle()
	for i, f := range r.fields() {
		if got := strings.ReplaceAll(f.Text, " ", ""); got != canned.Digits[8*i:8*i+8] {
			t.Errorf("line %d is %q", i+1, got)
		}
	}
	r.tap("Open")
	r.at("restore/what")
	if asked := r.coffer.OpenAsked[0]; asked.Lock != app.LockKey {
		t.Errorf("opened with %s", asked.Lock)
	}
}

func TestKeyOfAnotherBackup(t *testing.T) {
	c := canned.Taken()
	c.OpenErr = canned.Trouble{Code: app.CodeKeyOfOther, Args: map[string]string{"computer": "ANN-OLD-PC", "made": "2024-05-12T08:00:00Z"}}
	r := newRig(t, c)
	toOpen(r)
	r.choose("With the recovery sheet")
	r.fields()[0].SetText(canned.Digits)
	r.tap("Open")
	r.says("This key is correct, but for a different backup.")
	r.says("made 12 May 2024 on ANN-OLD-PC")
}

func TestSomeFiles(t *testing.T) {
	r := newRig(t, canned.Safe())
	r.open("restore/what")
	r.choose("Some files or folders")
	if !r.button("Continue").Disabled() {
		t.Error("goes on with nothing chosen")
	}
	if got := r.files().names(); got != "Documents, Pictures" {
		t.Fatalf("shows %s", got)
	}
	r.files().open(0)
	if got := r.files().names(); got != "Taxes, letter to Marie.odt, recipes.txt, thesis.pdf" {
		t.Fatalf("shows %s", got)
	}
	r.files().tick(2)
	r.says("1 chosen")
	r.tap("Continue")
	r.at("restore/when")
	r.says("8.7\u00a0kB, changed") // versions of that one file
	r.choose("24 February 2026")
	r.tap("Continue")
	r.choose("Back to where it was")
	r.tap("Continue")
	r.tap("Get the files back")
	asked := r.coffer.RestoreAsked[0]
	if len(asked.Paths) != 1 || asked.Paths[0] != canned.Home+"/Documents/recipes.txt" || asked.Target != "/" || asked.Snapshot == "latest" {
		t.Errorf("restored with %+v", asked)
	}
}

func TestSearchFindsByName(t *testing.T) {
	r := newRig(t, canned.Safe())
	r.open("files")
	r.fill(0, "lake")
	r.pass(inspectAfter)
	if got := r.files().names(); got != canned.Home+"/Pictures/lake.jpg" {
		t.Fatalf("found %s", got)
	}
	r.fill(0, "no such thing")
	r.pass(inspectAfter)
	r.says("Nothing of that name in this backup.")
	r.fill(0, "")
	if got := r.files().names(); got != "Documents, Pictures" {
		t.Errorf("shows %s", got)
	}
	if !r.button("Get these back").Disabled() {
		t.Error("nothing can be got back")
	}
	r.files().tick(1)
	r.tap("Get these back")
	r.at("restore/when")
	if got := r.restore.state.paths; len(got) != 1 || got[0] != canned.Home+"/Pictures" {
		t.Errorf("takes %v", got)
	}
}

func TestTargets(t *testing.T) {
	r := newRig(t, canned.Safe())
	r.open("restore/target")
	state := &r.restore.state
	if o := state.options(); o.Target != filepath.Join(canned.Home, "Restored files") || o.Conflict != app.ConflictKeepBoth {
		t.Errorf("by default %+v", o)
	}
	r.fill(0, "relative")
	if !r.button("Continue").Disabled() {
		t.Error("takes a relative path")
	}
	r.choose("Next to the originals")
	state.conflict = app.ConflictReplace
	if o := state.options(); o.Target != "/" || o.Conflict != app.ConflictKeepBoth {
		t.Errorf("next to the originals %+v", o)
	}
	if r.button("Continue").Disabled() {
		t.Error("a folder that is not used holds it up")
	}
	r.choose("Back to where it was")
	if o := state.options(); o.Target != "/" || o.Conflict != app.ConflictReplace {
		t.Errorf("back to where it was %+v", o)
	}
}

func TestPlanThatCannotBeDone(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*canned.Coffer)
		says   string
	}{
		"full":    {func(c *canned.Coffer) { c.Plan.Free = 1e9 }, "There is not enough room."},
		"nothing": {func(c *canned.Coffer) { c.Plan = app.RestorePlan{Free: -1} }, "There is nothing to get back."},
		"inside":  {func(c *canned.Coffer) { c.PlanErr = canned.Trouble{Code: app.CodeTargetInSource} }, "This folder is backed up itself."},
	} {
		t.Run(name, func(t *testing.T) {
			coffer := canned.Safe()
			c.change(coffer)
			r := newRig(t, coffer)
			r.open("restore/target")
			r.restore.goTo(restoreBefore)
			r.settle()
			r.says(c.says)
			if !r.button("Get the files back").Disabled() {
				t.Error("starts nevertheless")
			}
		})
	}
}

func TestRestoreCanBeStopped(t *testing.T) {
	c := canned.Safe()
	c.Hold = newHold()
	r := newRig(t, c)
	r.open("restore/target")
	r.restore.goTo(restoreRunning)
	r.until("progress", func() bool { return strings.Contains(r.text(), "12,044") })
	r.says("~/Pictures/2019/Lake Garda/IMG_2041.jpg")
	r.button("Pause").press()
	r.says("Paused")
	r.button("Cancel").press()
	r.settle()
	r.says("3 files were restored until then, and stay.")
	r.tap("Go back")
	r.at("restore/before")
}

func TestNothingRestoredSaysSo(t *testing.T) {
	c := canned.Safe()
	c.Receipt = app.Receipt{Failed: 4, StartedAt: canned.Now}
	r := newRig(t, c)
	r.open("restore/target")
	r.restore.goTo(restoreRunning)
	r.settle()
	r.says("Nothing was restored")
}

func TestKeyTasks(t *testing.T) {
	c := canned.Safe()
	r := newRig(t, c)
	r.open("key")
	r.says("Nobody else.")
	r.says("A wrong password was given")
	r.saysNot("without an answer")
	r.tap("Practice the password")
	r.fill(0, "wrong")
	r.press(fyne.KeyReturn)
	r.says("No try was used.")
	r.fill(0, "correct horse")
	r.press(fyne.KeyReturn)
	r.says("That was the password")
	r.tap("Done")
	r.at("key")
	r.tap("Change the password")
	r.fill(0, goodPassword)
	r.fill(1, goodPassword)
	r.tap("Set the password")
	r.says("The new password is set")
	if c.Changed != 1 {
		t.Errorf("changed %d times", c.Changed)
	}
	c.Proven = false
	r.open("key/prove")
	r.fill(0, canned.Digits[16:24])
	r.fill(1, canned.Digits[48:56])
	r.says("Your recovery sheet works")
	if !c.Proven {
		t.Error("the proof was not kept")
	}
	r.open("key/show")
	r.says("8899 aabb")
	r.open("key/check")
	r.fields()[0].SetText(canned.Digits)
	r.tap("Check the sheet")
	r.says("This sheet opens this backup")
	c.VerifyErr = canned.Trouble{Code: app.CodeWrongKey}
	r.open("key/check")
	r.fields()[0].SetText(canned.Digits)
	r.tap("Check the sheet")
	r.says("it opens a different backup")
}

func TestWhatIsKeptCanBeChanged(t *testing.T) {
	c := canned.Safe()
	r := newRig(t, c)
	r.open("what")
	if !r.button("Save the list").Disabled() {
		t.Error("there is nothing to save yet")
	}
	folder := t.TempDir()
	r.fill(0, folder)
	r.tap("Add")
	r.tap("Save the list")
	r.says("Saved. The next backup uses this list.")
	if got := c.Kept.Sources; len(got) != 3 || got[2] != folder {
		t.Errorf("keeps %v", got)
	}
}

func TestSettingsApplyAtOnce(t *testing.T) {
	restoreLanguage(t)
	c := canned.Safe()
	r := newRig(t, c)
	r.open("settings")
	var choices []*widget.Select
	r.each(func(o fyne.CanvasObject) {
		if s, ok := o.(*widget.Select); ok {
			choices = append(choices, s)
		}
	})
	choices[1].SetSelectedIndex(2)
	r.settle()
	if c.Kept.Theme != "dark" {
		t.Errorf("theme is %q", c.Kept.Theme)
	}
	if l, ok := fyne.CurrentApp().Settings().Theme().(*look); !ok || !l.dark || !l.fixed {
		t.Error("it is not dark")
	}
	choices[2].SetSelectedIndex(3)
	r.settle()
	if c.Kept.TextScale != 2 {
		t.Errorf("text scale is %v", c.Kept.TextScale)
	}
}
