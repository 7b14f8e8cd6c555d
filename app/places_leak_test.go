package app_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
)

// No secret of a place is in a log, an error, a printed value or a file of the profile that
// is not sealed, whatever goes wrong and wherever it is kept.
func TestSecretsOfPlacesAreNowhere(t *testing.T) {
	for _, keep := range []app.KeepKey{app.KeepKeyring, app.KeepFile} {
		t.Run(string(keep), func(t *testing.T) {
			w := apptest.New(t)
			c := w.Computer("ANN-LAPTOP")
			var log lockedBuffer
			c.Config.Log = newDebugLog(&log)
			c.Restart()
			texts := tellEverything(t, w, c, keep)
			if log.Len() == 0 || len(texts) < 15 {
				t.Fatalf("%d bytes of log, %d texts: the test looks at nothing", log.Len(), len(texts))
			}
			mustNotTell(t, "the log", log.Bytes())
			for i, text := range texts {
				mustNotTell(t, fmt.Sprintf("text %d", i), []byte(text))
			}
			files := 0
			must(t, filepath.WalkDir(c.Home, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				files++
				data, err := os.ReadFile(path)
				mustNotTell(t, path, data)
				return err
			}))
			if files < 5 {
				t.Errorf("only %d files in the profile", files)
			}
			if _, err := os.Stat(filepath.Join(c.Home, "state", "device.key")); (err == nil) != (keep == app.KeepFile) {
				t.Errorf("the device key: %v", err)
			}
		})
	}
}

const proxyPassword = "pw-of-the-proxy-41"

// tellEverything goes through what can be done and what can go wrong, and returns what was
// said on the way.
func tellEverything(t *testing.T, w *apptest.World, c *apptest.Computer, keep app.KeepKey) (texts []string) {
	t.Helper()
	m := guarded(w, "a")
	m.SignedIn = true
	m.SetAccount("ann@example.org")
	tell := func(value any, err error) {
		texts = append(texts, fmt.Sprintf("%v %+v %#v %v %+v", value, value, value, err, app.Explain(err)))
	}
	must(t, c.App.SaveSettings(app.Settings{Proxy: "http://ann@proxy:1", Sources: []string{c.Docs}}))
	connection := withSecret(m.Dest, "password", placePassword)
	tell(connection, nil)
	tell(c.App.Connect(t.Context(), connection)) // without the token
	tell(c.App.SignIn(t.Context(), withSecret(m.Dest, "password", "wrong-"+placePassword), browser))
	tell(c.App.SignIn(t.Context(), withSecret(m.Dest, "password", placePassword), browser))
	made := setup(t, w, c, func(o *app.SetupOptions) {
		o.To, o.Lock, o.Secret, o.KeepKey = m.Dest, app.LockKey, app.Secret{}, keep
	})
	tell(made.Notices, nil)
	must(t, c.App.SaveProxyPassword(t.Context(), password(proxyPassword)))
	mustBackup(t, c)
	for _, err := range []error{
		cloud.ErrAuth, cloud.ErrOffline, cloud.ErrFull, cloud.ErrTrashed, cloud.ErrAccount, cloud.ErrDenied, cloud.ErrProxy,
		&cloud.IdentityError{Kind: cloud.HostKey, Host: "h", Known: "SHA256:a", Offered: "SHA256:b"},
	} {
		m.Fail(err)
		tell(c.App.Backup(t.Context(), app.BackupOptions{}))
		tell(c.App.ChangePlace(t.Context(), m.Dest, withSecret("", "password", placePassword)))
		m.Fail(nil)
	}
	tell(c.App.ChangePlace(t.Context(), m.Dest, withSecret("", "password", "wrong-"+placePassword)))
	tell(c.App.ChangePlace(t.Context(), m.Dest, withSecret("mem:none", "password", placePassword)))
	tell(c.App.Places())
	tell(c.App.Overview(t.Context()))
	tell(c.App.InspectPlace(t.Context(), m.Dest))
	tell(c.App, nil)
	tell(c.Config, nil)
	m.SetAccount("eve@example.org")
	tell(c.App.SignIn(t.Context(), withSecret(m.Dest, "password", placePassword), browser))
	tell(nil, c.App.Disconnect(t.Context(), m.Dest))
	return texts
}

func mustNotTell(t *testing.T, where string, data []byte) {
	t.Helper()
	for _, secret := range []string{placePassword, proxyPassword, "token of "} {
		for _, form := range [][]byte{
			[]byte(secret), []byte(base64.StdEncoding.EncodeToString([]byte(secret)))[:8], fmt.Appendf(nil, "%x", secret),
			bytes.Trim(fmt.Append(nil, []byte(secret)), "[]"), // as %v prints bytes
		} {
			if bytes.Contains(data, form) {
				t.Errorf("%s holds %q", where, form)
			}
		}
	}
}
