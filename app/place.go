package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"coffer/app/repo"
	"coffer/app/source"
	"coffer/cloud"
	"coffer/crypto"
	"coffer/vault"
)

// PlaceInfo is what can be seen of a place without a key.
type PlaceInfo struct {
	Kind        string // scheme of the [PlaceKind]
	Dest        string // canonical
	Exists      bool
	Writable    bool  // as far as can be seen without writing
	Free, Total int64 // bytes; -1 not known
	Backups     []BackupInfo
	Foreign     int       // files there that are not Coffer's, counted to 10,000
	Account     string    // "ann@example.org", or ""
	Server      string    // what the server says of itself, or ""
	Promises    []Promise // what the place can and cannot keep, as far as its kind tells
}

// BackupInfo is what a place says about one backup. Nothing of it is verified: the place
// may lie until a key has been tried.
type BackupInfo struct {
	Repository string // 32 hex digits
	Computer   string // that made it; any text at all
	OS         string
	MadeAt     time.Time // zero when all heads are lost
	Ways       []WayIn
	Newest     time.Time // of the newest snapshot; zero when not known without the key
	Bytes      int64     // stored in the place; -1 where several backups share it
}

// A WayIn is one way to open a backup.
type WayIn struct {
	Kind          LockKind
	SetAt         time.Time // zero for the 64 digits
	VaultKind     string    // of a password: VaultEmbedded or VaultServer
	VaultComputer string    // ... the computer that an embedded vault is on
	VaultHere     bool      // ... and whether that is this computer's vault
	Usable        bool      // it can be tried from here: by VaultHere, or because its vault is on a network; true for other ways
	VaultName     string    // of a vault on a network: who runs it, when it was asked; else ""
	VaultAddress  string    // ... host:port
	Hardware      bool      // ... and that its keys cannot be copied off a disk
	Enforced      string    // ... and who counts the tries: EnforcedByProgram, ...; "" not known
	Refusal       Failure   // why the vault did not answer; zero: it did, or was not asked
	Tries         int       // limit; 0 where there is none
	TriesLeft     int       // -1 unknown
	Until         time.Time // no try is taken before this; zero: now
	State         string    // of the vault record, in its words; "" not asked or not to be had
}

// A SourceSuggestion is a folder of the user that most people want to keep.
type SourceSuggestion struct {
	ID   string // "documents", "pictures", "desktop", "videos", "music", "downloads"
	Path string
}

// An Exclude is a pattern that is left out by default.
type Exclude struct {
	Pattern string
	Reason  string
}

const (
	// probeFile begins the name of a file that is made and removed to see whether a
	// folder takes files. Package durable removes what a crash leaves of such names.
	probeFile  = ".coffer-tmp-"
	maxForeign = 10_000
)

// InspectPlace looks at a place without changing it. A place that does not exist is no
// error: Exists is false, and Setup can make it.
func (a *App) InspectPlace(ctx context.Context, dest string) (PlaceInfo, error) {
	store, err := a.openDest(ctx, dest, false)
	info, err := a.inspect(ctx, store, err)
	if err != nil {
		return info, fmt.Errorf("inspect place: %w", err)
	}
	return info, nil
}

// inspect looks at what came of opening a place, and closes it. Whether a place exists may
// show at the first request only.
func (a *App) inspect(ctx context.Context, store *placeStore, err error) (PlaceInfo, error) {
	info := PlaceInfo{Kind: store.entry.Kind, Dest: store.entry.Dest, Free: -1, Total: -1}
	if err == nil {
		defer store.Close()
		err = store.at(a.look(ctx, store, &info))
	}
	if isAbsent(err) {
		return PlaceInfo{Kind: info.Kind, Dest: info.Dest, Free: -1, Total: -1}, nil
	}
	return info, err
}

func (a *App) look(ctx context.Context, store *placeStore, info *PlaceInfo) error {
	found, err := readHeads(ctx, store.Store)
	if err != nil {
		return err
	}
	if info.Backups, err = a.backupsIn(ctx, store.Store, found); err != nil {
		return err
	}
	info.Exists, info.Writable = true, true
	if dir := store.entry.Dir; dir != "" {
		info.Writable, info.Foreign = takesFiles(dir), countForeign(dir)
	}
	if room, err := store.Capacity(ctx); err == nil {
		info.Free, info.Total = room.Free, room.Total
	}
	store.learn()
	info.Account = store.entry.Options[OptionAccount]
	if d, ok := store.driver.(cloud.Describer); ok {
		if said, err := d.Describe(ctx); err == nil {
			info.Server = said.Server
			if said.Account != "" {
				info.Account = said.Account
			}
		}
	}
	info.Promises = promisesOf(store.Caps())
	return nil
}

// promisesOf is what a kind of place says of itself; TestPlace finds out more.
func promisesOf(c cloud.Caps) []Promise {
	promise := func(name string, kept bool) Promise {
		if kept {
			return Promise{Name: name, Kept: PromiseKept}
		}
		return Promise{Name: name, Kept: PromiseNot}
	}
	return []Promise{
		promise(PromiseListed, c.ListAfterPut),
		promise(PromiseFirst, c.PutIfAbsent),
		promise(PromiseResumes, c.ResumePut),
		promise(PromiseVersions, c.Versions),
		promise(PromiseLocked, c.Lock),
		promise(PromiseChecksum, c.ServerSum != ""),
		promise(PromiseRemote, c.RemoteConfirm),
	}
}

// WaysIn returns the ways into one backup of a place, and asks the vault how many tries
// are left, which charges nothing. repository may be "" when the place holds only one.
func (a *App) WaysIn(ctx context.Context, dest, repository string) ([]WayIn, error) {
	store, err := a.openDest(ctx, dest, false)
	if err != nil {
		return nil, fmt.Errorf("find ways in: %w", err)
	}
	defer store.Close()
	found, err := readHeads(ctx, store.Store)
	if err != nil {
		return nil, fmt.Errorf("find ways in: %w", err)
	}
	id, err := found.choose(repository)
	if err != nil {
		return nil, fmt.Errorf("find ways in: %w", err)
	}
	heads := found.of(id)
	if len(heads) == 0 {
		return []WayIn{wayByKey()}, nil
	}
	ways := a.ways(&heads[0])
	if heads[0].Vault == nil {
		return ways, nil
	}
	for i := range ways {
		if ways[i].Kind == LockPassword && ways[i].Usable {
			a.askVault(ctx, vaultSlot(heads[0].Vault), &ways[i])
		}
	}
	return ways, nil
}

// ways lists what a head says, without asking anybody.
func (a *App) ways(h *repo.Head) []WayIn {
	ways := []WayIn{wayByKey()}
	if v := h.Vault; v != nil {
		way := a.wayByVault(vaultSlot(v))
		way.SetAt, way.Tries = unixTime(v.SetAt), v.Tries
		ways = append(ways, way)
	}
	if h.Passphrase != nil {
		ways = append(ways, WayIn{Kind: LockPassphrase, SetAt: unixTime(h.Passphrase.SetAt), TriesLeft: -1, Usable: true})
	}
	return ways
}

func wayByKey() WayIn { return WayIn{Kind: LockKey, TriesLeft: -1, Usable: true} }

// wayByVault says where the vault of a slot is, as far as this computer knows.
func (a *App) wayByVault(slot vault.Slot) WayIn {
	way := WayIn{Kind: LockPassword, VaultKind: VaultEmbedded, VaultComputer: slot.Computer, TriesLeft: -1}
	if _, remote := remoteLink(slot); !remote {
		way.VaultHere = a.vaultHere(repoSlot(slot))
		way.Usable = way.VaultHere
		return way
	}
	ref := a.refOf(slot)
	way.VaultKind, way.VaultComputer, way.Usable = VaultServer, "", true
	way.VaultName, way.VaultAddress, way.Hardware = ref.Name, ref.Address, ref.Hardware
	if ref.Sealer != "" {
		way.Enforced = enforcedBy(ref.Sealer)
	}
	return way
}

func unixTime(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func (a *App) backupsIn(ctx context.Context, store *cloud.Store, found placeHeads) ([]BackupInfo, error) {
	bytes := int64(-1)
	if len(found.ids) == 1 {
		bytes = 0
		for object, err := range store.List(ctx, "") {
			if err != nil {
				return nil, err
			}
			bytes += object.Size
		}
	}
	var list []BackupInfo
	for _, id := range found.ids {
		info := BackupInfo{Repository: id.String(), Bytes: bytes, Ways: []WayIn{wayByKey()}}
		if heads := found.of(id); len(heads) > 0 {
			h := &heads[0]
			info.Computer, info.OS, info.MadeAt, info.Ways = h.Computer, h.OS, unixTime(h.MadeAt), a.ways(h)
		}
		list = append(list, info)
	}
	return list, nil
}

// placeHeads is what a place says about the backups in it.
type placeHeads struct {
	heads []repo.Head           // newest generation first; not verified
	ids   []crypto.RepositoryID // each once
}

func readHeads(ctx context.Context, store *cloud.Store) (placeHeads, error) {
	heads, err := repo.ReadHeads(ctx, store)
	if err != nil {
		return placeHeads{}, err
	}
	ids, err := repo.IDs(ctx, store)
	if err != nil {
		return placeHeads{}, err
	}
	return placeHeads{heads: heads, ids: ids}, nil
}

func (p placeHeads) mustHold(repository string) error {
	for _, id := range p.ids {
		if id.String() == repository {
			return nil
		}
	}
	if len(p.ids) == 0 {
		return ErrPlaceForeign
	}
	return ErrPlaceOther
}

// of returns the heads of one backup, newest generation first.
func (p placeHeads) of(id crypto.RepositoryID) []repo.Head {
	var list []repo.Head
	for _, h := range p.heads {
		if h.Repository == id {
			list = append(list, h)
		}
	}
	return list
}

// choose finds the backup that is meant: the only one, or the one whose id begins so.
func (p placeHeads) choose(repository string) (crypto.RepositoryID, error) {
	var match []crypto.RepositoryID
	for _, id := range p.ids {
		if strings.HasPrefix(id.String(), strings.ToLower(repository)) {
			match = append(match, id)
		}
	}
	switch {
	case len(p.ids) == 0:
		return crypto.RepositoryID{}, ErrPlaceForeign
	case len(match) == 0:
		return crypto.RepositoryID{}, ErrPlaceOther
	case len(match) > 1:
		return crypto.RepositoryID{}, ErrPlaceMany
	}
	return match[0], nil
}

// verified returns the newest head that the keys verify, and how many newer ones of the
// same backup do not; nil when none does.
func (p placeHeads) verified(keys *crypto.Keys) (head *repo.Head, forged int) {
	heads := p.of(keys.Repository())
	for i := range heads {
		if heads[i].Verify(keys) == nil {
			return &heads[i], i
		}
	}
	return nil, len(heads)
}

// wrongKey says whose backup the key opens, when the place knows it.
func (p placeHeads) wrongKey(root RootKey) error {
	keys := root.Derive()
	defer keys.Wipe()
	if head, _ := p.verified(keys); head != nil {
		return &KeyOfOtherError{Computer: head.Computer, MadeAt: unixTime(head.MadeAt)}
	}
	return ErrWrongKey
}

// takesFiles makes a file and removes it: permission bits do not say what a network mount,
// a read-only disk or an access list will.
func takesFiles(dir string) bool {
	path := filepath.Join(dir, fmt.Sprintf("%s%016x", probeFile, time.Now().UnixNano()))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	return errors.Join(f.Close(), os.Remove(path)) == nil
}

func countForeign(dir string) int {
	f, err := os.Open(dir)
	if err != nil {
		return 0
	}
	defer f.Close()
	names, _ := f.Readdirnames(maxForeign) // what was read before an error counts
	count := 0
	for _, name := range names {
		if !cloud.ValidName(name) && !strings.HasPrefix(name, probeFile) {
			count++
		}
	}
	return count
}

// SuggestedSources returns the well-known folders of the user that exist.
func (a *App) SuggestedSources(ctx context.Context) []SourceSuggestion {
	var list []SourceSuggestion
	for _, f := range source.Folders(a.cfg.UserHome, a.cfg.Getenv) {
		if ctx.Err() != nil {
			break
		}
		list = append(list, SourceSuggestion{ID: f.ID, Path: f.Path})
	}
	return list
}

// MeasureSource counts what a backup of path would read, without what is left out: by
// the profile, or, before there is one, by DefaultExcludes, which a first run in the window
// offers. progress, if not nil, hears the sums so far.
func (a *App) MeasureSource(ctx context.Context, path string, progress func(files, bytes int64)) (files, bytes int64, err error) {
	exclude := a.Settings().Exclude
	if !a.IsSetUp() {
		exclude = DefaultPatterns()
	}
	rules, err := source.ParseRules(exclude)
	if err != nil {
		return 0, 0, err
	}
	files, bytes, err = source.Measure(ctx, path, rules, progress)
	if err != nil {
		return files, bytes, fmt.Errorf("measure source: %w", err)
	}
	return files, bytes, nil
}

// DefaultExcludes returns what a first run offers to leave out on this system. They hold
// only where they are among the patterns of a profile: what nobody chose to leave out is
// backed up.
func DefaultExcludes() []Exclude {
	var list []Exclude
	for _, d := range source.DefaultRules(runtime.GOOS) {
		list = append(list, Exclude{Pattern: d.Pattern, Reason: d.Reason})
	}
	return list
}

// DefaultPatterns are the patterns of DefaultExcludes.
func DefaultPatterns() []string {
	var lines []string
	for _, d := range DefaultExcludes() {
		lines = append(lines, d.Pattern)
	}
	return lines
}
