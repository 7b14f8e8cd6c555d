package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"coffer/vault/protocol"
	"coffer/vault/trust"
	"coffer/vault/vaulttest"
)

type soakOptions struct {
	linkA, pidA string
	linkB, pidB string
	last        time.Duration
	clients     int
}

func (s *soakOptions) flags(f *flag.FlagSet) {
	f.StringVar(&s.linkA, "link-a", "", "link of the vault that is killed")
	f.StringVar(&s.pidA, "pid-a", "", "file with its process; its keeper starts it again and rewrites the file")
	f.StringVar(&s.linkB, "link-b", "", "link of the vault that is left alone, and whose memory is watched")
	f.StringVar(&s.pidB, "pid-b", "", "file with its process")
	f.DurationVar(&s.last, "for", 30*time.Minute, "how long")
	f.IntVar(&s.clients, "clients", 4, "clients of each vault")
}

// Times between two kills, and how long a vault may take to answer again.
const (
	killAtLeast = 20 * time.Second
	killAtMost  = 40 * time.Second
	backWithin  = 60 * time.Second
	// grace is how long after an outage a connection of before it may still be found dead.
	grace = time.Second
)

// A target is a vault under load.
type target struct {
	name    string
	pidFile string
	door    *vaulttest.Network
	key     [33]byte

	mu      sync.Mutex
	outages []outage
	seen    map[string]*tally // by what was done
	wrong   []error           // what has no explanation
}

// An outage begins before a kill and ends when the vault answers again; until then its end
// is zero.
type outage struct{ begin, end time.Time }

type tally struct{ done, cut int }

func soak(ctx context.Context, o options, out io.Writer) error {
	s := o.soak
	if s.linkA == "" || s.linkB == "" || s.pidA == "" || s.pidB == "" || s.clients < 1 {
		return errors.New("-link-a, -pid-a, -link-b and -pid-b are needed")
	}
	a, err := newTarget(ctx, "killed", s.linkA, s.pidA)
	if err != nil {
		return err
	}
	b, err := newTarget(ctx, "left alone", s.linkB, s.pidB)
	if err != nil {
		return err
	}
	begun := time.Now()
	running := func() bool { return ctx.Err() == nil && time.Since(begun) < s.last }
	var samples []sample
	jobs := []func() error{
		func() error { return a.kill(ctx, running) },
		func() (err error) { samples, err = b.sample(ctx, running, s.last); return err },
	}
	for _, t := range []*target{a, b} {
		for range s.clients {
			jobs = append(jobs, func() error { newActor(t).work(ctx, running); return nil })
		}
	}
	err = together(len(jobs), func(i int) error { return jobs[i]() })
	printSoak(out, []*target{a, b}, samples, time.Since(begun))
	return errors.Join(err, verdict(out, []*target{a, b}, samples, s.last))
}

func newTarget(ctx context.Context, name, text, pidFile string) (*target, error) {
	link, err := trust.ParseLink(text)
	if err != nil {
		return nil, err
	}
	door, err := vaulttest.Dial(ctx, link)
	if err != nil {
		return nil, fmt.Errorf("meet the vault that is %s: %w", name, err)
	}
	door.HTTP.Timeout = 15 * time.Second // more than the vault gives a request
	return &target{name: name, pidFile: pidFile, door: door, key: door.Bundle.ServerKey, seen: map[string]*tally{}}, nil
}

func (t *target) pid() (int, error) {
	raw, err := os.ReadFile(t.pidFile)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(raw)))
}

// kill kills the vault again and again, and waits each time until it answers.
func (t *target) kill(ctx context.Context, running func() bool) error {
	for {
		pause := killAtLeast + rand.N(killAtMost-killAtLeast)
		for begun := time.Now(); time.Since(begun) < pause; {
			if !running() {
				return nil
			}
			rest(ctx, 200*time.Millisecond)
		}
		pid, err := t.pid()
		if err != nil {
			return err
		}
		p, err := os.FindProcess(pid)
		if err != nil {
			return err
		}
		t.mu.Lock()
		t.outages = append(t.outages, outage{begin: time.Now()})
		t.mu.Unlock()
		if err := p.Kill(); err != nil {
			return fmt.Errorf("kill: %w", err)
		}
		if err := t.back(ctx, pid); err != nil {
			return err
		}
	}
}

// back waits until another process than pid answers.
func (t *target) back(ctx context.Context, pid int) error {
	for begun := time.Now(); time.Since(begun) < backWithin && ctx.Err() == nil; rest(ctx, 20*time.Millisecond) {
		if now, err := t.pid(); err != nil || now == pid || !t.healthy(ctx) {
			continue
		}
		t.mu.Lock()
		t.outages[len(t.outages)-1].end = time.Now()
		t.mu.Unlock()
		return nil
	}
	return fmt.Errorf("the vault is not back after %v", backWithin)
}

func (t *target) healthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.door.URL+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := t.door.HTTP.Do(req)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1024))
	return errors.Join(err, resp.Body.Close()) == nil && resp.StatusCode == http.StatusOK
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wasAway reports whether the vault was killed between two moments.
func (t *target) wasAway(from, to time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.outages, func(o outage) bool {
		return !o.begin.After(to) && (o.end.IsZero() || !o.end.Add(grace).Before(from))
	})
}

// explain sorts the outcome of one request: as expected; cut off by a kill; or wrong,
// which ends in the verdict.
func (t *target) explain(what string, begun time.Time, err, want error) (expected bool) {
	cut := errors.Is(err, protocol.ErrUnknownOutcome) && t.wasAway(begun, time.Now())
	expected = err == nil && want == nil || want != nil && errors.Is(err, want)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen[what] == nil {
		t.seen[what] = &tally{}
	}
	switch {
	case expected:
		t.seen[what].done++
	case cut:
		t.seen[what].cut++
	default:
		t.wrong = append(t.wrong, fmt.Errorf("%s, vault that is %s: got %s, want %s", what, t.name, fmt.Sprint(err), fmt.Sprint(want)))
	}
	return expected
}

// broken notes that a promise was broken.
func (t *target) broken(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong = append(t.wrong, fmt.Errorf("vault that is %s: "+format, append([]any{t.name}, args...)...))
}
