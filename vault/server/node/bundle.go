package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"coffer/vault/trust"
)

// A Renewed says what became of a new bundle.
type Renewed struct {
	Installed bool   // it is bundle.txt now
	Missing   string // who still has to sign: "root", "second"; empty: nobody
	Restart   bool   // vault.toml was changed: the vault has to be ended before it is installed
	Text      []byte // the bundle: signed, as far as that could be done here
	Sequence  uint64
}

// Who has to sign.
const (
	MissingRoot   = "root"
	MissingSecond = "second"
)

// cluster says whether other computers serve this vault too: they must have new keys
// before a client hears of them.
func (id *identity) cluster() bool { return id.config.Store != StoreBolt }

// renew makes the next bundle. It is installed when all signatures can be made here, and
// staged otherwise; hold stages it in any case. [ErrKeyFile], [ErrOpenToAll].
func (id *identity) renew(rotate, hold bool) (Renewed, error) {
	b, err := id.next(rotate)
	if err != nil {
		return Renewed{}, err
	}
	now := id.clock().UTC().Truncate(time.Second)
	b.Sequence, b.Issued, b.Expires = id.bundle.Sequence+1, now, now.Add(bundleLife)
	if b.Incarnation > id.bundle.Incarnation {
		// The vault that this one is a copy of may have issued bundles since, and clients
		// take none that is older than those.
		b.Sequence += copyAdvance
	}
	text, err := b.Encode()
	if err != nil {
		return Renewed{}, fmt.Errorf("make bundle: %w: %w", ErrBundle, err)
	}
	r := Renewed{Missing: MissingRoot, Text: text, Sequence: b.Sequence}
	root, err := id.dir.readRoot()
	switch {
	case missing(err):
	case err != nil:
		return Renewed{}, err
	default:
		defer root.Wipe()
		if r.Text, err = trust.Sign(b, root); err != nil {
			return Renewed{}, fmt.Errorf("sign bundle: %w: %w", ErrKeyFile, err)
		}
		r.Missing = ""
		if id.config.Second != "" {
			r.Missing = MissingSecond
		}
	}
	if r.Missing != "" || hold {
		return r, id.dir.write(nextName, r.Text, 0o644)
	}
	r.Installed = true
	return r, id.install(r.Text)
}

// install puts a signed bundle in the place of the one before. [ErrBundle], [ErrExpired],
// [ErrNotSigned].
func (id *identity) install(signed []byte) error {
	b, err := trust.Verify(signed, id.link(), id.clock())
	if err != nil {
		return fmt.Errorf("%w: %w", err, bundleError(err))
	}
	if id.signed != nil {
		if err := trust.Newer(id.bundle, b); err != nil {
			return fmt.Errorf("compare with the bundle in use: %w: %w", ErrBundle, err)
		}
	}
	before := *id
	id.signed, id.bundle = bytes.Clone(signed), b
	if err := id.fits(); err != nil {
		*id = before
		return err
	}
	// Commit point: from here on the vault is what this bundle says.
	if err := id.dir.write(bundleName, signed, 0o644); err != nil {
		*id = before
		return err
	}
	return errors.Join(id.dir.remove(nextName), id.dir.remove(copyName))
}

// bundleError sorts what package trust says of a bundle.
func bundleError(err error) error {
	switch {
	case errors.Is(err, trust.ErrSingleSigned):
		return ErrNotSigned
	case errors.Is(err, trust.ErrExpired):
		return ErrExpired
	}
	return ErrBundle
}

// fits says whether the bundle says what this vault does. Its keys may be newer than those
// of the bundle before: they were made for it. [ErrBundle].
func (id *identity) fits() error {
	diff, err := id.difference()
	if err != nil {
		return err
	}
	if diff != nil {
		return fmt.Errorf("its %s is %s, but that of the vault is %s: %w", diff.key, diff.bundle, diff.files, ErrBundle)
	}
	return nil
}

// rotate makes new keys for envelopes and for the vault's own certificate, and the bundle
// that names them. A crash in between leaves keys that no bundle names: nobody uses them.
func (id *identity) rotate() (Renewed, error) {
	keys := id.keys
	id.dropUnsigned()
	id.keys.addHPKE()
	if id.config.TLS.Certificate == "" && !id.config.Front.Behind {
		id.keys.addTLS()
	}
	if err := id.dir.writeKeys(id.keys); err != nil {
		id.keys = keys
		return Renewed{}, err
	}
	return id.renew(true, id.cluster())
}

// dropUnsigned drops keys that were made for a bundle which was never signed, so that the
// one in use is not pushed out by them.
func (id *identity) dropUnsigned() {
	all, err := id.keys.envelopeKeys()
	if err != nil {
		return
	}
	for _, k := range all {
		if bytes.Equal(k.Public().Bytes(), id.bundle.HPKEKey) {
			break
		}
		copy(id.keys.HPKE[:], id.keys.HPKE[1:])
		id.keys.HPKE[keptHPKE-1] = [32]byte{}
	}
	_, pins, err := id.ownCertificates()
	if err != nil || len(id.bundle.TLSPins) == 0 || len(pins) < 2 {
		return
	}
	if !slices.Contains(id.bundle.TLSPins, pins[0]) {
		copy(id.keys.TLS[:], id.keys.TLS[1:])
		id.keys.TLS[keptTLS-1] = [32]byte{}
	}
}

// current makes sure that the bundle says what the vault does, and is not about to expire.
// It renews where that can be done here; otherwise it returns [ErrNotSigned], with what is
// different, or nil and a warning.
func (id *identity) current() (warning string, err error) {
	if id.signed == nil {
		return "", fmt.Errorf("there is no %s: %w", bundleName, ErrNotSigned)
	}
	if _, err := verifyAnyTime(id.signed, id.link()); err != nil {
		return "", fmt.Errorf("%s is not signed by the second signer: %w: %w", bundleName, ErrNotSigned, err)
	}
	diff, err := id.difference()
	if err != nil {
		return "", err
	}
	left := id.bundle.Expires.Sub(id.clock())
	if diff == nil && left > bundleLife/2 {
		return "", nil
	}
	if id.canSign() {
		_, err := id.renew(false, false)
		return "", err
	}
	if diff != nil {
		return "", fmt.Errorf("the signed bundle says %s %s, and the vault's files say %s: %w", diff.key, diff.bundle, diff.files, ErrNotSigned)
	}
	switch {
	case left <= 0:
		return "the bundle has expired: no client talks to this vault before it is renewed", nil
	case left < warnBefore:
		return "the bundle expires soon", nil
	}
	return "", nil
}

// canSign says whether new bundles can be made here without asking anybody.
func (id *identity) canSign() bool {
	return id.dir.has(rootName) && id.config.Second == "" && !id.cluster()
}

// reload reads keys and bundle again, which a person has brought from elsewhere. The
// configuration stays what the program was started with. Nothing changes when it fails.
func (id *identity) reload() error {
	fresh, err := readIdentity(id.dir, id.clock)
	if err != nil {
		return err
	}
	second := fresh.config.Second
	fresh.config = id.config
	fresh.config.Second = second
	fresh.facts.attestation = id.facts.attestation
	fresh.facts.incarnation = max(fresh.facts.incarnation, id.facts.incarnation)
	if err := fresh.fits(); err != nil {
		return err
	}
	*id = *fresh
	return nil
}

func (d folder) readRoot() (trust.Key, error) {
	text, err := d.readSecret(rootName, trust.MaxKeyFile)
	if err != nil {
		return trust.Key{}, err
	}
	defer clear(text)
	key, err := trust.ParseKey(text)
	if err != nil {
		return trust.Key{}, fmt.Errorf("read %s: %w: %w", rootName, ErrKeyFile, err)
	}
	return key, nil
}

// copied returns the incarnation that a folder which was made from a backup must reach: one
// more than that of the backup. 0 for all others.
func (d folder) copied() (uint64, error) {
	b, err := d.read(copyName, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return parseCopy(b)
}
