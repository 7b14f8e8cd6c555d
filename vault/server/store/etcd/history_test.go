package etcd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"coffer/vault/server/store"
)

// What porcupine is told: calls, with the times of their beginning and end, and what came.

type call struct {
	record int
	write  bool
	old    string // write: the row that was read before; empty: none, so Create
	row    string // write: the row that is written, different for each call
}

type result struct {
	outcome outcome
	row     string // read: empty for none
}

type outcome int

const (
	done outcome = iota
	refused
	unknown
)

// rowModel is one record. A read returns the newest row. A write is done exactly when the
// row is the one that it knows; one of unknown outcome may have been done or not, now or
// later, but like the others only on the row that it knows.
var rowModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byRecord := map[int][]porcupine.Operation{}
		for _, o := range history {
			record := o.Input.(call).record
			byRecord[record] = append(byRecord[record], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range byRecord {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(string), input.(call), output.(result)
		switch {
		case !in.write:
			return out.row == now, now
		case out.outcome == done:
			return now == in.old, in.row
		case out.outcome == refused:
			return now != in.old, now
		case now == in.old:
			return true, in.row
		}
		return true, now
	},
}

// A history records calls. It is safe for concurrent use.
type history struct {
	start time.Time

	mu  sync.Mutex
	all []porcupine.Operation
}

func newHistory() *history { return &history{start: time.Now()} }

func (h *history) now() int64 { return time.Since(h.start).Nanoseconds() }

func (h *history) add(client int, began int64, in call, out result) {
	ended := h.now()
	if out.outcome == unknown {
		ended = math.MaxInt64 // it may be done after all others
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, porcupine.Operation{ClientId: client, Input: in, Call: began, Output: out, Return: ended})
}

// fetch reads a record and records that. A read that fails has seen nothing.
func (h *history) fetch(ctx context.Context, s store.Store, client, record int) (row string, revision store.Revision, err error) {
	began := h.now()
	data, revision, err := s.Fetch(ctx, recordID(record))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", 0, err
	}
	h.add(client, began, call{record: record}, result{row: string(data)})
	return string(data), revision, nil
}

// write creates or replaces a record and records that.
func (h *history) write(ctx context.Context, s store.Store, client int, in call, revision store.Revision) outcome {
	began := h.now()
	var err error
	if in.old == "" {
		err = s.Create(ctx, recordID(in.record), []byte(in.row))
	} else {
		err = s.Replace(ctx, recordID(in.record), revision, []byte(in.row))
	}
	out := unknown
	switch {
	case err == nil:
		out = done
	case errors.Is(err, store.ErrChanged), errors.Is(err, store.ErrExists), errors.Is(err, store.ErrNotFound):
		out = refused
	}
	h.add(client, began, in, result{outcome: out})
	return out
}

// mustBeLinearizable checks what was recorded.
func (h *history) mustBeLinearizable(t *testing.T, patience time.Duration) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.all) == 0 {
		t.Fatal("an empty history says nothing")
	}
	if got := porcupine.CheckOperationsTimeout(rowModel, h.all, patience); got != porcupine.Ok {
		t.Fatalf("a history of %d calls is not linearizable: %v", len(h.all), got)
	}
}

func recordID(record int) (id store.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(record))
	return id
}

func TestTheModelSeesWhatIsWrong(t *testing.T) {
	read := func(row string) porcupine.Operation {
		return porcupine.Operation{Input: call{}, Output: result{row: row}}
	}
	write := func(old, row string, out outcome) porcupine.Operation {
		return porcupine.Operation{Input: call{write: true, old: old, row: row}, Output: result{outcome: out}}
	}
	for _, c := range []struct {
		name string
		want porcupine.CheckResult
		all  []porcupine.Operation // one after the other
	}{
		{"charges", porcupine.Ok, []porcupine.Operation{write("", "1", done), write("1", "2", done), read("2")}},
		{"a refusal", porcupine.Ok, []porcupine.Operation{write("", "1", done), write("", "x", refused), read("1")}},
		{"unknown and done", porcupine.Ok, []porcupine.Operation{write("", "1", done), write("1", "2", unknown), read("2")}},
		{"unknown and not done", porcupine.Ok, []porcupine.Operation{write("", "1", done), write("1", "2", unknown), read("1"), read("1")}},
		{"unknown and done later", porcupine.Ok, []porcupine.Operation{write("", "1", done), write("1", "2", unknown), read("1"), read("2")}},
		{"a lost charge", porcupine.Illegal, []porcupine.Operation{write("", "1", done), write("1", "2", done), read("1")}},
		{"two charges in one", porcupine.Illegal, []porcupine.Operation{write("", "1", done), write("1", "2", done), write("1", "3", done)}},
		{"an old read", porcupine.Illegal, []porcupine.Operation{write("", "1", done), read("")}},
		{"refused, but done", porcupine.Illegal, []porcupine.Operation{write("", "1", done), write("1", "2", refused), read("2")}},
		{"unknown, done and undone", porcupine.Illegal, []porcupine.Operation{write("", "1", done), write("1", "2", unknown), read("2"), read("1")}},
	} {
		for i := range c.all {
			c.all[i].Call, c.all[i].Return = int64(10*i), int64(10*i+5)
			if c.all[i].Output.(result).outcome == unknown {
				c.all[i].Return = math.MaxInt64
			}
		}
		if got := porcupine.CheckOperationsTimeout(rowModel, c.all, patience); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A crowd charges records through several stores, each record at most tries times, and
// keeps the history.
type crowd struct {
	*history
	stores []*DB
	slots  [crowdSlots]slot
}

// A slot is where the crowd finds the record that it charges; when one is used up, the
// next takes its place.
type slot struct {
	mu         sync.Mutex
	generation int
	answered   map[int]int // by record: charges that were acknowledged
}

const (
	tries      = 10
	crowdSize  = 24
	crowdSlots = 6
)

func newCrowd(stores ...*DB) *crowd {
	c := &crowd{history: newHistory(), stores: stores}
	for i := range c.slots {
		c.slots[i].answered = map[int]int{}
	}
	return c
}

// run has the crowd charge until ctx is over.
func (c *crowd) run(ctx context.Context, t *testing.T) {
	var wg sync.WaitGroup
	for client := range crowdSize {
		wg.Go(func() {
			for turn := 0; ctx.Err() == nil; turn++ {
				c.charge(t, client, turn)
			}
		})
	}
	wg.Wait()
}

// charge is one try of one client. It is not cut off in the middle: what is recorded as of
// unknown outcome is what the store calls so.
func (c *crowd) charge(t *testing.T, client, turn int) {
	n := (client + turn) % crowdSlots
	sl := &c.slots[n]
	sl.mu.Lock()
	generation := sl.generation
	sl.mu.Unlock()
	record := generation*crowdSlots + n
	s := c.stores[client%len(c.stores)]
	row, revision, err := c.fetch(t.Context(), s, client, record)
	if err != nil {
		return
	}
	count := 0
	if row != "" {
		if count, err = parseCount([]byte(row)); err != nil {
			t.Error(err)
			return
		}
	}
	if count >= tries {
		sl.mu.Lock()
		sl.generation = max(sl.generation, generation+1)
		sl.mu.Unlock()
		return
	}
	in := call{record: record, write: true, old: row, row: fmt.Sprintf("%d:%d/%d", count+1, client, turn)}
	if c.write(t.Context(), s, client, in, revision) == done {
		sl.mu.Lock()
		sl.answered[record]++
		sl.mu.Unlock()
	}
}

// mustHold checks the promise: each acknowledged charge counts, and none is one too many.
func (c *crowd) mustHold(t *testing.T, s *DB) (charges int) {
	t.Helper()
	for n := range c.slots {
		for record, answered := range c.slots[n].answered {
			row, _, err := c.fetch(t.Context(), s, crowdSize, record)
			if err != nil {
				t.Fatal(err)
			}
			count, err := parseCount([]byte(row))
			if err != nil || count < answered || count > tries {
				t.Errorf("record %d: %d charges acknowledged, %q is kept (%v)", record, answered, row, err)
			}
			charges += answered
		}
	}
	return charges
}

// unknowns counts the calls of unknown outcome.
func (h *history) unknowns() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.all {
		if o.Output.(result).outcome == unknown {
			n++
		}
	}
	return n
}
