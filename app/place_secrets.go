package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"coffer/crypto/aead"
	"coffer/internal/durable"
)

const (
	secretsFile   = "secrets"
	deviceKeyFile = "device.key"

	// maxKeyring is what every key store takes, in bytes: Windows the least.
	maxKeyring = 2560
	// maxSecrets bounds what is read; a Google client and its token have about 700 bytes.
	maxSecrets = 256 << 10
)

// A secretBox is where this computer keeps a few named secrets: an entry of the keyring,
// one JSON object; or a file that is sealed with a key of this computer, where there is no
// keyring, or none that takes them, or where the user keeps the root key in a file, too: a
// backup that is started without a session has no keyring. That file keeps them out of
// copies of a single file and out of searches; whoever reads all of the profile opens it.
type secretBox struct {
	app     *App
	account string // in the keyring
	path    string // of the file
	label   string // what the file is sealed for
	file    bool   // never the keyring
}

// secretsOf is the box of a place.
func (a *App) secretsOf(id string, kept KeepKey) secretBox {
	name := "place-" + id
	return secretBox{app: a, account: name, path: filepath.Join(a.placeDir(id), secretsFile), label: name, file: kept == KeepFile}
}

// load returns what is kept; an empty map when there is nothing. A file is newer than an
// entry of the keyring, because storing in the keyring removes it.
func (b secretBox) load(ctx context.Context) (map[string]Secret, error) {
	sealed, err := readBounded(b.path, maxSecrets)
	if err == nil {
		plain, err := b.app.openSealed(b.label, sealed)
		if err != nil {
			return nil, fmt.Errorf("open secrets: %w: %w", ErrPlaceSecret, err)
		}
		return parseSecrets(plain)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	if b.file || b.app.cfg.Keyring == nil {
		return map[string]Secret{}, nil
	}
	entry, err := b.app.cfg.Keyring.Get(ctx, b.account)
	if errors.Is(err, ErrNoEntry) {
		return map[string]Secret{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	defer entry.Wipe()
	var list map[string]Secret
	entry.Expose(func(text []byte) { list, err = parseSecrets(bytes.Clone(text)) })
	return list, err
}

// store replaces what is kept, durably.
func (b secretBox) store(ctx context.Context, list map[string]Secret) error {
	if len(list) == 0 {
		return b.remove(ctx)
	}
	plain, err := encodeSecrets(list)
	if err != nil {
		return err
	}
	defer clear(plain)
	if !b.file && b.app.cfg.Keyring != nil && len(plain) <= maxKeyring {
		err := b.storeInKeyring(ctx, plain)
		if err == nil {
			return removeFile(b.path)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b.app.cfg.Log.InfoContext(ctx, "the keyring does not take the secrets of a place, keeping them in a sealed file", "err", err)
	}
	return b.storeInFile(plain)
}

// storeInKeyring reads back what it stored: some key stores take what they later do not
// have.
func (b secretBox) storeInKeyring(ctx context.Context, plain []byte) error {
	entry := NewSecret(bytes.Clone(plain))
	defer entry.Wipe()
	if err := b.app.cfg.Keyring.Set(ctx, b.account, entry); err != nil {
		return err
	}
	back, err := b.app.cfg.Keyring.Get(ctx, b.account)
	if err != nil {
		return err
	}
	defer back.Wipe()
	if !back.Equal(entry) {
		return errors.New("app: the keyring gives back something else")
	}
	return nil
}

func (b secretBox) storeInFile(plain []byte) error {
	sealed, err := b.app.seal(b.label, plain)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(b.path), 0o700); err != nil {
		return fmt.Errorf("make folder for secrets: %w", err)
	}
	if err := durable.WriteFile(b.path, sealed, 0o600); err != nil {
		return fmt.Errorf("write secrets: %w", err)
	}
	return nil
}

// remove forgets everything.
func (b secretBox) remove(ctx context.Context) error {
	err := removeFile(b.path)
	if b.file || b.app.cfg.Keyring == nil {
		return err
	}
	kept := b.app.cfg.Keyring.Delete(context.WithoutCancel(ctx), b.account)
	if errors.Is(kept, ErrNoEntry) || errors.Is(kept, ErrNoKeyring) {
		kept = nil // there is nothing where nothing could be put
	}
	return errors.Join(err, kept)
}

// encodeSecrets makes one JSON object, name to value. A value that is not text is written
// as {"base64": ...}, as paths are.
func encodeSecrets(list map[string]Secret) ([]byte, error) {
	texts := map[string]rawText{}
	for name, secret := range list {
		secret.Expose(func(b []byte) { texts[name] = rawText(b) })
	}
	data, err := json.Marshal(texts)
	if err != nil {
		return nil, errors.New("app: secrets cannot be encoded") // err would quote them
	}
	return data, nil
}

// parseSecrets takes data over and wipes it. Its errors quote nothing of it.
func parseSecrets(data []byte) (map[string]Secret, error) {
	defer clear(data)
	damaged := fmt.Errorf("secrets of a place: %w", ErrProfileDamaged)
	dec := json.NewDecoder(bytes.NewReader(data))
	var texts map[string]rawText
	if err := dec.Decode(&texts); err != nil || len(texts) > maxOptions {
		return nil, damaged
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, damaged
	}
	list := map[string]Secret{}
	for name, text := range texts {
		if !isOptionName(name) || text == "" {
			return nil, damaged
		}
		list[name] = NewSecret([]byte(text))
	}
	return list, nil
}

func cloneSecrets(list map[string]Secret) map[string]Secret {
	out := map[string]Secret{}
	for name, secret := range list {
		out[name] = secret.Clone()
	}
	return out
}

func wipeSecrets(list map[string]Secret) {
	for _, secret := range list {
		secret.Wipe()
	}
}

// seal protects data that lies in the profile with the key of this computer, for one
// purpose; openSealed is its reverse.
func (a *App) seal(label string, plain []byte) ([]byte, error) {
	key, err := a.deviceKey(true)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return aead.Seal(key, []byte(label), plain), nil
}

func (a *App) openSealed(label string, sealed []byte) ([]byte, error) {
	key, err := a.deviceKey(false)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return aead.Open(key, []byte(label), sealed)
}

// deviceKey reads state/device.key, which is made when it is first needed. Of two that
// make it at the same moment one wins, and both read the winner's.
func (a *App) deviceKey(create bool) ([]byte, error) {
	path := filepath.Join(a.stateDir(), deviceKeyFile)
	key, err := readBounded(path, aead.KeySize)
	if create && errors.Is(err, fs.ErrNotExist) {
		err = durable.Create(path, aead.Random(aead.KeySize), 0o600)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make device key: %w", err)
		}
		key, err = readBounded(path, aead.KeySize)
	}
	if err != nil {
		return nil, fmt.Errorf("read device key: %w", err)
	}
	if len(key) != aead.KeySize {
		return nil, fmt.Errorf("read device key: %w", ErrProfileDamaged)
	}
	return key, nil
}

// heldSecrets are the secrets of one place while it is open, or while it is connected and
// not yet the profile's: then they are nowhere else.
type heldSecrets struct {
	box *secretBox // nil: in memory only

	mu     sync.Mutex
	list   map[string]Secret // guarded by mu; nil before they are needed
	loaded bool              // guarded by mu
}

var _ PlaceSecrets = (*heldSecrets)(nil)

// Get implements PlaceSecrets.
func (h *heldSecrets) Get(ctx context.Context, name string) (Secret, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.load(ctx); err != nil {
		return Secret{}, err
	}
	secret, ok := h.list[name]
	if !ok {
		return Secret{}, ErrNoEntry
	}
	return secret.Clone(), nil
}

// Set implements PlaceSecrets.
func (h *heldSecrets) Set(ctx context.Context, name string, s Secret) error {
	if !isOptionName(name) {
		return fmt.Errorf("%w: name of a secret", ErrSettings)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.reload(ctx); err != nil {
		return err
	}
	next := map[string]Secret{}
	maps.Copy(next, h.list)
	delete(next, name)
	if !s.IsZero() {
		next[name] = s.Clone()
	}
	if h.box != nil {
		if err := h.box.store(ctx, next); err != nil {
			return err
		}
	}
	if old, ok := h.list[name]; ok {
		old.Wipe()
	}
	h.list = next
	return nil
}

// load reads the box once. The caller holds mu.
func (h *heldSecrets) load(ctx context.Context) error {
	if h.loaded {
		return nil
	}
	if h.box == nil {
		h.list, h.loaded = map[string]Secret{}, true
		return nil
	}
	list, err := h.box.load(ctx)
	if err != nil {
		return err
	}
	wipeSecrets(h.list)
	h.list, h.loaded = list, true
	return nil
}

// reload reads the box again: another Coffer may have changed a secret since. One that does
// not answer any more is no reason to lose what is to be stored. The caller holds mu.
func (h *heldSecrets) reload(ctx context.Context) error {
	if h.box == nil || !h.loaded {
		return h.load(ctx)
	}
	h.loaded = false
	if err := h.load(ctx); err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	h.loaded = true
	return nil
}

// all returns a copy of everything.
func (h *heldSecrets) all(ctx context.Context) (map[string]Secret, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.load(ctx); err != nil {
		return nil, err
	}
	return cloneSecrets(h.list), nil
}

// wipe forgets what is in memory.
func (h *heldSecrets) wipe() {
	h.mu.Lock()
	defer h.mu.Unlock()
	wipeSecrets(h.list)
	h.list, h.loaded = nil, h.box == nil && h.loaded
}

// newSecrets holds a list in memory alone. It takes the list over.
func newSecrets(list map[string]Secret) *heldSecrets {
	return &heldSecrets{list: list, loaded: true}
}
