// Package sftp keeps objects in a folder of a computer that is reached by SSH.
//
// The words:
//
//   - The host key is how a server proves who it is. It is never taken unseen:
//     a key that nobody vouched for is a [cloud.IdentityError], before a name or
//     a password has been sent.
//   - A link is one SSH connection, a channel one SFTP conversation on it. A
//     driver has one link with a few channels, because a server works on one
//     request of a channel after the other and allows few logins.
//   - An extension is what a server can do beyond version 3 of the protocol, and
//     announces. Some announce what then fails, so nothing is believed that has
//     not worked once.
//   - A temporary file is an upload under way: ".coffer-tmp-" and 16 hex digits,
//     beside the objects. To publish it is to give it the object's name.
//
// Publishing is a hard link where the server has them (one of many writers
// gets the name), else the rename of version 3, which OpenSSH refuses when the
// name is taken. Other servers overwrite; so the first upload tries it out on
// files of its own, and [Driver.Caps] says what was found.
//
// The client of the protocol is our own and small. The known library panics, in
// goroutines that nobody can protect, when an answer is shorter than it
// should be; it knows no deadlines; and it takes a listing into memory whole. A
// place is a stranger: here every answer is checked, every wait obeys its
// context, and a listing streams.
//
// Nothing is tried twice in one call. A link that breaks is [cloud.ErrOffline],
// and the next call dials anew.
//
// Sources: RFC 4251 to 4254 (SSH), RFC 8332 (RSA with SHA-2),
// draft-ietf-secsh-filexfer-02 (SFTP version 3), OpenSSH's PROTOCOL (extensions).
package sftp
