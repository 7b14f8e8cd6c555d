// Package tpm seals a vault on a TPM 2.0.
//
// Words:
//
//   - chip: the TPM. [Chip].
//   - counter: an NV index of the chip that only goes up, also when it is deleted and
//     defined again. One for each store.
//   - epoch: a value of the counter. Each write of the store is a new epoch.
//   - epoch key: 32 random bytes of one epoch. They exist only as an object that the chip
//     has sealed to "the counter is this value" (TPM2_PolicyNV), and, in a box, for the
//     recovery key.
//   - state: what lies under the epoch key: the shard keys, and the digest of the store.
//   - shard: the records whose names hash to one first byte. Their record keys lie in the
//     store too, in boxes under one shard key.
//   - digest of the store: the sum of a keyed hash of each row. It notices yesterday's
//     row in today's file.
//   - recovery key: an X25519 key whose private half is kept away from the vault.
//   - incarnation: how often the recovery key was used. Clients are told.
//   - index, guard, tag, to arm, evidence: see package vault/attest.
//
// # Epochs
//
// [Epochs] is store and sealer in one. A write goes: a new epoch key, sealed to n+1; ONE
// transaction of the file with the rows and the state of epoch n+1; the counter goes to
// n+1; the chip is asked whether it is n+1; only then do the writers return. Writers that
// wait meanwhile share the next epoch. Yesterday's file is of an epoch that the counter
// has left, and the chip opens it to nobody: [ErrRolledBack].
//
//   - A crash before the transaction: nothing happened.
//   - A crash between transaction and counter: the file is one ahead. The next [OpenEpochs]
//     counts up and finishes. Nobody was told yet, so either would be right, and one
//     of them is sure.
//   - The chip fails while it counts: nobody knows, so the store closes itself, and all
//     its writers have an unknown outcome. Opening it again is the case above.
//   - Two programs on two copies of the file: the one that counts second does not find the
//     value that it has sealed for, and closes itself without an answer.
//
// Somebody who cuts the power between transaction and counter, and saves that file, has a
// state of epoch n+1 that was never counted. Put back after the store went on from n, it
// would be as good as the real n+1. Therefore each Open seals the state two epochs
// ahead and counts twice before anything else: n+1 is passed over, and every write that
// was not counted is dead for ever. (The state that an Open has written, and not counted,
// holds no write: until the first one is acknowledged it is as good as what it was made from.)
//
// # Destroying
//
// A record key is destroyed by a new shard key: the other record keys of the shard are
// sealed again in the same transaction, and the old shard key dies with the epochs that
// knew it. Copies of the file, of every moment, open neither on another chip nor on
// this one. Two limits: who has the recovery key and an old copy opens that copy; and who
// reads the memory of the running vault needs no file.
//
// With n records, n/256 record keys are sealed again for one that is destroyed. NV memory wears out with some hundred thousand writes of one counter, and a chip
// slows writers down before that (TPM_RC_NV_RATE, which is waited for). A group of writers
// is one write. This is for a family or a company, not for a million of records.
//
// # Counting
//
// [Counting] is Epochs, and each OPRF key lives in the chip and works only with the
// authorization of an NV index that counts its uses. Only the owner's signature lets it
// count again: not who is root, nor who knows the chip's passwords. A chip has room for
// some ten to some hundred of them: [ErrFull].
//
// # NV indices
//
// By default 0x018C0000 to 0x018CFFFF, within the range for owners of the TCG's registry
// (0x01800000 to 0x01BFFFFF): sixteen stores, each with a counter at ...x000, and its
// counting indices at ...x001 to ...xFFF.
//
// # The bus
//
// Epoch keys cross the wire between processor and chip encrypted: a probe on it that only
// listens learns nothing. The owner's password crosses it in clear.
package tpm
