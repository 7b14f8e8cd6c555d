package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coffer/app"
	"coffer/app/apptest"
)

func lastNetwork(t *testing.T, w *apptest.World, calls int) app.NetworkSettings {
	t.Helper()
	all := w.Networks()
	if len(all) != calls {
		t.Fatalf("the network was set %d times, want %d: %+v", len(all), calls, all)
	}
	return all[calls-1]
}

func TestTheNetworkIsSetAtOnce(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	if n := lastNetwork(t, w, 1); n.Up != 0 || n.Proxy != "" || n.CAs != nil {
		t.Errorf("at the start: %+v", n)
	}
	cas := filepath.Join(w.Dir, "ca.pem")
	writeFile(t, cas, "-----BEGIN CERTIFICATE-----")
	s := app.Settings{UploadLimit: 500_000, DownloadLimit: 2_000_000, Proxy: "socks5://proxy.example.org:1080", CAFile: cas, Metered: app.MeteredGoOn}
	must(t, c.App.SaveSettings(s))
	n := lastNetwork(t, w, 2)
	if n.Up != 500_000 || n.Down != 2_000_000 || n.Proxy != s.Proxy || string(n.CAs) != "-----BEGIN CERTIFICATE-----" {
		t.Errorf("%+v", n)
	}
	s.Theme = "dark"
	must(t, c.App.SaveSettings(s))
	lastNetwork(t, w, 2) // nothing of it changed
	c.Restart()
	if n := lastNetwork(t, w, 3); n.Up != 500_000 || len(n.CAs) == 0 {
		t.Errorf("after a restart: %+v", n)
	}
	if got := c.App.Settings(); got.UploadLimit != s.UploadLimit || got.Proxy != s.Proxy || got.CAFile != cas || got.Metered != s.Metered {
		t.Errorf("%+v", got)
	}
	setupAt(t, w, c, w.Place)
	if got := c.App.Settings(); got.Proxy != s.Proxy || got.Metered != s.Metered || len(got.Sources) != 1 {
		t.Errorf("after setup: %+v", got)
	}
}

func TestImpossibleNetworksAreRefused(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	for name, s := range map[string]app.Settings{
		"negative": {UploadLimit: -1}, "negative down": {DownloadLimit: -1}, "no scheme": {Proxy: "proxy:8080"},
		"other scheme": {Proxy: "ftp://proxy"}, "no host": {Proxy: "http://"}, "a path": {Proxy: "http://proxy/path"},
		"a password": {Proxy: "http://ann:" + placePassword + "@proxy:8080"}, "not a URL": {Proxy: "http://%zz" + placePassword},
		"relative file": {CAFile: "ca.pem"}, "no file": {CAFile: filepath.Join(w.Dir, "none.pem")}, "metered": {Metered: "never"},
	} {
		err := c.App.SaveSettings(s)
		mustExplain(t, err, app.CodeUsage)
		if strings.Contains(err.Error(), placePassword) {
			t.Errorf("%s: the error says %v", name, err)
		}
	}
	if got := c.App.Settings(); got.Proxy != "" || got.CAFile != "" {
		t.Errorf("%+v", got)
	}
}

// The password of a proxy is kept apart, fetched before the first place is reached, and
// never asked for where no network is needed.
func TestTheProxyHasAPassword(t *testing.T) {
	for _, file := range []bool{false, true} {
		w := apptest.New(t)
		c := w.Computer("ANN-LAPTOP")
		if file {
			c.NoKeyring()
		}
		must(t, c.App.SaveProxyPassword(t.Context(), password(placePassword)))
		must(t, c.App.SaveSettings(app.Settings{Proxy: "http://ann@proxy.example.org:8080"}))
		const want = "http://ann:" + placePassword + "@proxy.example.org:8080"
		if n := w.Networks(); n[len(n)-1].Proxy != want {
			t.Errorf("%q", n[len(n)-1].Proxy)
		}
		calls := len(w.Networks())
		c.Restart()
		if c.Keyring != nil {
			c.Keyring.Fail(app.ErrKeyringWaiting)
		}
		if _, err := c.App.InspectPlace(t.Context(), w.Place); err != nil || len(w.Networks()) != calls {
			t.Errorf("a folder was kept from us: %v, %d calls", err, len(w.Networks()))
		}
		if c.Keyring != nil {
			_, err := c.App.InspectPlace(t.Context(), w.Mem("a").Dest)
			mustExplain(t, err, app.CodeKeyringWaiting)
			if w.Mem("a").Opens() != 0 {
				t.Error("the place was reached around the proxy")
			}
			c.Keyring.Fail(nil)
		}
		_, err := c.App.InspectPlace(t.Context(), w.Mem("a").Dest)
		must(t, err)
		if n := lastNetwork(t, w, calls+1); n.Proxy != want {
			t.Errorf("%q", n.Proxy)
		}
		settings, err := os.ReadFile(filepath.Join(c.Home, "settings.json"))
		if err != nil || bytes.Contains(settings, []byte(placePassword)) {
			t.Errorf("the password is in the settings: %v", err)
		}
	}
}

// A certificate file that is gone leaves no network: not one with other rules.
func TestNoPlaceIsReachedWithOtherRules(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	cas := filepath.Join(w.Dir, "ca.pem")
	writeFile(t, cas, "x")
	must(t, c.App.SaveSettings(app.Settings{CAFile: cas}))
	must(t, os.Remove(cas))
	c.Restart()
	m := w.Mem("a")
	_, err := c.App.InspectPlace(t.Context(), m.Dest)
	if f := mustExplain(t, err, app.CodeUsage); f.Args["path"] != cas || m.Opens() != 0 {
		t.Errorf("%v, opened %d times", f, m.Opens())
	}
	_, err = c.App.InspectPlace(t.Context(), w.Place)
	must(t, err)
	writeFile(t, cas, "x")
	_, err = c.App.InspectPlace(t.Context(), m.Dest)
	must(t, err)
}

func TestABackupWaitsOnAMeteredNetwork(t *testing.T) {
	w := apptest.New(t)
	c := w.Computer("ANN-LAPTOP")
	m := w.Mem("a")
	setupAt(t, w, c, m.Dest)
	w.SetMetered(true)
	opens := m.Opens()
	_, err := c.App.Backup(t.Context(), app.BackupOptions{})
	f := mustExplain(t, err, app.CodeMetered)
	if f.Args["place"] != m.Dest || m.Opens() != opens {
		t.Errorf("%v, the place was opened %d times", f, m.Opens()-opens)
	}
	if o, err := c.App.Overview(t.Context()); err != nil || o.State != app.StateWaiting || len(o.Attention) != 0 {
		t.Errorf("home says %+v, %v", o, err)
	}
	_, err = c.App.Backup(t.Context(), app.BackupOptions{Anyway: true})
	must(t, err)
	s := c.App.Settings()
	s.Metered = app.MeteredGoOn
	must(t, c.App.SaveSettings(s))
	_, err = c.App.Backup(t.Context(), app.BackupOptions{})
	must(t, err)
	// A disk costs nothing, and takes the backup alone.
	s.Metered = app.MeteredWait
	must(t, c.App.SaveSettings(s))
	mustAdd(t, c, w.Place)
	summary, err := c.App.Backup(t.Context(), app.BackupOptions{})
	if err != nil || summary.Place != w.Place || len(summary.Places) != 2 {
		t.Errorf("%+v, %v", summary, err)
	}
	// Reading waits for nobody: who restores has decided to.
	must(t, c.App.UsePlace(m.Dest))
	if snapshots, err := c.App.Snapshots(t.Context()); err != nil || len(snapshots) != 2 {
		t.Errorf("%+v, %v", snapshots, err)
	}
	w.SetMetered(false)
	if _, err := c.App.Backup(t.Context(), app.BackupOptions{}); err != nil {
		t.Error(err)
	}
}
