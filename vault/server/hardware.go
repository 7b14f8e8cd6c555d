package server

import (
	"context"
	"fmt"

	"coffer/vault/protocol"
	"coffer/vault/server/seal"
)

// Requests about hardware that counts by itself (docs/vault-protocol.md, "Hardware that
// counts"). A vault without it has no evidence, and nothing to arm.

// counted returns the sealer's hardware and the key of the asked generation.
func (s *Server) counted(r *record, generation uint64) (seal.Counter, oprf, error) {
	counter, ok := s.cfg.Sealer.(seal.Counter)
	key := r.keyOf(generation)
	if !ok || len(key) == 0 {
		return nil, nil, fmt.Errorf("the hardware does not count: %w", protocol.ErrMalformed)
	}
	return counter, key, nil
}

func (s *Server) evidence(ctx context.Context, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Evidence](protocol.NewPrefix(protocol.KindEvidence), body)
	if err != nil {
		return nil, err
	}
	var proof []byte
	err = s.look(ctx, m.Header, body, func(r *record, _ verdict) error {
		counter, key, err := s.counted(r, m.Generation)
		if err != nil {
			return nil //nolint:nilerr // no hardware, no evidence: an answer, too
		}
		if proof, err = counter.Evidence(ctx, r.id, key, m.Nonce); err != nil {
			return sealerError("make evidence", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	reply := protocol.EvidenceReply{Prefix: protocol.KindEvidence.Reply()}
	return protocol.EncodeVariable(&reply, proof, 0), nil
}

func (s *Server) challenge(ctx context.Context, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Act](protocol.NewPrefix(protocol.KindChallenge), body)
	if err != nil {
		return nil, err
	}
	reply := protocol.ChallengeReply{Prefix: protocol.KindChallenge.Reply()}
	var challenge []byte
	err = s.look(ctx, m.Header, body, func(r *record, _ verdict) error {
		counter, key, err := s.counted(r, m.Generation)
		if err != nil {
			return err
		}
		if reply.Session, challenge, err = counter.Challenge(ctx, r.id, key); err != nil {
			return sealerError("challenge the owner", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return protocol.EncodeVariable(&reply, challenge, 0), nil
}

func (s *Server) arm(ctx context.Context, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Arm](protocol.NewPrefix(protocol.KindArm), body)
	if err != nil {
		return nil, err
	}
	err = s.look(ctx, m.Header, body, func(r *record, v verdict) error {
		// A record that is at its end must not be given new tries by its hardware.
		if r.tally.State == protocol.StateDestroyed || r.tally.State == protocol.StateLastCall {
			return &protocol.Refusal{Err: protocol.ErrLastTry, Left: v.Left}
		}
		counter, key, err := s.counted(r, m.Generation)
		if err != nil {
			return err
		}
		if err := counter.Arm(ctx, r.id, key, m.Session, m.Signed); err != nil {
			return sealerError("arm the hardware", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	done := protocol.Done{Prefix: protocol.KindArm.Reply()}
	return protocol.Encode(&done), nil
}
