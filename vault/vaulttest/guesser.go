// Package vaulttest asks a vault as somebody would who is not bound to the product's own
// client: a guesser, who pays nothing for a guess, sends what he likes as often as he
// likes, and counts the answers. The promises of docs/vault-protocol.md are tried with it.
//
// Words:
//
//   - door: a way to a vault: of the network, or of a core in the same process.
//   - guesser: holds what a thief of the cloud files has (the slot), and guesses.
//   - answer: a KE2. It is what one guess buys, right or wrong.
package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"coffer/crypto"
	"coffer/crypto/aead"
	"coffer/crypto/opaque"
	"coffer/vault/attest"
	"coffer/vault/protocol"
)

// A Door carries one request to a vault and its reply back. Its errors are those of
// package protocol; any other means that nobody knows.
type Door interface {
	Exchange(ctx context.Context, kind protocol.Kind, sign func(binding [32]byte) []byte) ([]byte, error)
}

// A Core is what a door in the same process leads to: *server.Server.
type Core interface {
	Answer(ctx context.Context, binding [32]byte, body []byte) ([]byte, error)
}

// Inside returns the door to a core in this process. What passes is given to tap, if
// there is one.
func Inside(core Core, tap func(request, reply []byte)) Door { return inside{core, tap} }

type inside struct {
	core Core
	tap  func(request, reply []byte)
}

func (i inside) Exchange(ctx context.Context, _ protocol.Kind, sign func([32]byte) []byte) ([]byte, error) {
	binding := [32]byte(aead.Random(32))
	body := sign(binding)
	reply, err := i.core.Answer(ctx, binding, body)
	if i.tap != nil {
		i.tap(body, reply)
	}
	return reply, err
}

// A Guesser asks one vault about one record. It is safe for concurrent use.
type Guesser struct {
	Door       Door
	VaultID    [16]byte
	ServerKey  [33]byte
	Root       crypto.RootKey
	Record     [16]byte
	Generation uint64
	CloudShare [32]byte
	Ticket     [protocol.TicketSize]byte
	Cost       protocol.Cost // as told to the vault; nothing is paid
	Tries      int           // as the vault told at registration
}

// NewGuesser returns a guesser for a record that is not registered yet.
func NewGuesser(door Door, vault [16]byte, serverKey [33]byte) *Guesser {
	return &Guesser{
		Door: door, VaultID: vault, ServerKey: serverKey, Root: crypto.NewRootKey(), Generation: 1,
		Record: [16]byte(aead.Random(16)), CloudShare: [32]byte(aead.Random(32)),
		Cost: protocol.Cost{MemoryKiB: protocol.MinMemoryKiB, Time: protocol.MinTime, Threads: protocol.MinThreads},
	}
}

// Next returns the guesser of the same record's next generation.
func (g *Guesser) Next() *Guesser {
	next := *g
	next.Generation, next.CloudShare = g.Generation+1, [32]byte(aead.Random(32))
	return &next
}

func (g *Guesser) capability() crypto.CapabilityKey { return crypto.CapabilityFrom(g.CloudShare[:]) }

// Header returns the header of a request about the record.
func (g *Guesser) Header(kind protocol.Kind) protocol.Header {
	return protocol.NewHeader(kind, g.Record, g.Generation, [32]byte{})
}

// Send signs an encoded request as the record's owner, and sends it.
func (g *Guesser) Send(ctx context.Context, kind protocol.Kind, body []byte) ([]byte, error) {
	if !protocol.Of(kind).Owner { // the owner's keys take long to make
		return g.exchange(ctx, kind, body, crypto.OwnerKey{}, g.capability())
	}
	keys := g.Root.Derive()
	defer keys.Wipe()
	return g.exchange(ctx, kind, body, keys.Owner(), g.capability())
}

func (g *Guesser) exchange(ctx context.Context, kind protocol.Kind, body []byte, owner crypto.OwnerKey, capability crypto.CapabilityKey) ([]byte, error) {
	return g.Door.Exchange(ctx, kind, func(binding [32]byte) []byte {
		protocol.Bind(body, binding)
		Sign(kind, body, owner, capability)
		return body
	})
}

// Sign puts the signatures into an encoded request.
func Sign(kind protocol.Kind, body []byte, owner crypto.OwnerKey, capability crypto.CapabilityKey) {
	const size = len(protocol.Signature{})
	endpoint, n := protocol.Of(kind), len(body)
	if endpoint.Owner {
		copy(body[n-2*size:], owner.Sign(protocol.SignedBytes(protocol.LabelOwner, kind, body)))
	}
	if !endpoint.Unsigned {
		copy(body[n-size:], capability.Sign(protocol.SignedBytes(protocol.LabelCapability, kind, body)))
	}
}

func (g *Guesser) client() (*opaque.Client, error) {
	about := protocol.Context(g.VaultID, g.Record, g.Generation, g.Cost)
	return opaque.NewClient(opaque.Config{
		Context: about, Info: about, ServerPublicKey: g.ServerKey[:],
		ClientIdentity: g.Record[:], ServerIdentity: g.VaultID[:],
		KSF: func(in []byte) []byte { return append([]byte(nil), in[:32]...) },
	})
}

// Register brings the generation in, exposes it, and leaves the record active.
func (g *Guesser) Register(ctx context.Context, password string) error {
	if err := g.Commit(ctx, password); err != nil {
		return err
	}
	if _, err := g.try(ctx, protocol.KindExpose, password, 0); err != nil {
		return fmt.Errorf("expose: %w", err)
	}
	return g.ArmAgain(ctx)
}

// Commit brings the generation in and does not expose it: begin, commit.
func (g *Guesser) Commit(ctx context.Context, password string) error {
	client, err := g.client()
	if err != nil {
		return err
	}
	request, err := client.RegistrationRequest([]byte(password))
	if err != nil {
		return err
	}
	response, err := g.begin(ctx, request)
	if errors.Is(err, protocol.ErrUnarmed) {
		if err = g.Arm(ctx); err == nil {
			response, err = g.begin(ctx, request)
		}
	}
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	record, export, err := client.FinishRegistration(response)
	if err != nil {
		return fmt.Errorf("finish registration: %w", err)
	}
	return g.commit(ctx, record, export)
}

func (g *Guesser) begin(ctx context.Context, request []byte) ([]byte, error) {
	keys := g.Root.Derive()
	defer keys.Wipe()
	body := protocol.Encode(&protocol.Begin{
		Header: g.Header(protocol.KindBegin), OwnerKey: keys.Owner().Public(), CapabilityKey: g.capability().Public(),
		Guard: keys.Guard(g.Record, g.Generation).Public(), Ticket: g.Ticket, Cost: g.Cost, Request: [protocol.PointSize]byte(request),
	})
	reply, err := g.Send(ctx, protocol.KindBegin, body)
	if err != nil {
		return nil, err
	}
	begun, err := protocol.Parse[protocol.BeginReply](protocol.KindBegin.Reply(), reply)
	if err != nil {
		return nil, err
	}
	g.Tries = int(begun.Tries)
	return append(begun.Response[:], begun.ServerKey[:]...), nil
}

func (g *Guesser) commit(ctx context.Context, record, export []byte) error {
	release := aead.Random(32)
	wrapped := crypto.WrapRoot(g.Root, crypto.NewSecret(export), crypto.NewSecret(append([]byte(nil), release...)),
		crypto.NewSecret(append([]byte(nil), g.CloudShare[:]...)), g.Record[:], g.Generation)
	_, err := g.Send(ctx, protocol.KindCommit, protocol.Encode(&protocol.Commit{
		Header: g.Header(protocol.KindCommit), Registration: [protocol.RecordSize]byte(record),
		Release: [32]byte(release), Wrapped: [protocol.WrappedSize]byte(wrapped),
	}))
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Arm has hardware that counts do so from zero. [protocol.ErrMalformed] where there is none.
func (g *Guesser) Arm(ctx context.Context) error {
	reply, err := g.Send(ctx, protocol.KindChallenge, protocol.Encode(&protocol.Act{Header: g.Header(protocol.KindChallenge)}))
	if err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	head, challenge, err := protocol.ParseVariable[protocol.ChallengeReply](protocol.KindChallenge.Reply(), reply, protocol.MaxChallenge, 0)
	if err != nil {
		return err
	}
	keys := g.Root.Derive()
	defer keys.Wipe()
	digest, _, err := attest.ArmDigest(challenge, attest.Guard{Tries: g.limit(ctx), Owner: keys.Guard(g.Record, g.Generation).Public()})
	if err != nil {
		return err
	}
	_, err = g.Send(ctx, protocol.KindArm, protocol.Encode(&protocol.Arm{
		Header: g.Header(protocol.KindArm), Session: head.Session, Signed: keys.Guard(g.Record, g.Generation).Sign(digest),
	}))
	if err != nil {
		return fmt.Errorf("arm: %w", err)
	}
	return nil
}

// ArmAgain arms hardware that counts, where there is some.
func (g *Guesser) ArmAgain(ctx context.Context) error {
	if err := g.Arm(ctx); err != nil && !errors.Is(err, protocol.ErrMalformed) {
		return err
	}
	return nil
}

func (g *Guesser) limit(ctx context.Context) int {
	if s, err := g.Status(ctx); err == nil {
		return int(s.Tries)
	}
	return 0
}

// Status asks how the record stands.
func (g *Guesser) Status(ctx context.Context) (*protocol.StatusReply, error) {
	reply, err := g.Send(ctx, protocol.KindStatus, protocol.Encode(&protocol.Status{
		Header: g.Header(protocol.KindStatus), Nonce: [16]byte(aead.Random(16)),
	}))
	if err != nil {
		return nil, err
	}
	return protocol.Parse[protocol.StatusReply](protocol.KindStatus.Reply(), reply)
}

// An Answer is what one guess bought.
type Answer struct {
	Attempt [16]byte
	Left    int
	KE3     []byte // nil: the password is not right
	Session []byte
	Export  []byte
}

// Ask buys one answer: with serial 0 the next one, asking for the number as often as
// others are faster. It does not finish the attempt.
func (g *Guesser) Ask(ctx context.Context, password string, serial uint64) (*Answer, error) {
	return g.ask(ctx, protocol.KindAttempt, password, serial)
}

func (g *Guesser) ask(ctx context.Context, kind protocol.Kind, password string, serial uint64) (*Answer, error) {
	q, err := g.prepare(kind, password)
	if err != nil {
		return nil, err
	}
	for {
		n := serial
		if n == 0 {
			s, err := g.Status(ctx)
			if err != nil {
				return nil, err
			}
			n = s.Serial + 1
		}
		answer, err := q.Ask(ctx, n)
		if serial != 0 || !errors.Is(err, protocol.ErrSerial) {
			return answer, err
		}
	}
}

// A Question is a guess that is made once, and asked as often as others are faster. It is
// not safe for concurrent use.
type Question struct {
	g          *Guesser
	kind       protocol.Kind
	client     *opaque.Client
	ke1        [protocol.KE1Size]byte
	capability crypto.CapabilityKey
}

// Prepare makes a question that [Question.Ask] asks.
func (g *Guesser) Prepare(password string) (*Question, error) {
	return g.prepare(protocol.KindAttempt, password)
}

func (g *Guesser) prepare(kind protocol.Kind, password string) (*Question, error) {
	client, err := g.client()
	if err != nil {
		return nil, err
	}
	ke1, err := client.KE1([]byte(password))
	if err != nil {
		return nil, err
	}
	return &Question{g: g, kind: kind, client: client, ke1: [protocol.KE1Size]byte(ke1), capability: g.capability()}, nil
}

// Ask buys one answer: the one of this number. Once it has one, a question is over: another
// guess is another question.
func (q *Question) Ask(ctx context.Context, serial uint64) (*Answer, error) {
	reply, err := q.send(ctx, serial)
	if err != nil {
		return nil, err
	}
	answer, err := protocol.Parse[protocol.AttemptReply](q.kind.Reply(), reply)
	if err != nil {
		return nil, err
	}
	out := &Answer{Attempt: answer.Attempt, Left: int(answer.Left)}
	out.KE3, out.Session, out.Export, err = q.client.KE3(answer.KE2[:])
	if err != nil && !errors.Is(err, opaque.ErrEnvelope) {
		return nil, err
	}
	return out, nil
}

func (q *Question) send(ctx context.Context, serial uint64) ([]byte, error) {
	head := q.g.Header(q.kind)
	if q.kind == protocol.KindExpose {
		return q.g.Send(ctx, q.kind, protocol.Encode(&protocol.Expose{Header: head, Serial: serial, KE1: q.ke1}))
	}
	body := protocol.Encode(&protocol.Attempt{Header: head, Serial: serial, KE1: q.ke1})
	return q.g.exchange(ctx, q.kind, body, crypto.OwnerKey{}, q.capability)
}

// Finish ends an attempt, with the KE3 of a right password or with one that is none, and
// returns the root key that it released.
func (g *Guesser) Finish(ctx context.Context, a *Answer) (crypto.RootKey, error) {
	var ke3 [protocol.KE3Size]byte
	copy(ke3[:], a.KE3)
	reply, err := g.Send(ctx, protocol.KindFinish, protocol.Encode(&protocol.Finish{
		Header: g.Header(protocol.KindFinish), Attempt: a.Attempt, KE3: ke3,
	}))
	if err != nil {
		return crypto.RootKey{}, err
	}
	done, err := protocol.Parse[protocol.FinishReply](protocol.KindFinish.Reply(), reply)
	if err != nil {
		return crypto.RootKey{}, err
	}
	release, err := aead.Open(a.Session, protocol.ReleaseBytes(g.VaultID, g.Record, g.Generation, a.Attempt), done.Released[:])
	if err != nil {
		return crypto.RootKey{}, err
	}
	return crypto.UnwrapRoot(release[32:], crypto.NewSecret(a.Export), crypto.NewSecret(release[:32]),
		crypto.NewSecret(append([]byte(nil), g.CloudShare[:]...)), g.Record[:], g.Generation)
}

// Guess makes one whole try: it returns the root key, or why not.
func (g *Guesser) Guess(ctx context.Context, password string) (crypto.RootKey, error) {
	return g.try(ctx, protocol.KindAttempt, password, 0)
}

func (g *Guesser) try(ctx context.Context, kind protocol.Kind, password string, serial uint64) (crypto.RootKey, error) {
	answer, err := g.ask(ctx, kind, password, serial)
	if err != nil {
		return crypto.RootKey{}, err
	}
	return g.Finish(ctx, answer)
}

// Act does reset, freeze, unfreeze or destroy.
func (g *Guesser) Act(ctx context.Context, kind protocol.Kind) ([]byte, error) {
	s, err := g.Status(ctx)
	if err != nil {
		return nil, err
	}
	return g.Send(ctx, kind, protocol.Encode(&protocol.Act{Header: g.Header(kind), Sequence: s.Sequence + 1}))
}

// Storm lets n guessers guess at once, each until the vault says no more, and returns how
// many answers they got in all. They never finish an attempt: who guesses well has no need
// to tell the vault that he was wrong.
func (g *Guesser) Storm(ctx context.Context, n int, password func(guesser, guess int) string) (answers int, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for j := 0; ctx.Err() == nil; j++ {
				_, guessErr := g.Ask(ctx, password(i, j), 0)
				mu.Lock()
				if guessErr == nil {
					answers++
				} else if !over(guessErr) && err == nil {
					err = guessErr
				}
				mu.Unlock()
				if guessErr != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return answers, errors.Join(err, ctx.Err())
}

// over reports whether err is how a vault says that there are no more tries.
func over(err error) bool {
	return errors.Is(err, protocol.ErrLastTry) || errors.Is(err, protocol.ErrDestroyed) ||
		errors.Is(err, protocol.ErrUnarmed) || errors.Is(err, protocol.ErrWait)
}
