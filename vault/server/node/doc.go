// Package node is a vault as a running program: its folder, its configuration, its keys,
// what it says about itself, and everything that serves.
//
// Words:
//
//   - folder: where a vault lives (mode 0700). The files are below.
//   - configuration: vault.toml, which people edit ([Config]).
//   - bundle: what the vault says about itself, signed by its root (package trust).
//   - root: the key that signs bundles, root.key. It is made with the vault, and for more
//     than a home it belongs away from it.
//   - second signer: somebody else who must sign bundles too.
//   - to stage: to write a new bundle to bundle.next, because a signature is missing, or
//     because the other computers of a cluster must have its keys first.
//   - to install: to put a bundle that is signed completely in the place of the one before.
//   - incarnation: how often the vault went on from a copy. Its users are told.
//   - access: the way of a command to a vault: through the socket of the program that
//     runs, or else to the files ([Reach]).
//
// The folder:
//
//	vault.toml    the configuration. Written last: a folder that has it has a vault
//	vault.key     the keys (0600)
//	bundle.txt    the signed bundle
//	bundle.next   a staged bundle
//	root.key      the root, until somebody moves it away (0600)
//	vault.db      the records, for the store "bolt"
//	etcd/         this member's data, for the store "etcd-embedded"
//	vault.lock    held by the process that has the vault
//	admin.sock    the commands' way to it (0600)
//	copy.txt      only in a folder that was made from a backup: see [Access.Backup]
//	init.tmp      only while a vault is made, and after a crash of that
//
// What the bundle says is what the vault does: the envelope key and the certificate in use
// are those that bundle.txt names. So vault.key may hold new ones before they are signed,
// and the one write of bundle.txt is the commit point of every change that clients see.
//
// Fixed when a vault is made: its keys, who seals, where records lie, and the most tries.
// All else may be changed in vault.toml; what clients are told of it needs a new bundle,
// which is made at the start when root.key is there and nobody else must sign.
package node
