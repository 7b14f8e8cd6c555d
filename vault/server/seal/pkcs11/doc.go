// Package pkcs11 is the sealer whose keys never leave a token: a hardware security module,
// a smart card, or SoftHSM for tests.
//
// Words:
//
//   - module: the shared library through which a token speaks PKCS #11 (OASIS, version
//     2.40), by its path.
//   - token: the device, named by label, serial number, or slot; all that are given must
//     fit, and exactly one token.
//   - wrapping key: the one AES-256 key of a vault in its token, which wraps the OPRF keys.
//     [Setup] makes it, [Open] wants it: it is never made in silence, because OPRF keys
//     that another one has wrapped are lost with it.
//   - record key: an AES-256 key of a record, an object of the token. Destroying the record
//     destroys the object. A token has room for so many records.
//   - session: a connection to the token. A [Token] keeps a few and shares them.
//
// What lies where. A handle names a record key (17 bytes: version, random name); its
// CKA_ID is that name and the record's, so a handle opens nothing for another record. A
// sealed body is version, IV, ciphertext and tag of CKM_AES_GCM, bound to record and key.
// A reference is version, public point (65 bytes), and the OPRF key wrapped by
// CKM_AES_KEY_WRAP_PAD (RFC 5649). It lies in a sealed body, so it is destroyed with it. For an
// evaluation the key is unwrapped into the memory of the token, asked for two
// x-coordinates, and dropped; package opaque makes a point of them.
//
// What it promises: who takes the disk of the vault's computer, or its backups, cannot guess.
// Who is root on that computer can have the token evaluate as often as he likes, as long as
// he is there: a token does not count (see seal/tpm). But he takes no key away with him: the
// wrapping key has a CKA_UNWRAP_TEMPLATE, so that what it unwraps stays in the token. Some
// tokens do not know that; there, who has the PIN can take OPRF keys out, and [Token.Status]
// says so.
//
// The package needs cgo, and a build of its own: without, [Open] returns [ErrNotBuilt].
package pkcs11

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"coffer/vault/server/seal"
)

var (
	// ErrNotBuilt says that this program cannot speak to a token.
	ErrNotBuilt = errors.New("pkcs11: this coffer-vault was built without PKCS#11; use the build coffer-vault-pkcs11")
	// ErrOptions says that the options, or a pkcs11: URI, are not right.
	ErrOptions = errors.New("pkcs11: bad options")
	// ErrModule says that the module does not load, or does not start.
	ErrModule = errors.New("pkcs11: the module does not work")
	// ErrToken says that there is no such token, or more than one, or that it cannot do
	// what a vault needs.
	ErrToken = errors.New("pkcs11: no fitting token")
	// ErrPIN says that the token does not take the PIN. It is asked once and never again,
	// because tokens lock after a few wrong ones.
	ErrPIN = errors.New("pkcs11: the token refuses the PIN; correct it and start again")
	// ErrKey says that the wrapping key is missing, or is not one that stays in the token.
	ErrKey = errors.New("pkcs11: the wrapping key is missing or unfit")
	// ErrClosed says that the Token was closed.
	ErrClosed = errors.New("pkcs11: closed")
)

// Defaults and bounds of [Options].
const (
	DefaultLabel    = "coffer-vault"
	DefaultSessions = 8
	MaxSessions     = 256
	// maxPIN bounds a PIN: tokens take fewer.
	maxPIN = 255
)

// Options say which token, and how it is used. Module, PIN, and one of TokenLabel, Serial
// and Slot are needed.
type Options struct {
	// Module is the absolute path of the module: PKCS #11 modules run in this process, so
	// none is looked for by name.
	Module string
	// TokenLabel, Serial, Manufacturer, Model (without the blanks that a token pads them
	// with) and Slot choose the token. Slots are numbered anew by some modules at each
	// start: a label or serial number is the better choice.
	TokenLabel, Serial, Manufacturer, Model string
	Slot                                    *uint
	// PIN returns the PIN of the token's user. It is called at each login: once, and again
	// when the token was away. [PINFile] is one.
	PIN func() (string, error)
	// Label starts the CKA_LABEL of every object: at most 64 bytes. Empty: DefaultLabel.
	// Vaults that share a token have one each.
	Label string
	// Sessions is how many operations may run at once, at most MaxSessions; the token must
	// have room for one session more. 0: DefaultSessions.
	Sessions int
}

// A Key names one record key that lies in a token.
type Key struct {
	ID     seal.ID
	Handle []byte
}

// withDefaults returns a checked and filled copy. [ErrOptions].
func (o Options) withDefaults() (Options, error) {
	if o.Label == "" {
		o.Label = DefaultLabel
	}
	if o.Sessions == 0 {
		o.Sessions = DefaultSessions
	}
	switch {
	case !isModulePath(o.Module):
		return o, fmt.Errorf("%w: the module needs an absolute path", ErrOptions)
	case o.TokenLabel == "" && o.Serial == "" && o.Slot == nil:
		return o, fmt.Errorf("%w: name the token by label, serial number or slot", ErrOptions)
	case o.PIN == nil:
		return o, fmt.Errorf("%w: no PIN", ErrOptions)
	case len(o.Label) > 64:
		return o, fmt.Errorf("%w: the label of objects is too long", ErrOptions)
	case o.Sessions < 1 || o.Sessions > MaxSessions:
		return o, fmt.Errorf("%w: from 1 to %d sessions", ErrOptions, MaxSessions)
	}
	return o, nil
}

// PINFile returns an [Options.PIN] that reads a file: its content without the newline at
// its end. [ErrOptions] when that is empty, longer than 255 bytes, or of several lines.
func PINFile(path string) func() (string, error) {
	return func() (string, error) {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("open PIN file: %w", err)
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, maxPIN+3))
		if err != nil {
			return "", fmt.Errorf("read PIN file: %w", err)
		}
		defer clear(data)
		pin := bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
		if len(pin) == 0 || len(pin) > maxPIN || bytes.ContainsAny(pin, "\r\n\x00") {
			return "", fmt.Errorf("%w: the PIN file must hold one line of 1 to %d bytes", ErrOptions, maxPIN)
		}
		return string(pin), nil
	}
}
