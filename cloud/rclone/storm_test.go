package rclone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"coffer/cloud"
	"coffer/cloud/cloudtest"
)

// TestStorm: more than 300 random faults of every kind between us and one child: requests
// that fail with and without their effect, that hang until they are stopped, that break
// off, and bytes that arrive wrong. Each is tried again until it succeeds, as a Store
// would; in the end the place holds exactly what was put.
func TestStorm(t *testing.T) {
	d := mustOpen(t, config(t, "box:"+filepath.Join(t.TempDir(), "storm"), ""))
	const requests, rate = 650, 0.5
	f := cloudtest.NewRandom(t, d, 5, rate)
	s := storm{t: t, place: f, dice: rand.New(rand.NewPCG(5, 5)), held: map[string][]byte{}}
	// Which request meets which fault depends on how fast they come back: the weather goes
	// on until each kind has happened.
	for i := 0; s.requests < requests || !f.AllFired() && s.requests < 4*requests; i++ {
		s.turn(i)
	}
	if !f.AllFired() {
		t.Errorf("never happened: %v", f.Unfired())
	}
	found, err := list(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(s.held) {
		t.Errorf("%d objects, want %d", len(found), len(s.held))
	}
	for name, data := range s.held {
		wantData(t, d, name, data)
	}
}

// A storm is what one device does in bad weather.
type storm struct {
	t        *testing.T
	place    cloud.Driver
	dice     *rand.Rand
	held     map[string][]byte // what the place must hold
	requests int
}

// turn puts, reads or deletes an object, or lists them all.
func (s *storm) turn(i int) {
	for name, data := range s.held { // any
		switch s.dice.IntN(5) {
		case 0:
			s.until("delete", func(ctx context.Context) error { return s.place.Delete(ctx, name) })
			delete(s.held, name)
		case 1:
			s.until("list", s.listed)
		default:
			s.until("get", func(ctx context.Context) error { return s.same(ctx, name, data) })
		}
		break
	}
	data := content(i, 1+s.dice.IntN(40_000))
	name := cloud.Name("pack", data)
	s.until("put", func(ctx context.Context) error { return s.place.Put(ctx, name, cloud.Bytes(data)) })
	s.held[name] = data
}

// until tries again until it succeeds. A request that hangs is stopped soon.
func (s *storm) until(what string, request func(context.Context) error) {
	s.t.Helper()
	var err error
	for tries := range 100 {
		s.requests++
		// A machine that is busy with other things gets more and more time.
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(300+50*tries)*time.Millisecond)
		err = request(ctx)
		cancel()
		if err == nil {
			return
		}
	}
	s.t.Fatalf("%s: %v", what, err)
}

var errUnlike = errors.New("not what was put")

func (s *storm) same(ctx context.Context, name string, want []byte) error {
	r, err := s.place.Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err == nil && !bytes.Equal(got, want) {
		err = errUnlike
	}
	return err
}

// listed accepts a listing that is late, and none that knows of other objects.
func (s *storm) listed(ctx context.Context) error {
	found, err := list(ctx, s.place)
	if err != nil {
		return err
	}
	for name, size := range found {
		if data, held := s.held[name]; !held || int64(len(data)) != size {
			return fmt.Errorf("%w: %s of %d bytes", errUnlike, name, size)
		}
	}
	return nil
}
