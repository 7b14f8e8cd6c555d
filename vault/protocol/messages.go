package protocol

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// Version is the version of the protocol; it stands in each message and each label.
const Version = 1

// Limits.
const (
	MaxBody     = 16 << 10 // of a request or a reply, in bytes
	MaxTries    = 100      // a vault may allow no more
	MaxWait     = 31 * 24 * time.Hour
	MaxEvents   = 48               // of a record's log: older ones are dropped
	AttemptLife = 60 * time.Second // from the answer to the last moment of its finish
)

// ContentType is the media type of every message. A browser does not send it to another
// site without asking that site first, so no web page can talk to a vault at home.
const ContentType = "application/x-coffer-vault"

// Sizes of what is inside the messages, in bytes.
const (
	PointSize    = 33  // a compressed P-256 point (SEC 1, 2.3.3)
	RecordSize   = 129 // OPAQUE registration record (RFC 9807, 4.1): 33 + 32 + 64
	KE1Size      = 98  // RFC 9807, 6.1: 33 + 32 + 33
	KE2Size      = 259 // RFC 9807, 6.1: 33 + 32 + 97 + 32 + 33 + 32
	KE3Size      = 32  // RFC 9807, 6.1
	WrappedSize  = 112 // the root key in a box of package aead
	DeviceSize   = 128 // the name of a device, padded to 48 bytes, in such a box
	ReleaseSize  = 32 + WrappedSize
	ReleasedSize = ReleaseSize + 80 // the release in such a box
	TicketSize   = 32               // what lets a new record in
	GuardSize    = 33               // the owner's P-256 key for hardware that counts
)

// Bounds of what has no fixed size, in bytes.
const (
	MaxAdmission = 6 << 10 // an invitation, or an ID token of OpenID Connect
	MaxAnchor    = 4 << 10
	MaxEvidence  = 4 << 10
	MaxChallenge = 1 << 10
)

// A Kind says what a message is.
type Kind byte

// The kinds of requests; a reply has the kind of its request with the top bit set.
const (
	KindBegin Kind = 1 + iota
	KindCommit
	KindAttempt
	KindExpose
	KindFinish
	KindStatus
	KindReset
	KindFreeze
	KindUnfreeze
	KindDestroy
	KindLog
	KindAdmit
	KindEvidence
	KindChallenge
	KindArm
	KindPutAnchor
	KindAnchor
)

// KindSealed is the envelope around all of them on a network; its reply has the top bit set.
const KindSealed Kind = 0x40

const replyBit Kind = 0x80

// Endpoint is one row of the table of requests.
type Endpoint struct {
	Kind     Kind
	Path     string
	Owner    bool // wants the owner's signature beside the capability's
	Unsigned bool // from somebody who has no record yet
}

// Signatures returns how many signatures end the request.
func (e Endpoint) Signatures() int {
	switch {
	case e.Unsigned:
		return 0
	case e.Owner:
		return 2
	}
	return 1
}

// endpoints is the table of all signed requests (docs/vault-protocol.md, "Requests").
var endpoints = []Endpoint{
	{Kind: KindBegin, Path: "/v1/records/begin", Owner: true},
	{Kind: KindCommit, Path: "/v1/records/commit", Owner: true},
	{Kind: KindAttempt, Path: "/v1/attempts"},
	{Kind: KindExpose, Path: "/v1/attempts/expose", Owner: true},
	{Kind: KindFinish, Path: "/v1/attempts/finish"},
	{Kind: KindStatus, Path: "/v1/records/status"},
	{Kind: KindReset, Path: "/v1/records/reset", Owner: true},
	{Kind: KindFreeze, Path: "/v1/records/freeze", Owner: true},
	{Kind: KindUnfreeze, Path: "/v1/records/unfreeze", Owner: true},
	{Kind: KindDestroy, Path: "/v1/records/destroy", Owner: true},
	{Kind: KindLog, Path: "/v1/records/log", Owner: true},
	{Kind: KindAdmit, Path: "/v1/admissions", Unsigned: true},
	{Kind: KindEvidence, Path: "/v1/records/evidence"},
	{Kind: KindChallenge, Path: "/v1/records/challenge", Owner: true},
	{Kind: KindArm, Path: "/v1/records/arm", Owner: true},
	{Kind: KindPutAnchor, Path: "/v1/records/anchor/put", Owner: true},
	{Kind: KindAnchor, Path: "/v1/records/anchor", Owner: true},
}

// The paths that carry no signed request.
const (
	InfoPath   = "/v1/info"   // GET: an [Info] in JSON, of a vault inside the app
	BundlePath = "/v1/bundle" // GET: the signed bundle of a vault on a network
	SealedPath = "/v1/sealed" // POST: a request in its envelope
)

// Endpoints returns the table of requests.
func Endpoints() []Endpoint { return append([]Endpoint(nil), endpoints...) }

// Of returns the row of a kind; a kind that is none is a bug of the caller and panics.
func Of(kind Kind) Endpoint {
	for _, e := range endpoints {
		if e.Kind == kind {
			return e
		}
	}
	panic("protocol: internal error: no such kind")
}

// Prefix begins each message: "CV", the version, the kind.
type Prefix struct {
	Magic   [2]byte
	Version byte
	Kind    Kind
}

// Header begins each request: what it is about and where it may be said.
type Header struct {
	Prefix
	Record     [16]byte
	Generation uint64
	Binding    [32]byte
}

// Cost is the cost of Argon2id that the client pays for one guess.
type Cost struct {
	MemoryKiB, Time uint32
	Threads         uint8
}

// The floor and the ceiling of the cost. The floor makes a guess dear even for who has
// both the vault's keys and the cloud files; the ceiling keeps a hostile head from
// exhausting the memory of the computer that reads it.
const (
	MinMemoryKiB, MaxMemoryKiB = 64 << 10, 1 << 20
	MinTime, MaxTime           = 3, 16
	MinThreads, MaxThreads     = 4, 16
)

// Check returns [ErrWeakKDF] when c is out of bounds.
func (c Cost) Check() error {
	if c.MemoryKiB < MinMemoryKiB || c.Time < MinTime || c.Threads < MinThreads {
		return fmt.Errorf("below the floor: %w", ErrWeakKDF)
	}
	if c.MemoryKiB > MaxMemoryKiB || c.Time > MaxTime || c.Threads > MaxThreads {
		return fmt.Errorf("above the ceiling: %w", ErrWeakKDF)
	}
	return nil
}

// A Signature is one of Ed25519 (RFC 8032).
type Signature [64]byte

// The requests. Signatures come last, the owner's before the capability's; both are over
// [SignedBytes]. Every field has a fixed size, so there is one encoding of a message; what
// has not follows the fixed part with its length ([EncodeVariable]).
type (
	// Begin asks for the OPRF evaluation of a new generation's password.
	Begin struct {
		Header
		OwnerKey, CapabilityKey [32]byte
		Guard                   [GuardSize]byte  // P-256: who may have hardware count from zero
		Ticket                  [TicketSize]byte // of a new record, where not everybody may register; else zeros
		Cost                    Cost
		Request                 [PointSize]byte // RegistrationRequest (RFC 9807, 5.1)
		Owner, Capability       Signature
	}
	// Commit hands over what begin prepared; the generation is pending from then on.
	Commit struct {
		Header
		Registration      [RecordSize]byte // RegistrationRecord (RFC 9807, 5.1)
		Release           [32]byte         // the vault's part of the wrapping key
		Wrapped           [WrappedSize]byte
		Owner, Capability Signature
	}
	// Attempt asks whether a password is right. It is charged. Serial is one more than the
	// record's, so that who recorded an attempt cannot spend another try with it.
	Attempt struct {
		Header
		Serial     uint64
		KE1        [KE1Size]byte
		Device     [DeviceSize]byte
		Capability Signature
	}
	// Expose is the attempt of the owner at a pending generation: no wait holds it up.
	Expose struct {
		Header
		Serial            uint64
		KE1               [KE1Size]byte
		Device            [DeviceSize]byte
		Owner, Capability Signature
	}
	// Finish proves that the password was right, or gives up with any other KE3.
	Finish struct {
		Header
		Attempt    [16]byte
		KE3        [KE3Size]byte
		Capability Signature
	}
	// Status asks how a record stands. It charges nothing.
	Status struct {
		Header
		Nonce      [16]byte
		Capability Signature
	}
	// Act is reset, freeze, unfreeze, destroy, log, challenge or anchor, by its kind. For
	// the first four Sequence is one more than the record's, so that no act can be played
	// back; the others leave it 0.
	Act struct {
		Header
		Sequence          uint64
		Owner, Capability Signature
	}
	// Evidence asks for the proof, by the vault's hardware, that it counts.
	Evidence struct {
		Header
		Nonce      [32]byte
		Capability Signature
	}
	// Arm has the hardware count from zero: Signed is made by the guard's key over what
	// the challenge says.
	Arm struct {
		Header
		Session           [16]byte
		Signed            [64]byte // ECDSA, P-256, SHA-256: r, s
		Owner, Capability Signature
	}
	// Admit is followed by an invitation, or an ID token. Its generation is 0.
	Admit struct {
		Header
	}
	// PutAnchor is followed by the anchor, sealed by the client. Version is one more than
	// the record's.
	PutAnchor struct {
		Header
		Version uint64
	}
)

// The replies.
type (
	BeginReply struct {
		Prefix
		Tries     uint16
		Response  [PointSize]byte // the evaluated element (RFC 9807, 5.1)
		ServerKey [PointSize]byte
	}
	Done struct {
		Prefix
	}
	AttemptReply struct {
		Prefix
		Attempt    [16]byte
		Left       uint16
		WaitMillis uint64 // before the next try, should this one be wrong
		KE2        [KE2Size]byte
	}
	FinishReply struct {
		Prefix
		Left     uint16
		Released [ReleasedSize]byte // release secret and wrapped key, sealed to the session
	}
	StatusReply struct {
		Prefix
		State      State
		Tries      uint16
		Left       uint16
		WaitMillis uint64
		Generation uint64 // the active one; 0: none
		Pending    uint64 // the pending one; 0: none
		Committed  byte   // 1 when the pending one is committed
		Sequence   uint64
		LastTry    int64  // when a try was last charged, unix milliseconds; 0: never
		Serial     uint64 // tries ever charged; it never falls
		Anchor     uint64 // version of the anchor; 0: none
	}
	DestroyReply struct {
		Prefix
		At      int64 // unix milliseconds
		Receipt Signature
	}
	AdmitReply struct {
		Prefix
		Ticket [TicketSize]byte
	}
	// EvidenceReply is followed by the evidence: of package attest; empty when the vault's
	// hardware does not count.
	EvidenceReply struct {
		Prefix
	}
	// ChallengeReply is followed by the challenge: of package attest.
	ChallengeReply struct {
		Prefix
		Session [16]byte
	}
	// AnchorReply is followed by the anchor, sealed by a client; empty when there is none.
	AnchorReply struct {
		Prefix
		Version uint64
	}
)

// Check returns [ErrMalformed] when a status contradicts itself.
func (s *StatusReply) Check() error {
	if s.State < StatePending || s.State > StateDestroyed || s.Tries < 1 || s.Tries > MaxTries ||
		s.Left > s.Tries || s.Committed > 1 {
		return fmt.Errorf("read status: %w", ErrMalformed)
	}
	return nil
}

// State is where a record stands in its life.
type State byte

// The states of a record (docs/vault-protocol.md, "States").
const (
	StateNone      State = iota // there is none
	StatePending                // begun or committed, never opened yet
	StateActive                 // a password opens it
	StateFrozen                 // the owner wants no tries now
	StateLastCall               // the last try was answered and is not finished
	StateDestroyed              // a tombstone
)

var stateNames = [...]string{"NONE", "PENDING", "ACTIVE", "FROZEN", "LAST_CALL", "DESTROYED"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", byte(s))
}

// An EventKind says what happened to a record.
type EventKind byte

// The events of a record's log.
const (
	EventTry       EventKind = 1 + iota // a try was charged and answered
	EventRight                          // ... and was right
	EventWrong                          // ... and was wrong
	EventCommitted                      // a new generation was registered
	EventReplaced                       // it has taken the place of the old one
	EventReset
	EventFrozen
	EventUnfrozen
	EventDestroyed
)

// An Event is one line of the log. Device is sealed by the client: the vault cannot read it.
type Event struct {
	At         int64 // unix milliseconds
	Kind       EventKind
	Generation uint64
	Left       uint16
	Device     [DeviceSize]byte // zero when the event has no device
}

// NewHeader returns the header of a request.
func NewHeader(kind Kind, record [16]byte, generation uint64, binding [32]byte) Header {
	return Header{NewPrefix(kind), record, generation, binding}
}

// Bind puts the binding of the channel into an encoded request, in place, before it is
// signed.
func Bind(body []byte, binding [32]byte) {
	const at = 4 + 16 + 8 // prefix, record, generation
	copy(body[at:at+len(binding)], binding[:])
}

// NewPrefix returns the prefix of a message.
func NewPrefix(kind Kind) Prefix { return Prefix{[2]byte{'C', 'V'}, Version, kind} }

// Reply returns the prefix of the reply to kind.
func (k Kind) Reply() Prefix { return NewPrefix(k | replyBit) }

// Encode returns the one encoding of a message: its fields in order, integers big-endian.
func Encode[M any](m *M) []byte {
	b, err := binary.Append(nil, binary.BigEndian, m)
	if err != nil {
		panic("protocol: internal error: " + err.Error())
	}
	return b
}

// Parse reads a message of one kind; body must be exactly that. [ErrMalformed].
func Parse[M any](want Prefix, body []byte) (*M, error) {
	m := new(M)
	if len(body) != binary.Size(m) {
		return nil, fmt.Errorf("parse message: %d bytes: %w", len(body), ErrMalformed)
	}
	if (Prefix{[2]byte(body[:2]), body[2], Kind(body[3])}) != want {
		return nil, fmt.Errorf("parse message: another kind or version: %w", ErrMalformed)
	}
	if _, err := binary.Decode(body, binary.BigEndian, m); err != nil {
		return nil, fmt.Errorf("parse message: %w: %w", ErrMalformed, err)
	}
	return m, nil
}

// EncodeVariable returns the one encoding of a message that ends in something of no fixed
// size: head, the length in two bytes, variable, and room for the signatures.
func EncodeVariable[M any](head *M, variable []byte, signatures int) []byte {
	b := binary.BigEndian.AppendUint16(Encode(head), uint16(len(variable)))
	b = append(b, variable...)
	return append(b, make([]byte, signatures*len(Signature{}))...)
}

// ParseVariable reads what EncodeVariable wrote; variable has at most limit bytes and
// shares body. [ErrMalformed].
func ParseVariable[M any](want Prefix, body []byte, limit, signatures int) (head *M, variable []byte, err error) {
	size := binary.Size(new(M))
	if len(body) < size+2 {
		return nil, nil, fmt.Errorf("parse message: %d bytes: %w", len(body), ErrMalformed)
	}
	n := int(binary.BigEndian.Uint16(body[size:]))
	if n > limit || len(body) != size+2+n+signatures*len(Signature{}) {
		return nil, nil, fmt.Errorf("parse message: %d bytes, of them %d variable: %w", len(body), n, ErrMalformed)
	}
	head, err = Parse[M](want, body[:size])
	return head, body[size+2 : size+2+n], err
}

// HeaderOf reads the header that every request begins with, of whatever kind.
// [ErrMalformed].
func HeaderOf(body []byte) (Header, error) {
	var h Header
	if _, err := binary.Decode(body, binary.BigEndian, &h); err != nil {
		return Header{}, fmt.Errorf("parse header: %d bytes: %w", len(body), ErrMalformed)
	}
	known := false
	for _, e := range endpoints {
		known = known || e.Kind == h.Kind
	}
	if !known || h.Prefix != NewPrefix(h.Kind) {
		return Header{}, fmt.Errorf("parse header: another kind or version: %w", ErrMalformed)
	}
	return h, nil
}

// EncodeLog returns the reply to a log request.
func EncodeLog(events []Event) []byte {
	p := KindLog.Reply()
	b := Encode(&p)
	b = binary.BigEndian.AppendUint16(b, uint16(len(events)))
	for i := range events {
		b = append(b, Encode(&events[i])...)
	}
	return b
}

// ParseLog reads the reply to a log request. [ErrMalformed].
func ParseLog(body []byte) ([]Event, error) {
	const head = 6
	size := binary.Size(Event{})
	if len(body) < head {
		return nil, fmt.Errorf("parse log: %w", ErrMalformed)
	}
	if _, err := Parse[Prefix](KindLog.Reply(), body[:head-2]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(body[head-2:]))
	if n > MaxEvents || len(body) != head+n*size {
		return nil, fmt.Errorf("parse log: %d events in %d bytes: %w", n, len(body), ErrMalformed)
	}
	events := make([]Event, n)
	if _, err := binary.Decode(body[head:], binary.BigEndian, events); err != nil {
		return nil, fmt.Errorf("parse message: %w: %w", ErrMalformed, err)
	}
	return events, nil
}

// Labels (docs/vault-protocol.md, "Keys and labels"). None is a prefix of another.
const (
	LabelCapability = "coffer-vault/1/capability-signature"
	LabelOwner      = "coffer-vault/1/owner-signature"
	LabelReceipt    = "coffer-vault/1/receipt"
	LabelContext    = "coffer-vault/1/opaque"
	LabelRelease    = "coffer-vault/1/release"
	LabelDevice     = "coffer-vault/1/device"
	LabelEmbedded   = "coffer-vault/1/embedded"
	LabelChannel    = "coffer-vault/1/channel"
	LabelBinding    = "coffer-vault/1/binding"
	LabelReply      = "coffer-vault/1/reply"
)

// SignedBytes returns what a request's signatures are made over: the label, a zero byte,
// and the message without its signatures. The message names its kind, the record, the
// generation and the channel, so a signature is good for nothing else.
func SignedBytes(label string, kind Kind, body []byte) []byte {
	cut := max(0, len(body)-Of(kind).Signatures()*len(Signature{}))
	b := append([]byte(label), 0)
	return append(b, body[:cut]...)
}

// ReleaseBytes returns the associated data of a release: a release is good for one attempt
// of one generation.
func ReleaseBytes(vault, record [16]byte, generation uint64, attempt [16]byte) []byte {
	b := append([]byte(LabelRelease), 0)
	b = append(b, vault[:]...)
	b = append(b, record[:]...)
	b = binary.BigEndian.AppendUint64(b, generation)
	return append(b, attempt[:]...)
}

// ReceiptBytes returns what a receipt of destruction signs.
func ReceiptBytes(vault, record [16]byte, at int64) []byte {
	b := append([]byte(LabelReceipt), 0)
	b = append(b, vault[:]...)
	b = append(b, record[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(at))
}

// suite stands for OPAQUE-3DH, P256-SHA256, HKDF-SHA-256, HMAC-SHA-256, Argon2id.
const suite = 1

// Context is the context of OPAQUE (RFC 9807, 6.4) and goes before the password into the
// OPRF too: an evaluation for one vault, record, generation or cost says nothing about another.
func Context(vault, record [16]byte, generation uint64, cost Cost) []byte {
	b := append([]byte(LabelContext), 0, suite)
	b = append(b, vault[:]...)
	b = append(b, record[:]...)
	b = binary.BigEndian.AppendUint64(b, generation)
	return append(b, Encode(&cost)...)
}

// EmbeddedBinding is the binding of the channel to an embedded vault, which cannot be
// recorded or diverted. Over a network it is what HPKE exports for this request instead.
func EmbeddedBinding(vault [16]byte) [32]byte {
	return sha256.Sum256(append([]byte(LabelEmbedded+"\x00"), vault[:]...))
}
