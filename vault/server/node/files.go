package node

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"coffer/internal/durable"
)

// The files of a vault's folder: see the package comment.
const (
	configName = "vault.toml"
	keyName    = "vault.key"
	rootName   = "root.key"
	bundleName = "bundle.txt"
	nextName   = "bundle.next"
	dbName     = "vault.db"
	memberName = "etcd"
	lockName   = "vault.lock"
	socketName = "admin.sock"
	copyName   = "copy.txt"
	markName   = "init.tmp"
)

// A folder is the path of a vault's folder.
type folder string

func (d folder) file(name string) string { return filepath.Join(string(d), name) }

func (d folder) has(name string) bool {
	_, err := os.Lstat(d.file(name))
	return err == nil
}

// read reads a file of at most limit bytes.
func (d folder) read(name string, limit int64) ([]byte, error) {
	return readFile(d.file(name), name, limit)
}

func readFile(path, name string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("read %s: longer than %d bytes: %w", name, limit, ErrDamaged)
	}
	return b, nil
}

// readSecret is read for a file that nobody else may read: who left it open to all should
// hear of it before it is used for years.
func (d folder) readSecret(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(d.file(name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has the mode %04o, and must have 0600: %w", name, info.Mode().Perm(), ErrOpenToAll)
	}
	return d.read(name, limit)
}

// write puts data in the place of a file, durably.
func (d folder) write(name string, data []byte, perm fs.FileMode) error {
	if err := durable.WriteFile(d.file(name), data, perm); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// remove removes a file that may be absent.
func (d folder) remove(name string) error {
	if err := os.Remove(d.file(name)); err != nil && !missing(err) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// hasVault says whether there is a vault. [ErrNoVault].
func (d folder) hasVault() error {
	_, err := os.Stat(d.file(configName))
	if missing(err) {
		return fmt.Errorf("look for %s: %w", configName, ErrNoVault)
	}
	if err != nil {
		return fmt.Errorf("look for %s: %w", configName, err)
	}
	return nil
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// decodeKey reads a public key as links spell it.
func decodeKey(s string) ([32]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 32 {
		return [32]byte{}, ErrKeyFile
	}
	return [32]byte(b), nil
}

func encodeKey(k [32]byte) string { return base64.RawURLEncoding.EncodeToString(k[:]) }
