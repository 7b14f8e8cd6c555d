package sftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"coffer/cloud"
)

const (
	// patience is how long the answer to a request that was given up may take, from
	// when it was sent, before its channel counts as stuck.
	patience = 10 * time.Second
	// maxLate is how many of those there may be.
	maxLate = 1024
	// leastPiece is what every server takes in a read or a write (section 3 of
	// the draft: packets of 34,000 bytes).
	leastPiece = 32 << 10
	// mostPiece is what we ask for at most, where a server says that it takes
	// more: longer pieces were no faster.
	mostPiece = 128 << 10
	// window is how many bytes of one object are under way at once. It covers
	// what x/crypto lets a channel have on its way (2 MiB).
	window = 2 << 20
)

// A channel is one SFTP conversation. Requests of many callers are on it at
// once; answers find their way back by their ids. It is safe for concurrent use.
type channel struct {
	wire       io.ReadWriteCloser
	extensions map[string]string
	readPiece  int // bytes of one read, at most
	writePiece int

	out     chan []byte   // to the writer; taken by it
	handles chan string   // to be closed, by the writer, without an answer to wait for
	done    chan struct{} // closed when the channel is over
	free    sync.Pool     // of *[]byte: packets that were sent or read

	mu      sync.Mutex
	err     error              // guarded by mu; why it is over
	lastID  uint32             // guarded by mu
	waiting map[uint32]*ticket // guarded by mu; requests without an answer
	late    int                // guarded by mu; how many of them were given up
	users   int                // guarded by mu; operations that have it
}

// A ticket is a request under way.
type ticket struct {
	id      uint32
	answer  chan reply // holds one
	begun   time.Time
	givenUp bool // guarded by the channel's mu; nobody waits
}

// newChannel greets the server and starts the conversation. wire must end its
// reads and writes when it is closed.
func newChannel(wire io.ReadWriteCloser) (*channel, error) {
	c := &channel{
		wire: wire, readPiece: leastPiece, writePiece: leastPiece,
		out: make(chan []byte), handles: make(chan string, 256), done: make(chan struct{}),
		waiting: map[uint32]*ticket{},
	}
	if _, err := wire.Write([]byte{0, 0, 0, 5, kindInit, 0, 0, 0, 3}); err != nil {
		return nil, fmt.Errorf("%w: greet sftp server: %w", cloud.ErrOffline, err)
	}
	raw, err := c.receive()
	if err != nil {
		return nil, err
	}
	if c.extensions, err = (reply{kind: raw[0], body: raw[1:]}).version(); err != nil {
		return nil, err
	}
	go c.write()
	go c.read()
	return c, nil
}

// limits asks for longer reads and writes than every server takes.
func (c *channel) limits(ctx context.Context) error {
	if !c.announces(extLimits, "1") {
		return nil
	}
	r, err := c.ask(ctx, func(id uint32) []byte { return extendedPacket(id, extLimits) })
	if err != nil {
		return err
	}
	read, write, err := r.limits()
	if isCode(err, codeFailure, codeBadMessage, codeUnsupported, codeDenied) {
		return nil // announced, and not so
	}
	if err != nil {
		return c.checked(err)
	}
	c.readPiece, c.writePiece = piece(read), piece(write)
	return nil
}

// piece returns how long a request may be, from what the server says.
func piece(limit uint64) int {
	if limit < leastPiece {
		return leastPiece // 0 means that it does not say
	}
	return int(min(limit, mostPiece))
}

// announces reports whether the server has the extension, in that version.
func (c *channel) announces(name, version string) bool { return c.extensions[name] == version }

// receive reads one packet: its kind, its id (or version) and the rest.
func (c *channel) receive() ([]byte, error) {
	var head [lengthWord]byte
	if _, err := io.ReadFull(c.wire, head[:]); err != nil {
		return nil, fmt.Errorf("%w: read answer: %w", cloud.ErrOffline, err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 1+4 || n > maxPacket {
		return nil, fmt.Errorf("%w: length %d", errProtocol, n)
	}
	packet := c.buffer(int(n))[:n]
	if _, err := io.ReadFull(c.wire, packet); err != nil {
		return nil, fmt.Errorf("%w: read answer: %w", cloud.ErrOffline, err)
	}
	return packet, nil
}

// small packets are not worth keeping; a large one has a piece and its header.
const (
	smallPacket = 4 << 10
	largePacket = mostPiece + 1<<10
)

// buffer returns room for n bytes; length 0.
func (c *channel) buffer(n int) []byte {
	if n <= smallPacket || n > largePacket {
		return make([]byte, 0, n)
	}
	if b, ok := c.free.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, largePacket)
}

// recycle takes back a buffer that nobody looks at any more.
func (c *channel) recycle(b []byte) {
	if cap(b) == largePacket {
		c.free.Put(&b)
	}
}

// read hands out the answers until the channel is over.
func (c *channel) read() {
	for {
		packet, err := c.receive()
		if err == nil {
			err = c.deliver(packet)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// deliver gives an answer to who waits for it.
func (c *channel) deliver(packet []byte) error {
	id := binary.BigEndian.Uint32(packet[1:])
	r := reply{kind: packet[0], body: packet[1+4:], raw: packet}
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.waiting[id]
	if !ok {
		return fmt.Errorf("%w: answer to no request", errProtocol)
	}
	delete(c.waiting, id)
	t.answer <- r
	if t.givenUp {
		c.late--
		c.dismiss(r)
	}
	return nil
}

// dismiss gives back what an answer that nobody waits for has brought.
func (c *channel) dismiss(r reply) {
	if handle, err := r.handle(); err == nil {
		c.drop(handle)
	}
}

// drop closes a handle without waiting for the answer. Should very many be
// waiting, it stays open: a server has limits, but also an end of each channel.
func (c *channel) drop(handle string) {
	select {
	case c.handles <- handle:
	default:
	}
}

// write sends until the channel is over. It alone writes to the wire, which
// obeys no context: a caller waits for a place in the line, and can leave it.
func (c *channel) write() {
	for {
		var packet []byte
		select {
		case <-c.done:
			return
		case packet = <-c.out:
		case handle := <-c.handles:
			t := c.ticket()
			packet = pathPacket(kindClose, t.id, handle)
			c.giveUp(t)
		}
		if _, err := c.wire.Write(packet); err != nil {
			c.fail(fmt.Errorf("%w: send request: %w", cloud.ErrOffline, err))
			return
		}
		c.recycle(packet)
	}
}

// fail ends the channel. The first reason is the one that counts.
func (c *channel) fail(err error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = classify(err)
		close(c.done)
	}
	c.mu.Unlock()
	if first {
		_ = c.wire.Close() // it is over in any case
	}
}

// reason returns why the channel is over.
func (c *channel) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// ticket makes the next request's ticket.
func (c *channel) ticket() *ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		c.lastID++
		if _, used := c.waiting[c.lastID]; !used {
			break
		}
	}
	t := &ticket{id: c.lastID, answer: make(chan reply, 1), begun: time.Now()}
	c.waiting[t.id] = t
	return t
}

// forget takes back the ticket of a request that was never sent.
func (c *channel) forget(t *ticket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, t.id)
}

// giveUp says that nobody waits for the answer any more.
func (c *channel) giveUp(t *ticket) {
	c.mu.Lock()
	if _, waiting := c.waiting[t.id]; waiting {
		t.givenUp = true
		c.late++
	} else if r, came := poll(t.answer); came {
		c.dismiss(r)
	}
	over := c.late > maxLate
	c.mu.Unlock()
	if over {
		c.fail(fmt.Errorf("%w: %d requests without an answer", cloud.ErrOffline, maxLate))
	}
}

func poll(answer <-chan reply) (reply, bool) {
	select {
	case r := <-answer:
		return r, true
	default:
		return reply{}, false
	}
}

// stuck reports that the server has left a request that was given up without an
// answer for too long. Then the next caller should not wait here.
func (c *channel) stuck(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.late == 0 {
		return false
	}
	for _, t := range c.waiting {
		if t.givenUp && now.Sub(t.begun) > patience {
			return true
		}
	}
	return false
}

// begin sends the request that build makes for an id.
func (c *channel) begin(ctx context.Context, build func(id uint32) []byte) (*ticket, error) {
	t := c.ticket()
	select {
	case c.out <- build(t.id):
		return t, nil
	case <-ctx.Done():
		c.forget(t)
		return nil, ctx.Err()
	case <-c.done:
		c.forget(t)
		return nil, c.reason()
	}
}

// finish waits for the answer.
func (c *channel) finish(ctx context.Context, t *ticket) (reply, error) {
	select {
	case r := <-t.answer:
		return r, nil
	default:
	}
	select {
	case r := <-t.answer:
		return r, nil
	case <-ctx.Done():
		c.giveUp(t)
		return reply{}, ctx.Err()
	case <-c.done:
		return reply{}, c.reason()
	}
}

// ask sends one request and waits for its answer.
func (c *channel) ask(ctx context.Context, build func(id uint32) []byte) (reply, error) {
	t, err := c.begin(ctx, build)
	if err != nil {
		return reply{}, err
	}
	return c.finish(ctx, t)
}

// order makes a request that is answered by a status.
func (c *channel) order(ctx context.Context, build func(id uint32) []byte) error {
	r, err := c.ask(ctx, build)
	if err != nil {
		return err
	}
	return c.checked(r.status())
}

// checked ends the channel if the answer was malformed.
func (c *channel) checked(err error) error {
	if err != nil && !isRefusal(err) {
		c.fail(err)
	}
	return err
}

func (c *channel) open(ctx context.Context, path string, flags uint32) (string, error) {
	return c.handleOf(ctx, func(id uint32) []byte { return openPacket(id, path, flags) })
}

func (c *channel) openFolder(ctx context.Context, path string) (string, error) {
	return c.handleOf(ctx, func(id uint32) []byte { return pathPacket(kindOpendir, id, path) })
}

func (c *channel) handleOf(ctx context.Context, build func(id uint32) []byte) (string, error) {
	r, err := c.ask(ctx, build)
	if err != nil {
		return "", err
	}
	handle, err := r.handle()
	return handle, c.checked(err)
}

// about is an order about one path or handle.
func (c *channel) about(ctx context.Context, kind byte, path string) error {
	return c.order(ctx, func(id uint32) []byte { return pathPacket(kind, id, path) })
}

func (c *channel) rename(ctx context.Context, from, to string) error {
	return c.order(ctx, func(id uint32) []byte { return renamePacket(id, from, to) })
}

func (c *channel) link(ctx context.Context, from, to string) error {
	return c.order(ctx, func(id uint32) []byte { return extendedPacket(id, extHardlink, from, to) })
}

func (c *channel) fsync(ctx context.Context, handle string) error {
	return c.order(ctx, func(id uint32) []byte { return extendedPacket(id, extFsync, handle) })
}

// lstat describes path itself, stat what it leads to.
func (c *channel) lstat(ctx context.Context, path string) (attrs, error) {
	return c.attrsOf(ctx, kindLstat, path)
}

func (c *channel) stat(ctx context.Context, path string) (attrs, error) {
	return c.attrsOf(ctx, kindStat, path)
}

func (c *channel) attrsOf(ctx context.Context, kind byte, path string) (attrs, error) {
	r, err := c.ask(ctx, func(id uint32) []byte { return pathPacket(kind, id, path) })
	if err != nil {
		return attrs{}, err
	}
	a, err := r.attrs()
	return a, c.checked(err)
}

// room asks for the space of the file system that path is on.
func (c *channel) room(ctx context.Context, path string) (room, error) {
	if !c.announces(extStatvfs, "2") {
		return room{}, &statusError{codeUnsupported}
	}
	r, err := c.ask(ctx, func(id uint32) []byte { return extendedPacket(id, extStatvfs, path) })
	if err != nil {
		return room{}, err
	}
	found, err := r.room()
	return found, c.checked(err)
}

// printable returns what may be shown of a stranger's text.
func printable(text []byte) string {
	const most = 80
	text = bytes.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, text[:min(len(text), most)])
	return string(bytes.TrimSpace(text))
}

// errStuck: the server has stopped answering on one channel.
var errStuck = fmt.Errorf("%w: the server has stopped answering", cloud.ErrOffline)
