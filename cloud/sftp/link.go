package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"coffer/cloud"
)

const (
	// pulse is how often an idle server is asked whether it is there.
	pulse = 15 * time.Second
	// silence is how long it may take to answer, while no other byte comes.
	silence = 30 * time.Second
	// idle is after how long without a request the link is closed. A server
	// that holds a login open for a backup at night is one that gets restarted.
	idle = 2 * time.Minute
	// handshake is how long making a link, or a channel on it, may take.
	handshake = 45 * time.Second
	// maxChannels of one link: OpenSSH allows ten (MaxSessions).
	maxChannels = 4
)

// A link is one SSH connection with its channels.
type link struct {
	client  *ssh.Client
	wire    *wire
	key     string // fingerprint of the host key
	keyType string
	done    chan struct{} // closed when the connection is over
	opening turnstile     // held by who opens a channel

	mu       sync.Mutex
	channels []*channel // guarded by mu
	most     int        // guarded by mu; channels that the server allows, as far as known
	used     time.Time  // guarded by mu; when an operation last ended
	closed   bool       // guarded by mu
}

// A wire is a network connection that remembers when it last brought something
// and whether it broke.
type wire struct {
	net.Conn
	heard  atomic.Int64 // nanoseconds since 1970
	broken atomic.Bool
	shut   atomic.Bool // by us
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.heard.Store(time.Now().UnixNano())
	}
	if err != nil && !w.shut.Load() {
		w.broken.Store(true)
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	if err != nil && !w.shut.Load() {
		w.broken.Store(true)
	}
	return n, err
}

func (w *wire) Close() error {
	w.shut.Store(true)
	return w.Conn.Close()
}

// connect makes a link: dial, host key, authentication.
func (d *Driver) connect(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, handshake, errSlow)
	defer cancel()
	host := endpoint(d.config.Host, d.config.Port)
	id, err := newIdentity(host, d.config.HostKeys, d.config.KnownHosts)
	if err != nil {
		return nil, err
	}
	l, err := d.greet(ctx, id, id.ask(d.keyType))
	first, shown := err, []string{}
	for id.refusal != nil {
		shown = append(shown, id.keyType)
		algorithms := id.others(shown)
		if len(algorithms) == 0 {
			return nil, first
		}
		id.refusal = nil
		l, err = d.greet(ctx, id, algorithms)
		var none *ssh.AlgorithmNegotiationError
		if errors.As(err, &none) {
			return nil, first // it has no other keys
		}
	}
	return l, err
}

// errSlow: the server did not finish its greeting.
var errSlow = fmt.Errorf("%w: no connection within %s", cloud.ErrOffline, handshake)

// greet dials once and asks for the host key by the given algorithms.
func (d *Driver) greet(ctx context.Context, id *identity, algorithms []string) (*link, error) {
	conn, err := d.config.Dial(ctx, "tcp", id.host)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	w := &wire{Conn: conn}
	credentials := newCredentials(ctx, d.config)
	defer credentials.close()
	// Whatever waits in there, on the server or on the agent, ends with ctx.
	stop := context.AfterFunc(ctx, func() {
		_ = w.Close()
		credentials.close()
	})
	defer stop()
	config := &ssh.ClientConfig{
		Config:            ssh.Config{Ciphers: ciphers(), KeyExchanges: exchanges(), MACs: macs()},
		User:              d.config.User,
		Auth:              credentials.methods(),
		AuthCallback:      credentials.before,
		HostKeyCallback:   id.decide,
		HostKeyAlgorithms: algorithms,
		ClientVersion:     "SSH-2.0-Coffer",
	}
	c, channels, requests, err := ssh.NewClientConn(w, id.host, config)
	if err != nil {
		broken := w.broken.Load()
		_ = w.Close()
		return nil, failedGreeting(ctx, err, id, credentials, broken)
	}
	l := &link{
		client: ssh.NewClient(c, channels, requests), wire: w, key: id.offered, keyType: id.keyType,
		done: make(chan struct{}), opening: newTurnstile(), most: maxChannels, used: time.Now(),
	}
	go l.await()
	go l.watch()
	if !stop() {
		l.close()
		return nil, unreachable(ctx, errSlow)
	}
	return l, nil
}

// failedGreeting classes the error of a link that was not made.
func failedGreeting(ctx context.Context, err error, id *identity, c *credentials, broken bool) error {
	var none *ssh.AlgorithmNegotiationError
	switch {
	case ctx.Err() != nil:
		return unreachable(ctx, err)
	case id.refusal != nil:
		return id.refusal
	case errors.As(err, &none):
		return fmt.Errorf("%w: the server knows only methods that are not safe: %w", cloud.ErrUnsupported, none)
	case c.asked && !broken:
		return c.failure()
	}
	return fmt.Errorf("%w: greet server: %s", cloud.ErrOffline, plain(err))
}

// plain returns the text of an error of the library, which may hold words of the
// server: cut to what may be shown.
func plain(err error) string { return printable([]byte(err.Error())) }

// unreachable is the error of a server that could not be reached, or not in time.
// What Dial says of who answered stays.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, cloud.ErrOffline) || errors.Is(err, cloud.ErrIdentity) || errors.Is(err, cloud.ErrAuth) {
		return err
	}
	return fmt.Errorf("%w: dial: %w", cloud.ErrOffline, err)
}

// await ends what is left when the connection is over.
func (l *link) await() {
	_ = l.client.Wait() // why does not matter: each channel has its own reason
	close(l.done)
	_ = l.wire.Close()
}

// watch asks from time to time whether the server is there, and closes a link
// that nobody uses.
func (l *link) watch() {
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-tick.C:
		}
		if l.retire(time.Now()) {
			return
		}
		l.knock()
	}
}

// knock waits for a sign of life, and closes the connection if there is none.
// Any byte is one: behind a long upload the answer itself may be late.
func (l *link) knock() {
	asked := time.Now()
	var guard *time.Timer
	guard = time.AfterFunc(silence, func() {
		if quiet := time.Since(time.Unix(0, max(l.wire.heard.Load(), asked.UnixNano()))); quiet < silence {
			guard.Reset(silence - quiet)
			return
		}
		_ = l.wire.Close()
	})
	defer guard.Stop()
	// What is answered does not matter; most servers refuse (RFC 4254, section 4).
	_, _, _ = l.client.SendRequest("keepalive@openssh.com", true, nil)
}

// retire closes a link that was not used for long.
func (l *link) retire(now time.Time) bool {
	l.mu.Lock()
	over := l.busy() == 0 && now.Sub(l.used) > idle
	l.closed = l.closed || over
	l.mu.Unlock()
	if over {
		l.close()
	}
	return over
}

// busy counts operations. The caller holds mu.
func (l *link) busy() int {
	n := 0
	for _, c := range l.channels {
		c.mu.Lock()
		n += c.users
		c.mu.Unlock()
	}
	return n
}

// close ends the link and all that is on it.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	_ = l.wire.Close()
}

// alive reports whether the link can be used, and if so keeps it from being
// retired at this moment.
func (l *link) alive() bool {
	select {
	case <-l.done:
		return false
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = time.Now()
	// The wire knows first: who has just seen it break must not meet it again.
	return !l.closed && !l.wire.shut.Load() && !l.wire.broken.Load()
}

// enter gives an operation a channel: a free one, a new one, or the one with the
// fewest users. Release it with leave. One opens at a time: a server that allows
// two more would refuse all of eight who ask at once.
func (l *link) enter(ctx context.Context) (*channel, error) {
	if c := l.pick(false); c != nil {
		return c, nil
	}
	if !l.opening.tryEnter() {
		if c := l.pick(true); c != nil {
			return c, nil
		}
		if err := l.opening.enter(ctx); err != nil {
			return nil, err
		}
	}
	defer l.opening.leave()
	if c := l.pick(false); c != nil { // somebody opened or left one meanwhile
		return c, nil
	}
	c, err := l.dial(ctx)
	if err == nil {
		return l.add(c), nil
	}
	if errors.Is(err, cloud.ErrLimit) {
		l.mu.Lock()
		l.most = max(1, len(l.channels)) // the server wants no more of them
		l.mu.Unlock()
		if c := l.pick(true); c != nil {
			return c, nil
		}
	}
	return nil, err
}

// pick returns a channel: one that nobody uses, or, if no more can be opened or
// shared is true, the one with the fewest users; nil if there is none.
func (l *link) pick(shared bool) *channel {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tidy(time.Now())
	best := l.best()
	if best == nil || !shared && len(l.channels) < l.most && (best.load() > 0 || best.stuck(time.Now())) {
		return nil
	}
	return best.join()
}

// add takes a new channel in, for one user.
func (l *link) add(c *channel) *channel {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.channels = append(l.channels, c)
	return c.join()
}

// A fullError is that of a server which opens no further channel.
type fullError struct{ refused *ssh.OpenChannelError }

func (e *fullError) Error() string {
	return cloud.ErrLimit.Error() + ": the server opens no channel, reason " + strconv.Itoa(int(e.refused.Reason))
}

func (e *fullError) Unwrap() error { return cloud.ErrLimit }

// tidy forgets channels that are over, and ends those that are stuck and that
// nobody uses. The caller holds mu.
func (l *link) tidy(now time.Time) {
	l.channels = slices.DeleteFunc(l.channels, func(c *channel) bool {
		c.mu.Lock()
		over, unused := c.err != nil, c.users == 0
		c.mu.Unlock()
		if !over && unused && c.stuck(now) {
			c.fail(errStuck)
			over = true
		}
		return over
	})
}

// best returns the channel with the fewest users, one that is not stuck if
// there is, or nil. The caller holds mu.
func (l *link) best() *channel {
	var best *channel
	cost := func(c *channel) int {
		n := c.load()
		if c.stuck(time.Now()) {
			n += 1 << 10
		}
		return n
	}
	for _, c := range l.channels {
		if best == nil || cost(c) < cost(best) {
			best = c
		}
	}
	return best
}

func (c *channel) load() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.users
}

// join counts one more user. The caller holds the link's mu.
func (c *channel) join() *channel {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users++
	return c
}

// leave ends an operation.
func (l *link) leave(c *channel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
}

// dial opens a channel. The library's waits know no context, so they get a
// goroutine of their own, which ends with the connection at the latest.
func (l *link) dial(ctx context.Context) (*channel, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, handshake, errSlow)
	defer cancel()
	type outcome struct {
		c   *channel
		err error
	}
	opened := make(chan outcome, 1)
	go func() {
		c, err := l.open()
		opened <- outcome{c, err}
	}()
	select {
	case out := <-opened:
		if out.err != nil {
			return nil, out.err
		}
		if err := out.c.limits(ctx); err != nil {
			out.c.fail(errStuck)
			return nil, unreachable(ctx, err)
		}
		return out.c, nil
	case <-ctx.Done():
		l.abandon(func() {
			if out := <-opened; out.c != nil {
				out.c.fail(errStuck)
			}
		})
		return nil, context.Cause(ctx)
	}
}

// abandon waits for an opening that nobody wants any more, somewhere else. A
// link on which nothing else happens goes with it: its server hangs.
func (l *link) abandon(wait func()) {
	go wait()
	l.mu.Lock()
	unused := l.busy() == 0
	l.mu.Unlock()
	if unused {
		l.close()
	}
}

// open starts SFTP on a new channel of the connection.
func (l *link) open() (*channel, error) {
	raw, requests, err := l.client.OpenChannel("session", nil)
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		return nil, &fullError{refused}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: open channel: %s", cloud.ErrOffline, plain(err))
	}
	go ssh.DiscardRequests(requests)
	go func() { _, _ = io.Copy(io.Discard, raw.Stderr()) }() // or it fills the channel's window
	ok, err := raw.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"}))
	if err == nil && !ok {
		err = fmt.Errorf("%w: the server has no SFTP for this user", cloud.ErrUnsupported)
	}
	var c *channel
	if err == nil {
		c, err = newChannel(raw)
	}
	if errors.Is(err, errProtocol) {
		// Often a login script that prints something.
		err = fmt.Errorf("%w: something else than SFTP answers: %w", cloud.ErrUnsupported, err)
	}
	if err != nil {
		_ = raw.Close()
		if !errors.Is(err, cloud.ErrUnsupported) && !errors.Is(err, cloud.ErrOffline) {
			err = fmt.Errorf("%w: start sftp: %s", cloud.ErrOffline, plain(err))
		}
		return nil, err
	}
	return c, nil
}

// server returns what the server says it is, without the protocol's name.
func (l *link) server() string {
	return strings.TrimPrefix(printable(l.client.ServerVersion()), "SSH-2.0-")
}
