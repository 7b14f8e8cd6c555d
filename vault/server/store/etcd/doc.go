// Package etcd keeps a vault's records in an etcd cluster: an operator's own, or members
// that live in the vault's own processes ([StartMember]).
//
// Words:
//
//   - cluster: several etcd servers that agree on one sequence of writes (Raft).
//   - member: one server of a cluster.
//   - quorum: more than half of the members. What a quorum has written survives the loss
//     of the others, and fewer than a quorum answer nothing: no read, no write.
//   - mod revision: the place, in the sequence of all writes of the cluster, of the write
//     that gave a row its value. It is the [store.Revision] of the row.
//   - to resend: to send a write again whose answer was lost.
//
// # Reads and writes
//
// Reads are linearizable: they ask a quorum, so no member that was cut off answers with
// yesterday's count. Create is a transaction with the condition "was never created",
// Replace one with the condition "still has this mod revision".
//
// The client library is told never to repeat a request: it would send a write again when
// a server that stops cancels it after it was done, and the caller would hear "changed"
// where it is written. Repeating is done here, where it can be decided: a transaction
// whose answer is lost is resent within [Options].RequestTimeout, and its condition lets
// at most one of the copies through. When a resent write is refused and the row in the
// cluster is ours, byte for byte, an earlier copy was written: rows are sealed with
// random numbers, so that equal bytes have one author. When the row is another's, ours
// may have been there before it, and the write fails as one of unknown outcome.
//
// # What destroying leaves behind
//
// etcd is a log. Replace leaves the former value of a row in the key space until it is
// compacted, in the data file until that is defragmented, and in the write-ahead log of
// each member, whose files go when several newer ones of 64 MiB are full, and which nobody
// can order to go earlier. Blocks that the operating system has freed, members that were
// away, and the operator's backups are further copies. So there is no [store.Eraser] here,
// on purpose: its promise, that nothing of the former values can be read, cannot be kept.
//
// With a sealer whose keys live in hardware that is no loss, since destroying the key
// there destroys every copy. With the software sealer old copies stay readable to who
// holds the key file, as long as a log or a backup has them.
//
// # What an operator must know
//
// A cluster must compact its history on its own (a [Member] does), or each charge makes it
// grow. A cluster restored from a snapshot has forgotten charges, and revisions come twice:
// stop every vault first, and take what the vaults then say for older than it was. Use
// etcd 3.4.22 or newer, but not 3.5.0 to 3.5.5: after a crash the data of their members
// could differ (etcd issues 13766 and 14685).
package etcd
