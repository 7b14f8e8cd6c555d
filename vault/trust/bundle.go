package trust

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"coffer/vault/protocol"
)

// Limits of a bundle; lengths in bytes.
const (
	MaxBundle      = 16 << 10 // signed
	MaxName        = 100
	MaxAddresses   = 8
	MaxPins        = 8
	MaxAttestation = 512
	MaxOIDC        = 255            // issuer and client id, each
	HPKEKeySize    = 1216           // MLKEM768-X25519 (package crypto/hpke)
	MaxLife        = 3660 * day     // from issue to expiry: a key that is never looked at again is lost
	MaxClockAhead  = 24 * time.Hour // by which the vault's clock may be ahead of the client's
	day            = 24 * time.Hour
)

// The classes of sealers, stores and ways to register that a bundle may name
// (docs/vault-protocol.md).
const (
	SealerSoftware  = "software"
	SealerToken     = "pkcs11"
	SealerTPM       = "tpm"
	SealerTPMEpochs = "tpm-epochs"

	StoreFile    = "file"
	StoreCluster = "cluster"

	RegisterOpen   = "open"
	RegisterInvite = "invite"
	RegisterOIDC   = "oidc"
)

// A Bundle is what a vault says about itself.
type Bundle struct {
	VaultID        [16]byte
	Name           string                   // who runs it, for people: 1 to 100 bytes
	Addresses      []string                 // host:port, 1 to 8, as [CheckAddress] wants them
	ServerKey      [protocol.PointSize]byte // OPAQUE public key, a compressed P-256 point
	ReceiptKey     [32]byte                 // Ed25519, signs receipts
	HPKEKey        []byte                   // 1216 bytes, as package crypto/hpke encodes it
	TLSPins        [][32]byte               // at most 8; empty: a front with a certificate of the web PKI
	Tries          int                      // 1 to protocol.MaxTries
	Waits          []time.Duration          // after the first wrong try, the second, ...; whole milliseconds; empty: none
	Floor          protocol.Cost            // of Argon2id: a client pays no less
	Sealer         string                   // who holds the keys: one of the classes above
	AttestationKey []byte                   // of the TPM, 1 to 512 bytes for [SealerTPM]; none for others than a TPM
	Store          string                   // [StoreFile] or [StoreCluster]
	Register       string                   // who may make a record
	Issuer         string                   // of OpenID Connect, for [RegisterOIDC] only: a URL
	ClientID       string                   // likewise
	Incarnation    uint64                   // how often the vault was restored from a copy
	Sequence       uint64                   // rises with each bundle; begins with 1
	Issued         time.Time                // whole seconds, UTC
	Expires        time.Time                // likewise; after Issued
}

// Encode returns the text of the bundle, which is what gets signed: lines of a key, a
// space and a value, in a fixed order. [ErrBundle] for a bundle that [ParseBundle] would
// refuse.
func (b Bundle) Encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	return b.text(), nil
}

// ParseBundle reads the text of a bundle. It says nothing about who signed it: [Verify]
// does. [ErrBundle], also for what [Bundle.Encode] would have written another way.
func ParseBundle(text []byte) (Bundle, error) {
	if len(text) > MaxBundle {
		return Bundle{}, fmt.Errorf("parse bundle: %d bytes: %w", len(text), ErrBundle)
	}
	b, err := readBundle(string(text))
	if err != nil {
		return Bundle{}, fmt.Errorf("parse bundle: %w", err)
	}
	if err := b.check(); err != nil {
		return Bundle{}, fmt.Errorf("parse bundle: %w", err)
	}
	if !bytes.Equal(b.text(), text) {
		return Bundle{}, fmt.Errorf("parse bundle: another spelling of it: %w", ErrBundle)
	}
	return b, nil
}

// Equal reports whether both bundles say the same.
func (b Bundle) Equal(other Bundle) bool { return bytes.Equal(b.text(), other.text()) }

// check is every rule about the fields, in one place: what is signed passes it, and what
// is read.
func (b Bundle) check() error {
	for _, rule := range []struct {
		ok   bool
		what string
	}{
		{b.VaultID != [16]byte{}, "vault"},
		{isShown(b.Name), "name"},
		{areAddresses(b.Addresses), "addresses"},
		{b.ServerKey[0] == 2 || b.ServerKey[0] == 3, "server key"},
		{b.ReceiptKey != [32]byte{}, "receipt key"},
		{len(b.HPKEKey) == HPKEKeySize, "HPKE key"},
		{len(b.TLSPins) <= MaxPins && allDiffer(b.TLSPins), "TLS pins"},
		{b.Tries >= 1 && b.Tries <= protocol.MaxTries, "tries"},
		{areWaits(b.Waits), "waits"},
		{b.Floor.Check() == nil, "floor"},
		{b.isSealer(), "sealer"},
		{b.Store == StoreFile || b.Store == StoreCluster, "store"},
		{b.isRegister(), "way to register"},
		{b.Sequence >= 1, "sequence"},
		{isTime(b.Issued) && isTime(b.Expires), "times"},
		{b.Expires.After(b.Issued) && b.Expires.Sub(b.Issued) <= MaxLife, "life"},
	} {
		if !rule.ok {
			return fmt.Errorf("%s out of bounds: %w", rule.what, ErrBundle)
		}
	}
	return nil
}

// isSealer also wants the key by which a client can check a "tpm", and no key where there
// is no TPM.
func (b Bundle) isSealer() bool {
	switch b.Sealer {
	case SealerSoftware, SealerToken:
		return len(b.AttestationKey) == 0
	case SealerTPM:
		return len(b.AttestationKey) >= 1 && len(b.AttestationKey) <= MaxAttestation
	case SealerTPMEpochs:
		return len(b.AttestationKey) <= MaxAttestation
	}
	return false
}

func (b Bundle) isRegister() bool {
	switch b.Register {
	case RegisterOpen, RegisterInvite:
		return b.Issuer == "" && b.ClientID == ""
	case RegisterOIDC:
		return isIssuer(b.Issuer) && isVisible(b.ClientID)
	}
	return false
}

// isShown reports whether s may be put before people as a name.
func isShown(s string) bool {
	return s != "" && len(s) <= MaxName && protocol.Printable(s) && strings.TrimSpace(s) == s
}

func areAddresses(list []string) bool {
	for _, a := range list {
		if CheckAddress(a) != nil {
			return false
		}
	}
	return len(list) >= 1 && len(list) <= MaxAddresses && allDiffer(list)
}

func areWaits(list []time.Duration) bool {
	for _, w := range list {
		if w < 0 || w > protocol.MaxWait || w%time.Millisecond != 0 {
			return false
		}
	}
	return len(list) <= protocol.MaxTries
}

func allDiffer[T comparable](list []T) bool {
	seen := map[T]bool{}
	for _, x := range list {
		seen[x] = true
	}
	return len(seen) == len(list)
}

// isIssuer reports whether s is an issuer (OpenID Connect Discovery 1.0, section 3): https
// without query and fragment; also http, but on this very computer only.
func isIssuer(s string) bool {
	u, err := url.Parse(s)
	if err != nil || !isVisible(s) || u.Host == "" || u.User != nil || strings.ContainsAny(s, "?#") {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	loopback := err == nil && addr.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && loopback
}

// isVisible reports whether s is 1 to 255 visible characters of ASCII, and not the dash
// that stands for nothing.
func isVisible(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return s != "" && s != none && len(s) <= MaxOIDC
}

// isTime reports whether t can be written, and read back the same.
func isTime(t time.Time) bool {
	return t.Location() == time.UTC && t.Nanosecond() == 0 && t.Year() >= 2000 && t.Year() <= 9999
}
