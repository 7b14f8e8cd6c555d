package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"coffer/app/repo"
	"coffer/crypto"
	"coffer/crypto/aead"
	"coffer/internal/durable"
)

// A session is an open repository: what backup, restore, browse and check begin
// with.
type session struct {
	store   *placeStore
	profile Profile
	keys    *crypto.Keys
	repo    *repo.Repository
	device  deviceState
}

// openSession opens the place that is read, and its repository, with the key that this
// computer keeps.
func (a *App) openSession(ctx context.Context) (*session, error) {
	s, err := a.openKeys(ctx)
	if err != nil {
		return nil, err
	}
	return a.openRepo(ctx, s)
}

// openSessionAt is openSession for one place of the profile, to write there.
func (a *App) openSessionAt(ctx context.Context, e placeEntry) (*session, error) {
	root, err := a.rootKey(ctx)
	if err != nil {
		return nil, err
	}
	defer root.Wipe()
	profile, err := a.profile()
	if err != nil {
		return nil, err
	}
	store, err := a.openEntry(ctx, profile, e)
	if err != nil {
		return nil, err
	}
	s := &session{store: store, profile: profile, keys: root.Derive()}
	a.settleHeads(ctx, store, s.keys)
	a.finishUploads(ctx, store)
	return a.openRepo(ctx, s)
}

// finishUploads ends what a run that was killed had begun to send, before the place is
// listed: objects that are whole are found there, and what is in them is not sent again.
// Trouble is for the log; whoever sends next meets it too.
func (a *App) finishUploads(ctx context.Context, store *placeStore) {
	switch count, err := store.Finish(ctx); {
	case err != nil:
		a.cfg.Log.WarnContext(ctx, "could not finish uploads", "err", err)
	case count > 0:
		a.cfg.Log.InfoContext(ctx, "finished uploads", "count", count)
	}
}

func (a *App) openRepo(ctx context.Context, s *session) (_ *session, err error) {
	s.repo, err = repo.Open(ctx, s.store.Store, s.keys, a.repoOptions())
	if err == nil {
		s.device, err = a.loadDevice(s.store.entry.ID)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// openKeys is openSession without reading the repository.
func (a *App) openKeys(ctx context.Context) (*session, error) {
	root, err := a.rootKey(ctx)
	if err != nil {
		return nil, err
	}
	defer root.Wipe()
	store, profile, err := a.openPlace(ctx)
	if err != nil {
		return nil, err
	}
	return &session{store: store, profile: profile, keys: root.Derive()}, nil
}

// repoOptions divide the memory that a backup may use: with the default of 256 MiB, packs
// of 16 MiB, of which four are in memory, and 32 MiB of segments that were opened.
func (a *App) repoOptions() repo.Options {
	const most = 1 << 30
	memory := int(min(a.cfg.Memory, most))
	return repo.Options{Log: a.cfg.Log, Cache: memory / 8, Pack: memory / 16}
}

func (s *session) close() {
	s.keys.Wipe()
	_ = s.store.Close() // nothing is written by closing
}

// A deviceState is what this profile remembers of the repository in one place, to notice
// when the place shows an older state. Its file is state/places/<id>/device.json. In each
// place this profile is a device of its own: what is in one is not all in the other.
type deviceState struct {
	Version int `json:"version"`
	// Device is this profile's id in snapshots, 32 hex digits.
	Device string `json:"device"`
	// Newest is the newest snapshot known of each device.
	Newest map[string]knownSnapshot `json:"newest"`
	// Lost are snapshots that were known and that the place did not have any more.
	Lost []string `json:"lost,omitempty"`
}

type knownSnapshot struct {
	Sequence uint64 `json:"sequence"`
	Name     string `json:"name"` // 40 hex digits
}

const (
	deviceFile     = "device.json"
	maxDeviceState = 16 << 20
)

// placeDir is what this computer keeps of one place: its device state, the journal of a
// backup, and what the driver keeps.
func (a *App) placeDir(id string) string { return filepath.Join(a.stateDir(), "places", id) }

func (a *App) devicePath(id string) string { return filepath.Join(a.placeDir(id), deviceFile) }

func (a *App) loadDevice(id string) (deviceState, error) {
	data, err := readBounded(a.devicePath(id), maxDeviceState)
	if errors.Is(err, fs.ErrNotExist) {
		return deviceState{Version: 1, Device: hex.EncodeToString(aead.Random(16)), Newest: map[string]knownSnapshot{}}, nil
	}
	if err != nil {
		return deviceState{}, err
	}
	var d deviceState
	if err := json.Unmarshal(data, &d); err != nil || d.Version != 1 || !isHex(d.Device, 32) {
		return deviceState{}, fmt.Errorf("%w: %s", ErrProfileDamaged, filepath.Base(a.devicePath(id)))
	}
	if d.Newest == nil {
		d.Newest = map[string]knownSnapshot{}
	}
	return d, nil
}

func (a *App) storeDevice(id string, d deviceState) error {
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if err := os.MkdirAll(a.placeDir(id), 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	return durable.WriteFile(a.devicePath(id), append(data, '\n'), 0o600)
}

func (d *deviceState) id() (id repo.DeviceID) {
	_, _ = hex.Decode(id[:], []byte(d.Device)) // loadDevice has checked the digits
	return id
}

// note takes over what snapshots say, and returns those that were known and are
// gone: a place that lost them, or shows an old state.
func (d *deviceState) note(snapshots []*repo.Snapshot) (lost []string) {
	have := map[string]bool{}
	for _, s := range snapshots {
		have[s.Name.String()] = true
	}
	for _, known := range d.Newest {
		if !have[known.Name] && !slices.Contains(d.Lost, known.Name) {
			lost = append(lost, known.Name)
		}
	}
	slices.Sort(lost)
	d.Lost = append(d.Lost, lost...)
	for _, s := range snapshots {
		d.know(s)
	}
	return lost
}

func (d *deviceState) know(s *repo.Snapshot) {
	device := hex.EncodeToString(s.Device[:])
	if s.Sequence > d.Newest[device].Sequence {
		d.Newest[device] = knownSnapshot{s.Sequence, s.Name.String()}
	}
}

// A RollbackError is ErrRollback with the snapshots that were known and are
// gone.
type RollbackError struct {
	Snapshots []string  // names, 40 hex digits
	Computer  string    // that made the newest of them; "" not known
	At        time.Time // when; zero: not known
}

func (e *RollbackError) Error() string {
	return fmt.Sprintf("%v: %d known snapshots are gone", ErrRollback, len(e.Snapshots))
}

// Is makes errors.Is(err, ErrRollback) true.
func (e *RollbackError) Is(target error) bool { return target == ErrRollback }

// fingerprint names a set of strings in a file name.
func fingerprint(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// seen returns what this device knows of the others, for its next snapshot.
func (d *deviceState) seen() (all []repo.Seen) {
	for device, known := range d.Newest {
		if device == d.Device {
			continue
		}
		v := repo.Seen{Sequence: known.Sequence}
		name, ok := repo.ParseName(known.Name)
		if n, err := hex.Decode(v.Device[:], []byte(device)); !ok || err != nil || n != len(v.Device) {
			continue
		}
		v.Name = name
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b repo.Seen) int { return bytes.Compare(a.Device[:], b.Device[:]) })
	return all
}

// ownFolders are never backed up: the places, the profile, the vault.
func (a *App) ownFolders(p Profile) []string {
	own := []string{a.cfg.Home, a.cfg.VaultDir}
	for _, e := range p.Places {
		if e.Dir != "" {
			own = append(own, e.Dir)
		}
	}
	return own
}
