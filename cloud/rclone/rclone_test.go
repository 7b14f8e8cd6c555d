package rclone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dav "golang.org/x/net/webdav"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

// needRclone skips where there is no rclone.
func needRclone(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("rclone"); err != nil {
		t.Skip("rclone is not installed")
	}
}

const remoteSecret = "4S3CR3T-OF-A-REMOTE"

// userConfig is a user's rclone.conf: a folder, a Google Drive, and a service at
// the address far.
func userConfig(t *testing.T, far string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rclone.conf")
	text := "[box]\ntype = local\n\n[my gd]\ntype = drive\ntoken = {\"access_token\":\"" + remoteSecret + "\"}\n\n" +
		"[far]\ntype = webdav\nvendor = other\nurl = " + far + "\nbearer_token = " + remoteSecret + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// environment is what the program that wires Coffer would give.
func environment(t *testing.T) []string {
	return []string{
		"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"),
		"RCLONE_LOG_FILE=/dev/null", "RCLONE_VFS_CACHE_MODE=full", "RCLONE_READ_ONLY=true", "RCLONE_QUIET=true", "RCLONE_DRY_RUN=true", // nothing of this may matter
	}
}

var passwords atomic.Int64

func newPassword() string {
	return "child-password-" + strconv.FormatInt(passwords.Add(1), 10) + "-" + strconv.FormatUint(rand.Uint64(), 36)
}

func config(t *testing.T, remote, far string) Config {
	t.Helper()
	needRclone(t)
	return Config{Remote: remote, ConfigFile: userConfig(t, far), Create: true, Env: environment(t), Password: newPassword}
}

func mustOpen(t *testing.T, c Config) *Driver {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// kill ends the child as a crash would, and returns when it has ended.
func (d *Driver) kill(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	run := d.child.run
	d.mu.Unlock()
	if err := run.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-run.ended
}

func content(seed, n int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprintf("content %d", seed))
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails, by contract
	return data
}

func put(ctx context.Context, d cloud.Driver, data []byte) (string, error) {
	name := cloud.Name("pack", data)
	return name, d.Put(ctx, name, cloud.Bytes(data))
}

func mustPut(t *testing.T, d cloud.Driver, data []byte) string {
	t.Helper()
	name, err := put(t.Context(), d, data)
	if err != nil {
		t.Fatalf("put: %v", err)
	}
	return name
}

func wantData(t *testing.T, d cloud.Driver, name string, want []byte) {
	t.Helper()
	r, err := d.Get(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("get: %d of %d bytes, %v", len(got), len(want), err)
	}
}

func wantIs(t *testing.T, what string, err error, classes ...error) {
	t.Helper()
	for _, class := range classes {
		if !errors.Is(err, class) {
			t.Fatalf("%s: %v, want %v", what, err, class)
		}
	}
}

func list(ctx context.Context, d cloud.Driver) (map[string]int64, error) {
	found := map[string]int64{}
	for o, err := range d.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		found[o.Name] = o.Size
	}
	return found, nil
}

// TestConformance: one child serves all checks, for each start of rclone takes a
// while.
func TestConformance(t *testing.T) {
	d := mustOpen(t, config(t, "box:"+filepath.Join(t.TempDir(), "my backups"), ""))
	cloudtest.Run(t, func(t *testing.T) cloud.Driver {
		found, err := list(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		for name := range found {
			if err := d.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		return unclosed{d}
	})
}

// unclosed is a driver that goes on after a Store over it is closed.
type unclosed struct{ *Driver }

func (unclosed) Close() error { return nil }

// TestService: rclone in front of a service on the network, which it paces.
func TestService(t *testing.T) {
	s := newService(t)
	d := mustOpen(t, config(t, "far:backup", s.URL))
	want := map[string]int64{}
	for i, n := range []int{0, 1, 300_000, 5<<20 + 1} {
		data := content(i, n)
		name := mustPut(t, d, data)
		mustPut(t, d, data)
		want[name] = int64(n)
		wantData(t, d, name, data)
		wantIs(t, "other bytes", d.Put(t.Context(), name, cloud.Bytes(append(bytes.Clone(data), 1))), cloud.ErrExists)
		r, err := d.Get(t.Context(), name, int64(n/3), int64(n/2))
		if err != nil {
			t.Fatal(err)
		}
		if part, err := io.ReadAll(r); err != nil || !bytes.Equal(part, data[n/3:n/3+n/2]) {
			t.Fatalf("%d bytes of a range, %v", len(part), err)
		}
		r.Close()
		_, err = d.Get(t.Context(), name, 1, int64(n))
		wantIs(t, "range outside", err, cloud.ErrRange)
	}
	// Another device finds all of it.
	other := mustOpen(t, config(t, "far:backup", s.URL))
	for _, d := range []*Driver{d, other} {
		if found, err := list(t.Context(), d); err != nil || !maps.Equal(found, want) {
			t.Fatalf("listed %v, %v", found, err)
		}
	}
	for name := range want {
		if err := d.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		_, err := d.Stat(t.Context(), name)
		wantIs(t, "stat of a deleted object", err, cloud.ErrNotFound)
	}
}

// A service is a WebDAV server that rclone keeps objects in, and that can be held
// back and made to fail.
type service struct {
	*httptest.Server

	mu     sync.Mutex
	status map[string]int           // guarded by mu; method -> what it answers
	hold   map[string]chan struct{} // guarded by mu; method -> it waits for this
	held   chan string              // gets a method when it waits
	files  dav.FileSystem
}

func newService(t *testing.T) *service {
	s := &service{status: map[string]int{}, hold: map[string]chan struct{}{}, held: make(chan string, 100), files: dav.NewMemFS()}
	inner := &dav.Handler{FileSystem: s.files, LockSystem: dav.NewMemLS()}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		status, hold := s.status[r.Method], s.hold[r.Method]
		s.mu.Unlock()
		if hold != nil {
			s.held <- r.Method
			<-hold
		}
		if status != 0 {
			w.WriteHeader(status)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) answer(method string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status[method] = status
}

// holdBack makes requests wait until the returned function is called.
func (s *service) holdBack(method string) (release func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold[method] = gate
	return sync.OnceFunc(func() {
		s.mu.Lock()
		delete(s.hold, method)
		s.mu.Unlock()
		close(gate)
	})
}

// TestPutWaitsForTheService: a Put that is answered while the service has not
// taken the object would be a backup that does not exist.
func TestPutWaitsForTheService(t *testing.T) {
	for _, method := range []string{http.MethodPut, "MOVE"} {
		t.Run(method, func(t *testing.T) {
			s := newService(t)
			d := mustOpen(t, config(t, "far:backup", s.URL))
			mustPut(t, d, content(0, 10))
			release := s.holdBack(method)
			defer release()
			done := make(chan error, 1)
			data := content(1, 300_000)
			go func() {
				_, err := put(context.WithoutCancel(t.Context()), d, data)
				done <- err
			}()
			<-s.held // the service has the request, and does not answer
			select {
			case err := <-done:
				t.Fatalf("put ended before the service had the object: %v", err)
			case <-time.After(500 * time.Millisecond):
			}
			release()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			info, err := s.files.Stat(t.Context(), "/backup/"+cloud.Name("pack", data))
			if err != nil || info.Size() != int64(len(data)) {
				t.Fatalf("at the service: %v, %v", info, err)
			}
		})
	}
}

// TestRefusals: what the service says reaches us through rclone's words.
func TestRefusals(t *testing.T) {
	s := newService(t)
	d := mustOpen(t, config(t, "far:backup", s.URL))
	name := mustPut(t, d, content(0, 1000))
	said := ""
	for _, c := range []struct {
		method string
		status int
		class  error
	}{
		{http.MethodPut, 507, cloud.ErrFull},
		{http.MethodPut, 401, cloud.ErrAuth},
		{http.MethodPut, 403, cloud.ErrDenied},
		{http.MethodPut, 429, cloud.ErrLimit},
		{http.MethodPut, 500, cloud.ErrOffline},
		{"MOVE", 507, cloud.ErrFull},
		{"MOVE", 500, cloud.ErrOffline},
		{http.MethodDelete, 403, cloud.ErrDenied},
		{http.MethodDelete, 500, cloud.ErrOffline},
	} {
		s.answer(c.method, c.status)
		var err error
		if c.method == http.MethodDelete {
			err = d.Delete(t.Context(), name)
		} else {
			_, err = put(t.Context(), d, content(c.status, 200_000))
		}
		s.answer(c.method, 0)
		if !errors.Is(err, c.class) {
			t.Errorf("%s %d: %v, want %v", c.method, c.status, err, c.class)
		}
		said += fmt.Sprintln(err)
	}
	wantData(t, d, name, content(0, 1000)) // in spite of what 1.60 thinks
	if err := d.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if _, err := s.files.Stat(t.Context(), "/backup/"+name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("deleted, and still there: %v", err)
	}
	s.Close()
	_, err := put(t.Context(), d, content(1, 1000))
	wantIs(t, "put without the service", err, cloud.ErrOffline)
	said += fmt.Sprintf("%v %+v %#v", err, d, d)
	for _, secret := range []string{remoteSecret, "child-password-"} {
		if strings.Contains(said, secret) {
			t.Errorf("said: %s", said)
		}
	}
}

func TestSituations(t *testing.T) {
	needRclone(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		class  error
	}{
		"no program": {func(c *Config) { c.Program = "no-such-rclone" }, cloud.ErrNoProgram},
		"no file":    {func(c *Config) { c.Program = filepath.Join(dir, "rclone") }, cloud.ErrNoProgram},
		"no remote":  {func(c *Config) { c.Remote = "other:backup" }, cloud.ErrNoRemote},
		"drive":      {func(c *Config) { c.Remote = "my gd:backup" }, cloud.ErrUseDrive},
		"env drive":  {func(c *Config) { c.Remote = "env:"; c.Env = append(c.Env, "RCLONE_CONFIG_ENV_TYPE=drive") }, cloud.ErrUseDrive},
		"no folder":  {func(c *Config) { c.Create = false; c.Remote = "box:" + filepath.Join(dir, "none") }, cloud.ErrNoPlace},
		"a file":     {func(c *Config) { c.Create = false; c.Remote = "box:" + file }, cloud.ErrNoPlace},
		"no secret":  {func(c *Config) { c.Password = func() string { return "short" } }, fs.ErrInvalid},
		"cancelled":  {func(c *Config) { c.Program = "no-such-rclone" }, cloud.ErrNoPlace},
	} {
		t.Run(name, func(t *testing.T) {
			config := config(t, "box:"+dir, "")
			c.change(&config)
			d := mustOpen(t, config)
			_, err := put(t.Context(), d, []byte("x"))
			wantIs(t, "put", err, c.class)
			_, err = list(t.Context(), d)
			wantIs(t, "list", err, c.class)
			if strings.Contains(fmt.Sprint(err), remoteSecret) {
				t.Fatalf("said: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err = put(ctx, d, []byte("x"))
			wantIs(t, "cancelled put", err, context.Canceled)
		})
	}
}

func TestRemoteNames(t *testing.T) {
	for remote, ok := range map[string]bool{
		"box:": true, "box:a/b c": true, "my gd:x": true, "Büro_1.2+x@y:": true, "a-b:": true,
		"": false, "box": false, ":local:/tmp": false, "-box:": false, "box-:": false, " box:": false, "box,x=y:z": false,
		"--config:": false, "a/b:c": false, "box:a\x00b": false, "box:a\nb": false, "box:\xff": false, "box:" + strings.Repeat("x", 2000): false,
	} {
		_, err := New(Config{Remote: remote, Password: newPassword})
		if ok != (err == nil) || err != nil && !errors.Is(err, cloud.ErrAddress) {
			t.Errorf("%q: %v", remote, err)
		}
	}
	if _, err := New(Config{Remote: "box:"}); err == nil {
		t.Error("without a password")
	}
}

func TestRemotes(t *testing.T) {
	needRclone(t)
	env := append(environment(t), "RCLONE_CONFIG="+userConfig(t, ""))
	got, err := Remotes(t.Context(), "", env)
	if err != nil || strings.Join(got, "|") != "box|far|my gd" {
		t.Fatalf("remotes %q, %v", got, err)
	}
	none, err := Remotes(t.Context(), "", append(environment(t), "RCLONE_CONFIG="+filepath.Join(t.TempDir(), "none")))
	if err != nil || len(none) != 0 {
		t.Fatalf("remotes %q, %v", none, err)
	}
	_, err = Remotes(t.Context(), "no-such-rclone", env)
	wantIs(t, "without rclone", err, cloud.ErrNoProgram)
}

// TestFolderGoes: a folder that is gone is not an empty one, and is not made again
// behind the user's back.
func TestFolderGoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backup")
	d := mustOpen(t, config(t, "box:"+dir, ""))
	if found, err := list(t.Context(), d); err != nil || len(found) != 0 {
		t.Fatalf("%v, %v", found, err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	_, err := list(t.Context(), d)
	wantIs(t, "list", err, cloud.ErrNoPlace)
	d.kill(t)
	_, err = put(t.Context(), d, []byte("x"))
	wantIs(t, "put", err, cloud.ErrNoPlace)
}

func TestCapacityAndDescription(t *testing.T) {
	d := mustOpen(t, config(t, "box:"+t.TempDir(), ""))
	room, err := d.Capacity(t.Context())
	if err != nil || room.Free <= 0 || room.Total < room.Free {
		t.Fatalf("capacity %+v, %v", room, err)
	}
	what, err := d.Describe(t.Context())
	if err != nil || what != (cloud.Description{Account: "box", Server: "rclone, local"}) {
		t.Fatalf("description %+v, %v", what, err)
	}
	s := newService(t)
	far := mustOpen(t, config(t, "far:", s.URL))
	if room, err := far.Capacity(t.Context()); err != nil || room != (cloud.Capacity{Free: -1, Total: -1}) {
		t.Fatalf("capacity of a service that does not tell: %+v, %v", room, err)
	}
}

// TestDial: where speed is limited is where the child is reached.
func TestDial(t *testing.T) {
	c := config(t, "box:"+t.TempDir(), "")
	var dialed atomic.Int64
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	d := mustOpen(t, c)
	mustPut(t, d, []byte("x"))
	if dialed.Load() == 0 {
		t.Fatal("it was not used")
	}
}
