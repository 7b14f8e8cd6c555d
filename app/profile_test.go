package app

import (
	"bytes"
	"errors"
	"fmt"
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
			UploadLimit: 5e5, DownloadLimit: 2e6, Proxy: "http://proxy:8080", CAFile: "/home/ann/\xff.pem", Metered: MeteredGoOn,
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
	swap := func(old, other string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the settings: the test changes nothing", old)
		}
		return strings.Replace(good, old, other, 1)
	}
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"newer":             {swap(`"version": 2`, `"version": 3`), ErrProfileNewer},
		"no version":        {swap(`"version": 2`, `"version": 0`), ErrProfileDamaged},
		"unknown field":     {swap(`"theme"`, `"root_key": "", "theme"`), ErrProfileDamaged},
		"two values":        {good + "{}", ErrProfileDamaged},
		"short repository":  {swap(`0f0f`, `0f`), ErrProfileDamaged},
		"capitals":          {swap(`0f0f`, `0F0F`), ErrProfileDamaged},
		"unknown keep":      {swap(`"key_kept_in": "file"`, `"key_kept_in": "cloud"`), ErrProfileDamaged},
		"unknown lock":      {swap(`"lock": "password"`, `"lock": "pin"`), ErrProfileDamaged},
		"relative source":   {swap(`"/home/ann/Bücher"`, `"ann"`), ErrProfileDamaged},
		"bad base64":        {swap(`"base64": "`, `"base64": "*`), ErrProfileDamaged},
		"huge text":         {swap(`1.5`, `1e9`), ErrProfileDamaged},
		"two versions":      {swap(`"places"`, `"destination": "/x", "places"`), ErrProfileDamaged},
		"places in the old": {swap(`"version": 2`, `"version": 1`), ErrProfileDamaged},
		"one id twice":      {swap(`ffffffff`, `0a1b2c3d`), ErrProfileDamaged},
		"short id":          {swap(`ffffffff`, `fffffff`), ErrProfileDamaged},
		"id of a path":      {swap(`ffffffff`, `../../..`), ErrProfileDamaged},
		"no destination":    {swap(`"sftp://ann@example.org/~/coffer"`, `""`), ErrProfileDamaged},
		"no kind":           {swap(`"kind": "sftp"`, `"kind": ""`), ErrProfileDamaged},
		"kind of words":     {swap(`"kind": "sftp"`, `"kind": "S F T P"`), ErrProfileDamaged},
		"empty option":      {swap(`"SHA256:abc"`, `""`), ErrProfileDamaged},
		"option of words":   {swap(`"host-key"`, `"Host Key"`), ErrProfileDamaged},
		"field of a place":  {swap(`"kind": "sftp"`, `"password": "x", "kind": "sftp"`), ErrProfileDamaged},
		"proxy password":    {swap(`"proxy": "http://`, `"proxy": "http://a:b@`), ErrProfileDamaged},
		"metered":           {swap(`"metered": "go-on"`, `"metered": "no"`), ErrProfileDamaged},
		"empty":             {"", ErrProfileDamaged},
		"array":             {"[]", ErrProfileDamaged},
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
	f.Add([]byte(`{"version":1,"repository":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","destination":"/x","key_kept_in":"ask","lock":"key"}`))
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
	for i := range p.Places {
		p.Places[i].AddedAt = p.Places[i].AddedAt.UTC().Round(0)
	}
	return p
}

func FuzzPending(f *testing.F) {
	f.Add([]byte(`{"version":1,"repository":"","slot":{}}`), []byte(`{"version":1,"repository":"00","destination":"/x"}`))
	f.Add([]byte(`{}`), []byte(`{"version":1,"id":"0a1b2c3d","key_kept_in":"file"}`))
	f.Add([]byte(`{}`), []byte(`{"version":1,"repository":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","generation":1,"sealed":"eA=="}`))
	f.Fuzz(func(t *testing.T, vault, setup []byte) {
		if p, err := parsePending(vault); err == nil {
			p.pending()
		}
		if n, err := parsePlaceNote(setup); err == nil && !isHex(n.ID, placeIDSize) {
			t.Errorf("taken: %+v", n)
		}
		if h, err := parseKeptHead(setup); err == nil && (len(h.Sealed) == 0 || !isHex(h.Repository, 32)) {
			t.Errorf("taken: %+v", h)
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

func TestSettingsOfVersionOneAreOnePlace(t *testing.T) {
	const old = `{"version": 1, "repository": "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f", "destination": %s,
		"set_up_at": "2026-03-03T14:02:00Z", "key_kept_in": "ask", "lock": "key"}`
	ids := map[string]bool{}
	for _, dest := range []string{`"/media/place"`, `"/media/other"`, `{"base64": "L3j/"}`} {
		data := fmt.Appendf(nil, old, dest)
		p, err := parseProfile(data)
		if err != nil || len(p.Places) != 1 {
			t.Fatalf("%s: %+v, %v", dest, p, err)
		}
		e := p.Places[0]
		if e.Kind != kindFolder || e.Dir != e.Dest || !e.AddedAt.Equal(p.SetUpAt) || !isHex(e.ID, placeIDSize) || ids[e.ID] {
			t.Errorf("%s: %+v", dest, e)
		}
		ids[e.ID] = true
		if again, err := parseProfile(mustEncode(t, p)); err != nil || again.Places[0].ID != e.ID {
			t.Errorf("%s: %+v, %v", dest, again, err)
		}
	}
}

func TestSecretsComeBackAsTheyWere(t *testing.T) {
	want := map[string]Secret{
		"password": NewSecret([]byte("pä ss\x00\"")), "client": NewSecret([]byte(`{"installed":{}}`)), "token": NewSecret([]byte{0xff, 0xfe, 0}),
	}
	data, err := encodeSecrets(want)
	if err != nil {
		t.Fatal(err)
	}
	good := bytes.Clone(data)
	got, err := parseSecrets(data)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d secrets, %v", len(got), err)
	}
	for name := range want {
		if !got[name].Equal(want[name]) {
			t.Errorf("%s came back as something else", name)
		}
	}
	if bytes.ContainsFunc(data, func(r rune) bool { return r != 0 }) {
		t.Error("what was parsed was not wiped")
	}
	for n := range len(good) - 1 {
		if _, err := parseSecrets(bytes.Clone(good[:n])); !errors.Is(err, ErrProfileDamaged) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(good), err)
		}
	}
	for _, bad := range []string{"[]", `{"a": 1}`, `{"a": ""}`, `{"A": "x"}`, `{"": "x"}`, `{"a": "hunter2"} {}`, `{"a": {"base64": "*hunter2"}}`} {
		_, err := parseSecrets([]byte(bad))
		if !errors.Is(err, ErrProfileDamaged) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// What is sealed for one place opens for no other, and not after any change.
func TestSealedSecretsOpenForTheirPlaceAlone(t *testing.T) {
	a := newTestApp(t)
	sealed, err := a.seal("place-0a1b2c3d", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := a.openSealed("place-0a1b2c3d", sealed); err != nil || string(plain) != "secret" {
		t.Errorf("%q, %v", plain, err)
	}
	if _, err := a.openSealed("place-ffffffff", sealed); err == nil {
		t.Error("it opens for another place")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := a.openSealed("place-0a1b2c3d", changed); err == nil {
			t.Fatalf("byte %d was changed, and it opens", i)
		}
	}
	if _, err := newTestApp(t).openSealed("place-0a1b2c3d", sealed); err == nil {
		t.Error("it opens on another computer")
	}
	path := filepath.Join(a.stateDir(), deviceKeyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the device key: %v", err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.seal("x", nil); !errors.Is(err, ErrProfileDamaged) {
		t.Errorf("a key that is too short: %v", err)
	}
}

func FuzzSecrets(f *testing.F) {
	f.Add([]byte(`{"password":"x"}`))
	f.Add([]byte(`{"token":{"base64":"/w=="}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseSecrets(bytes.Clone(data))
		if err != nil {
			return
		}
		again, err := encodeSecrets(list)
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseSecrets(again)
		if err != nil || len(back) != len(list) {
			t.Fatalf("%d secrets came back as %d, %v", len(list), len(back), err)
		}
		for name := range list {
			if !back[name].Equal(list[name]) {
				t.Errorf("%s came back as something else", name)
			}
		}
	})
}

func FuzzProxy(f *testing.F) {
	for _, seed := range []string{"http://a@b:1", "socks5://h", "http://a:b@c", "//h", "http://[::1]:3128", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseProxy(text)
		if err != nil {
			return
		}
		if _, secret := u.User.Password(); secret || u.Hostname() == "" {
			t.Errorf("%q was taken", text)
		}
	})
}
