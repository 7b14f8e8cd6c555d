package webdav

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"coffer/cloud"
)

// A Config says which place. Address is needed.
type Config struct {
	// Address is that of the folder, as [ParseAddress] returns it.
	Address string
	// User is who signs in; "": nobody.
	User string
	// Password is asked at each request that needs it, and never kept. Nil: none.
	Password func() string
	// Create makes the folder if it is missing, but nothing above it. Without it
	// that is [cloud.ErrNoPlace].
	Create bool
	// AllowPlain takes an http address of another computer, where everybody on
	// the way can read names and sizes, and put other bytes in the place of ours.
	// Even then the password itself is never sent: such a server must take Digest.
	AllowPlain bool
	// Transport carries the requests; nil: http.DefaultTransport.
	Transport http.RoundTripper
}

// A Driver is a folder of a WebDAV server. It is safe for concurrent use.
type Driver struct {
	base   *url.URL // of the folder; the path ends in "/"
	create bool
	http   *http.Client
	auth   auth
	names  nameLocks
	proven atomic.Bool // the server has taken an upload

	entering semaphore // held while the folder is looked for or made

	mu     sync.Mutex
	own    string // guarded by mu; the folder's own path, see the package; "": not known
	server string // guarded by mu; what the server calls itself
}

// New returns the place. It asks nobody: the first request looks for the folder.
// An address without TLS is [cloud.ErrPlain], unless it is this computer's or
// AllowPlain is set.
func New(c Config) (*Driver, error) {
	address, user, err := ParseAddress(c.Address)
	if err != nil {
		return nil, err
	}
	if user != "" || address != c.Address {
		return nil, fmt.Errorf("open webdav: %w: not in canonical form", cloud.ErrAddress)
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("open webdav: %w", cloud.ErrAddress)
	}
	private := base.Scheme == "https" || isLoopback(base.Hostname())
	if !private && !c.AllowPlain {
		return nil, fmt.Errorf("open webdav: %w", cloud.ErrPlain)
	}
	return &Driver{
		base:     base,
		create:   c.Create,
		http:     plainClient(c.Transport),
		auth:     auth{user: c.User, password: c.Password, private: private},
		names:    nameLocks{held: map[string]*nameLock{}},
		entering: newSemaphore(),
	}, nil
}

// Caps implements [cloud.Driver]. It promises little, see the package.
func (d *Driver) Caps() cloud.Caps { return cloud.Caps{Parallel: 4} }

// Close lets go of connections that wait for more requests.
func (d *Driver) Close() error {
	d.http.CloseIdleConnections()
	return nil
}

// object returns the address of an object or an upload.
func (d *Driver) object(name string) *url.URL {
	u := *d.base
	u.Path += name // of letters, digits, "-" and "." alone
	u.RawPath = ""
	return &u
}

// enter looks for the folder, or makes it, once; and learns how to sign in
// before an upload is sent in vain.
func (d *Driver) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.known() != "" {
		return nil
	}
	if err := d.entering.acquire(ctx); err != nil {
		return err
	}
	defer d.entering.release()
	if d.known() != "" {
		return nil // somebody else was faster
	}
	err := d.find(ctx)
	if !errors.Is(err, cloud.ErrNoPlace) || !d.create || errors.Is(err, errNotFolder) {
		return err
	}
	refusal := d.make(ctx)
	err = d.find(ctx)
	if errors.Is(err, cloud.ErrNoPlace) && refusal != nil {
		return refusal
	}
	return err
}

// known returns the folder's own path, or "".
func (d *Driver) known() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.own
}

// errNotFolder: something else has the address.
var errNotFolder = fmt.Errorf("%w: not a folder", cloud.ErrNoPlace)

// find asks about the folder itself.
func (d *Driver) find(ctx context.Context) error {
	var self *item
	res, err := d.propfind(ctx, d.base, depthSelf, askKind)
	if err != nil {
		return err
	}
	defer discard(res)
	err = readItems(res.Body, defaultBounds(), func(i item) (bool, error) {
		if self == nil {
			self = &i
		}
		return true, nil
	})
	switch {
	case err != nil:
		return d.classify(ctx, err)
	case self == nil:
		return d.classify(ctx, errListing)
	case self.status != http.StatusOK:
		return refused(placeTarget, self.status, nil)
	case !self.folder:
		return cloud.Final(errNotFolder)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.own, d.server = asFolder(self.path), printable(res.Header.Get("Server"))
	return nil
}

// make makes the folder. That it is there by now is no reason to stop: another
// device may have been faster, which servers say in several ways (Apache: 403).
func (d *Driver) make(ctx context.Context) error {
	res, err := d.do(ctx, request{method: "MKCOL", url: d.base})
	if err != nil {
		return err
	}
	defer discard(res)
	switch res.StatusCode {
	case http.StatusCreated, http.StatusOK, http.StatusNoContent:
		return nil
	}
	return refused(placeTarget, res.StatusCode, res.Header)
}

// Describe implements [cloud.Describer].
func (d *Driver) Describe(ctx context.Context) (cloud.Description, error) {
	if err := d.enter(ctx); err != nil {
		return cloud.Description{}, fmt.Errorf("ask for the server: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return cloud.Description{Account: d.auth.user, Server: d.server}, nil
}

// printable returns what may be shown of a stranger's text: short, and of plain
// characters. Otherwise "".
func printable(text string) string {
	if len(text) > 128 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return text
}

// asFolder returns the path with one "/" at its end.
func asFolder(path string) string { return strings.TrimRight(path, "/") + "/" }

// A semaphore is a lock that obeys a context. Its zero value is not usable.
type semaphore chan struct{}

func newSemaphore() semaphore { return make(semaphore, 1) }

func (s semaphore) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s semaphore) release() { <-s }

// nameLocks let one goroutine at a time put a name. Between devices the server
// decides who is first; within this one there is no reason to leave it to a
// server that looks before it renames.
type nameLocks struct {
	mu   sync.Mutex
	held map[string]*nameLock // guarded by mu
}

type nameLock struct {
	semaphore
	users int // guarded by nameLocks.mu
}

// lock returns the function that unlocks.
func (n *nameLocks) lock(ctx context.Context, name string) (func(), error) {
	n.mu.Lock()
	l := n.held[name]
	if l == nil {
		l = &nameLock{semaphore: newSemaphore()}
		n.held[name] = l
	}
	l.users++
	n.mu.Unlock()
	leave := func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(n.held, name)
		}
	}
	if err := l.acquire(ctx); err != nil {
		leave()
		return nil, err
	}
	return func() { l.release(); leave() }, nil
}
