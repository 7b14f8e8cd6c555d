// Package server is the vault: it keeps records, counts tries, answers, and destroys.
// docs/vault-protocol.md is the master; vault/protocol has the words.
//
//   - attempt.go: the whole rule of tries, as a pure function
//   - record.go: what is kept of a record, and its bytes
//   - records.go: fetch, decide, keep: the only way to a record, and the commit point
//   - server.go: HTTP in, HTTP out
//   - requests.go: one function for each request
//
// The package may not import anything that can open a backup: neither crypto nor vault.
// So "the vault can lose everything without losing a key" is a rule of the build.
package server
