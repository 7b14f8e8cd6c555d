// Package protocol is what a vault and its client say to each other: the messages, the
// errors, the labels. docs/vault-protocol.md is its master.
//
// Words:
//
//   - vault: keeps the root keys of backups, each behind a password, and counts tries.
//   - record: what a vault keeps for one password way into one backup.
//   - generation: one password of a record; a password change makes the next one.
//   - attempt, try: one question to the vault whether a password is right. It is charged,
//     durably, before it is answered.
//   - capability: the Ed25519 key from the cloud share. Without its signature a vault
//     does not even say that a record exists.
//   - owner: the Ed25519 key from the root key. It may do what a thief of the cloud
//     files may not: replace, reset, freeze, destroy, read the log.
//   - binding: 32 bytes that stand for the channel, so that a request that was recorded
//     on one cannot be sent again on another.
//
// The package imports nothing of Coffer. That is why it is a package of its own: the
// server can speak the protocol and still has no code that could open a backup.
package protocol
