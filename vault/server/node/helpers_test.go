package node

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"coffer/crypto"
	"coffer/vault"
	"coffer/vault/trust"
)

const day = 24 * time.Hour

// start is the moment at which the vaults of these tests are made.
var start = time.Now().Truncate(time.Second)

func clockAt(after time.Duration) func() time.Time {
	return func() time.Time { return start.Add(after) }
}

// freePort returns an address on loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// shortDir returns a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "v")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "vault")
}

// made makes a vault; change may change what is made.
func made(t *testing.T, change func(*InitOptions)) (dir string, m Made) {
	t.Helper()
	o := InitOptions{Dir: shortDir(t), Config: sampleConfig()}
	o.Config.Addresses = []string{freePort(t)}
	o.Config.Waits = nil
	if change != nil {
		change(&o)
	}
	m, err := Init(t.Context(), o, Options{Clock: clockAt(0)})
	if err != nil {
		t.Fatalf("init: %v", err)
	}
	return o.Dir, m
}

// A logBuffer is a log that is read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A served is a vault that runs.
type served struct {
	t    *testing.T
	node *Node
	log  *logBuffer
	stop func() error // may be repeated
}

// serve runs the vault in dir until the test or stop ends it.
func serve(t *testing.T, dir string, opts Options) *served {
	t.Helper()
	s := &served{t: t, log: &logBuffer{}}
	if opts.Log == nil {
		opts.Log = s.log
	}
	n, err := Open(t.Context(), dir, opts)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	s.node = n
	s.stop = serveOpened(t, n)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	if a, err := Reach(t.Context(), dir, Options{}); err != nil {
		t.Fatalf("reach: %v\n%s", err, s.log)
	} else if !a.Running() {
		t.Fatal("the vault does not run")
	} else {
		a.Close()
	}
	return s
}

// serveOpened serves a vault that was opened. The function that it returns ends it, and may
// be repeated.
func serveOpened(t *testing.T, n *Node) (stop func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- n.Serve(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-done, n.Close())
	})
	t.Cleanup(func() { _ = stop() }) // who wants to know asks before
	return stop
}

// withAccess runs work on the vault in dir.
func withAccess(t *testing.T, dir string, work func(*Access)) {
	t.Helper()
	a, err := Reach(t.Context(), dir, Options{})
	if err != nil {
		t.Fatalf("reach: %v", err)
	}
	defer a.Close()
	work(a)
}

func mustStatus(t *testing.T, dir string) (s Status) {
	t.Helper()
	withAccess(t, dir, func(a *Access) {
		var err error
		if s, err = a.Status(t.Context()); err != nil {
			t.Fatalf("status: %v", err)
		}
	})
	return s
}

func mustLink(t *testing.T, text string) trust.Link {
	t.Helper()
	l, err := trust.ParseLink(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var floor = crypto.KDFCost{MemoryKiB: 64 << 10, Time: 3, Threads: 4}

func secret(s string) crypto.Secret { return crypto.NewSecret([]byte(s)) }

// dial meets the vault of a link as the app does.
func dial(t *testing.T, link string, opts vault.RemoteOptions) *vault.Client {
	t.Helper()
	c, err := vault.Dial(t.Context(), mustLink(t, link), opts)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	return c
}

// enroll puts a root key behind "right".
func enroll(t *testing.T, c *vault.Client) (vault.Slot, crypto.RootKey) {
	t.Helper()
	root := crypto.NewRootKey()
	slot, err := c.Enroll(t.Context(), root, secret("right"), floor, nil, func(vault.Pending) error { return nil })
	if err != nil {
		t.Fatalf("enroll: %v", err)
	}
	return slot, root
}

// mustOpen opens a slot with "right".
func mustOpen(t *testing.T, c *vault.Client, slot vault.Slot, root crypto.RootKey) {
	t.Helper()
	got, _, err := c.Open(t.Context(), slot, secret("right"))
	if err != nil || !got.Equal(root) {
		t.Fatalf("open with the right password: %v", err)
	}
}

// marshalKey writes a key as PEM files have it (PKCS #8).
func marshalKey(k *ecdsa.PrivateKey) ([]byte, error) { return x509.MarshalPKCS8PrivateKey(k) }

// spellings gives the ways in which bytes may stand in a file.
func spellings(b []byte) []string {
	return []string{string(b), hex.EncodeToString(b), base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b)}
}
