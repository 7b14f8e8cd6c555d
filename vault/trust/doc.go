// Package trust is who a vault is: how a client knows it before it says a word.
//
// Words:
//
//   - root: an Ed25519 key that is kept offline. Whoever has it says who the vault is.
//   - second signer: another such key, of somebody else, which a link may want as well:
//     then one stolen root is not enough.
//   - link: what a user gets to reach a vault, on paper, in a mail, as a QR code: an
//     address and the public half of the root, perhaps of the second signer, perhaps an
//     invitation ([Link]).
//   - bundle: what a vault says about itself: its keys, its rules, who runs it ([Bundle]).
//   - signed bundle: a bundle as a signed note (golang.org/x/mod/sumdb/note, C2SP
//     signed-note), signed by the root and perhaps by the second signer.
//   - sequence: the number of a bundle. It rises with each; a client that has seen one
//     takes none with a lower number.
//   - pin: SHA-256 of the SubjectPublicKeyInfo (RFC 5280, section 4.1) of a certificate.
//   - to probe: to connect to a vault of which nothing is known but a link, in order to
//     fetch its bundle and for nothing else ([Probe]).
//
// The way of a client: read the link ([ParseLink]), probe, verify the bundle against the
// link ([Verify]) and against the one that it has kept ([Newer]), compare the probed
// certificate with the bundle ([Probe.Check]), show what has become weaker ([Changes]),
// keep the bundle; from then on talk with [ClientTLS]. Everything up to there is read, and
// nothing of a password, a record or an account has left.
//
// docs/vault-protocol.md ("Trust") is the master.
package trust

import "errors"

var (
	// ErrLink says that a text is no link to a vault. The text that wraps it says which
	// part is wrong.
	ErrLink = errors.New("trust: this is no link to a vault")
	// ErrBundle says that a bundle is malformed, or not signed by who the link names, or
	// that it is another vault's than the one that was known.
	ErrBundle = errors.New("trust: this is not the vault that the link names")
	// ErrSingleSigned says that the link wants two signatures, and the second one is missing.
	ErrSingleSigned = errors.New("trust: the second signature is missing")
	// ErrExpired says that a bundle is not good at this time: too old, or from the future.
	// It may as well be the clock of this computer.
	ErrExpired = errors.New("trust: what the vault says about itself has expired")
	// ErrOlder says that a bundle is older than one that was seen already.
	ErrOlder = errors.New("trust: the vault shows an old state")
	// ErrPin says that the other end of a TLS connection has a certificate that the bundle
	// does not name.
	ErrPin = errors.New("trust: the certificate is not the vault's")
	// ErrKey says that a text is no key file, or a key that it is not for what was asked.
	ErrKey = errors.New("trust: this is not the key for it")
)
