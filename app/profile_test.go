package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func fullProfile() Profile {
	when := time.Date(2026, 3, 3, 14, 2, 0, 0, time.UTC)
	return Profile{
		Repository: strings.Repeat("0f", 16), Places: testPlaces(when), SetUpAt: when, KeptIn: KeepFile,
		Lock: LockPassword, LockSetAt: when, VaultComputer: "ANN-LAPTOP", VaultTries: 10, SheetProvenAt: when,
		PracticedAt: when, PracticeSnoozed: when,
		Settings: Settings{
			Sources: []string{"/home/ann/Bücher", "/home/ann/\xfe\xff", "/home/ann/{\"base64\":\"\"}"}, Exclude: []string{"*.iso", "a\xffb"},
			Language: "pt-BR", Theme: "dark", TextScale: 1.5, MemoryMiB: 512, Paper: "Letter",
		},
	}
}

func testPlaces(when time.Time) []placeEntry {
	return []placeEntry{
		{ID: "0a1b2c3d", Dest: "/media/\xff place", Kind: "folder", Dir: "/media/\xff place", AddedAt: when},
		{ID: "ffffffff", Dest: "sftp://ann@example.org/~/coffer", Kind: "sftp", AddedAt: when, Options: map[string]string{
			"host-key": "SHA256:abc", "key-file": "/home/ann/\xff",
		}},
	}
}

func mustEncode(t testing.TB, p Profile) []byte {
	t.Helper()
	data, err := encodeProfile(p)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestProfileComesBackAsItWas(t *testing.T) {
	for name, want := range map[string]Profile{"full": fullProfile(), "before setup": {Settings: Settings{Language: "de"}}} {
		got, err := parseProfile(mustEncode(t, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v\nwant %+v", name, got, err, want)
		}
	}
}

func TestProfileIsReadStrictly(t *testing.T) {
	good := string(mustEncode(t, fullProfile()))
	swap := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the settings: the test changes nothing", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"newer":            {swap(`"version": 2`, `"version": 3`), ErrProfileNewer},
		"no version":       {swap(`"version": 2`, `"version": 0`), ErrProfileDamaged},
		"unknown field":    {swap(`"theme"`, `"root_key": "", "theme"`), ErrProfileDamaged},
		"two values":       {good + "{}", ErrProfileDamaged},
		"short repository": {swap(`0f0f`, `0f`), ErrProfileDamaged},
		"capitals":         {swap(`0f0f`, `0F0F`), ErrProfileDamaged},
		"unknown keep":     {swap(`"key_kept_in": "file"`, `"key_kept_in": "cloud"`), ErrProfileDamaged},
		"unknown lock":     {swap(`"lock": "password"`, `"lock": "pin"`), ErrProfileDamaged},
		"relative source":  {swap(`"/home/ann/Bücher"`, `"ann"`), ErrProfileDamaged},
		"bad base64":       {swap(`"base64": "`, `"base64": "*`), ErrProfileDamaged},
		"huge text":        {swap(`1.5`, `1e9`), ErrProfileDamaged},
		"empty":            {"", ErrProfileDamaged},
		"array":            {"[]", ErrProfileDamaged},
	} {
		if _, err := parseProfile([]byte(tt.text)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	for n := range len(good) - 1 {
		if _, err := parseProfile([]byte(good[:n])); err == nil {
			t.Fatalf("cut after %d of %d bytes: taken", n, len(good))
		}
	}
}

func FuzzProfile(f *testing.F) {
	f.Add(mustEncode(f, fullProfile()))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseProfile(data)
		if err != nil {
			return
		}
		again, err := parseProfile(mustEncode(t, p))
		if err != nil || !reflect.DeepEqual(normal(p), normal(again)) {
			t.Errorf("%+v came back as %+v, %v", p, again, err)
		}
	})
}

// normal makes times comparable that are the same moment.
func normal(p Profile) Profile {
	for _, at := range []*time.Time{&p.SetUpAt, &p.LockSetAt, &p.SheetProvenAt, &p.PracticedAt, &p.PracticeSnoozed} {
		*at = at.UTC().Round(0)
	}
	return p
}

func FuzzPending(f *testing.F) {
	f.Add([]byte(`{"version":1,"repository":"","slot":{}}`), []byte(`{"version":1,"repository":"00","destination":"/x"}`))
	f.Fuzz(func(t *testing.T, vault, setup []byte) {
		if p, err := parsePending(vault); err == nil {
			p.pending()
		}
		if p, err := parsePendingSetup(setup); err == nil && (p.Dest == "" || !isHex(p.Repository, 32)) {
			t.Errorf("taken: %+v", p)
		}
	})
}

func TestSettings(t *testing.T) {
	a := newTestApp(t)
	want := Settings{Sources: []string{"/home/ann"}, Language: "ja", TextScale: 2, Theme: "light"}
	if err := a.SaveSettings(want); err != nil {
		t.Fatal(err)
	}
	if got := a.Settings(); !reflect.DeepEqual(got, want) || a.IsSetUp() {
		t.Errorf("got %+v, set up %v", got, a.IsSetUp())
	}
	for name, bad := range map[string]Settings{
		"theme": {Theme: "pink"}, "paper": {Paper: "A5"}, "scale": {TextScale: 0.1}, "memory": {MemoryMiB: -1},
		"pattern": {Exclude: []string{"["}}, "nul": {Sources: []string{"/a\x00b"}}, "language": {Language: strings.Repeat("x", 65)},
	} {
		if err := a.SaveSettings(bad); Explain(err).Code != CodeUsage {
			t.Errorf("%s: %v, want a usage error", name, err)
		}
	}
	if got := a.Settings(); !reflect.DeepEqual(got, want) {
		t.Errorf("after refused settings: %+v", got)
	}
	path := filepath.Join(a.cfg.Home, profileFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("settings.json: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte(" "), maxProfile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.loadProfile(); !errors.Is(err, ErrProfileDamaged) || !a.IsSetUp() {
		t.Errorf("a huge file: %v, set up %v", err, a.IsSetUp())
	}
	if err := a.SaveSettings(want); !errors.Is(err, ErrProfileDamaged) {
		t.Errorf("settings were written over a file that cannot be read: %v", err)
	}
}
