package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/server/seal"
	"coffer/vault/vaulttest"
)

const password = "right"

// A user has one record. One opening of it runs at a time.
type user struct {
	mu     sync.Mutex
	g      *vaulttest.Guesser
	serial uint64 // of the next try
	arms   bool   // the hardware counts: the owner arms it after each opening
}

// register makes n users, with a record each.
func register(ctx context.Context, v *subject, n int) ([]*user, error) {
	users := make([]*user, n)
	_, arms := v.sealer.(seal.Counter)
	door, _ := v.inside()()
	for i := range users {
		users[i] = &user{g: v.guesser(door), arms: arms}
	}
	var next atomic.Int64
	err := together(16, func(int) error {
		for {
			i := next.Add(1) - 1
			if i >= int64(n) {
				return nil
			}
			u := users[i]
			if err := u.g.Register(ctx, password); err != nil {
				return fmt.Errorf("register: %w", err)
			}
			if err := u.look(ctx, u.g); err != nil {
				return err
			}
		}
	})
	return users, err
}

// ripen opens each record so often.
func ripen(ctx context.Context, users []*user, openings int, dial dialer) error {
	return together(len(users), func(i int) error {
		for range openings {
			if err := users[i].open(ctx, dial); err != nil {
				return fmt.Errorf("ripen: %w", err)
			}
		}
		return nil
	})
}

// together runs work n times at once and returns the errors.
func together(n int, work func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = work(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (u *user) look(ctx context.Context, g *vaulttest.Guesser) error {
	s, err := g.Status(ctx)
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	u.serial = s.Serial + 1
	return nil
}

// open does one opening.
func (u *user) open(ctx context.Context, dial dialer) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	door, hangUp := dial()
	defer hangUp()
	g := *u.g
	g.Door = door
	answer, err := g.Ask(ctx, password, u.serial)
	if errors.Is(err, protocol.ErrSerial) {
		if err = u.look(ctx, &g); err == nil {
			answer, err = g.Ask(ctx, password, u.serial)
		}
	}
	if err != nil {
		return fmt.Errorf("attempt: %w", err)
	}
	u.serial++
	root, err := g.Finish(ctx, answer)
	if err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	if !root.Equal(g.Root) {
		return errors.New("another root key came out than went in")
	}
	if u.arms {
		return g.Arm(ctx)
	}
	return nil
}

// A result is what clients got out of a vault.
type result struct {
	clients   int
	openings  int
	took      time.Duration
	processor time.Duration // of this process, for one opening
	times     []time.Duration
}

// cores returns how many processors this process had at work.
func (r result) cores() float64 { return r.rate() * r.processor.Seconds() }

func (r result) rate() float64 { return float64(r.openings) / r.took.Seconds() }

// quantile returns the time that a part q of the openings did not take longer than.
func (r result) quantile(q float64) time.Duration {
	if len(r.times) == 0 {
		return 0
	}
	return r.times[min(len(r.times)-1, int(q*float64(len(r.times))))]
}

// load has clients open records for some time: client i those of users i, i+clients, ...
func load(ctx context.Context, users []*user, clients int, last time.Duration, dial dialer) (result, error) {
	return measure(clients, last, func(client, turn int) error {
		return users[(client+turn*clients)%len(users)].open(ctx, dial)
	})
}

// measure has clients do work for some time, after one turn each that is not counted.
func measure(clients int, last time.Duration, work func(client, turn int) error) (result, error) {
	if err := together(clients, func(i int) error { return work(i, 0) }); err != nil {
		return result{}, err
	}
	before, err := processorTime()
	if err != nil {
		return result{}, err
	}
	begun := time.Now()
	times := make([][]time.Duration, clients)
	err = together(clients, func(i int) error {
		for turn := 1; time.Since(begun) < last; turn++ {
			start := time.Now()
			if err := work(i, turn); err != nil {
				return err
			}
			times[i] = append(times[i], time.Since(start))
		}
		return nil
	})
	r := result{clients: clients, took: time.Since(begun), times: slices.Concat(times...)}
	after, usageErr := processorTime()
	if err = errors.Join(err, usageErr); err != nil {
		return result{}, err
	}
	slices.Sort(r.times)
	r.openings = len(r.times)
	r.processor = (after - before) / time.Duration(max(1, r.openings))
	return r, nil
}
