package server

import (
	"context"
	"errors"
	"time"

	"coffer/vault/server/store"
)

// roomEvery is how often the server looks for room: while a chip is full, each stranger
// who begins a record would have it read all of them.
const roomEvery = time.Minute

// makeRoom destroys the OPRF keys of generations that were begun long ago and never
// committed, and says whether there were any. Hardware has room for few keys, and whoever
// may register can begin and go away.
func (s *Server) makeRoom(ctx context.Context) bool {
	lister, ok := s.cfg.Store.(store.Lister)
	if !ok || !s.mayMakeRoom() {
		return false
	}
	made := false
	err := lister.List(ctx, func(id [16]byte) error {
		abandoned, err := s.abandon(ctx, id)
		made = made || abandoned
		return err
	})
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "no room could be made", "error", err)
	}
	return made
}

func (s *Server) mayMakeRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock()
	if past := now.Sub(s.roomed); past >= 0 && past < roomEvery {
		return false
	}
	s.roomed = now
	return true
}

func (s *Server) abandon(ctx context.Context, id [16]byte) (abandoned bool, err error) {
	err = s.change(ctx, id, func(r *record) (*record, verdict, error) {
		if r == nil {
			return nil, verdict{}, nil
		}
		abandoned = r.abandon(s.now())
		return r, verdict{Erase: abandoned}, nil
	})
	if errors.Is(err, errOther) {
		return false, nil
	}
	return abandoned, err
}
