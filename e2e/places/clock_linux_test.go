package places

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coffer/app"
	"coffer/app/apptest"
	"coffer/cloud"
	"coffer/cloud/cloudtest"
	"coffer/cloud/drive"
	"coffer/cloud/drive/drivetest"
)

// These troubles take minutes or a day, so the command line is left out and the clock is
// that of a bubble.

// ann is a computer with a backup in the world's place.
func ann(t *testing.T, w *apptest.World) *apptest.Computer {
	t.Helper()
	c := w.Computer("ann")
	_, err := c.App.Setup(t.Context(), app.SetupOptions{
		To: w.Place, Sources: []string{c.Docs}, Lock: app.LockKey, KeepKey: app.KeepFile,
	})
	must(t, err)
	_, err = c.App.Backup(t.Context(), app.BackupOptions{})
	must(t, err)
	return c
}

// wantSnapshots requires so many, the newest of them whole.
func wantSnapshots(t *testing.T, c *apptest.Computer, n int) {
	t.Helper()
	all, err := c.App.Snapshots(t.Context())
	must(t, err)
	if len(all) != n {
		t.Fatalf("%d snapshots, want %d", len(all), n)
	}
	_, err = c.App.Check(t.Context(), app.CheckOptions{ReadData: true})
	must(t, err)
}

// TestServerHangsForHours: no request is ever answered. A backup ends by itself with its
// sentence, and so does a look at the snapshots; the next backup goes on.
func TestServerHangsForHours(t *testing.T) {
	begin(t)
	synctest.Test(t, func(t *testing.T) {
		w := apptest.New(t)
		c := ann(t, w)
		must(t, os.WriteFile(filepath.Join(c.Docs, "new"), []byte("new"), 0o600))
		w.Driver = func(d cloud.Driver) cloud.Driver {
			var plan []cloudtest.Shot
			for _, op := range []cloudtest.Op{cloudtest.Put, cloudtest.Get, cloudtest.List, cloudtest.Delete, cloudtest.Stat} {
				plan = append(plan, cloudtest.Shot{Op: op, Fault: cloudtest.Hang})
			}
			return cloudtest.NewFaulty(d, plan...)
		}
		for what, do := range map[string]func() error{
			"backup":    func() error { _, err := c.App.Backup(t.Context(), app.BackupOptions{}); return err },
			"snapshots": func() error { _, err := c.App.Snapshots(t.Context()); return err },
		} {
			began := time.Now()
			if code := app.Explain(do()).Code; code != app.CodePlaceOffline {
				t.Errorf("%s, while the server hangs: %s", what, code)
			}
			if took := time.Since(began); took > time.Hour {
				t.Errorf("%s ended after %v", what, took)
			}
		}
		w.Driver = nil
		_, err := c.App.Backup(t.Context(), app.BackupOptions{})
		must(t, err)
		wantSnapshots(t, c, 2)
	})
}

// oneToken is a sign-in that is kept in memory.
type oneToken struct {
	mu    sync.Mutex
	token drive.Token // guarded by mu
}

func (k *oneToken) Load(context.Context) (drive.Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.token, nil
}

func (k *oneToken) Save(_ context.Context, t drive.Token) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.token = t
	return nil
}

// TestDailyLimit: Google takes no more bytes today, and calls it a rate. After minutes of
// nothing else the backup says until when, and the next day it goes on.
func TestDailyLimit(t *testing.T) {
	begin(t)
	synctest.Test(t, func(t *testing.T) {
		f := drivetest.New(t)
		client, err := drive.ParseClient(f.ClientJSON(""))
		must(t, err)
		tokens := &oneToken{token: drive.NewToken(f.SignedIn(drivetest.Alice()), drive.Account{})}
		state := t.TempDir()
		w := apptest.New(t)
		w.Driver = func(cloud.Driver) cloud.Driver {
			d, err := drive.New(drive.Config{Client: client, Tokens: tokens, Create: true, State: state, Endpoint: f.Endpoint(), Transport: f.Transport()})
			must(t, err)
			return d
		}
		c := ann(t, w)
		must(t, os.WriteFile(filepath.Join(c.Docs, "new"), []byte("new"), 0o600))
		for _, op := range []drivetest.Op{drivetest.Session, drivetest.Small, drivetest.Chunk} {
			f.Plan(drivetest.Fault{Op: op, Kind: drivetest.Refuse, Status: http.StatusForbidden, Reason: "userRateLimitExceeded", Times: -1})
		}
		began := time.Now()
		_, err = c.App.Backup(t.Context(), app.BackupOptions{})
		failure := app.Explain(err)
		if failure.Code != app.CodePlaceLimit {
			t.Fatalf("a backup past the limit of the day: %+v after %v, %v", failure, time.Since(began), err)
		}
		until, err := time.Parse(time.RFC3339, failure.Args["until"])
		must(t, err)
		if left := until.Sub(began); left < 23*time.Hour || left > 25*time.Hour {
			t.Errorf("it goes on after %v", left)
		}
		if took := time.Since(began); took > time.Hour {
			t.Errorf("it took %v to find out", took)
		}
		f.Heal()
		time.Sleep(25 * time.Hour)
		_, err = c.App.Backup(t.Context(), app.BackupOptions{})
		must(t, err)
		wantSnapshots(t, c, 2)
	})
}
