package ui

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"coffer/app"
	"coffer/ui/canned"
)

func kindIn(t *testing.T, scheme string) app.PlaceKind {
	t.Helper()
	for _, k := range canned.UsualKinds() {
		if k.Scheme == scheme {
			return k
		}
	}
	t.Fatalf("no kind %s", scheme)
	return app.PlaceKind{}
}

func TestPlaceName(t *testing.T) {
	speakTest(t, "en")
	short := func(path string) string { return strings.Replace(path, "/home/ann", "~", 1) }
	for dest, want := range map[string]string{
		"/home/ann/Backup":       "~/Backup",
		"folder:/home/ann/B":     "~/B",
		`C:\Backup`:              `C:\Backup`,
		"drive:":                 "Google Drive",
		"drive:Coffer Backups":   "Google Drive",
		"drive:Other":            "Google Drive, Other",
		"icloud:":                "iCloud Drive",
		"s3:https://h.org/b/p":   "b/p on h.org",
		"webdav:https://ann@h/x": "x on h",
		"webdav:https://h":       "h",
		"sftp://ann@h:2222/~/x":  "~/x on h:2222",
		"sftp://h":               "h",
		"rclone:pcloud:Coffer":   "rclone, pcloud:Coffer",
		"newkind:thing":          "newkind:thing",
		"":                       "",
	} {
		if got := placeName(dest, short); got != want {
			t.Errorf("%q is called %q, want %q", dest, got, want)
		}
	}
}

func TestDraft(t *testing.T) {
	for _, c := range []struct{ kind, field, typed, dest string }{
		{"folder", "address", " /media/ann/Backup ", "/media/ann/Backup"},
		{"drive", "folder", "", "drive:"},
		{"drive", "folder", "Ann's", "drive:Ann's"},
		{"icloud", "folder", "", "icloud:"},
		{"s3", "address", "s3.example.org/b", "s3:https://s3.example.org/b"},
		{"s3", "address", "s3:http://127.0.0.1:9000/b", "s3:http://127.0.0.1:9000/b"},
		{"webdav", "address", "https://h/x", "webdav:https://h/x"},
		{"webdav", "address", "WebDAV:https://h/x", "webdav:https://h/x"},
		{"sftp", "address", "ann@h/~/x", "sftp://ann@h/~/x"},
		{"sftp", "address", "sftp://ann@h/~/x", "sftp://ann@h/~/x"},
		{"rclone", "remote", "pcloud:Coffer", "rclone:pcloud:Coffer"},
		{"rclone", "remote", "rclone:pcloud:Coffer", "rclone:pcloud:Coffer"},
	} {
		d := newDraft(kindIn(t, c.kind))
		d.set(c.field, c.typed)
		if got := d.dest(); got != c.dest {
			t.Errorf("%s: %q becomes %q, want %q", c.kind, c.typed, got, c.dest)
		}
	}
}

// TestDraftKnowsWhatIsSecret: a secret goes among the secrets, as it is; nothing that was left
// empty goes anywhere.
func TestDraftKnowsWhatIsSecret(t *testing.T) {
	d := newDraft(kindIn(t, "s3"))
	if d.complete(false) {
		t.Error("an empty form is complete")
	}
	d.set("address", "https://h/b")
	d.set("access-key", " AKIA ")
	if d.complete(false) || !d.complete(true) {
		t.Error("the secret is missing, which counts only when it is not known already")
	}
	d.set("secret-key", " with spaces ")
	d.set("region", "")
	if !d.complete(false) {
		t.Error("not complete")
	}
	c := d.connection()
	if len(c.Options) != 1 || c.Options["access-key"] != "AKIA" {
		t.Errorf("options are %v", c.Options)
	}
	if len(c.Secrets) != 1 {
		t.Fatalf("%d secrets", len(c.Secrets))
	}
	c.Secrets["secret-key"].Expose(func(b []byte) {
		if string(b) != " with spaces " {
			t.Errorf("the secret is %q", b)
		}
	})
	d.forget()
	if len(d.connection().Secrets) != 0 || d.dest() != "s3:https://h/b" {
		t.Error("forget keeps a secret, or forgets the rest")
	}
}

// TestDraftOfAPlace: what is known is filled in, secrets are not, and what was taken away is
// said.
func TestDraftOfAPlace(t *testing.T) {
	p := app.Place{Dest: "s3:https://h/b", Kind: "s3", Options: map[string]string{"access-key": "AKIA", "lock-days": "30", "account": "x"}}
	d := draftOf(kindIn(t, "s3"), p)
	if d.dest() != p.Dest || d.values["lock-days"] != "30" || len(d.values) != 3 {
		t.Errorf("the draft is %v", d.values)
	}
	d.set("lock-days", "")
	c := d.changes(p)
	if days, said := c.Options["lock-days"]; !said || days != "" || len(c.Secrets) != 0 {
		t.Errorf("the changes are %v, %d secrets", c.Options, len(c.Secrets))
	}
	if _, said := c.Options["account"]; said {
		t.Error("an option that is no field was touched")
	}
}

func TestKindsAreSorted(t *testing.T) {
	first, others := sortKinds(append(canned.UsualKinds(), app.PlaceKind{Scheme: "newkind"}))
	var names []string
	for _, k := range append(first, others...) {
		names = append(names, k.Scheme)
	}
	if got := strings.Join(names, " "); got != "drive icloud folder s3 webdav sftp rclone newkind" {
		t.Errorf("kinds are %s", got)
	}
	for why, want := range map[string]string{"": "drive", "no-client": "folder"} {
		if got := likely(canned.Missing("drive", why)); got != want {
			t.Errorf("Drive with %q: %s is chosen", why, got)
		}
	}
	if got := likely(nil); got != "folder" {
		t.Errorf("of nothing %s is chosen", got)
	}
}

func TestEnough(t *testing.T) {
	speakTest(t, "en")
	for _, c := range []struct {
		need spaceNeed
		free int64
		want string // "" for no estimate
	}{
		{spaceNeed{}, 1e12, ""},
		{spaceNeed{first: 300e9}, 200e9, ""},
		{spaceNeed{first: 293e9}, 812e9, "enough for about 4 years"},
		{spaceNeed{first: 100e9}, 125e9, "enough for about 6 months"},
		{spaceNeed{first: 100e9}, 101e9, "enough for a few weeks"},
		{spaceNeed{first: 1e9}, 1e15, "enough for more than 10 years"},
		{spaceNeed{first: 100e9, aDay: 1e9}, 130e9, "enough for a few weeks"},
		{spaceNeed{first: 100e9, aDay: 1e9}, 140e9, "enough for about 1 month"},
		{spaceNeed{first: 0, aDay: 1e9}, 2 * 365e9, "enough for about 2 years"},
	} {
		d, ok := c.need.enoughFor(c.free)
		if got := map[bool]string{true: enoughText(d)}[ok]; got != c.want {
			t.Errorf("%d free for %+v: %q, want %q", c.free, c.need, got, c.want)
		}
	}
}

func TestJudgeClient(t *testing.T) {
	for text, want := range map[string]clientState{
		"":                                 clientEmpty,
		"\n":                               clientEmpty,
		"hello":                            clientNot,
		"{}":                               clientNot,
		"[]":                               clientNot,
		`{"installed":5}`:                  clientNot,
		`{"installed":{"client_id":"x"`:    clientCut,
		`{"web":{"client_id":"x"}}`:        clientWeb,
		`{"type":"service_account"}`:       clientOther,
		`{"refresh_token":"x"}`:            clientOther,
		`{"installed":{}}`:                 clientHalf,
		goodClient:                         clientFine,
		"\ufeff" + goodClient + "\r\n":     clientFine,
		strings.Repeat("{", clientSize+1):  clientNot,
		goodClient + " and something else": clientCut,
	} {
		if got, id := judgeClient(text); got != want || (got == clientFine) != (id != "") {
			t.Errorf("%.60q is %s (%q), want %s", text, got.key(), id, want.key())
		}
	}
	for cut := 1; cut < len(goodClient); cut++ {
		if got, _ := judgeClient(goodClient[:cut]); got == clientFine {
			t.Errorf("fine after %d of %d letters", cut, len(goodClient))
		}
	}
}

func FuzzJudgeClient(f *testing.F) {
	f.Add(goodClient)
	f.Add(`{"web":{}}`)
	f.Add("{")
	f.Fuzz(func(t *testing.T, text string) {
		state, id := judgeClient(text)
		if (state == clientFine) != (id != "") {
			t.Errorf("%q is %s with the id %q", text, state.key(), id)
		}
	})
}

func FuzzPlaceName(f *testing.F) {
	for _, dest := range []string{"/a", "s3:https://a@b/c", "sftp://", "drive:x", "webdav:", "rclone::"} {
		f.Add(dest)
	}
	f.Fuzz(func(t *testing.T, dest string) {
		name := placeName(dest, func(p string) string { return p })
		if utf8.ValidString(dest) && !utf8.ValidString(name) {
			t.Errorf("%q is called %q", dest, name)
		}
		if kind, _ := splitDest(dest); !knownKind(kind) {
			t.Errorf("%q is of the kind %q", dest, kind)
		}
	})
}

func TestSameFingerprint(t *testing.T) {
	f := canned.Fingerprint
	bare := strings.TrimPrefix(f, "SHA256:")
	for typed, want := range map[string]bool{
		f: true, bare: true, " " + bare[:4] + "  " + bare[4:] + "\n": true, "sha256:" + bare: true, bare + "=": true,
		"": false, "SHA256:": false, bare[1:]: false, bare + "A": false, strings.ToLower(bare): false, canned.Other: false, "MD5:" + bare: false,
	} {
		if got := sameFingerprint(typed, f); got != want {
			t.Errorf("%q is the same: %v", typed, got)
		}
	}
	if sameFingerprint("", "") || sameFingerprint("SHA256:", "") {
		t.Error("nothing is the same as nothing")
	}
	rows := fingerprintRows(f)
	if got := strings.ReplaceAll(strings.Join(rows, ""), " ", ""); got != bare || len(rows) != 3 {
		t.Errorf("shown as %q", rows)
	}
}

func TestWaitLeft(t *testing.T) {
	speakTest(t, "en")
	for left, want := range map[time.Duration]string{
		5 * time.Minute: "Coffer waits 4 to 5 minutes more.", 4*time.Minute + 10*time.Second: "Coffer waits 4 to 5 minutes more.",
		4 * time.Minute: "Coffer waits 3 to 4 minutes more.", 61 * time.Second: "Coffer waits 1 to 2 minutes more.",
		time.Minute: "Coffer waits less than a minute more.", 0: "Coffer waits less than a minute more.", -time.Second: "Coffer waits less than a minute more.",
	} {
		if got := waitLeft(left); got != want {
			t.Errorf("%v: %q", left, got)
		}
	}
}

func TestCertificateReason(t *testing.T) {
	speakTest(t, "en")
	for why, want := range map[string]string{
		"expired on 2026-01-31":                      "it was valid until 31 January 2026",
		"not valid before 2027-02-01":                "it is not valid before 1 February 2027",
		"signed by one that expired on 2020-05-05":   "the one who signed it was trusted until 5 May 2020",
		"for another name":                           "it is made for another name",
		"something new of 2020-05-05":                "something new of 2020-05-05",
		"something new":                              "something new",
		"":                                           "",
		"another key than the one that is known":     "it has another key than the one that is known",
		"not signed by anybody this computer trusts": "it is not signed by anybody this computer trusts",
	} {
		if got := certificateReason(why); got != want {
			t.Errorf("%q: %q", why, got)
		}
	}
}

// TestEveryFieldHasItsWords: what package app may ask for has a name and says what it is.
func TestEveryFieldHasItsWords(t *testing.T) {
	english := catalogue(t, "en")
	seen := 0
	for _, k := range canned.UsualKinds() {
		if !knownKind(k.Scheme) {
			t.Errorf("no texts for %s", k.Scheme)
		}
		for _, f := range k.Fields {
			if hiddenField(f.Name) {
				continue
			}
			seen++
			key := "field." + fieldKey(k.Scheme, f.Name)
			if !knownField(k.Scheme, f.Name) || english[key+".label"] == nil || english[key+".hint"] == nil {
				t.Errorf("no texts %s", key)
			}
			if _, example := english[key+".example"]; !example && !f.Secret && f.Name != "plain" && k.Scheme != "drive" {
				t.Errorf("no example for %s", key)
			}
		}
	}
	if seen < 15 {
		t.Fatalf("saw %d fields", seen)
	}
	for _, promise := range []string{
		app.PromiseListed, app.PromiseFirst, app.PromiseResumes, app.PromiseVersions, app.PromiseLocked, app.PromiseChecksum, app.PromiseRemote,
	} {
		for _, kept := range []string{"yes", "no", "unknown"} {
			if english["promise."+promise+"."+kept] == nil || promiseKey(promise) == "" {
				t.Errorf("no text for the promise %s, %s", promise, kept)
			}
		}
	}
	for _, name := range testSteps() {
		if english["test.step."+name] == nil {
			t.Errorf("no text for the step %s", name)
		}
	}
	for _, deed := range []placeDeed{deedTest, deedSignIn, deedLook, deedChange, deedCopy, deedUntrash, deedRemove, deedAgain} {
		if english["places.do."+string(deed)] == nil {
			t.Errorf("no text for the deed %s", deed)
		}
	}
}
