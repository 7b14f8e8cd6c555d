// Package opaque is OPAQUE-3DH, the password protocol of RFC 9807, in one suite:
// OPRF(P-256, SHA-256), HKDF-SHA-256, HMAC-SHA-256, SHA-256 and a key stretching function
// that the caller gives ([Argon2id]).
//
// Words (those of the RFC):
//
//   - record: what the server keeps of a user, [RecordSize] bytes. It holds no password,
//     and guesses at it need the OPRF key as well.
//   - OPRF key: the server's secret of one record ([NewOPRFKey]). Only its [Evaluator]
//     touches it, so it may live in a token. Destroying it destroys the record.
//   - server key: the Diffie-Hellman key by which clients know the server ([ServerKey]).
//   - export key: 32 bytes that only the client learns, the same at registration and at
//     each login. What it wraps, the server can never open.
//   - session key: 32 bytes that client and server share after a login.
//   - envelope: the part of the record that authenticates the server key to the client.
//   - KE1, KE2, KE3: the three messages of a login.
//
// A registration, over a channel on which the server is already known:
//
//	client: RegistrationRequest  -> request
//	server: RegistrationResponse -> response
//	client: FinishRegistration   -> record (to the server), export key
//
// A login:
//
//	client: KE1    -> ke1
//	server: KE2    -> ke2, login      this is the answer to one guess: count it before
//	client: KE3    -> ke3, session key, export key
//	server: Finish -> session key     only now the password is known to be right
//
// # Bound
//
// Context and both identities ([Config]) are bound to a login; the identities also to the
// record. Info, when there is any, is bound to the password itself, as part of the OPRF
// input: a record and its OPRF key moved to another place never match the password again.
//
// # Secrets
//
// Passwords, keys and results are plain byte slices. Arguments stay the caller's, are not
// kept, and are the caller's to wipe; results are the caller's too. The state of a login
// prints as "[redacted]". The big integers of the OPRF blinding cannot be wiped.
//
// # Constant time
//
// Multiplication with long-lived keys (OPRF, server and client key) is filippo.io/nistec,
// in constant time. Hashing to the curve and blinding are cloudflare/circl, on the client;
// they are not in constant time, which leaks only to who already measures that computer.
//
// # Hostile input
//
// Messages have fixed sizes and points are compressed, so that each value has one
// encoding. Wrong lengths, points off the curve, coordinates not below the prime and the
// identity are [ErrMessage].
package opaque
