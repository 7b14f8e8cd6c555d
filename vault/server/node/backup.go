package node

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"coffer/internal/durable"
	"coffer/vault/server/store/bolt"
)

// backupTemp is how copies of the store are named while they are written out. A crash
// leaves them; the next start removes them.
const backupTemp = "backup-*.tmp"

// backup writes the vault as a tar file: configuration, keys, bundle, and the store as it
// is at one moment. Not the root: it belongs away from the vault. A cluster has backups of
// its own.
func (o *office) backup(ctx context.Context, w io.Writer) error {
	o.mu.Lock()
	id, p := *o.id, o.parts
	o.mu.Unlock()
	now := id.clock().UTC().Truncate(time.Second)
	text, err := id.dir.read(configName, maxConfig)
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	files := []struct {
		name string
		data []byte
	}{
		{copyName, encodeCopy(id.bundle.Incarnation, now)},
		{configName, text},
		{keyName, id.keys.encode()},
		{bundleName, id.signed},
	}
	for _, f := range files {
		if err := t.WriteHeader(header(f.name, int64(len(f.data)), now)); err != nil {
			return fmt.Errorf("write backup: %w", err)
		}
		if _, err := t.Write(f.data); err != nil {
			return fmt.Errorf("write backup: %w", err)
		}
	}
	if id.config.Store == StoreBolt {
		if err := backupStore(ctx, t, id.dir, p, now); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	return nil
}

func header(name string, size int64, at time.Time) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: at, Format: tar.FormatPAX}
}

// backupStore copies the store into a file of its own first, because its erasures wait as
// long as the copy is made, and who receives the backup may be slow.
func backupStore(ctx context.Context, t *tar.Writer, d folder, p *parts, at time.Time) (err error) {
	db, done, err := storeOf(d, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	f, err := os.CreateTemp(string(d), backupTemp)
	if err != nil {
		return fmt.Errorf("copy store: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if err := db.Snapshot(ctx, f); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("copy store: %w", err)
	}
	if err := t.WriteHeader(header(dbName, size, at)); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	if _, err := io.Copy(t, f); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	return nil
}

// storeOf returns the store of the running vault, or opens it.
func storeOf(d folder, p *parts) (db *bolt.DB, done func() error, err error) {
	if p != nil {
		return p.db, func() error { return nil }, nil
	}
	if !d.has(dbName) {
		return nil, nil, fmt.Errorf("%s is missing: %w", dbName, ErrDamaged)
	}
	if db, err = bolt.Open(d.file(dbName), storePatience); err != nil {
		return nil, nil, fmt.Errorf("open store: %w: %w", ErrStore, err)
	}
	return db, db.Close, nil
}

// sweepTemps removes what a crash has left of backups and of half-written files.
func (d folder) sweepTemps() error {
	left, err := filepath.Glob(d.file(backupTemp))
	if err != nil {
		return fmt.Errorf("look for left-overs: %w", err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil && !missing(err) {
			return fmt.Errorf("remove left-over: %w", err)
		}
	}
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return fmt.Errorf("look for left-overs: %w", err)
	}
	defer root.Close()
	return durable.Sweep(root, time.Now())
}

// writeNew writes what fill gives into a new file, mode 0600, which has its name only when
// it is whole. [ErrFileExists].
func writeNew(path string, fill func(io.Writer) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), ErrFileExists)
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	defer root.Close()
	f, temp, err := durable.Temp(root, 0o600)
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	err = fill(f)
	if err == nil {
		err = durable.Sync(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = durable.Publish(root, temp, filepath.Base(path))
		if errors.Is(err, errors.ErrUnsupported) {
			err = durable.Replace(root, temp, filepath.Base(path))
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", filepath.Base(path), err), removeTemp(root, temp))
	}
	return nil
}

// removeTemp removes a temporary file that may have its real name by now.
func removeTemp(root *os.Root, temp string) error {
	if err := root.Remove(temp); err != nil && !missing(err) {
		return fmt.Errorf("remove temporary file: %w", err)
	}
	return nil
}
