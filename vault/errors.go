package vault

import (
	"errors"

	"coffer/vault/protocol"
)

// What a vault can say (docs/vault-protocol.md, "Errors"). Decide with errors.Is; numbers
// are in an [AttemptError].
var (
	ErrWrongPassword  = protocol.ErrWrongPassword  // the try was spent
	ErrWait           = protocol.ErrWait           // too early; no try was spent
	ErrLastTry        = protocol.ErrLastTry        // somebody is using the last try; none was spent
	ErrDestroyed      = protocol.ErrDestroyed      // the key is gone for ever
	ErrFrozen         = protocol.ErrFrozen         // by the owner; no try was spent
	ErrUnknownRecord  = protocol.ErrUnknownRecord  // no such record, or not allowed to ask
	ErrAttemptOver    = protocol.ErrAttemptOver    // finished or expired; what it cost stays spent
	ErrStale          = protocol.ErrStale          // another generation or sequence by now
	ErrCommitted      = protocol.ErrCommitted      // this generation is registered already
	ErrWeakKDF        = protocol.ErrWeakKDF        // the slot's cost is out of bounds; nothing was sent
	ErrIdentity       = protocol.ErrIdentity       // another vault than pinned; nothing was sent, unless in an AttemptError
	ErrMalformed      = protocol.ErrMalformed      // one side does not speak the protocol
	ErrTooLarge       = protocol.ErrTooLarge       // a message is over the limit
	ErrUnknownOutcome = protocol.ErrUnknownOutcome // asked, no answer: the try may be spent
	ErrInternal       = protocol.ErrInternal       // the vault failed; nothing was done
)

var (
	// ErrOffline says that the vault was not reached. No try was used.
	ErrOffline = errors.New("vault: not reached, no try was used")
	// ErrNotOpened says that the password was right and what the vault released is not the
	// root key: the vault's or the backup's part was changed.
	ErrNotOpened = errors.New("vault: what was released does not open")
	// ErrSlot says that a slot or a pending generation cannot be one.
	ErrSlot = errors.New("vault: malformed slot")
)

// An AttemptError says why a password did not open a record, and what is left: Err is one
// of the errors above (errors.Is looks through), Left the tries left after it, -1 when
// nobody knows, Until when the next try is allowed, zero for at once or never.
//
// The wrong try that was the last one is Err: ErrDestroyed, Left: 0.
type AttemptError = protocol.AttemptError
