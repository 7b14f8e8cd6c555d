// Package vault asks a Backup Key Vault: it puts a root key behind a password, gets it
// back, and does what the owner of the key may do. docs/vault-protocol.md is the master.
//
// Words:
//
//   - vault: keeps root keys, each behind a password. It never sees the password nor the
//     root key, counts every try, and destroys a key after a fixed number of wrong ones.
//   - record: what a vault keeps for the password way into one backup.
//   - generation: one password of a record. A password change makes the next one.
//   - slot: the public part of the password way in. It lies in the head of the backup,
//     in clear, and carries the cloud share.
//   - cloud share: 32 random bytes that lie with the backup and nowhere else. Who has
//     not got them cannot even ask the vault.
//   - try: one question to the vault, charged before it is answered.
//   - pending: a generation that is on its way in and has not replaced the old one yet.
//   - embedded: of a vault inside the app ([NewClient]). All others are on a network
//     ([Dial]).
//   - bundle: what a vault on a network says about itself, signed by who runs it
//     (package vault/trust). Nothing of a password leaves before one was accepted.
//   - envelope: what each request to a vault on a network is sealed in, inside of TLS.
//   - outside: of an answer that came without an envelope. Everybody on the way can write
//     one, so it proves nothing.
//   - guard: the owner's key that hardware which counts tries by itself knows. To arm such
//     hardware is to have it count from zero, by the guard's signature.
//
// Opening the root key takes the password, the vault and the cloud files: the wrapping
// key is made of the export key of OPAQUE (RFC 9807), the release secret of the vault,
// and the cloud share.
//
// The server is in vault/server; what both sides speak is in vault/protocol.
package vault
