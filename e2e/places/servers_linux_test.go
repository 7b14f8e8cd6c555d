package places

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// secret makes a password that stands nowhere else.
func secret(t *testing.T) string {
	t.Helper()
	var b [12]byte
	_, err := rand.Read(b[:])
	must(t, err)
	return "pw-" + hex.EncodeToString(b[:])
}

// freePort returns a port of loopback that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// A server is a program that listens on a port until the test ends.
type server struct {
	t       *testing.T
	port    string
	prepare func() *exec.Cmd
	mu      sync.Mutex
	cmd     *exec.Cmd // guarded by mu; nil: stopped
}

// serve starts a program and waits until it listens.
func serve(t *testing.T, port string, prepare func() *exec.Cmd) *server {
	t.Helper()
	s := &server{t: t, port: port, prepare: prepare}
	t.Cleanup(s.stop)
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	said, err := os.CreateTemp(s.t.TempDir(), "said-") // a file, which nobody has to wait for
	must(s.t, err)
	defer said.Close()
	s.cmd = s.prepare()
	s.cmd.Stdout, s.cmd.Stderr = said, said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(s.t, s.cmd.Start())
	name := filepath.Base(s.cmd.Path)
	s.t.Cleanup(func() {
		if s.t.Failed() {
			text, _ := os.ReadFile(said.Name()) // what there is
			s.t.Logf("%s said:\n%.4000s", name, text)
		}
	})
	until(s.t, name+" listens", func() bool {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+s.port, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// stop ends the server and its children: Apache's serve on without their parent when
// that is killed.
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	group := -s.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM) // it may have ended
	late := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	_ = s.cmd.Wait() // "terminated", as it was
	late.Stop()
	_ = syscall.Kill(group, syscall.SIGKILL) // whoever is left
	s.cmd = nil
}

// shared makes a folder that a server may use under another user.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "coffer-site-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// certify writes a certificate for 127.0.0.1 that nobody but itself vouches for, and
// its key; it returns the certificate in PEM.
func certify(t *testing.T, certFile, keyFile string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Coffer test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	must(t, os.WriteFile(certFile, certPEM, 0o644))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certPEM
}

// An s3Server is versitygw over a folder, with one bucket.
type s3Server struct {
	*server
	address           string // with the bucket
	access, secretKey string
	folder            string // of the bucket
	ca                []byte // nil: without TLS
}

func startS3(t *testing.T, tls bool) *s3Server {
	t.Helper()
	gateway := ""
	found, err := filepath.Glob("../../build/tools/versitygw-*/versitygw")
	must(t, err)
	if len(found) > 0 {
		gateway, err = filepath.Abs(slices.Max(found))
		must(t, err)
	} else {
		gateway = program(t, "versitygw")
	}
	root := t.TempDir()
	s := &s3Server{access: "access" + secret(t)[3:11], secretKey: secret(t), folder: filepath.Join(root, "data", "backups")}
	must(t, os.MkdirAll(s.folder, 0o755))
	port := freePort(t)
	args := []string{"--port", "127.0.0.1:" + port, "--keep-alive", "--quiet"}
	s.address = "s3:http://127.0.0.1:" + port + "/backups"
	if tls {
		cert, key := filepath.Join(root, "cert.pem"), filepath.Join(root, "key.pem")
		s.ca = certify(t, cert, key)
		args = append(args, "--cert", cert, "--key", key)
		s.address = "s3:https://127.0.0.1:" + port + "/backups"
	}
	s.server = serve(t, port, func() *exec.Cmd {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), gateway, append(args, "posix", filepath.Join(root, "data"))...)
		cmd.Env = []string{"HOME=" + root, "ROOT_ACCESS_KEY=" + s.access, "ROOT_SECRET_KEY=" + s.secretKey}
		return cmd
	})
	return s
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
LoadModule dav_module MODULES/mod_dav.so
LoadModule dav_fs_module MODULES/mod_dav_fs.so
USER
TLS
DavLockDB "ROOT/locks/db"
DocumentRoot "ROOT/files"
KeepAliveTimeout 60
MaxKeepAliveRequests 0
<Directory "ROOT/files">
  Dav On
  AuthName "files"
  AuthType Basic
  AuthUserFile "ROOT/users"
  Require valid-user
</Directory>
`

// A davServer is Apache with mod_dav.
type davServer struct {
	*server
	address  string // of its top folder, without a user
	password string
	folder   string // that it serves
	ca       []byte
}

const davUser = "ann"

func startDAV(t *testing.T, tls bool) *davServer {
	t.Helper()
	apache := program(t, "apache2")
	const modules = "/usr/lib/apache2/modules"
	if _, err := os.Stat(modules + "/mod_dav_fs.so"); err != nil {
		missing(t, "mod_dav_fs of apache2")
	}
	root := shared(t)
	s := &davServer{password: secret(t), folder: filepath.Join(root, "files")}
	for _, dir := range []string{"files", "locks"} {
		must(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	as := ""
	if os.Getuid() == 0 { // Apache refuses to serve as root
		as = "User nobody\nGroup nogroup"
		nobody, err := user.Lookup("nobody")
		must(t, err)
		uid, err := strconv.Atoi(nobody.Uid)
		must(t, err)
		for _, dir := range []string{"files", "locks"} {
			must(t, os.Chown(filepath.Join(root, dir), uid, -1))
		}
	}
	port, scheme, ssl := freePort(t), "http", ""
	if tls {
		scheme = "https"
		s.ca = certify(t, filepath.Join(root, "cert.pem"), filepath.Join(root, "key.pem"))
		ssl = "LoadModule ssl_module MODULES/mod_ssl.so\nSSLEngine on\nSSLCertificateFile \"ROOT/cert.pem\"\nSSLCertificateKeyFile \"ROOT/key.pem\"\nSSLSessionCache none"
	}
	config := strings.ReplaceAll(apacheConfig, "TLS", ssl)
	config = strings.NewReplacer("ROOT", root, "PORT", port, "MODULES", modules, "USER", as).Replace(config)
	must(t, os.WriteFile(filepath.Join(root, "conf"), []byte(config), 0o644))
	must(t, os.WriteFile(filepath.Join(root, "users"), []byte(davUser+":{SHA}"+sha1Text(t, s.password)+"\n"), 0o644))
	s.address = scheme + "://127.0.0.1:" + port + "/"
	s.server = serve(t, port, func() *exec.Cmd {
		return exec.CommandContext(context.WithoutCancel(t.Context()), apache, "-f", filepath.Join(root, "conf"), "-DFOREGROUND")
	})
	return s
}

// sha1Text is the form of a password that Apache takes without htpasswd.
func sha1Text(t *testing.T, text string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "openssl"), "dgst", "-sha1", "-binary")
	cmd.Stdin = strings.NewReader(text)
	sum, err := cmd.Output()
	must(t, err)
	return base64Text(sum)
}

// An sshServer is OpenSSH.
type sshServer struct {
	*server
	user    string
	home    string // its folder: keys, configuration
	files   string // where backups go
	key     string // file of a private key that gets in
	private string // a line of that key, which is to stay secret
}

func startSSH(t *testing.T) *sshServer {
	t.Helper()
	sshd := program(t, "sshd")
	if os.Getuid() == 0 {
		must(t, os.MkdirAll("/run/sshd", 0o755)) // where it locks itself in before it knows who comes
	}
	me, err := user.Current()
	must(t, err)
	s := &sshServer{user: me.Username, home: t.TempDir(), files: t.TempDir()}
	s.key = filepath.Join(s.home, "client")
	public := newSSHKey(t, s.key)
	must(t, os.WriteFile(filepath.Join(s.home, "authorized_keys"), public, 0o600))
	text, err := os.ReadFile(s.key)
	must(t, err)
	s.private = strings.Split(string(text), "\n")[2]
	s.newHostKey(t)
	port := freePort(t)
	lines := []string{
		"ListenAddress 127.0.0.1", "Port " + port, "UsePAM no", "StrictModes no", "PermitRootLogin yes", "PasswordAuthentication no",
		"KbdInteractiveAuthentication no", "PidFile none", "MaxStartups 100:30:200", "Subsystem sftp internal-sftp",
		"AuthorizedKeysFile " + filepath.Join(s.home, "authorized_keys"), "HostKey " + filepath.Join(s.home, "host"),
	}
	config := filepath.Join(s.home, "config")
	must(t, os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	s.server = serve(t, port, func() *exec.Cmd {
		return exec.CommandContext(context.WithoutCancel(t.Context()), sshd, "-D", "-e", "-f", config)
	})
	return s
}

// newHostKey gives the server another host key, from its next start on.
func (s *sshServer) newHostKey(t *testing.T) { newSSHKey(t, filepath.Join(s.home, "host")) }

// fingerprint is the host key's, as people read it.
func (s *sshServer) fingerprint(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.home, "host"))
	must(t, err)
	signer, err := ssh.ParsePrivateKey(text)
	must(t, err)
	return ssh.FingerprintSHA256(signer.PublicKey())
}

// newSSHKey writes a new private key to a file and returns the public one.
func newSSHKey(t *testing.T, path string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	block, err := ssh.MarshalPrivateKey(key, "test")
	must(t, err)
	must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	signer, err := ssh.NewSignerFromKey(key)
	must(t, err)
	return bytes.TrimSpace(ssh.MarshalAuthorizedKey(signer.PublicKey()))
}
