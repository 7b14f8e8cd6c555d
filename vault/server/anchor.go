package server

import (
	"bytes"
	"context"

	"coffer/vault/protocol"
)

// putAnchor keeps the newest heads of a backup for its owner: sealed by a client, so that
// the vault learns nothing, and growing by one each time, so that none is put back.
func (s *Server) putAnchor(ctx context.Context, body []byte) ([]byte, error) {
	m, anchor, err := protocol.ParseVariable[protocol.PutAnchor](
		protocol.NewPrefix(protocol.KindPutAnchor), body, protocol.MaxAnchor, 2)
	if err != nil {
		return nil, err
	}
	err = s.look(ctx, m.Header, body, func(r *record, v verdict) error {
		switch {
		case r.tally.State == protocol.StateDestroyed:
			return &protocol.Refusal{Err: protocol.ErrDestroyed}
		case m.Version == r.anchored && bytes.Equal(anchor, r.anchor):
			return nil // the same again, because its answer was lost
		case m.Version != r.anchored+1:
			return &protocol.Refusal{Err: protocol.ErrStale, Left: v.Left}
		}
		r.anchored, r.anchor = m.Version, bytes.Clone(anchor)
		return nil
	})
	if err != nil {
		return nil, err
	}
	done := protocol.Done{Prefix: protocol.KindPutAnchor.Reply()}
	return protocol.Encode(&done), nil
}

func (s *Server) getAnchor(ctx context.Context, body []byte) ([]byte, error) {
	m, err := protocol.Parse[protocol.Act](protocol.NewPrefix(protocol.KindAnchor), body)
	if err != nil {
		return nil, err
	}
	reply := protocol.AnchorReply{Prefix: protocol.KindAnchor.Reply()}
	var anchor []byte
	err = s.look(ctx, m.Header, body, func(r *record, _ verdict) error {
		reply.Version, anchor = r.anchored, r.anchor
		return nil
	})
	if err != nil {
		return nil, err
	}
	return protocol.EncodeVariable(&reply, anchor, 0), nil
}
