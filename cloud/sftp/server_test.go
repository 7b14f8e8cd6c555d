package sftp

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pkgsftp "github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// A server is an SSH server in this process. What it does wrong, its fields say.
type server struct {
	t    *testing.T
	root string // the home

	keys       []ssh.Signer
	password   string // "": no such method
	question   string // "": no such method
	questions  int
	echo       bool
	users      []ssh.PublicKey // who may come in; none: everybody, without proof
	algorithms func(*ssh.ServerConfig)

	without     []string                         // extensions that are not announced
	pretend     []string                         // extensions that are announced, and fail
	refuse      bool                             // of subsystems
	greeting    string                           // what a login script prints before
	announceToo []string                         // extensions that are announced, and served by request
	channels    int                              // at most; 0: any number
	hang        atomic.Value                     // "dial", "greeting", "channel", "subsystem", "version"
	request     func(kind byte, ext string) deed // what to do with a request; nil: serve
	reply       func(kind byte, ext string, packet []byte) []byte

	mu      sync.Mutex
	conns   []net.Conn // guarded by mu; all that were dialled
	wg      sync.WaitGroup
	dialled int            // guarded by mu
	seen    map[string]int // guarded by mu; requests, by kind or extension
	tried   []string       // guarded by mu; methods of authentication
}

// A deed is what happens to a request.
type deed int

const (
	serve           deed = iota
	swallow              // no answer, nothing done
	cutBefore            // the connection breaks, nothing done
	cutAfter             // done, and the connection breaks
	swallowDone          // done, no answer
	refuseIt             // an answer: failure, nothing done
	refuseDone           // an answer: failure, but it was done
	refuseAs             // an answer: not supported
	nothingOK            // an answer: OK, nothing done
	refuseWithReply      // not done, and reply makes the answer
)

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, root: t.TempDir(), keys: []ssh.Signer{hostKey(t, "ed25519")}, seen: map[string]int{}}
	t.Cleanup(func() {
		s.cut()
		s.wg.Wait()
	})
	return s
}

// signerOf wraps a private key.
func signerOf(t testing.TB, key any, err error) ssh.Signer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func privateKey(t testing.TB, kind string) any {
	t.Helper()
	var key any
	var err error
	switch kind {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func hostKey(t testing.TB, kind string) ssh.Signer {
	t.Helper()
	return signerOf(t, privateKey(t, kind), nil)
}

// hangAt returns where it hangs; "": nowhere.
func (s *server) hangAt() string {
	where, _ := s.hang.Load().(string)
	return where
}

// fingerprint of the first host key.
func (s *server) fingerprint() string { return ssh.FingerprintSHA256(s.keys[0].PublicKey()) }

// config is one that gets in.
func (s *server) config() Config {
	return Config{User: "ann", Host: "nas.example", Path: s.root, HostKeys: []string{s.fingerprint()}, Dial: s.dial}
}

func (s *server) open(c Config) *Driver {
	s.t.Helper()
	d, err := New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = d.Close() })
	return d
}

// cut breaks all connections.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

func (s *server) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[what]
}

func (s *server) dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialled
}

func (s *server) methods() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tried)
}

func (s *server) note(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = append(s.tried, method)
}

func (s *server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	s.dialled++
	s.mu.Unlock()
	if s.hangAt() == "dial" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	here, there := memoryPipe()
	s.mu.Lock()
	s.conns = append(s.conns, there)
	s.mu.Unlock()
	s.wg.Go(func() { s.serve(there) })
	return here, nil
}

func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	if s.hangAt() == "greeting" {
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	c, channels, requests, err := ssh.NewServerConn(conn, s.serverConfig())
	if err != nil {
		return
	}
	defer c.Close()
	s.wg.Go(func() { ssh.DiscardRequests(requests) })
	open := 0
	for channel := range channels {
		if s.hangAt() == "channel" {
			continue
		}
		if open++; s.channels > 0 && open > s.channels {
			_ = channel.Reject(ssh.ResourceShortage, "enough")
			continue
		}
		accepted, requests, err := channel.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.session(conn, accepted, requests) })
	}
}

func (s *server) serverConfig() *ssh.ServerConfig {
	c := &ssh.ServerConfig{ServerVersion: "SSH-2.0-Fake_1.0"}
	for _, key := range s.keys {
		c.AddHostKey(key)
	}
	if s.algorithms != nil {
		s.algorithms(c)
	}
	wrong := errors.New("wrong")
	if s.password != "" {
		c.PasswordCallback = func(_ ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
			s.note("password")
			if string(given) != s.password {
				return nil, wrong
			}
			return nil, nil
		}
	}
	if s.question != "" {
		c.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			s.note("question")
			n := max(s.questions, 1)
			answers, err := ask("", "", slices.Repeat([]string{"Password: "}, n), slices.Repeat([]bool{s.echo}, n))
			if err != nil || len(answers) != n || answers[0] != s.question {
				return nil, wrong
			}
			return nil, nil
		}
	}
	if len(s.users) > 0 {
		c.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			s.note("key " + key.Type())
			for _, known := range s.users {
				if string(known.Marshal()) == string(key.Marshal()) {
					return nil, nil
				}
			}
			return nil, wrong
		}
	}
	if s.password == "" && s.question == "" && len(s.users) == 0 {
		c.NoClientAuth = true
	}
	return c
}

func (s *server) session(conn net.Conn, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		if s.hangAt() == "subsystem" {
			continue
		}
		ok := r.Type == "subsystem" && !s.refuse
		_ = r.Reply(ok, nil)
		if ok {
			s.wg.Go(func() {
				defer channel.Close()
				s.sftp(conn, channel)
			})
		}
	}
}

// sftp serves one channel with the known library, and tampers with what goes in
// and comes out.
func (s *server) sftp(conn net.Conn, channel ssh.Channel) {
	_, _ = io.WriteString(channel, s.greeting)
	in, toServer := io.Pipe()
	fromServer, out := io.Pipe()
	inner, err := pkgsftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{in, out}, pkgsftp.WithServerWorkingDirectory(s.root))
	if err != nil {
		return
	}
	t := &tamper{s: s, conn: conn, channel: channel, asked: map[uint32]asked{}}
	s.wg.Go(func() {
		_ = inner.Serve()
		_ = out.Close()
		_ = in.Close()
	})
	s.wg.Go(func() {
		t.inward(toServer)
		_ = toServer.Close()
	})
	t.outward(fromServer)
	_ = fromServer.Close()
}

type asked struct {
	kind byte
	ext  string
	deed deed
}

type tamper struct {
	s       *server
	conn    net.Conn
	channel ssh.Channel

	writing sync.Mutex
	mu      sync.Mutex
	asked   map[uint32]asked // guarded by mu
}

func readRaw(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, 4+binary.BigEndian.Uint32(head[:]))
	copy(packet, head[:])
	_, err := io.ReadFull(r, packet[4:])
	return packet, err
}

func (t *tamper) send(packet []byte) {
	t.writing.Lock()
	defer t.writing.Unlock()
	_, _ = t.channel.Write(packet)
}

func (t *tamper) inward(server io.Writer) {
	for {
		packet, err := readRaw(t.channel)
		if err != nil {
			return
		}
		if packet[4] == kindInit {
			if t.s.hangAt() == "version" {
				continue
			}
		} else if !t.admit(packet) {
			continue
		}
		if _, err := server.Write(packet); err != nil {
			return
		}
	}
}

// admit says whether the request gets to the server.
func (t *tamper) admit(packet []byte) bool {
	a := asked{kind: packet[4]}
	id := binary.BigEndian.Uint32(packet[5:])
	name := opName(a.kind)
	if a.kind == kindExtended {
		n := binary.BigEndian.Uint32(packet[9:])
		a.ext = string(packet[13 : 13+n])
		name = a.ext
	}
	t.s.mu.Lock()
	t.s.seen[name]++
	t.s.mu.Unlock()
	if slices.Contains(t.s.pretend, a.ext) && a.ext != "" {
		a.deed = refuseIt
	}
	if t.s.request != nil && a.deed == serve {
		a.deed = t.s.request(a.kind, a.ext)
	}
	switch a.deed {
	case swallow:
		return false
	case cutBefore:
		_ = t.conn.Close()
		return false
	case refuseIt:
		t.send(statusPacket(id, codeFailure))
		return false
	case refuseWithReply:
		t.send(t.s.reply(a.kind, a.ext, statusPacket(id, codeFailure)))
		return false
	case nothingOK:
		t.send(statusPacket(id, codeOK))
		return false
	case refuseAs:
		t.send(statusPacket(id, codeUnsupported))
		return false
	}
	t.mu.Lock()
	t.asked[id] = a
	t.mu.Unlock()
	return true
}

func (t *tamper) outward(server io.Reader) {
	for {
		packet, err := readRaw(server)
		if err != nil {
			return
		}
		if packet[4] == kindVersion {
			packet = t.s.announce(packet)
		} else if packet = t.answer(packet); packet == nil {
			continue
		}
		t.send(packet)
	}
}

func (t *tamper) answer(packet []byte) []byte {
	id := binary.BigEndian.Uint32(packet[5:])
	t.mu.Lock()
	a := t.asked[id]
	delete(t.asked, id)
	t.mu.Unlock()
	switch a.deed {
	case cutAfter:
		_ = t.conn.Close()
		return nil
	case swallowDone:
		return nil
	case refuseDone:
		return statusPacket(id, codeFailure)
	}
	if t.s.reply != nil {
		return t.s.reply(a.kind, a.ext, packet)
	}
	return packet
}

// announce changes the list of extensions.
func (s *server) announce(packet []byte) []byte {
	extensions, err := reply{kind: packet[4], body: packet[5:]}.version()
	if err != nil {
		s.t.Error(err)
	}
	for _, ext := range s.without {
		delete(extensions, ext)
	}
	for _, ext := range append(slices.Clone(s.announceToo), s.pretend...) {
		extensions[ext] = "1"
		if ext == extStatvfs {
			extensions[ext] = "2"
		}
	}
	b := []byte{0, 0, 0, 0, kindVersion, 0, 0, 0, 3}
	for name, data := range extensions {
		b = appendText(appendText(b, name), data)
	}
	return sealed(b)
}

func statusPacket(id, code uint32) []byte {
	b := newPacket(kindStatus, id, 16)
	b = binary.BigEndian.AppendUint32(b, code)
	return sealed(appendText(appendText(b, ""), ""))
}

func opName(kind byte) string {
	return map[byte]string{
		kindOpen: "open", kindClose: "close", kindRead: "read", kindWrite: "write", kindLstat: "lstat", kindOpendir: "opendir",
		kindReaddir: "readdir", kindRemove: "remove", kindMkdir: "mkdir", kindStat: "stat", kindRename: "rename",
	}[kind]
}

// memoryPipe is a network connection in memory. Unlike net.Pipe it has a buffer:
// both sides of SSH begin by writing.
func memoryPipe() (a, b net.Conn) {
	x, y := newFlow(), newFlow()
	return &memoryConn{in: x, out: y}, &memoryConn{in: y, out: x}
}

type flow struct {
	mu     sync.Mutex
	change *sync.Cond
	data   []byte // guarded by mu
	closed bool   // guarded by mu
}

func newFlow() *flow {
	f := &flow{}
	f.change = sync.NewCond(&f.mu)
	return f
}

func (f *flow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.change.Broadcast()
}

type memoryConn struct{ in, out *flow }

func (c *memoryConn) Read(p []byte) (int, error) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	for len(c.in.data) == 0 {
		if c.in.closed {
			return 0, io.EOF
		}
		c.in.change.Wait()
	}
	n := copy(p, c.in.data)
	c.in.data = c.in.data[n:]
	c.in.change.Broadcast()
	return n, nil
}

func (c *memoryConn) Write(p []byte) (int, error) {
	const most = 1 << 20
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	for len(c.out.data) > most && !c.out.closed {
		c.out.change.Wait()
	}
	if c.out.closed {
		return 0, io.ErrClosedPipe
	}
	c.out.data = append(c.out.data, p...)
	c.out.change.Broadcast()
	return len(p), nil
}

func (c *memoryConn) Close() error {
	c.in.close()
	c.out.close()
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4zero} }
func (c *memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4zero} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }
