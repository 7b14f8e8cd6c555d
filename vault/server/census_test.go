package server

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/server/seal"
	"coffer/vault/server/store"
)

// put keeps a sample record in this state, destroyed at that time.
func put(t *testing.T, s *Server, id byte, state protocol.State, destroyedAt int64) {
	t.Helper()
	err := s.change(t.Context(), [16]byte{id}, func(*record) (*record, verdict, error) {
		r := sampleRecord()
		r.id, r.doomed, r.destroyedAt = [16]byte{id}, nil, destroyedAt
		r.tally.State, r.tally.Open = state, nil
		return r, verdict{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestACensusCountsEveryRowOnce(t *testing.T) {
	sealer := seal.NewSoft([32]byte{1})
	s := newTestServer(t, sealer)
	want := map[protocol.State]int{}
	for i, state := range []protocol.State{
		protocol.StateActive, protocol.StateActive, protocol.StateDestroyed, protocol.StatePending, protocol.StateFrozen,
	} {
		put(t, s, byte(i), state, 0)
		want[state]++
	}
	admission := store.ID{9}
	handle, err := sealer.NewKey(t.Context(), admission)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sealer.Seal(t.Context(), admission, handle, []byte{0x81, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cfg.Store.Create(t.Context(), admission, encodeRow(handle, sealed)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Census(t.Context())
	if err != nil || !maps.Equal(got.Records, want) || got.Others != 1 {
		t.Errorf("%+v, %v; want %v and one other", got, err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Census(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a census whose time is over: %v", err)
	}
}

// TestFateTellsWhatBecameOfARecord: also of one whose last try has just run out.
func TestFateTellsWhatBecameOfARecord(t *testing.T) {
	s := newTestServer(t, seal.NewSoft([32]byte{1}))
	now := time.UnixMilli(1_800_000_000_000)
	s.cfg.Clock = func() time.Time { return now }
	put(t, s, 1, protocol.StateActive, 0)
	put(t, s, 2, protocol.StateDestroyed, now.Add(-time.Hour).UnixMilli())
	put(t, s, 3, protocol.StateLastCall, 0)
	for id, want := range map[byte]struct {
		state     protocol.State
		destroyed time.Time
	}{
		0: {protocol.StateNone, time.Time{}},
		1: {protocol.StateActive, time.Time{}},
		2: {protocol.StateDestroyed, now.Add(-time.Hour)},
		3: {protocol.StateDestroyed, now},
	} {
		state, destroyed, err := s.Fate(t.Context(), [16]byte{id})
		if err != nil || state != want.state || !destroyed.Equal(want.destroyed) {
			t.Errorf("record %d: %v, %v, %v; want %+v", id, state, destroyed, err, want)
		}
	}
}
