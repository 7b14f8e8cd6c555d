package app

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"coffer/internal/durable"
)

// A Profile is what this computer knows of its backup: settings.json, without any secret.
// The zero Profile is that of a computer where nothing is set up.
type Profile struct {
	Repository string       // 32 hex digits; "" before setup
	Places     []placeEntry // at least one after setup, in the order in which they were added
	SetUpAt    time.Time    // on this computer
	KeptIn     KeepKey      // KeepKeyring, KeepFile or KeepAsk
	Lock       LockKind     // the way in that was chosen; the 64 digits are always another

	LockSetAt     time.Time // when password or passphrase were last set, as far as known here
	VaultComputer string    // of a password: where its vault is
	VaultTries    int
	VaultLink     string // ... where it is on a network; without an invitation

	SheetProvenAt   time.Time // zero: not yet
	PracticedAt     time.Time // last right answer
	PracticeSnoozed time.Time // no reminder before this

	Settings
}

// A placeEntry is a place as settings.json keeps it: no secret, see keptSecrets.
type placeEntry struct {
	ID      string // 8 hex digits
	Dest    string // canonical
	Kind    string
	Dir     string // where it is a folder of this computer
	Options map[string]string
	AddedAt time.Time
}

const (
	profileVersion = 2
	profileFile    = "settings.json"

	// What a profile may hold at most of what has no natural limit.
	maxPlaces      = 64
	maxOptions     = 32
	maxOptionBytes = 4 << 10

	// maxProfile bounds what is read: 10,000 patterns of 100 bytes are a megabyte.
	maxProfile = 4 << 20
)

// profileJSON is settings.json, version 2. Times are RFC 3339, absent when zero. Version 1
// had one place, "destination".
type profileJSON struct {
	Version         int         `json:"version"`
	Repository      string      `json:"repository,omitempty"`
	Dest            rawText     `json:"destination,omitempty"`
	Places          []placeJSON `json:"places,omitempty"`
	SetUpAt         time.Time   `json:"set_up_at,omitzero"`
	KeptIn          KeepKey     `json:"key_kept_in,omitempty"`
	Lock            LockKind    `json:"lock,omitempty"`
	LockSetAt       time.Time   `json:"lock_set_at,omitzero"`
	VaultComputer   string      `json:"vault_computer,omitempty"`
	VaultTries      int         `json:"vault_tries,omitempty"`
	VaultLink       string      `json:"vault_link,omitempty"`
	SheetProvenAt   time.Time   `json:"sheet_proven_at,omitzero"`
	PracticedAt     time.Time   `json:"practiced_at,omitzero"`
	PracticeSnoozed time.Time   `json:"practice_snoozed_until,omitzero"`
	Sources         []rawText   `json:"sources,omitempty"`
	Exclude         []rawText   `json:"exclude,omitempty"`
	Language        string      `json:"language,omitempty"`
	Theme           string      `json:"theme,omitempty"`
	TextScale       float64     `json:"text_scale,omitempty"`
	MemoryMiB       int         `json:"memory_mib,omitempty"`
	Paper           string      `json:"paper,omitempty"`
	UploadLimit     int64       `json:"upload_limit,omitempty"`
	DownloadLimit   int64       `json:"download_limit,omitempty"`
	Proxy           string      `json:"proxy,omitempty"`
	CAFile          rawText     `json:"ca_file,omitempty"`
	Metered         string      `json:"metered,omitempty"`
}

type placeJSON struct {
	ID      string             `json:"id"`
	Dest    rawText            `json:"destination"`
	Kind    string             `json:"kind"`
	Dir     rawText            `json:"folder,omitempty"`
	Options map[string]rawText `json:"options,omitempty"`
	AddedAt time.Time          `json:"added_at,omitzero"`
}

// rawText is a path: any bytes. JSON has only Unicode, so that a name in another encoding
// is written as {"base64": "..."}; a path that came back changed would not be backed up.
type rawText string

// MarshalJSON implements json.Marshaler.
func (t rawText) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(rawBytes{Base64: []byte(t)})
}

type rawBytes struct {
	Base64 []byte `json:"base64"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *rawText) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.DisallowUnknownFields()
		var raw struct {
			Base64 *string `json:"base64"`
		}
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		if raw.Base64 == nil {
			return errors.New("path without bytes")
		}
		text, err := base64.StdEncoding.Strict().DecodeString(*raw.Base64)
		*t = rawText(text)
		return err
	}
	var s string
	err := json.Unmarshal(b, &s)
	*t = rawText(s)
	return err
}

func rawTexts(list []string) []rawText {
	var out []rawText
	for _, s := range list {
		out = append(out, rawText(s))
	}
	return out
}

func plainTexts(list []rawText) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

func encodeProfile(p Profile) ([]byte, error) {
	data, err := json.MarshalIndent(profileJSON{
		Version: profileVersion, Repository: p.Repository, Places: placesJSON(p.Places), SetUpAt: p.SetUpAt,
		KeptIn: p.KeptIn, Lock: p.Lock, LockSetAt: p.LockSetAt,
		VaultComputer: p.VaultComputer, VaultTries: p.VaultTries, VaultLink: p.VaultLink,
		SheetProvenAt: p.SheetProvenAt, PracticedAt: p.PracticedAt, PracticeSnoozed: p.PracticeSnoozed,
		Sources: rawTexts(p.Sources), Exclude: rawTexts(p.Exclude), Language: p.Language, Theme: p.Theme,
		TextScale: p.TextScale, MemoryMiB: p.MemoryMiB, Paper: p.Paper,
		UploadLimit: p.UploadLimit, DownloadLimit: p.DownloadLimit, Proxy: p.Proxy,
		CAFile: rawText(p.CAFile), Metered: p.Metered,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	return append(data, '\n'), nil
}

// parseProfile reads settings.json strictly: a field that it does not know could be one
// that says what to leave out, and ignoring that would back up what should not be.
func parseProfile(data []byte) (Profile, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return Profile{}, fmt.Errorf("%w: %w", ErrProfileDamaged, err)
	}
	if version.Version > profileVersion {
		return Profile{}, ErrProfileNewer
	}
	var j profileJSON
	if err := decodeStrictly(data, &j); err != nil {
		return Profile{}, err
	}
	places, err := j.places()
	if err != nil {
		return Profile{}, fmt.Errorf("%w: %w", ErrProfileDamaged, err)
	}
	p := Profile{
		Repository: j.Repository, Places: places, SetUpAt: j.SetUpAt, KeptIn: j.KeptIn,
		Lock: j.Lock, LockSetAt: j.LockSetAt, VaultComputer: j.VaultComputer, VaultTries: j.VaultTries,
		VaultLink:     j.VaultLink,
		SheetProvenAt: j.SheetProvenAt, PracticedAt: j.PracticedAt, PracticeSnoozed: j.PracticeSnoozed,
		Settings: Settings{
			Sources: plainTexts(j.Sources), Exclude: plainTexts(j.Exclude), Language: j.Language,
			Theme: j.Theme, TextScale: j.TextScale, MemoryMiB: j.MemoryMiB, Paper: j.Paper,
			UploadLimit: j.UploadLimit, DownloadLimit: j.DownloadLimit, Proxy: j.Proxy,
			CAFile: string(j.CAFile), Metered: j.Metered,
		},
	}
	if err := p.check(); err != nil {
		return Profile{}, fmt.Errorf("%w: %w", ErrProfileDamaged, err)
	}
	return p, nil
}

// check refuses what this program would never have written.
func (p Profile) check() error {
	if p.Repository == "" {
		if len(p.Places) > 0 || p.KeptIn != "" || p.Lock != "" {
			return errors.New("a place or a key without a repository")
		}
		return p.Settings.check()
	}
	if !isHex(p.Repository, 32) {
		return errors.New("the repository is not 32 digits")
	}
	if err := checkPlaces(p.Places); err != nil {
		return err
	}
	switch p.KeptIn {
	case KeepKeyring, KeepFile, KeepAsk:
	default:
		return errors.New("unknown place of the key")
	}
	switch p.Lock {
	case LockPassword, LockPassphrase, LockKey:
	default:
		return errors.New("unknown way in")
	}
	return p.Settings.check()
}

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// decodeStrictly reads a file of the profile: one JSON value, nothing that v does not know,
// nothing after it. ErrProfileDamaged.
func decodeStrictly(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrProfileDamaged, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: more than one value", ErrProfileDamaged)
	}
	return nil
}

// loadProfile reads settings.json; the zero Profile when there is none.
func (a *App) loadProfile() (Profile, error) {
	data, err := readBounded(filepath.Join(a.cfg.Home, profileFile), maxProfile)
	if errors.Is(err, fs.ErrNotExist) {
		return Profile{}, nil
	}
	if err != nil {
		return Profile{}, fmt.Errorf("read settings: %w", err)
	}
	p, err := parseProfile(data)
	if err != nil {
		return Profile{}, fmt.Errorf("read settings: %w", err)
	}
	return p, nil
}

// profile is loadProfile for what needs a backup: ErrNotSetUp when there is none.
func (a *App) profile() (Profile, error) {
	p, err := a.loadProfile()
	if err != nil {
		return Profile{}, err
	}
	if p.Repository == "" {
		return Profile{}, ErrNotSetUp
	}
	return p, nil
}

// changeProfile reads the profile, lets change alter it, and writes it, while no other
// process does the same. That lock is held for moments, unlike the profile's own: settings
// can be changed while a backup runs.
func (a *App) changeProfile(change func(*Profile) error) error {
	unlock, err := waitLock(filepath.Join(a.stateDir(), "settings.lock"), settingsLockWait)
	if err != nil {
		return fmt.Errorf("lock settings: %w", err)
	}
	defer unlock()
	p, err := a.loadProfile()
	if err != nil {
		return err
	}
	if err := change(&p); err != nil {
		return err
	}
	return a.storeProfile(p)
}

func (a *App) storeProfile(p Profile) error {
	data, err := encodeProfile(p)
	if err != nil {
		return err
	}
	if _, err := parseProfile(data); err != nil {
		return fmt.Errorf("check settings: %w", err) // never write what we would refuse to read
	}
	if err := durable.WriteFile(filepath.Join(a.cfg.Home, profileFile), data, 0o600); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// IsSetUp reports whether this profile has a backup. Of a profile that cannot be read it
// says yes: what is there must not be set up over.
func (a *App) IsSetUp() bool {
	p, err := a.loadProfile()
	return err != nil || p.Repository != ""
}

// readBounded reads a whole file that must not be larger than limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: %s is too large", ErrProfileDamaged, filepath.Base(path))
	}
	return data, nil
}

// removeFile removes a file of the profile. That there is none is no error.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
