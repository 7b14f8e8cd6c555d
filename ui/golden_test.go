package ui

import (
	"bytes"
	"flag"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"coffer/app"
	"coffer/cloud/cloudtest"
	"coffer/ui/canned"
)

var (
	update   = flag.Bool("update", false, "write the golden files of testdata")
	pictures = flag.String("pictures", "", "write a picture of every story to this folder")
)

// A story is a screen in a state.
type story struct {
	name   string
	coffer func() *canned.Coffer
	open   string
	do     func(*rig)
}

func destroyed() *canned.Coffer {
	c := canned.Taken()
	c.Ways[0].State, c.Ways[0].TriesLeft = "destroyed", 0
	c.Place.Backups[0].Ways = c.Ways
	return c
}

func way(change func(*app.WayIn)) func() *canned.Coffer {
	return func() *canned.Coffer {
		c := canned.Taken()
		change(&c.Ways[0])
		c.Place.Backups[0].Ways = c.Ways
		return c
	}
}

// hold keeps a backup or restore running at its last reported step.
func hold(coffer func() *canned.Coffer) func() *canned.Coffer {
	return func() *canned.Coffer {
		c := coffer()
		c.Hold = newHold()
		return c
	}
}

func newHold() chan struct{} { return make(chan struct{}) }

// atPlace goes through the first run up to a step.
func atPlace(step int) func(*rig) {
	return func(r *rig) {
		r.setup.state.place = app.PlaceInfo{Kind: "folder", Dest: "/media/ann/Backup", Exists: true, Writable: true, Free: 812e9}
		r.setup.state.sheet = sheetState{path: "/media/usb/Coffer recovery sheet.pdf", paper: "A4"}
		r.setup.state.key = canned.Key()
		r.setup.goTo(step)
		r.settle()
	}
}

func withSources(then func(*rig)) func(*rig) {
	return func(r *rig) {
		r.open("setup/sources")
		r.setup.state.key = canned.Key()
		then(r)
	}
}

// atBackup goes through the restore wizard up to a step.
func atBackup(step int) func(*rig) {
	return func(r *rig) {
		r.restore.state.place = r.coffer.Place
		r.restore.state.place.Dest = "/media/ann/Backup"
		if len(r.coffer.Place.Backups) > 0 {
			r.restore.state.backup = r.coffer.Place.Backups[0]
		}
		r.restore.goTo(step)
		if step != restoreRunning {
			r.settle()
		}
	}
}

func backingUp(r *rig) {
	r.backUp()
	r.until("progress", func() bool { return r.job != nil && r.job.progress.Files > 0 })
}

// stories are all screens, each in the states that matter.
func stories() []story {
	safe, fresh, taken := canned.Safe, canned.NewComputer, canned.Taken
	return append(append(placeStories(), vaultStories()...), []story{
		{"start", fresh, "start", nil},
		{"setup-promise", fresh, "setup/promise", nil},
		{"setup-sources", fresh, "setup/sources", nil},
		{"setup-sources-none", fresh, "setup/sources", func(r *rig) {
			for i := range r.setup.state.sources {
				r.setup.state.sources[i].on = false
			}
			r.setup.goTo(stepSources)
			r.settle()
		}},
		{"setup-lock", fresh, "setup/lock", nil},
		{"setup-lock-more", fresh, "setup/lock", func(r *rig) { r.tap("More ways"); r.choose("A long passphrase") }},
		{"setup-password-empty", fresh, "setup/password", nil},
		{"setup-password", fresh, "setup/password", func(r *rig) {
			r.fill(0, "lantern quartz bay")
			r.fill(1, "lantern quartz bay")
		}},
		{"setup-password-differs", fresh, "setup/password", func(r *rig) {
			r.fill(0, "lantern quartz bay")
			r.fill(1, "lantern quartz boy")
		}},
		{"setup-password-common", fresh, "setup/password", func(r *rig) { r.fill(0, "password1") }},
		{"setup-passphrase", fresh, "setup/passphrase", nil},
		{"setup-key", fresh, "setup/lock", func(r *rig) {
			r.setup.state.key, r.setup.state.lock = canned.Key(), app.LockKey
			r.setup.goTo(stepSecret)
		}},
		{"setup-sheet", fresh, "setup/lock", func(r *rig) {
			r.setup.state.key = canned.Key()
			r.setup.goTo(stepSheet)
		}},
		{"setup-sheet-saved", fresh, "setup/lock", atPlace(stepSheet)},
		{"setup-prove", fresh, "setup/lock", atPlace(stepProve)},
		{"setup-prove-wrong", fresh, "setup/lock", func(r *rig) {
			atPlace(stepProve)(r)
			r.fill(0, canned.Digits[16:24])
			r.fill(1, "ffff ffff")
		}},
		{"setup-prove-right", fresh, "setup/lock", func(r *rig) {
			atPlace(stepProve)(r)
			r.fill(0, canned.Digits[16:24])
			r.fill(1, canned.Digits[48:56])
		}},
		{"setup-ready", fresh, "setup/sources", withSources(func(r *rig) {
			r.setup.state.proven, r.setup.state.lock = true, app.LockPassword
			atPlace(stepReady)(r)
		})},
		{"home-loading", safe, "", func(r *rig) { r.Open("home") }},
		{"home-never", func() *canned.Coffer {
			c := fresh()
			c.SetUpAlready = true
			return c
		}, "home", nil},
		{"home-safe", safe, "home", nil},
		{"home-working", hold(safe), "home", backingUp},
		{"home-paused", hold(safe), "home", func(r *rig) { backingUp(r); r.pause(true) }},
		{"home-first", func() *canned.Coffer {
			c := safe()
			c.Home = fresh().Home
			c.Home.Place = "/media/ann/Backup"
			return c
		}, "home", func(r *rig) { r.tap("Back up now") }},
		{"home-partly", func() *canned.Coffer {
			c := safe()
			c.BackupEnd.Unreadable = 2
			return c
		}, "home", func(r *rig) { r.tap("Back up now") }},
		{"home-failed", func() *canned.Coffer {
			c := safe()
			c.BackupErr = canned.Trouble{Code: app.CodePlaceFull}
			return c
		}, "home", func(r *rig) { r.tap("Back up now") }},
		{"home-waiting", canned.Waiting, "home", nil},
		{"home-late", canned.Late, "home", nil},
		{"home-danger", canned.Danger, "home", nil},
		{"home-locked", func() *canned.Coffer {
			c := safe()
			c.Home.Locked = true
			return c
		}, "home", nil},
		{"files", safe, "files", nil},
		{"files-search", safe, "files", func(r *rig) { r.fill(0, "lake"); r.pass(inspectAfter) }},
		{"what", safe, "what", nil},
		{"key", safe, "key", nil},
		{"key-change", safe, "key/change", nil},
		{"key-practice", safe, "key/practice", nil},
		{"key-practice-wrong", safe, "key/practice", func(r *rig) { r.fill(0, "not it"); r.tap("Check it") }},
		{"key-practice-right", safe, "key/practice", func(r *rig) { r.fill(0, "correct horse"); r.tap("Check it") }},
		{"key-show", safe, "key/show", nil},
		{"key-check", safe, "key/check", nil},
		{"key-prove", safe, "key/prove", nil},
		{"key-sheet", safe, "key/sheet", nil},
		{"activity", safe, "activity", nil},
		{"activity-empty", fresh, "activity", nil},
		{"settings", safe, "settings", nil},
		{"unlock", safe, "unlock", nil},
		{"restore-which", taken, "restore/where", atBackup(restoreWhich)},
		{"restore-open", taken, "restore/where", atBackup(restoreOpen)},
		{"restore-open-key", taken, "restore/where", func(r *rig) {
			atBackup(restoreOpen)(r)
			r.choose("With the recovery sheet")
			r.fill(0, canned.Digits[:8])
			r.fill(1, "0ll0 xx")
		}},
		{"restore-open-wrong", func() *canned.Coffer {
			c := taken()
			c.OpenErr = canned.Trouble{Code: app.CodeWrongPassword, Args: map[string]string{"tries": "9"}}
			return c
		}, "restore/where", func(r *rig) {
			atBackup(restoreOpen)(r)
			r.fill(0, "not the password")
			r.tap("Open")
		}},
		{"restore-open-last", way(func(w *app.WayIn) { w.TriesLeft = 1 }), "restore/where", atBackup(restoreOpen)},
		{"restore-open-waits", way(func(w *app.WayIn) { w.Until = canned.Now.Add(90 * 60e9); w.TriesLeft = 4 }), "restore/where", atBackup(restoreOpen)},
		{"restore-open-elsewhere", way(func(w *app.WayIn) { w.VaultHere, w.Usable = false, false; w.TriesLeft = -1 }), "restore/where", func(r *rig) {
			atBackup(restoreOpen)(r)
			r.choose("With the password")
		}},
		{"restore-open-destroyed", destroyed, "restore/where", func(r *rig) {
			atBackup(restoreOpen)(r)
			r.choose("With the password")
		}},
		{"restore-what", safe, "restore/what", nil},
		{"restore-what-some", safe, "restore/what", func(r *rig) { r.choose("Some files"); r.settle() }},
		{"restore-when", safe, "restore/when", nil},
		{"restore-when-versions", safe, "restore/what", func(r *rig) {
			r.restore.state.some, r.restore.state.paths = true, []string{canned.Home + "/Documents/recipes.txt"}
			r.restore.goTo(restoreWhen)
			r.settle()
		}},
		{"restore-target", safe, "restore/target", nil},
		{"restore-before", safe, "restore/target", func(r *rig) { r.restore.goTo(restoreBefore); r.settle() }},
		{"restore-before-tight", func() *canned.Coffer {
			c := safe()
			c.Plan.Free = 12e9
			return c
		}, "restore/target", func(r *rig) { r.restore.goTo(restoreBefore); r.settle() }},
		{"restore-running", hold(safe), "restore/target", func(r *rig) {
			r.restore.goTo(restoreRunning)
			r.until("progress", func() bool { return strings.Contains(r.text(), "12,044") })
		}},
		{"restore-done", safe, "restore/target", func(r *rig) { r.restore.goTo(restoreRunning); r.settle() }},
		{"restore-nothing", func() *canned.Coffer {
			c := safe()
			c.Receipt.Restored, c.Receipt.Verified, c.Receipt.Bytes, c.Receipt.Failed = 0, 0, 0, 40152
			return c
		}, "restore/target", func(r *rig) { r.restore.goTo(restoreRunning); r.settle() }},
		{"restore-failed", func() *canned.Coffer {
			c := safe()
			c.RestoreErr = canned.Trouble{Code: app.CodeTargetFull}
			return c
		}, "restore/target", func(r *rig) { r.restore.goTo(restoreRunning); r.settle() }},
	}...)
}

// tell shows a story.
func (s story) tell(r *rig) {
	if s.open != "" {
		r.open(s.open)
	}
	if s.do != nil {
		s.do(r)
	}
	r.layOut()
}

func file(name string) string { return strings.ReplaceAll(name, "/", "-") }

// TestStories compares the markup of every screen and state with its golden file.
func TestStories(t *testing.T) {
	list := stories()
	if len(list) < 60 {
		t.Fatalf("only %d stories", len(list))
	}
	for i, s := range list {
		if cloudtest.Race && i%3 != 0 {
			continue // what races does so in many stories; all of them are told without the race detector
		}
		t.Run(s.name, func(t *testing.T) {
			c := s.coffer()
			c.Kept.Theme = "light"
			r := newRig(t, c)
			s.tell(r)
			if gap := regexp.MustCompile(`<no value>|(?m)^[a-z-]+(\.[a-z-]+)+$`).FindString(r.text()); gap != "" {
				t.Errorf("the page says %q", gap)
			}
			if *pictures != "" {
				savePicture(t, filepath.Join(*pictures, s.name+".png"), r.window.Canvas().Capture())
			}
			golden(t, filepath.Join("testdata", "stories", s.name+".xml"), []byte(test.RenderToMarkup(r.window.Canvas())))
		})
	}
}

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("%v (go test ./ui -update writes it)", err)
	}
	if bytes.Equal(got, want) {
		return
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s:%d\n got %s\nwant %s", name, i+1, strings.TrimSpace(g[i]), strings.TrimSpace(w[i]))
		}
	}
	t.Fatalf("%s: %d lines, want %d", name, len(g), len(w))
}

func savePicture(t *testing.T, name string, img image.Image) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A view is a story as a picture: in a language, a theme and a size of text.
type view struct {
	story, language, theme string
	scale                  float64
	size                   fyne.Size
}

// views are the key screens as people see them. 900 x 600 is the smallest window.
func views() []view {
	usual, least := fyne.NewSize(1000, 680), fyne.NewSize(900, 600)
	list := []view{
		{"setup-guide", "de", "light", 1, usual},
		{"places-trouble", "de", "light", 1, usual},
		{"setup-s3-more", "de", "light", 2, least},
		{"setup-sign-in", "de", "light", 2, least},
		{"setup-alarm-why", "de", "light", 2, least},
		{"place-copying", "de", "light", 2, least},
		{"home-late", "de", "light", 1, usual},
		{"setup-password", "de", "dark", 1, usual},
		{"key-move-sign-in", "de", "dark", 2, least},
		{"restore-open-vault-wrong", "de", "light", 2, least},
		{"home-safe", "en", "light", 2, least},
		{"setup-sheet-saved", "en", "light", 2, least},
	}
	for _, name := range []string{
		"start", "setup-promise", "setup-sources", "setup-lock", "setup-key", "setup-ready",
		"setup-where", "setup-guide", "setup-sign-in", "setup-found", "setup-host", "setup-alarm", "setup-vault-about", "setup-vault-alarm", "key-move-done", "places", "place-test",
		"home-safe", "home-working", "home-danger", "restore-open-wrong", "restore-before", "restore-done",
	} {
		list = append(list, view{name, "en", "light", 1, usual}, view{name, "en", "dark", 1, usual})
	}
	return list
}

func (v view) file() string {
	name := v.story + "-" + v.theme
	if v.language != "en" {
		name += "-" + v.language
	}
	if v.scale != 1 {
		name += "-200"
	}
	return name + ".png"
}

// TestPictures compares pictures of the key screens.
func TestPictures(t *testing.T) {
	if testing.Short() {
		t.Skip("pictures take a while; markup says nearly as much")
	}
	list := views()
	if cloudtest.Race { // to paint takes long there, and nothing else runs meanwhile: all of them are painted without
		list = oneOfEachKind(list)
	}
	byName := map[string]story{}
	for _, s := range stories() {
		byName[s.name] = s
	}
	for _, v := range list {
		t.Run(v.file(), func(t *testing.T) {
			s, ok := byName[v.story]
			if !ok {
				t.Fatalf("no story %s", v.story)
			}
			c := s.coffer()
			c.Kept.Theme, c.Kept.Language, c.Kept.TextScale = v.theme, v.language, v.scale
			r := newRigSized(t, c, v.size)
			s.tell(r)
			comparePicture(t, filepath.Join("testdata", "pictures", v.file()), r.window.Canvas().Capture())
		})
	}
}

// oneOfEachKind leaves one view of each language, theme and size of text.
func oneOfEachKind(list []view) []view {
	type kind struct {
		language, theme string
		scale           float64
	}
	seen := map[kind]bool{}
	return slices.DeleteFunc(list, func(v view) bool {
		k := kind{v.language, v.theme, v.scale}
		known := seen[k]
		seen[k] = true
		return known
	})
}

// maxDifferent is the share of pixels that may differ: rounding differs between processors.
const maxDifferent = 0.002

func comparePicture(t *testing.T, name string, got image.Image) {
	t.Helper()
	if *update {
		savePicture(t, name, got)
		return
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatalf("%v (go test ./ui -update writes it)", err)
	}
	defer f.Close()
	want, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if got.Bounds() != want.Bounds() {
		t.Fatalf("%s is %v, want %v", name, got.Bounds(), want.Bounds())
	}
	different := 0
	b := got.Bounds()
	g, w := opaque(got), opaque(want)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if !near(g, w, g.PixOffset(x, y)) {
				different++
			}
		}
	}
	if share := float64(different) / float64(b.Dx()*b.Dy()); share > maxDifferent {
		failed := filepath.Join("testdata", "failed", filepath.Base(name))
		savePicture(t, failed, got)
		t.Errorf("%.2f %% of %s differs; see %s", 100*share, name, failed)
	}
}

// opaque draws a picture over black, where all have the same bytes for the same pixel: to ask
// each pixel for its colour takes longer than to draw the window.
func opaque(img image.Image) *image.RGBA {
	flat := image.NewRGBA(img.Bounds())
	draw.Draw(flat, flat.Rect, image.Black, image.Point{}, draw.Src)
	draw.Draw(flat, flat.Rect, img, flat.Rect.Min, draw.Over)
	return flat
}

// near compares the pixels of two pictures of one size at an offset.
func near(a, b *image.RGBA, at int) bool {
	const tolerance = 11 // of 255
	p, q := a.Pix[at:at+3:at+3], b.Pix[at:at+3:at+3]
	return within(p[0], q[0], tolerance) && within(p[1], q[1], tolerance) && within(p[2], q[2], tolerance)
}

func within(a, b, tolerance uint8) bool { return max(a, b)-min(a, b) <= tolerance }
