package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"coffer/crypto/aead"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
	"coffer/vault/trust"
)

// InitOptions say which vault is made.
type InitOptions struct {
	Dir    string
	Config Config // Name and Addresses are needed; begin with DefaultConfig
	// Second names who must sign bundles too; zero: nobody.
	Second Signer
	// Recovery is the file that the recovery key of a vault on a TPM is written to; it
	// must not exist. Empty: there is no recovery key, and with the TPM the vault is lost.
	Recovery string
	// AcceptNoDestruction says that destroyed keys may survive in the log of the cluster:
	// see [ErrNoDestruction].
	AcceptNoDestruction bool
}

// Made is what Init has made.
type Made struct {
	Link string // what clients get
	// Fingerprint of the link, to be compared by telephone.
	Fingerprint string
	Vault       [16]byte
	Root        string // path of root.key
	Staged      string // path of the bundle that the second signer must sign; empty: none
	// Invited says that only who has an invitation may register.
	Invited bool
}

// Init makes a vault. It never overwrites one. vault.toml is the commit point: a crash
// before it leaves files that the next Init removes, because init.tmp says whose they are.
//
// [ErrExists], [ErrConfig], [ErrNoDestruction], [ErrSeal], [ErrStore], [ErrFileExists].
func Init(ctx context.Context, o InitOptions, opts Options) (made Made, err error) {
	opts = opts.withDefaults()
	spec, err := o.check()
	if err != nil {
		return Made{}, err
	}
	d := folder(o.Dir)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return Made{}, fmt.Errorf("make folder: %w", err)
	}
	l, err := d.lock()
	if err != nil {
		return Made{}, err
	}
	defer l.release()
	if err := d.begin(); err != nil {
		return Made{}, err
	}
	vault := o.Second.Vault
	if vault == [16]byte{} {
		vault = [16]byte(aead.Random(16))
	}
	root := trust.NewRoot(vault)
	defer root.Wipe()
	id := &identity{dir: d, config: o.Config, keys: makeKeys(vault, root.Public()), clock: opts.Clock}
	defer id.keys.wipe()
	if err := id.fix(spec, o.Recovery); err != nil {
		return Made{}, err
	}
	if o.Recovery != "" {
		defer func() {
			// It is the key of a vault that was never made, and would be in the way of the next.
			if err != nil && !d.has(configName) {
				err = errors.Join(err, os.Remove(o.Recovery))
			}
		}()
	}
	return id.make(ctx, o, opts, root)
}

// check looks at everything that can be wrong before a file is written.
func (o *InitOptions) check() (sealSpec, error) {
	if o.Dir == "" {
		return sealSpec{}, wrong("", "a folder is needed")
	}
	if o.Second != (Signer{}) {
		o.Config.Second = encodeKey(o.Second.Key)
	}
	if err := o.Config.check(); err != nil {
		return sealSpec{}, err
	}
	spec, err := parseSeal(o.Config.Seal)
	if err != nil {
		return sealSpec{}, err
	}
	if o.Recovery != "" && !spec.isTPM() {
		return sealSpec{}, wrong("seal", "only a TPM has a recovery key")
	}
	if spec.class == seal.ClassSoftware && o.Config.Store != StoreBolt && !o.AcceptNoDestruction {
		return sealSpec{}, fmt.Errorf("a software vault on a cluster: %w", ErrNoDestruction)
	}
	// What is written must be read as it was meant.
	if back, err := parseConfig(o.Config.encode()); err != nil || string(back.encode()) != string(o.Config.encode()) {
		return sealSpec{}, fmt.Errorf("write %s: %w", configName, errors.Join(ErrConfig, err))
	}
	return spec, nil
}

// begin makes the folder one in which a vault may be made. What an Init has left behind
// that did not come to its end is removed; what anybody else has left is not touched.
func (d folder) begin() error {
	if d.has(configName) {
		return fmt.Errorf("find %s: %w", configName, ErrExists)
	}
	files := []string{keyName, rootName, bundleName, nextName, copyName, dbName, memberName}
	if d.has(markName) {
		for _, name := range files {
			if err := os.RemoveAll(d.file(name)); err != nil {
				return fmt.Errorf("remove what a crash has left: %w", err)
			}
		}
		return nil
	}
	for _, name := range files {
		if d.has(name) {
			return fmt.Errorf("%s is there, and %s is missing: %w", name, configName, ErrExists)
		}
	}
	return d.write(markName, []byte("A vault is being made in this folder.\n"), 0o600)
}

// fix puts into the keys what never changes.
func (id *identity) fix(spec sealSpec, recovery string) error {
	for i, class := range classes() {
		if class == spec.class {
			id.keys.Class = uint8(i)
		}
	}
	for i, s := range stores() {
		if s == id.config.Store {
			id.keys.Store = uint8(i)
		}
	}
	id.keys.Tries = uint16(id.config.Tries)
	if spec.class != seal.ClassSoftware {
		id.keys.Seal = [aead.KeySize]byte{}
	}
	if recovery == "" {
		return nil
	}
	public, err := newRecovery(id.keys.ID, recovery)
	id.keys.Recovery = public
	return err
}

var errNotEmpty = errors.New("the store holds records already")

// make writes everything, the configuration last.
func (id *identity) make(ctx context.Context, o InitOptions, opts Options, root trust.Key) (Made, error) {
	facts, err := id.firstOpen(ctx, opts)
	if err != nil {
		return Made{}, err
	}
	id.facts = facts
	text := root.Encode()
	defer clear(text)
	if err := errors.Join(id.dir.writeKeys(id.keys), id.dir.write(rootName, text, 0o600)); err != nil {
		return Made{}, err
	}
	renewed, err := id.renew(false, false)
	if err != nil {
		return Made{}, err
	}
	made := Made{
		Link: id.link().String(), Fingerprint: id.link().Fingerprint(), Vault: id.keys.ID, Root: id.dir.file(rootName),
		Invited: id.config.Register == trust.RegisterInvite,
	}
	if !renewed.Installed {
		made.Staged = id.dir.file(nextName)
	}
	// Commit point: from here on there is a vault.
	if err := id.dir.write(configName, id.config.encode(), 0o600); err != nil {
		return Made{}, err
	}
	return made, id.dir.remove(markName)
}

// firstOpen makes store and sealer, and sees that they work and are empty.
func (id *identity) firstOpen(ctx context.Context, opts Options) (_ facts, err error) {
	how := opening{dir: id.dir, config: id.config, keys: id.keys, create: true, clock: opts.Clock, log: opts.logger(id.config)}
	p, err := how.open(ctx)
	if err != nil {
		return facts{}, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if lister, ok := p.store.(store.Lister); ok {
		if err := lister.List(ctx, func([16]byte) error { return errNotEmpty }); err != nil {
			return facts{}, fmt.Errorf("look into the store: %w: %w", ErrStore, err)
		}
	}
	return p.facts, nil
}

// DefaultDir is where a vault lives when nothing is said: that of the system for root.
func DefaultDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/coffer-vault"
	}
	return "coffer-vault"
}

// DefaultPort is the port of a vault when nothing is said.
const DefaultPort = "7443"

// GuessAddress is the address of this computer, as far as it knows its own name, with the
// port of a vault.
func GuessAddress() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("ask for the name of this computer: %w", err)
	}
	address := net.JoinHostPort(strings.ToLower(strings.TrimSuffix(name, ".")), DefaultPort)
	if err := trust.CheckAddress(address); err != nil {
		return "", fmt.Errorf("the name of this computer is no address: %w", ErrConfig)
	}
	return address, nil
}
