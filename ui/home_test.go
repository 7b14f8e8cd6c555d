package ui

import (
	"strings"
	"testing"
	"time"

	"fyne.io/fyne/v2"

	"coffer/app"
	"coffer/ui/canned"
)

func TestHomeStates(t *testing.T) {
	for _, c := range []struct {
		coffer *canned.Coffer
		says   []string
	}{
		{canned.Safe(), []string{"Backed up today at 14:02", "Everything you chose is safe.", "Backups on 26 of 30 days"}},
		{canned.Late(), []string{"No backup for 5 days", "Practice", "See which"}},
		{canned.Danger(), []string{"Your files are in danger", "17 days old", "Prove it", "Try again", "Not proven"}},
		{canned.Waiting(), []string{"Waiting for /media/ann/Backup"}},
	} {
		r := newRig(t, c.coffer)
		r.open("home")
		for _, s := range c.says {
			r.says(s)
		}
		if r.button("Back up now").Disabled() {
			t.Error("cannot back up")
		}
	}
}

// TestHomeShowsThreeLines: more are not read, and the sentence is not said twice.
func TestHomeShowsThreeLines(t *testing.T) {
	o := app.Overview{Attention: []app.Attention{
		{Code: app.AttentionLate},
		{Code: app.AttentionDanger},
		{Code: app.AttentionSheet},
		{Code: app.AttentionPractice},
		{Code: app.AttentionNoSources},
		{Code: app.AttentionKeyInFile},
	}}
	lines := attentionOf(o)
	if len(lines) != 3 || lines[0].Code != app.AttentionSheet {
		t.Errorf("shows %v", lines)
	}
}

func TestEachLineLeadsSomewhere(t *testing.T) {
	for code, want := range map[app.AttentionCode]string{
		app.AttentionSheet: "key/prove", app.AttentionPractice: "key/practice", app.AttentionPasswordHalf: "key/change",
		app.AttentionNoSources: "what", app.AttentionUnreadable: "activity", app.AttentionKeyInFile: "key", app.AttentionLastFailed: "home",
		"of-a-newer-version": "home",
	} {
		c := canned.Safe()
		c.Home.Attention = []app.Attention{{Code: code, Args: map[string]string{"code": string(app.CodePlaceFull)}}}
		r := newRig(t, c)
		r.open("home")
		r.tap(say("attention." + attentionKey(code) + ".button"))
		r.at(want)
	}
}

// TestAVaultAlarmIsSeenOnHome: the backup before is safe, but the last attempt is not hidden,
// and no password goes into what may not be its vault.
func TestAVaultAlarmIsSeenOnHome(t *testing.T) {
	c := canned.Safe()
	r := newRig(t, c)
	r.open("home")
	r.says("Everything you chose is safe.")
	r.says("With your password")

	c.Home.Attention = []app.Attention{{Code: app.AttentionLastFailed, Args: map[string]string{"code": string(app.CodeVaultIdentity)}}}
	r = newRig(t, c)
	r.open("home")
	r.says("The last attempt since did not end well.")
	r.saysNot("Everything you chose is safe.")
	r.saysNot("With your password")
}

// TestANoticeKeepsItsTextReadable: a long button goes below the text before it squeezes it.
func TestANoticeKeepsItsTextReadable(t *testing.T) {
	worn := newRig(t, canned.Safe()).app.Settings()
	before := worn.Theme()
	t.Cleanup(func() { worn.SetTheme(before) })
	for _, c := range []struct {
		scale, width float32
		below        bool
	}{{1, 700, false}, {1, 420, true}, {2, 700, true}, {2, 1300, false}} {
		worn.SetTheme(newLook("light", float64(c.scale)))
		n := newNotice(toneCareful, "A title", strings.Repeat("What is the case, and what follows. ", 6), push("What can be done about it", "", nil))
		high := fit(n.box, c.width)
		text, button := n.body.Size(), n.button
		if text.Width < narrowestText*c.scale {
			t.Errorf("%v: the text is %v wide", c, text.Width)
		}
		if below := button.Position().Y >= text.Height; below != c.below {
			t.Errorf("%v: the button is at %v", c, button.Position())
		}
		if end := button.Position().Y + button.Size().Height; end > high {
			t.Errorf("%v: the button ends at %v of %v", c, end, high)
		}
	}
}

func TestBackupPausesAndStops(t *testing.T) {
	c := canned.Safe()
	c.Hold = newHold()
	r := newRig(t, c)
	r.open("home")
	backingUp(r)
	r.says("Backing up now")
	r.says("1,204 of 8,214 files · 4.2\u00a0GB of 12\u00a0GB")
	r.says("61\u00a0MB a second · 2 minutes to 4 minutes left")
	r.says("~/Documents/Taxes/2025/receipts/march.pdf")
	if !r.button("Back up now").Disabled() {
		t.Error("a second backup can be started")
	}
	r.button("Pause").press()
	r.says("Resume")
	if !r.job.gate.Paused() {
		t.Error("the backup goes on")
	}
	r.button("Resume").press()
	if r.job.gate.Paused() {
		t.Error("the backup does not go on")
	}
	r.button("Pause").press()
	r.button("Cancel").press()
	if !r.button("Cancel").Disabled() {
		t.Error("can be cancelled twice")
	}
	r.settle() // a paused backup hears Cancel too
	r.says("Stopped. Nothing is lost.")
	if r.button("Back up now").Disabled() {
		t.Error("cannot back up again")
	}
}

// TestBackupOutlivesItsScreen: looking at another screen does not stop it.
func TestBackupOutlivesItsScreen(t *testing.T) {
	c := canned.Safe()
	c.Hold = newHold()
	r := newRig(t, c)
	r.open("home")
	backingUp(r)
	r.Open("settings")
	r.until("another screen", func() bool { return r.page.name == "settings" })
	r.Open("home")
	r.says("Backing up now")
	close(c.Hold)
	r.settle()
	r.says("Backed up today at 14:30")
}

func TestFailedBackupSaysWhy(t *testing.T) {
	c := canned.Safe()
	c.BackupErr = canned.Trouble{Code: app.CodePlaceFull}
	r := newRig(t, c)
	r.open("home")
	r.tap("Back up now")
	r.says("The place of the backup is full.")
	c.BackupErr = nil
	r.tap("Back up now")
	r.saysNot("full")
	r.says("Backed up today at 14:30")
}

func TestClosingAsksWhileABackupRuns(t *testing.T) {
	c := canned.Safe()
	c.Hold = newHold()
	r := newRig(t, c)
	r.open("home")
	closed := false
	r.window.SetOnClosed(func() { closed = true })
	backingUp(r)
	r.close()
	if closed || r.window.Canvas().Overlays().Top() == nil {
		t.Fatal("closed without a word")
	}
	focused, ok := r.window.Canvas().Focused().(*button)
	if !ok || focused.Text != "Let it finish" {
		t.Fatalf("the focus is on %v", r.window.Canvas().Focused())
	}
	focused.TypedKey(&fyne.KeyEvent{Name: fyne.KeyReturn})
	if closed || r.window.Canvas().Overlays().Top() != nil {
		t.Error("did not go on")
	}
	close(c.Hold)
	r.settle()
	r.close()
	if !closed {
		t.Error("does not close when nothing runs")
	}
}

func TestLockedHomeUnlocks(t *testing.T) {
	c := canned.Safe()
	c.Home.Locked = true
	r := newRig(t, c)
	r.open("home")
	if !r.button("Back up now").Disabled() {
		t.Error("backs up without a key")
	}
	r.tap("Unlock")
	r.at("unlock")
	r.fill(0, "the password")
	c.Home.Locked = false
	r.tap("Open")
	r.at("home")
	if len(c.UnlockAsked) != 1 || c.UnlockAsked[0].Lock != app.LockPassword {
		t.Errorf("unlocked with %+v", c.UnlockAsked)
	}
}

func TestDaysOf(t *testing.T) {
	zone := time.FixedZone("west", -9*3600)
	now := time.Date(2026, time.March, 30, 0, 10, 0, 0, zone)
	at := func(days int, hour int, code app.Code) app.Run {
		return app.Run{Kind: "backup", Started: time.Date(2026, time.March, 30-days, hour, 0, 0, 0, zone).UTC(), Code: code}
	}
	days := daysOf([]app.Run{
		at(0, 0, ""), at(1, 23, app.CodePlaceFull), at(2, 1, app.CodePlaceFull), at(2, 2, ""), at(2, 3, app.CodePlaceFull),
		at(29, 12, ""), at(30, 12, ""), at(-1, 12, ""),
		{Kind: "restore", Started: now.AddDate(0, 0, -5)},
	}, now)
	want := map[int]dayState{29: dayDone, 28: dayFailed, 27: dayDone, 0: dayDone}
	for i, d := range days {
		if d != want[i] {
			t.Errorf("day %d is %d, want %d", i, d, want[i])
		}
	}
}

func TestJobState(t *testing.T) {
	speakTest(t, "en")
	short := func(s string) string { return s }
	p := canned.Half()[0]
	if s := jobStateOf(p, false, false, short); s.fraction < 0.33 || s.fraction > 0.35 || s.rate == "" {
		t.Errorf("%+v", s)
	}
	p.Scanned = false
	if s := jobStateOf(p, false, false, short); s.fraction != 0 {
		t.Errorf("a share of a total that grows: %v", s.fraction)
	}
	if s := jobStateOf(p, true, false, short); s.rate != "" || s.left != "" || s.verb != "Paused" {
		t.Errorf("paused: %+v", s)
	}
	if s := jobStateOf(app.Progress{Phase: "of-a-newer-version", Files: 1, Bytes: 5}, false, false, short); s.figure != "1 file, 5 bytes" || s.verb != "Opening the backup" {
		t.Errorf("%+v", s)
	}
	if s := jobStateOf(p, false, true, short); !strings.HasPrefix(s.verb, "Stopping") {
		t.Errorf("stopping: %+v", s)
	}
}
