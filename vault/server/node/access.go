package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"coffer/vault/trust"
)

// desk is what a command may ask for, of the program that runs or of the files.
type desk interface {
	status(ctx context.Context) (Status, error)
	renew(ctx context.Context) (Renewed, error)
	rotate(ctx context.Context) (Renewed, error)
	install(ctx context.Context, signed []byte) (Renewed, error)
	reload(ctx context.Context) (Renewed, error)
	invite(ctx context.Context, life time.Duration) (string, error)
	backup(ctx context.Context, w io.Writer) error
}

// An Access is a command's way to a vault.
type Access struct {
	dir    folder
	desk   desk
	lock   *lock // nil: the vault runs, and we talk to it
	closer func()
}

// reachPatience is how long a starting or an ending vault is waited for: it has the files
// already, or still, and does not answer.
const (
	reachPatience = 5 * time.Second
	reachPause    = 50 * time.Millisecond
)

// Reach finds the way to the vault in dir: the program that runs, or else its files, which
// are ours until Close. [ErrNoVault], [ErrBusy], and those of reading the files.
func Reach(ctx context.Context, dir string, opts Options) (*Access, error) {
	opts = opts.withDefaults()
	d := folder(dir)
	if err := d.hasVault(); err != nil {
		return nil, err
	}
	for until := time.Now().Add(reachPatience); ; {
		if r, err := dialAdmin(ctx, d); err == nil {
			return &Access{dir: d, desk: r, closer: r.close}, nil
		}
		l, err := d.lock()
		if err == nil {
			return reachFiles(d, l, opts)
		}
		if !errors.Is(err, ErrBusy) || time.Now().After(until) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the vault: %w", ctx.Err())
		case <-time.After(reachPause):
		}
	}
}

func reachFiles(d folder, l *lock, opts Options) (*Access, error) {
	id, err := readIdentity(d, opts.Clock)
	if err != nil {
		l.release()
		return nil, err
	}
	return &Access{dir: d, lock: l, desk: &office{opts: opts, id: id}, closer: id.keys.wipe}, nil
}

// Close ends the access.
func (a *Access) Close() {
	a.closer()
	if a.lock != nil {
		a.lock.release()
	}
}

// Running reports whether the vault's program answers.
func (a *Access) Running() bool { return a.lock == nil }

// Status says how the vault is.
func (a *Access) Status(ctx context.Context) (Status, error) { return a.desk.status(ctx) }

// Renew makes the next bundle, and installs it when all signatures can be made here.
func (a *Access) Renew(ctx context.Context) (Renewed, error) { return a.desk.renew(ctx) }

// Rotate makes new keys for envelopes and the vault's own certificate, and the next bundle.
// It is staged when somebody else has to sign it, or when other computers of a cluster must
// have the keys first. The former keys go on opening what is on its way.
func (a *Access) Rotate(ctx context.Context) (Renewed, error) { return a.desk.rotate(ctx) }

// Install installs a bundle that is signed completely. [ErrBundle], [ErrExpired],
// [ErrNotSigned].
func (a *Access) Install(ctx context.Context, signed []byte) (Renewed, error) {
	if len(signed) > trust.MaxBundle {
		return Renewed{}, fmt.Errorf("%d bytes: %w", len(signed), ErrBundle)
	}
	return a.desk.install(ctx, signed)
}

// Reload has the running vault read its files again: keys and bundle that another computer
// of the cluster has made. What it listens on does not change.
func (a *Access) Reload(ctx context.Context) (Renewed, error) { return a.desk.reload(ctx) }

// Invite returns the link with a new invitation, good once, for life. [ErrNotInvited].
func (a *Access) Invite(ctx context.Context, life time.Duration) (string, error) {
	return a.desk.invite(ctx, life)
}

// Signed returns the signed bundle, or the staged one. [ErrNotSigned] when there is none.
func (a *Access) Signed(staged bool) ([]byte, error) {
	name := bundleName
	if staged {
		name = nextName
	}
	b, err := a.dir.read(name, trust.MaxBundle)
	if missing(err) {
		return nil, fmt.Errorf("there is no %s: %w", name, ErrNotSigned)
	}
	return b, err
}

// Backup writes a copy of the vault to a new file (mode 0600, tar), while the vault runs: a
// folder that it is unpacked into is the vault. The copy holds the vault's keys, in clear.
// It does not hold root.key, nor what vault.toml names elsewhere, nor the records of a
// cluster. Who starts it has its tries of then: users are told (incarnation).
// [ErrFileExists].
func (a *Access) Backup(ctx context.Context, path string) error {
	return writeNew(path, func(w io.Writer) error { return a.desk.backup(ctx, w) })
}
