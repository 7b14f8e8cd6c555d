package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"coffer/crypto"
)

// The words of package crypto that a window or a command needs, so that it
// imports this package and nothing below it.
type (
	// Secret is a password, a passphrase, or other bytes that never print.
	Secret = crypto.Secret
	// RootKey is the 32 bytes that open a backup. The 64 digits are the same key, written.
	RootKey = crypto.RootKey
	// RecoveryLine is one of the eight lines of the 64 digits.
	RecoveryLine = crypto.RecoveryLine
	// LineState is what live entry says about a line.
	LineState = crypto.LineState
)

// What a line of the 64 digits can be while it is typed.
const (
	LineEmpty   = crypto.LineEmpty
	LinePartial = crypto.LinePartial
	LineRight   = crypto.LineRight
	LineWrong   = crypto.LineWrong
)

// NewSecret takes ownership of b: the caller neither reads nor changes it afterwards.
func NewSecret(b []byte) Secret { return crypto.NewSecret(b) }

// NewRootKey makes a new random root key.
func NewRootKey() RootKey { return crypto.NewRootKey() }

// RecoveryLinesOf returns the 64 digits of a key as they are printed: 8 lines with their
// checks.
func RecoveryLinesOf(key RootKey) [8]RecoveryLine { return crypto.RecoveryLines(key) }

// ParseRecoveryKey reads the 64 digits in any spacing, case or pasted form. The error is a
// *crypto.RecoveryError that names the line; see [Explain].
func ParseRecoveryKey(text []byte) (RootKey, error) { return crypto.ParseRecoveryKey(text) }

// CheckRecoveryLine judges line n (1 to 8) while it is typed.
func CheckRecoveryLine(n int, text string) LineState { return crypto.CheckRecoveryLine(n, text) }

// A Keyring is the key store of the operating system. Its errors wrap [ErrNoKeyring],
// [ErrNoEntry] or [ErrKeyringWaiting] where those fit.
type Keyring interface {
	// Set stores secret for account, in place of an older one.
	Set(ctx context.Context, account string, secret Secret) error
	// Get returns what is stored for account.
	Get(ctx context.Context, account string) (Secret, error)
	// Delete removes what is stored for account. That there is nothing is no error.
	Delete(ctx context.Context, account string) error
}

// A Config is everything that an App takes from outside, read once in main.
type Config struct {
	Home       string              // profile folder: settings.json, state/, cache/; made 0700
	VaultDir   string              // folder of the embedded vault; made when a password is first set
	Computer   string              // this computer's name, shown to people
	UserHome   string              // the user's own folder, for Documents, Pictures, ...
	Version    string              // of this program
	Keyring    Keyring             // nil: this computer has none
	Places     Connector           // required
	Log        *slog.Logger        // nil: nothing is logged
	Memory     int64               // bytes that a backup may use; 0: 256 MiB
	VaultTries int                 // tries of an embedded vault that is made now; 0: 10
	VaultWaits []time.Duration     // its waits after wrong tries; nil: the default list
	KDF        crypto.KDFCost      // cost of one guess; zero: 256 MiB, 3 passes, 4 lanes
	Getenv     func(string) string // the environment, for the folders that XDG names; nil: empty

	// Dial opens a connection to a vault on a network, as [Connector].Network has set it; nil:
	// as the system does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// IDToken lets the user sign in in a browser and returns an ID token; browser gets the
	// address, once. nil: this program cannot.
	IDToken func(ctx context.Context, r IDTokenRequest, browser func(address string) error) (token string, err error)
}

// The situations of a profile.
var (
	// ErrNotSetUp: there is no backup in this profile yet.
	ErrNotSetUp = errors.New("app: not set up")
	// ErrAlreadySetUp: this profile has a backup already.
	ErrAlreadySetUp = errors.New("app: already set up")
	// ErrProfileBusy: another Coffer is changing things in this profile.
	ErrProfileBusy = errors.New("app: another Coffer is working in this profile")
	// ErrLocked: the key is not on this computer; see [App.Unlock].
	ErrLocked = errors.New("app: the key is not on this computer")
	// ErrNoKeyring: this computer has no key store, or it does not answer.
	ErrNoKeyring = errors.New("app: no keyring on this computer")
	// ErrNoEntry: the key store has nothing under this account.
	ErrNoEntry = errors.New("app: nothing in the keyring")
	// ErrKeyringWaiting: the key store waits for somebody to unlock it.
	ErrKeyringWaiting = errors.New("app: the keyring waits to be unlocked")
	// ErrProfileDamaged: a file of the profile cannot be read as what it should be.
	ErrProfileDamaged = errors.New("app: a file of the profile is damaged")
	// ErrProfileNewer: a newer Coffer wrote the profile.
	ErrProfileNewer = errors.New("app: the profile was written by a newer Coffer")
)

// An App is one profile of Coffer: its settings, its key, its places. It is safe for
// concurrent use; what changes the profile takes a lock that other processes see too.
type App struct {
	cfg Config

	mu   sync.Mutex
	root RootKey // guarded by mu; found or unlocked, for this App's life; zero: look where it is kept

	reach reach

	vaults sync.Mutex // held by who changes a file in state/vaults
}

// An IDTokenRequest is what a vault wants to see of the user (OpenID Connect Core 1.0).
type IDTokenRequest struct {
	Issuer   string // https://..., of the vault's bundle
	ClientID string
	Nonce    string // the name of the new record
}

// New checks cfg and makes the profile folder. It takes no lock: reading is free.
func New(cfg Config) (*App, error) {
	if cfg.Home == "" || cfg.Places == nil {
		return nil, errors.New("app: Config needs Home and Places")
	}
	home, err := filepath.Abs(cfg.Home)
	if err != nil {
		return nil, fmt.Errorf("find profile folder: %w", err)
	}
	cfg.Home = home
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Getenv == nil {
		cfg.Getenv = func(string) string { return "" }
	}
	if cfg.Memory == 0 {
		cfg.Memory = 256 << 20
	}
	cfg.Computer = computerName(cfg.Computer)
	for _, dir := range []string{cfg.Home, filepath.Join(cfg.Home, "state"), filepath.Join(cfg.Home, "cache")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make profile folder: %w", err)
		}
	}
	a := &App{cfg: cfg}
	if err := a.upgradeIdle(); err != nil {
		cfg.Log.Warn("could not move the state of an older version", "err", err)
	}
	a.startNetwork()
	return a, nil
}

// maxComputer is how long a computer's name may be, in bytes: it stands in heads and vault
// records, which have their limits, and on screens, which have theirs.
const maxComputer = 48

// computerName makes a name one that can be shown anywhere.
func computerName(name string) string {
	var out strings.Builder
	for _, r := range strings.ToValidUTF8(strings.TrimSpace(name), "") {
		if unicode.IsPrint(r) && out.Len()+utf8.RuneLen(r) <= maxComputer {
			out.WriteRune(r)
		}
	}
	if out.Len() == 0 {
		return "this computer"
	}
	return out.String()
}

// Close forgets the key, and the secrets of places that were only connected.
func (a *App) Close() error {
	a.reach.close()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.root.Wipe()
	a.root = RootKey{}
	return nil
}

// stateDir is where this computer keeps what only it knows: runs, pending work, locks.
func (a *App) stateDir() string { return filepath.Join(a.cfg.Home, "state") }
