// Package gate is what stands between a network and the core of a vault: it takes envelopes
// from strangers and lets requests through (docs/vault-protocol.md, "Envelope").
//
// Words:
//
//   - core: what answers a request once it is out of its envelope (package vault/server).
//   - envelope: a request, sealed by HPKE to a key of the vault; its reply is sealed, too.
//   - inside, outside: of the envelope. Outside a vault says only that a message is
//     malformed or too large, that it is busy, or that the key is another one: whoever ends
//     the TLS connection reads that, and could have written it.
//   - front: a proxy of the operator's, before the vault. It may end TLS, and it alone is
//     believed when it says whose request it hands on.
//   - limit: how often an address may ask, and how often a record may be asked about. Both
//     keep a vault on its feet; neither protects a password: the count of tries does that.
//
// A request on its way:
//
//	listener       connections, counted in total and for each address
//	http.Server    header, body and answer in time
//	Gate           address limit, size, envelope, key, HPKE
//	               record limit
//	Desk           admissions (package vault/server/admit)
//	Core           everything else
//
// The gate keeps nothing. It logs kinds, codes and times, and never what was asked, by whom,
// or about which record.
package gate
