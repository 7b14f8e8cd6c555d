package node

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"coffer/crypto/aead"
	"coffer/internal/durable"
	"coffer/vault/trust"
)

// A Signer is the public side of a second signer's key: its text is VAULTID.KEY, which
// [InitOptions] takes.
type Signer struct {
	Vault [16]byte
	Key   [32]byte
}

// String returns the text.
func (s Signer) String() string { return hex.EncodeToString(s.Vault[:]) + "." + encodeKey(s.Key) }

// ParseSigner reads what String wrote. [ErrKeyFile].
func ParseSigner(text string) (Signer, error) {
	id, key, ok := strings.Cut(strings.TrimSpace(text), ".")
	b, err := hex.DecodeString(id)
	if !ok || err != nil || len(b) != 16 {
		return Signer{}, fmt.Errorf("read signer: %w", ErrKeyFile)
	}
	k, err := decodeKey(key)
	s := Signer{[16]byte(b), k}
	if err != nil || s.String() != strings.TrimSpace(text) {
		return Signer{}, fmt.Errorf("read signer: %w", ErrKeyFile)
	}
	return s, nil
}

// NewSigner makes a second signer's key and writes it to a file (mode 0600) that must not
// exist: for the vault in dir, or, with dir "", for one that is still to be made. [ErrFileExists].
func NewSigner(dir, path string) (Signer, error) {
	vault := [16]byte(aead.Random(16))
	if dir != "" {
		keys, err := folder(dir).readKeys()
		if missing(err) {
			return Signer{}, fmt.Errorf("read keys: %w", ErrNoVault)
		}
		if err != nil {
			return Signer{}, err
		}
		vault = keys.ID
		keys.wipe()
	}
	key := trust.NewSecond(vault)
	defer key.Wipe()
	text := key.Encode()
	defer clear(text)
	if err := createFile(path, text); err != nil {
		return Signer{}, err
	}
	return Signer{vault, key.Public()}, nil
}

// createFile writes a file with a secret, durably, which must not exist. [ErrFileExists].
func createFile(path string, data []byte) error {
	err := durable.Create(path, data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write %s: %w", filepath.Base(path), ErrFileExists)
	}
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	return nil
}

// SignBundle signs a bundle with a root's or a second signer's key from a file, on any
// computer. bundle is what was staged: not signed yet, or signed by the root. A second
// signer needs the link, to see that the root has signed. [ErrKeyFile], [ErrBundle],
// [ErrLink], [ErrNotSigned].
func SignBundle(keyPath, link string, bundle []byte) (signed []byte, says Bundle, err error) {
	dir, name := filepath.Split(keyPath)
	text, err := folder(dir).readSecret(name, trust.MaxKeyFile)
	if err != nil {
		return nil, Bundle{}, err
	}
	defer clear(text)
	key, err := trust.ParseKey(text)
	if err != nil {
		return nil, Bundle{}, fmt.Errorf("read key: %w: %w", ErrKeyFile, err)
	}
	defer key.Wipe()
	if key.IsSecond() {
		return signSecond(key, link, bundle)
	}
	body, _, isSigned := bytes.Cut(bundle, []byte("\n\n"))
	if isSigned {
		body = append(bytes.Clone(body), '\n')
	}
	b, err := trust.ParseBundle(body)
	if err != nil {
		return nil, Bundle{}, fmt.Errorf("read bundle: %w: %w", ErrBundle, err)
	}
	if signed, err = trust.Sign(b, key); err != nil {
		return nil, Bundle{}, fmt.Errorf("sign bundle: %w: %w", ErrKeyFile, err)
	}
	return signed, viewOf(b), nil
}

func signSecond(key trust.Key, link string, bundle []byte) ([]byte, Bundle, error) {
	l, err := trust.ParseLink(link)
	if err != nil {
		return nil, Bundle{}, fmt.Errorf("read link: %w: %w", ErrLink, err)
	}
	signed, err := trust.AddSignature(bundle, l.Root, key)
	switch {
	case errors.Is(err, trust.ErrKey):
		return nil, Bundle{}, fmt.Errorf("sign bundle: %w: %w", ErrKeyFile, err)
	case err != nil:
		return nil, Bundle{}, fmt.Errorf("sign bundle: %w: %w", ErrNotSigned, err)
	}
	l.Second = key.Public()
	b, err := verifyAnyTime(signed, l)
	if err != nil {
		return nil, Bundle{}, fmt.Errorf("%w: %w", err, ErrBundle)
	}
	return signed, viewOf(b), nil
}
