package rclone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"coffer/cloud"
	"coffer/cloud/webdav"
)

const (
	startTime = 30 * time.Second // for the child to say where it is
	endTime   = 3 * time.Second  // for the child to end when it is asked to
	childUser = "coffer"
)

// A child is a running "rclone serve webdav".
type child struct {
	place *webdav.Driver
	said  *words
	http  *http.Transport
	run   *process
}

// end ends the child and waits until it has ended.
func (c *child) end() {
	c.http.CloseIdleConnections()
	c.run.end()
}

// running returns the child, and starts one if none runs.
func (d *Driver) running(ctx context.Context) (*child, error) {
	if err := d.starting.acquire(ctx); err != nil {
		return nil, err
	}
	defer d.starting.release()
	d.mu.Lock()
	c, closed := d.child, d.closed
	d.mu.Unlock()
	if closed {
		return nil, fs.ErrClosed
	}
	if c != nil {
		if !c.run.hasEnded() {
			return c, nil
		}
		c.end() // it died: let go of what held it
	}
	c, err := d.start(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	closed = d.closed
	if !closed {
		d.child = c
	}
	d.mu.Unlock()
	if closed { // meanwhile
		c.end()
		return nil, fs.ErrClosed
	}
	return c, nil
}

// start looks at the remote, makes the folder if that is wanted, and starts a
// child.
func (d *Driver) start(ctx context.Context) (*child, error) {
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	password := d.c.Password()
	if len(password) < minPassword || strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("start rclone: %w: its password is too short", fs.ErrInvalid)
	}
	cmd := d.command(serveArgs(d.c.Remote)...)
	cmd.Env = append(cmd.Env, "RCLONE_USER="+childUser, "RCLONE_PASS="+password)
	said := newWords(d.c.Remote)
	cmd.Stderr = said
	run, err := startProcess(cmd)
	if err != nil {
		return nil, startError(err)
	}
	c := &child{said: said, run: run, http: d.transport(run)}
	address, err := c.address(ctx)
	if err == nil {
		err = c.locked(ctx, address)
	}
	if err == nil {
		c.place, err = webdav.New(webdav.Config{
			Address: address, User: childUser, Password: func() string { return password }, Transport: c.http,
		})
	}
	if err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// serveArgs are the arguments of the child.
//
//   - No cache of files: a Put succeeds when the service has it, see the package.
//   - No retries: the Store retries.
//   - A log that we can read, whatever the user's environment says.
//   - The times of the service: those of rclone's own are one more request for
//     each file at S3 and its like.
func serveArgs(remote string) []string {
	return []string{
		"serve", "webdav", "--addr", "127.0.0.1:0",
		"--vfs-cache-mode", "off", "--dir-cache-time", "1m", "--poll-interval", "0",
		"--low-level-retries", "1", "--retries", "1", "--use-server-modtime",
		"--log-level", "NOTICE", "--", remote,
	}
}

// address waits until the child says where it is.
func (c *child) address(ctx context.Context) (string, error) {
	patience := time.NewTimer(startTime)
	defer patience.Stop()
	select {
	case address := <-c.said.address:
		return address, nil
	case <-ctx.Done():
		return "", ctx.Err()
	case <-c.run.ended:
		if err := classOf(c.said.since(0)); err != nil {
			return "", fmt.Errorf("start rclone: %w", err)
		}
		return "", cloud.Final(fmt.Errorf("start rclone: %w: it ended at once", cloud.ErrOffline))
	case <-patience.C:
		return "", fmt.Errorf("start rclone: %w: it does not say where it is", cloud.ErrOffline)
	}
}

// locked makes sure that the child took the password: one of a later rclone, that
// did not know the variables any more, would let everybody on this computer in.
func (c *child) locked(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("start rclone: %w", err)
	}
	res, err := c.http.RoundTrip(req)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("start rclone: %w: %w", cloud.ErrOffline, err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		return cloud.Final(fmt.Errorf("start rclone: %w: it asks for no password", cloud.ErrUnsupported))
	}
	return nil
}

// transport connects to the child alone: never through a proxy, and not once it
// has ended, for then its port may be somebody else's.
func (d *Driver) transport(run *process) *http.Transport {
	dial := d.c.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if run.hasEnded() {
				return nil, fmt.Errorf("%w: rclone has ended", cloud.ErrOffline)
			}
			return dial(ctx, network, address)
		},
		MaxIdleConnsPerHost: 8,
		DisableCompression:  true,
	}
}

// command is rclone with the user's configuration, that never asks anybody.
func (d *Driver) command(args ...string) *exec.Cmd {
	own := []string{"--ask-password=false"}
	if d.c.ConfigFile != "" {
		own = append(own, "--config", d.c.ConfigFile)
	}
	return command(d.c.Program, d.c.Env, append(own, args...)...)
}

// command is rclone in a clean environment.
func command(program string, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...) //nolint:noctx // it outlives requests; processes are ended in process.go
	cmd.Env = cleanEnv(env)
	return cmd
}

// cleanEnv leaves out what would change how we run rclone, which knows a variable
// for each of its flags. What sets up remotes stays.
func cleanEnv(env []string) []string {
	kept := []string{} // not nil, which is the environment of this process
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if !overrides(strings.ToUpper(name)) {
			kept = append(kept, entry)
		}
	}
	return kept
}

// overrides reports whether the variable is one of a flag that is ours to set.
func overrides(name string) bool {
	flag, ok := strings.CutPrefix(name, "RCLONE_")
	if !ok {
		return false
	}
	switch flag {
	case "ADDR", "BASEURL", "CERT", "KEY", "CLIENT_CA", "HTPASSWD", "AUTH_PROXY", "REALM", "SALT", "TEMPLATE", "USER", "PASS",
		"READ_ONLY", "DIR_CACHE_TIME", "POLL_INTERVAL", "NO_MODTIME", "NO_SEEK", "NO_CHECKSUM", "ETAG_HASH", "DISABLE_DIR_LIST",
		"LOG_FILE", "LOG_LEVEL", "LOG_FORMAT", "LOG_SYSTEMD", "QUIET", "VERBOSE", "SYSLOG", "SYSLOG_FACILITY", "USE_JSON_LOG", "STATS", "PROGRESS",
		"DRY_RUN", "INTERACTIVE", "IMMUTABLE", "SUFFIX", "BACKUP_DIR", "MAX_TRANSFER", "MAX_DURATION", "IGNORE_CHECKSUM", "IGNORE_SIZE",
		"RETRIES", "LOW_LEVEL_RETRIES", "RC", "DUMP", "HEADER", "HEADER_UPLOAD", "HEADER_DOWNLOAD",
		"INCLUDE", "INCLUDE_FROM", "EXCLUDE", "EXCLUDE_FROM", "EXCLUDE_IF_PRESENT", "FILTER", "FILTER_FROM", "FILES_FROM", "FILES_FROM_RAW",
		"MIN_SIZE", "MAX_SIZE", "MIN_AGE", "MAX_AGE", "MAX_DEPTH", "ONE_LINE", "LONG", "JSON":
		return true
	}
	return strings.HasPrefix(flag, "VFS_") || strings.HasPrefix(flag, "RC_") || strings.HasPrefix(flag, "METRICS_")
}

// startError classes the failure to start a program.
func startError(err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("start rclone: %w", cloud.ErrNoProgram)
	}
	return cloud.Final(fmt.Errorf("start rclone: %w: %w", cloud.ErrNoProgram, err))
}
