package rclone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"coffer/cloud"
	"coffer/cloud/webdav"
)

// minPassword is how long the child's password is at least, in bytes.
const minPassword = 16

// maxRemote is how long "NAME:PATH" may be in bytes.
const maxRemote = 1024

// A Config says which place. Remote and Password are needed.
type Config struct {
	// Remote is NAME:PATH, as rclone writes it. PATH may be empty. A remote made
	// up on the spot (":s3,key=...:") is refused: its secrets would be arguments.
	Remote string
	// Program is rclone; "" is "rclone" in PATH of this process.
	Program string
	// ConfigFile is rclone's configuration; "": its own.
	ConfigFile string
	// Create makes the folder if it is missing. Without it that is
	// [cloud.ErrNoPlace].
	Create bool
	// Env is the environment for rclone, "NAME=value" each. Without HOME or its
	// like rclone does not find its configuration.
	Env []string
	// Password makes a new random password for each child, at least 16 bytes
	// without control characters.
	Password func() string
	// Dial connects to the child on this computer's loopback address; nil: a
	// [net.Dialer]. It is where speed is limited. No proxy belongs here.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Driver is a folder of a remote. It is safe for concurrent use.
type Driver struct {
	c        Config
	name     string // of the remote
	starting cloud.Mutex

	mu     sync.Mutex
	child  *child // guarded by mu; nil: none runs
	kind   string // guarded by mu; the remote's type; "": not asked yet
	known  bool   // guarded by mu; the folder was made
	closed bool   // guarded by mu
}

// New returns the place. It starts nothing: the first request does.
func New(c Config) (*Driver, error) {
	name, err := remoteName(c.Remote)
	if err != nil {
		return nil, err
	}
	if c.Password == nil {
		return nil, fmt.Errorf("open rclone: %w: configuration", cloud.ErrNoPlace)
	}
	if c.Program == "" {
		c.Program = "rclone"
	}
	return &Driver{c: c, name: name, starting: cloud.NewMutex()}, nil
}

// remoteName returns NAME of NAME:PATH. Names are made as rclone's own check has
// it: letters, digits, "_", ".", "+", "@", and inside also "-" and spaces.
func remoteName(remote string) (string, error) {
	bad := fmt.Errorf("rclone remote: %w: it must be NAME:PATH", cloud.ErrAddress)
	name, path, ok := strings.Cut(remote, ":")
	if !ok || name == "" || len(remote) > maxRemote || !utf8.ValidString(remote) || strings.ContainsFunc(path, unicode.IsControl) {
		return "", bad
	}
	for at, r := range name {
		inside := at > 0 && at < len(name)-1
		switch {
		case unicode.IsLetter(r), unicode.IsNumber(r), strings.ContainsRune("_.+@", r):
		case inside && (r == '-' || r == ' '):
		default:
			return "", bad
		}
	}
	return name, nil
}

// Put implements [cloud.Driver].
func (d *Driver) Put(ctx context.Context, name string, src cloud.Source) error {
	return d.with(ctx, func(w *webdav.Driver) error { return w.Put(ctx, name, src) })
}

// Get implements [cloud.Driver].
func (d *Driver) Get(ctx context.Context, name string, off, n int64) (r io.ReadCloser, err error) {
	err = d.with(ctx, func(w *webdav.Driver) error {
		r, err = w.Get(ctx, name, off, n)
		return err
	})
	return r, err
}

// List implements [cloud.Driver]. To the child a folder that is gone is an empty
// one, since it makes folders as they are needed. To us it is not: so where nothing
// is listed, rclone is asked whether the folder is there.
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[cloud.Object, error] {
	return func(yield func(cloud.Object, error) bool) {
		some, over := false, false
		err := d.with(ctx, func(w *webdav.Driver) error {
			for o, err := range w.List(ctx, "") {
				if err != nil {
					return err
				}
				some = true
				if strings.HasPrefix(o.Name, prefix) && !yield(o, nil) {
					over = true
					return nil
				}
			}
			return nil
		})
		if err == nil && !some && !over {
			err = d.exists(ctx)
		}
		if err != nil && !over {
			yield(cloud.Object{}, err)
		}
	}
}

// Delete implements [cloud.Driver]. A child whose service refuses forgets the object
// all the same (rclone 1.60): it would then say that the object is not there, to a
// second Delete and, worse, to a Get. So that child is ended, and rclone is asked
// without one, which also tells why.
func (d *Driver) Delete(ctx context.Context, name string) error {
	c, err := d.running(ctx)
	if err != nil {
		return err
	}
	if err := c.place.Delete(ctx, name); err == nil {
		return nil
	}
	d.drop(c)
	_, err = output(ctx, d.c.Remote, d.command("deletefile", "--retries", "1", "--low-level-retries", "1", "--", d.object(name)))
	if err == nil || errors.Is(err, cloud.ErrNoPlace) { // of a file: it is not there
		return nil
	}
	return fmt.Errorf("delete: %w", err)
}

// object returns what rclone calls an object.
func (d *Driver) object(name string) string {
	if strings.HasSuffix(d.c.Remote, ":") || strings.HasSuffix(d.c.Remote, "/") {
		return d.c.Remote + name
	}
	return d.c.Remote + "/" + name
}

// Stat implements [cloud.Stater].
func (d *Driver) Stat(ctx context.Context, name string) (o cloud.Object, err error) {
	err = d.with(ctx, func(w *webdav.Driver) error {
		o, err = w.Stat(ctx, name)
		return err
	})
	return o, err
}

// Maintain implements [cloud.Maintainer].
func (d *Driver) Maintain(ctx context.Context) (tidied int, err error) {
	err = d.with(ctx, func(w *webdav.Driver) error {
		tidied, err = w.Maintain(ctx)
		return err
	})
	return tidied, err
}

// Capacity implements [cloud.Capacitor], where the service tells.
func (d *Driver) Capacity(ctx context.Context) (cloud.Capacity, error) {
	if _, err := d.running(ctx); err != nil { // which makes the folder
		return cloud.Capacity{}, err
	}
	return d.about(ctx)
}

// Describe implements [cloud.Describer].
func (d *Driver) Describe(ctx context.Context) (cloud.Description, error) {
	if _, err := d.running(ctx); err != nil {
		return cloud.Description{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return cloud.Description{Account: d.name, Server: "rclone, " + d.kind}, nil
}

// Caps implements [cloud.Driver]. It promises little: what is behind rclone is not
// known.
func (d *Driver) Caps() cloud.Caps { return cloud.Caps{Parallel: 4} }

// drop ends a child that is not to be trusted any more. The next request starts
// another.
func (d *Driver) drop(c *child) {
	d.mu.Lock()
	if d.child == c {
		d.child = nil
	}
	d.mu.Unlock()
	c.end()
}

// Close ends the child. Requests under way fail.
func (d *Driver) Close() error {
	d.mu.Lock()
	c := d.child
	d.child, d.closed = nil, true
	d.mu.Unlock()
	if c != nil {
		c.end()
	}
	return nil
}

// with makes a request of the child, which is started if none runs. What the child
// said meanwhile tells more of a failure than its answer.
func (d *Driver) with(ctx context.Context, request func(*webdav.Driver) error) error {
	c, err := d.running(ctx)
	if err != nil {
		return err
	}
	mark := c.said.mark()
	err = request(c.place)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return refine(err, c.said.since(mark))
}
