package webdav_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	dav "golang.org/x/net/webdav"

	"coffer/cloud"
	"coffer/cloud/webdav"
)

const (
	testUser     = "ann"
	testPassword = "correct horse: battery" // with a colon, which Basic must survive
)

func password() string { return testPassword }

// content returns n bytes that look random and are the same for one seed.
func content(seed, n int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprintf("content %d", seed))
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails, by contract
	return data
}

func mustOpen(t *testing.T, c webdav.Config) *webdav.Driver {
	t.Helper()
	d, err := webdav.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func mustPut(t *testing.T, d cloud.Driver, data []byte) string {
	t.Helper()
	name := cloud.Name("pack", data)
	if err := d.Put(t.Context(), name, cloud.Bytes(data)); err != nil {
		t.Fatalf("put: %v", err)
	}
	return name
}

func read(ctx context.Context, d cloud.Driver, name string, off, n int64) ([]byte, error) {
	r, err := d.Get(ctx, name, off, n)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

func wantData(t *testing.T, d cloud.Driver, name string, want []byte) {
	t.Helper()
	got, err := read(t.Context(), d, name, 0, -1)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("get %s: %d of %d bytes, %v", name, len(got), len(want), err)
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

// names lists everything.
func names(t *testing.T, d cloud.Driver) map[string]int64 {
	t.Helper()
	found, err := tryNames(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func tryNames(ctx context.Context, d cloud.Driver) (map[string]int64, error) {
	found := map[string]int64{}
	for o, err := range d.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		found[o.Name] = o.Size
	}
	return found, nil
}

// handler is golang.org/x/net/webdav over a folder in memory, at /dav/.
func handler(fs dav.FileSystem) http.Handler {
	return &dav.Handler{Prefix: "/dav", FileSystem: fs, LockSystem: dav.NewMemLS()}
}

// guarded lets in who knows the password, by Basic.
func guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, given, ok := r.BasicAuth()
		if !ok || name != testUser || given != testPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="files", charset="UTF-8"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// inProcess is a server with TLS and Basic, and a place in it that is empty.
func inProcess(t *testing.T) webdav.Config {
	t.Helper()
	s := httptest.NewTLSServer(guarded(handler(dav.NewMemFS())))
	t.Cleanup(s.Close)
	if transport, ok := s.Client().Transport.(*http.Transport); ok {
		transport.MaxIdleConnsPerHost = 16
	}
	return webdav.Config{
		Address: s.URL + "/dav/backup/", User: testUser, Password: password, Create: true, Transport: s.Client().Transport,
	}
}

// local carries requests to a handler of this process without a connection, so
// that it works in a bubble of package synctest.
type local struct{ http.Handler }

func (l local) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if req.Body == nil {
		req.Body = http.NoBody
	}
	body, err := io.ReadAll(req.Body)
	if err := errors.Join(err, req.Body.Close(), req.Context().Err()); err != nil {
		return nil, err
	}
	inner := httptest.NewRequestWithContext(req.Context(), req.Method, req.URL.String(), bytes.NewReader(body))
	inner.Header = req.Header.Clone()
	w := httptest.NewRecorder()
	l.ServeHTTP(w, inner)
	res := w.Result()
	if length := res.Header.Get("Content-Length"); req.Method == http.MethodHead && length != "" {
		if res.ContentLength, err = strconv.ParseInt(length, 10, 64); err != nil {
			return nil, err
		}
	} else if req.Method != http.MethodHead {
		res.ContentLength = int64(w.Body.Len())
	}
	res.Request = req
	return res, nil
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// program returns the path of a program of Debian, or skips.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed", names[0])
	return ""
}

// serve starts a server and waits until it answers.
func serve(t *testing.T, address string, cmd *exec.Cmd) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	})
	for {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the server ended: %v\n%s", err, said.Bytes())
		case <-time.After(10 * time.Millisecond): // then look again
		}
	}
}

// An apacheServer is Apache with mod_dav, and what tests want to change in it.
type apacheServer struct {
	folder string // what it serves at /
	base   string // "http://127.0.0.1:PORT/"
}

const apacheConfig = `
ServerRoot "ROOT"
PidFile "ROOT/pid"
ServerName localhost
Listen 127.0.0.1:PORT
ErrorLog "ROOT/errors"
DefaultRuntimeDir "ROOT"
Mutex pthread
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authn_core_module MODULES/mod_authn_core.so
LoadModule authn_file_module MODULES/mod_authn_file.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule authz_user_module MODULES/mod_authz_user.so
LoadModule auth_basic_module MODULES/mod_auth_basic.so
LoadModule auth_digest_module MODULES/mod_auth_digest.so
LoadModule dav_module MODULES/mod_dav.so
LoadModule dav_fs_module MODULES/mod_dav_fs.so
USER
DavLockDB "ROOT/locks/db"
DocumentRoot "ROOT/files"
KeepAliveTimeout 60
MaxKeepAliveRequests 0
<Directory "ROOT/files">
  Dav On
  AuthName "files"
  AUTH
  Require valid-user
</Directory>
`

// apacheAuth are ways to sign in to Apache. The files hold testPassword, as
// "htpasswd" and "htdigest" write it.
func apacheAuth() map[string]string {
	return map[string]string{
		"Basic":  "AuthType Basic\n  AuthUserFile \"ROOT/basic\"",
		"Digest": "AuthType Digest\n  AuthDigestProvider file\n  AuthUserFile \"ROOT/digest\"\n  AuthDigestNonceLifetime LIFETIME",
	}
}

const (
	basicFile  = testUser + ":$apr1$cofferXY$VqMTX/hnBnFMiyxw9qEcM/\n"
	digestFile = testUser + ":files:d8fcb6a0eaefb9c2cb2e383c118c9716\n"
)

// apache starts one. A process of root cannot serve as root: it takes another user.
func apache(t *testing.T, auth string, lifetime int) apacheServer {
	t.Helper()
	bin := program(t, "apache2", "/usr/sbin/apache2", "httpd")
	modules := "/usr/lib/apache2/modules"
	if _, err := os.Stat(modules); err != nil {
		t.Skipf("the modules of apache2 are not installed at %s", modules)
	}
	root, err := os.MkdirTemp("", "coffer-apache")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	as := ""
	for _, dir := range []string{"", "files", "locks"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		as = "User nobody\nGroup nogroup"
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Skipf("there is no user nobody: %v", err)
		}
		uid, err := strconv.Atoi(nobody.Uid)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"files", "locks"} {
			if err := os.Chown(filepath.Join(root, dir), uid, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	port := freePort(t)
	text := strings.NewReplacer("AUTH\n", apacheAuth()[auth]+"\n").Replace(apacheConfig)
	text = strings.NewReplacer("ROOT", root, "PORT", strconv.Itoa(port), "MODULES", modules, "USER", as, "LIFETIME", strconv.Itoa(lifetime)).Replace(text)
	for name, data := range map[string]string{
		"conf": text, "basic": basicFile, "digest": digestFile,
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	serve(t, address, exec.CommandContext(context.WithoutCancel(t.Context()), bin, "-f", filepath.Join(root, "conf"), "-X"))
	return apacheServer{folder: filepath.Join(root, "files"), base: "http://" + address + "/"}
}

func (a apacheServer) config() webdav.Config {
	return webdav.Config{Address: a.base + "backup/", User: testUser, Password: password, Create: true}
}

// rcloneServer starts "rclone serve webdav" over an empty folder.
func rcloneServer(t *testing.T) webdav.Config {
	t.Helper()
	bin := program(t, "rclone")
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), bin, "serve", "webdav", "--addr", address, "--config", filepath.Join(t.TempDir(), "none"), t.TempDir())
	cmd.Env = append(os.Environ(), "RCLONE_USER="+testUser, "RCLONE_PASS="+testPassword)
	serve(t, address, cmd)
	return webdav.Config{Address: "http://" + address + "/backup/", User: testUser, Password: password, Create: true}
}

// rewrite changes the text of an answer.
func rewrite(res *http.Response, change func(string) string) (*http.Response, error) {
	data, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	text := change(string(data))
	res.Body, res.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	res.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return res, nil
}
