// Package vault proves what docs/vault-protocol.md promises of a key vault: with the
// program as it is built, and with real tokens, TPMs and clusters of this computer
// (SoftHSM, swtpm, etcd in network namespaces). There is one test for each promise, with
// its number.
//
// The words: a world is one combination of sealer and store, with everything that it needs;
// a node is one process of coffer-vault in it; yesterday is a copy of the disks, which is
// put back; a front is somebody who ends the TLS connections of a vault and does what he
// likes with what passes; a guesser (package vault/vaulttest) is a client that pays nothing
// for a guess.
//
// The same promise holds against different people in different worlds; where one does not
// hold, its test asserts the weaker truth that the documentation tells.
//
// It runs on Linux, with COFFER_E2E_VAULT=1 only: then a server that is not installed is a
// failure. COFFER_VAULT_BIN names a program to test instead of one that is built from this
// tree.
package vault
