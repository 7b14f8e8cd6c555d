package server

import (
	"context"
	"errors"
	"fmt"

	"coffer/vault/protocol"
	"coffer/vault/server/store"
)

// A Census counts what a store holds.
type Census struct {
	Records map[protocol.State]int // as they were written: nothing is settled
	Others  int                    // rows that are no records: who was let in
}

// Census opens every row, as long as ctx allows. [errors.ErrUnsupported] on a store that
// cannot list.
func (s *Server) Census(ctx context.Context) (Census, error) {
	lister, ok := s.cfg.Store.(store.Lister)
	if !ok {
		return Census{}, fmt.Errorf("count records: %w", errors.ErrUnsupported)
	}
	c := Census{Records: map[protocol.State]int{}}
	err := lister.List(ctx, func(id [16]byte) error {
		row, err := s.fetch(ctx, id)
		switch {
		case errors.Is(err, errOther):
			c.Others++
		case err != nil:
			return err
		case row.record != nil:
			c.Records[row.record.tally.State]++
		}
		return ctx.Err()
	})
	if err != nil {
		return Census{}, fmt.Errorf("count records: %w", err)
	}
	return c, nil
}
