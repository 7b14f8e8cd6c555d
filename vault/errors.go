package vault

import (
	"errors"
	"fmt"
	"time"

	"coffer/vault/attest"
	"coffer/vault/protocol"
	"coffer/vault/trust"
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

// What a vault on a network can say besides.
var (
	ErrSerial      = protocol.ErrSerial      // others were faster, each time; no try was spent
	ErrUnarmed     = protocol.ErrUnarmed     // the hardware answers nothing until the owner, with the root key, resets it
	ErrNotAdmitted = protocol.ErrNotAdmitted // a new record needs an invitation, or a sign-in
	ErrInvitation  = protocol.ErrInvitation  // used, expired or none
	ErrSignIn      = protocol.ErrSignIn      // the ID token is not good
	ErrQuota       = protocol.ErrQuota       // the account has no room for another record
	ErrFull        = protocol.ErrFull        // the vault's hardware has no room for another key
	ErrBusy        = protocol.ErrBusy        // too many requests; the vault had charged nothing when it was asked
	ErrOtherKey    = protocol.ErrOtherKey    // the vault has replaced its envelope key, and shows the old one
)

// What keeps a client from talking to a vault on a network. Nothing of a password, a record
// or an account has left then.
var (
	ErrBundle       = trust.ErrBundle       // ALARM: not the vault that the link names
	ErrSingleSigned = trust.ErrSingleSigned // ALARM: the second signature is missing
	ErrOlder        = trust.ErrOlder        // ALARM: it shows an older bundle than was seen
	ErrPin          = trust.ErrPin          // ALARM: somebody stands in between
	ErrExpired      = trust.ErrExpired      // its time is over, or this computer's clock is wrong: an ExpiredError
	ErrLink         = trust.ErrLink         // this is no link to a vault
	// ErrPortal says that something answered that is no vault: a network that wants a
	// sign-in of its own first, most likely. It is always [ErrOffline], too.
	ErrPortal = errors.New("vault: something else answers in its place")
)

var (
	// ErrVaultRolledBack is an ALARM: the vault says less than it has said before. Its store
	// was put back, which gives tries back to who guesses, or it lies. No password has left.
	// Users who know why go on with a zero [Seen].
	ErrVaultRolledBack = errors.New("vault: it shows an older state of the record than before")
	// ErrEvidence is an ALARM: the bundle says that hardware counts the tries, and the vault
	// does not prove it. No password has left.
	ErrEvidence = attest.ErrEvidence
)

// An ExpiredError says that a bundle, rightly signed, is not good at this time. When Now is
// the wrong one of the three times, it is this computer's clock.
type ExpiredError struct{ Issued, Expires, Now time.Time }

func (e *ExpiredError) Error() string {
	return fmt.Sprintf("%v: good from %s to %s, and now it is %s", ErrExpired,
		e.Issued.Format(time.RFC3339), e.Expires.Format(time.RFC3339), e.Now.UTC().Format(time.RFC3339))
}

// Unwrap returns [ErrExpired].
func (e *ExpiredError) Unwrap() error { return ErrExpired }

var (
	// ErrOffline says that the vault was not reached. No try was used.
	ErrOffline = errors.New("vault: not reached, no try was used")
	// ErrNotOpened says that the password was right and what the vault released is not the
	// root key: the vault's or the backup's part was changed.
	ErrNotOpened = errors.New("vault: what was released does not open")
	// ErrNotRearmed says that the password was right, and the vault's hardware was not told: it
	// counts on from where it was. Only [RemoteOptions].Warn hears it.
	ErrNotRearmed = errors.New("vault: the hardware did not give the tries back")
	// ErrSlot says that a slot or a pending generation cannot be one.
	ErrSlot = errors.New("vault: malformed slot")
)

// An AttemptError says why a password did not open a record, and what is left: Err is one
// of the errors above (errors.Is looks through), Left the tries left after it, -1 when
// nobody knows, Until when the next try is allowed, zero for at once or never.
//
// The wrong try that was the last one is Err: ErrDestroyed, Left: 0.
type AttemptError = protocol.AttemptError
