package wiring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"coffer/app"
	"coffer/cloud"
)

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestFolders(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the paths below are those of Linux; foldersOf is tested for all systems")
	}
	home := t.TempDir()
	for name, tt := range map[string]struct {
		flag       string
		env        map[string]string
		home, dirs string
	}{
		"nothing set":      {"", nil, home + "/.config/coffer", home + "/.local/share/coffer/vault"},
		"XDG":              {"", map[string]string{"XDG_CONFIG_HOME": home + "/c", "XDG_DATA_HOME": home + "/d"}, home + "/c/coffer", home + "/d/coffer/vault"},
		"relative XDG":     {"", map[string]string{"XDG_CONFIG_HOME": "c", "XDG_DATA_HOME": "d"}, home + "/.config/coffer", home + "/.local/share/coffer/vault"},
		"COFFER_HOME":      {"", map[string]string{"COFFER_HOME": home + "/p"}, home + "/p", home + "/p/vault"},
		"-C":               {home + "/q", map[string]string{"COFFER_HOME": home + "/p"}, home + "/q", home + "/q/vault"},
		"COFFER_VAULT_DIR": {home + "/q", map[string]string{"COFFER_VAULT_DIR": home + "/v"}, home + "/q", home + "/v"},
	} {
		t.Run(name, func(t *testing.T) {
			values := map[string]string{"HOME": home}
			for k, v := range tt.env {
				values[k] = v
			}
			cfg, err := Config(tt.flag, env(values))
			if err != nil || cfg.Home != tt.home || cfg.VaultDir != tt.dirs || cfg.UserHome != home || cfg.Computer == "" {
				t.Errorf("home %q, vault %q, %v; want %q, %q", cfg.Home, cfg.VaultDir, err, tt.home, tt.dirs)
			}
			if _, err := os.Stat(cfg.Home); !errors.Is(err, os.ErrNotExist) {
				t.Error("reading the configuration made the profile folder")
			}
		})
	}
	if _, err := Config("", env(map[string]string{"HOME": "relative"})); err == nil && os.Getenv("HOME") == "" {
		t.Error("no home folder, and no error")
	}
}

func TestFoldersOfOtherSystems(t *testing.T) {
	abs := t.TempDir()
	win := foldersOf("windows", abs, env(map[string]string{"AppData": abs + "/R", "LocalAppData": abs + "/L"}))
	if win.config != filepath.Join(abs, "R", "Coffer") || win.data != filepath.Join(abs, "L", "Coffer") {
		t.Errorf("windows: %+v", win)
	}
	mac := foldersOf("darwin", abs, env(nil))
	if want := filepath.Join(abs, "Library", "Application Support", "Coffer"); mac.config != want || mac.data != want {
		t.Errorf("darwin: %+v", mac)
	}
}

func TestWaits(t *testing.T) {
	for text, want := range map[string]string{
		"": "[]", "none": "[]", "0,0,0,1m,5m": "[0s 0s 0s 1m0s 5m0s]", "1s , 2h": "[1s 2h0m0s]",
	} {
		got, err := parseWaits(text)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if (got == nil) != (text == "") {
			t.Errorf("%q: nil means the default list, empty means none: %#v", text, got)
		}
	}
	for _, text := range []string{"-1s", "soon", "1", ",", "none,1s", strings.Repeat("1s,", 65)} {
		if got, err := parseWaits(text); err == nil {
			t.Errorf("%q: taken as %v", text, got)
		}
		if _, err := Config(t.TempDir(), env(map[string]string{"HOME": t.TempDir(), "COFFER_VAULT_WAITS": text})); err == nil {
			t.Errorf("%q: taken by Config", text)
		}
	}
}

func open(ctx context.Context, dest string, create bool) (app.OpenedPlace, error) {
	c, err := newConnector("", env(nil))
	if err != nil {
		return app.OpenedPlace{}, err
	}
	return c.Open(ctx, app.PlaceRequest{Dest: dest, Create: create, Secrets: secrets()})
}

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("place", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(dir, "place")
	for _, dest := range []string{"place", "./place", "folder:place", "FOLDER:" + want, want, want + "/", "file/../place"} {
		p, err := open(t.Context(), dest, false)
		if err != nil || p.Driver == nil || p.Dest != want || p.Dir != want || p.Kind != "folder" {
			t.Errorf("%q: %+v, %v", dest, p, err)
		}
	}
	for dest, class := range map[string]error{
		"none": cloud.ErrNoPlace, "": cloud.ErrNoPlace, "folder:": cloud.ErrNoPlace, "a\x00b": cloud.ErrNoPlace, "file": app.ErrPlaceNotFolder,
	} {
		if _, err := open(t.Context(), dest, false); !errors.Is(err, class) {
			t.Errorf("%q: %v, want %v", dest, err, class)
		}
	}
}

func TestOnlyTheLastFolderOfAPlaceIsMade(t *testing.T) {
	dir := t.TempDir()
	made := filepath.Join(dir, "new:with a colon")
	if _, err := open(t.Context(), made, true); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(made)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	deep := filepath.Join(dir, "not there", "place")
	if _, err := open(t.Context(), deep, true); !errors.Is(err, cloud.ErrNoPlace) {
		t.Errorf("got %v, want ErrNoPlace", err)
	}
	if _, err := os.Stat(filepath.Dir(deep)); !errors.Is(err, os.ErrNotExist) {
		t.Error("a parent was made")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(ctx, made, false); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

func TestLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	log, err := openLog(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("a log that nobody has written to was made")
	}
	log.Debug("not this")
	log.Info("this", "n", 1)
	data, err := os.ReadFile(filepath.Join(dir, logFile))
	if err != nil {
		t.Fatal(err)
	}
	var line struct {
		Msg string
		N   int
	}
	if err := json.Unmarshal(data, &line); err != nil || line.Msg != "this" || line.N != 1 {
		t.Errorf("the log holds %q, %v", data, err)
	}
	if info, err := os.Stat(filepath.Join(dir, logFile)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for level, want := range map[string]bool{"debug": true, "warn": true, "error": true, "off": true, "loud": false, "INFO": false, "info+4": false} {
		if _, err := openLog(dir, level); (err == nil) != want {
			t.Errorf("level %q: %v", level, err)
		}
	}
}

// Two processes write one log: no line is cut, and there are never more than two files.
func TestLogIsRotated(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, logFile)
	const lines, limit = 400, 4 << 10
	var wait sync.WaitGroup
	for range 2 {
		log := slog.New(slog.NewJSONHandler(&rotating{path: path, limit: limit}, nil))
		wait.Go(func() {
			for i := range lines {
				log.Info("a line", "i", i)
			}
		})
	}
	wait.Wait()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || len(data) > limit+4096 {
			t.Errorf("%s has %d bytes, %v", e.Name(), len(data), err)
		}
		for line := range strings.Lines(string(data)) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: %q", e.Name(), line)
			}
		}
	}
}

func TestALogThatCannotBeWrittenStopsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := openLog(filepath.Join(file, "log"), "info")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("into nothing")
}

// A computer without a desktop is told at once that there is no keyring.
func TestNoSessionBusMeansNoKeyring(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a session bus")
	}
	run := t.TempDir()
	if err := os.WriteFile(filepath.Join(run, "bus"), nil, 0o600); err != nil { // not a socket
		t.Fatal(err)
	}
	for _, values := range []map[string]string{nil, {"XDG_RUNTIME_DIR": run}, {"XDG_RUNTIME_DIR": "relative"}} {
		start := time.Now()
		_, err := openKeyring(env(values)).Get(t.Context(), "account")
		if !errors.Is(err, app.ErrNoKeyring) || time.Since(start) > 2*time.Second {
			t.Errorf("%v: %v after %v", values, err, time.Since(start))
		}
	}
}
