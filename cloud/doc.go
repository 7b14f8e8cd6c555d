// Package cloud keeps opaque objects in places: a folder, a drive, a bucket.
//
// The words:
//
//   - An object is a name and bytes. It is sealed before it comes here and
//     never rewritten: its name holds the hash of its bytes (see [ValidName]).
//   - A place is one flat folder of objects, somewhere: on a disk, at a service.
//   - A [Driver] speaks to one kind of place and does nothing else: it does
//     not retry, wait, log or remember.
//   - The [Store] is what the rest of Coffer uses. It checks names and hashes,
//     tries again, notices a transfer that hangs, pauses, and remembers what
//     it wrote, because a listing may not show it yet.
//
// What may be assumed of any place, and no more: Put is whole or nothing and
// idempotent; Get of a range gives exactly those bytes or an error; Stat and
// Get by name are right for what this device wrote; a listing is complete only
// eventually, may omit the newest and may repeat; Delete is idempotent and what
// it deleted may come back. There are no locks and no compare-and-swap, clocks
// differ, and another device, a thief or a sync client may change the place at
// any time. So nothing here depends on winning a name.
//
// Errors are one of the classes in errors.go, found with [errors.Is]; anything
// else is an unexpected failure, passed on as it came. Retrying happens in the
// Store alone: two layers that retry ten times each make a hundred requests.
package cloud
