package server

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"coffer/crypto/aead"
	"coffer/crypto/opaque"
	"coffer/vault/protocol"
	"coffer/vault/server/seal"
)

// authentic verifies the signatures of a request about r; nil stands for no record. The
// answer is the same, and takes about as long, for "no such record", "no such
// generation" and "wrong signature": who cannot sign learns nothing.
func (s *Server) authentic(r *record, kind protocol.Kind, h protocol.Header, body []byte) error {
	capability, owner := s.receiptKey(), s.receiptKey() // nobody signs requests with this
	if r != nil {
		if g := r.generation(h.Generation); g != nil {
			capability, owner = g.Capability, r.owner
		}
	}
	return verify(kind, body, owner, capability)
}

func verify(kind protocol.Kind, body []byte, owner, capability [32]byte) error {
	const size = len(protocol.Signature{})
	n := len(body)
	good := ed25519.Verify(capability[:], protocol.SignedBytes(protocol.LabelCapability, kind, body), body[n-size:])
	if protocol.Of(kind).Owner {
		msg := protocol.SignedBytes(protocol.LabelOwner, kind, body)
		good = ed25519.Verify(owner[:], msg, body[n-2*size:n-size]) && good
	}
	if !good {
		return protocol.ErrUnknownRecord
	}
	return nil
}

// opaqueServer returns the OPAQUE side of one generation.
func (s *Server) opaqueServer(id [16]byte, g *generation) (*opaque.Server, error) {
	server, err := opaque.NewServer(opaque.Config{
		Context:        protocol.Context(s.cfg.VaultID, id, g.Number, g.Cost),
		ClientIdentity: id[:], ServerIdentity: s.cfg.VaultID[:],
	}, s.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("make OPAQUE server: %w: %w", protocol.ErrInternal, err)
	}
	return server, nil
}

// sealed is an OPRF key that the sealer evaluates.
type sealed struct {
	ctx    context.Context //nolint:containedctx // the evaluation of one request
	sealer seal.Sealer
	id     [16]byte
	key    oprf
}

// Evaluate asks the sealer.
func (k sealed) Evaluate(blinded []byte) ([]byte, error) {
	return k.sealer.Evaluate(k.ctx, k.id, k.key, blinded)
}

// sealerError sorts what a sealer says about an OPRF key.
func sealerError(verb string, err error) error {
	switch {
	case errors.Is(err, seal.ErrUnarmed):
		return fmt.Errorf("%s: %w", verb, protocol.ErrUnarmed)
	case errors.Is(err, seal.ErrSession):
		return fmt.Errorf("%s: %w", verb, protocol.ErrAttemptOver)
	case errors.Is(err, seal.ErrFull):
		return fmt.Errorf("%s: %w: %w", verb, protocol.ErrFull, err)
	}
	return fmt.Errorf("%s: %w: %w", verb, protocol.ErrInternal, err)
}

func (s *Server) begin(ctx context.Context, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Begin](protocol.NewPrefix(protocol.KindBegin), body)
	if err != nil {
		return nil, err
	}
	if err := opaque.CheckRegistrationRequest(m.Request[:]); err != nil {
		return nil, fmt.Errorf("begin: %w: %w", protocol.ErrMalformed, err)
	}
	if err := m.Cost.Check(); err != nil {
		return nil, err
	}
	if err := verify(protocol.KindBegin, body, m.OwnerKey, m.CapabilityKey); err != nil {
		return nil, err
	}
	reply, err := s.beginOnce(ctx, m)
	if errors.Is(err, protocol.ErrFull) && s.makeRoom(ctx) {
		reply, err = s.beginOnce(ctx, m)
	}
	return reply, err
}

func (s *Server) beginOnce(ctx context.Context, m *protocol.Begin) (reply []byte, err error) {
	err = s.change(ctx, m.Record, func(r *record) (*record, verdict, error) {
		r, v, err := s.beginOn(ctx, r, m)
		if err != nil || v.Err != nil {
			return r, v, err
		}
		reply, err = s.beginReply(ctx, r, m)
		if errors.Is(err, protocol.ErrUnarmed) {
			v.Err = err // the new key is kept: the owner arms it, and begins again
			return r, v, nil
		}
		return r, v, err
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// beginOn puts a begun generation into r, or into a new record.
func (s *Server) beginOn(ctx context.Context, r *record, m *protocol.Begin) (*record, verdict, error) {
	if r == nil {
		if err := s.cfg.Admit(m.Record, m.Ticket); err != nil {
			return nil, verdict{}, err
		}
		r = &record{id: m.Record, owner: m.OwnerKey, tally: tally{Limit: s.cfg.Tries}}
	}
	if r.owner != m.OwnerKey {
		return r, verdict{}, protocol.ErrUnknownRecord
	}
	was := r.pending.Number
	v := r.decide(ask{What: askBegin, Generation: m.Generation}, s.cfg.Waits, s.now())
	if v.Err != nil {
		return known(r), v, nil //nolint:nilerr // the verdict holds it: the record is stored first
	}
	if was != m.Generation || len(r.pendingKey) == 0 {
		key, err := s.cfg.Sealer.NewOPRF(ctx, r.id, seal.Guard{Tries: r.tally.Limit, Owner: m.Guard})
		if err != nil {
			return r, verdict{}, sealerError("make OPRF key", err)
		}
		r.pending = generation{Number: m.Generation, Capability: m.CapabilityKey, Cost: m.Cost}
		r.pendingKey, r.guard, r.begunAt = key, m.Guard, s.now()
	}
	// The same number from another hand: two devices change the password at once.
	if r.pending.Capability != m.CapabilityKey || r.pending.Cost != m.Cost || r.guard != m.Guard {
		return r, verdict{}, protocol.ErrStale
	}
	return r, v, nil
}

// known returns nil for a record that a refused begin would have made: it is not kept.
func known(r *record) *record {
	if r.tally.State == protocol.StateNone {
		return nil
	}
	return r
}

func (s *Server) beginReply(ctx context.Context, r *record, m *protocol.Begin) ([]byte, error) {
	server, err := s.opaqueServer(r.id, &r.pending)
	if err != nil {
		return nil, err
	}
	response, err := server.RegistrationResponse(m.Request[:], sealed{ctx, s.cfg.Sealer, r.id, r.pendingKey})
	if err != nil {
		return nil, sealerError("begin", err)
	}
	return protocol.Encode(&protocol.BeginReply{
		Prefix: protocol.KindBegin.Reply(), Tries: uint16(r.tally.Limit),
		Response:  [protocol.PointSize]byte(response[:protocol.PointSize]),
		ServerKey: [protocol.PointSize]byte(response[protocol.PointSize:]),
	}), nil
}

func (s *Server) commit(ctx context.Context, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Commit](protocol.NewPrefix(protocol.KindCommit), body)
	if err != nil {
		return nil, err
	}
	if err := opaque.CheckRecord(m.Registration[:]); err != nil {
		return nil, fmt.Errorf("commit: %w: %w", protocol.ErrMalformed, err)
	}
	err = s.change(ctx, m.Record, func(r *record) (*record, verdict, error) {
		if err := s.authentic(r, protocol.KindCommit, m.Header, body); err != nil {
			return r, verdict{}, err
		}
		if m.Generation == r.pending.Number && len(r.pendingKey) == 0 {
			return r, verdict{}, protocol.ErrStale // abandoned: it has to be begun again
		}
		v := r.decide(ask{What: askCommit, Generation: m.Generation}, s.cfg.Waits, s.now())
		if v.Err == nil {
			r.pending.Registration, r.pending.Release, r.pending.Wrapped = m.Registration, m.Release, m.Wrapped
			r.note(protocol.Event{At: s.now(), Kind: protocol.EventCommitted, Generation: m.Generation, Left: uint16(v.Left)})
		}
		return r, v, nil
	})
	if err != nil {
		return nil, err
	}
	done := protocol.Done{Prefix: protocol.KindCommit.Reply()}
	return protocol.Encode(&done), nil
}

func (s *Server) attempt(ctx context.Context, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Attempt](protocol.NewPrefix(protocol.KindAttempt), body)
	if err != nil {
		return nil, err
	}
	return s.try(ctx, ask{What: askAttempt, Serial: m.Serial}, m.Header, m.KE1, m.Device, body)
}

func (s *Server) expose(ctx context.Context, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Expose](protocol.NewPrefix(protocol.KindExpose), body)
	if err != nil {
		return nil, err
	}
	return s.try(ctx, ask{What: askExpose, Serial: m.Serial}, m.Header, m.KE1, m.Device, body)
}

// try charges and answers. The answer exists before the charge is durable, in memory, so
// that charge and login state are one write; it leaves only when change has returned nil.
func (s *Server) try(ctx context.Context, q ask, h protocol.Header, ke1 [protocol.KE1Size]byte, device [protocol.DeviceSize]byte, body []byte) ([]byte, error) {
	if err := opaque.CheckKE1(ke1[:]); err != nil {
		return nil, fmt.Errorf("attempt: %w: %w", protocol.ErrMalformed, err)
	}
	var reply []byte
	err := s.change(ctx, h.Record, func(r *record) (*record, verdict, error) {
		if err := s.authentic(r, h.Kind, h, body); err != nil {
			return r, verdict{}, err
		}
		now := s.now()
		q.Generation, q.Attempt = h.Generation, [16]byte(aead.Random(16))
		if counter, ok := s.cfg.Sealer.(seal.Counter); ok {
			left, err := hardwareLeft(ctx, counter, r, h.Generation)
			if err != nil {
				return r, verdict{}, err
			}
			q.Counted, q.Hardware = true, left
		}
		v := r.decide(q, s.cfg.Waits, now)
		if v.Err != nil {
			return r, v, nil //nolint:nilerr // the verdict holds it: the record is stored first
		}
		r.note(protocol.Event{At: now, Kind: protocol.EventTry, Generation: h.Generation, Left: uint16(v.Left), Device: device})
		var err error
		reply, err = s.answerTry(ctx, r, h, q.Attempt, ke1, v)
		return r, v, err
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// hardwareLeft returns how many evaluations the hardware allows for a generation; of one
// that has no key, none.
func hardwareLeft(ctx context.Context, counter seal.Counter, r *record, generation uint64) (int, error) {
	key := r.keyOf(generation)
	if len(key) == 0 {
		return 0, nil
	}
	left, err := counter.Left(ctx, r.id, key)
	if err != nil {
		return 0, sealerError("ask the hardware", err)
	}
	return left, nil
}

func (s *Server) answerTry(ctx context.Context, r *record, h protocol.Header, id [16]byte, ke1 [protocol.KE1Size]byte, v verdict) ([]byte, error) {
	g := r.generation(h.Generation)
	server, err := s.opaqueServer(r.id, g)
	if err != nil {
		return nil, err
	}
	ke2, login, err := server.KE2(ke1[:], g.Registration[:], sealed{ctx, s.cfg.Sealer, r.id, r.keyOf(h.Generation)})
	if err != nil {
		return nil, sealerError("answer attempt", err)
	}
	r.tally.Open[len(r.tally.Open)-1].Login = [loginSize]byte(login.Bytes())
	if r.tally.State == protocol.StateLastCall {
		s.watch(r.id)
	}
	return protocol.Encode(&protocol.AttemptReply{
		Prefix: h.Kind.Reply(), Attempt: id, Left: uint16(v.Left),
		WaitMillis: uint64(v.Wait.Milliseconds()), KE2: [protocol.KE2Size]byte(ke2),
	}), nil
}

func (s *Server) finish(ctx context.Context, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Finish](protocol.NewPrefix(protocol.KindFinish), body)
	if err != nil {
		return nil, err
	}
	var reply []byte
	err = s.change(ctx, m.Record, func(r *record) (*record, verdict, error) {
		if err := s.authentic(r, protocol.KindFinish, m.Header, body); err != nil {
			return r, verdict{}, err
		}
		session, right := checkKE3(r, m)
		if !right {
			return r, s.finishWrong(r, m), nil
		}
		defer clear(session)
		g := *r.generation(m.Generation) // as it was: a right try may replace it
		v := s.finishRight(r, m)
		if v.Err == nil {
			reply = releaseReply(s.cfg.VaultID, m, &g, session, v.Left)
		}
		return r, v, nil
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// checkKE3 reports whether m finishes an open attempt with the right password, and
// returns its session key.
func checkKE3(r *record, m *protocol.Finish) (session []byte, right bool) {
	for _, o := range r.tally.Open {
		if o.ID != m.Attempt || o.Generation != m.Generation {
			continue
		}
		login, err := opaque.LoginFrom(o.Login[:])
		if err != nil {
			return nil, false
		}
		session, err = login.Finish(m.KE3[:])
		return session, err == nil
	}
	return nil, false
}

// finishWrong returns the verdict on a wrong KE3, which is always a refusal.
func (s *Server) finishWrong(r *record, m *protocol.Finish) verdict {
	now := s.now()
	v := r.decide(ask{What: askWrong, Generation: m.Generation, Attempt: m.Attempt}, s.cfg.Waits, now)
	switch {
	case v.Err != nil:
	case r.tally.State == protocol.StateDestroyed:
		v.Err = protocol.ErrDestroyed
	default:
		v.Err = protocol.ErrWrongPassword
		r.note(protocol.Event{At: now, Kind: protocol.EventWrong, Generation: m.Generation, Left: uint16(v.Left)})
	}
	return v
}

func (s *Server) finishRight(r *record, m *protocol.Finish) verdict {
	now, exposed := s.now(), r.tally.Pending == m.Generation
	v := r.decide(ask{What: askRight, Generation: m.Generation, Attempt: m.Attempt}, s.cfg.Waits, now)
	if v.Err != nil {
		return v
	}
	r.note(protocol.Event{At: now, Kind: protocol.EventRight, Generation: m.Generation, Left: uint16(v.Left)})
	if exposed {
		r.note(protocol.Event{At: now, Kind: protocol.EventReplaced, Generation: m.Generation, Left: uint16(v.Left)})
	}
	return v
}

// releaseReply seals the release to the session: only who knew the password can open it.
func releaseReply(vault [16]byte, m *protocol.Finish, g *generation, session []byte, left int) []byte {
	release := append(g.Release[:len(g.Release):len(g.Release)], g.Wrapped[:]...)
	defer clear(release)
	ad := protocol.ReleaseBytes(vault, m.Record, m.Generation, m.Attempt)
	return protocol.Encode(&protocol.FinishReply{
		Prefix: protocol.KindFinish.Reply(), Left: uint16(left),
		Released: [protocol.ReleasedSize]byte(aead.Seal(session, ad, release)),
	})
}

func (s *Server) status(ctx context.Context, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Status](protocol.NewPrefix(protocol.KindStatus), body)
	if err != nil {
		return nil, err
	}
	var reply []byte
	err = s.look(ctx, m.Header, body, func(r *record, v verdict) error {
		t := r.tally
		status := protocol.StatusReply{
			Prefix: protocol.KindStatus.Reply(), State: t.State, Tries: uint16(t.Limit), Left: uint16(v.Left),
			WaitMillis: uint64(v.Wait.Milliseconds()), Generation: t.Current, Pending: t.Pending,
			Sequence: t.Sequence, LastTry: t.Charged, Serial: t.Serial, Anchor: r.anchored,
		}
		if t.Committed {
			status.Committed = 1
		}
		counter, ok := s.cfg.Sealer.(seal.Counter)
		if key := r.keyOf(m.Generation); ok && len(key) > 0 {
			left, err := counter.Left(ctx, r.id, key)
			if err != nil {
				return sealerError("ask the hardware", err)
			}
			status.Left = min(status.Left, uint16(max(0, left)))
		}
		reply = protocol.Encode(&status)
		return nil
	})
	return reply, err
}

func (s *Server) eventLog(ctx context.Context, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Act](protocol.NewPrefix(protocol.KindLog), body)
	if err != nil {
		return nil, err
	}
	var reply []byte
	err = s.look(ctx, m.Header, body, func(r *record, _ verdict) error {
		reply = protocol.EncodeLog(r.events)
		return nil
	})
	return reply, err
}

// look answers a question that changes nothing but what time has changed.
func (s *Server) look(ctx context.Context, h protocol.Header, body []byte, fn func(*record, verdict) error) error {
	return s.change(ctx, h.Record, func(r *record) (*record, verdict, error) {
		if err := s.authentic(r, h.Kind, h, body); err != nil {
			return r, verdict{}, err
		}
		v := r.decide(ask{What: askStatus}, s.cfg.Waits, s.now())
		return r, v, fn(r, v)
	})
}

// act does reset, freeze, unfreeze and destroy.
func (s *Server) act(ctx context.Context, kind protocol.Kind, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Act](protocol.NewPrefix(kind), body)
	if err != nil {
		return nil, err
	}
	var reply []byte
	err = s.change(ctx, m.Record, func(r *record) (*record, verdict, error) {
		if err := s.authentic(r, kind, m.Header, body); err != nil {
			return r, verdict{}, err
		}
		v := s.actOn(r, kind, m, sha256.Sum256(body))
		if v.Err == nil {
			reply = s.actReply(r, kind)
		}
		return r, v, nil
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

func (s *Server) actOn(r *record, kind protocol.Kind, m *protocol.Act, hash [32]byte) verdict {
	acts := map[protocol.Kind]struct {
		what  what
		event protocol.EventKind
	}{
		protocol.KindReset:    {askReset, protocol.EventReset},
		protocol.KindFreeze:   {askFreeze, protocol.EventFrozen},
		protocol.KindUnfreeze: {askUnfreeze, protocol.EventUnfrozen},
		protocol.KindDestroy:  {askDestroy, 0}, // decide notes it
	}
	now, what := s.now(), acts[kind].what
	if m.Sequence == r.tally.Sequence && hash == r.lastAct && r.tally.State != protocol.StateDestroyed {
		what = askStatus // the same act again, because its answer was lost: done already
	}
	v := r.decide(ask{What: what, Generation: m.Generation, Sequence: m.Sequence}, s.cfg.Waits, now)
	if v.Err != nil || what == askStatus {
		return v
	}
	r.lastAct = hash
	if event := acts[kind].event; event != 0 {
		r.note(protocol.Event{At: now, Kind: event, Generation: m.Generation, Left: uint16(v.Left)})
	}
	return v
}

func (s *Server) actReply(r *record, kind protocol.Kind) []byte {
	if kind != protocol.KindDestroy {
		done := protocol.Done{Prefix: kind.Reply()}
		return protocol.Encode(&done)
	}
	signature := ed25519.Sign(s.cfg.Receipts, protocol.ReceiptBytes(s.cfg.VaultID, r.id, r.destroyedAt))
	return protocol.Encode(&protocol.DestroyReply{
		Prefix: kind.Reply(), At: r.destroyedAt, Receipt: protocol.Signature(signature),
	})
}
