package server

import (
	"context"
	"slices"
	"testing"

	"coffer/vault/protocol"
	"coffer/vault/server/seal"
)

// sweeping is a sealer that can find keys that no record knows.
type sweeping struct {
	*seal.Soft
	live [][]byte
	ran  bool
}

func (k *sweeping) Sweep(_ context.Context, live [][]byte) error {
	k.live, k.ran = live, true
	return nil
}

// TestKeysThatRecordsKnowAreSpared: and those of no other record are named.
func TestKeysThatRecordsKnowAreSpared(t *testing.T) {
	sealer := &sweeping{Soft: seal.NewSoft([32]byte{1})}
	s := newTestServer(t, sealer)
	for _, state := range []protocol.State{protocol.StateActive, protocol.StateDestroyed} {
		id := [16]byte{byte(state)}
		err := s.change(t.Context(), id, func(*record) (*record, verdict, error) {
			r := sampleRecord()
			r.id, r.tally.State, r.doomed = id, state, nil
			r.currentKey, r.pendingKey = []byte("current of "+state.String()), nil
			if state == protocol.StateDestroyed {
				r.currentKey, r.tally.Open = nil, nil
			}
			return r, verdict{}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, key := range sealer.live {
		names = append(names, string(key))
	}
	if !sealer.ran || !slices.Equal(names, []string{"current of ACTIVE"}) {
		t.Errorf("swept %t, live %q", sealer.ran, names)
	}
}
