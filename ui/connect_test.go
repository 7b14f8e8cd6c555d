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
	"fyne.io/fyne/v2/container"

	"coffer/app"
	"coffer/ui/canned"
)

// goTo opens a screen whose page has another name.
func (r *rig) goTo(name string) {
	r.Helper()
	r.Open(name)
	r.settle()
}

// lastTried is the newest connection that was tried.
func (r *rig) lastTried() canned.Tried {
	r.Helper()
	if len(r.coffer.Tried) == 0 {
		r.Fatal("nothing was tried")
	}
	return r.coffer.Tried[len(r.coffer.Tried)-1]
}

// TestFirstRunOnAServer: a server that was never met is accepted, and becomes the place.
func TestFirstRunOnAServer(t *testing.T) {
	r := newRig(t, answering(newHost(), canned.Answer{Info: canned.Server()})())
	r.open("setup/sources")
	r.tap("Continue")
	r.tap("More places")
	r.choose("SFTP")
	r.tap("Continue")
	r.at("setup/place")
	if !r.button("Connect").Disabled() {
		t.Error("connects to nowhere")
	}
	r.fill(0, "ann@nas.example.org/~/coffer")
	r.fill(1, " a password ")
	if !r.fields()[1].Password {
		t.Error("the password can be read")
	}
	r.tap("Connect")
	r.at("setup/host")
	r.says("iKwt  Z0UV  yFZ0  bG5c")
	if first := r.lastTried(); first.Options["host-key"] != "" || first.Secrets["password"] != " a password " || first.Dest != "sftp://ann@nas.example.org/~/coffer" {
		t.Errorf("tried %+v", first)
	}
	if r.window.Canvas().Focused() != fyne.Focusable(r.button("Stop")) {
		t.Error("Enter would accept a server that nobody looked at")
	}
	r.tap("This is my server")
	r.at("setup/found")
	if second := r.lastTried(); second.Options["host-key"] != canned.Fingerprint {
		t.Errorf("tried %+v", second)
	}
	r.says("OpenSSH_10.0")
	r.says("2.1\u00a0TB of 4.0\u00a0TB free, enough for more than 10 years")
	r.says("What is deleted there is gone.")
	r.tap("Continue")
	r.at("setup/lock")
	if len(r.setup.place.draft.connection().Secrets) != 0 {
		t.Error("the window keeps the password")
	}
	r.tap("Back")
	r.at("setup/found")
	r.tap("Continue")
	r.tap("Continue")
	r.fill(0, goodPassword)
	r.fill(1, goodPassword)
	r.tap("Continue")
	saveSheet(r)
	r.tap("Continue")
	typeLines(r)
	r.tap("Continue")
	r.says("~/coffer on nas.example.org")
	r.tap("Start the first backup")
	if asked := r.coffer.SetupAsked[0]; asked.To != canned.Server().Dest {
		t.Errorf("set up in %s", asked.To)
	}
}

// TestStopAtAStranger: nothing is kept of a server that was not accepted.
func TestStopAtAStranger(t *testing.T) {
	r := newRig(t, answering(newHost())())
	r.goTo("setup/place/sftp")
	fillServer(r)
	r.at("setup/host")
	r.tap("Stop")
	r.at("setup/where")
	if d := r.setup.place.draft; d.values["host-key"] != "" || d.values["password"] != "" {
		t.Error("something is kept")
	}
}

// TestChangedServer: there is no way on but a fingerprint from elsewhere, and it is not shown.
func TestChangedServer(t *testing.T) {
	r := newRig(t, answering(changedHost(), canned.Answer{Info: canned.Server()})())
	r.goTo("setup/place/sftp")
	fillServer(r)
	r.at("setup/alarm")
	for _, part := range fingerprintRows(canned.Other) {
		r.saysNot(part)
	}
	r.saysNot("This is my server")
	r.tap("I know why")
	accept := r.button("Know the server by this key")
	for _, typed := range []string{"", "SHA256:", canned.Fingerprint, canned.Other[:30], strings.ToUpper(canned.Other)} {
		r.fill(0, typed)
		r.press(fyne.KeyReturn)
		if !accept.Disabled() || r.page.name != "setup/alarm" {
			t.Fatalf("%q is taken", typed)
		}
	}
	r.fill(0, "  "+canned.Other+" ")
	r.says("This is what the server shows.")
	r.press(fyne.KeyReturn)
	r.at("setup/found")
	if got := r.lastTried().Options["host-key"]; got != canned.Other {
		t.Errorf("accepted %s", got)
	}
}

func TestCertificates(t *testing.T) {
	connect := func(answers ...canned.Answer) *rig {
		r := newRig(t, answering(answers...)())
		r.goTo("setup/place/webdav")
		r.fill(0, "cloud.example.org/dav")
		r.tap("Connect")
		return r
	}
	r := connect(strangeCertificate(""), canned.Answer{Info: canned.Server()})
	r.at("setup/host")
	r.says("it was valid until 31 January 2026")
	r.tap("This is my server")
	r.at("setup/found")
	if got := r.lastTried(); got.Options["pin"] != canned.Fingerprint || got.Dest != "webdav:https://cloud.example.org/dav" {
		t.Errorf("tried %+v", got)
	}

	r = connect(strangeCertificate(canned.Other)) // another key than the pin
	r.at("setup/alarm")
	r.says("Coffer stopped before sending anything.")

	r = connect(strangeCertificate(canned.Fingerprint)) // the right key, and still refused
	r.at("setup/alarm")
	r.says("is not valid")
	r.saysNot("I know why")
}

// TestConnectingCanBeStopped: what was typed stays.
func TestConnectingCanBeStopped(t *testing.T) {
	c := hold(answering(canned.Answer{Info: canned.Server()}))()
	r := newRig(t, c)
	r.goTo("setup/place/s3")
	for i, text := range []string{"s3.example.org/b", "AKIA", "secret"} {
		r.fill(i, text)
	}
	r.button("Connect").press()
	r.says("Connecting to b on s3.example.org")
	if !r.button("Connect").Disabled() {
		t.Error("it could be started twice")
	}
	r.tap("Cancel")
	r.at("setup/place")
	r.saysNot("Connecting")
	if r.fields()[2].Text != "secret" || r.button("Connect").Disabled() {
		t.Error("what was typed is gone, or cannot be tried again")
	}
	close(c.Hold)
	c.Hold = nil
	r.press(fyne.KeyReturn) // Connect has the focus
	r.at("setup/found")
}

func TestFormFailures(t *testing.T) {
	for code, focus := range map[app.Code]int{app.CodePlaceAddress: 0, app.CodePlaceKeyPassphrase: 3, app.CodePlaceOffline: 0, app.CodePlaceClock: 0} {
		r := newRig(t, answering(newHost(), ends(code))())
		r.goTo("setup/place/sftp")
		fillServer(r)
		r.tap("This is my server")
		r.at("setup/place")
		head, _ := trouble(app.Failure{Code: code}, canned.Now)
		r.says(head)
		if r.window.Canvas().Focused() != fyne.Focusable(r.fields()[focus]) {
			t.Errorf("%s: another field has the focus", code)
		}
	}
}

func TestDriveSignIn(t *testing.T) {
	c := hold(answering(canned.Answer{Info: canned.Drive()}))()
	r := newRig(t, c)
	now := canned.Now
	r.now = func() time.Time { return now }
	waitsInBrowser(r)
	if len(r.opened) != 1 || r.opened[0] != canned.SignInAddress {
		t.Fatalf("opened %v", r.opened)
	}
	r.says("Coffer waits 4 to 5 minutes more.")
	now = now.Add(100 * time.Second)
	passQuietly(r)
	r.says("Coffer waits 3 to 4 minutes more.")
	r.button("Open the page again").press()
	r.button("Copy the link").press()
	if len(r.opened) != 2 || fyne.CurrentApp().Clipboard().Content() != canned.SignInAddress {
		t.Error("the page was not opened again, or the link not copied")
	}
	r.broken = true
	r.button("Open the page again").press()
	r.says("No browser opened.")
	close(c.Hold)
	r.settle()
	r.at("setup/found")
	r.says("ann@example.org")
	if got := r.lastTried(); got.Dest != "drive:" || len(got.Secrets) != 0 {
		t.Errorf("signed in with %+v", got)
	}
}

// passQuietly lets the ticks of the countdown fire while something goes on.
func passQuietly(r *rig) {
	due := r.timers
	r.timers = nil
	for _, timer := range due {
		if !timer.stopped {
			timer.fn()
		}
	}
}

func TestDriveSignInCancelled(t *testing.T) {
	r := newRig(t, hold(answering(canned.Answer{Info: canned.Drive()}))())
	waitsInBrowser(r)
	r.tap("Cancel")
	r.at("setup/place")
	if len(r.coffer.Tried) != 0 {
		t.Error("it was signed in all the same")
	}
	waitsInBrowser(r)
	r.window.Canvas().Focused().TypedKey(&fyne.KeyEvent{Name: fyne.KeyEscape})
	r.settle()
	r.at("setup/place")
}

// TestEveryEndOfASignIn: one sentence, one action.
func TestEveryEndOfASignIn(t *testing.T) {
	for code, says := range map[app.Code]string{
		app.CodeSignInRefused:   "The sign-in was cancelled on Google's page.",
		app.CodeSignInTimeout:   "Nobody finished the sign-in in the browser.",
		app.CodePlacePermission: "Coffer was not allowed to keep files.",
		app.CodePlaceAccount:    "That was another account.",
	} {
		r := newRig(t, answering(ends(code, "account", "ann@example.org"), canned.Answer{Info: canned.Drive()})())
		r.goTo("setup/place/drive")
		r.tap("Sign in with Google")
		r.says(says)
		r.press(fyne.KeyReturn)
		r.at("setup/found")
		if len(r.opened) != 2 {
			t.Errorf("%s: the browser was opened %d times", code, len(r.opened))
		}
	}
	r := newRig(t, answering(ends(app.CodePlaceClient), canned.Answer{Info: canned.Drive()})())
	r.goTo("setup/place/drive")
	r.tap("Sign in with Google")
	r.says("Google does not take this client.")
	r.press(fyne.KeyReturn)
	r.at("setup/guide")
}

func TestOwnClient(t *testing.T) {
	r := newRig(t, answering(canned.Answer{Info: canned.Drive()})())
	r.goTo("setup/place/drive")
	r.choose("With a Google client of my own")
	r.tap("Continue")
	r.at("setup/guide")
	for _, words := range []string{"Project name: Coffer", "Enable", "Get started", "Publish app", "Application type: Desktop app", "Download JSON"} {
		r.says(words)
	}
	next := r.button("Sign in with Google")
	if !next.Disabled() {
		t.Error("goes on without a client")
	}
	r.tap("Open the page")
	if len(r.opened) != 1 || !strings.HasPrefix(r.opened[0], "https://console.cloud.google.com/projectcreate") {
		t.Errorf("opened %v", r.opened)
	}
	r.tap("Copy the link")
	if got := fyne.CurrentApp().Clipboard().Content(); got != guideSteps[0].address {
		t.Errorf("copied %q", got)
	}
	for text, says := range map[string]string{
		"hello": "This is not the file of a client.", goodClient[:40]: "The end is missing.",
		`{"web":{}}`: "Web application", `{"type":"service_account"}`: "service account", `{"installed":{}}`: "has no id",
	} {
		r.fill(0, text)
		r.says(says)
		if !next.Disabled() {
			t.Errorf("goes on with %q", text)
		}
	}
	r.fill(0, "")
	file := filepath.Join(t.TempDir(), "client_secret_1.json")
	if err := os.WriteFile(file, []byte(goodClient+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.page.drop(filepath.Join(t.TempDir(), "gone"))
	r.settle()
	r.says("cannot be read")
	r.page.drop(file)
	r.settle()
	r.says("This is a desktop client: 1234567890-abc.apps.googleusercontent.com")
	r.saysNot("GOCSPX")
	r.fill(0, "")
	r.picker.path = file
	r.tap("Choose the file")
	r.says("This is a desktop client")
	r.tap("Sign in with Google")
	r.at("setup/found")
	if got := r.lastTried().Secrets["client"]; got != goodClient {
		t.Errorf("signed in with the client %q", got)
	}
}

func TestMissingKinds(t *testing.T) {
	r := newRig(t, canned.NewComputer())
	r.open("setup/where")
	r.says("iCloud has no folder on this computer")
	r.choose("iCloud Drive")
	r.tap("Continue")
	r.at("setup/missing")
	r.tap("Open a downloaded folder")
	r.says("Which disk or folder?")
	r.tap("Back")
	r.choose("iCloud Drive")
	r.tap("Continue")
	r.tap("Use rclone")
	r.says("Remote and folder")

	c := canned.NewComputer()
	c.Kinds = canned.Missing("rclone", "no-rclone")
	r = newRig(t, c)
	r.goTo("setup/place/rclone")
	r.tap("Open rclone.org")
	if len(r.opened) != 1 || r.opened[0] != rcloneAddress {
		t.Errorf("opened %v", r.opened)
	}
	c.Kinds = canned.UsualKinds()
	r.tap("Look again")
	r.at("setup/where")
	r.tap("Continue")
	r.says("Remote and folder")
	r.goTo("setup/place/icloud")
	r.saysNot("no-icloud")
}

// TestDroppedFolderIsThePlace: also on the page that asks which kind.
func TestDroppedFolderIsThePlace(t *testing.T) {
	r := newRig(t, canned.NewComputer())
	r.open("setup/where")
	r.page.drop("/media/ann/Backup")
	r.settle()
	r.at("setup/place")
	r.pass(inspectAfter)
	r.tap("Continue")
	r.at("setup/lock")
	if got := r.setup.state.place.Dest; got != "/media/ann/Backup" {
		t.Errorf("the place is %q", got)
	}
}

// TestTakenDrive: a backup that is there is joined or restored from, never written over.
func TestTakenDrive(t *testing.T) {
	start := func() *rig {
		c := canned.Taken()
		c.Answers = []canned.Answer{takenDrive()}
		r := newRig(t, c)
		r.open("setup/sources")
		r.tap("Continue")
		r.tap("Continue")
		r.tap("Sign in with Google")
		r.at("setup/found")
		if !r.button("Continue").Disabled() {
			t.Error("goes on over a backup")
		}
		return r
	}
	r := start()
	r.tap("Get files back from it")
	r.at("restore/which")
	r.says("Found in Google Drive.")
	r = start()
	r.tap("Go on with this backup")
	r.tap("Continue")
	r.fill(0, "the password")
	r.tap("Open")
	if asked := r.coffer.OpenAsked[0]; asked.From != "drive:Coffer Backups" || len(asked.Sources) == 0 {
		t.Errorf("joined with %+v", asked)
	}
}

// TestRestoreFromDrive: an empty account is named, and can be changed.
func TestRestoreFromDrive(t *testing.T) {
	c := answering(canned.Answer{Info: canned.Drive()}, takenDrive())()
	r := newRig(t, c)
	r.open("restore/where")
	r.tap("Continue")
	r.says("Use the same client as before.")
	r.tap("Sign in with Google")
	r.at("restore/empty")
	r.says("Coffer looked in Google Drive of ann@example.org.")
	r.tap("Sign in with another account")
	r.at("restore/which")
	r.says("ANN-LAPTOP")
	r.tap("Back")
	r.at("restore/where")

	r = newRig(t, answering(canned.Answer{Info: canned.Drive()})())
	r.goTo("restore/place/drive")
	r.tap("Sign in with Google")
	r.tap("Look elsewhere")
	r.at("restore/where")
}

// TestNoSecretInTheLog: neither a password nor the address of a sign-in.
func TestNoSecretInTheLog(t *testing.T) {
	var out bytes.Buffer
	c := noClient(ends(app.CodePlaceSignIn), canned.Answer{Info: canned.Drive()})()
	r := newRigOn(t, Options{
		Coffer: c, Computer: "ANN-LAPTOP", Home: canned.Home, Now: func() time.Time { return canned.Now }, Explain: canned.Explain,
		Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, fyne.NewSize(1000, 680))
	r.coffer = c
	r.goTo("setup/place/s3")
	for i, text := range []string{"s3.example.org/b", "AKIAKEY", "s3cret"} {
		r.fill(i, text)
	}
	r.tap("Connect")
	r.goTo("setup/place/drive")
	r.fill(0, goodClient)
	r.broken = true
	r.tap("Sign in with Google")
	if len(c.Tried) != 2 || out.Len() == 0 {
		t.Fatalf("%d tried, %d bytes logged", len(c.Tried), out.Len())
	}
	for _, secret := range []string{"s3cret", "AKIAKEY", "GOCSPX", "oauth2"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the log has %q:\n%s", secret, out.String())
		}
	}
}

// TestNewPagesWorkWithTheKeyboard: Tab reaches everything, Escape goes back, and what has the
// focus can be seen.
func TestNewPagesWorkWithTheKeyboard(t *testing.T) {
	for _, s := range placeStories() {
		if s.name == "places-loading" || strings.HasPrefix(s.name, "home") || strings.HasPrefix(s.name, "settings") {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			r := newRigSized(t, s.coffer(), fyne.NewSize(900, 600))
			s.tell(r)
			want := 0
			r.each(func(o fyne.CanvasObject) {
				if f, ok := o.(fyne.Focusable); ok {
					if d, can := f.(fyne.Disableable); !can || !d.Disabled() {
						want++
					}
				}
				if e, ok := o.(interface{ onEscape(func()) }); ok && r.page.back != nil && !escapes(e) && !inNavigation(r, o) {
					t.Errorf("%T does nothing on Escape", o)
				}
			})
			r.window.Canvas().Unfocus()
			seen := map[fyne.Focusable]bool{}
			for range want {
				r.window.Canvas().FocusNext()
				focused := r.window.Canvas().Focused()
				seen[focused] = true
				if o := focused.(fyne.CanvasObject); !inSight(r, o) {
					t.Errorf("%T %q has the focus out of sight", o, textOf(o))
				}
			}
			if len(seen) < want || want < 1 {
				t.Errorf("Tab reaches %d of %d controls", len(seen), want)
			}
		})
	}
}

// inNavigation reports whether o is one of the tiles that lead to the screens.
func inNavigation(_ *rig, o fyne.CanvasObject) bool {
	tile, ok := o.(*tile)
	return ok && tile.nav
}

// inSight reports whether all of an object lies within the scroller around it.
func inSight(r *rig, o fyne.CanvasObject) bool {
	var s *container.Scroll
	if s = scrollerOf(r.window.Canvas().Content(), o, nil); s == nil {
		return true
	}
	driver := fyne.CurrentApp().Driver()
	top := driver.AbsolutePositionForObject(o).Y - driver.AbsolutePositionForObject(s).Y
	return top >= 0 && (top+o.Size().Height <= s.Size().Height || o.Size().Height > s.Size().Height)
}
