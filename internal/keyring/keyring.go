// Package keyring keeps small secrets in the key store of the operating system: the
// Secret Service on Linux (GNOME Keyring, KWallet, KeePassXC), Keychain on macOS,
// Credential Manager on Windows.
//
// Words: the service is the program's name in the key store; an account is under which a
// secret is kept there, for Coffer the repository's id; a prompt is the key store's own
// window that asks the user to unlock it.
//
// Three things go wrong with key stores, and decide how this package looks. A call may
// wait for ever, for a prompt that nobody sees: each has a limit of 20 seconds, and while
// one still hangs no other is begun. A computer without a desktop has none, and libraries
// then start a bus and a daemon that stay behind: nothing is started from here. And a key
// store loses entries, after a reinstallation or a changed login password: it is never the
// only copy of anything.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	gokeyring "github.com/zalando/go-keyring"

	"coffer/app"
)

const (
	// limit is how long a call may take. People need about ten seconds for a password.
	limit = 20 * time.Second

	// maxSecret is what Windows takes (CRED_MAX_CREDENTIAL_BLOB_SIZE, 5*512 bytes).
	maxSecret = 2560
)

// A Keyring is one service of the key store. It is safe for concurrent use.
type Keyring struct {
	service   string
	available func(context.Context) error

	// busy holds a token while a call runs, also one that was given up: calls that hang in
	// the key store cannot be ended, so they must not pile up either.
	busy chan struct{}
}

var _ app.Keyring = (*Keyring)(nil)

// New returns the key store's entries of a service. bus is the address of the session bus
// (DBUS_SESSION_BUS_ADDRESS), which only Linux uses: "" means that there is none, and every
// call answers [app.ErrNoKeyring] at once. desktop says whether somebody sits at a screen
// of this session: only then may the bus start a key store that is not running yet.
func New(service, bus string, desktop bool) *Keyring {
	return &Keyring{service: service, available: availability(bus, desktop), busy: make(chan struct{}, 1)}
}

// Set stores secret for account, in place of an older one. [app.ErrNoKeyring],
// [app.ErrKeyringWaiting], or the cause of ctx.
func (k *Keyring) Set(ctx context.Context, account string, secret app.Secret) error {
	if secret.Len() > maxSecret {
		return fmt.Errorf("store in keyring: %w: secret of %d bytes", app.ErrNoKeyring, secret.Len())
	}
	_, err := k.call(ctx, func() (text string, err error) {
		// The library wants a string, which cannot be wiped; it crosses a bus anyway.
		secret.Expose(func(b []byte) { err = gokeyring.Set(k.service, account, string(b)) })
		return "", err
	})
	if err != nil {
		return fmt.Errorf("store in keyring: %w", err)
	}
	return nil
}

// Get returns what is stored for account. [app.ErrNoEntry], and those of Set.
func (k *Keyring) Get(ctx context.Context, account string) (app.Secret, error) {
	text, err := k.call(ctx, func() (string, error) { return gokeyring.Get(k.service, account) })
	if err != nil {
		return app.Secret{}, fmt.Errorf("read from keyring: %w", err)
	}
	return app.NewSecret([]byte(text)), nil
}

// Delete removes what is stored for account. That there is nothing is no error.
func (k *Keyring) Delete(ctx context.Context, account string) error {
	_, err := k.call(ctx, func() (string, error) { return "", gokeyring.Delete(k.service, account) })
	if err != nil && !errors.Is(err, app.ErrNoEntry) {
		return fmt.Errorf("remove from keyring: %w", err)
	}
	return nil
}

// call runs fn, which cannot be interrupted, for as long as ctx and the limit allow.
func (k *Keyring) call(ctx context.Context, fn func() (string, error)) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, app.ErrKeyringWaiting)
	defer cancel()
	if err := k.available(ctx); err != nil {
		return "", err
	}
	select {
	case k.busy <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := fn()
		<-k.busy
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		return a.text, classify(a.err)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// classify gives the library's errors our words. What it does not know is a key store that
// cannot be used, whatever the reason: a dismissed prompt, no default collection.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gokeyring.ErrNotFound):
		return app.ErrNoEntry
	}
	return fmt.Errorf("%w: %w", app.ErrNoKeyring, err)
}
