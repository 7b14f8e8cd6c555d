package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

func TestAdvisePassword(t *testing.T) {
	for text, want := range map[string]app.PasswordProblem{
		"":                             app.PasswordTooShort,
		"7 chars":                      app.PasswordTooShort,
		"Zürich7":                      app.PasswordTooShort, // 8 bytes, 7 characters
		"Zu\u0308rich7":                app.PasswordTooShort, // 8 code points, 7 characters after NFC
		"12345678":                     app.PasswordCommon,
		"password1":                    app.PasswordCommon,
		"qwertyuiop":                   app.PasswordCommon,
		"aaaaaaaaaaaa":                 app.PasswordCommon,
		"P@ssw0rd":                     app.PasswordCommon,
		"ANN-LAPTOP":                   app.PasswordWeak, // the computer's own name
		"tab\tinside it":               app.PasswordCharacters,
		"\xff\xfe\xfd\xfc\xfb\xfa\xf9": app.PasswordCharacters,
		strings.Repeat("x7 Qm ", 200):  app.PasswordTooLong,
		"correct-horse-7-battery":      app.PasswordFine,
		"Zürich liegt am See":          app.PasswordFine,
		"密码比较长的一个例子":                   app.PasswordFine,
		"k8#vQ2!m":                     app.PasswordFine,
	} {
		got := app.AdvisePassword(password(text), []string{"ANN-LAPTOP", "/home/ann"})
		if got.Problem != want || got.OK != (want == app.PasswordFine) {
			t.Errorf("%.30q: %+v, want %q", text, got, want)
		}
	}
	got := app.AdvisePassword(password(" kettle 48 moss "), nil)
	if !got.OK || !slices.Equal(got.Warnings, []string{app.WarnLeadingSpace, app.WarnTrailingSpace}) {
		t.Errorf("spaces at both ends: %+v", got)
	}
}

func TestAdvisePassphrase(t *testing.T) {
	for text, want := range map[string]app.PasswordProblem{
		"k8#vQ2!mZ":                           app.PasswordWeak, // strong, and too short for nobody counting
		"passwordpasswordpassword":            app.PasswordCommon,
		"the quick brown":                     app.PasswordWeak,
		"abacus abacus abacus abacus abacus":  app.PasswordWeak, // five words, one of them
		apptest.Passphrase:                    app.PasswordFine,
		"Vier Kühe tanzen 1987 auf dem Dach!": app.PasswordFine,
		"12345":                               app.PasswordTooShort,
	} {
		if got := app.AdvisePassphrase(password(text), nil); got.Problem != want {
			t.Errorf("%q: %+v, want %q", text, got, want)
		}
	}
}

func TestSuggestedWordsAreTakenAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		words := app.SuggestWords(5)
		if got := app.AdvisePassphrase(words, nil); !got.OK {
			t.Errorf("five suggested words are refused: %+v", got)
		}
		words.Expose(func(b []byte) {
			list := strings.Fields(string(b))
			if len(list) != 5 || seen[string(b)] {
				t.Errorf("%d words, seen before: %v", len(list), seen[string(b)])
			}
			seen[string(b)] = true
		})
	}
}

// The estimator's cost grows fast with the length; typing must stay live.
func TestAdviceIsFastForAnyInput(t *testing.T) {
	start := time.Now()
	for _, text := range []string{strings.Repeat("a", 1024), strings.Repeat("12/31/1999", 100), strings.Repeat("pa55w0rd", 128), strings.Repeat("é", 500)} {
		app.AdvisePassword(password(text), []string{strings.Repeat("long name ", 1000)})
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func FuzzAdvise(f *testing.F) {
	for _, text := range []string{"", "password1", "Zu\u0308rich", "\xff", "tabaa1990-01-01qwerty"} {
		f.Add(text, "ANN-LAPTOP")
	}
	f.Fuzz(func(t *testing.T, text, input string) {
		for _, got := range []app.PasswordAdvice{
			app.AdvisePassword(password(text), []string{input}), app.AdvisePassphrase(password(text), []string{input}),
		} {
			if got.OK != (got.Problem == app.PasswordFine) || got.Score < 0 || got.Score > 4 {
				t.Errorf("%+v", got)
			}
		}
	})
}

func TestPractice(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	setup(t, w, c, nil)
	for text, want := range map[string]bool{apptest.Password: true, apptest.Password2: false, "": false, "\xff": false} {
		if right, err := c.App.PracticePassword(t.Context(), password(text)); right != want || err != nil {
			t.Errorf("practice: %v, %v, want %v", right, err, want)
		}
	}
	status, err := c.App.VaultStatus(t.Context())
	if err != nil || status.Left != status.Tries || status.Tries != 10 {
		t.Errorf("after practice the vault says %d of %d, %v", status.Left, status.Tries, err)
	}
	if err := c.App.SnoozePractice(); err != nil {
		t.Error(err)
	}
}

func TestChangePassword(t *testing.T) {
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	made := setup(t, w, ann, nil)
	mustExplain(t, ann.App.ChangePassword(t.Context(), password("password1")), app.CodePasswordCommon)
	if err := ann.App.ChangePassword(t.Context(), password(apptest.Password2)); err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, w, ann, made.Key, apptest.Password2)
	old := w.Computer("OLD-PASSWORD")
	old.Config.VaultDir = ann.Config.VaultDir
	old.Restart()
	_, err := old.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: app.LockPassword, Secret: password(apptest.Password)})
	mustExplain(t, err, app.CodeWrongPassword)
}

// A backup with the digits alone gets its first password; one with a passphrase gets
// another passphrase, for there is no vault that it asked for.
func TestChangeOfOtherLocks(t *testing.T) {
	w := apptest.New(t)
	ann := w.Computer("ANN-LAPTOP")
	made := setup(t, w, ann, func(o *app.SetupOptions) { o.Lock = app.LockKey })
	_, err := ann.App.PracticePassword(t.Context(), password(apptest.Password))
	mustExplain(t, err, app.CodeNoSuchWay)
	if err := ann.App.ChangePassword(t.Context(), password(apptest.Password)); err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, w, ann, made.Key, apptest.Password)

	w = apptest.New(t)
	bob := w.Computer("BOB-PC")
	setup(t, w, bob, func(o *app.SetupOptions) { o.Lock, o.Secret = app.LockPassphrase, password(apptest.Passphrase) })
	mustExplain(t, bob.App.ChangePassword(t.Context(), password("k8#vQ2!m")), app.CodePassphraseWeak)
	const next = "mossy kettle violin harbor cactus"
	if err := bob.App.ChangePassword(t.Context(), password(next)); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]app.Code{apptest.Passphrase: app.CodeWrongPassphrase, next: ""} {
		eve := w.Computer("EVE-" + string(want))
		_, err := eve.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: app.LockPassphrase, Secret: password(text)})
		mustExplain(t, err, want)
	}
}

// The vault of the old password is on another computer: the new one goes into this one's.
func TestChangePasswordWhereTheVaultIsElsewhere(t *testing.T) {
	w := apptest.New(t)
	ann, bob := w.Computer("ANN-LAPTOP"), w.Computer("BOB-PC")
	made := setup(t, w, ann, nil)
	if _, err := bob.App.Open(t.Context(), app.OpenOptions{From: w.Place, Lock: app.LockKey, Key: made.Key}); err != nil {
		t.Fatal(err)
	}
	status, err := bob.App.VaultStatus(t.Context())
	if err != nil || status.Here || status.Computer != "ANN-LAPTOP" || status.Left != -1 {
		t.Errorf("before: %+v, %v", status, err)
	}
	if err := bob.App.ChangePassword(t.Context(), password(apptest.Password2)); err != nil {
		t.Fatal(err)
	}
	mustBeWhole(t, w, bob, made.Key, apptest.Password2)
	_, err = ann.App.WaysIn(t.Context(), w.Place, made.Repository)
	if err != nil {
		t.Error(err)
	}
}

// Whatever fails in the place while the password changes: the same call goes on from there,
// also when another password is chosen, and at no point is the backup without a way in.
func TestChangePasswordCanBeRepeatedAfterEveryFault(t *testing.T) {
	shots := []cloudtest.Shot{
		{Op: cloudtest.Put, At: 1, Fault: cloudtest.Fail},
		{Op: cloudtest.Put, At: 1, Fault: cloudtest.FailDone},
		{Op: cloudtest.Delete, At: 1, Fault: cloudtest.Fail},
		{Op: cloudtest.Delete, At: 1, Fault: cloudtest.FailDone},
		{Op: cloudtest.Get, At: 1, Fault: cloudtest.Fail},
	}
	for _, shot := range shots {
		for _, then := range []string{apptest.Password2, "another one, 33 geese"} {
			if then != apptest.Password2 && (shot.Op != cloudtest.Put || shot.Fault != cloudtest.FailDone) {
				continue // another password is another generation, wherever the first one stopped
			}
			t.Run(fmt.Sprintf("%s %s then %d", shot.Op, shot.Fault, len(then)), func(t *testing.T) { repeatChange(t, shot, then) })
		}
	}
}

func repeatChange(t *testing.T, shot cloudtest.Shot, then string) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	made := setup(t, w, c, nil)
	shot.Err = cloud.ErrDenied
	var faulty *cloudtest.Faulty
	w.Driver = func(d cloud.Driver) cloud.Driver {
		if faulty == nil {
			faulty = cloudtest.NewFaulty(d, shot)
		}
		return faulty
	}
	mustExplain(t, c.App.ChangePassword(t.Context(), password(apptest.Password2)), app.CodePlaceDenied)
	if !faulty.AllFired() {
		t.Fatal("the fault did not happen")
	}
	c.Restart()
	if o, err := c.App.Overview(t.Context()); err != nil || shot.Op != cloudtest.Get && !hasAttention(o, app.AttentionPasswordHalf) {
		t.Errorf("nothing is said of the change that is half done: %v, %v", o.Attention, err)
	}
	w.Driver = nil
	if err := c.App.ChangePassword(t.Context(), password(then)); err != nil {
		t.Fatalf("second change: %v", err)
	}
	mustBeWhole(t, w, c, made.Key, then)
	if o, err := c.App.Overview(t.Context()); err != nil || hasAttention(o, app.AttentionPasswordHalf) {
		t.Errorf("the change is still said to be half done: %v", err)
	}
}

func hasAttention(o app.Overview, code app.AttentionCode) bool {
	return slices.ContainsFunc(o.Attention, func(a app.Attention) bool { return a.Code == code })
}
