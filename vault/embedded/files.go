package embedded

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"coffer/crypto/aead"
	"coffer/crypto/opaque"
	"coffer/internal/durable"
	"coffer/vault/protocol"
	"coffer/vault/server"
	"coffer/vault/server/store/bolt"
)

// The files of a vault's folder.
const (
	dbName       = "vault.db"
	keyName      = "vault.key"
	settingsName = "vault.json"
)

// A settings is vault.json.
type settings struct {
	Format int     `json:"format"`
	ID     string  `json:"vault"`
	Tries  int     `json:"tries"`
	Waits  []int64 `json:"waits_ms"`
}

const settingsFormat = 1

// maxFile bounds what is read of vault.json and vault.key, in bytes.
const maxFile = 16 << 10

func (s settings) waits() []time.Duration {
	waits := make([]time.Duration, 0, len(s.Waits)) // never nil: that would be the default list
	for _, ms := range s.Waits {
		waits = append(waits, time.Duration(ms)*time.Millisecond)
	}
	return waits
}

// keyFile is vault.key: its bytes, integers big-endian, then their SHA-256, which tells a
// file that a disk has damaged from the right one before a record is called damaged.
type keyFile struct {
	Magic    [16]byte
	ID       [16]byte
	Seal     [aead.KeySize]byte
	Server   [opaque.KeySize]byte
	Receipts [32]byte
}

var keyMagic = [16]byte([]byte("coffer-vault-k/1"))

// Format prints "[redacted]" for every verb.
func (keyFile) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// loadOrMake reads key and settings, or makes them. The key comes first and the settings
// last: a crash in between leaves a key without a vault, which the next Open takes.
func loadOrMake(ctx context.Context, dir string, opts Options, db *bolt.DB) (keyFile, settings, error) {
	keys, err := readKeys(dir)
	if missing(err) {
		keys, err = makeKeys(ctx, dir, db)
	}
	if err != nil {
		return keyFile{}, settings{}, err
	}
	set, err := readSettings(dir)
	if missing(err) {
		set, err = makeSettings(dir, keys.ID, opts)
	}
	if err != nil {
		return keyFile{}, settings{}, err
	}
	if set.ID != hex.EncodeToString(keys.ID[:]) {
		return keyFile{}, settings{}, fmt.Errorf("vault.json and vault.key are of two vaults: %w", ErrDamaged)
	}
	return keys, set, nil
}

func readFile(dir, name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("read %s: too large: %w", name, ErrDamaged)
	}
	return b, nil
}

func readKeys(dir string) (keyFile, error) {
	b, err := readFile(dir, keyName)
	if err != nil {
		return keyFile{}, err
	}
	defer clear(b)
	return parseKeys(b)
}

func parseKeys(b []byte) (keyFile, error) {
	var k keyFile
	body := binary.Size(k)
	if len(b) != body+sha256.Size {
		return keyFile{}, fmt.Errorf("read vault.key: %d bytes: %w", len(b), ErrDamaged)
	}
	if sum := sha256.Sum256(b[:body]); !bytes.Equal(sum[:], b[body:]) {
		return keyFile{}, fmt.Errorf("read vault.key: checksum: %w", ErrDamaged)
	}
	if _, err := binary.Decode(b, binary.BigEndian, &k); err != nil || k.Magic != keyMagic {
		return keyFile{}, fmt.Errorf("read vault.key: not a key file: %w", ErrDamaged)
	}
	return k, nil
}

func encodeKeys(k keyFile) []byte {
	b, err := binary.Append(nil, binary.BigEndian, &k)
	if err != nil {
		panic("embedded: internal error: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

var errNotEmpty = errors.New("the store has records")

func makeKeys(ctx context.Context, dir string, db *bolt.DB) (keyFile, error) {
	// Records without the key that seals them: a new key would hide that they are lost.
	err := db.List(ctx, func([16]byte) error { return errNotEmpty })
	if err != nil {
		return keyFile{}, fmt.Errorf("vault.key is missing: %w: %w", ErrDamaged, err)
	}
	k := keyFile{
		Magic: keyMagic, ID: [16]byte(aead.Random(16)), Seal: [aead.KeySize]byte(aead.Random(aead.KeySize)),
		Receipts: [32]byte(aead.Random(32)),
	}
	copy(k.Server[:], opaque.GenerateServerKey().Private())
	b := encodeKeys(k)
	defer clear(b)
	if err := durable.Create(filepath.Join(dir, keyName), b, 0o600); err != nil {
		return keyFile{}, fmt.Errorf("write vault.key: %w", err)
	}
	return k, nil
}

func readSettings(dir string) (settings, error) {
	b, err := readFile(dir, settingsName)
	if err != nil {
		return settings{}, err
	}
	return parseSettings(b)
}

func parseSettings(b []byte) (settings, error) {
	var s settings
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil || d.More() {
		return settings{}, fmt.Errorf("read vault.json: not the JSON it should be: %w", ErrDamaged)
	}
	id, err := hex.DecodeString(s.ID)
	if err != nil || len(id) != 16 || hex.EncodeToString(id) != s.ID || s.Format != settingsFormat ||
		s.Tries < 1 || s.Tries > protocol.MaxTries || len(s.Waits) > protocol.MaxTries {
		return settings{}, fmt.Errorf("read vault.json: a field is out of bounds: %w", ErrDamaged)
	}
	for _, ms := range s.Waits {
		if ms < 0 || ms > protocol.MaxWait.Milliseconds() {
			return settings{}, fmt.Errorf("read vault.json: a wait is out of bounds: %w", ErrDamaged)
		}
	}
	return s, nil
}

func makeSettings(dir string, id [16]byte, opts Options) (settings, error) {
	if opts.Tries == 0 {
		opts.Tries = server.DefaultTries
	}
	if opts.Waits == nil {
		opts.Waits = server.DefaultWaits()
	}
	s := settings{Format: settingsFormat, ID: hex.EncodeToString(id[:]), Tries: opts.Tries, Waits: []int64{}}
	for _, w := range opts.Waits {
		s.Waits = append(s.Waits, w.Milliseconds())
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return settings{}, fmt.Errorf("write vault.json: %w", err)
	}
	// What cannot be read back must not be written: the vault could never be opened again.
	if _, err := parseSettings(b); err != nil {
		return settings{}, err
	}
	// Commit point: from here on there is a vault.
	if err := durable.Create(filepath.Join(dir, settingsName), append(b, '\n'), 0o600); err != nil {
		return settings{}, fmt.Errorf("write vault.json: %w", err)
	}
	return s, nil
}
