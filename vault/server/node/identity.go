package node

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"coffer/crypto/hpke"
	"coffer/crypto/opaque"
	"coffer/vault/protocol"
	"coffer/vault/trust"
)

// bundleLife is how long a bundle is good. Half of it is time enough to notice that nobody
// has renewed it.
const (
	bundleLife  = 400 * 24 * time.Hour
	warnBefore  = 60 * 24 * time.Hour
	copyAdvance = 1000 // how far the sequence jumps in a new incarnation
)

// An identity is who the vault is: configuration, keys and bundle. Whoever has one holds
// the lock of the folder. It is not for concurrent use.
type identity struct {
	dir    folder
	config Config
	keys   keyFile
	facts  facts
	clock  func() time.Time

	signed []byte       // bundle.txt; nil: there is none yet
	bundle trust.Bundle // what it says
}

// facts are what the bundle says and no file of the folder does.
type facts struct {
	attestation []byte // of a TPM
	incarnation uint64 // at least
}

// readIdentity reads the files of a vault. [ErrNoVault], [ErrConfig], [ErrDamaged],
// [ErrOpenToAll].
func readIdentity(dir folder, clock func() time.Time) (*identity, error) {
	if err := dir.hasVault(); err != nil {
		return nil, err
	}
	text, err := dir.read(configName, maxConfig)
	if err != nil {
		return nil, err
	}
	id := &identity{dir: dir, clock: clock}
	if id.config, err = parseConfig(text); err != nil {
		return nil, fmt.Errorf("read %s: %w", configName, err)
	}
	id.keys, err = dir.readKeys()
	if missing(err) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return nil, err
	}
	if err := id.checkFixed(text); err != nil {
		return nil, err
	}
	return id, id.readBundle()
}

// checkFixed compares the configuration with what was fixed when the vault was made.
func (id *identity) checkFixed(text []byte) error {
	spec, err := parseSeal(id.config.Seal)
	if err != nil {
		return err
	}
	if made := classes()[id.keys.Class]; spec.class != made {
		return fmt.Errorf("read %s: %w", configName, mistakeAt(text, "seal",
			fmt.Sprintf("this vault was made with %s, and its records open with nothing else; for another sealer make another vault", made)))
	}
	if made := stores()[id.keys.Store]; id.config.Store != made {
		return fmt.Errorf("read %s: %w", configName, mistakeAt(text, "store",
			fmt.Sprintf("this vault was made with %s, and its records are there; for another store make another vault", made)))
	}
	if made := int(id.keys.Tries); id.config.Tries > made {
		return fmt.Errorf("read %s: %w", configName, mistakeAt(text, "tries",
			fmt.Sprintf("this vault was made with %d, and its users were promised that it never allows more", made)))
	}
	return nil
}

func (id *identity) readBundle() error {
	signed, err := id.dir.read(bundleName, trust.MaxBundle)
	if missing(err) {
		id.facts.incarnation, err = id.dir.copied()
		return err
	}
	if err != nil {
		return err
	}
	// Who has just added a second signer still has the bundle from before: current says so.
	link := id.link()
	if !bytes.Contains(signed, []byte(secondName(id.keys.ID))) {
		link.Second = [32]byte{}
	}
	b, err := verifyAnyTime(signed, link)
	if err != nil {
		return fmt.Errorf("read %s: %w: %w", bundleName, ErrDamaged, err)
	}
	id.signed, id.bundle = signed, b
	id.facts.attestation = b.AttestationKey
	copied, err := id.dir.copied()
	id.facts.incarnation = max(b.Incarnation, copied)
	return err
}

// secondName is how a second signer's signature is named in a signed bundle.
func secondName(vault [16]byte) string { return "coffer-vault-second/" + hex.EncodeToString(vault[:]) }

// link returns the vault's link, without an invitation.
func (id *identity) link() trust.Link {
	l := trust.Link{Address: id.config.Addresses[0], Root: id.keys.Root}
	if id.config.Second != "" {
		l.Second, _ = decodeKey(id.config.Second) // checked when it was read
	}
	return l
}

// verifyAnyTime is trust.Verify for who wants to know what an expired bundle says.
func verifyAnyTime(signed []byte, link trust.Link) (trust.Bundle, error) {
	text, _, ok := bytes.Cut(signed, []byte("\n\n"))
	if !ok {
		return trust.Bundle{}, trust.ErrBundle
	}
	b, err := trust.ParseBundle(append(bytes.Clone(text), '\n'))
	if err != nil {
		return trust.Bundle{}, err
	}
	return trust.Verify(signed, link, b.Issued)
}

// next returns the bundle that the files ask for: the one before, with what has changed,
// and no sequence or dates yet. rotate puts the newest keys in.
func (id *identity) next(rotate bool) (trust.Bundle, error) {
	b := trust.Bundle{
		VaultID: id.keys.ID, Name: id.config.Name, Addresses: id.config.Addresses,
		Tries: id.config.Tries, Waits: id.config.waits(),
		Floor:          protocol.Cost{MemoryKiB: protocol.MinMemoryKiB, Time: protocol.MinTime, Threads: protocol.MinThreads},
		Sealer:         classes()[id.keys.Class],
		AttestationKey: id.facts.attestation, Store: trust.StoreFile, Register: id.config.Register,
		Issuer: id.config.OIDC.Issuer, ClientID: id.config.OIDC.ClientID, Incarnation: id.facts.incarnation,
		ReceiptKey: [32]byte(id.keys.receiptKey()[32:]),
	}
	if id.config.Store != StoreBolt {
		b.Store = trust.StoreCluster
	}
	key, err := opaque.ServerKeyFrom(id.keys.Server[:])
	if err != nil {
		return trust.Bundle{}, fmt.Errorf("OPAQUE key: %w: %w", ErrDamaged, err)
	}
	b.ServerKey = [protocol.PointSize]byte(key.Public())
	if b.HPKEKey, err = id.nextEnvelopeKey(rotate); err != nil {
		return trust.Bundle{}, err
	}
	b.TLSPins, err = id.nextPins(rotate)
	return b, err
}

func (id *identity) nextEnvelopeKey(rotate bool) ([]byte, error) {
	all, err := id.keys.envelopeKeys()
	if err != nil {
		return nil, err
	}
	if !rotate && slices.ContainsFunc(all, func(k *hpke.PrivateKey) bool { return bytes.Equal(k.Public().Bytes(), id.bundle.HPKEKey) }) {
		return id.bundle.HPKEKey, nil
	}
	return all[0].Public().Bytes(), nil
}

// nextPins returns the pins of the certificate: of the front, of one from elsewhere, or of
// the vault's own, the newest first.
func (id *identity) nextPins(rotate bool) ([][32]byte, error) {
	if id.config.Front.Behind {
		return id.config.frontPins()
	}
	if id.config.TLS.Certificate != "" {
		cert, err := id.loadCertificate()
		if err != nil || !id.config.TLS.Pinned {
			return nil, err
		}
		pin, err := trust.Pin(cert)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w: %w", ErrCertificate, err)
		}
		return [][32]byte{pin}, nil
	}
	_, own, err := id.ownCertificates()
	if err != nil {
		return nil, err
	}
	known := len(id.bundle.TLSPins) > 0 &&
		!slices.ContainsFunc(id.bundle.TLSPins, func(p [32]byte) bool { return !slices.Contains(own, p) })
	if known && !rotate {
		return id.bundle.TLSPins, nil
	}
	return own, nil
}

// ownCertificates returns the vault's own certificates, the newest first, and their pins.
func (id *identity) ownCertificates() ([]tls.Certificate, [][32]byte, error) {
	keys, err := id.keys.tlsKeys()
	if err != nil {
		return nil, nil, err
	}
	var certs []tls.Certificate
	var pins [][32]byte
	for _, key := range keys {
		cert, pin, err := trust.SelfSigned(key)
		if err != nil {
			return nil, nil, fmt.Errorf("make certificate: %w", err)
		}
		certs, pins = append(certs, cert), append(pins, pin)
	}
	return certs, pins, nil
}

// certificate returns what the vault shows: the one that the bundle names first.
func (id *identity) certificate() (tls.Certificate, error) {
	if id.config.TLS.Certificate != "" {
		return id.loadCertificate()
	}
	certs, pins, err := id.ownCertificates()
	if err != nil {
		return tls.Certificate{}, err
	}
	for _, want := range id.bundle.TLSPins {
		if i := slices.Index(pins, want); i >= 0 {
			return certs[i], nil
		}
	}
	return certs[0], nil
}

func (id *identity) loadCertificate() (tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(id.dir.at(id.config.TLS.Certificate), id.dir.at(id.config.TLS.Key))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("load certificate: %w: %w", ErrCertificate, err)
	}
	return cert, nil
}

// envelopeKeys returns the keys that open envelopes, the one in the bundle first.
func (id *identity) envelopeKeys() ([]*hpke.PrivateKey, error) {
	all, err := id.keys.envelopeKeys()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(k *hpke.PrivateKey) bool { return bytes.Equal(k.Public().Bytes(), id.bundle.HPKEKey) })
	if i < 0 {
		return nil, fmt.Errorf("%s names an envelope key that is not in %s: %w", bundleName, keyName, ErrBundle)
	}
	return append([]*hpke.PrivateKey{all[i]}, slices.Delete(slices.Clone(all), i, i+1)...), nil
}

func (c Config) frontPins() ([][32]byte, error) {
	var all [][32]byte
	for _, p := range c.Front.Pins {
		b, err := hex.DecodeString(p)
		if err != nil || len(b) != 32 {
			return nil, wrong("front.pins", "%q is not a SHA-256 in hexadecimal", p)
		}
		all = append(all, [32]byte(b))
	}
	return all, nil
}

// A difference is one thing that the bundle says and the files do not.
type difference struct{ key, files, bundle string }

// difference compares the bundle in use with the one that the files ask for; nil: none.
func (id *identity) difference() (*difference, error) {
	want, err := id.next(false)
	if err != nil {
		return nil, err
	}
	have := id.bundle
	want.Sequence, want.Issued, want.Expires = have.Sequence, have.Issued, have.Expires
	if want.Equal(have) {
		return nil, nil
	}
	a, errA := want.Encode()
	b, errB := have.Encode()
	if err := errors.Join(errA, errB); err != nil {
		return nil, fmt.Errorf("compare bundles: %w: %w", ErrBundle, err)
	}
	return differentLine(string(a), string(b)), nil
}

// differentLine finds the first line that two bundles do not share.
func differentLine(files, bundle string) *difference {
	a, b := strings.Split(files, "\n"), strings.Split(bundle, "\n")
	for i := range max(len(a), len(b)) {
		x, y := lineAt(a, i), lineAt(b, i)
		if x == y {
			continue
		}
		keyX, valueX, _ := strings.Cut(x, " ")
		keyY, valueY, _ := strings.Cut(y, " ")
		switch {
		case keyX == keyY:
			return &difference{keyX, shorten(valueX), shorten(valueY)}
		case slices.ContainsFunc(b, func(l string) bool { return strings.HasPrefix(l, keyX+" ") }):
			return &difference{keyY, "nothing", shorten(valueY)}
		}
		return &difference{keyX, shorten(valueX), "nothing"}
	}
	return nil
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

func shorten(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "..."
	}
	return strconv.Quote(s)
}
