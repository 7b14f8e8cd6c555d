package vault

import (
	"encoding/hex"
	"strings"
	"time"

	"coffer/crypto"
	"coffer/crypto/aead"
	"coffer/vault/protocol"
	"coffer/vault/trust"
)

// EmbeddedScheme begins the link of a vault that is inside the app on one computer; the
// vault id in 32 hexadecimal digits follows.
const EmbeddedScheme = "coffer-vault-embedded:"

// EmbeddedLink returns the link of the embedded vault with this id.
func EmbeddedLink(id [16]byte) string { return EmbeddedScheme + hex.EncodeToString(id[:]) }

// ParseEmbeddedLink returns the vault id of an embedded vault's link, and false for
// anything else.
func ParseEmbeddedLink(link string) (id [16]byte, ok bool) {
	digits, ok := strings.CutPrefix(link, EmbeddedScheme)
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(id) || EmbeddedLink([16]byte(b)) != link {
		return id, false
	}
	return [16]byte(b), true
}

// A Slot is the public part of the password way in. It is stored in the head of the
// backup, in clear.
type Slot struct {
	Link            string   // EmbeddedLink, or a [trust.Link] without its invitation
	Also            string   // other addresses of a vault on a network, with single spaces between them
	VaultID         [16]byte // pinned
	ServerKey       [33]byte // pinned: the OPAQUE public key of the vault
	ReceiptKey      [32]byte // pinned: Ed25519, checks the receipt of destruction
	Computer        string   // the embedded vault's computer, so that another one can say where it is
	Record          [16]byte // random
	Generation      uint64   // 1, 2, ...: the highest that verifies is the password
	CloudShare      [32]byte // random; not secret beside the backup, and nowhere else
	MemoryKiB, Time uint32   // Argon2id on the client: floor 64 MiB, 3 passes, 4 lanes
	Threads         uint8
	Tries           int      // the limit as told at registration
	Guard           [33]byte // P-256, compressed: who may have hardware count anew; zero: it does not count
	SetAt           int64    // unix seconds
}

// Pin returns what a client must know of the vault beforehand.
func (s Slot) Pin() Pin {
	return Pin{VaultID: s.VaultID, ServerKey: s.ServerKey, ReceiptKey: s.ReceiptKey}
}

// Check returns [ErrWeakKDF] when the cost is out of bounds and [ErrSlot] when the slot
// cannot be one. A slot comes from the place where the backup lies: it is hostile.
func (s Slot) Check() error {
	if s.Generation == 0 || s.Record == [16]byte{} || s.CloudShare == [32]byte{} ||
		s.Tries < 1 || s.Tries > protocol.MaxTries {
		return ErrSlot
	}
	return s.cost().Check()
}

// Addresses returns where else than at its link the vault can be reached: a new computer
// knows no bundle yet, and the link's computer may be the one that is gone. What is no
// address is left out.
func (s Slot) Addresses() []string {
	var good []string
	for _, a := range strings.Fields(s.Also) {
		if trust.CheckAddress(a) == nil && len(good) < trust.MaxAddresses {
			good = append(good, a)
		}
	}
	return good
}

func (s Slot) cost() protocol.Cost {
	return protocol.Cost{MemoryKiB: s.MemoryKiB, Time: s.Time, Threads: s.Threads}
}

func (s Slot) context() []byte {
	return protocol.Context(s.VaultID, s.Record, s.Generation, s.cost())
}

func (s Slot) capability() crypto.CapabilityKey { return crypto.CapabilityFrom(s.CloudShare[:]) }

// A Pin is what a client knows of a vault before it talks to it.
type Pin struct {
	VaultID    [16]byte
	ServerKey  [33]byte
	ReceiptKey [32]byte
}

// PinOf returns the pin of a vault that is trusted as it is: the embedded one of this
// computer, which hands out its own [Info].
func PinOf(info Info) Pin {
	return Pin{VaultID: info.VaultID, ServerKey: info.ServerKey, ReceiptKey: info.ReceiptKey}
}

// Info is what a vault says about itself to everybody.
type Info = protocol.Info

// State is where a record stands in its life.
type State = protocol.State

// The states of a record (docs/vault-protocol.md, "States").
const (
	StateNone      = protocol.StateNone
	StatePending   = protocol.StatePending
	StateActive    = protocol.StateActive
	StateFrozen    = protocol.StateFrozen
	StateLastCall  = protocol.StateLastCall
	StateDestroyed = protocol.StateDestroyed
)

// Status is how a record stands. Asking charges nothing.
type Status struct {
	State      State
	Left       int       // tries left
	Tries      int       // the limit
	Until      time.Time // when the next try is allowed; zero: at once
	LastTry    time.Time // when a try was last charged; zero: never
	Generation uint64    // the active one; 0: none yet
	Pending    uint64    // the pending one; 0: none
	Committed  bool      // the pending one is complete and waits to be exposed
	Sequence   uint64    // of the owner's acts
	Serial     uint64    // tries ever charged; it never falls
	Anchor     uint64    // version of the anchor; 0: none
}

// An Event is one line of a record's log, oldest first.
type Event struct {
	At         time.Time
	Kind       EventKind
	Generation uint64
	Left       int    // tries left after it
	Device     string // the name the asking device gave itself; "" when unknown
}

// EventKind says what happened.
type EventKind = protocol.EventKind

// The events of a record's log.
const (
	EventTry       = protocol.EventTry
	EventRight     = protocol.EventRight
	EventWrong     = protocol.EventWrong
	EventCommitted = protocol.EventCommitted
	EventReplaced  = protocol.EventReplaced
	EventReset     = protocol.EventReset
	EventFrozen    = protocol.EventFrozen
	EventUnfrozen  = protocol.EventUnfrozen
	EventDestroyed = protocol.EventDestroyed
)

// A Pending is a generation on its way in. The caller keeps it in its profile until
// [Client.Enroll] or [Client.Resume] has returned its slot.
type Pending struct {
	Slot Slot
	// Committed says that the vault has the new generation, and next the old password
	// stops working: now is the time to put the slot where the old one lies, so that
	// a crash cannot leave only the old slot behind.
	Committed bool
	// Ticket let the record in, where not everybody may register: who was invited, or has
	// signed in, need not do so again. Zero: none.
	Ticket [32]byte
}

// A Receipt is a vault's signed word that it has destroyed a record.
type Receipt struct {
	VaultID, Record [16]byte
	At              time.Time // to the millisecond
	Signature       [64]byte  // Ed25519 over protocol.ReceiptBytes
}

// Verify reports whether the vault with this receipt key has signed the receipt.
func (r Receipt) Verify(receiptKey [32]byte) bool {
	return crypto.Verify(receiptKey, protocol.ReceiptBytes(r.VaultID, r.Record, r.At.UnixMilli()), r.Signature[:])
}

// newPending makes the slot of generation: of old's record, or of a new one.
func newPending(info Info, pin Pin, cost protocol.Cost, old *Slot, generation uint64, now time.Time) Pending {
	slot := Slot{
		Link: EmbeddedLink(pin.VaultID), VaultID: pin.VaultID, ServerKey: pin.ServerKey,
		ReceiptKey: pin.ReceiptKey, Computer: info.Computer, Record: [16]byte(aead.Random(16)),
		Generation: generation, CloudShare: [32]byte(aead.Random(32)),
		MemoryKiB: cost.MemoryKiB, Time: cost.Time, Threads: cost.Threads,
		Tries: info.Tries, SetAt: now.Unix(),
	}
	if old != nil {
		slot.Link, slot.Record = old.Link, old.Record
	}
	return Pending{Slot: slot}
}
