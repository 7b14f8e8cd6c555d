package sftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"coffer/cloud"
)

const secretWord = "correct-horse-battery-staple"

// wantStranger requires that the host key was refused, before anything about
// the user was sent.
func wantStranger(t *testing.T, s *server, c Config, known, offered string) (reason string) {
	t.Helper()
	c.Password = func() string { t.Error("the password was asked for"); return secretWord }
	c.Key = func() ([]byte, error) { t.Error("the key was asked for"); return nil, nil }
	_, err := s.open(c).HostKey(t.Context())
	var stranger *cloud.IdentityError
	if !errors.As(err, &stranger) {
		t.Fatalf("error %v, want an IdentityError", err)
	}
	if stranger.Kind != cloud.HostKey || stranger.Known != known || stranger.Offered != offered || stranger.Host != "nas.example:22" {
		t.Fatalf("%+v, want known %q, offered %q", *stranger, known, offered)
	}
	if tried := s.methods(); len(tried) > 0 {
		t.Fatalf("tried to sign in: %v", tried)
	}
	return stranger.Reason
}

func TestUnknownHostIsShown(t *testing.T) {
	s := newServer(t)
	s.password = secretWord
	c := s.config()
	c.HostKeys = nil
	wantStranger(t, s, c, "", s.fingerprint())
	c.HostKeys = []string{s.fingerprint()} // as the user would say yes
	c.Password = func() string { return secretWord }
	if got, err := s.open(c).HostKey(t.Context()); err != nil || got != s.fingerprint() {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestChangedHostKeyIsRefused(t *testing.T) {
	s := newServer(t)
	s.password = secretWord
	c := s.config()
	old := c.HostKeys[0]
	s.keys = []ssh.Signer{hostKey(t, "ed25519"), hostKey(t, "rsa")}
	wantStranger(t, s, c, old, s.fingerprint())
	if got := s.dials(); got != 3 { // each type was looked at
		t.Errorf("%d connections", got)
	}
}

// TestAnyTypeOfHostKey: a fingerprint does not say of what type its key is, and a
// server with three keys shows one.
func TestAnyTypeOfHostKey(t *testing.T) {
	s := newServer(t)
	s.keys = []ssh.Signer{hostKey(t, "ed25519"), hostKey(t, "ecdsa"), hostKey(t, "rsa")}
	for _, key := range s.keys {
		c := s.config()
		want := ssh.FingerprintSHA256(key.PublicKey())
		c.HostKeys = []string{"SHA256:of-another-server", want}
		d := s.open(c)
		for range 2 {
			if got, err := d.HostKey(t.Context()); err != nil || got != want {
				t.Fatalf("%s: %q, %v", key.PublicKey().Type(), got, err)
			}
			s.cut()
			<-d.link.done
		}
	}
	d := s.open(Config{User: "ann", Host: "nas.example", Dial: s.dial, HostKeys: []string{ssh.FingerprintSHA256(s.keys[2].PublicKey())}})
	for _, want := range []int{3, 1} { // the second time the right type is asked for at once
		before := s.dials()
		if _, err := d.HostKey(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.dials() - before; got != want {
			t.Errorf("%d connections, want %d", got, want)
		}
		s.cut()
		<-d.link.done
	}
}

func knownHostsFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKnownHosts(t *testing.T) {
	s := newServer(t)
	s.password = secretWord
	s.keys = []ssh.Signer{hostKey(t, "ed25519"), hostKey(t, "ecdsa"), hostKey(t, "rsa")}
	other := hostKey(t, "rsa").PublicKey()
	ed, rsa := s.keys[0].PublicKey(), s.keys[2].PublicKey()
	line := func(host string, key ssh.PublicKey) string { return knownhosts.Line([]string{host}, key) }
	absent := filepath.Join(t.TempDir(), "none")
	with := func(files ...string) Config {
		c := s.config()
		c.HostKeys, c.KnownHosts = nil, files
		return c
	}
	t.Run("Known", func(t *testing.T) {
		for name, file := range map[string]string{
			"plain":      knownHostsFile(t, "# comment", "", line("nas.example", ed)),
			"hashed":     knownHostsFile(t, line("elsewhere", other), line(knownhosts.HashHostname("nas.example"), ed)),
			"other type": knownHostsFile(t, line("nas.example", rsa)),
			"hashed rsa": knownHostsFile(t, line(knownhosts.HashHostname("nas.example"), rsa)),
			"many names": knownHostsFile(t, "nas,nas.example,10.0.0.7 "+strings.TrimPrefix(line("x", ed), "x ")),
		} {
			c := with(absent, file)
			c.Password = func() string { return secretWord }
			if _, err := s.open(c).HostKey(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	s.mu.Lock()
	s.tried = nil
	s.mu.Unlock()
	t.Run("Port", func(t *testing.T) {
		c := with(knownHostsFile(t, line("[nas.example]:2022", ed)))
		c.Password = func() string { return secretWord }
		c.Port = 2022
		if _, err := s.open(c).HostKey(t.Context()); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.tried = nil
		s.mu.Unlock()
		c.Port = 0
		wantStranger(t, s, c, "", ssh.FingerprintSHA256(ed))
	})
	t.Run("Unknown", func(t *testing.T) {
		wantStranger(t, s, with(absent), "", ssh.FingerprintSHA256(ed))
		wantStranger(t, s, with(knownHostsFile(t, line("elsewhere", ed))), "", ssh.FingerprintSHA256(ed))
	})
	t.Run("Changed", func(t *testing.T) {
		c := with(knownHostsFile(t, line("nas.example", other)))
		wantStranger(t, s, c, ssh.FingerprintSHA256(other), ssh.FingerprintSHA256(rsa))
	})
	t.Run("Revoked", func(t *testing.T) {
		c := with(knownHostsFile(t, line("nas.example", ed), "@revoked * "+strings.TrimPrefix(line("x", ed), "x ")))
		if reason := wantStranger(t, s, c, ssh.FingerprintSHA256(ed), ""); reason == "" {
			t.Error("no reason")
		}
	})
	t.Run("Damaged", func(t *testing.T) {
		_, err := s.open(with(knownHostsFile(t, "nas.example ssh-ed25519 AAAA"))).HostKey(t.Context())
		if err == nil || errors.Is(err, cloud.ErrIdentity) || len(s.methods()) > 0 {
			t.Errorf("%v, %v", err, s.methods())
		}
	})
	t.Run("FingerprintsComeFirst", func(t *testing.T) {
		c := with(knownHostsFile(t, line("nas.example", ed)))
		c.HostKeys = []string{"SHA256:other"}
		wantStranger(t, s, c, "SHA256:other", ssh.FingerprintSHA256(ed))
	})
}

// pipeAgent is an agent in this process.
func pipeAgent(keys agent.Agent) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		here, there := memoryPipe()
		go func() {
			_ = agent.ServeAgent(keys, there) // ends when the driver closes its side
			_ = there.Close()
		}()
		return here, nil
	}
}

// A way in is one configuration and what comes of it.
type wayIn struct {
	server func(*server)
	config func(*Config)
	want   error    // nil: it gets in
	tried  []string // what the server saw
	says   string   // a part of the error
}

func waysIn(t *testing.T) map[string]wayIn {
	t.Helper()
	ed, rsaKey := privateKey(t, "ed25519"), privateKey(t, "rsa")
	edPEM, rsaPEM, locked := pemOf(t, ed, ""), pemOf(t, rsaKey, ""), pemOf(t, ed, secretWord)
	edUser, rsaUser := signerOf(t, ed, nil).PublicKey(), signerOf(t, rsaKey, nil).PublicKey()
	keyring := agent.NewKeyring()
	for _, key := range []any{privateKey(t, "ecdsa"), ed} {
		if err := keyring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	password := func(word string) func(*Config) { return func(c *Config) { c.Password = func() string { return word } } }
	key := func(pem []byte, passphrase ...string) func(*Config) {
		return func(c *Config) {
			c.Key = func() ([]byte, error) { return bytes.Clone(pem), nil }
			if len(passphrase) > 0 {
				c.Passphrase = func() string { return passphrase[0] }
			}
		}
	}
	takesPassword := func(s *server) { s.password = secretWord }
	takesKey := func(s *server) { s.users = []ssh.PublicKey{edUser, rsaUser} }
	asks := func(n int, echo bool) func(*server) {
		return func(s *server) { s.question, s.questions, s.echo = secretWord, n, echo }
	}
	both := func(c *Config) { key(locked)(c); password("wrong-" + secretWord)(c) }
	return map[string]wayIn{
		"password":             {server: takesPassword, config: password(secretWord), tried: []string{"password"}},
		"wrong password":       {server: takesPassword, config: password("wrong-" + secretWord), want: cloud.ErrAuth, tried: []string{"password"}, says: "password"},
		"wrong, not as answer": {server: func(s *server) { takesPassword(s); asks(1, false)(s) }, config: password("wrong-" + secretWord), want: cloud.ErrAuth, tried: []string{"password"}, says: "keyboard-interactive"},
		"question":             {server: asks(1, false), config: password(secretWord), tried: []string{"question"}},
		"wrong answer":         {server: asks(1, false), config: password("wrong-" + secretWord), want: cloud.ErrAuth, tried: []string{"question"}},
		"two questions":        {server: asks(2, false), config: password(secretWord), want: cloud.ErrAuth, tried: []string{"question"}},
		"shown question":       {server: asks(1, true), config: password(secretWord), want: cloud.ErrAuth, tried: []string{"question"}},
		"nothing to show":      {server: func(s *server) { takesPassword(s); takesKey(s) }, config: func(*Config) {}, want: cloud.ErrAuth, says: "password, publickey"},
		"key":                  {server: takesKey, config: key(edPEM), tried: []string{"key ssh-ed25519"}},
		"rsa key":              {server: takesKey, config: key(rsaPEM), tried: []string{"key ssh-rsa"}},
		"key of another":       {server: func(s *server) { s.users = []ssh.PublicKey{rsaUser} }, config: key(edPEM), want: cloud.ErrAuth, says: "publickey"},
		"locked key":           {server: takesKey, config: key(locked, secretWord), tried: []string{"key ssh-ed25519"}},
		"no passphrase":        {server: takesKey, config: key(locked), want: cloud.ErrPassphrase},
		"wrong passphrase":     {server: takesKey, config: key(locked, "wrong-"+secretWord), want: cloud.ErrPassphrase},
		"not a key":            {server: takesKey, config: key([]byte("-----BEGIN " + secretWord)), want: ErrKey},
		"unreadable key":       {server: takesKey, config: func(c *Config) { c.Key = func() ([]byte, error) { return nil, os.ErrPermission } }, want: ErrKey},
		"locked, but password": {server: func(s *server) { takesPassword(s); takesKey(s) }, config: func(c *Config) { key(locked)(c); password(secretWord)(c) }, tried: []string{"password"}},
		"locked, and wrong":    {server: func(s *server) { takesPassword(s); takesKey(s) }, config: both, want: cloud.ErrPassphrase},
		"agent":                {server: takesKey, config: func(c *Config) { c.Agent = pipeAgent(keyring) }, tried: []string{"key ecdsa-sha2-nistp256", "key ssh-ed25519"}},
		"empty agent":          {server: takesKey, config: func(c *Config) { c.Agent = pipeAgent(agent.NewKeyring()) }, want: cloud.ErrAuth, says: "publickey"},
		"no agent": {server: takesKey, config: func(c *Config) {
			c.Agent = func(context.Context) (net.Conn, error) { return nil, errors.New(secretWord) }
		}, want: cloud.ErrAuth, says: "agent"},
		"no agent, but key": {server: takesKey, config: func(c *Config) {
			key(edPEM)(c)
			c.Agent = func(context.Context) (net.Conn, error) { return nil, errors.New(secretWord) }
		}, tried: []string{"key ssh-ed25519"}},
	}
}

func TestSigningIn(t *testing.T) {
	for name, way := range waysIn(t) {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			way.server(s)
			c := s.config()
			way.config(&c)
			d := s.open(c)
			_, err := d.HostKey(t.Context())
			if way.want == nil && err != nil {
				t.Fatal(err)
			}
			if way.want != nil {
				wantIs(t, name, err, way.want, cloud.ErrAuth)
				if !strings.Contains(err.Error(), way.says) {
					t.Errorf("%q does not say %q", err, way.says)
				}
			}
			for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v %#v", c, c)} {
				if strings.Contains(text, secretWord) || strings.Contains(text, "PRIVATE KEY") {
					t.Errorf("a secret in %q", text)
				}
			}
			if tried := slices.Compact(s.methods()); len(way.tried) > 0 && !slices.Equal(tried, way.tried) {
				t.Errorf("the server saw %q, want %q", tried, way.tried)
			}
		})
	}
}

// TestOpenSSHRefuses: it breaks off where a client tries too much.
func TestOpenSSHRefuses(t *testing.T) {
	t.Parallel()
	s := startSSHD(t, "Subsystem sftp internal-sftp", "MaxAuthTries 3")
	keyring := agent.NewKeyring()
	for range 8 {
		if err := keyring.Add(agent.AddedKey{PrivateKey: privateKey(t, "ed25519")}); err != nil {
			t.Fatal(err)
		}
	}
	c := s.config(t.TempDir())
	key := c.Key
	c.Key, c.Agent = nil, pipeAgent(keyring)
	_, err := mustOpen(t, c).HostKey(t.Context())
	wantIs(t, "eight keys of others", err, cloud.ErrAuth)
	c.Agent, c.Password = nil, func() string { return secretWord }
	_, err = mustOpen(t, c).HostKey(t.Context())
	wantIs(t, "a password where keys are wanted", err, cloud.ErrAuth)
	if !strings.Contains(err.Error(), methodKey) {
		t.Errorf("%v does not say what is taken", err)
	}
	c.Agent, c.Key = pipeAgent(keyring), key // the key comes before those of the agent
	for kind, host := range map[string]ssh.Signer{"ed25519": s.hosts[0], "ecdsa": s.hosts[1], "rsa": s.hosts[2]} {
		c.HostKeys = []string{ssh.FingerprintSHA256(host.PublicKey())}
		d := mustOpen(t, c)
		if got, err := d.HostKey(t.Context()); err != nil || got != c.HostKeys[0] {
			t.Errorf("%s: %q, %v", kind, got, err)
		}
		if about, err := d.Describe(t.Context()); err != nil || !strings.HasPrefix(about.Server, "OpenSSH_") {
			t.Errorf("%+v, %v", about, err)
		}
	}
}

// TestNoSHA1: a server that takes RSA keys with SHA-1 only gets no signature.
func TestNoSHA1(t *testing.T) {
	key := privateKey(t, "rsa")
	s := newServer(t)
	s.users = []ssh.PublicKey{signerOf(t, key, nil).PublicKey()}
	s.algorithms = func(c *ssh.ServerConfig) { c.PublicKeyAuthAlgorithms = []string{ssh.KeyAlgoRSA} }
	c := s.config()
	c.Key = func() ([]byte, error) { return pemOf(t, key, ""), nil }
	_, err := s.open(c).HostKey(t.Context())
	wantIs(t, "SHA-1 alone", err, cloud.ErrAuth)
	if tried := s.methods(); len(tried) > 0 {
		t.Errorf("the server saw %q", tried)
	}
}

// TestOldMethodsAreRefused: and what OpenSSH 7 has is enough.
func TestOldMethodsAreRefused(t *testing.T) {
	for name, weak := range map[string]func(*ssh.ServerConfig){
		"key exchange": func(c *ssh.ServerConfig) {
			c.KeyExchanges = []string{ssh.InsecureKeyExchangeDH1SHA1, ssh.InsecureKeyExchangeDH14SHA1}
		},
		"cipher": func(c *ssh.ServerConfig) {
			c.Ciphers = []string{ssh.InsecureCipherAES128CBC, ssh.InsecureCipherTripleDESCBC}
		},
		"mac": func(c *ssh.ServerConfig) {
			c.Ciphers, c.MACs = []string{ssh.CipherAES128CTR}, []string{ssh.HMACSHA1, ssh.InsecureHMACSHA196}
		},
	} {
		s := newServer(t)
		s.algorithms = weak
		_, err := s.open(s.config()).HostKey(t.Context())
		wantIs(t, name, err, cloud.ErrUnsupported)
	}
	s := newServer(t)
	s.algorithms = func(c *ssh.ServerConfig) {
		c.KeyExchanges = []string{ssh.KeyExchangeCurve25519}
		c.Ciphers, c.MACs = []string{ssh.CipherAES256CTR}, []string{ssh.HMACSHA256ETM}
	}
	exercise(t, s.open(s.config()))
	for _, list := range [][]string{ciphers(), exchanges(), macs(), algorithms(func(family) bool { return true })} {
		if len(list) == 0 {
			t.Fatal("nothing is offered")
		}
		for _, name := range list {
			for _, bad := range []string{"sha1", "cbc", "group1-", "ssh-rsa", "ssh-dss", "arcfour", "md5"} {
				if strings.HasSuffix(name, bad) || strings.Contains(name, bad+"-") || strings.Contains(name, "group1-") {
					t.Errorf("%s is offered", name)
				}
			}
		}
	}
}

func TestDescribe(t *testing.T) {
	s := newServer(t)
	got, err := s.open(s.config()).Describe(t.Context())
	if err != nil || got != (cloud.Description{Account: "ann@nas.example", Server: "Fake_1.0"}) {
		t.Fatalf("%+v, %v", got, err)
	}
	if got := printable([]byte("a\x1b[31mb\u202ec\n")); got != "a[31mbc" {
		t.Errorf("printable: %q", got)
	}
}
