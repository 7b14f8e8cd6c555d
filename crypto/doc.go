// Package crypto is all the cryptography of Coffer, and nothing else. It does no input or
// output and knows no files, clouds or vaults.
//
// Words:
//
//   - secret: bytes that never print, are never logged and never serialized ([Secret]).
//   - root key: the 32 random bytes of a repository, from which all else is derived
//     ([RootKey], [Keys]).
//   - recovery key: the root key, written as 64 hexadecimal digits in 8 lines.
//   - object: a file at the destination. It begins with a header of [HeaderSize] bytes;
//     its parts are sealed, each as a frame ([Sealer], [Opener], [Frame]).
//   - kind: what an object is ([Kind]). Keys, objects and frames of one kind never pass as
//     those of another.
//   - commitment: bytes of a header that fix the key before anything is opened, so that
//     nothing opens under two keys.
//   - way in: how the root key is found again. The recovery key is it; a passphrase
//     unwraps it from a slot ([PassphraseSlot]); password, vault and cloud files together
//     unwrap it from a vault record ([UnwrapRoot]).
//   - cloud share: 32 random bytes in the head at the destination. Without them neither
//     password nor vault helps.
//   - generation: the count of a vault record's passwords.
//
// # Keys
//
// Everything is HKDF-SHA-256 (RFC 5869) of the root key with a label of its own; labels.go
// is the table. An object has a key of its own, from a random salt in its header, so the
// numbers of frames are good nonces and no nonce is ever used twice under one key. Sealed
// with AES-256-GCM (NIST SP 800-38D). Layouts are in docs/format.md, test vectors in
// docs/testdata/vectors/crypto.json.
//
// # Panics
//
// What comes from disk, cloud, network or keyboard gives an error. What only a mistake of
// the program can do panics: a nonce used twice, a key that was wiped.
//
// # Neighbours
//
// Package aead seals small things; package opaque is the password protocol. Neither
// imports this one, so that the vault server, which uses them, cannot open a backup.
package crypto
