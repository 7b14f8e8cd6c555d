package s3

import (
	"context"
	"net/http"
	"sync"
	"time"

	"coffer/cloud"
)

// A Config says which bucket, and how to speak to it.
type Config struct {
	// Address is https://HOST[:PORT]/BUCKET[/PREFIX], as [ParseAddress] takes it:
	// "https://s3.eu-central-1.amazonaws.com/ann-backup". Http is taken for a
	// server on this computer, and elsewhere if AllowPlain is true.
	Address    string
	AllowPlain bool

	// Region of the bucket. Empty: the bucket is asked; "us-east-1" if it does not say.
	Region string

	// Create makes the bucket if it is not there, with object lock if LockDays
	// is set. Where that is not allowed the error is ErrNoPlace or ErrDenied.
	Create bool

	// Credentials is called for each request, so that what it returns may change.
	// sessionToken may be empty; an empty accessKey or secretKey is ErrAuth.
	Credentials func() (accessKey, secretKey, sessionToken string)

	// LockDays > 0: every object that is put is locked in compliance mode for so
	// many days, also the one that was there already. The bucket must have object
	// lock, else the first use fails with cloud.ErrNoLock. Zero: no locks of ours;
	// the default of the bucket applies.
	LockDays int

	// Recover makes List go through all versions of all objects, for a bucket in
	// which somebody deleted or overwrote them. See the package doc.
	Recover bool

	// Transport carries all requests; nil: http.DefaultTransport. Limits of speed,
	// proxies and who is trusted are its business.
	Transport http.RoundTripper
}

// A Driver is a place in a bucket. It is safe for concurrent use.
//
// The first request finds the region, makes the bucket if it should, and asks
// what the bucket can do. Nothing of that is retried, and nothing but success
// is remembered.
type Driver struct {
	config Config
	at     address
	wire   *wire
	names  nameLocks

	entering turnstile
	probing  turnstile

	mu       sync.Mutex
	place    *place              // guarded by mu; nil: not entered yet
	moved    bool                // guarded by mu; a redirect to another region was followed
	features *features           // guarded by mu; nil: not probed yet
	locked   bool                // guarded by mu; one lock was seen to be there
	summed   bool                // guarded by mu; the server tells the SHA-256 of what it stored
	pins     map[string]string   // guarded by mu; name -> version with the right bytes
	hidden   map[string]struct{} // guarded by mu; names that Delete hid above locked versions
	doubted  map[string]struct{} // guarded by mu; names whose bytes were not what the server said
}

// maxPins bounds the memory for versions. What is forgotten is looked up again.
const maxPins = 100_000

// New returns the driver of a place. It asks nobody. The error wraps
// [ErrAddress] or [ErrPlain].
func New(c Config) (*Driver, error) {
	at, err := parseAddress(c.Address)
	if err != nil {
		return nil, err
	}
	if at.scheme == "http" && !at.isLocal() && !c.AllowPlain {
		return nil, ErrPlain
	}
	if c.Region != "" && !validRegion(c.Region) {
		return nil, bad("the region has characters that are not allowed")
	}
	if c.LockDays < 0 || c.LockDays > maxLockDays {
		return nil, bad("the days of the lock are negative, or more than a hundred years")
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	return &Driver{
		config: c, at: at, wire: &wire{base: c.Transport},
		entering: newTurnstile(), probing: newTurnstile(),
		pins: map[string]string{}, hidden: map[string]struct{}{}, doubted: map[string]struct{}{},
	}, nil
}

// maxLockDays is Amazon's own limit, a hundred years.
const maxLockDays = 36_500

// Caps implements [cloud.Driver]: what was found out so far. Before the first
// request nothing is promised, before the first Put little.
func (d *Driver) Caps() cloud.Caps {
	d.mu.Lock()
	defer d.mu.Unlock()
	var caps cloud.Caps
	if d.place != nil {
		caps.Versions = d.place.versioning == versioningOn
		caps.Lock = d.place.lock == lockOn
	}
	if d.features != nil {
		caps.PutIfAbsent = d.features.ifAbsent
		caps.ListAfterPut = d.features.listed
	}
	if d.summed {
		caps.ServerSum = "sha256"
	}
	return caps
}

// Describe implements [cloud.Describer]: the server's name for itself.
func (d *Driver) Describe(ctx context.Context) (cloud.Description, error) {
	if _, err := d.enter(ctx); err != nil {
		return cloud.Description{}, err
	}
	return cloud.Description{Server: d.wire.server()}, nil
}

// Close lets go of idle connections.
func (d *Driver) Close() error {
	if c, ok := d.config.Transport.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
	return nil
}

// key is the key of a name.
func (d *Driver) key(name string) string { return d.at.prefix + name }

// until is the end of the lock of an object that is put now; zero: no lock.
func (d *Driver) until() time.Time {
	if d.config.LockDays == 0 {
		return time.Time{}
	}
	return time.Now().UTC().Add(time.Duration(d.config.LockDays) * 24 * time.Hour).Truncate(time.Second)
}

// A turnstile lets one through at a time, and waits no longer than a context.
type turnstile chan struct{}

func newTurnstile() turnstile { return make(turnstile, 1) }

func (t turnstile) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turnstile) leave() { <-t }

// nameLocks are turnstiles by name. The zero value is ready.
type nameLocks struct {
	mu    sync.Mutex
	locks map[string]*nameLock // guarded by mu
}

type nameLock struct {
	turnstile
	users int // guarded by nameLocks.mu
}

// lock waits until nobody else in this process has the name.
func (n *nameLocks) lock(ctx context.Context, name string) (unlock func(), err error) {
	n.mu.Lock()
	if n.locks == nil {
		n.locks = map[string]*nameLock{}
	}
	l := n.locks[name]
	if l == nil {
		l = &nameLock{turnstile: newTurnstile()}
		n.locks[name] = l
	}
	l.users++
	n.mu.Unlock()
	forget := func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(n.locks, name)
		}
	}
	if err := l.enter(ctx); err != nil {
		forget()
		return nil, err
	}
	return func() { l.leave(); forget() }, nil
}

// pin remembers which version of a name has the right bytes.
func (d *Driver) pin(name, version string) {
	if version == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.pins) >= maxPins {
		clear(d.pins)
	}
	d.pins[name] = version
}

func (d *Driver) unpin(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pins, name)
}

func (d *Driver) pinned(name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pins[name]
}

// doubt remembers that a version is not what its server said: from now on, the
// versions of this name are read and hashed.
func (d *Driver) doubt(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pins, name)
	if len(d.doubted) < maxPins {
		d.doubted[name] = struct{}{}
	}
}

func (d *Driver) isDoubted(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, is := d.doubted[name]
	return is
}

// hide remembers that this driver deleted a name whose bytes are locked: it is
// absent as far as its own caller is concerned.
func (d *Driver) hide(name string, is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if is {
		d.hidden[name] = struct{}{}
	} else {
		delete(d.hidden, name)
	}
}

func (d *Driver) isHidden(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, is := d.hidden[name]
	return is
}
