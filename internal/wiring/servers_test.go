package wiring

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	pkgsftp "github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/net/webdav"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/drive/drivetest"
)

// secretMark is in every secret of these tests, so that one that shows is found.
const secretMark = drivetest.Mark

// memorySecrets are the secrets of one place.
type memorySecrets struct {
	mu   sync.Mutex
	kept map[string]string // guarded by mu
	sets int               // guarded by mu
	fail error
}

func secrets(pairs ...string) *memorySecrets {
	m := &memorySecrets{kept: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		m.kept[pairs[i]] = pairs[i+1]
	}
	return m
}

func (m *memorySecrets) Get(_ context.Context, name string) (app.Secret, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return app.Secret{}, m.fail
	}
	text, ok := m.kept[name]
	if !ok {
		return app.Secret{}, app.ErrNoEntry
	}
	return app.NewSecret([]byte(text)), nil
}

func (m *memorySecrets) Set(_ context.Context, name string, s app.Secret) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sets++
	if s.IsZero() {
		delete(m.kept, name)
		return m.fail
	}
	m.kept[name] = reveal(s)
	return m.fail
}

func (m *memorySecrets) get(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[name]
}

// A stand is one place at a server of this process, and how to reach it.
type stand struct {
	kind      string
	dest      string
	canonical string
	options   map[string]string
	secrets   *memorySecrets
	env       map[string]string
	cas       []byte
	secret    string // the name of the secret that lets people in; "": none
	dir       bool   // the place is a folder of this computer
	icloud    string // the synced folder; "": as on this computer
}

// connector returns one that trusts the stand's server.
func (s *stand) connector(t *testing.T) *connector {
	t.Helper()
	home := t.TempDir()
	if s.env["HOME"] != "" {
		home = s.env["HOME"]
	}
	c, err := newConnector(home, env(s.env))
	if err != nil {
		t.Fatal(err)
	}
	if s.icloud != "" {
		c.findICloud = func(string, func(string) string) (string, error) { return s.icloud, nil }
	}
	if err := c.Network(app.NetworkSettings{CAs: s.cas}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *stand) request(create bool) app.PlaceRequest {
	return app.PlaceRequest{Dest: s.dest, Create: create, Options: s.options, Secrets: s.secrets}
}

// stands has one of each kind that this computer can reach.
func stands(t *testing.T) []*stand {
	t.Helper()
	return append([]*stand{folderStand(t), driveStand(t, drivetest.New(t)), s3Stand(t), webdavStand(t), sftpStand(t).stand(), icloudStand(t)}, otherStands(t)...)
}

func folderStand(t *testing.T) *stand {
	path := filepath.Join(t.TempDir(), "my place")
	return &stand{kind: kindFolder, dest: path, canonical: path, secrets: secrets(), dir: true}
}

// driveStand is a Drive that Alice has signed in to.
func driveStand(t *testing.T, f *drivetest.Fake) *stand {
	base := f.Serve()
	return &stand{
		kind: kindDrive, dest: "Drive:", canonical: "drive:Coffer Backups", env: map[string]string{"COFFER_DRIVE_ENDPOINT": base},
		secrets: secrets("client", string(f.ClientJSON(base)), "token", f.SignedIn(drivetest.Alice())+"\n"), secret: "token",
	}
}

// pemOf is the certificate of a server, as a file of trusted ones has it.
func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

const s3Key = "AKIA-ann"

// s3Stand is a bucket whose server knows one key. (The server does not check
// signatures; that the requests have them is checked here, and that they are right by
// the tests of package s3.)
func s3Stand(t *testing.T) *stand {
	backend := s3mem.New()
	if err := backend.CreateBucket("ann-backup"); err != nil {
		t.Fatal(err)
	}
	handler := gofakes3.New(backend).Server()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential="+s3Key+"/") {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<Error><Code>InvalidAccessKeyId</Code></Error>")
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	dest := "s3:" + server.URL + "/ann-backup/here"
	return &stand{
		kind: kindS3, dest: dest + "/", canonical: dest, cas: pemOf(server), secret: "secret-key",
		options: map[string]string{"access-key": s3Key, "region": "us-east-1"}, secrets: secrets("secret-key", "key-"+secretMark+"\n"),
	}
}

const davUser = "ann@home"

// webdavStand is a folder of a server that wants a password.
func webdavStand(t *testing.T) *stand {
	handler := &webdav.Handler{FileSystem: webdav.Dir(t.TempDir()), LockSystem: webdav.NewMemLS()}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != davUser || password != "pass-"+secretMark {
			w.Header().Set("WWW-Authenticate", `Basic realm="ann"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	_, host, _ := strings.Cut(server.URL, "://")
	return &stand{
		kind: kindWebDAV, dest: "webdav:https://ann%40home@" + host + "/backup", canonical: "webdav:https://ann%40home@" + host + "/backup/",
		cas: pemOf(server), secrets: secrets("password", "pass-"+secretMark), secret: "password",
	}
}

// An sshServer is an SSH server with the files of this computer.
type sshServer struct {
	t       *testing.T
	address string
	root    string
	config  *ssh.ServerConfig
	key     ssh.Signer // of the host
	wait    sync.WaitGroup
	mu      sync.Mutex
	conns   []net.Conn // guarded by mu
}

func newSigner(t *testing.T) (ssh.Signer, ed25519.PrivateKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, private
}

// sftpStand starts a server that takes a password, or the keys that are allowed.
func sftpStand(t *testing.T, allowed ...ssh.PublicKey) *sshServer {
	t.Helper()
	key, _ := newSigner(t)
	s := &sshServer{t: t, root: t.TempDir(), key: key}
	s.config = &ssh.ServerConfig{
		PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) != "pass-"+secretMark {
				return nil, errors.New("no")
			}
			return nil, nil
		},
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			for _, known := range allowed {
				if bytes.Equal(known.Marshal(), key.Marshal()) {
					return nil, nil
				}
			}
			return nil, errors.New("no")
		},
	}
	s.config.AddHostKey(key)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	s.wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.wait.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.wait.Wait()
	})
	return s
}

func (s *sshServer) serve(conn net.Conn) {
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		_ = conn.Close()
		return
	}
	s.wait.Go(func() { ssh.DiscardRequests(requests) })
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			continue
		}
		s.wait.Go(func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		})
		s.wait.Go(func() {
			defer channel.Close()
			if server, err := pkgsftp.NewServer(channel, pkgsftp.WithServerWorkingDirectory(s.root)); err == nil {
				_ = server.Serve()
			}
		})
	}
}

func (s *sshServer) fingerprint() string { return ssh.FingerprintSHA256(s.key.PublicKey()) }

func (s *sshServer) stand() *stand {
	dest := "sftp://ann@" + s.address + filepath.ToSlash(s.root) + "/place"
	return &stand{
		kind: kindSFTP, dest: "SFTP" + dest[4:], canonical: dest, options: map[string]string{"host-key": s.fingerprint()},
		secrets: secrets("password", "pass-"+secretMark), secret: "password",
	}
}

// serveAgent is an SSH agent with one key, at a socket.
func serveAgent(t *testing.T, key ed25519.PrivateKey) string {
	t.Helper()
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "agent") // short: the path of a socket has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				defer conn.Close()
				_ = agent.ServeAgent(ring, conn) // until the client goes
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wait.Wait()
		_ = os.RemoveAll(dir)
	})
	return socket
}

// mustOpen opens the stand's place, until the test ends.
func mustOpen(t *testing.T, c *connector, r app.PlaceRequest) app.OpenedPlace {
	t.Helper()
	p, err := c.Open(t.Context(), r)
	if err != nil {
		t.Fatalf("open %s: %v", r.Dest, err)
	}
	if closer, ok := p.Driver.(io.Closer); ok {
		t.Cleanup(func() { _ = closer.Close() })
	}
	return p
}

// list is the cheapest request of a place.
func list(ctx context.Context, d cloud.Driver) error {
	for _, err := range d.List(ctx, "head-") {
		if err != nil {
			return err
		}
	}
	return nil
}
