package sftp

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// An sshd is OpenSSH's server, started for one test on a port of its own.
type sshd struct {
	t     testing.TB
	home  string // its folder: configuration, keys
	user  string
	port  int
	key   []byte // private key that gets in, PEM
	hosts []ssh.Signer
}

func startSSHD(t testing.TB, options ...string) *sshd {
	t.Helper()
	program := "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil {
		if program, err = exec.LookPath("sshd"); err != nil {
			t.Skip("OpenSSH's server (openssh-server) is not installed")
		}
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where it locks itself in before it knows who comes
			t.Fatal(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &sshd{t: t, home: t.TempDir(), user: me.Username}
	s.configure(options)
	s.start(program)
	return s
}

// configure writes keys and configuration.
func (s *sshd) configure(options []string) {
	s.t.Helper()
	client := privateKey(s.t, "ed25519")
	s.key = pemOf(s.t, client, "")
	authorized := ssh.MarshalAuthorizedKey(signerOf(s.t, client, nil).PublicKey())
	s.write("authorized_keys", authorized)
	lines := []string{
		"ListenAddress 127.0.0.1", "UsePAM no", "StrictModes no", "PermitRootLogin yes", "PasswordAuthentication no",
		"KbdInteractiveAuthentication no", "PidFile none", "LogLevel INFO", "MaxStartups 100:30:200",
		"AuthorizedKeysFile " + filepath.Join(s.home, "authorized_keys"),
	}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		key := privateKey(s.t, kind)
		s.hosts = append(s.hosts, signerOf(s.t, key, nil))
		s.write("host_"+kind, pemOf(s.t, key, ""))
		lines = append(lines, "HostKey "+filepath.Join(s.home, "host_"+kind))
	}
	if len(options) == 0 {
		options = []string{"Subsystem sftp internal-sftp"}
	}
	s.port = freePort(s.t)
	lines = append(lines, fmt.Sprintf("Port %d", s.port))
	s.write("sshd_config", []byte(strings.Join(append(lines, options...), "\n")+"\n"))
}

func (s *sshd) write(name string, data []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.home, name), data, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// freePort returns a port that nobody listens on now.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start runs the program and returns when it listens.
func (s *sshd) start(program string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	cmd := exec.CommandContext(ctx, program, "-D", "-e", "-f", filepath.Join(s.home, "sshd_config"))
	errs, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(errs)
	said := []string{}
	listening := false
	for !listening && lines.Scan() {
		said = append(said, lines.Text())
		listening = strings.Contains(lines.Text(), "Server listening on")
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	s.t.Cleanup(func() {
		cancel()
		<-drained
		_ = cmd.Wait()
	})
	if !listening {
		s.t.Fatalf("sshd did not start:\n%s", strings.Join(said, "\n"))
	}
}

// pemOf returns a private key in OpenSSH's form, locked if there is a passphrase.
func pemOf(t testing.TB, key any, passphrase string) []byte {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

// config is one that gets in, into the folder at path.
func (s *sshd) config(path string) Config {
	return Config{
		User: s.user, Host: "127.0.0.1", Port: s.port, Path: path,
		HostKeys: []string{ssh.FingerprintSHA256(s.hosts[0].PublicKey())},
		Key:      func() ([]byte, error) { return s.key, nil },
	}
}

func mustOpen(t testing.TB, c Config) *Driver {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}
