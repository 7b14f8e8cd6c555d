package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
)

// maxRaces bounds how often a change is tried again because another server was faster.
const maxRaces = 200

// stripes is the number of locks that records share within this process: without them,
// requests for one record would only race each other at the store.
const stripes = 1024

// A row is a record as it was fetched.
type row struct {
	record   *record // nil: there is none
	handle   []byte
	body     []byte
	revision store.Revision
}

// change is the only way to a record: fetch, step, keep. step looks at the record (nil:
// none), may change it or return a new one, and says the verdict; or an error, and then
// nothing is kept. It may be called again when another server was faster.
//
// What step returns is durable when change returns nil or a [protocol.Refusal]: only
// then may an answer go out. [protocol.ErrUnknownOutcome] when nobody knows: the caller
// must not answer, and what was charged counts as charged.
func (s *Server) change(ctx context.Context, id [16]byte, step func(*record) (*record, verdict, error)) error {
	unlock, err := s.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	for range maxRaces {
		old, err := s.fetch(ctx, id)
		if err != nil {
			return err
		}
		had := old.keys()
		next, v, err := step(old.record)
		if err != nil {
			return errors.Join(err, s.destroyFresh(ctx, id, had, next))
		}
		err = s.keepWhole(ctx, id, old, next, v.Erase)
		if isRace(err) {
			if err := s.destroyFresh(ctx, id, had, next); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := s.destroyDropped(ctx, id, had, next); err != nil {
			return err
		}
		if v.Err != nil {
			return &protocol.Refusal{Err: v.Err, Left: v.Left, Wait: v.Wait}
		}
		return nil
	}
	return fmt.Errorf("change record: always overtaken: %w", protocol.ErrInternal)
}

// keys returns the OPRF keys of a record as it was fetched.
func (r row) keys() []oprf {
	if r.record == nil {
		return nil
	}
	return r.record.keys()
}

// destroyDropped destroys the OPRF keys that a change has taken from a record, where they
// live outside of it. The change is durable already: a crash in between leaves a key that
// no record knows, and [Server.Tidy] finds it at the next start.
func (s *Server) destroyDropped(ctx context.Context, id [16]byte, had []oprf, next *record) error {
	if next == nil {
		return nil
	}
	if err := s.destroyAllBut(ctx, id, had, next.keys()); err != nil {
		return fmt.Errorf("destroy OPRF key: %w: %w", protocol.ErrUnknownOutcome, err)
	}
	return nil
}

// destroyFresh destroys the OPRF keys that a step has made for a change which is not kept: who
// begins and hangs up, again and again, must not fill hardware with keys that no record
// names. It does so also for who has gone away.
func (s *Server) destroyFresh(ctx context.Context, id [16]byte, had []oprf, next *record) error {
	if next == nil {
		return nil
	}
	if err := s.destroyAllBut(ctx, id, next.keys(), had); err != nil {
		return fmt.Errorf("destroy unused OPRF key: %w: %w", protocol.ErrInternal, err)
	}
	return nil
}

// destroyAllBut destroys those of keys that are not in kept, also when the client is gone.
func (s *Server) destroyAllBut(ctx context.Context, id [16]byte, keys, kept []oprf) error {
	ctx, cancel := staying(ctx)
	defer cancel()
	for _, key := range keys {
		if slices.ContainsFunc(kept, func(k oprf) bool { return bytes.Equal(k, key) }) {
			continue
		}
		if err := s.cfg.Sealer.DestroyOPRF(ctx, id, key); err != nil {
			return err
		}
	}
	return nil
}

// lock serializes the changes of a record within this process, as long as ctx allows.
func (s *Server) lock(ctx context.Context, id [16]byte) (unlock func(), err error) {
	// Clients choose the names of records: nobody is to choose whom he waits with.
	stripe := s.locks[maphash.Bytes(s.seed, id[:])%stripes]
	select {
	case stripe <- struct{}{}:
		return func() { <-stripe }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for record: %w: %w", protocol.ErrInternal, ctx.Err())
	}
}

func (s *Server) fetch(ctx context.Context, id [16]byte) (row, error) {
	data, revision, err := s.cfg.Store.Fetch(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return row{}, nil
	}
	if err != nil {
		return row{}, fmt.Errorf("fetch record: %w: %w", protocol.ErrInternal, err)
	}
	handle, sealed, err := decodeRow(data)
	if err != nil {
		return row{}, fmt.Errorf("%w: %w", protocol.ErrInternal, err)
	}
	body, err := s.cfg.Sealer.Open(ctx, id, handle, sealed)
	if err != nil {
		return row{}, fmt.Errorf("open record: %w: %w", protocol.ErrInternal, err)
	}
	r, err := decodeRecord(id, body)
	if err != nil {
		return row{}, fmt.Errorf("%w: %w", protocol.ErrInternal, err)
	}
	return row{record: r, handle: handle, body: body, revision: revision}, nil
}

// keepLife is the least that keeping what a step has done may take, whoever has gone away, and
// however long the step took.
const keepLife = 5 * time.Second

// staying is ctx for what must be ended although the client is gone.
func staying(ctx context.Context) (context.Context, context.CancelFunc) {
	until := time.Now().Add(keepLife)
	if at, ok := ctx.Deadline(); ok && at.After(until) {
		until = at
	}
	return context.WithDeadline(context.WithoutCancel(ctx), until)
}

// keepWhole is keep, also for who hangs up after the step: hardware that counts has counted
// then, and a try that the record knows nothing of would stand in no log and make nobody wait.
func (s *Server) keepWhole(ctx context.Context, id [16]byte, old row, next *record, erase bool) error {
	ctx, cancel := staying(ctx)
	defer cancel()
	return s.keep(ctx, id, old, next, erase)
}

// keep makes the record durable, if it has changed. Its return is the commit point of
// every request.
func (s *Server) keep(ctx context.Context, id [16]byte, old row, next *record, erase bool) error {
	if next == nil {
		return nil
	}
	if err := s.destroyDoomed(ctx, next); err != nil {
		return err
	}
	body := next.encode()
	defer func() { clear(body) }()
	if old.record != nil && bytes.Equal(body, old.body) {
		return nil
	}
	handle, fresh := old.handle, old.record == nil || erase
	if fresh {
		// What is destroyed was sealed under the old record key, in every copy that a
		// disk or a cluster may still have; the new state gets a key of its own.
		var err error
		if handle, err = s.cfg.Sealer.NewKey(ctx, id); err != nil {
			return fmt.Errorf("make record key: %w: %w", protocol.ErrInternal, err)
		}
		if seal.KeysOutside(s.cfg.Sealer.Class()) && len(old.handle) > 0 {
			clear(body)
			next.doomed = old.handle
			body = next.encode()
		}
	}
	sealed, err := s.cfg.Sealer.Seal(ctx, id, handle, body)
	if err != nil {
		return fmt.Errorf("seal record: %w: %w", protocol.ErrInternal, err)
	}
	err = s.write(ctx, id, old, encodeRow(handle, sealed), erase)
	if isRace(err) && fresh {
		if destroyErr := s.cfg.Sealer.DestroyKey(ctx, id, handle); destroyErr != nil {
			return fmt.Errorf("destroy unused record key: %w: %w", protocol.ErrInternal, destroyErr)
		}
	}
	return err
}

// destroyDoomed destroys, once more, the record key that an earlier change was to destroy:
// a crash may have come between the change and its end.
func (s *Server) destroyDoomed(ctx context.Context, r *record) error {
	if len(r.doomed) == 0 {
		return nil
	}
	if err := s.cfg.Sealer.DestroyKey(ctx, r.id, r.doomed); err != nil {
		return fmt.Errorf("destroy former record key: %w: %w", protocol.ErrInternal, err)
	}
	r.doomed = nil
	return nil
}

func (s *Server) write(ctx context.Context, id [16]byte, old row, data []byte, erase bool) error {
	if old.record == nil {
		return outcome("create record", s.cfg.Store.Create(ctx, id, data))
	}
	if !erase {
		return outcome("replace record", s.cfg.Store.Replace(ctx, id, old.revision, data))
	}
	replace := s.cfg.Store.Replace
	if e, ok := s.cfg.Store.(store.Eraser); ok {
		replace = e.Erase
	}
	if err := outcome("erase record", replace(ctx, id, old.revision, data)); err != nil {
		return err
	}
	if err := s.cfg.Sealer.DestroyKey(ctx, id, old.handle); err != nil {
		// The row is written: whatever the sealer says, this is no race and no failure before it.
		return fmt.Errorf("destroy record key: %w: %v", protocol.ErrUnknownOutcome, err) //nolint:errorlint // on purpose
	}
	return nil
}

// outcome sorts what a store says into: written, overtaken, nothing done, nobody knows.
func outcome(verb string, err error) error {
	switch {
	case err == nil, isRace(err):
		return err
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrRow):
		return fmt.Errorf("%s: %w: %w", verb, protocol.ErrInternal, err)
	}
	return fmt.Errorf("%s: %w: %w", verb, protocol.ErrUnknownOutcome, err)
}

func isRace(err error) bool {
	return errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound)
}
