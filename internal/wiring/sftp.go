package wiring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"coffer/app"
	"coffer/cloud"
	"coffer/cloud/sftp"
)

// maxKeyFile is how long a private key may be in bytes; one of RSA with 16,384 bits has
// 13,000.
const maxKeyFile = 64 << 10

// An sftpPlace forgets its secrets when it is closed, and knows its host again.
type sftpPlace struct {
	*sftp.Driver
	secrets []app.Secret
	dialled *atomic.Bool // there was a connection
}

var (
	_ app.Learner      = (*sftpPlace)(nil)
	_ cloud.Stater     = (*sftpPlace)(nil)
	_ cloud.Capacitor  = (*sftpPlace)(nil)
	_ cloud.Maintainer = (*sftpPlace)(nil)
	_ cloud.Describer  = (*sftpPlace)(nil)
)

// Close implements [io.Closer].
func (p *sftpPlace) Close() error { return closing(p.Driver, p.secrets...) }

// Learned implements [app.Learner]: the host key that was accepted. Without a
// connection there was none, and none is made to learn it.
func (p *sftpPlace) Learned() map[string]string {
	if !p.dialled.Load() {
		return nil
	}
	// The connection is there, nearly always; should it have broken, this is not worth a long wait.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	key, err := p.HostKey(ctx)
	if err != nil {
		return nil
	}
	return map[string]string{"host-key": key}
}

// openSFTP opens the place and puts the absolute path of its key into keep.
func (c *connector) openSFTP(ctx context.Context, d dest, r app.PlaceRequest, keep map[string]string) (*sftpPlace, error) {
	at, err := sftp.ParseAddress(d.at)
	if err != nil {
		return nil, err
	}
	password, err := take(ctx, r, "password")
	if err != nil {
		return nil, err
	}
	passphrase, err := take(ctx, r, "key-passphrase")
	if err != nil {
		return nil, err
	}
	place := &sftpPlace{secrets: []app.Secret{password, passphrase}, dialled: &atomic.Bool{}}
	config := sftp.Config{
		User: at.User, Host: at.Host, Port: at.Port, Path: at.Path, Create: r.Create,
		Password: asked(password), Passphrase: asked(passphrase), Agent: c.sshAgent(),
		HostKeys: words(r.Options["host-key"]), KnownHosts: c.knownHosts(),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := c.line.Dial(ctx, network, address)
			if err == nil {
				place.dialled.Store(true)
			}
			return conn, err
		},
	}
	if path := r.Options["key-file"]; path != "" {
		path = c.ownPath(path)
		keep["key-file"] = path
		config.Key = func() ([]byte, error) { return readKey(path) }
	}
	if config.Key != nil || config.Password != nil {
		// What the user chose is what is tried: servers allow few tries, and an agent
		// with many keys uses them up.
		config.Agent = nil
	}
	if config.Key == nil && config.Password == nil && config.Agent == nil {
		return nil, missing("password")
	}
	if place.Driver, err = sftp.New(config); err != nil {
		password.Wipe()
		passphrase.Wipe()
		return nil, err
	}
	return place, nil
}

// sshAgent returns how to connect to the agent of this session; nil: there is none. The
// one of Windows listens at a pipe, which Go cannot reach without a library.
func (c *connector) sshAgent() func(context.Context) (net.Conn, error) {
	socket := c.getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil
	}
	return func(ctx context.Context) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", socket)
	}
}

// knownHosts are the files in which OpenSSH keeps host keys (ssh_config(5)).
func (c *connector) knownHosts() []string {
	system := "/etc/ssh/ssh_known_hosts"
	if runtime.GOOS == "windows" {
		system = filepath.Join(c.getenv("ProgramData"), "ssh", "ssh_known_hosts")
	}
	return []string{filepath.Join(c.home, ".ssh", "known_hosts"), system}
}

// ownPath makes a path absolute; "~/" is the user's own folder, where no shell has said so.
func (c *connector) ownPath(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(c.home, rest)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// readKey reads a private key.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("read %s: %w: not a file", filepath.Base(path), fs.ErrInvalid))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = fmt.Errorf("read %s: %w: too long", filepath.Base(path), fs.ErrInvalid)
	}
	return data, err
}
