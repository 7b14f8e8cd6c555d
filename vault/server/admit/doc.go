// Package admit decides who may make a new record in a vault (docs/vault-protocol.md, "Who
// may register").
//
// Words:
//
//   - desk: who is asked. It knows no record and no password; it looks at what somebody
//     brings, once, before a record is made.
//   - invitation: a token that the owner of a vault hands out. It lets one record in. It is
//     stateless until it is used: who it is for is not known, and need not be.
//   - ID token: what an identity provider has signed about somebody who signed in there
//     (OpenID Connect Core 1.0, section 2). It lets the records of one account in.
//   - account: an issuer and a subject of it. Never an e-mail address: providers give those
//     out a second time, to somebody else.
//   - ticket: what the desk gives for either. It is good for one record, for an hour, and
//     needs no memory to be checked.
//   - admission: the row in the store that says which records an invitation or an account
//     has let in.
//
// An admission lies in the same store as the records and is sealed by the same sealer, but
// nobody can mistake one for the other: its sealed body begins with a format byte of its own,
// and its name is a keyed hash, so that no client can choose a record of the same name.
package admit
