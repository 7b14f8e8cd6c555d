// Package app is what Coffer does: one function for each thing that a person wants, for the
// window and the command line alike. It knows no window, no terminal and no protocol.
//
// # Words
//
//   - profile: a folder with the settings and the state of one backup on this computer ([App]).
//   - place (destination): where backups live. It sees only opaque objects. A profile may
//     have several, each with all that is needed to restore ([Place]).
//   - connection: what reaches a place: address, options, secrets ([Connection]).
//   - source: a file or folder that is backed up.
//   - repository: all backups in a place that open with one root key.
//   - snapshot: one backup: every source as it was at one time.
//   - root key, recovery key: 32 random bytes, and the same as 64 digits ([RootKey]).
//   - way in: the 64 digits; a password, whose tries a vault counts; a passphrase ([LockKind]).
//   - vault, record, try: who releases the key for the right password, where it lies, and a
//     guess that is counted before it is answered.
//   - head: the object in the place that says which ways in there are.
//   - restore, receipt, check: files come back, what came back, and is all of it there.
//
// # Errors
//
// Whatever goes wrong is an error that [Explain] turns into a [Code]: one of a closed list,
// for which each front end has one sentence and one action in each language.
//
// # One backup, from the command to the disk
//
//	| hop | file                   | function         | what the reader learns                                  |
//	| 1   | cmd/coffer/backup.go   | backup           | the command: progress, summary, exit status             |
//	| 2   | app/backup_places.go   | Backup           | each place in turn, and what of it is a failure         |
//	| 3   | app/backup.go          | run              | the whole pipeline: order, limits, what is counted      |
//	| 4   | app/source/read.go     | ReadTolerant     | how a file is read that changes, or cannot be read      |
//	| 5   | app/repo/writer.go     | Commit           | chunk, known?, segment, pack, index; snapshot last      |
//	| 6   | crypto/envelope.go     | NewSealer        | what is sealed with what, and bound to what             |
//	| 7   | cloud/store.go         | Put              | retry, pause, error classes                             |
//	| 8   | cloud/folder/write.go  | Put              | temporary file, flush, publish, flush                   |
//
// # One restore
//
//	| hop | file                   | function         | what the reader learns                                  |
//	| 1   | cmd/coffer/restore.go  | restore          | the command, and the receipt                            |
//	| 2   | app/restore.go         | Restore          | what is planned, and in which order it is written       |
//	| 3   | app/repo/reader.go     | ReadSegments     | packs read once, segments opened once                   |
//	| 4   | cloud/store.go         | ReadAt           | exactly these bytes, or an error                        |
//	| 5   | crypto/envelope.go     | NewOpener        | nothing opens that was changed, moved or of another key |
//	| 6   | app/target/target.go   | Open             | nothing is ever written outside the target              |
//
// # One unlock, with a password
//
//	| hop | file                       | function       | what the reader learns                                |
//	| 1   | cmd/coffer/unlock.go       | unlock         | how a secret comes in, and never through argv         |
//	| 2   | app/unlock.go              | Unlock         | the head, its slot, the key, and the proof of both    |
//	| 3   | app/vault.go               | openByPassword | a vault that is elsewhere costs no try                |
//	| 4   | vault/open.go              | Open           | OPAQUE: the vault sees neither password nor key       |
//	| 5   | vault/server/attempt.go    | decide         | the rule of tries, as a pure function                 |
//	| 6   | vault/server/requests.go   | attempt        | the charge is durable before the answer               |
//	| 7   | crypto/wrap.go             | UnwrapRoot     | password, vault and cloud files together              |
//
// # What is on the disk of this computer
//
//	settings.json             sources, places, where the key is kept; no secret
//	key                       the 64 digits, only where no keyring keeps them (0600)
//	state/profile.lock        held while a backup, a restore or a change of a way in runs
//	state/settings.lock       held for the moment in which settings.json is replaced
//	state/runs.json           the last runs, for Home
//	state/practice            compares a password without a try; opens only with the root key
//	state/pending-setup.json  a Setup that has not come to its end
//	state/pending-vault.json  a password that is on its way into the vault
//	state/pending-place.json  a place whose secrets and state are about to come or to go
//	state/head                the newest head, for the places that do not have it yet
//	state/device.key          seals what is secret in this folder, where no keyring keeps it
//	state/proxy               the password of the proxy, sealed
//	state/places/ID/          one folder for each place:
//	  device.json             the newest snapshot known of each device, against rollback
//	  journal                 where an interrupted backup goes on
//	  secrets                 what opens the place, sealed, where no keyring keeps it
//	cache/                    may be deleted at any time
package app
