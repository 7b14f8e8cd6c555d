package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"coffer/cloud"
)

// A Config says where a folder is and how to get in. Secrets come as functions,
// which are called when a server that has proved itself asks for them, and
// never before; a printed Config shows none.
type Config struct {
	User string
	Host string // a name or an IP address, IPv6 without brackets
	Port int    // 0: 22

	// Path is the folder: absolute, or relative to the home of User ("backups" or
	// "~/backups"; "" and "~" are the home itself).
	Path string
	// Create makes the folder when it is missing, for User alone (0700); its parent
	// must exist. It happens once: a folder that goes away later is not made again.
	Create bool

	// Password is also the answer to one hidden question ("keyboard-interactive").
	// Nil: there is none.
	Password func() string
	// Key returns a private key in PEM, OpenSSH's form or another. Nil: none.
	Key func() ([]byte, error)
	// Passphrase opens Key. Nil: it is not locked.
	Passphrase func() string
	// Agent connects to an SSH agent, and the Driver closes the connection when it
	// is signed in. Nil: none.
	Agent func(ctx context.Context) (net.Conn, error)

	// HostKeys are fingerprints ("SHA256:...") of which the server must have one.
	HostKeys []string
	// KnownHosts are files in OpenSSH's form, read only, that count if HostKeys is
	// empty. Keys that they mark as revoked are refused. Files that are not there
	// know nothing. Host certificates are not used: a host known by a
	// @cert-authority alone does not count as known.
	KnownHosts []string

	// Dial connects to "host:port". Nil: a plain net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Address returns where it is.
func (c Config) Address() Address {
	return Address{User: c.User, Host: c.Host, Port: c.Port, Path: c.Path}
}

// A Driver is a folder on an SSH server. It is safe for concurrent use. Close it.
type Driver struct {
	config *Config
	folder string // as the server takes it; "." is the home

	mu      sync.Mutex
	link    *link     // guarded by mu; or nil
	dialing *dialling // guarded by mu; or nil
	closed  bool      // guarded by mu
	seen    bool      // guarded by mu; the folder was there once
	litter  []string  // guarded by mu; temporary files that could not be removed
	keyType string    // of the host; used by the one who dials

	counter atomic.Uint64 // of temporary names
	flushes atomic.Int32  // what is known of fsync: an ability
	way     atomic.Int32  // how to publish: a way
	trying  turnstile     // held by who finds out
	loose   turnstile     // held by a publish that cannot be exclusive by itself
}

// A dialling is a link that is being made, by one for all.
type dialling struct {
	done chan struct{}
	link *link
	err  error
	own  bool // err is of the caller who dialled, and not of the place
}

// New returns the Driver for a folder. It connects to nobody: the first request
// does. [ErrAddress] if the configuration names no place.
func New(c Config) (*Driver, error) {
	if c.Port == 0 {
		c.Port = defaultPort
	}
	host, ok := canonicalHost(c.Host)
	if !ok || !validUser(c.User) || c.Port < 1 || c.Port > math.MaxUint16 {
		return nil, fmt.Errorf("open sftp: %w", ErrAddress)
	}
	path, absolute := strings.CutPrefix(c.Path, "/")
	if !absolute {
		path = strings.TrimPrefix(path, "~/")
		if path == "~" {
			path = ""
		}
	}
	path, ok = tidyPath(path)
	if !ok {
		return nil, fmt.Errorf("open sftp: %w", ErrAddress)
	}
	if absolute {
		path = "/" + path
	}
	c.Host, c.Path = host, path
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	d := &Driver{config: &c, folder: path, trying: newTurnstile(), loose: newTurnstile()}
	if path == "" {
		d.folder = "."
	}
	return d, nil
}

// at returns the path of a name in the folder.
func (d *Driver) at(name string) string {
	if d.folder == "/" {
		return "/" + name
	}
	return d.folder + "/" + name
}

// HostKey returns the fingerprint ("SHA256:...") of the key that the server has
// shown and that was accepted, for the caller to keep. It connects if need be.
func (d *Driver) HostKey(ctx context.Context) (string, error) {
	l, err := d.reach(ctx)
	if err != nil {
		return "", err
	}
	return l.key, nil
}

// Describe implements [cloud.Describer].
func (d *Driver) Describe(ctx context.Context) (cloud.Description, error) {
	l, err := d.reach(ctx)
	if err != nil {
		return cloud.Description{}, err
	}
	return cloud.Description{Account: d.config.User + "@" + d.config.Host, Server: l.server()}, nil
}

// Caps implements [cloud.Driver]. PutIfAbsent is known, and true, only after the
// first upload: it has to be tried out.
func (d *Driver) Caps() cloud.Caps {
	return cloud.Caps{PutIfAbsent: way(d.way.Load()).exclusive(), ListAfterPut: true, Parallel: maxChannels}
}

// Close ends the connection. Requests under way fail; later ones are refused.
func (d *Driver) Close() error {
	d.mu.Lock()
	l := d.link
	d.link, d.closed = nil, true
	d.mu.Unlock()
	if l != nil {
		l.close()
		<-l.done
	}
	return nil
}

// reach returns the link, which is made if there is none. Of many callers one
// dials; the others take what comes of it.
func (d *Driver) reach(ctx context.Context) (*link, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			return nil, fs.ErrClosed
		}
		if d.link != nil && d.link.alive() {
			l := d.link
			d.mu.Unlock()
			return l, nil
		}
		attempt, first := d.dialing, false
		if attempt == nil {
			attempt, first = &dialling{done: make(chan struct{})}, true
			d.dialing = attempt
		}
		d.mu.Unlock()
		if first {
			return d.dial(ctx, attempt)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-attempt.done:
			if !attempt.own {
				return attempt.link, attempt.err
			}
		}
	}
}

// dial makes the link for all who wait for the attempt.
func (d *Driver) dial(ctx context.Context, attempt *dialling) (*link, error) {
	attempt.link, attempt.err = d.connect(ctx)
	attempt.own = attempt.err != nil && ctx.Err() != nil
	d.mu.Lock()
	d.dialing = nil
	if attempt.link != nil {
		d.keyType = attempt.link.keyType
		d.link = attempt.link
	}
	if d.closed && attempt.link != nil {
		attempt.link.close()
		d.link, attempt.link, attempt.err = nil, nil, fs.ErrClosed
	}
	d.mu.Unlock()
	close(attempt.done)
	return attempt.link, attempt.err
}

// A visit is one operation's stay on a channel.
type visit struct {
	*channel
	home *link
}

// leave ends the stay.
func (v *visit) leave() { v.home.leave(v.channel) }

// enter reaches the folder for one operation.
func (d *Driver) enter(ctx context.Context) (*visit, error) {
	l, err := d.reach(ctx)
	if err != nil {
		return nil, err
	}
	c, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	v := &visit{c, l}
	if err := d.arrive(ctx, v); err != nil {
		v.leave()
		return nil, err
	}
	return v, nil
}

// arrive looks for the folder, the first time, and makes it if it should.
func (d *Driver) arrive(ctx context.Context, v *visit) error {
	d.mu.Lock()
	seen := d.seen
	d.mu.Unlock()
	if seen {
		return nil
	}
	a, err := v.stat(ctx, d.folder)
	if isCode(err, codeNoSuchFile) && d.config.Create {
		a, err = d.make(ctx, v)
	}
	switch {
	case isCode(err, codeNoSuchFile), err == nil && !a.folder():
		return errNoFolder
	case err != nil:
		return classify(fmt.Errorf("look for folder: %w", err))
	}
	d.mu.Lock()
	d.seen = true
	d.mu.Unlock()
	return nil
}

// errNoFolder: the folder is missing, or something else has its path.
var errNoFolder = fmt.Errorf("%w: the folder is not there", cloud.ErrNoPlace)

// make makes the folder. That somebody else was faster is as good.
func (d *Driver) make(ctx context.Context, v *visit) (attrs, error) {
	making := v.order(ctx, func(id uint32) []byte { return mkdirPacket(id, d.folder) })
	a, err := v.stat(ctx, d.folder)
	if err != nil && making != nil && isRefusal(making) {
		if !isCode(making, codeNoSuchFile) {
			making = d.explain(ctx, v, parent(d.folder), 0, making)
		}
		return attrs{}, fmt.Errorf("make folder: %w", making)
	}
	return a, err
}

// parent returns the path of the folder above.
func parent(path string) string {
	i := strings.LastIndexByte(path, '/')
	switch {
	case i < 0:
		return "."
	case i == 0:
		return "/"
	}
	return path[:i]
}

// gone turns "no such file" into the right sentence: of an object, or of the
// whole folder.
func (d *Driver) gone(ctx context.Context, v *visit) error {
	a, err := v.stat(ctx, d.folder)
	switch {
	case isCode(err, codeNoSuchFile), err == nil && !a.folder():
		return errNoFolder
	case err != nil:
		return classify(fmt.Errorf("look for folder: %w", err))
	}
	return cloud.ErrNotFound
}

// Capacity implements [cloud.Capacitor]: that of the file system, for this
// user. Quotas show up as ErrFull at best. [cloud.ErrUnsupported] if the server
// does not tell.
func (d *Driver) Capacity(ctx context.Context) (cloud.Capacity, error) {
	v, err := d.enter(ctx)
	if err != nil {
		return cloud.Capacity{}, err
	}
	defer v.leave()
	r, err := v.room(ctx, d.folder)
	if isCode(err, codeNoSuchFile) {
		if err := d.gone(ctx, v); !errors.Is(err, cloud.ErrNotFound) {
			return cloud.Capacity{}, settle(ctx, err)
		}
	}
	if isRefusal(err) || err == nil && (r.block == 0 || r.blocks == 0) {
		return cloud.Capacity{}, fmt.Errorf("%w: the server does not tell its space", cloud.ErrUnsupported)
	}
	if err != nil {
		return cloud.Capacity{}, settle(ctx, fmt.Errorf("ask for free space: %w", err))
	}
	total := r.bytes(r.blocks)
	return cloud.Capacity{Free: min(r.bytes(r.free), total), Total: total}, nil
}

// bytes returns how many bytes the blocks are, or the most that can be said.
func (r room) bytes(blocks uint64) int64 {
	if r.block != 0 && blocks > math.MaxInt64/r.block {
		return math.MaxInt64
	}
	return int64(blocks * r.block)
}

// slack is what a file system may keep for itself and still be called full.
const slack = 1 << 20

// noRoom is what removing needs.
const noRoom = -1

// explain looks for the reason of a refused write. Version 3 has one word for a
// full disk, a used up quota and a broken one; the room of the file system tells
// the first from the rest. need is how many bytes were to be written; noRoom if
// it was about something that needs none.
func (d *Driver) explain(ctx context.Context, v *visit, folder string, need int64, refusal error) error {
	if !isCode(refusal, codeFailure, codeDenied) {
		return classify(refusal)
	}
	r, err := v.room(ctx, folder)
	if err != nil {
		if isRefusal(err) {
			return classify(refusal)
		}
		return err
	}
	switch {
	case r.flags&roomReadOnly != 0:
		return fmt.Errorf("%w: %w", cloud.ErrReadOnly, refusal)
	case isCode(refusal, codeDenied):
		return classify(refusal)
	case need != noRoom && (r.bytes(r.free) < need+slack || r.files > 0 && r.inodes == 0):
		return fmt.Errorf("%w: %w", cloud.ErrFull, refusal)
	}
	return classify(refusal)
}

// settle turns the error of an operation into what its caller gets.
func settle(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cloud.ErrExists) && !errors.Is(err, cloud.ErrNotFound) {
		return cause
	}
	return classify(err)
}
