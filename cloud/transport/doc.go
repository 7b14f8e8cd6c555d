// Package transport is this computer's line to all places: every connection
// goes through it, so one speed limit, one proxy and one idea of whom to trust
// hold for all of them, HTTP/1, HTTP/2 and SSH alike.
//
// The words:
//
//   - The [Line] is what all connections share. It has two directions, up and
//     down, each with a limit in bytes a second, or none.
//   - A piece is what one connection may move in one turn. Connections take
//     turns, first come first served, so that a small request does not wait for
//     a large upload to end. A piece is a tenth of a second of the limit: a
//     limit of 50 kB/s is a stream, not 1 MB and then silence.
//   - The proxy is who makes connections for us where the network lets nobody
//     else out: by HTTP CONNECT (RFC 9110, section 9.3.6) or SOCKS5 (RFC 1928,
//     RFC 1929). It resolves names; what it carries is sealed by TLS or SSH.
//     Loopback and what NO_PROXY lists are never sent to it.
//   - A pin is the hash of a server's public key (RFC 7469, section 2.4) that a
//     user has seen and accepted.
//
// The limit counts the bytes of connections: what TLS and SSH add is in it. It
// sits below TLS, where all protocols are the same. Waiting happens there as
// well; so it ends with the deadline of the connection, when it is closed, and
// when the limit is changed.
//
// Two watchers above must not take slowness for silence. The Store gives up a
// request of which no byte moved for a minute: therefore request bodies are read
// in small pieces, as they are sent, and never far ahead (see [Line.HTTP]). And
// what the kernel has already received for us stands in the way of every later
// answer on the same connection: therefore a limited connection gets a receive
// buffer of about a second and no more.
//
// Errors are classed here, because only here is it known what a certificate was
// refused for, and who of proxy and server said no. See [Classify].
package transport
