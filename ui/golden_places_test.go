package ui

import (
	"strings"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"

	"coffer/app"
	"coffer/ui/canned"
)

// on opens a screen and waits, where its page has another name than the screen.
func on(name string, then ...func(*rig)) func(*rig) {
	return func(r *rig) {
		r.Open(name)
		r.settle()
		for _, do := range then {
			do(r)
		}
	}
}

// answering is a new computer whose places answer in turn.
func answering(answers ...canned.Answer) func() *canned.Coffer {
	return func() *canned.Coffer {
		c := canned.NewComputer()
		c.Answers = answers
		return c
	}
}

func ends(code app.Code, args ...string) canned.Answer {
	f := canned.Trouble{Code: code, Args: map[string]string{}}
	for i := 0; i+1 < len(args); i += 2 {
		f.Args[args[i]] = args[i+1]
	}
	return canned.Answer{Err: f}
}

func newHost() canned.Answer {
	return ends(app.CodePlaceNewHost, "host", "nas.example.org", "offered", canned.Fingerprint)
}

func changedHost() canned.Answer {
	return ends(app.CodePlaceHostKey, "host", "nas.example.org", "known", canned.Fingerprint, "offered", canned.Other)
}

func strangeCertificate(known string) canned.Answer {
	return ends(app.CodePlaceCertificate, "host", "cloud.example.org", "known", known, "offered", canned.Fingerprint,
		"reason", "expired on 2026-01-31")
}

const goodClient = `{"installed":{"client_id":"1234567890-abc.apps.googleusercontent.com","project_id":"coffer","client_secret":"GOCSPX-canned"}}`

// fillServer fills in the form of SFTP and connects.
func fillServer(r *rig) {
	r.fill(0, "ann@nas.example.org/~/coffer")
	r.fill(1, "a password")
	r.tap(say("connect.button"))
}

// noClient is a computer whose Coffer has no Google client of its own.
func noClient(answers ...canned.Answer) func() *canned.Coffer {
	return func() *canned.Coffer {
		c := answering(answers...)()
		c.Kinds = canned.Missing("drive", "no-client")
		return c
	}
}

// waitsInBrowser goes to the sign-in, which does not end.
func waitsInBrowser(r *rig) {
	r.Open("setup/place/drive")
	r.settle()
	r.button(say("drive.next")).press()
	r.until("the browser is open", func() bool { return len(r.opened) > 0 })
}

// runs taps something that starts what does not end by itself.
func runs(text string, until func(*rig) bool) func(*rig) {
	return func(r *rig) {
		r.button(text).press()
		r.until(text, func() bool { return until(r) })
	}
}

// signInAnswer tells how a sign-in ended.
func signInAnswer(code app.Code, args ...string) story {
	name := "setup-sign-in-" + string(code)
	return story{name, answering(ends(code, args...)), "", on("setup/place/drive", func(r *rig) { r.tap(say("drive.next")) })}
}

func placeStories() []story {
	return append(append(connectStories(), whereStories()...),
		signInAnswer(app.CodeSignInRefused), signInAnswer(app.CodeSignInTimeout), signInAnswer(app.CodePlacePermission),
		signInAnswer(app.CodePlaceAccount, "account", "ann@example.org"), signInAnswer(app.CodePlaceClient))
}

// connectStories are how a place is found, in the first run and in the restore wizard.
func connectStories() []story {
	fresh, taken := canned.NewComputer, canned.Taken
	withFolder := func(path string) func(*rig) {
		return on("setup/sources", on("setup/where", chooseFolder, func(r *rig) { r.fill(0, path); r.pass(inspectAfter) }))
	}
	return []story{
		{"setup-where", fresh, "setup/where", nil},
		{"setup-where-more", noClient(), "setup/where", func(r *rig) { r.tap("More places") }},
		{"setup-folder-empty", fresh, "", on("setup/place/folder")},
		{"setup-folder", fresh, "", withFolder("/media/ann/Backup")},
		{"setup-folder-taken", taken, "", withFolder("/media/ann/Backup")},
		{"setup-folder-missing", func() *canned.Coffer {
			c := fresh()
			c.PlaceErr = canned.Trouble{Code: app.CodePlaceMissing}
			return c
		}, "", withFolder("/media/ann/Gone")},
		{"setup-icloud-missing", fresh, "", on("setup/place/icloud")},
		{"setup-rclone-missing", func() *canned.Coffer {
			c := fresh()
			c.Kinds = canned.Missing("rclone", "no-rclone")
			return c
		}, "", on("setup/place/rclone")},
		{"setup-drive", fresh, "", on("setup/place/drive")},
		{"setup-guide", noClient(), "", on("setup/place/drive")},
		{"setup-guide-web", noClient(), "", on("setup/place/drive", func(r *rig) { r.fill(0, `{"web":{"client_id":"x"}}`) })},
		{"setup-guide-fine", noClient(), "", on("setup/place/drive", func(r *rig) { r.fill(0, goodClient) })},
		{"setup-sign-in", hold(answering(canned.Answer{Info: canned.Drive()})), "", waitsInBrowser},
		{"setup-s3", fresh, "", on("setup/place/s3")},
		{"setup-s3-more", fresh, "", on("setup/place/s3", func(r *rig) { tapMore(r) })},
		{"setup-webdav", fresh, "", on("setup/place/webdav")},
		{"setup-sftp", fresh, "", on("setup/place/sftp")},
		{"setup-rclone", fresh, "", on("setup/place/rclone")},
		{"setup-connecting", hold(answering(canned.Answer{Info: canned.Server()})), "", on("setup/place/sftp", func(r *rig) {
			r.fill(0, "ann@nas.example.org/~/coffer")
			r.button("Connect").press()
		})},
		{"setup-sign-in-again", answering(ends(app.CodePlaceSignIn, "place", "sftp://ann@nas.example.org/~/coffer")), "", on("setup/place/sftp", fillServer)},
		{"setup-host", answering(newHost()), "", on("setup/place/sftp", fillServer)},
		{"setup-alarm", answering(changedHost()), "", on("setup/place/sftp", fillServer)},
		{"setup-alarm-why", answering(changedHost()), "", on("setup/place/sftp", fillServer, func(r *rig) {
			r.tap(say("alarm.why"))
			r.fill(0, canned.Fingerprint)
		})},
		{"setup-certificate", answering(strangeCertificate("")), "", on("setup/place/webdav", func(r *rig) {
			r.fill(0, "cloud.example.org/dav")
			r.tap(say("connect.button"))
		})},
		{"setup-certificate-invalid", answering(strangeCertificate(canned.Fingerprint)), "", on("setup/place/webdav", func(r *rig) {
			r.fill(0, "cloud.example.org/dav")
			r.tap(say("connect.button"))
		})},
		{"setup-found", answering(canned.Answer{Info: canned.Drive()}), "", on("setup/sources", on("setup/where", func(r *rig) {
			r.tap("Continue")
			r.tap(say("drive.next"))
		}))},
		{"setup-found-server", answering(canned.Answer{Info: canned.Server()}), "", on("setup/sources", on("setup/place/sftp", fillServer))},
		{"setup-found-taken", answering(takenDrive()), "", on("setup/place/drive", func(r *rig) { r.tap(say("drive.next")) })},
		{"restore-where", taken, "restore/where", nil},
		{"restore-folder-none", fresh, "", on("restore/place/folder", func(r *rig) { r.fill(0, "/media/ann"); r.pass(inspectAfter) })},
		{"restore-drive", fresh, "", on("restore/place/drive")},
		{"restore-empty", answering(canned.Answer{Info: canned.Drive()}), "", on("restore/place/drive", func(r *rig) { r.tap(say("drive.next")) })},
		{"restore-which-drive", answering(takenDrive()), "", on("restore/place/drive", func(r *rig) { r.tap(say("drive.next")) })},
	}
}

func tapMore(r *rig) { r.tap(say("form.more")) }

func takenDrive() canned.Answer {
	info := canned.Drive()
	info.Exists, info.Backups = true, []app.BackupInfo{canned.Backup()}
	return canned.Answer{Info: info}
}

// whereStories are the screen Where and what can be done with a place.
func whereStories() []story {
	two, troubled := canned.TwoPlaces, canned.Troubled
	copying := func() *canned.Coffer {
		c := two()
		c.CopyEnd = app.CopySummary{Objects: 12_840, Copied: 12_840, Bytes: 212e9, Seconds: 7 * 3600}
		return c
	}
	damaged := func() *canned.Coffer {
		c := copying()
		c.CopyEnd.Damaged = []string{"pack-1", "pack-2"}
		return c
	}
	full := func() *canned.Coffer {
		c := copying()
		c.CopyErr = canned.Trouble{Code: app.CodePlaceFull}
		return c
	}
	toCopy := func(r *rig) { r.choose("Google Drive"); r.tap("Continue") }
	return []story{
		{"places-one", canned.Safe, "where", nil},
		{"places", two, "where", nil},
		{"places-trouble", troubled, "where", nil},
		{"places-loading", two, "", func(r *rig) { r.Open("where") }},
		{"places-add", two, "", on("where/add")},
		{"places-add-found", func() *canned.Coffer {
			c := two()
			c.Answers = []canned.Answer{{Info: canned.Server()}}
			return c
		}, "", on("where/add/sftp", fillServer)},
		{"places-add-other", func() *canned.Coffer {
			c := two()
			c.AddErr = canned.Trouble{Code: app.CodePlaceOther}
			c.Answers = []canned.Answer{takenDrive()}
			return c
		}, "", on("where/add/drive", func(r *rig) { r.tap(say("drive.next")); r.tap("Add this place") })},
		{"places-change", troubled, "", on("where/change/2a3b4c5d")},
		{"place-test", two, "", on("where/test/4e5f6a7b")},
		{"place-test-running", hold(two), "", func(r *rig) {
			r.Open("where/test/4e5f6a7b")
			r.until("half of the test", func() bool { return r.page != nil && r.page.name == "where/test" && testsShown(r) == 4 })
		}},
		{"place-test-bad", func() *canned.Coffer {
			c := two()
			c.Trial.Checks[5] = app.PlaceCheck{Name: "delete", Failure: app.Failure{Code: app.CodePlaceDenied}}
			return c
		}, "", on("where/test/4e5f6a7b")},
		{"place-copy", copying, "", on("where/copy/0a1b2c3d")},
		{"place-copying", hold(copying), "", on("where/copy/0a1b2c3d", func(r *rig) {
			r.choose("Google Drive")
			runs(say("button.next"), func(r *rig) bool { return r.copy != nil && r.copy.progress.Bytes > 0 })(r)
		})},
		{"place-copied", copying, "", on("where/copy/0a1b2c3d", toCopy)},
		{"place-copied-damaged", damaged, "", on("where/copy/0a1b2c3d", toCopy)},
		{"place-copy-full", full, "", on("where/copy/0a1b2c3d", toCopy)},
		{"place-remove", two, "", on("where/remove/4e5f6a7b")},
		{"place-remove-disk", two, "", on("where/remove/0a1b2c3d")},
		{"home-places", troubled, "home", nil},
		{"home-offline", func() *canned.Coffer {
			c := canned.Waiting()
			c.Home.Place = "drive:Coffer Backups"
			return c
		}, "home", nil},
		{"settings-proxy", func() *canned.Coffer {
			c := canned.Safe()
			c.Kept.Proxy, c.Kept.UploadLimit, c.Kept.Metered = "socks5://127.0.0.1:1080", 300e3, app.MeteredGoOn
			return c
		}, "settings", nil},
	}
}

// testsShown counts the steps of a test that went well.
func testsShown(r *rig) int {
	n := 0
	r.each(func(o fyne.CanvasObject) {
		if i, ok := o.(*widget.Icon); ok && strings.HasSuffix(i.Resource.Name(), "-ok.svg") {
			n++
		}
	})
	return n
}
