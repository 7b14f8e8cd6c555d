package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

const (
	proxyDirect = "direct"
	proxyFile   = "proxy" // sealed; the password of the proxy

	// maxCAs bounds the file of certificates: the bundle of a whole system has 250 kB.
	maxCAs = 4 << 20
)

// network is whether the Connector knows how to reach the network.
type network struct {
	mu    sync.Mutex
	ready bool // guarded by mu
}

// startNetwork tells the Connector what is set, as far as that needs nobody else. What
// cannot be done now is done, or said, before the first place is reached.
func (a *App) startNetwork() {
	p, err := a.loadProfile()
	if err != nil || proxyUser(p.Proxy) != "" {
		return // asking the keyring may take its time
	}
	a.reach.network.mu.Lock()
	defer a.reach.network.mu.Unlock()
	if err := a.setNetwork(context.Background(), p, p.Settings); err != nil {
		a.cfg.Log.Warn("the settings of the network cannot be used", "err", err)
		return
	}
	a.reach.network.ready = true
}

// readyNetwork makes sure that no place is reached around the proxy that is set, or with
// other certificates: where the settings cannot be used there is no network.
func (a *App) readyNetwork(ctx context.Context, e placeEntry) error {
	a.reach.network.mu.Lock()
	defer a.reach.network.mu.Unlock()
	if a.reach.network.ready || isLocal(e) {
		return nil
	}
	p, err := a.loadProfile()
	if err != nil {
		return err
	}
	if err := a.setNetwork(ctx, p, p.Settings); err != nil {
		return err
	}
	a.reach.network.ready = true
	return nil
}

// isLocal reports whether a place is a folder, as far as its text tells.
func isLocal(e placeEntry) bool {
	if e.Kind != "" {
		return e.Kind == kindFolder
	}
	return filepath.IsAbs(e.Dest) || !strings.Contains(e.Dest, ":") || strings.HasPrefix(strings.ToLower(e.Dest), kindFolder+":")
}

// changeNetwork uses new settings before they are stored: what cannot be used is refused.
// It does nothing where nothing changes.
func (a *App) changeNetwork(p Profile, next Settings) error {
	if next.sameNetwork(p.Settings) {
		return nil
	}
	a.reach.network.mu.Lock()
	defer a.reach.network.mu.Unlock()
	a.reach.network.ready = false
	if err := a.setNetwork(context.Background(), p, next); err != nil {
		return err
	}
	a.reach.network.ready = true
	return nil
}

func (s Settings) sameNetwork(o Settings) bool {
	return s.UploadLimit == o.UploadLimit && s.DownloadLimit == o.DownloadLimit && s.Proxy == o.Proxy && s.CAFile == o.CAFile
}

// setNetwork tells the Connector. The caller holds the network's lock.
func (a *App) setNetwork(ctx context.Context, p Profile, s Settings) error {
	n := NetworkSettings{Up: s.UploadLimit, Down: s.DownloadLimit, Proxy: s.Proxy}
	if s.CAFile != "" {
		var err error
		if n.CAs, err = readBounded(s.CAFile, maxCAs); err != nil {
			return fmt.Errorf("read certificates: %w: %w", ErrSettings, &PathError{Path: s.CAFile, Err: err})
		}
	}
	if proxyUser(s.Proxy) != "" {
		list, err := a.proxySecrets(p).load(ctx)
		if err != nil {
			return fmt.Errorf("find password of the proxy: %w", err)
		}
		defer wipeSecrets(list)
		n.Proxy = withPassword(s.Proxy, list["password"])
	}
	if err := a.cfg.Places.Network(n); err != nil {
		return fmt.Errorf("set up network: %w: %w", ErrSettings, err)
	}
	return nil
}

// SaveProxyPassword stores the password of the proxy that the settings name, in the
// keyring or sealed in the profile; the zero Secret removes it. The caller keeps password.
func (a *App) SaveProxyPassword(ctx context.Context, password Secret) error {
	p, err := a.loadProfile()
	if err != nil {
		return err
	}
	list := map[string]Secret{}
	if !password.IsZero() {
		list["password"] = password
	}
	if err := a.proxySecrets(p).store(ctx, list); err != nil {
		return fmt.Errorf("store password of the proxy: %w", err)
	}
	a.reach.network.mu.Lock()
	defer a.reach.network.mu.Unlock()
	a.reach.network.ready = false // before the next place is reached
	return nil
}

// proxySecrets is the box of the proxy's password. Profiles of one user share the keyring,
// so the account is that of this profile.
func (a *App) proxySecrets(p Profile) secretBox {
	return secretBox{
		app: a, account: "proxy-" + fingerprint(a.cfg.Home), label: proxyFile,
		path: filepath.Join(a.stateDir(), proxyFile), file: p.KeptIn == KeepFile,
	}
}

// parseProxy refuses what is not the address of a proxy, without quoting it: people put
// passwords there.
func parseProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not the address of a proxy")
	}
	if !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) || u.Hostname() == "" ||
		u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("not the address of a proxy")
	}
	if _, secret := u.User.Password(); secret {
		return nil, errors.New("a password in the address of the proxy")
	}
	return u, nil
}

// proxyUser is the user that a proxy wants to know the password of, or "".
func proxyUser(proxy string) string {
	u, err := parseProxy(proxy)
	if err != nil {
		return ""
	}
	return u.User.Username()
}

// withPassword writes the password into the address. The Connector wants a string, which
// cannot be wiped.
func withPassword(proxy string, password Secret) string {
	u, err := parseProxy(proxy)
	if err != nil || password.IsZero() {
		return proxy
	}
	password.Expose(func(b []byte) { u.User = url.UserPassword(u.User.Username(), string(b)) })
	return u.String()
}
