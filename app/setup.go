package app

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"coffer/app/repo"
	"coffer/crypto"
	"coffer/vault"
)

// A LockKind is how people get back in.
type LockKind string

// The ways in. Every backup opens with its 64 digits; a password or a passphrase is one more.
const (
	LockPassword   LockKind = "password"   // guarded by a vault that counts the tries
	LockPassphrase LockKind = "passphrase" // guarded by its length alone
	LockKey        LockKind = "key"        // the 64 digits
)

// KeepKey is where this computer keeps the key between two backups.
type KeepKey string

// Where the key can be kept.
const (
	KeepAuto    KeepKey = ""        // the keyring if one answers, else a file, which a notice says
	KeepKeyring KeepKey = "keyring" // the key store of the operating system
	KeepFile    KeepKey = "file"    // a file in the profile that only this user can read
	KeepAsk     KeepKey = "ask"     // nowhere: asked for each time
)

// A Notice is something that worked, and that the user should know of.
type Notice struct {
	Code NoticeCode
	Args map[string]string // never a secret
}

// A NoticeCode is stable, like a [Code].
type NoticeCode string

// The notices.
const (
	NoticeKeyInFile      NoticeCode = "key-in-file"      // path: whoever reads this file opens the backup
	NoticeKeyNotKept     NoticeCode = "key-not-kept"     // neither keyring nor file took the key: it is asked for
	NoticeVaultHere      NoticeCode = "vault-here"       // computer: the password is lost with this computer
	NoticeVaultServer    NoticeCode = "vault-server"     // name, address: the vault on a network that guards the password
	NoticeVaultSoftware  NoticeCode = "vault-software"   // name, address: that vault's keys are in files, and its program counts the tries
	NoticeVaultWaiting   NoticeCode = "vault-waiting"    // name, address: the vault that was left has not destroyed its record yet
	NoticeOldPlace       NoticeCode = "old-place"        // computer, until: the place shows less than the vault knows of: newer backups are gone
	NoticeSheetNotProven NoticeCode = "sheet-not-proven" // the recovery sheet has not been proven yet
	NoticeNoReadme       NoticeCode = "no-readme"        // the place has a README.txt of somebody else's, which stays
	NoticeForeignFiles   NoticeCode = "foreign-files"    // count: other files lie in the place; they stay
	NoticeOldHead        NoticeCode = "old-head"         // the place has newer heads that this key did not make
	NoticePlaceJoined    NoticeCode = "place-joined"     // place: it held this backup already
	NoticeVaultForgotten NoticeCode = "vault-forgotten"  // an unfinished setup left a record in the vault, whose key is lost
)

// SetupOptions says how a new backup is made.
type SetupOptions struct {
	To          string   // the place, as people write it
	Create      bool     // make the folder of the place when its parent exists
	Sources     []string // paths; may be empty, and given later
	Exclude     []string // patterns of what is left out; the window begins with DefaultPatterns
	Lock        LockKind
	Secret      Secret  // password or passphrase; not used for LockKey
	Key         RootKey // shown and proven before, or the user's own; zero: made inside
	KeepKey     KeepKey
	SheetProven bool // the user proved the recovery sheet before this call

	// Vault is the coffer-vault:// link of the vault that guards the password, which may
	// have an invitation; "" is the vault on this computer.
	Vault string
	// Browser gets the address of a sign-in, once, if that vault wants one; it may also be
	// shown to be copied. Nil: such a vault is [ErrVaultSignIn].
	Browser func(address string) error
}

// A SetupResult is what Setup made.
type SetupResult struct {
	Key        RootKey // the caller shows it, and wipes it
	Repository string  // 32 hex digits
	Notices    []Notice
}

// minFree is how much room a place must have for setting up to make sense, in bytes.
const minFree = 1 << 20

// Setup makes a new backup in a place that has none, and makes this profile its first
// user. In order, so that whatever fails or crashes can be done again:
//
//	all that can be checked here is checked: nothing was written
//	the place is opened, looked into, and written to once (README.txt)
//	what is being made is noted in the profile (state/pending-setup.json)
//	the password goes into the vault (which has its own note, see enroll)
//	the head goes into the place: whoever has the key can open it
//	the key is stored where this computer keeps it
//	the secrets of the place are stored (state/pending-place.json names it until then)
//	settings.json is written: THE COMMIT POINT; now the backup is this profile's
//	the notes are removed
//
// Before the commit point the profile is not set up, and a second Setup with the same
// place takes its own head away and begins anew. The key is stored before the commit point
// and not after it: a profile whose key is nowhere would be one that nobody can use, and a
// key of a backup that did not come about harms nobody.
func (a *App) Setup(ctx context.Context, o SetupOptions) (SetupResult, error) {
	unlock, err := a.lockProfile()
	if err != nil {
		return SetupResult{}, err
	}
	defer unlock()
	s := setup{app: a, opts: o}
	defer s.close()
	for _, step := range []func(context.Context) error{
		s.check, s.openPlace, s.note, s.makeWayIn, s.writeHead, s.commit,
	} {
		if err := ctx.Err(); err != nil {
			return SetupResult{}, context.Cause(ctx)
		}
		if err := step(ctx); err != nil {
			return SetupResult{}, fmt.Errorf("set up: %w", err)
		}
	}
	s.finish(ctx)
	return SetupResult{Key: cloneKey(s.root), Repository: s.keys.Repository().String(), Notices: s.notices}, nil
}

// setup is one call of Setup.
type setup struct {
	app      *App
	opts     SetupOptions
	root     RootKey
	keys     *crypto.Keys
	store    *placeStore // nil until it is open
	head     repo.Head
	vault    vaultTarget
	practice []byte
	profile  Profile
	notices  []Notice
}

func (s *setup) close() {
	if s.store != nil {
		s.store.Close()
	}
	if s.keys != nil {
		s.keys.Wipe()
		s.root.Wipe()
	}
}

func (s *setup) notice(code NoticeCode, args map[string]string) {
	s.notices = append(s.notices, Notice{Code: code, Args: args})
}

// check does all that needs no place.
func (s *setup) check(context.Context) error {
	p, err := s.app.loadProfile()
	if err != nil {
		return err
	}
	if p.Repository != "" {
		return ErrAlreadySetUp
	}
	s.profile = p
	if s.profile.Settings, err = s.app.newSettings(p.Settings, s.opts.Sources, s.opts.Exclude); err != nil {
		return err
	}
	if err := s.app.checkNewSecret(s.opts.Lock, s.opts.Secret); err != nil {
		return err
	}
	if err := s.app.checkKeep(s.opts.KeepKey); err != nil {
		return err
	}
	if s.vault, err = targetOf(s.opts.Vault, s.opts.Browser); err != nil {
		return err
	}
	s.root = NewRootKey()
	if !s.opts.Key.IsZero() {
		s.root.Wipe()
		s.root = cloneKey(s.opts.Key)
	}
	s.keys = s.root.Derive()
	return nil
}

// newSettings are the old ones with sources and patterns that were checked.
func (a *App) newSettings(old Settings, sources, exclude []string) (Settings, error) {
	var err error
	if old.Sources, err = cleanSources(sources); err != nil {
		return Settings{}, err
	}
	old.Exclude = exclude
	if err := old.check(); err != nil {
		return Settings{}, err
	}
	return old, checkSources(old.Sources)
}

func (a *App) checkKeep(keep KeepKey) error {
	switch keep {
	case KeepAuto, KeepFile, KeepAsk:
		return nil
	case KeepKeyring:
		if a.cfg.Keyring == nil {
			return ErrNoKeyring
		}
		return nil
	}
	return fmt.Errorf("%w: place of the key", ErrSettings)
}

func (s *setup) openPlace(ctx context.Context) error {
	if err := s.findPlace(ctx); err != nil {
		return err
	}
	return s.store.at(s.preparePlace(ctx))
}

// findPlace opens the place, or makes it.
func (s *setup) findPlace(ctx context.Context) (err error) {
	// Where the place will be is known before it is made: nothing is made inside a source.
	probe, err := s.app.openDest(ctx, s.opts.To, false)
	if err == nil {
		_ = probe.Store.Close() // nothing was written
	}
	if err := checkApart(probe.entry.Dir, s.profile.Sources); err != nil {
		return probe.at(err)
	}
	if err != nil && !(s.opts.Create && isAbsent(err)) {
		return err
	}
	store, err := s.app.openDest(ctx, s.opts.To, s.opts.Create)
	if err == nil {
		s.store = store
	}
	return err
}

// preparePlace makes sure that the place can take a new backup.
func (s *setup) preparePlace(ctx context.Context) error {
	if err := s.mustBeFree(ctx); err != nil {
		return err
	}
	// The first write: a place that is read-only is found out before a password is set.
	notices, err := s.app.beginPlace(ctx, s.store)
	s.notices = append(s.notices, notices...)
	return err
}

// mustBeFree refuses a place that holds a backup, except what an earlier Setup of this
// profile left there when it did not come to its end.
func (s *setup) mustBeFree(ctx context.Context) error {
	_, some, err := repo.HasObjects(ctx, s.store.Store)
	if err != nil || !some {
		return err
	}
	abandoned, err := s.app.abandonedHeads(ctx, s.store.Store, s.store.entry.Dest)
	if err != nil {
		return err
	}
	if len(abandoned) == 0 {
		return ErrPlaceTaken
	}
	for _, name := range abandoned {
		if err := s.store.Delete(ctx, name); err != nil {
			return fmt.Errorf("remove the head of an unfinished setup: %w", err)
		}
	}
	return nil
}

func (s *setup) note(context.Context) error {
	return s.app.writePendingSetup(pendingSetup{Version: 1, Repository: s.keys.Repository().String(), Dest: rawText(s.store.entry.Dest)})
}

// makeWayIn fills in the head.
func (s *setup) makeWayIn(ctx context.Context) error {
	s.head = repo.Head{MadeAt: time.Now().Unix(), Computer: s.app.cfg.Computer, OS: runtime.GOOS}
	switch s.opts.Lock {
	case LockPassword:
		if s.app.hasForeignPending(s.keys.Repository().String()) {
			s.notice(NoticeVaultForgotten, nil)
		}
		done, err := s.app.enroll(ctx, s.vault, s.root, s.opts.Secret, nil, func(vault.Slot) error { return nil })
		if err != nil {
			return err
		}
		s.head.Vault, s.practice = repoSlot(done.slot), done.check
		s.notices = append(s.notices, s.app.vaultNotices(done.slot)...)
	case LockPassphrase:
		slot, err := crypto.NewPassphraseSlot(s.root, s.opts.Secret, s.app.cfg.KDF)
		if err != nil {
			return err
		}
		s.head.Passphrase = &repo.PassphraseSlot{PassphraseSlot: slot, SetAt: time.Now().Unix()}
		s.practice = crypto.NewPracticeCheck(s.root, s.opts.Secret, s.app.cfg.KDF)
	}
	return nil
}

func (s *setup) writeHead(ctx context.Context) (err error) {
	s.head, err = repo.WriteHead(ctx, s.store.Store, s.keys, s.head)
	return s.store.at(err)
}

// commit stores the key and then the profile.
func (s *setup) commit(ctx context.Context) error {
	if !s.opts.SheetProven {
		s.notice(NoticeSheetNotProven, nil)
	} else {
		s.profile.SheetProvenAt = time.Now().UTC().Truncate(time.Second)
	}
	noteLock(&s.profile, s.opts.Lock, &s.head)
	notices, err := s.app.commitProfile(ctx, s.root, s.profile, s.keys.Repository().String(), s.store, s.opts.KeepKey)
	s.notices = append(s.notices, notices...)
	return err
}

// commitProfile stores the key and the secrets of the place, and then writes settings.json,
// which is the commit point of Setup and of Open.
func (a *App) commitProfile(ctx context.Context, root RootKey, p Profile, repository string, place *placeStore, keep KeepKey) ([]Notice, error) {
	where, notices, err := a.keepKey(ctx, root, keep)
	if err != nil {
		return nil, err
	}
	p.Repository, p.KeptIn, p.SetUpAt = repository, where, time.Now().UTC().Truncate(time.Second)
	place.learn()
	e := place.entry
	e.ID, e.AddedAt = newPlaceID(), p.SetUpAt
	p.Places = []placeEntry{e}
	err = a.adopt(ctx, e, place.pending, where, func() error {
		return a.changeProfile(func(now *Profile) error {
			sources, exclude := p.Sources, p.Exclude
			p.Settings = now.Settings // what was chosen meanwhile, in the window
			p.Sources, p.Exclude = sources, exclude
			*now = p
			return nil
		})
	})
	if err != nil {
		a.dropKey(ctx, repository, where)
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.setRoot(root)
	return notices, nil
}

// finish removes the notes. What it fails to remove is harmless: the profile is set up.
func (s *setup) finish(ctx context.Context) {
	s.app.keepPractice(s.practice)
	s.app.endEnroll()
	s.app.keepHead(ctx, s.store.Store, &s.head)
	if err := removeFile(s.app.pendingSetupPath()); err != nil {
		s.app.cfg.Log.Warn("could not remove the note of the setup", "err", err)
	}
}

func (a *App) pendingSetupPath() string { return filepath.Join(a.stateDir(), "pending-setup.json") }
